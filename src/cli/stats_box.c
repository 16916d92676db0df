#include "cli/stats_box.h"

#include <jansson.h>
#include <string.h>

#include "cli/show.h"

enum { BOX_WIDTH = 66, TEXT_MAX = 128 };

static void
rule(FILE *out, const char *title)
{
    int drawn = fprintf(out, "+-- %s ", title) - 1; /* without the corner */

    for (; drawn < BOX_WIDTH; drawn++)
        fputc('-', out);
    fputs("+\n", out);
}

static void
close_box(FILE *out)
{
    fputc('+', out);
    for (int drawn = 0; drawn < BOX_WIDTH; drawn++)
        fputc('-', out);
    fputs("+\n", out);
}

static void
row(FILE *out, const char *label, const char *value)
{
    fprintf(out, "| %-26s %*s |\n", label, BOX_WIDTH - 29, value);
}

static uint64_t
whole(const json_t *stats, const char *name)
{
    return (uint64_t)json_integer_value(json_object_get(stats, name));
}

static void
count_row(FILE *out, const json_t *stats, const char *label, const char *name)
{
    char text[SHOW_MAX];

    row(out, label, show_count(whole(stats, name), text));
}

static void
bytes_row(FILE *out, const json_t *stats, const char *label, const char *name)
{
    char text[SHOW_MAX];

    row(out, label, show_bytes(whole(stats, name), text));
}

static void
number_row(FILE *out, const json_t *stats, const char *label, const char *name)
{
    char text[TEXT_MAX];

    snprintf(text, sizeof(text), "%.3f", json_number_value(json_object_get(stats, name)));
    row(out, label, text);
}

static void
text_row(FILE *out, const json_t *stats, const char *label, const char *name)
{
    const char *text = json_string_value(json_object_get(stats, name));

    row(out, label, text == NULL ? "-" : text);
}

static void
levels_row(FILE *out, const json_t *stats)
{
    const json_t *levels = json_object_get(stats, "tables_per_level");
    char text[TEXT_MAX] = "";
    size_t at = 0;

    for (size_t i = 0; i < json_array_size(levels) && at < sizeof(text); i++)
        at += (size_t)snprintf(text + at, sizeof(text) - at, "%s%lld", i == 0 ? "" : " / ",
                               (long long)json_integer_value(json_array_get(levels, i)));
    row(out, "Tables per level, L0 first", text);
}

static void
draw(const json_t *stats, FILE *out)
{
    rule(out, "Node");
    text_row(out, stats, "Id", "node_id");
    text_row(out, stats, "Started", "start_time");
    count_row(out, stats, "Uptime, seconds", "uptime_seconds");
    count_row(out, stats, "Puts", "puts");
    count_row(out, stats, "Gets", "gets");
    count_row(out, stats, "Deletes", "deletes");
    rule(out, "Storage");
    count_row(out, stats, "Keys (estimate)", "num_keys");
    bytes_row(out, stats, "Memtables", "memtable_size_bytes");
    levels_row(out, stats);
    count_row(out, stats, "Log records replayed", "wal_replays");
    number_row(out, stats, "Read amplification", "read_amplification");
    number_row(out, stats, "Write amplification", "write_amplification");
    number_row(out, stats, "Space amplification", "space_amplification");
    rule(out, "Bloom filter");
    count_row(out, stats, "Hits (reads skipped)", "bloom_hits");
    count_row(out, stats, "Misses (disk reads)", "bloom_misses");
    number_row(out, stats, "Hit rate", "bloom_hit_rate");
    rule(out, "Compaction");
    count_row(out, stats, "Compactions", "compactions");
    count_row(out, stats, "Keys removed", "keys_removed");
    bytes_row(out, stats, "Reclaimed", "bytes_reclaimed");
    text_row(out, stats, "Last", "last_compaction");
    close_box(out);
}

bool
stats_box(struct slice json, FILE *out)
{
    json_t *stats = json_loadb((const char *)json.data, json.size, 0, NULL);

    if (!json_is_object(stats)) {
        json_decref(stats);
        return false;
    }
    draw(stats, out);
    json_decref(stats);
    return true;
}
