/* Tests of cluster/step.h: stories of one tablet, and a world in which all goes wrong at random. */
#include "unit/cluster/step_world.h"

enum { SEEDS = 2000, ROUGH_TICKS = 300, TICKS_MAX = 200, ROUGH_TICKS_MAX = 3000 };

static void
expect_members(const struct world *w, const char *want)
{
    char text[400] = "";
    size_t used = 0;

    for (uint32_t i = 0; i < w->record.member_count; i++)
        used += (size_t)snprintf(text + used, sizeof(text) - used, "%s%llu %s", i == 0 ? "" : ", ",
                                 (unsigned long long)w->record.members[i].node,
                                 member_role_name(w->record.members[i].role));
    EXPECT_STR(text, want);
}

static void
want(struct world *w, const uint64_t *nodes)
{
    world_want(w, nodes);
    EXPECT(world_settles(w, TICKS_MAX));
}

/* A world whose tablet is at these nodes. */
static struct world
world_at(const uint64_t *nodes)
{
    struct world w;

    world_init(&w, 1, false);
    want(&w, nodes);
    return w;
}

#define NODES(...) ((const uint64_t[]){ __VA_ARGS__, 0 })

static void
kill_node(struct world *w, uint64_t id)
{
    w->nodes[id].up = false;
    w->nodes[id].dead = true;
}

/* Until a step of the kind is taken. */
static void
tick_until(struct world *w, enum step_kind kind)
{
    uint32_t before = w->steps[kind];

    for (int i = 0; i < TICKS_MAX && w->steps[kind] == before; i++)
        world_tick(w);
    EXPECT(w->steps[kind] > before);
}

/* ------------------------------------------------------------------ stories */

TEST(of_an_even_number_one_does_not_vote)
{
    static const uint32_t voters[] = { 0, 1, 1, 3, 3, 5, 5, 7 };

    for (uint32_t replicas = 1; replicas <= CLUSTER_REPLICAS_MAX; replicas++)
        EXPECT_U64(step_voters(replicas), voters[replicas]);
}

/* The picture in the header. */
TEST(a_replica_moves_in_three_steps)
{
    struct world w = world_at(NODES(1, 2, 3));

    expect_members(&w, "1 voter, 2 voter, 3 voter");
    world_want(&w, NODES(1, 2, 4));
    tick_until(&w, STEP_JOIN);
    expect_members(&w, "1 voter, 2 voter, 3 voter, 4 joining");
    tick_until(&w, STEP_SWAP);
    expect_members(&w, "1 voter, 2 voter, 3 leaving, 4 voter");
    tick_until(&w, STEP_FORGET);
    expect_members(&w, "1 voter, 2 voter, 4 voter");
    EXPECT(world_is_done(&w));
}

TEST(a_tablet_grows_and_shrinks)
{
    struct world w = world_at(NODES(1));

    want(&w, NODES(1, 2));
    expect_members(&w, "1 voter, 2 learner");
    want(&w, NODES(1, 2, 3));
    want(&w, NODES(1, 2, 3, 4, 5));
    want(&w, NODES(6, 7, 8, 9, 10, 11, 12));
    want(&w, NODES(6, 7, 8, 9, 10));
    want(&w, NODES(7, 6));
    expect_members(&w, "6 learner, 7 voter");
    want(&w, NODES(5));
    expect_members(&w, "5 voter");
    EXPECT(!w.nodes[6].has_replica || world_settles(&w, TICKS_MAX));
}

TEST(nothing_is_done_when_all_is_done)
{
    struct world w = world_at(NODES(1, 2, 3));

    memset(w.steps, 0, sizeof(w.steps));
    for (int i = 0; i < TICKS_MAX; i++)
        world_tick(&w);
    EXPECT_U64(w.steps[STEP_NONE], TICKS_MAX);
}

TEST(whoever_dies_while_joining_is_replaced)
{
    struct world w = world_at(NODES(1, 2, 3));

    world_want(&w, NODES(1, 2, 4));
    tick_until(&w, STEP_JOIN);
    kill_node(&w, 4);
    for (int i = 0; i < TICKS_MAX; i++)
        world_tick(&w);
    EXPECT(!world_is_done(&w)); /* nobody says that it is gone for good */
    want(&w, NODES(1, 2, 5));
    expect_members(&w, "1 voter, 2 voter, 5 voter");
}

/* More of them than a record has room for. */
TEST(however_many_die_while_joining_another_takes_their_place)
{
    struct world w = world_at(NODES(1, 2, 3));

    for (uint64_t id = 4; id < WORLD_NODES; id++) {
        world_want(&w, NODES(1, 2, id));
        tick_until(&w, STEP_JOIN);
        kill_node(&w, id);
        for (int i = 0; i < 20; i++)
            world_tick(&w);
    }
    want(&w, NODES(1, 2, WORLD_NODES));
    EXPECT_U64(w.record.member_count, 3);
}

TEST(a_leaving_node_that_is_wanted_again_stays_or_comes_back)
{
    struct world w = world_at(NODES(1, 2, 3));

    world_want(&w, NODES(1, 2, 4));
    tick_until(&w, STEP_SWAP);
    want(&w, NODES(1, 2, 3));
    expect_members(&w, "1 voter, 2 voter, 3 voter");
}

TEST(a_node_that_does_not_answer_does_not_join)
{
    struct world w = world_at(NODES(1, 2, 3));

    w.nodes[4].up = false;
    world_want(&w, NODES(1, 2, 4));
    for (int i = 0; i < TICKS_MAX; i++)
        world_tick(&w);
    expect_members(&w, "1 voter, 2 voter, 3 voter");
    w.nodes[4].up = true;
    EXPECT(world_settles(&w, TICKS_MAX));
}

TEST(nobody_joins_while_movement_is_held_back)
{
    struct world w = world_at(NODES(1, 2, 3));

    w.may_join = false;
    world_want(&w, NODES(1, 2, 4));
    for (int i = 0; i < TICKS_MAX; i++)
        world_tick(&w);
    expect_members(&w, "1 voter, 2 voter, 3 voter");
    w.may_join = true;
    EXPECT(world_settles(&w, TICKS_MAX));
}

/* S2: two of three would be left, of which one is down. */
TEST(no_swap_that_leaves_less_than_a_majority)
{
    struct world w = world_at(NODES(1, 2, 3));

    world_want(&w, NODES(1, 2, 4));
    tick_until(&w, STEP_JOIN);
    for (int i = 0; i < 2; i++)
        w.nodes[1 + i].up = false; /* and the group has no quorum */
    for (int i = 0; i < TICKS_MAX; i++)
        world_tick(&w);
    expect_members(&w, "1 voter, 2 voter, 3 voter, 4 joining");
    w.nodes[1].up = w.nodes[2].up = true;
    EXPECT(world_settles(&w, TICKS_MAX));
}

TEST(who_should_lead_and_leaves_no_longer_should)
{
    struct world w = world_at(NODES(1, 2, 3));

    w.record.leader = 3;
    want(&w, NODES(1, 2, 4));
    EXPECT_U64(w.record.leader, 0);
    w.record.leader = 4;
    want(&w, NODES(1, 4, 5));
    EXPECT_U64(w.record.leader, 4);
    want(&w, NODES(1, 4));
    EXPECT_U64(w.record.leader, 0); /* it does not even vote */
}

/* S3: it may have begun to learn since the report that does not have it. */
TEST(whoever_was_asked_to_join_is_not_forgotten_on_an_older_report)
{
    struct world w = world_at(NODES(1, 2, 3));
    struct tablet_report old = w.report;

    world_want(&w, NODES(1, 2, 3, 4));
    tick_until(&w, STEP_JOIN);
    world_want(&w, NODES(1, 2, 3));
    for (int i = 0; i < 3; i++) {
        w.report = old;
        world_step(&w);
    }
    EXPECT(tablet_record_member(&w.record, 4) != NULL);
    EXPECT(world_settles(&w, TICKS_MAX));
    EXPECT(tablet_record_member(&w.record, 4) == NULL);
}

TEST(nothing_but_joining_is_done_without_a_report)
{
    struct world w = world_at(NODES(1, 2, 3));

    world_want(&w, NODES(1, 2, 4));
    for (int i = 0; i < TICKS_MAX; i++) {
        world_tick(&w);
        w.has_report = false;
        w.flying_count = 0;
        world_step(&w);
    }
    EXPECT(world_is_done(&w)); /* by the reports that came between */

    world_want(&w, NODES(2, 3, 5));
    for (int i = 0; i < TICKS_MAX; i++) {
        w.has_report = false;
        world_step(&w);
    }
    expect_members(&w, "1 voter, 2 voter, 4 voter, 3 joining, 5 joining");
}

/* ------------------------------------------------------------------ damage */

TEST(a_damaged_copy_leaves_and_its_node_joins_anew)
{
    struct world w = world_at(NODES(1, 2, 3));

    w.nodes[3].is_damaged = true;
    tick_until(&w, STEP_RETIRE);
    expect_members(&w, "1 voter, 2 voter, 3 leaving");
    EXPECT(w.nodes[3].has_replica); /* with all that it has promised */
    tick_until(&w, STEP_FORGET);
    EXPECT(world_settles(&w, TICKS_MAX));
    expect_members(&w, "1 voter, 2 voter, 3 voter");
    EXPECT(!w.nodes[3].is_damaged);
}

TEST(a_damaged_copy_stays_when_the_others_are_no_majority_of_themselves)
{
    struct world w = world_at(NODES(1, 2, 3));

    w.nodes[3].is_damaged = true;
    w.nodes[2].up = false;
    for (int i = 0; i < TICKS_MAX; i++)
        world_tick(&w);
    expect_members(&w, "1 voter, 2 voter, 3 voter");
    w.nodes[2].up = true;
    tick_until(&w, STEP_RETIRE);
    EXPECT(world_settles(&w, TICKS_MAX));
}

TEST(who_leads_does_not_leave_for_a_damage)
{
    struct world w = world_at(NODES(1, 2, 3));

    w.nodes[1].is_damaged = true; /* the model's leader */
    for (int i = 0; i < TICKS_MAX; i++)
        world_tick(&w);
    EXPECT_U64(w.steps[STEP_RETIRE], 0);
}

TEST(a_damaged_copy_that_does_not_vote_is_replaced_too)
{
    struct world w = world_at(NODES(1, 2, 3, 4));

    expect_members(&w, "1 voter, 2 voter, 3 voter, 4 learner");
    w.nodes[4].is_damaged = true;
    tick_until(&w, STEP_RETIRE);
    EXPECT(world_settles(&w, TICKS_MAX));
    EXPECT(!w.nodes[4].is_damaged);
}

TEST(the_only_copy_stays_damaged_or_not)
{
    struct world w = world_at(NODES(2));

    w.nodes[2].is_damaged = true;
    for (int i = 0; i < TICKS_MAX; i++)
        world_tick(&w);
    expect_members(&w, "2 voter");
}

/* ------------------------------------------------------------------ at random */

/* Often of a few nodes, so that those who have left are wanted again. */
static void
want_anything(struct world *w, bool living)
{
    uint64_t among = living || prng_chance(&w->prng, 1, 2) ? WORLD_NODES : CLUSTER_REPLICAS_MAX + 1;
    uint64_t nodes[CLUSTER_REPLICAS_MAX + 1] = { 0 };
    uint32_t count = 1 + (uint32_t)prng_below(&w->prng, CLUSTER_REPLICAS_MAX);

    for (uint32_t i = 0; i < count;) {
        uint64_t id = 1 + prng_below(&w->prng, among);
        bool taken = living && w->nodes[id].dead;

        for (uint32_t k = 0; k < i; k++)
            taken = taken || nodes[k] == id;
        if (!taken)
            nodes[i++] = id;
    }
    world_want(w, nodes);
}

static void
harm(struct world *w)
{
    uint64_t id = 1 + prng_below(&w->prng, WORLD_NODES);
    struct world_node *n = &w->nodes[id];

    if (prng_chance(&w->prng, 1, 4))
        n->up = !n->dead && !n->up;
    if (prng_chance(&w->prng, 1, 100) && world_can_spare(w, id))
        kill_node(w, id);
    if (prng_chance(&w->prng, 1, 10))
        want_anything(w, false);
    if (prng_chance(&w->prng, 1, 10))
        n->is_damaged = n->has_replica;
    if (prng_chance(&w->prng, 1, 10))
        w->may_join = !w->may_join;
}

static uint32_t
steps_taken(const struct world *w)
{
    return w->steps[STEP_FORGET] + w->steps[STEP_JOIN] + w->steps[STEP_SWAP] +
           w->steps[STEP_RETIRE];
}

/* Who is dead stays in the group until it is replaced, which may need those who are slow. */
static void
heal(struct world *w)
{
    for (uint32_t id = 1; id <= WORLD_NODES; id++)
        w->nodes[id].up = !w->nodes[id].dead;
    w->may_join = true;
    want_anything(w, true);
    memset(w->steps, 0, sizeof(w->steps));
    if (!world_settles(w, ROUGH_TICKS_MAX)) {
        expect_members(w, "stuck");
        fail();
    }
    EXPECT(steps_taken(w) <= 5 * RAFT_MEMBERS_MAX);
}

static bool
is_enough_alive(const struct world *w)
{
    unsigned alive = 0;

    for (uint32_t id = 1; id <= WORLD_NODES; id++)
        alive += !w->nodes[id].dead;
    return alive > CLUSTER_REPLICAS_MAX;
}

TEST(whatever_happens_the_invariants_hold_and_it_ends_when_it_can)
{
    uint64_t seed = test_seed(1);

    for (uint64_t i = 0; i < SEEDS; i++) {
        struct world w;

        world_init(&w, seed + i, true);
        want_anything(&w, true);
        for (int tick = 0; tick < ROUGH_TICKS; tick++) {
            if (is_enough_alive(&w))
                harm(&w);
            world_tick(&w);
        }
        heal(&w);
    }
}

TEST_MAIN(RUN(of_an_even_number_one_does_not_vote), RUN(a_replica_moves_in_three_steps),
          RUN(a_tablet_grows_and_shrinks), RUN(nothing_is_done_when_all_is_done),
          RUN(whoever_dies_while_joining_is_replaced),
          RUN(however_many_die_while_joining_another_takes_their_place),
          RUN(a_leaving_node_that_is_wanted_again_stays_or_comes_back),
          RUN(a_node_that_does_not_answer_does_not_join),
          RUN(nobody_joins_while_movement_is_held_back),
          RUN(no_swap_that_leaves_less_than_a_majority),
          RUN(who_should_lead_and_leaves_no_longer_should),
          RUN(whoever_was_asked_to_join_is_not_forgotten_on_an_older_report),
          RUN(nothing_but_joining_is_done_without_a_report),
          RUN(a_damaged_copy_leaves_and_its_node_joins_anew),
          RUN(a_damaged_copy_stays_when_the_others_are_no_majority_of_themselves),
          RUN(who_leads_does_not_leave_for_a_damage),
          RUN(a_damaged_copy_that_does_not_vote_is_replaced_too),
          RUN(the_only_copy_stays_damaged_or_not),
          RUN(whatever_happens_the_invariants_hold_and_it_ends_when_it_can))
