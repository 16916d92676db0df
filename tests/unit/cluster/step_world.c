#include "unit/cluster/step_world.h"

void
world_init(struct world *w, uint64_t seed, bool rough)
{
    *w = (struct world){ .rough = rough, .may_join = true, .term = 1, .committed = true };
    prng_init(&w->prng, seed);
    for (uint32_t id = 1; id <= WORLD_NODES; id++)
        w->nodes[id].up = true;
    w->nodes[1].has_replica = w->nodes[1].had_caught_up = true;
    w->record = (struct tablet_record){ .id = 7,
                                        .state = TABLET_LIVE,
                                        .founder_count = 1,
                                        .founders = { 1 },
                                        .member_count = 1,
                                        .members = { { 1, MEMBER_VOTER } } };
    tablet_record_config(&w->record, &w->config);
    w->before = w->config;
}

void
world_want(struct world *w, const uint64_t *nodes)
{
    w->wanted_count = 0;
    while (nodes[w->wanted_count] != 0) {
        w->wanted[w->wanted_count] = nodes[w->wanted_count];
        w->wanted_count++;
    }
}

/* By chance when it is rough, always otherwise. */
static bool
happens(struct world *w)
{
    return !w->rough || prng_chance(&w->prng, 1, 2);
}

/* ------------------------------------------------------------------ the group */

static bool
replicates(const struct world *w, uint64_t id)
{
    return w->nodes[id].up && w->nodes[id].has_replica;
}

static bool
acknowledges(const struct world *w, uint64_t id)
{
    return replicates(w, id) && w->nodes[id].lag == 0;
}

static bool
is_not_dead(const struct world *w, uint64_t id)
{
    return !w->nodes[id].dead;
}

typedef bool holds_fn(const struct world *w, uint64_t id);

static bool
most_of(const struct world *w, const raft_id *ids, uint32_t count, holds_fn *holds)
{
    uint32_t good = 0;

    for (uint32_t i = 0; i < count; i++)
        good += holds(w, ids[i]);
    return count == 0 || good > count / 2;
}

static bool
has_quorum(const struct world *w, holds_fn *holds)
{
    return most_of(w, w->config.voters, w->config.voter_count, holds) &&
           most_of(w, w->config.outgoing, w->config.outgoing_count, holds);
}

static bool
is_settled(const struct world *w)
{
    return w->committed && w->config.outgoing_count == 0;
}

static void
replicate(struct world *w)
{
    bool writes = has_quorum(w, acknowledges) && prng_chance(&w->prng, 1, 2);

    w->commit += writes;
    for (uint32_t id = 1; id <= WORLD_NODES; id++) {
        struct world_node *n = &w->nodes[id];

        if (!raft_config_has(&w->config, id) || !replicates(w, id)) {
            n->lag += writes;
            continue;
        }
        n->lag -= n->lag > 0;
        n->had_caught_up = n->had_caught_up || n->lag == 0;
    }
}

/* The first half of a joint membership is committed, then the second. */
static void
commit(struct world *w)
{
    if (w->committed || !has_quorum(w, acknowledges))
        return;
    w->commit++;
    if (w->config.outgoing_count > 0) {
        w->config.outgoing_count = 0;
        return;
    }
    w->committed = true;
    w->before = w->config;
}

static bool
has_same_voters(const struct raft_config *a, const struct raft_config *b)
{
    return a->voter_count == b->voter_count &&
           memcmp(a->voters, b->voters, a->voter_count * sizeof(a->voters[0])) == 0;
}

static void
obey(struct world *w)
{
    struct raft_config asked;

    tablet_record_config(&w->record, &asked);
    if (!is_settled(w) || raft_config_equal(&asked, &w->config) || !happens(w))
        return;
    if (!has_same_voters(&asked, &w->config)) {
        asked.outgoing_count = w->config.voter_count;
        memcpy(asked.outgoing, w->config.voters, sizeof(asked.outgoing));
    }
    EXPECT(raft_config_is_valid(&asked));
    w->config = asked;
    w->committed = false;
}

/* A membership that nobody has committed may be lost with its leader. */
static void
elect(struct world *w)
{
    w->term++;
    if (!w->committed && w->config.outgoing_count > 0 && prng_chance(&w->prng, 1, 2)) {
        w->config = w->before;
        w->committed = true;
    }
}

static void
live_group(struct world *w)
{
    if (!has_quorum(w, replicates))
        return;
    if (w->rough && prng_chance(&w->prng, 1, 20))
        elect(w);
    replicate(w);
    commit(w);
    obey(w);
}

/* ------------------------------------------------------------------ reports */

static void
report_node(const struct world *w, uint64_t id, struct tablet_report *r)
{
    r->members[r->member_count++] = (struct report_member){
        .node = id, .votes = raft_config_votes(&w->config, id), .caught_up = acknowledges(w, id)
    };
}

static struct tablet_report
compose(const struct world *w)
{
    struct tablet_report r = { .tablet = w->record.id,
                               .leader = w->config.voters[0],
                               .term = w->term,
                               .commit = w->commit,
                               .settled = is_settled(w) };

    for (uint32_t id = 1; id <= WORLD_NODES; id++) {
        if (raft_config_has(&w->config, id))
            report_node(w, id, &r);
    }
    return r;
}

static void
arrive(struct world *w, uint32_t at)
{
    if (!w->has_report || report_is_newer(&w->flying[at], &w->report))
        w->report = w->flying[at];
    w->has_report = true;
    w->flying[at] = w->flying[--w->flying_count];
}

static void
report(struct world *w)
{
    if (has_quorum(w, replicates) && w->flying_count < REPORTS_MAX && happens(w))
        w->flying[w->flying_count++] = compose(w);
    while (w->flying_count > 0 && happens(w))
        arrive(w, (uint32_t)prng_below(&w->prng, w->flying_count));
    if (w->flying_count > 0 && prng_chance(&w->prng, 1, 4))
        w->flying_count--;
}

/* ------------------------------------------------------------------ nodes */

static void
live_node(struct world *w, uint32_t id)
{
    struct world_node *n = &w->nodes[id];
    bool listed = tablet_record_member(&w->record, id) != NULL;

    if (!n->up || listed == n->has_replica || !happens(w))
        return;
    n->has_replica = listed;
    n->had_caught_up = n->is_damaged = false;
    n->lag = 1 + (uint32_t)prng_below(&w->prng, 5);
    EXPECT(listed || !raft_config_has(&w->config, id)); /* S3 */
}

/* ------------------------------------------------------------------ steps */

static bool
is_up(const void *ctx, uint64_t node)
{
    return ((const struct world *)ctx)->nodes[node].up;
}

static uint64_t
damaged_member(const struct world *w)
{
    for (uint32_t i = 0; i < w->record.member_count; i++) {
        uint64_t id = w->record.members[i].node;

        if (w->nodes[id].is_damaged && w->nodes[id].has_replica)
            return id;
    }
    return 0;
}

static struct step_options
options_of(const struct world *w)
{
    return (struct step_options){ .wanted = w->wanted,
                                  .wanted_count = w->wanted_count,
                                  .voters = step_voters(w->wanted_count),
                                  .may_join = w->may_join,
                                  .damaged = damaged_member(w),
                                  .is_up = is_up,
                                  .ctx = w };
}

static bool
votes_in(const struct tablet_record *t, uint64_t id)
{
    const struct tablet_member *m = tablet_record_member(t, id);

    return m != NULL && m->role == MEMBER_VOTER;
}

static void
expect_voters(const struct world *w, const struct tablet_record *next)
{
    uint32_t voters = 0, good = 0, changed = 0;

    for (uint32_t id = 1; id <= WORLD_NODES; id++) {
        const struct report_member *m = report_member(&w->report, id);
        bool votes = votes_in(next, id);

        voters += votes;
        good += votes && w->nodes[id].up && m != NULL && m->caught_up;
        changed += votes != votes_in(&w->record, id);
        if (votes && !votes_in(&w->record, id))
            EXPECT(w->nodes[id].has_replica && w->nodes[id].had_caught_up); /* S1 */
    }
    EXPECT(voters > 0);
    EXPECT(changed == 0 || (w->has_report && good > voters / 2)); /* S2 */
    EXPECT(next->leader == 0 || votes_in(next, next->leader));
}

static bool
leaves_in(const struct tablet_record *t, uint64_t id)
{
    const struct tablet_member *m = tablet_record_member(t, id);

    return m != NULL && m->role == MEMBER_LEAVING;
}

static void
expect_leavers(const struct world *w, const struct tablet_record *next)
{
    for (uint32_t id = 1; id <= WORLD_NODES; id++) {
        bool left = leaves_in(&w->record, id), leaves = leaves_in(next, id);
        bool was_there = tablet_record_member(&w->record, id) != NULL;
        bool is_there = tablet_record_member(next, id) != NULL;

        EXPECT(!was_there || is_there || (left && !raft_config_has(&w->config, id))); /* S3 */
        EXPECT(!left || leaves || !is_there);                                         /* S4 */
        if (leaves && !left)
            EXPECT(w->has_report && w->report.settled && report_member(&w->report, id) != NULL);
    }
}

void
world_step(struct world *w)
{
    struct step_options options = options_of(w);
    struct tablet_record next;
    enum step_kind kind = step_next(&w->record, w->has_report ? &w->report : NULL, &options, &next);

    w->steps[kind]++;
    if (kind == STEP_NONE)
        return;
    expect_voters(w, &next);
    expect_leavers(w, &next);
    EXPECT(kind != STEP_RETIRE || options.damaged != w->report.leader); /* S5 */
    w->record = next;
}

void
world_tick(struct world *w)
{
    for (uint32_t id = 1; id <= WORLD_NODES; id++)
        live_node(w, id);
    live_group(w);
    report(w);
    if (happens(w))
        world_step(w);
}

/* ------------------------------------------------------------------ ends */

bool
world_is_done(const struct world *w)
{
    struct step_options options = options_of(w);
    struct raft_config asked;

    tablet_record_config(&w->record, &asked);
    return step_is_done(&w->record, &options) && is_settled(w) &&
           raft_config_equal(&asked, &w->config);
}

bool
world_settles(struct world *w, unsigned ticks)
{
    for (unsigned i = 0; i < ticks && !world_is_done(w); i++)
        world_tick(w);
    return world_is_done(w);
}

bool
world_can_spare(const struct world *w, uint64_t node)
{
    struct world without = *w;
    struct raft_config asked;

    without.nodes[node].dead = true;
    tablet_record_config(&w->record, &asked);
    return has_quorum(&without, is_not_dead) &&
           most_of(&without, asked.voters, asked.voter_count, is_not_dead);
}
