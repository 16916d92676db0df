/*
 * Drawing a plan.
 *
 * Every kind draws from a generator of its own, so that leaving one kind out (--faults) does not
 * move the others.  The mean time between two faults of a kind is drawn from less than a second to half
 * a minute, each doubling as likely as the next.
 */
#include "sim/plan.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/assert.h"
#include "base/hash.h"
#include "base/mem.h"
#include "base/prng.h"

#include "simenv/simenv.h"

enum {
    ECHO_MS_MIN = 17,
    ECHO_DOUBLINGS = 4,
    ECHO_STEPS_MAX = 3,
    ECHO_STEP_MS = 600,
    ECHO_MEAN_MS_MIN = 2000,
    FAVOURITES = 2,
    COMMON_KINDS = FAULT_ECHO + 1, /* those that any cluster may have */
    MOVE_MS_MIN = 1000,
    SPACE_TABLETS_MAX = 6,
    SPACE_TABLETS_HUGE = 70, /* twice as many are more than go in one change of the metadata */
    SPACE_HUGE_ONE_IN = 30,
    SPLIT_TABLETS_MAX = 12, /* or a few more, at the end of a run */
    SPLIT_TABLETS_SPREAD = 4,
    COPIES_MAX = 5,
    FAVOURITE_SALT = 0xfa0,
    NAMED_FEW = 3,
    ORDER_PERCENT = 50,
    MEAN_MS_MIN = 400,
    ORDER_MEAN_MS_MIN = 1000,
    MEAN_DOUBLINGS = 6, /* up to 64 times as much */
    DAMPING_US = 1000,
    AWAITED_US_DOUBLINGS = 15,
};

static const struct kind {
    const char *name;
    const char *text;
    uint32_t nodes_min;
    bool takes_unsynced;
} kinds[FAULT_COUNT] = {
#define FAULT_ROW(name, word, text, nodes, takes) [FAULT_##name] = { word, (text), (nodes), takes },
    FAULT_LIST(FAULT_ROW)
};

const char *
fault_name(enum fault f)
{
    return kinds[f].name;
}

const char *
fault_text(enum fault f)
{
    return kinds[f].text;
}

static bool
find_fault(struct slice word, unsigned *mask)
{
    for (int f = 0; f < FAULT_COUNT; f++) {
        if (slice_equal(word, slice_str(kinds[f].name))) {
            *mask |= 1u << f;
            return true;
        }
    }
    return false;
}

bool
faults_parse(const char *text, unsigned *mask)
{
    unsigned found = 0;

    if (strcmp(text, "all") == 0 || strcmp(text, "none") == 0) {
        *mask = text[0] == 'a' ? FAULTS_ALL : 0;
        return true;
    }
    for (;;) {
        size_t size = strcspn(text, ",");

        if (!find_fault(slice_of(text, size), &found))
            return false;
        if (text[size] == '\0')
            break;
        text += size + 1;
    }
    *mask = found;
    return true;
}

/* ------------------------------------------------------------------ one action */

static uint64_t
between(struct prng *p, uint64_t low, uint64_t high)
{
    return low + prng_below(p, high - low + 1);
}

/* Each order of magnitude is as likely as the next. */
static uint64_t
magnitude(struct prng *p, uint64_t low, unsigned doublings)
{
    uint64_t scale = low << prng_below(p, doublings);

    return between(p, scale, 2 * scale);
}

static unsigned
all_nodes(uint32_t nodes)
{
    return ((1u << nodes) - 1) << 1;
}

static void
draw_death(struct prng *p, struct action *a)
{
    static const unsigned ops[] = { SIM_OP_ALL, SIM_WRITE,    SIM_SYNC, SIM_RENAME,
                                    SIM_REMOVE, SIM_SYNC_DIR, SIM_FILL, SIM_WRITE | SIM_SYNC };

    a->ops = ops[prng_below(p, sizeof(ops) / sizeof(ops[0]))];
    a->nth = magnitude(p, 1, 6);
    a->flag = prng_chance(p, 1, 2);
    a->for_ms = magnitude(p, 10, 8);
}

static void
draw_io(struct prng *p, struct action *a)
{
    static const unsigned ops[] = { SIM_WRITE, SIM_SYNC,     SIM_READ,  SIM_OPEN | SIM_RENAME,
                                    SIM_FILL,  SIM_SYNC_DIR, SIM_OP_ALL };

    a->ops = ops[prng_below(p, sizeof(ops) / sizeof(ops[0]))];
    a->nth = magnitude(p, 1, 6);
    a->flag = prng_chance(p, 1, 4);
    a->for_ms = magnitude(p, 50, 6);
}

/* Drift of up to a sixth, where leases trust clocks, and of up to a third. */
static void
draw_clock(struct prng *p, struct action *a, bool trusts_clocks)
{
    int64_t sign = prng_chance(p, 1, 2) ? 1 : -1;
    unsigned doublings = a->kind == FAULT_JUMP ? 16 : trusts_clocks ? 14 : 15;

    a->amount = sign * (int64_t)magnitude(p, 10, doublings);
    a->for_ms = magnitude(p, 100, 8);
}

static void
draw_net(struct prng *p, struct action *a, uint32_t nodes)
{
    unsigned all = all_nodes(nodes);

    a->nodes = (unsigned)prng_below(p, all + 1u) & all & ~(1u << a->node);
    if (a->nodes == 0 || prng_chance(p, 1, 3))
        a->nodes = all & ~(1u << a->node); /* alone against all */
    a->ops = prng_chance(p, 1, 2) ? PLAN_WAY_ALL : prng_chance(p, 1, 2) ? PLAN_FROM : PLAN_TO;
    a->flag = a->kind == FAULT_LINK && prng_chance(p, 1, 8);
    a->amount = (int64_t)magnitude(p, 500, 11);
    a->for_ms = magnitude(p, 50, 7);
}

static void
draw_messages(struct prng *p, struct action *a)
{
    a->ops = 1 + (unsigned)prng_below(p, PLAN_MESSAGE_ALL);
    a->nth = magnitude(p, 1, 7);
    a->amount = (int64_t)magnitude(p, 1, 8);
    a->for_ms = magnitude(p, 100, 7);
}

/* More voters rather than fewer: a small group is soon without a majority. */
static void
draw_members(struct prng *p, struct action *a, uint32_t nodes)
{
    unsigned all = all_nodes(nodes);

    a->nodes = (unsigned)prng_next(p) & all;
    a->nodes |= (unsigned)prng_next(p) & all;
    if (a->nodes == 0)
        a->nodes = 1u << a->node;
    a->learners = prng_chance(p, 1, 2) ? (unsigned)prng_next(p) & all & ~a->nodes : 0;
    a->for_ms = 0;
}

/* It takes a while, and there is no point in undoing it much sooner. */
static void
draw_move(struct prng *p, struct action *a, uint32_t nodes)
{
    a->for_ms = magnitude(p, MOVE_MS_MIN, 5);
    a->amount = (int64_t)between(p, 1, SPACE_TABLETS_MAX);
    a->flag = prng_chance(p, 2, 3);
    if (a->kind == FAULT_SPACE && prng_chance(p, 1, SPACE_HUGE_ONE_IN))
        a->amount = SPACE_TABLETS_HUGE;
    if (a->kind == FAULT_COPIES)
        a->amount = (int64_t)between(p, 1, nodes < COPIES_MAX ? nodes : COPIES_MAX);
    if (a->kind == FAULT_DRAIN && prng_chance(p, 1, 3))
        a->nodes = 1u << between(p, 1, nodes);
}

/* Into more of them from order to order: there are to be some left for the end of the run. */
static void
draw_split(struct prng *p, struct action *a, uint64_t ms)
{
    a->nth = prng_next(p);
    a->amount = (int64_t)(2 + a->at_ms * SPLIT_TABLETS_MAX / ms) +
                (int64_t)prng_below(p, SPLIT_TABLETS_SPREAD);
}

bool
fault_is_of_cluster(enum fault kind)
{
    return kind >= FAULT_DRAIN;
}

bool
fault_is_of_network(enum fault kind)
{
    return kind == FAULT_PARTITION || kind == FAULT_LINK || kind == FAULT_MESSAGES;
}

static bool
is_of_machine(enum fault kind)
{
    return kind == FAULT_SLOW || kind == FAULT_IO || kind == FAULT_FULL || kind == FAULT_POWER ||
           kind == FAULT_KILL || kind == FAULT_PAUSE;
}

/* Chance alone would too seldom meet the leader of many nodes, or one who has only just become it, or a node
 * in the middle of an install. */
static void
draw_node(struct prng *p, struct action *a, uint32_t nodes)
{
    bool of_group =
        a->kind == FAULT_MEMBERS || a->kind == FAULT_TRANSFER || fault_is_of_cluster(a->kind);

    a->node = (uint32_t)between(p, 1, nodes);
    if (nodes > 1 && !of_group && prng_chance(p, 1, fault_is_of_network(a->kind) ? 2 : 4))
        a->node = 0;
    if ((of_group || a->node == 0) && prng_chance(p, 1, 3))
        a->awaits = PLAN_ELECTION;
    if (nodes > 1 && is_of_machine(a->kind) && prng_chance(p, 1, 6)) {
        a->awaits = PLAN_INSTALL;
        a->node = 0;
    }
    if (a->awaits != PLAN_NO_EVENT)
        a->after_us = (uint32_t)magnitude(p, 1, AWAITED_US_DOUBLINGS);
}

static void
draw_action(struct prng *p, struct action *a, const struct plan_options *o)
{
    uint32_t nodes = o->nodes;

    draw_node(p, a, nodes);
    a->for_ms = magnitude(p, 5, 9);
    switch (a->kind) {
    case FAULT_DEATH:
        draw_death(p, a);
        break;
    case FAULT_RECOVERY:
        a->nth = magnitude(p, 1, 8);
        break;
    case FAULT_IO:
        draw_io(p, a);
        break;
    case FAULT_JUMP:
    case FAULT_DRIFT:
        draw_clock(p, a, o->trusts_clocks);
        break;
    case FAULT_FULL:
        a->amount = (int64_t)prng_below(p, 1 << 20);
        a->for_ms = magnitude(p, 100, 6);
        break;
    case FAULT_SLOW:
        a->amount = (int64_t)magnitude(p, DAMPING_US, 11);
        a->for_ms = magnitude(p, 50, 7);
        break;
    case FAULT_PARTITION:
    case FAULT_LINK:
        draw_net(p, a, nodes);
        break;
    case FAULT_MESSAGES:
        draw_messages(p, a);
        break;
    case FAULT_MEMBERS:
        draw_members(p, a, nodes);
        break;
    case FAULT_ROT:
        a->nth = prng_next(p);
        a->for_ms = 0;
        break;
    case FAULT_DRAIN:
    case FAULT_SPACE:
    case FAULT_COPIES:
        draw_move(p, a, nodes);
        break;
    case FAULT_SPLIT:
        draw_split(p, a, o->ms);
        break;
    case FAULT_POWER:
    case FAULT_KILL:
    case FAULT_RESTART:
    case FAULT_PAUSE:
    case FAULT_TRANSFER:
    case FAULT_ECHO:
    case FAULT_COUNT:
        break;
    }
}

/* ------------------------------------------------------------------ the plan */

static bool
is_favourite(uint64_t seed, enum fault kind)
{
    for (uint64_t i = 1; i <= FAVOURITES; i++) {
        if (hash_u64(seed ^ hash_u64(FAVOURITE_SALT + i)) % COMMON_KINDS == kind)
            return true;
    }
    return false;
}

/* What befalls machines is there for the sake of what is ordered of a cluster.
 * Where nearly all kinds take part there is seldom peace for long enough that something else can go wrong in
 * its own way: so in most runs there are few besides the favourites.  A user who names but a few
 * wants to see them. */
static bool
takes_part(struct prng *p, const struct plan_options *o, enum fault kind)
{
    static const uint32_t percents[] = { 5, 15, 30, 70 };
    uint64_t drawn = hash_u64(o->seed ^ hash_u64(FAVOURITE_SALT));
    uint32_t percent = percents[drawn % (sizeof(percents) / sizeof(percents[0]))];
    bool chosen;

    if (fault_is_of_cluster(kind))
        percent = ORDER_PERCENT;
    chosen = prng_chance(p, percent, 100);
    return chosen || is_favourite(o->seed, kind) || __builtin_popcount(o->faults) <= NAMED_FEW;
}

static enum status
add(struct plan *plan, const struct action *a)
{
    struct action *grown;

    if (plan->count == PLAN_ACTIONS_MAX)
        return ST_OK;
    grown = mem_resize(plan->actions, (plan->count + 1) * sizeof(struct action));
    if (grown == NULL)
        return ST_NO_MEMORY;
    plan->actions = grown;
    grown[plan->count++] = *a;
    return ST_OK;
}

/* What the leader hears comes late, and then the others leave it: it is cut off from all or some of them, or
 * told to hand over. */
static struct action
draw_leaving(struct prng *p, const struct plan_options *o, uint64_t at_ms)
{
    struct action a = { .at_ms = at_ms, .kind = FAULT_PARTITION, .ops = PLAN_FROM };

    a.nodes = all_nodes(o->nodes);
    a.for_ms = between(p, ECHO_STEP_MS, (uint64_t)5 * ECHO_STEP_MS);
    if (prng_chance(p, 1, 3)) {
        a.kind = FAULT_TRANSFER;
        a.node = (uint32_t)between(p, 1, o->nodes);
    } else if (prng_chance(p, 1, 2)) {
        a.nodes &= (unsigned)prng_next(p);
    }
    return a;
}

/* Who is left, and goes on hearing for a while, is the last to know.  The delay grows in steps that are
 * shorter than the silence (TABLET_SILENCE_NS) that would have it give up. */
static enum status
add_echo(struct plan *plan, const struct plan_options *o, struct prng *prng, uint64_t at_ms)
{
    uint64_t step_ms = magnitude(prng, ECHO_MS_MIN, ECHO_DOUBLINGS);
    uint64_t steps = between(prng, 1, ECHO_STEPS_MAX);
    struct action leaving = draw_leaving(prng, o, at_ms + steps * ECHO_STEP_MS);
    struct action late = { .kind = FAULT_LINK, .ops = PLAN_TO, .nodes = all_nodes(o->nodes) };
    enum status st = ST_OK;

    for (uint64_t i = 0; i < steps && st == ST_OK; i++) {
        late.at_ms = at_ms + i * ECHO_STEP_MS;
        late.for_ms = leaving.at_ms + leaving.for_ms - late.at_ms;
        late.amount = (int64_t)((i + 1) * step_ms * 1000);
        st = add(plan, &late);
    }
    return st == ST_OK ? add(plan, &leaving) : st;
}

/* What takes long must not come faster than it is done. */
static uint64_t
mean_ms_min(enum fault kind)
{
    if (kind == FAULT_ECHO)
        return ECHO_MEAN_MS_MIN;
    return fault_is_of_cluster(kind) ? ORDER_MEAN_MS_MIN : MEAN_MS_MIN;
}

static enum status
draw_kind(struct plan *plan, const struct plan_options *o, enum fault kind)
{
    enum status st = ST_OK;
    struct prng prng;
    uint64_t room_ms = o->ms * COMMON_KINDS / PLAN_ACTIONS_MAX; /* for all kinds in a long run */
    uint64_t mean_ms, at_ms;

    prng_init(&prng, hash_u64(o->seed ^ hash_u64(kind + 1)));
    if (!takes_part(&prng, o, kind))
        return ST_OK;
    mean_ms = magnitude(&prng, mean_ms_min(kind), MEAN_DOUBLINGS);
    if (mean_ms < room_ms)
        mean_ms = room_ms;
    at_ms = prng_below(&prng, 2 * mean_ms);
    while (at_ms < o->ms && plan->count < PLAN_ACTIONS_MAX && st == ST_OK) {
        struct action a = { .at_ms = at_ms, .kind = kind };

        if (kind == FAULT_ECHO) {
            st = add_echo(plan, o, &prng, at_ms);
        } else {
            draw_action(&prng, &a, o);
            st = add(plan, &a);
        }
        at_ms += 1 + prng_below(&prng, 2 * mean_ms);
    }
    return st;
}

static int
by_time(const void *left, const void *right)
{
    const struct action *a = left;
    const struct action *b = right;

    if (a->at_ms != b->at_ms)
        return a->at_ms < b->at_ms ? -1 : 1;
    return (a->kind > b->kind) - (a->kind < b->kind);
}

/* Whoever sees to the members of a formed cluster would undo what another one orders. */
static bool
is_for(enum fault kind, bool formed)
{
    if (kind == FAULT_MEMBERS || kind == FAULT_ROT)
        return !formed;
    return formed || !fault_is_of_cluster(kind);
}

enum status
plan_draw(struct plan *plan, const struct plan_options *options)
{
    enum status st = ST_OK;

    *plan = (struct plan){ 0 };
    for (enum fault f = 0; f < FAULT_COUNT && st == ST_OK; f++) {
        if ((options->faults & 1u << f) != 0 && options->nodes >= kinds[f].nodes_min &&
            is_for(f, options->formed) && !(options->keeps_unsynced && kinds[f].takes_unsynced))
            st = draw_kind(plan, options, f);
    }
    if (st != ST_OK)
        plan_release(plan);
    else if (plan->count > 1)
        qsort(plan->actions, plan->count, sizeof(struct action), by_time);
    return st;
}

void
plan_release(struct plan *plan)
{
    mem_free(plan->actions);
    *plan = (struct plan){ 0 };
}

const char *
action_text(const struct action *a, char out[ACTION_TEXT_MAX])
{
    static const char *const awaited[] = {
        [PLAN_NO_EVENT] = "",
        [PLAN_ELECTION] = ", at the next election",
        [PLAN_INSTALL] = ", at the next install",
    };

    snprintf(out, ACTION_TEXT_MAX,
             "%" PRIu64 ".%03" PRIu64 " s: %s of node %" PRIu32 " for %" PRIu64 " ms; nth %" PRIu64
             ", calls %#x, with %#x and %#x, amount %" PRId64 "%s%s",
             a->at_ms / 1000, a->at_ms % 1000, kinds[a->kind].name, a->node, a->for_ms, a->nth,
             a->ops, a->nodes, a->learners, a->amount, a->flag ? ", flag" : "", awaited[a->awaits]);
    return out;
}
