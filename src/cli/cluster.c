/* `distkv cluster`: what operators ask of a cluster, and what they order. */
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "cli/chart_show.h"
#include "cli/cli.h"
#include "cli/desk.h"
#include "cli/follow.h"
#include "cli/recovery_show.h"

enum { ORDER_WORDS_MAX = DESK_WORDS_MAX + 4, LOOK_AGAIN_MS = 250, LOOKS_MAX = 4 };

static int
code_of(enum status st)
{
    return st == ST_OK ? 0 : 1;
}

/* Ask this, and show the answer. */
static int
show(struct desk *d, const char *const *words, uint32_t count,
     void (*print)(const json_t *answer, FILE *out))
{
    json_t *answer = NULL;
    enum status st = desk_ask(d, words, count, &answer);

    if (st == ST_OK && !desk_prints_json(d))
        print(answer, stdout);
    json_decref(answer);
    return code_of(st);
}

/* ------------------------------------------------------------------ status */

/* What is missing: nodes that should be there, and what is not as it should be with those that are.  Whoever
 * waits wants everything at its place, too. */
static struct follow_left
count_flaws(const void *ctx, const json_t *status)
{
    const json_t *nodes = json_object_get(status, "nodes");
    const json_t *tablets = json_object_get(status, "tablets");
    const struct desk *d = ctx;
    uint64_t wanted = desk_number(d, FLAG_NODES, 0);
    uint64_t total = desk_count(nodes, "total");
    struct follow_left left = { .bytes = desk_count(tablets, "bytes_left") };

    left.count = (total < wanted ? wanted - total : 0) + total - desk_count(nodes, "healthy") +
                 desk_count(tablets, "under_replicated") + desk_count(tablets, "leaderless");
    if (d->flags[FLAG_WAIT] != NULL)
        left.count += desk_count(tablets, "moving");
    if (left.count == 0 && !chart_is_healthy(status))
        left.count = 1;
    return left;
}

/* For a moment after a tablet's leader has changed, the new one cannot tell who has everything.  That is no news: it
 * is looked at again. */
static bool
may_be_momentary(const json_t *status)
{
    const json_t *nodes = json_object_get(status, "nodes");
    const json_t *tablets = json_object_get(status, "tablets");

    return desk_count(nodes, "healthy") == desk_count(nodes, "total") &&
           desk_count(tablets, "leaderless") == 0 && desk_count(tablets, "under_replicated") > 0;
}

/* What it is when it is no more in passing; whether it is as it should be. */
static enum status
ask_status(struct desk *d, json_t **answer, bool *healthy)
{
    const struct timespec pause = { .tv_nsec = LOOK_AGAIN_MS * 1000000L };
    enum status st;

    for (int i = 0;; i++) {
        st = desk_ask(d, (const char *const[]){ "status" }, 1, answer);
        *healthy = st == ST_OK && count_flaws(d, *answer).count == 0;
        if (st != ST_OK || *healthy || i == LOOKS_MAX || !may_be_momentary(*answer))
            return st;
        json_decref(*answer);
        nanosleep(&pause, NULL);
    }
}

static int
status(struct desk *d)
{
    struct follow f = { .desk = d,
                        .words = { "status" },
                        .word_count = 1,
                        .unit = "open point",
                        .wait_s = desk_number(d, FLAG_WAIT, 0),
                        .look = count_flaws,
                        .ctx = d };
    json_t *answer = NULL;
    json_t *nodes = NULL;
    struct err ignored;
    bool healthy = false;
    enum status st = f.wait_s == 0 ? ST_OK : follow(&f);

    if (st != ST_OK && st != ST_TIMEOUT)
        return 1;
    if (ask_status(d, &answer, &healthy) != ST_OK)
        return 1;
    if (!desk_prints_json(d)) {
        if (desk_try(d, (const char *const[]){ "nodes" }, 1, &nodes, &ignored) != ST_OK)
            nodes = NULL;
        chart_show_status(answer, nodes, stdout);
    }
    json_decref(answer);
    json_decref(nodes);
    return healthy ? 0 : 1;
}

/* ------------------------------------------------------------------ what is */

static void
print_present(const json_t *nodes, FILE *out)
{
    chart_show_nodes(nodes, false, out);
}

static void
print_all(const json_t *nodes, FILE *out)
{
    chart_show_nodes(nodes, true, out);
}

static int
nodes(struct desk *d)
{
    return show(d, (const char *const[]){ "nodes" }, 1,
                d->flags[FLAG_ALL] == NULL ? print_present : print_all);
}

static int
tablets(struct desk *d)
{
    return show(d, (const char *const[]){ "tablets", d->words[0] }, 1 + d->word_count,
                chart_show_tablets);
}

static int
ring(struct desk *d)
{
    const char *keyspace = d->flags[FLAG_KEYSPACE] == NULL ? "0" : d->flags[FLAG_KEYSPACE];
    const char *key = d->flags[FLAG_KEY];

    return show(d, (const char *const[]){ "ring", keyspace, key }, key == NULL ? 2 : 3,
                key == NULL ? chart_show_ring : chart_show_key);
}

/* ------------------------------------------------------------------ nodes that go */

/* The order of that name, with the nodes' names and what confirms it. */
static enum status
order(struct desk *d, const char *verb)
{
    const char *words[ORDER_WORDS_MAX] = { verb };
    uint32_t count = 1;
    json_t *answer = NULL;
    enum status st;

    for (uint32_t i = 0; i < d->word_count; i++)
        words[count++] = d->words[i];
    if (d->flags[FLAG_CONFIRM] != NULL && d->word_count > 1) {
        words[count++] = "confirm";
        words[count++] = d->flags[FLAG_CONFIRM];
    }
    st = desk_ask(d, words, count, &answer);
    json_decref(answer);
    return st;
}

/* The nodes that are leaving: the first words of the command line. */
struct leavers {
    const struct desk *desk;
    uint32_t count;
};

static bool
is_leaver(const struct leavers *l, const json_t *node)
{
    for (uint32_t i = 0; i < l->count; i++) {
        if (strcmp(l->desk->words[i], desk_text(node, "name")) == 0 ||
            strcmp(l->desk->words[i], desk_text(node, "id")) == 0)
            return true;
    }
    return false;
}

static struct follow_left
count_on_leavers(const void *ctx, const json_t *list)
{
    struct follow_left left = { 0 };
    const json_t *node;
    size_t i;

    json_array_foreach(list, i, node)
    {
        if (!is_leaver(ctx, node))
            continue;
        left.count += desk_count(node, "tablets");
        left.bytes += desk_count(node, "bytes");
    }
    return left;
}

static int
follow_leavers(struct desk *d, uint32_t count)
{
    struct leavers leavers = { d, count };
    struct follow f = { .desk = d,
                        .words = { "nodes" },
                        .word_count = 1,
                        .unit = "tablet",
                        .look = count_on_leavers,
                        .ctx = &leavers };

    if (d->flags[FLAG_NO_WAIT] != NULL) {
        if (!desk_prints_json(d))
            puts("Draining; `distkv cluster rebalance` follows it.");
        return 0;
    }
    (void)desk_prints_json(d);
    if (follow(&f) != ST_OK)
        return 1;
    for (uint32_t i = 0; i < count && d->flags[FLAG_JSON] == NULL; i++)
        printf("Node %s is empty; `distkv cluster remove %s` takes it out of the cluster.\n",
               d->words[i], d->words[i]);
    return 0;
}

static int
drain(struct desk *d)
{
    return order(d, "drain") == ST_OK ? follow_leavers(d, d->word_count) : 1;
}

static int
replace(struct desk *d)
{
    return order(d, "replace") == ST_OK ? follow_leavers(d, 1) : 1;
}

static int
undrain(struct desk *d)
{
    if (order(d, "undrain") != ST_OK)
        return 1;
    if (!desk_prints_json(d))
        printf("Node %s stays, and gets its share again.\n", d->words[0]);
    return 0;
}

static int
remove_nodes(struct desk *d)
{
    if (order(d, "remove") != ST_OK)
        return 1;
    if (desk_prints_json(d))
        return 0;
    for (uint32_t i = 0; i < d->word_count; i++) {
        printf("Node %s is removed for good; stop its process. With an empty data directory it "
               "can join as a new node.\n",
               d->words[i]);
    }
    return 0;
}

/* ------------------------------------------------------------------ rebalance */

static struct follow_left
count_moves(const void *ctx, const json_t *answer)
{
    (void)ctx;
    return (struct follow_left){ json_array_size(json_object_get(answer, "moves")),
                                 desk_count(answer, "bytes") };
}

static int
rebalance(struct desk *d)
{
    struct follow f = {
        .desk = d, .words = { "rebalance" }, .word_count = 1, .unit = "tablet", .look = count_moves
    };
    bool looks_only = d->flags[FLAG_DRY_RUN] != NULL || d->flags[FLAG_NO_WAIT] != NULL;
    json_t *answer = NULL;
    bool moves;

    if (desk_ask(d, f.words, 1, &answer) != ST_OK)
        return 1;
    if (!desk_prints_json(d))
        chart_show_moves(answer, stdout);
    moves = count_moves(NULL, answer).count > 0;
    json_decref(answer);
    if (looks_only || !moves)
        return 0;
    fflush(stdout);
    if (follow(&f) != ST_OK)
        return 1;
    if (d->flags[FLAG_JSON] == NULL)
        puts("Every tablet is where it belongs.");
    return 0;
}

/* ------------------------------------------------------------------ recover */

static int
recover(struct desk *d)
{
    const char *name = d->flags[FLAG_CONFIRM];
    int code = show(d, (const char *const[]){ "recover", "confirm", name }, name == NULL ? 1 : 3,
                    recovery_show);

    return name == NULL ? 1 : code; /* nothing was done */
}

/* ------------------------------------------------------------------ the program */

static const struct desk_verb verbs[] = {
    { .name = "status",
      .arguments = "[--wait SECONDS] [--nodes N]",
      .summary = "is it healthy, and if not, why",
      .more = "\n  --wait SECONDS  until it is healthy and nothing moves, at most so long\n"
              "  --nodes N       it is not healthy with fewer nodes than these\n\n"
              "Exit code: 0 healthy; 1 not, or nobody answers.\n",
      .flags = FLAG(WAIT) | FLAG(NODES),
      .run = status },
    { .name = "nodes",
      .arguments = "[--all]",
      .summary = "its nodes, their doors and their share",
      .more = "\n  --all  also those that were removed\n\n"
              "healthy       it answers\n"
              "suspicious    it has been silent for suspicion-threshold-ms, 5 s\n"
              "down          for down-threshold-ms, 30 s\n"
              "failed        and down for 10 min more: others are given its copies\n"
              "draining      its copies move away, by order; it serves meanwhile\n"
              "removed       it is no member any more, and never will be again\n",
      .flags = FLAG(ALL),
      .run = nodes },
    { .name = "tablets",
      .arguments = "[KEYSPACE]",
      .summary = "its tablets: leader, copies, bytes",
      .words_max = 1,
      .run = tablets },
    { .name = "ring",
      .arguments = "[--keyspace K] [--key KEY]",
      .summary = "where tablets, or one key, belong and are",
      .more = "\n  --keyspace K  a name [0]\n  --key KEY     all about this key\n\n"
              "What stands before the bar should have a copy; what stands behind it comes next.\n",
      .flags = FLAG(KEYSPACE) | FLAG(KEY),
      .run = ring },
    { .name = "drain",
      .arguments = "NODE... [--confirm CLUSTER] [--no-wait]",
      .summary = "move all copies away from a node",
      .more =
          "It serves meanwhile. Refused, with the tablets named, if one would be under its\n"
          "quorum without the node, or if the disk of another would be more than 85 % full.\n\n"
          "  --confirm CLUSTER  the cluster's name, for several nodes at once, or for fuller disks\n"
          "  --no-wait          do not watch\n",
      .words_min = 1,
      .words_max = DESK_WORDS_MAX,
      .flags = FLAG(CONFIRM) | FLAG(NO_WAIT),
      .run = drain },
    { .name = "undrain",
      .arguments = "NODE",
      .summary = "keep a node after all",
      .words_min = 1,
      .words_max = 1,
      .run = undrain },
    { .name = "remove",
      .arguments = "NODE... [--confirm CLUSTER]",
      .summary = "take empty nodes out of the cluster for good",
      .more = "Drain them first.\n\n"
              "  --confirm CLUSTER  the cluster's name, for several nodes at once\n",
      .words_min = 1,
      .words_max = DESK_WORDS_MAX,
      .flags = FLAG(CONFIRM),
      .run = remove_nodes },
    { .name = "replace",
      .arguments = "OLD NEW [--no-wait]",
      .summary = "drain OLD, once NEW is a member",
      .more =
          "The ring says who gets what OLD had; NEW has its share already, or is getting it.\n\n"
          "  --no-wait  do not watch\n",
      .words_min = 2,
      .words_max = 2,
      .flags = FLAG(NO_WAIT),
      .run = replace },
    { .name = "rebalance",
      .arguments = "[--dry-run] [--no-wait]",
      .summary = "what moves, how long that takes; watch it",
      .more = "The cluster moves tablets to where they belong by itself.\n\n"
              "  --dry-run, --no-wait  do not watch\n",
      .flags = FLAG(DRY_RUN) | FLAG(NO_WAIT),
      .run = rebalance },
    { .name = "recover",
      .arguments = "[--confirm CLUSTER]",
      .summary = "go on without nodes that are gone for good",
      .more =
          "For tablets that have lost more than half of their voters. Ask a node that is left. It\n"
          "says which tablets, who is gone, who could go on with each, and what may be lost; and\n"
          "does it only when it is confirmed. Whoever does not answer then counts as gone, and is\n"
          "removed. It can be repeated.\n\n"
          "  --confirm CLUSTER  the cluster's name: do it\n\n"
          "Exit code: 0 it was done; 1 it was not.\n",
      .flags = FLAG(CONFIRM),
      .run = recover },
    { 0 },
};

int
cli_cluster_main(int argc, char **argv)
{
    static const struct desk_program program = {
        .name = "cluster",
        .summary = "Asks a cluster, through any of its nodes. NODE is a name or an id.\n",
        .verbs = verbs,
    };

    return desk_main(&program, argc, argv);
}
