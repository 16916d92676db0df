/* Keyspaces whose tablets are split while they are used: nothing is lost, everything keeps its order, and what is split
 * is then placed like any other. */
#include "base/prng.h"

#include "raft/raft.h"
#include "tablet/tablet_internal.h"
#include "unit/kv/formed.h"
#include "unit/kv/line.h"
#include "unit/test.h"

enum { KEYS = 40, LINES = 5, ROUNDS = 120, RUNS = 6, STEP_MS = 50, ANSWER_US = 20000 };

static uint32_t
tablets_of(struct formed *f, const char *keyspace)
{
    return formed_keyspace(f, keyspace)->tablet_count;
}

/* Ordered again and again, until there are so many. */
static void
split_until(struct formed *f, const char *keyspace, uint32_t count)
{
    char words[64];

    snprintf(words, sizeof(words), "keyspace-split %s %u", keyspace, count);
    for (uint32_t ms = 0; tablets_of(f, keyspace) < count; ms += STEP_MS) {
        enum status st = formed_try_order(f, 1 + ms / STEP_MS % 3, words);

        if (st == ST_INVALID || st == ST_NOT_FOUND || ms > FORMED_PATIENCE_MS)
            fail_msg("%s: %s, and there are %u", words, f->answer, tablets_of(f, keyspace));
        sim_run_ms(f->n.w, STEP_MS);
    }
}

static void
create(struct formed *f, uint64_t seed, uint32_t nodes, const char *partition)
{
    char words[64];

    formed_create(f, seed, nodes);
    snprintf(words, sizeof(words), "keyspace-create s 3 1 %s", partition);
    formed_order(f, 2, words);
    formed_await_placed(f);
    formed_use(f, "s");
}

static void
expect_all_in_a_scan(struct formed *f, uint32_t node, uint32_t count)
{
    uint32_t found = 0;
    enum status st = ST_BUSY;

    for (uint32_t tries = 0; tries < 100 && st != ST_OK; tries++) {
        st = nodes_try_scan(&f->n, node);
        sim_run_ms(f->n.w, st == ST_OK ? 0 : STEP_MS);
    }
    EXPECT_OK(st);
    for (const char *at = f->n.value; (at = strchr(at, ',')) != NULL; at++)
        found++;
    EXPECT_U64(found, count);
}

TEST(a_keyspace_is_split_into_as_many_tablets_as_one_likes)
{
    struct formed f;

    create(&f, 400, 5, "hash");
    formed_put_keys(&f, KEYS);
    for (uint32_t count = 2; count <= 16; count *= 2) {
        split_until(&f, "s", count);
        EXPECT_U64(tablets_of(&f, "s"), count);
        formed_expect_keys(&f, KEYS);
        expect_all_in_a_scan(&f, 1 + count % 5, KEYS);
    }
    formed_await_placed(&f);
    formed_expect_keys(&f, KEYS);
    EXPECT_ST(formed_try_order(&f, 1, "keyspace-split s 16"), ST_EXISTS);
    EXPECT_ST(formed_try_order(&f, 1, "keyspace-split s at k"), ST_INVALID);
    EXPECT_ST(formed_try_order(&f, 1, "keyspace-split metadata 2"), ST_INVALID);
    for (uint32_t i = 1; i <= 5; i++) {
        nodes_crash(&f.n, i);
        formed_boot(&f, i);
    }
    formed_await_placed(&f);
    formed_expect_keys(&f, KEYS);
    formed_destroy(&f);
}

TEST(a_keyspace_of_ranges_is_split_at_a_key)
{
    struct formed f;

    create(&f, 401, 3, "range");
    formed_put_keys(&f, KEYS);
    formed_order(&f, 1, "keyspace-split s at k2");
    while (tablets_of(&f, "s") < 2)
        sim_run_ms(f.n.w, STEP_MS);
    EXPECT_ST(formed_try_order(&f, 1, "keyspace-split s at k2"), ST_EXISTS);
    EXPECT_ST(formed_try_order(&f, 1, "keyspace-split s 4"), ST_INVALID);
    formed_expect_keys(&f, KEYS);
    expect_all_in_a_scan(&f, 3, KEYS);
    formed_order(&f, 3, "keyspace-split s at k1");
    while (tablets_of(&f, "s") < 3)
        sim_run_ms(f.n.w, STEP_MS);
    formed_expect_keys(&f, KEYS);
    EXPECT_SLICE(formed_keyspace(&f, "s")->tablets[1]->from, "k1");
    EXPECT_SLICE(formed_keyspace(&f, "s")->tablets[1]->limit, "k2");
    EXPECT_U64(formed_keyspace(&f, "s")->tablets[1]->parent,
               formed_keyspace(&f, "s")->tablets[0]->id);
    formed_order(&f, 1, "keyspace-drop s");
    formed_await_placed(&f);
    formed_destroy(&f);
}

/* ------------------------------------------------------------------ who is slow to make it */

/* Two of three members cannot make the heir when it is known to the cluster already.  An empty one in its place, and they
 * would go on without the one that has it. */
TEST(whoever_cannot_make_its_part_at_once_makes_it_later_out_of_what_it_has)
{
    struct formed f;
    uint32_t leader;

    create(&f, 402, 3, "hash");
    formed_put_keys(&f, KEYS);
    for (uint32_t i = 1; i <= 3; i++)
        sim_fail(f.n.w, i, SIM_LINK, 1, true, ST_IO);
    formed_order(&f, 1, "keyspace-split s 2");
    sim_run_ms(f.n.w, 2000);
    EXPECT_U64(tablets_of(&f, "s"), 1);
    leader = formed_leader_of(&f, formed_keyspace(&f, "s")->tablets[0]->id);
    sim_fail(f.n.w, leader, 0, 0, false, ST_OK);
    while (tablets_of(&f, "s") < 2)
        sim_run_ms(f.n.w, STEP_MS);
    nodes_crash(&f.n, leader);
    sim_run_ms(f.n.w, 3000);
    for (uint32_t i = 1; i <= 3; i++) {
        if (i == leader)
            continue;
        nodes_crash(&f.n, i);
        sim_fail(f.n.w, i, 0, 0, false, ST_OK);
        formed_boot(&f, i);
    }
    formed_expect_keys(&f, KEYS);
    formed_boot(&f, leader);
    formed_await_placed(&f);
    formed_expect_keys(&f, KEYS);
    formed_destroy(&f);
}

/* ------------------------------------------------------------------ in use */

static void
nothing(struct formed *f)
{
    (void)f;
}

static void
kill_one(struct formed *f)
{
    uint32_t node = 1 + (uint32_t)prng_below(sim_prng(f->n.w), 3);

    for (uint32_t i = 1; i <= 3; i++) {
        if (!sim_running(f->n.w, i))
            node = i;
    }
    if (sim_running(f->n.w, node))
        nodes_crash(&f->n, node);
    else
        formed_boot(f, node);
}

static void
cut_one(struct formed *f)
{
    uint32_t node = 1 + (uint32_t)prng_below(sim_prng(f->n.w), 3);

    for (uint32_t i = 1; i <= 3; i++)
        nodes_cut(&f->n, i, false);
    nodes_cut(&f->n, node, prng_chance(sim_prng(f->n.w), 2, 3));
}

/* Machines 4 and 5 have the clients, and stay; 1 to 3 suffer. */
static void
split_under_load(uint64_t seed, void (*disturb)(struct formed *f), bool losses)
{
    static const char *const keys[LINES] = { "l1", "l2", "l3", "l4", "l5" };
    struct line *lines = calloc(LINES, sizeof(*lines));
    struct formed f;

    create(&f, seed, 5, "hash");
    for (uint32_t i = 0; i < LINES; i++) {
        line_begin(&lines[i], &f.n, 4 + i % 2, 0);
        lines[i].key = keys[i];
    }
    for (uint32_t round = 0; round < ROUNDS; round++) {
        char words[32];

        for (uint32_t i = 0; i < LINES; i++)
            line_append(&lines[i], 2);
        snprintf(words, sizeof(words), "keyspace-split s %u", 2 + round / 30 * 3);
        if (round % 10 == 0)
            (void)formed_try_order(&f, 4, words);
        sim_run_ms(f.n.w, prng_below(sim_prng(f.n.w), 40));
        if (prng_chance(sim_prng(f.n.w), 1, 20))
            disturb(&f);
    }
    for (uint32_t i = 1; i <= 3; i++) {
        nodes_cut(&f.n, i, false);
        if (!sim_running(f.n.w, i))
            formed_boot(&f, i);
    }
    for (uint32_t i = 0; i < LINES; i++)
        line_await(&lines[i]);
    split_until(&f, "s", 11);
    formed_await_placed(&f);
    for (uint32_t i = 0; i < LINES; i++) {
        line_check(&lines[i], 4 + i % 2);
        if (!losses)
            EXPECT_U64(line_count(&lines[i], ST_OK), lines[i].count);
        EXPECT_U64(line_count(&lines[i], ST_MOVED), 0);
        EXPECT_U64(line_count(&lines[i], ST_NOT_LEADER), 0);
    }
    formed_destroy(&f);
    free(lines);
}

TEST(pipelines_keep_their_order_while_their_tablets_are_split)
{
    for (uint64_t run = 0; run < RUNS; run++)
        split_under_load(test_seed(410 + run), nothing, false);
}

TEST(and_while_nodes_die_and_come_back)
{
    for (uint64_t run = 0; run < RUNS; run++)
        split_under_load(test_seed(430 + run), kill_one, true);
}

TEST(and_while_nodes_are_cut_off)
{
    for (uint64_t run = 0; run < RUNS; run++)
        split_under_load(test_seed(450 + run), cut_one, true);
}

/* ------------------------------------------------------------------ those who do not hear of it */

static uint64_t
tablet_at(struct formed *f, uint32_t number)
{
    return formed_keyspace(f, "s")->tablets[number]->id;
}

/* Nor is it the one that leads the metadata: what becomes of it is not in the way of the rest. */
static uint32_t
other_than(struct formed *f, uint32_t leader)
{
    uint32_t node = 1;

    while (node == leader || node == formed_leader_of(f, ATLAS_META_TABLET))
        node++;
    return node;
}

/* It was sent when there was one tablet, is lost on the way, and is asked again when there are two. */
TEST(a_request_that_comes_back_after_a_split_goes_to_the_tablet_that_has_its_key)
{
    struct line *l = calloc(1, sizeof(*l));
    struct formed f;
    uint32_t leader, asker;
    struct step *s;

    create(&f, 402, 5, "hash");
    leader = formed_leader_of(&f, tablet_at(&f, 0));
    asker = other_than(&f, leader);
    EXPECT_OK(nodes_put(&f.n, asker, "k0", "before")); /* the upper half has it */
    line_begin(l, &f.n, asker, 0);
    sim_net_cut(f.n.w, asker, leader);
    s = line_step(l);
    s->op = (struct op){ .kind = OP_GET, .key = slice_str("k0") };
    line_send(s);
    formed_order(&f, leader, "keyspace-split s 2");
    while (formed_atlas(&f, asker)->tablet_count < formed_newest(&f)->tablet_count ||
           tablets_of(&f, "s") < 2)
        sim_run_ms(f.n.w, 10);
    EXPECT(!s->done);
    EXPECT_OK(nodes_put(&f.n, leader, "k0", "after"));
    nodes_crash(&f.n, leader);
    line_await(l);
    EXPECT_OK(s->status);
    EXPECT_U64(s->result.value.size, strlen("after"));
    formed_destroy(&f);
    free(l);
}

static bool
has_copy(struct formed *f, uint32_t node, uint64_t tablet)
{
    return tablet_record_member(atlas_tablet(formed_newest(f), tablet), f->nodes[node].id) != NULL;
}

/* Of the leader's followers: have all of them got the split, and nothing that says that it is committed? */
static bool
all_have_got_it(struct formed *f, uint32_t leader, uint64_t tablet)
{
    raft_index split = kv_tablet_with(f->n.kv[leader], tablet)->split_proposed;

    for (uint32_t i = 1; i <= 5; i++) {
        if (has_copy(f, i, tablet) &&
            raft_last(tablet_raft(kv_tablet_with(f->n.kv[i], tablet))) < split)
            return false;
    }
    return split != 0;
}

/* Of a link from one member to another: those to the leader, from it, and between the others. */
static void
spoil_links(struct formed *f, uint32_t leader, uint64_t tablet,
            void (*spoil)(struct formed *f, uint32_t leader, uint32_t from, uint32_t to))
{
    for (uint32_t from = 1; from <= 5; from++) {
        for (uint32_t to = 1; to <= 5; to++) {
            if (from != to && has_copy(f, from, tablet) && has_copy(f, to, tablet))
                spoil(f, leader, from, to);
        }
    }
}

static void
delay_answers(struct formed *f, uint32_t leader, uint32_t from, uint32_t to)
{
    struct sim_link link = sim_net_get(f->n.w, from, to);

    link.delay_us_min = link.delay_us_max = ANSWER_US;
    if (to == leader)
        sim_net_set(f->n.w, from, to, &link);
}

/* What is on its way to the leader arrives. */
static void
cut_followers_off(struct formed *f, uint32_t leader, uint32_t from, uint32_t to)
{
    if (to != leader)
        sim_net_cut(f->n.w, from, to);
}

static void
heal_followers(struct formed *f, uint32_t leader, uint32_t from, uint32_t to)
{
    if (from != leader && to != leader)
        sim_net_heal(f->n.w, from, to);
}

static void
heal_all(struct formed *f, uint32_t leader, uint32_t from, uint32_t to)
{
    (void)leader;
    sim_net_heal(f->n.w, from, to);
}

/* The leader alone knows that the split is committed, and has made the new tablet.  Those who follow it hear of that
 * from others, and then from each other, but not from the leader. */
TEST(a_tablet_that_came_out_of_another_is_not_begun_anew_without_its_keys)
{
    struct formed f;
    uint32_t leader;
    uint64_t tablet;

    create(&f, 403, 5, "hash");
    formed_put_keys(&f, KEYS);
    sim_run_ms(f.n.w, 3000); /* until who is to lead does */
    tablet = tablet_at(&f, 0);
    leader = formed_leader_of(&f, tablet);
    spoil_links(&f, leader, tablet, delay_answers);
    formed_order(&f, leader, "keyspace-split s 2");
    while (!all_have_got_it(&f, leader, tablet))
        sim_run_ms(f.n.w, 1);
    spoil_links(&f, leader, tablet, cut_followers_off);
    while (tablets_of(&f, "s") < 2)
        sim_run_ms(f.n.w, STEP_MS);
    sim_run_ms(f.n.w, 1000);
    spoil_links(&f, leader, tablet, heal_followers);
    sim_run_ms(f.n.w, 3000);
    spoil_links(&f, leader, tablet, heal_all);
    formed_await_placed(&f);
    formed_expect_keys(&f, KEYS);
    formed_destroy(&f);
}

QUIET_TEST_MAIN(RUN(a_keyspace_is_split_into_as_many_tablets_as_one_likes),
                RUN(a_keyspace_of_ranges_is_split_at_a_key),
                RUN(whoever_cannot_make_its_part_at_once_makes_it_later_out_of_what_it_has),
                RUN(pipelines_keep_their_order_while_their_tablets_are_split),
                RUN(and_while_nodes_die_and_come_back), RUN(and_while_nodes_are_cut_off),
                RUN(a_request_that_comes_back_after_a_split_goes_to_the_tablet_that_has_its_key),
                RUN(a_tablet_that_came_out_of_another_is_not_begun_anew_without_its_keys))
