#include "cli/chart_show.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/mem.h"

#include "cli/chart_words.h"
#include "cli/desk.h"
#include "cli/show.h"

enum { REASONS_BYTES_MAX = 256, FULL_PERCENT = 85 };

/* ------------------------------------------------------------------ order */

static int
compare_names(const void *a, const void *b)
{
    return strverscmp(desk_text(*(json_t *const *)a, "name"),
                      desk_text(*(json_t *const *)b, "name"));
}

static int
compare_positions(const void *a, const void *b)
{
    return strcmp(desk_text(*(json_t *const *)a, "position"),
                  desk_text(*(json_t *const *)b, "position"));
}

/* By keyspace, and in it by what they have. */
static int
compare_tablets(const void *a, const void *b)
{
    const json_t *x = *(json_t *const *)a;
    const json_t *y = *(json_t *const *)b;
    int order = strverscmp(desk_text(x, "keyspace"), desk_text(y, "keyspace"));
    json_int_t x_slot = json_integer_value(json_array_get(json_object_get(x, "slots"), 0));
    json_int_t y_slot = json_integer_value(json_array_get(json_object_get(y, "slots"), 0));

    if (order != 0)
        return order;
    if (x_slot != y_slot)
        return x_slot < y_slot ? -1 : 1;
    return strcmp(desk_text(x, "from"), desk_text(y, "from"));
}

/* In that order: the caller's to json_decref().  NULL: out of memory. */
static json_t *
sort(const json_t *list, int (*compare)(const void *a, const void *b))
{
    size_t count = json_array_size(list);
    json_t **items = mem_new_array(json_t *, count + 1);
    json_t *sorted = json_array();

    for (size_t i = 0; i < count && items != NULL; i++)
        items[i] = json_array_get(list, i);
    if (items != NULL)
        qsort(items, count, sizeof(json_t *), compare);
    for (size_t i = 0; i < count && items != NULL; i++)
        json_array_append(sorted, items[i]);
    mem_free(items);
    return sorted;
}

/* ------------------------------------------------------------------ status */

bool
chart_is_healthy(const json_t *status)
{
    const json_t *nodes = json_object_get(status, "nodes");
    const json_t *tablets = json_object_get(status, "tablets");
    const json_t *metadata = json_object_get(status, "metadata");

    return desk_count(nodes, "healthy") == desk_count(nodes, "total") &&
           desk_count(tablets, "under_replicated") == 0 && desk_count(tablets, "leaderless") == 0 &&
           json_is_string(json_object_get(metadata, "leader"));
}

static void
list_reasons(const json_t *status, char out[REASONS_BYTES_MAX])
{
    const json_t *nodes = json_object_get(status, "nodes");
    const json_t *tablets = json_object_get(status, "tablets");
    uint64_t total = desk_count(nodes, "total");
    uint64_t silent = total - desk_count(nodes, "healthy");
    uint64_t few = desk_count(tablets, "under_replicated");
    uint64_t mute = desk_count(tablets, "leaderless");

    out[0] = '\0';
    if (silent > 0)
        chart_add(out, REASONS_BYTES_MAX, "; %llu of %llu nodes do%s not answer",
                  (unsigned long long)silent, (unsigned long long)total, silent == 1 ? "es" : "");
    if (mute > 0)
        chart_add(out, REASONS_BYTES_MAX, "; %llu tablet%s ha%s no leader",
                  (unsigned long long)mute, chart_plural(mute), mute == 1 ? "s" : "ve");
    if (few > 0)
        chart_add(out, REASONS_BYTES_MAX, "; %llu tablet%s ha%s fewer copies than wanted",
                  (unsigned long long)few, chart_plural(few), few == 1 ? "s" : "ve");
    if (desk_count(tablets, "damaged") > 0) {
        chart_add(out, REASONS_BYTES_MAX, "; %llu damaged cop%s to be replaced",
                  (unsigned long long)desk_count(tablets, "damaged"),
                  desk_count(tablets, "damaged") == 1 ? "y is" : "ies are");
    }
    if (!json_is_string(json_object_get(json_object_get(status, "metadata"), "leader")))
        chart_add(out, REASONS_BYTES_MAX, "; nobody leads the metadata");
}

static void
show_verdict(const json_t *status, FILE *out)
{
    const char *name = desk_text(json_object_get(status, "cluster"), "name");
    uint64_t nodes = desk_count(json_object_get(status, "nodes"), "total");
    char reasons[REASONS_BYTES_MAX];

    if (chart_is_healthy(status)) {
        fprintf(out, "Cluster %s is %shealthy%s: %llu node%s, every tablet with all its copies.\n",
                name, paint_on(out, PAINT_GOOD), paint_off(out, PAINT_GOOD),
                (unsigned long long)nodes, chart_plural(nodes));
        return;
    }
    list_reasons(status, reasons);
    fprintf(out, "Cluster %s is %sNOT healthy%s: %s.\n", name, paint_on(out, PAINT_BAD),
            paint_off(out, PAINT_BAD), reasons[0] == '\0' ? "?" : reasons + 2);
}

/* Nodes in the same condition stand together; only of those that are not healthy the names matter. */
static void
show_conditions(const json_t *nodes, FILE *out)
{
    static const char *const order[] = { "healthy",    "draining", "draining, silent",
                                         "suspicious", "down",     "down for long",
                                         "failed" };
    const char *gap = "  nodes      ";

    for (size_t i = 0; i < sizeof(order) / sizeof(order[0]); i++) {
        char names[CHART_TEXT_MAX] = "";
        uint64_t count = 0;
        enum paint paint, its = PAINT_NONE;
        const json_t *node;
        size_t at;

        json_array_foreach(nodes, at, node)
        {
            if (strcmp(chart_condition(node, &paint), order[i]) != 0)
                continue;
            chart_add(names, sizeof(names), "%s%s", count == 0 ? "" : ", ",
                      desk_text(node, "name"));
            its = paint;
            count++;
        }
        if (count == 0)
            continue;
        fprintf(out, "%s%s%llu %s%s%s%s\n", gap, paint_on(out, its), (unsigned long long)count,
                order[i], paint_off(out, its), i == 0 ? "" : ": ", i == 0 ? "" : names);
        gap = "             ";
    }
}

static void
show_tablet_counts(const json_t *tablets, FILE *out)
{
    char bytes[SHOW_MAX], time[SHOW_TIME_MAX];
    uint64_t left = desk_count(tablets, "bytes_left");

    fprintf(out, "  tablets    %llu: %llu under-replicated, %llu leaderless, %llu moving",
            (unsigned long long)desk_count(tablets, "total"),
            (unsigned long long)desk_count(tablets, "under_replicated"),
            (unsigned long long)desk_count(tablets, "leaderless"),
            (unsigned long long)desk_count(tablets, "moving"));
    fprintf(out, "; fewest copies of one: %llu\n",
            (unsigned long long)desk_count(tablets, "copies_min"));
    if (left > 0)
        fprintf(out, "  to copy    %s, about %s at full throughput\n", show_bytes(left, bytes),
                show_time(json_number_value(json_object_get(tablets, "seconds_left")), time));
}

static void
show_birth(const json_t *cluster, FILE *out)
{
    time_t born = (time_t)(desk_count(cluster, "created_ms") / 1000);
    char date[32] = "?";
    struct tm tm;

    if (localtime_r(&born, &tm) != NULL)
        strftime(date, sizeof(date), "%Y-%m-%d %H:%M", &tm);
    fprintf(out, "  cluster    id %s, since %s, %llu changes\n", desk_text(cluster, "id"), date,
            (unsigned long long)desk_count(cluster, "change"));
}

static void
show_worst(const json_t *worst, FILE *out)
{
    static const char *const heads[] = { "KEYSPACE", "TABLET", ">COPIES", ">WANTED" };
    struct sheet s;
    const json_t *need;
    size_t i;

    if (json_array_size(worst) == 0)
        return;
    fputs("\nFewest copies first:\n", out);
    sheet_begin(&s, 4, heads);
    json_array_foreach(worst, i, need)
    {
        uint64_t copies = desk_count(need, "copies");

        sheet_cell(&s, PAINT_NONE, "%s", desk_text(need, "keyspace"));
        sheet_cell(&s, PAINT_NONE, "%s", desk_text(need, "tablet"));
        sheet_cell(&s, 2 * copies > desk_count(need, "wanted") ? PAINT_WARN : PAINT_BAD, "%llu",
                   (unsigned long long)copies);
        sheet_cell(&s, PAINT_NONE, "%llu", (unsigned long long)desk_count(need, "wanted"));
    }
    sheet_end(&s, out);
}

void
chart_show_status(const json_t *status, const json_t *nodes, FILE *out)
{
    const json_t *metadata = json_object_get(status, "metadata");
    char names[CHART_TEXT_MAX];

    show_verdict(status, out);
    fputc('\n', out);
    show_conditions(nodes, out);
    show_tablet_counts(json_object_get(status, "tablets"), out);
    fprintf(out, "  metadata   led by %s, on %s\n",
            json_is_string(json_object_get(metadata, "leader")) ? desk_text(metadata, "leader")
                                                                : "nobody",
            chart_join(json_object_get(metadata, "members"), names));
    show_birth(json_object_get(status, "cluster"), out);
    show_worst(json_object_get(status, "worst"), out);
}

/* ------------------------------------------------------------------ nodes */

static const char *
or_dash(const char *text)
{
    return text[0] == '\0' ? "-" : text;
}

/* How full it is, of how much. */
static void
add_disk(struct sheet *s, const json_t *node)
{
    uint64_t total = desk_count(node, "disk_bytes");
    uint64_t used = total - desk_count(node, "disk_free_bytes");
    char bytes[SHOW_MAX];

    if (total == 0) {
        sheet_cell(s, PAINT_NONE, "-");
    } else {
        sheet_cell(s, used / (total / 100 + 1) > FULL_PERCENT ? PAINT_BAD : PAINT_NONE,
                   "%llu%% of %s", (unsigned long long)(used / (total / 100 + 1)),
                   show_bytes(total, bytes));
    }
}

static void
add_node(struct sheet *s, const json_t *node)
{
    char bytes[SHOW_MAX];
    enum paint paint;
    const char *condition = chart_condition(node, &paint);

    sheet_cell(s, PAINT_NONE, "%s", desk_text(node, "name"));
    sheet_cell(s, paint, "%s", condition);
    sheet_cell(s, PAINT_NONE, "%s", or_dash(desk_text(node, "zone")));
    sheet_cell(s, PAINT_NONE, "%llu", (unsigned long long)desk_count(node, "weight"));
    sheet_cell(s, PAINT_NONE, "%llu", (unsigned long long)desk_count(node, "tablets"));
    sheet_cell(s, PAINT_NONE, "%llu", (unsigned long long)desk_count(node, "leads"));
    sheet_cell(s, PAINT_NONE, "%s", show_bytes(desk_count(node, "bytes"), bytes));
    add_disk(s, node);
    sheet_cell(s, PAINT_NONE, "%s", desk_text(node, "client"));
    sheet_cell(s, PAINT_NONE, "%s", desk_text(node, "peer"));
    sheet_cell(s, PAINT_NONE, "%s", desk_text(node, "id"));
}

void
chart_show_nodes(const json_t *nodes, bool all, FILE *out)
{
    static const char *const heads[] = { "NODE",     "STATE",  "ZONE",   ">WEIGHT",
                                         ">TABLETS", ">LEADS", ">BYTES", ">DISK",
                                         "CLIENTS",  "PEERS",  "ID" };
    json_t *sorted = sort(nodes, compare_names);
    struct sheet s;
    const json_t *node;
    size_t i;

    sheet_begin(&s, 11, heads);
    json_array_foreach(sorted, i, node)
    {
        if (all || !chart_says(node, "state", "removed"))
            add_node(&s, node);
    }
    sheet_end(&s, out);
    json_decref(sorted);
}

/* ------------------------------------------------------------------ keyspaces and tablets */

void
chart_show_keyspaces(const json_t *keyspaces, FILE *out)
{
    static const char *const heads[] = { "KEYSPACE", "MODE", "PARTITION", ">REPLICAS", ">TABLETS" };
    struct sheet s;
    const json_t *k;
    size_t i;

    sheet_begin(&s, 5, heads);
    json_array_foreach(keyspaces, i, k)
    {
        sheet_cell(&s, PAINT_NONE, "%s", desk_text(k, "name"));
        sheet_cell(&s, PAINT_NONE, "%s", desk_text(k, "mode"));
        sheet_cell(&s, PAINT_NONE, "%s", desk_text(k, "partition"));
        sheet_cell(&s, PAINT_NONE, "%llu", (unsigned long long)desk_count(k, "replicas"));
        sheet_cell(&s, PAINT_NONE, "%llu", (unsigned long long)desk_count(k, "tablets"));
    }
    sheet_end(&s, out);
}

/* A bound of a range, or what stands for none. */
static void
add_bound(char out[CHART_TEXT_MAX], const char *bound, const char *none)
{
    if (bound == NULL || bound[0] == '\0')
        chart_add(out, CHART_TEXT_MAX, "%s", none);
    else
        chart_add(out, CHART_TEXT_MAX, "\"%.200s\"", bound);
}

/* What a tablet has: slots, or keys. */
static const char *
extent_of(const json_t *tablet, char out[CHART_TEXT_MAX])
{
    const json_t *slots = json_object_get(tablet, "slots");

    out[0] = '\0';
    if (slots != NULL) {
        chart_add(out, CHART_TEXT_MAX, "%lld-%lld",
                  (long long)json_integer_value(json_array_get(slots, 0)),
                  (long long)json_integer_value(json_array_get(slots, 1)));
        return out;
    }
    add_bound(out, json_string_value(json_object_get(tablet, "from")), "the first key");
    chart_add(out, CHART_TEXT_MAX, "%s", " to ");
    add_bound(out, json_string_value(json_object_get(tablet, "limit")), "the last");
    return out;
}

/* "a, b, c (learner, behind)": voters that have everything need no word. */
static const char *
join_members(const json_t *members, char out[CHART_TEXT_MAX])
{
    const json_t *m;
    size_t i;

    out[0] = '\0';
    json_array_foreach(members, i, m)
    {
        const char *role = desk_text(m, "role");
        bool votes = strcmp(role, "voter") == 0;
        bool has_all = json_is_true(json_object_get(m, "caught_up"));

        chart_add(out, CHART_TEXT_MAX, "%s%s", i == 0 ? "" : ", ", desk_text(m, "node"));
        if (!votes || !has_all)
            chart_add(out, CHART_TEXT_MAX, " (%s%s%s)", votes ? "" : role,
                      votes || has_all ? "" : ", ", has_all ? "" : "behind");
    }
    return out;
}

static const char *
leader_of(const json_t *tablet)
{
    return json_is_string(json_object_get(tablet, "leader")) ? desk_text(tablet, "leader") : NULL;
}

void
chart_show_tablets(const json_t *tablets, FILE *out)
{
    static const char *const heads[] = { "KEYSPACE", "TABLET", "SLOTS OR KEYS",
                                         "LEADER",   ">BYTES", "COPIES ON" };
    json_t *sorted = sort(tablets, compare_tablets);
    char text[CHART_TEXT_MAX], bytes[SHOW_MAX];
    struct sheet s;
    const json_t *t;
    size_t i;

    sheet_begin(&s, 6, heads);
    json_array_foreach(sorted, i, t)
    {
        const char *leader = leader_of(t);

        sheet_cell(&s, PAINT_NONE, "%s", desk_text(t, "keyspace"));
        sheet_cell(&s, PAINT_NONE, "%s", desk_text(t, "id"));
        sheet_cell(&s, PAINT_NONE, "%s", extent_of(t, text));
        sheet_cell(&s, leader == NULL ? PAINT_BAD : PAINT_NONE, "%s",
                   leader == NULL ? "none" : leader);
        sheet_cell(&s, PAINT_NONE, "%s", show_bytes(desk_count(t, "bytes"), bytes));
        sheet_cell(&s, PAINT_NONE, "%s", join_members(json_object_get(t, "members"), text));
    }
    sheet_end(&s, out);
    json_decref(sorted);
}

/* ------------------------------------------------------------------ the ring */

/* The first of the ring's list that should have it, and the rest behind a bar. */
static const char *
join_preference(const json_t *place, char out[CHART_TEXT_MAX])
{
    const json_t *list = json_object_get(place, "preference");
    size_t wanted = json_array_size(json_object_get(place, "wanted"));
    const json_t *name;
    size_t i;

    out[0] = '\0';
    json_array_foreach(list, i, name) chart_add(out, CHART_TEXT_MAX, "%s%s",
                                                i == 0        ? ""
                                                : i == wanted ? " | "
                                                              : ", ",
                                                json_string_value(name));
    return out;
}

void
chart_show_ring(const json_t *places, FILE *out)
{
    static const char *const heads[] = { "POSITION", "TABLET", "SLOTS OR KEYS",
                                         "CLOCKWISE FROM THERE", "COPIES ON" };
    json_t *sorted = sort(places, compare_positions);
    char text[CHART_TEXT_MAX];
    struct sheet s;
    const json_t *t;
    size_t i;

    sheet_begin(&s, 5, heads);
    json_array_foreach(sorted, i, t)
    {
        sheet_cell(&s, PAINT_NONE, "%s", desk_text(t, "position"));
        sheet_cell(&s, PAINT_NONE, "%s", desk_text(t, "id"));
        sheet_cell(&s, PAINT_NONE, "%s", extent_of(t, text));
        sheet_cell(&s, PAINT_NONE, "%s", join_preference(t, text));
        sheet_cell(&s, PAINT_NONE, "%s", join_members(json_object_get(t, "members"), text));
    }
    sheet_end(&s, out);
    json_decref(sorted);
}

void
chart_show_key(const json_t *answer, FILE *out)
{
    const json_t *place = json_object_get(answer, "place");
    const char *leader = leader_of(place);
    char text[CHART_TEXT_MAX];

    fprintf(out, "  key         %s\n", desk_text(answer, "key"));
    fprintf(out, "  hash        0x%04llx, CRC16 of the key or of what stands in its {braces}\n",
            (unsigned long long)desk_count(answer, "hash"));
    fprintf(out, "  slot        %llu\n", (unsigned long long)desk_count(answer, "slot"));
    fprintf(out, "  tablet      %s of keyspace %s, which has %s\n", desk_text(place, "id"),
            desk_text(place, "keyspace"), extent_of(place, text));
    fprintf(out, "  position    %s on the ring\n", desk_text(place, "position"));
    fprintf(out, "  clockwise   %s\n", join_preference(place, text));
    fprintf(out, "  holders     %s\n", join_members(json_object_get(place, "members"), text));
    fprintf(out, "  leader      %s\n", leader == NULL ? "none" : leader);
}

/* ------------------------------------------------------------------ moves */

void
chart_show_moves(const json_t *answer, FILE *out)
{
    static const char *const heads[] = { "KEYSPACE", "TABLET", "FROM", "TO", ">BYTES", ">COPIES" };
    const json_t *moves = json_object_get(answer, "moves");
    char text[CHART_TEXT_MAX], bytes[SHOW_MAX], time[SHOW_TIME_MAX];
    size_t count = json_array_size(moves);
    struct sheet s;
    const json_t *m;
    size_t i;

    if (count == 0) {
        fputs("Nothing to move: every tablet is where it belongs.\n", out);
        return;
    }
    sheet_begin(&s, 6, heads);
    json_array_foreach(moves, i, m)
    {
        sheet_cell(&s, PAINT_NONE, "%s", desk_text(m, "keyspace"));
        sheet_cell(&s, PAINT_NONE, "%s", desk_text(m, "tablet"));
        sheet_cell(&s, PAINT_NONE, "%s", chart_join(json_object_get(m, "from"), text));
        sheet_cell(&s, PAINT_NONE, "%s", chart_join(json_object_get(m, "to"), text));
        sheet_cell(&s, PAINT_NONE, "%s", show_bytes(desk_count(m, "bytes"), bytes));
        sheet_cell(&s, PAINT_NONE, "%llu", (unsigned long long)desk_count(m, "copies"));
    }
    sheet_end(&s, out);
    fprintf(out,
            "\n%zu tablet%s to move, %s to copy: %s at full throughput.\n"
            "No tablet has fewer than %llu cop%s on the way.\n",
            count, chart_plural(count), show_bytes(desk_count(answer, "bytes"), bytes),
            show_time(json_number_value(json_object_get(answer, "seconds")), time),
            (unsigned long long)desk_count(answer, "copies_min"),
            desk_count(answer, "copies_min") == 1 ? "y" : "ies");
}
