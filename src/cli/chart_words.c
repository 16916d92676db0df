#include "cli/chart_words.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "cli/desk.h"

const char *
show_time(double seconds, char out[SHOW_TIME_MAX])
{
    unsigned long whole = seconds < 0 ? 0 : (unsigned long)seconds;

    if (seconds < 1)
        snprintf(out, SHOW_TIME_MAX, "less than 1 s");
    else if (whole < 60)
        snprintf(out, SHOW_TIME_MAX, "%lu s", whole);
    else if (whole < 3600)
        snprintf(out, SHOW_TIME_MAX, "%lu min %lu s", whole / 60, whole % 60);
    else
        snprintf(out, SHOW_TIME_MAX, "%lu h %lu min", whole / 3600, whole % 3600 / 60);
    return out;
}

bool
chart_says(const json_t *object, const char *name, const char *text)
{
    return strcmp(desk_text(object, name), text) == 0;
}

const char *
chart_plural(uint64_t count)
{
    return count == 1 ? "" : "s";
}

void
chart_add(char *text, size_t room, const char *fmt, ...)
{
    size_t at = strlen(text);
    va_list args;

    va_start(args, fmt);
    vsnprintf(text + at, room - at, fmt, args);
    va_end(args);
}

const char *
chart_join(const json_t *list, char out[CHART_TEXT_MAX])
{
    size_t i;
    const json_t *name;

    out[0] = '\0';
    json_array_foreach(list, i, name)
        chart_add(out, CHART_TEXT_MAX, "%s%s", i == 0 ? "" : ", ", json_string_value(name));
    return json_array_size(list) == 0 ? "-" : out;
}

const char *
chart_condition(const json_t *node, enum paint *paint)
{
    bool healthy = chart_says(node, "health", "healthy");
    const char *state = desk_text(node, "state");

    *paint = PAINT_WARN;
    if (strcmp(state, "removed") == 0) {
        *paint = PAINT_NONE;
        return state;
    }
    if (strcmp(state, "failed") == 0) {
        *paint = PAINT_BAD;
        return state;
    }
    if (strcmp(state, "draining") == 0 && healthy)
        return state;
    if (strcmp(state, "draining") == 0)
        return "draining, silent";
    if (healthy)
        *paint = PAINT_GOOD;
    else if (!chart_says(node, "health", "suspicious"))
        *paint = PAINT_BAD;
    return chart_says(node, "health", "lost") ? "down for long" : desk_text(node, "health");
}
