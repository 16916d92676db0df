#include "oracle/schedule.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"

#include "oracle/member.h"
#include "oracle/rest.h"

enum { STEPS_MIN = 20, MS = 1000000 };

struct director {
    struct prng prng;
    struct schedule *s;
    struct group *g;
    bool gone[SCHEDULE_NODES_MAX];           /* removed: for good */
    raft_id heir[SCHEDULE_NODES_MAX];        /* to whom it hands over */
    raft_term heir_term[SCHEDULE_NODES_MAX]; /* in which term */
    bool over;
};

static uint64_t
below(struct director *d, uint64_t limit)
{
    return prng_below(&d->prng, limit);
}

/* ------------------------------------------------------------------ moments */

static bool
is_heard(const struct group *g, const struct node *n)
{
    raft_id leader = raft_leader(n->raft);
    const struct node *l = leader == 0 ? NULL : &g->nodes[leader - 1];

    return l != NULL && l->up && raft_role(l->raft) == RAFT_LEADER &&
           raft_hard(l->raft).term == raft_hard(n->raft).term && !g->cut[n->id][leader] &&
           !g->cut[leader][n->id];
}

static void
look(struct director *d, struct moment *m)
{
    m->committed = d->g->committed_last;
    for (uint32_t i = 0; i < d->g->node_count; i++) {
        struct node *n = &d->g->nodes[i];

        memset(&m->views[i], 0, sizeof(m->views[i]));
        m->removed[i] = d->gone[i];
        if (!n->up)
            continue;
        view_of(&m->views[i], n->raft);
        m->is_heard[i] = is_heard(d->g, n);
        m->config_index[i] = raft_config_index(n->raft);
        if (raft_commit(n->raft) >= d->s->commit_owed[i])
            d->s->commit_owed[i] = 0;
        m->commit_owed[i] = d->s->commit_owed[i];
    }
}

/* etcd's members would not be in the membership yet that some of ours are in. */
static bool
is_in_flight(const struct director *d, const struct moment *m)
{
    for (uint32_t i = 0; i < d->g->node_count; i++) {
        raft_index commit =
            m->commit_owed[i] > m->views[i].commit ? m->commit_owed[i] : m->views[i].commit;

        if (m->views[i].up && !d->gone[i] && m->config_index[i] > commit)
            return true;
    }
    return false;
}

/* What has just been done to ours is to be done to etcd's. */
static struct moment *
told(struct director *d, const char *fmt, ...)
{
    struct moment *m = &d->s->moments[d->s->count++];
    va_list args;

    va_start(args, fmt);
    vsnprintf(m->text, sizeof(m->text), fmt, args);
    va_end(args);
    m->end = DIFFER_COUNT;
    rest_reach(d->g);
    look(d, m);
    if (is_in_flight(d, m)) {
        m->end = DIFFER_MEMBERSHIP_IN_FLIGHT;
        d->over = true;
    }
    d->over |= d->s->count == SCHEDULE_STEPS_MAX;
    return m;
}

/* ------------------------------------------------------------------ time */

static void
expire(struct director *d, struct node *n)
{
    if (d->over || !n->up || raft_role(n->raft) == RAFT_LEADER)
        return;
    n->clock_offset_ns += (int64_t)MEMBER_ELECTION_MS * MS;
    (void)told(d, "expire %" PRIu64, n->id);
}

/* A leader's own followers would vote for it within its lease, and etcd's would not. */
static void
expire_followers_of(struct director *d, const struct node *leader)
{
    for (uint32_t i = 0; i < d->g->node_count; i++) {
        struct node *n = &d->g->nodes[i];

        if (n->up && n != leader && raft_leader(n->raft) == leader->id) {
            differ_count(DIFFER_FORMER_LEADER_ASKS);
            expire(d, n);
        }
    }
}

/* Would somebody be asked for a pre-vote in the term that it is in? */
static bool
would_ask_for_own_term(const struct director *d, const struct node *n)
{
    for (uint32_t i = 0; i < d->g->node_count; i++) {
        const struct node *other = &d->g->nodes[i];

        if (other != n && other->up && !d->g->cut[n->id][other->id] &&
            raft_hard(other->raft).term == raft_hard(n->raft).term + 1 &&
            raft_hard(other->raft).vote == 0 && raft_leader(other->raft) == 0)
            return true;
    }
    return false;
}

static void
time_out(struct director *d, struct node *n)
{
    if (!n->up || raft_role(n->raft) == RAFT_LEADER)
        return;
    if (would_ask_for_own_term(d, n)) {
        differ_count(DIFFER_PREVOTE_OF_OWN_TERM);
        return;
    }
    if (!raft_config_votes(raft_config(n->raft), n->id) &&
        raft_config_index(n->raft) > raft_commit(n->raft)) {
        differ_count(DIFFER_LEAVER_STANDS);
        return;
    }
    expire_followers_of(d, n);
    if (d->over)
        return;
    group_tick(d->g, n, 2 * MEMBER_ELECTION_MS);
    (void)told(d, "timeout %" PRIu64, n->id);
}

static void
check_quorum(struct director *d, struct node *n)
{
    n->clock_offset_ns += (int64_t)MEMBER_ELECTION_MS * MS;
    (void)group_step(d->g, n, (struct raft_event){ .kind = RAFT_READ }); /* or it would sleep */
    group_tick(d->g, n, 0);
    d->heir[n->id - 1] = 0;
    (void)told(d, "check %" PRIu64, n->id);
}

/* ------------------------------------------------------------------ faults */

static void
crash_or_start(struct director *d, struct node *n)
{
    uint32_t i = (uint32_t)(n->id - 1);

    if (n->up) {
        if (raft_commit(n->raft) > d->s->commit_owed[i])
            d->s->commit_owed[i] = raft_commit(n->raft);
        group_crash(d->g, n);
        (void)told(d, "crash %" PRIu64, n->id);
    } else if (!d->gone[i]) {
        group_start(d->g, n);
        (void)told(d, "start %" PRIu64, n->id);
    }
}

/* Whoever needs what was before gets a snapshot. */
static void
compact(struct director *d, struct node *n)
{
    if (!n->up)
        return;
    group_compact(d->g, n);
    (void)told(d, "compact %" PRIu64, n->id);
}

static void
cut(struct director *d, raft_id from, raft_id to, bool closed)
{
    if (d->over || from == to || d->g->cut[from][to] == closed)
        return;
    d->g->cut[from][to] = closed;
    (void)told(d, "%s %" PRIu64 " %" PRIu64, closed ? "cut" : "heal", from, to);
}

static void
isolate(struct director *d, raft_id id)
{
    for (raft_id other = 1; other <= d->g->node_count; other++) {
        cut(d, id, other, true);
        cut(d, other, id, true);
    }
}

static void
heal_all(struct director *d)
{
    for (raft_id from = 1; from <= d->g->node_count; from++) {
        for (raft_id to = 1; to <= d->g->node_count; to++)
            cut(d, from, to, false);
    }
}

/* ------------------------------------------------------------------ what a leader is asked */

/* One member comes, goes, or changes its kind. */
static void
draw_single(struct director *d, char *change)
{
    static const char kinds[] = { 'v', 'v', 'l', 'r' };
    raft_id id = 1 + below(d, d->g->node_count);

    snprintf(change, CHANGE_TEXT_MAX, "%c%" PRIu64, kinds[below(d, sizeof(kinds))], id);
}

/* Two voters at once. */
static void
draw_joint(struct director *d, char *change)
{
    static const char kinds[] = { 'v', 'v', 'r', 'l' };
    raft_id id = 1 + below(d, d->g->node_count);
    raft_id other = 1 + (id + below(d, d->g->node_count - 1)) % d->g->node_count;

    snprintf(change, CHANGE_TEXT_MAX, "%c%" PRIu64 "+%c%" PRIu64, kinds[below(d, sizeof(kinds))],
             id, kinds[below(d, sizeof(kinds))], other);
}

static uint32_t
voters_that_differ(const struct raft_config *a, const struct raft_config *b)
{
    uint32_t count = 0;

    for (raft_id id = 1; id <= SCHEDULE_NODES_MAX; id++)
        count += raft_config_votes(a, id) != raft_config_votes(b, id);
    return count;
}

static uint32_t
count_gone(const struct director *d, const struct raft_config *c)
{
    uint32_t count = 0;

    for (raft_id id = 1; id <= d->g->node_count; id++)
        count += d->gone[id - 1] && raft_config_has(c, id);
    return count;
}

/* Notes who comes and who goes. */
static void
note_change(struct director *d, struct moment *m, const struct raft_config *now,
            const struct raft_config *target)
{
    for (raft_id id = 1; id <= d->g->node_count; id++) {
        bool stays = raft_config_has(target, id);

        m->added[id - 1] = !raft_config_has(now, id) && stays;
        d->gone[id - 1] |= raft_config_has(now, id) && !stays;
    }
}

/* Those who are removed are down from then on. */
static void
change(struct director *d, struct node *leader)
{
    struct raft_config now = *raft_config(leader->raft);
    char text[CHANGE_TEXT_MAX];
    bool joint = below(d, 2) == 0;
    struct raft_config target;
    struct moment *m = &d->s->moments[d->s->count];

    joint ? draw_joint(d, text) : draw_single(d, text);
    if (!member_target(&now, text, &target) || count_gone(d, &target) > 0 ||
        joint != (voters_that_differ(&now, &target) > 1) ||
        group_change(d->g, leader, &target) != ST_OK)
        return;
    note_change(d, m, &now, &target);
    (void)told(d, "change %" PRIu64 " %s", leader->id, text);
    if (!raft_config_votes(&target, leader->id))
        m->end = DIFFER_LEADER_LEAVES;
    d->over |= m->end != DIFFER_COUNT;
    for (raft_id id = 1; id <= d->g->node_count && !d->over; id++) {
        struct node *n = group_node(d->g, id);

        if (d->gone[id - 1] && n->up)
            crash_or_start(d, n);
    }
}

static void
transfer(struct director *d, struct node *leader)
{
    raft_id to = 1 + below(d, d->g->node_count);
    struct raft_event e = { .kind = RAFT_TRANSFER, .node = to };
    uint32_t i = (uint32_t)(leader->id - 1);
    raft_term term = raft_hard(leader->raft).term;

    if (d->heir[i] == to && d->heir_term[i] == term) {
        differ_count(DIFFER_TIMEOUT_NOW_AGAIN); /* and etcd's would not be */
        return;
    }
    if (group_step(d->g, leader, e) != ST_OK)
        return;
    d->heir[i] = to;
    d->heir_term[i] = term;
    (void)told(d, "transfer %" PRIu64 " %" PRIu64, leader->id, to);
}

static void
propose(struct director *d, struct node *leader)
{
    (void)group_propose(d->g, leader);
    (void)told(d, "propose %" PRIu64, leader->id);
}

/* ------------------------------------------------------------------ the story */

/* A leader that is cut off writes on; another one is elected, and overrules it. */
static void
overrule(struct director *d, struct node *leader, struct node *heir)
{
    uint32_t voters = raft_config(leader->raft)->voter_count;

    if (leader == heir || !heir->up)
        return;
    isolate(d, leader->id);
    for (uint64_t i = below(d, 3) + 1; i > 0 && !d->over; i--)
        propose(d, leader);
    for (uint32_t i = 0; i < d->g->node_count && voters > 2; i++)
        expire(d, &d->g->nodes[i]);
    if (!d->over)
        time_out(d, heir);
    if (!d->over && raft_role(heir->raft) == RAFT_LEADER)
        propose(d, heir);
    if (below(d, 2) == 0)
        heal_all(d);
}

static void
ask_leader(struct director *d, struct node *n)
{
    uint64_t roll = below(d, 100);

    if (!n->up || raft_role(n->raft) != RAFT_LEADER)
        return;
    if (roll < 45)
        propose(d, n);
    else if (roll < 65)
        change(d, n);
    else if (roll < 85)
        transfer(d, n);
    else
        check_quorum(d, n);
}

static void
any_step(struct director *d)
{
    struct node *n = &d->g->nodes[below(d, d->g->node_count)];
    struct node *leader = group_leader(d->g);
    raft_id other = 1 + below(d, d->g->node_count);
    uint64_t roll = below(d, 100);

    if (roll < 30)
        ask_leader(d, leader != NULL && below(d, 4) > 0 ? leader : n);
    else if (roll < 50)
        time_out(d, n);
    else if (roll < 65)
        expire(d, n);
    else if (roll < (n->up ? 69 : 80))
        crash_or_start(d, n);
    else if (roll < 86)
        cut(d, n->id, other, below(d, 2) == 0);
    else if (roll < 88)
        isolate(d, n->id);
    else if (roll < 91 && leader != NULL)
        overrule(d, leader, n);
    else if (roll < 94)
        heal_all(d);
    else
        compact(d, leader != NULL && below(d, 2) == 0 ? leader : n);
}

static void
begin(struct director *d, uint64_t seed)
{
    struct raft_options options;
    uint32_t nodes;
    uint32_t voters;

    prng_init(&d->prng, seed);
    nodes = 3 + (uint32_t)below(d, SCHEDULE_NODES_MAX - 2);
    voters = nodes < 5 ? nodes : 3 + (uint32_t)below(d, 3);
    member_options(&options);
    d->s->g = d->g = group_create(seed, nodes, voters, &options);
    d->g->manual = true;
    d->g->delay_ns = d->g->disk_ns = 0;
    snprintf(d->s->begin, sizeof(d->s->begin), "group %u %s/-/-/-", nodes,
             voters == 3   ? "1,2,3"
             : voters == 4 ? "1,2,3,4"
                           : "1,2,3,4,5");
}

struct schedule *
schedule_draw(uint64_t seed)
{
    struct director d = { .s = calloc(1, sizeof(*d.s)) };
    uint64_t steps;

    if (d.s == NULL)
        abort();
    begin(&d, seed);
    steps = STEPS_MIN + below(&d, SCHEDULE_STEPS_MAX - STEPS_MIN);
    while (!d.over && d.s->count < steps)
        any_step(&d);
    return d.s;
}

void
schedule_free(struct schedule *s)
{
    group_destroy(s->g);
    free(s);
}

char *
schedule_line(const struct schedule *s)
{
    char *line = NULL;
    size_t size = 0;
    FILE *to = open_memstream(&line, &size);

    ASSERT(to != NULL);
    fputs(s->begin, to);
    for (uint32_t i = 0; i < s->count; i++)
        fprintf(to, " ; %s", s->moments[i].text);
    fclose(to);
    return line;
}
