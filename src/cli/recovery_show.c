#include "cli/recovery_show.h"

#include <stdbool.h>

#include "cli/chart_words.h"
#include "cli/desk.h"
#include "cli/sheet.h"
#include "cli/show.h"

static bool
is_done(const json_t *report)
{
    return json_is_true(json_object_get(report, "done"));
}

/* "n1 (silent for 12 s), n3 (never heard)" */
static const char *
join_lost(const json_t *lost, char out[CHART_TEXT_MAX])
{
    const json_t *node;
    size_t i;

    out[0] = '\0';
    json_array_foreach(lost, i, node)
    {
        const json_t *silent = json_object_get(node, "silent_ms");
        char time[SHOW_TIME_MAX];

        chart_add(out, CHART_TEXT_MAX, "%s%s (%s%s)", i == 0 ? "" : ", ", desk_text(node, "name"),
                  json_is_integer(silent) ? "silent for " : "not heard by anybody",
                  json_is_integer(silent)
                      ? show_time((double)json_integer_value(silent) / 1000, time)
                      : "");
    }
    return out;
}

static const char *
join_names(const json_t *nodes, char out[CHART_TEXT_MAX])
{
    const json_t *node;
    size_t i;

    out[0] = '\0';
    json_array_foreach(nodes, i, node)
        chart_add(out, CHART_TEXT_MAX, "%s%s", i == 0 ? "" : ", ", desk_text(node, "name"));
    return out;
}

/* What the others who are left give up; their logs go another way. */
static uint64_t
given_up(const json_t *tablet)
{
    const json_t *others = json_object_get(tablet, "others");
    uint64_t most = 0;
    const json_t *m;
    size_t i;

    json_array_foreach(others, i, m)
    {
        uint64_t count = desk_count(m, "given_up");

        most = count > most ? count : most;
    }
    return most;
}

static bool
begins_empty(const json_t *tablet)
{
    const json_t *from = json_object_get(tablet, "from");

    return from == NULL || desk_count(from, "last") == 0;
}

static void
show_tablets(const json_t *tablets, FILE *out)
{
    static const char *const heads[] = { "KEYSPACE",   "TABLET",     "GOES ON WITH", ">LAST ENTRY",
                                         ">COMMITTED", ">UNCERTAIN", ">GIVEN UP" };
    const json_t *t;
    struct sheet s;
    size_t i;

    sheet_begin(&s, 7, heads);
    json_array_foreach(tablets, i, t)
    {
        const json_t *from = json_object_get(t, "from");

        sheet_cell(&s, PAINT_NONE, "%s", desk_text(t, "keyspace"));
        sheet_cell(&s, PAINT_NONE, "%s", desk_text(t, "tablet"));
        sheet_cell(&s, begins_empty(t) ? PAINT_BAD : PAINT_NONE, "%s",
                   begins_empty(t) ? "nobody: empty" : desk_text(from, "node"));
        sheet_cell(&s, PAINT_NONE, "%llu", (unsigned long long)desk_count(from, "last"));
        sheet_cell(&s, PAINT_NONE, "%llu", (unsigned long long)desk_count(from, "commit"));
        sheet_cell(&s, PAINT_NONE, "%llu", (unsigned long long)desk_count(t, "uncertain"));
        sheet_cell(&s, PAINT_NONE, "%llu", (unsigned long long)given_up(t));
    }
    sheet_end(&s, out);
}

static uint64_t
count_empty(const json_t *tablets)
{
    uint64_t count = 0;
    const json_t *t;
    size_t i;

    json_array_foreach(tablets, i, t) count += begins_empty(t);
    return count;
}

/* What is lost, as far as it can be said. */
static void
show_loss(const json_t *tablets, FILE *out)
{
    uint64_t empty = count_empty(tablets);

    fputs(
        "\nEntries up to COMMITTED are safe; UNCERTAIN ones are kept, though they may never have been\n"
        "acknowledged; GIVEN UP ones were on another node that is left, and no majority is known to\n"
        "have had them. What was acknowledged after the LAST ENTRY was only on the nodes that are\n"
        "gone, and is lost; how much that is, nobody who is left can know.\n",
        out);
    if (empty > 0) {
        fprintf(out, "%s%llu tablet%s had no copy elsewhere%s: %s begin%s empty.\n",
                paint_on(out, PAINT_BAD), (unsigned long long)empty, chart_plural(empty),
                paint_off(out, PAINT_BAD), empty == 1 ? "it" : "they", empty == 1 ? "s" : "");
    }
}

void
recovery_show(const json_t *report, FILE *out)
{
    const json_t *tablets = json_object_get(report, "tablets");
    size_t count = json_array_size(tablets);
    char text[CHART_TEXT_MAX];

    fprintf(out, "Cluster %s: %zu of %llu tablet%s can elect nobody any more.\n",
            desk_text(report, "cluster"), count,
            (unsigned long long)desk_count(report, "tablets_total"),
            chart_plural(desk_count(report, "tablets_total")));
    fprintf(out, "  gone  %s\n", join_lost(json_object_get(report, "lost"), text));
    fprintf(out, "  left  %s\n\n", join_names(json_object_get(report, "left"), text));
    show_tablets(tablets, out);
    show_loss(tablets, out);
    if (is_done(report)) {
        fputs(
            "\nDone. Who was gone is removed, and must never be started with its old data directory.\n"
            "Copies are being made: `distkv cluster status --wait 600`.\n",
            out);
    } else {
        fprintf(
            out,
            "\nNothing was done. Bring back any of those who are gone instead, if you can. If they\n"
            "are gone for good, see that they cannot start any more, and then:\n"
            "  distkv cluster recover --confirm %s\n",
            desk_text(report, "cluster"));
    }
}
