/*
 * Tablets that come and go while the node runs (tablet/lifetime.h): what is answered, what is left, and what is
 * remembered.
 */
#include "base/mem.h"

#include "raft/codec.h"
#include "tablet/tablet_internal.h"
#include "unit/tablet/hall.h"
#include "unit/test.h"

enum { T = 70, MANY = 1000 };

static void
expect_found(struct hall *h, uint32_t node, uint64_t id, const char *key, const char *want)
{
    for (uint32_t loop = 0; loop < HALL_LOOPS; loop++) {
        (void)hall_get(h, node, loop, id, key);
        EXPECT_STR(h->value, want);
    }
}

/* ------------------------------------------------------------------ alone */

TEST(a_tablet_that_comes_serves_on_every_loop_and_one_that_goes_is_found_on_none)
{
    struct hall h;

    hall_create(&h, test_seed(1), 1);
    for (uint64_t id = T; id < T + HALL_LOOPS; id++) {
        EXPECT_OK(hall_add(&h, 1, id));
        EXPECT_U64(hall_leader(&h, id), 1);
        EXPECT_OK(hall_put(&h, 1, id, "k", "v"));
        expect_found(&h, 1, id, "k", "v");
        EXPECT_ST(hall_add(&h, 1, id), ST_EXISTS);
    }
    EXPECT_OK(hall_drop(&h, 1, T));
    EXPECT_ST(hall_drop(&h, 1, T), ST_NOT_FOUND);
    expect_found(&h, 1, T, "k", "not-found");
    expect_found(&h, 1, T + 1, "k", "v");
    hall_reboot(&h, 1);
    expect_found(&h, 1, T, "k", "not-found");
    expect_found(&h, 1, T + 1, "k", "v");
    hall_close(&h, 1);
    hall_destroy(&h);
}

/* What it had acknowledged is lost; a group that goes on without it would say that it had never been. */
TEST(who_was_alone_and_comes_back_without_its_log_does_not_lead)
{
    struct hall h;

    hall_create(&h, test_seed(1), 1);
    EXPECT_OK(hall_add(&h, 1, T));
    EXPECT_U64(hall_leader(&h, T), 1);
    EXPECT_OK(hall_put(&h, 1, T, "k", "v"));
    EXPECT_OK(hall_drop(&h, 1, T));
    for (int boots = 0; boots < 2; boots++) {
        if (boots == 0)
            EXPECT_OK(hall_add(&h, 1, T));
        sim_run_ms(h.w, 5000);
        expect_found(&h, 1, T, "k", "not-leader");
        hall_reboot(&h, 1);
    }
    hall_destroy(&h);
}

TEST(a_thousand_that_come_and_go_leave_nothing)
{
    struct hall h;
    size_t before;

    hall_create(&h, test_seed(1), 1);
    EXPECT_OK(hall_add(&h, 1, T + 1));
    sim_run_ms(h.w, 2000);
    before = sim_heap(h.w, 1)->byte_count;
    for (int i = 0; i < MANY; i++) {
        uint64_t id = T + 2 + (uint64_t)i / 10;

        EXPECT_OK(hall_add(&h, 1, id));
        if (i % 10 == 0) { /* whoever comes back to it later has lost what was written */
            EXPECT_U64(hall_leader(&h, id), 1);
            EXPECT_OK(hall_put(&h, 1, id, "k", "v"));
        }
        EXPECT_OK(hall_drop(&h, 1, id));
    }
    sim_run_ms(h.w, 2000);
    EXPECT(sim_heap(h.w, 1)->byte_count < before + (128 << 10));
    hall_close(&h, 1);
    hall_destroy(&h);
}

/* ------------------------------------------------------------------ what is under way */

enum { CALLS = 24 };

/* Reads and writes of both loops, some of them not yet sent on, some parked for the disk, some in the log. */
static void
send_many(struct hall *h, struct hall_call *calls)
{
    for (uint32_t i = 0; i < CALLS; i++) {
        calls[i] = (struct hall_call){ .node = 1, .loop = i % HALL_LOOPS, .id = T };
        snprintf(calls[i].key, sizeof(calls[i].key), "k%u", i / 4);
        if (i % 3 == 0)
            snprintf(calls[i].bytes, sizeof(calls[i].bytes), "%u", i);
        hall_send(h, &calls[i]);
    }
}

static void
flush(void *ctx)
{
    struct engine *e = ctx;
    struct err err;

    EXPECT_OK(engine_tree_flush(engine_find_tree(e, T), &err));
}

static void
seal(void *ctx)
{
    EXPECT_OK(engine_tree_seal(ctx));
}

/* So that reads need the disk. */
static void
to_the_disk(struct hall *h)
{
    struct engine *e = h->sites[1].engine;

    hall_on_owner(h, 1, T, seal, engine_find_tree(e, T));
    EXPECT(sim_call(h->w, 1, flush, e));
    sim_set_cold_percent(h->w, 1, 100);
}

/* Each is answered once, in time, and nothing is said to be that is not. */
static void
expect_answers(struct hall *h, const struct hall_call *calls)
{
    for (uint32_t i = 0; i < CALLS; i++) {
        enum status st = calls[i].request.status;

        EXPECT(sim_run_until(h->w, &calls[i].done, HALL_PATIENCE_MS));
        EXPECT(st == ST_OK || st == ST_NOT_LEADER || st == ST_NOT_FOUND ||
               (st == ST_UNKNOWN && calls[i].bytes[0] != '\0'));
        EXPECT(st != ST_NOT_LEADER || calls[i].request.leader == 0);
    }
}

static void
drop_in_the_middle(uint64_t seed)
{
    struct hall_change drop = { .node = 1, .id = T };
    struct hall_call calls[CALLS];
    struct hall h;

    hall_create(&h, seed, 1);
    EXPECT_OK(hall_add(&h, 1, T));
    EXPECT_U64(hall_leader(&h, T), 1);
    for (uint32_t i = 0; i < CALLS / 4; i++) {
        char key[16];

        snprintf(key, sizeof(key), "k%u", i);
        EXPECT_OK(hall_put(&h, 1, T, key, "old"));
    }
    if (seed % 5 != 0)
        to_the_disk(&h);
    send_many(&h, calls);
    if (seed % 3 == 0)
        sim_run_ms(h.w, 1);
    hall_begin_drop(&h, &drop);
    if (seed % 2 == 0)
        hall_close(&h, 1); /* it waits for the drop */
    else
        EXPECT_OK(hall_wait(&drop));
    EXPECT(drop.done && drop.status == ST_OK);
    expect_answers(&h, calls);
    if (seed % 2 != 0)
        hall_close(&h, 1);
    hall_destroy(&h);
}

TEST(whoever_waits_for_a_tablet_that_goes_is_answered)
{
    uint64_t seed = test_seed(1);

    for (uint64_t i = 0; i < 60; i++)
        drop_in_the_middle(seed + i);
}

static void
let_go(void *ctx)
{
    struct tablet *t = ctx;

    tablet_let_go(t);
}

TEST(a_tablet_that_is_held_stays_until_it_is_let_go)
{
    struct hall_change drop = { .node = 1, .id = T };
    struct tablet *t;
    struct hall h;

    hall_create(&h, test_seed(1), 1);
    EXPECT_OK(hall_add(&h, 1, T));
    EXPECT_U64(hall_leader(&h, T), 1);
    t = tablet_hold(hall_tablet(&h, 1, T));
    hall_begin_drop(&h, &drop);
    sim_run_ms(h.w, 5000);
    EXPECT(!drop.done);
    EXPECT_U64(tablet_id(t), T);
    EXPECT_ST(hall_drop(&h, 1, T), ST_BUSY);
    EXPECT_ST(hall_add(&h, 1, T), ST_BUSY);
    sim_on_loop(h.w, 1, 1, let_go, t);
    EXPECT_OK(hall_wait(&drop));
    EXPECT_OK(hall_add(&h, 1, T));
    hall_close(&h, 1);
    hall_destroy(&h);
}

static void
begin_close(void *ctx)
{
    engine_begin_close(ctx);
}

TEST(a_node_that_ends_finishes_what_has_begun_and_begins_nothing)
{
    struct hall_change add = { .node = 1, .id = T, .loop = 1 };
    struct hall h;

    hall_create(&h, test_seed(1), 1);
    add.founders = h.founders;
    hall_begin_add(&h, &add);
    hall_close(&h, 1);
    EXPECT(add.done && (add.status == ST_OK || add.status == ST_CLOSED));
    hall_boot(&h, 1);
    sim_on_loop(h.w, 1, 0, begin_close, h.sites[1].engine);
    EXPECT_ST(hall_add(&h, 1, T + 1), ST_CLOSED);
    EXPECT_ST(hall_drop(&h, 1, T), ST_CLOSED);
    hall_close(&h, 1);
    hall_destroy(&h);
}

/* ------------------------------------------------------------------ failures */

/* One change under a fault; then, without it, there is what there should be.  False: the fault did not come. */
static bool
fail_once(bool drops, uint64_t nth, enum status st)
{
    struct hall_change c = { .node = 1, .id = T, .loop = 1 };
    uint64_t begun, ops;
    struct hall h;
    bool came;

    hall_create(&h, test_seed(1), 1);
    c.founders = h.founders;
    EXPECT_OK(hall_add(&h, 1, T + 1));
    if (drops)
        EXPECT_OK(hall_add(&h, 1, T));
    sim_run_ms(h.w, 1000);
    begun = sim_heap(h.w, 1)->allocation;
    ops = sim_op_count(h.w, 1, SIM_OP_ALL);
    if (st == ST_NO_MEMORY)
        sim_heap(h.w, 1)->fail_at = begun + nth;
    else
        sim_fail(h.w, 1, SIM_OP_ALL & ~SIM_SYNC, nth, false, st);
    if (drops)
        hall_begin_drop(&h, &c);
    else
        hall_begin_add(&h, &c);
    (void)hall_wait(&c);
    came = st == ST_NO_MEMORY ? sim_heap(h.w, 1)->allocation >= begun + nth
                              : sim_op_count(h.w, 1, SIM_OP_ALL & ~SIM_SYNC) >= ops + nth;
    sim_heap(h.w, 1)->fail_at = 0;
    sim_fail(h.w, 1, SIM_OP_ALL, 0, false, ST_OK);
    sim_run_ms(h.w, 100);
    if (engine_log_health(h.sites[1].engine) !=
        ST_OK) { /* it was the log's: the node has to start anew */
        hall_reboot(&h, 1);
        hall_close(&h, 1);
        hall_destroy(&h);
        return came;
    }
    if (c.status == ST_OK)
        EXPECT_ST(drops ? hall_drop(&h, 1, T) : hall_add(&h, 1, T),
                  drops ? ST_NOT_FOUND : ST_EXISTS);
    else if (drops)
        EXPECT_OK(hall_drop(&h, 1, T));
    else {
        (void)hall_drop(&h, 1, T); /* if its tree could not be dropped either */
        EXPECT_OK(hall_add(&h, 1, T));
    }
    if (!drops)
        EXPECT_U64(hall_leader(&h, T), 1);
    sim_run_ms(h.w, 2500); /* the reserve may have been spent: it is made again */
    EXPECT_OK(hall_put(&h, 1, T + 1, "k", "v"));
    hall_close(&h, 1);
    hall_destroy(&h);
    return came && nth < 200;
}

TEST(a_change_that_fails_can_be_asked_again)
{
    for (int drops = 0; drops < 2; drops++) {
        uint64_t nth;

        for (nth = 1; fail_once(drops != 0, nth, ST_NO_MEMORY);)
            nth++;
        EXPECT(nth > 3 && nth < 200);
        for (nth = 1; nth < 40; nth++) {
            (void)fail_once(drops != 0, nth, ST_IO);
            (void)fail_once(drops != 0, nth, ST_NO_SPACE);
        }
    }
}

/* ------------------------------------------------------------------ groups */

TEST(a_replica_that_is_no_member_waits_and_takes_what_its_leader_sends)
{
    struct raft_config two = hall_config(2);
    struct raft_config three = hall_config(3);
    struct hall h;

    hall_create(&h, test_seed(1), 3);
    h.founders = two;
    for (uint32_t node = 1; node <= 3; node++)
        EXPECT_OK(hall_add(&h, node, T));
    EXPECT_OK(hall_put(&h, hall_leader(&h, T), T, "k", "v"));
    sim_run_ms(h.w, 3000);
    EXPECT(raft_role(tablet_raft(hall_tablet(&h, 3, T))) == RAFT_FOLLOWER);
    EXPECT_U64(raft_hard(tablet_raft(hall_tablet(&h, 3, T))).term, 0);
    hall_change_members(&h, T, &three);
    sim_run_ms(h.w, 1000);
    EXPECT(raft_commit(tablet_raft(hall_tablet(&h, 3, T))) >=
           raft_config_index(tablet_raft(hall_tablet(&h, 3, T))));
    hall_crash(&h, hall_leader(&h, T) == 1 ? 1 : 2);
    EXPECT_OK(hall_put(&h, hall_leader(&h, T), T, "k", "w"));
    hall_destroy(&h);
}

static struct raft_hard
hard_of(struct hall *h, uint32_t node)
{
    return raft_hard(tablet_raft(hall_tablet(h, node, T)));
}

struct asking {
    struct tablet *t;
    raft_term term;
};

/* Node 2, which lacks nothing, asks for the vote; nobody's lease is in the way. */
static void
ask_for_vote(void *ctx)
{
    const struct asking *a = ctx;
    struct raft_message m = { .kind = RAFT_VOTE,
                              .from = 2,
                              .to = 3,
                              .term = a->term,
                              .index = 1000,
                              .log_term = a->term,
                              .force = true };
    uint8_t bytes[256];

    assert_true(raft_message_bytes(&m) <= sizeof(bytes));
    raft_message_encode(&m, bytes);
    tablet__receive(a->t, 2, EXCHANGE_RAFT, slice_of(bytes, raft_message_bytes(&m)));
}

static void
expect_no_other_vote(struct hall *h, struct raft_hard before)
{
    struct asking a = { .t = hall_tablet(h, 3, T), .term = before.term };

    hall_on_owner(h, 3, T, ask_for_vote, &a);
    EXPECT_U64(hard_of(h, 3).term, before.term);
    EXPECT_U64(hard_of(h, 3).vote, before.vote);
}

/* Nodes 1 and 3 had elected 1, without 2. */
TEST(who_comes_back_to_a_group_remembers_whom_it_had_voted_for)
{
    for (int crash = 0; crash < 4; crash++) {
        struct raft_hard before;
        struct hall h;

        hall_create(&h, test_seed(1), 3);
        hall_crash(&h, 2);
        EXPECT_OK(hall_add(&h, 1, T));
        EXPECT_OK(hall_add(&h, 3, T));
        (void)hall_leader(&h, T);
        sim_run_ms(h.w, 500);
        hall_crash(&h, 1);
        before = hard_of(&h, 3);
        EXPECT(before.term > 0 && before.vote != 0 && before.vote != 2);
        h.waits = true;
        if (crash == 3)
            hall_reboot(&h, 3); /* it is dropped before it has begun */
        h.waits = false;
        EXPECT_OK(hall_drop(&h, 3, T));
        if (crash == 1)
            hall_reboot(&h, 3);
        EXPECT_OK(hall_add(&h, 3, T));
        if (crash == 2)
            hall_reboot(&h, 3);
        expect_no_other_vote(&h, before);
        hall_destroy(&h);
    }
}

/* Members come and go at random under writes; what was acknowledged stays, as long as the group does. */
static void
live(uint64_t seed)
{
    struct hall h;
    struct prng *p;
    uint32_t written = 0;
    char value[16];

    hall_create(&h, seed, 4);
    p = sim_prng(h.w);
    h.founders = hall_config(3);
    for (uint32_t node = 1; node <= 4; node++)
        EXPECT_OK(hall_add(&h, node, T));
    for (uint32_t round = 0; round < 12; round++) {
        uint32_t out = 1 + round % 4; /* who is not a member */
        struct raft_config members = { .voter_count = 3 };
        uint32_t at = 0;

        for (uint32_t node = 1; node <= 4; node++) {
            if (node != out)
                members.voters[at++] = node;
        }
        hall_change_members(&h, T, &members);
        sim_run_ms(h.w, prng_below(p, 300));
        EXPECT_OK(hall_drop(&h, out, T));
        if (prng_chance(p, 1, 3))
            hall_reboot(&h, out);
        snprintf(value, sizeof(value), "%u", ++written);
        EXPECT_OK(hall_put(&h, hall_leader(&h, T), T, "k", value));
        if (hall_tablet(&h, out, T) == NULL)
            EXPECT_OK(hall_add(&h, out, T));
        (void)hall_get(&h, hall_leader(&h, T), 0, T, "k");
        EXPECT_STR(h.value, value);
    }
    for (uint32_t node = 1; node <= 4; node++)
        hall_close(&h, node);
    hall_destroy(&h);
}

TEST(members_come_and_go_and_nothing_is_lost)
{
    uint64_t seed = test_seed(1);

    for (uint64_t i = 0; i < 10; i++)
        live(seed + i);
}

/* A member leaves, its tablet is dropped and made anew, and the power fails in the middle of that; then it is a
 * member again, and one that others can rely on.  False: there are fewer points. */
static bool
cut_a_return(uint64_t nth)
{
    struct raft_config two = hall_config(2);
    struct raft_config three = hall_config(3);
    struct hall_change c = { .node = 3, .id = T };
    struct raft_hard before;
    struct hall h;
    bool cut;

    hall_create(&h, test_seed(1), 3);
    for (uint32_t node = 1; node <= 3; node++)
        EXPECT_OK(hall_add(&h, node, T));
    hall_change_members(&h, T, &two);
    sim_run_ms(h.w, 500);
    before = hard_of(&h, 3);
    sim_crash_at(h.w, 3, SIM_OP_ALL, nth, nth % 2 == 0);
    hall_begin_drop(&h, &c);
    c.founders = two;
    if (hall_wait(&c) == ST_OK) {
        hall_begin_add(&h, &c);
        (void)hall_wait(&c);
    }
    cut = !sim_running(h.w, 3);
    sim_crash_at(h.w, 3, SIM_OP_ALL, 0, false);
    h.founders = two;
    hall_reboot(&h, 3);
    if (hall_tablet(&h, 3, T) == NULL)
        EXPECT_OK(hall_add(&h, 3, T));
    EXPECT(hard_of(&h, 3).term >= before.term);
    EXPECT(hard_of(&h, 3).term > before.term || hard_of(&h, 3).vote == before.vote);
    EXPECT_OK(hall_put(&h, hall_leader(&h, T), T, "k", "v"));
    hall_change_members(&h, T, &three);
    hall_crash(&h, hall_leader(&h, T) == 1 ? 1 : 2);
    (void)hall_get(&h, hall_leader(&h, T), 0, T, "k");
    EXPECT_STR(h.value, "v");
    hall_destroy(&h);
    return cut;
}

TEST(who_comes_back_after_a_power_cut_at_any_point_is_a_member_like_others)
{
    uint64_t nth = 1;

    while (nth < 300 && cut_a_return(nth))
        nth++;
    print_message("%llu points\n", (unsigned long long)nth);
    EXPECT(nth > 20 && nth < 300);
}

/* ------------------------------------------------------------------ snapshots */

struct order {
    struct tablet *t;
    struct raft_config config;
};

static void
change_body(void *ctx)
{
    const struct order *o = ctx;

    EXPECT_OK(tablet_change_members(o->t, &o->config));
}

static bool
is_under_way(struct hall *h, uint32_t node)
{
    const struct tablet *t = hall_tablet(h, node, T);

    return node == 1 ? t->shipment != NULL : t->staging != NULL;
}

/* A group that was born alone, and has let go of its log, takes a member in: that one needs a snapshot.  In the
 * middle of it one side's tablet goes.  True: a snapshot was on its way then. */
static bool
drop_in_a_snapshot(uint64_t seed)
{
    struct order o = { .config = hall_config(2) };
    uint32_t first = 1 + seed % 2;
    bool under_way;
    struct hall h;
    char key[16];

    hall_create(&h, seed, 2);
    h.founders = hall_config(1);
    EXPECT_OK(hall_add(&h, 1, T));
    EXPECT_OK(hall_add(&h, 2, T));
    EXPECT_U64(hall_leader(&h, T), 1);
    for (uint32_t i = 0; i < 40; i++) {
        snprintf(key, sizeof(key), "k%u", i);
        EXPECT_OK(hall_put(&h, 1, T, key, "value"));
    }
    sim_set_disk_latency_us(h.w, 1, 1000);
    sim_set_disk_latency_us(h.w, 2, 1000);
    o.t = hall_tablet(&h, 1, T);
    hall_on_owner(&h, 1, T, change_body, &o);
    for (int ms = 0; ms < 2000 && !is_under_way(&h, first); ms++)
        sim_run_ms(h.w, 1);
    sim_run_ms(h.w, prng_below(sim_prng(h.w), 20));
    under_way = is_under_way(&h, first);
    EXPECT_OK(hall_drop(&h, first, T));
    sim_run_ms(h.w, prng_below(sim_prng(h.w), 100));
    EXPECT_OK(hall_drop(&h, 3 - first, T));
    hall_close(&h, 1);
    hall_close(&h, 2);
    hall_destroy(&h);
    return under_way;
}

TEST(a_tablet_goes_while_a_snapshot_of_it_is_sent_or_taken)
{
    uint64_t seed = test_seed(1);
    uint32_t under_way[2] = { 0 };

    for (uint64_t i = 0; i < 60; i++)
        under_way[i % 2] += drop_in_a_snapshot(seed + i);
    print_message("%u sent, %u taken\n", under_way[seed % 2 == 0], under_way[seed % 2 != 0]);
    EXPECT(under_way[0] > 5 && under_way[1] > 5);
}

/* ------------------------------------------------------------------ leases */

TEST(a_group_that_was_born_alone_has_leases_when_it_has_grown)
{
    struct raft_config one = hall_config(1);
    struct raft_config two = hall_config(2);
    struct hall h;
    uint32_t leader;

    hall_create_like(&h, test_seed(1), &(struct hall){ .count = 2, .lease_percent = 60 });
    h.founders = one;
    EXPECT_OK(hall_add(&h, 1, T));
    EXPECT_OK(hall_add(&h, 2, T));
    sim_run_ms(h.w, 100); /* far less than an election timeout: it waits for nobody */
    EXPECT(tablet__leads(hall_tablet(&h, 1, T)));
    EXPECT_U64(atomic_load(&hall_tablet(&h, 1, T)->reads_until_ns), UINT64_MAX);
    hall_change_members(&h, T, &two);
    leader = hall_leader(&h, T);
    EXPECT_OK(hall_put(&h, leader, T, "k", "v"));
    sim_run_ms(h.w, 200);
    EXPECT_OK(hall_put(&h, leader, T, "k", "w"));
    EXPECT(raft_lease_until(tablet_raft(hall_tablet(&h, leader, T))) > sim_now_ns(h.w) - 1);
    hall_destroy(&h);
}

/* Of two members one is left, which had promised the other not to stand: a start does not break that. */
TEST(a_group_of_one_that_had_others_waits_at_its_start_for_what_it_had_promised)
{
    struct raft_config one = hall_config(1);
    struct hall h;

    hall_create_like(&h, test_seed(1), &(struct hall){ .count = 2, .lease_percent = 60 });
    EXPECT_OK(hall_add(&h, 1, T));
    EXPECT_OK(hall_add(&h, 2, T));
    hall_change_members(&h, T, &one);
    sim_run_ms(h.w, 1000);
    hall_reboot(&h, 1);
    EXPECT(raft_role(tablet_raft(hall_tablet(&h, 1, T))) == RAFT_FOLLOWER);
    EXPECT_U64(hall_leader(&h, T), 1);
    h.lease_percent = 0;
    hall_reboot(&h, 1);
    EXPECT(raft_role(tablet_raft(hall_tablet(&h, 1, T))) == RAFT_LEADER);
    hall_destroy(&h);
}

QUIET_TEST_MAIN(RUN(a_tablet_that_comes_serves_on_every_loop_and_one_that_goes_is_found_on_none),
                RUN(who_was_alone_and_comes_back_without_its_log_does_not_lead),
                RUN(a_thousand_that_come_and_go_leave_nothing),
                RUN(whoever_waits_for_a_tablet_that_goes_is_answered),
                RUN(a_tablet_that_is_held_stays_until_it_is_let_go),
                RUN(a_node_that_ends_finishes_what_has_begun_and_begins_nothing),
                RUN(a_change_that_fails_can_be_asked_again),
                RUN(a_replica_that_is_no_member_waits_and_takes_what_its_leader_sends),
                RUN(who_comes_back_to_a_group_remembers_whom_it_had_voted_for),
                RUN(members_come_and_go_and_nothing_is_lost),
                RUN(who_comes_back_after_a_power_cut_at_any_point_is_a_member_like_others),
                RUN(a_tablet_goes_while_a_snapshot_of_it_is_sent_or_taken),
                RUN(a_group_that_was_born_alone_has_leases_when_it_has_grown),
                RUN(a_group_of_one_that_had_others_waits_at_its_start_for_what_it_had_promised))
