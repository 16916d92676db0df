/* A cluster in the midst of a movement, and what goes wrong then: leaders that die, majorities that are lost, files
 * that are damaged, memory that is short. */
#include "simenv/simenv.h"
#include "unit/kv/formed.h"
#include "unit/test.h"

enum { KEYS = 12, CHAOS_RUNS = 8, STEWARDS_LOST = 12 };

/* Whoever leads the metadata dies, so long after a movement has begun. */
static void
lose_the_steward(uint64_t seed, uint32_t after_ms)
{
    struct formed f;
    uint32_t steward, other;

    formed_create(&f, seed, 4);
    formed_put_keys(&f, KEYS);
    steward = formed_leader_of(&f, ATLAS_META_TABLET);
    other = steward == 4 ? 3 : 4;
    formed_order(&f, steward, other == 4 ? "drain n4" : "drain n3");
    sim_run_ms(f.n.w, after_ms);
    nodes_crash(&f.n, steward);
    sim_run_ms(f.n.w, 3000);
    formed_boot(&f, steward);
    formed_await_placed(&f);
    EXPECT_U64(formed_copies(&f, other), 0);
    EXPECT_U64(formed_replicas(&f, other), 0);
    formed_expect_keys(&f, KEYS);
    formed_destroy(&f);
}

TEST(a_movement_goes_on_whoever_leads_the_metadata)
{
    uint64_t first = test_seed(200);

    for (uint32_t i = 0; i < STEWARDS_LOST; i++)
        lose_the_steward(first + i, 50 * i);
}

TEST(without_a_majority_of_the_metadata_nothing_changes_and_then_it_does)
{
    struct formed f;
    uint64_t change;

    formed_create(&f, 230, 3);
    formed_put_keys(&f, KEYS);
    nodes_crash(&f.n, 1);
    nodes_crash(&f.n, 2);
    sim_run_ms(f.n.w, 2000);
    change = formed_newest(&f)->cluster.change;
    EXPECT(formed_try_order(&f, 3, "drain n1") != ST_OK);
    EXPECT(formed_try_order(&f, 3, "keyspace-create a 3 4 hash") != ST_OK);
    EXPECT_OK(formed_try_order(&f, 3, "status")); /* what it knows it tells */
    EXPECT_U64(formed_newest(&f)->cluster.change, change);
    formed_boot(&f, 1);
    formed_order(&f, 3, "keyspace-create b 3 4 hash");
    formed_boot(&f, 2);
    formed_await_placed(&f);
    formed_expect_keys(&f, KEYS);
    formed_destroy(&f);
}

TEST(all_machines_lose_power_at_once_in_the_midst_of_it)
{
    for (uint32_t run = 0; run < 12; run++) {
        struct formed f;

        formed_prepare(&f, 240 + run, 4);
        formed_boot_all(&f);
        sim_run_ms(f.n.w, 300 + 200 * run);
        for (uint32_t i = 1; i <= 4; i++)
            nodes_crash(&f.n, i);
        formed_boot_all(&f);
        for (uint32_t i = 1; i <= 4; i++)
            formed_await_member(&f, i);
        formed_await_placed(&f);
        EXPECT_U64(formed_newest(&f)->node_count, 4);
        formed_put_keys(&f, KEYS);
        formed_expect_keys(&f, KEYS);
        formed_destroy(&f);
    }
}

/* ------------------------------------------------------------------ the file ATLAS */

TEST(a_node_that_has_lost_its_file_learns_it_anew)
{
    struct formed f;

    formed_create(&f, 250, 4);
    formed_put_keys(&f, KEYS);
    for (uint32_t i = 2; i <= 4; i++) {
        sim_run_ms(f.n.w, 1000);
        nodes_crash(&f.n, i);
        EXPECT(sim_disk_remove(f.n.w, i, "data/ATLAS"));
        formed_boot(&f, i);
        formed_await_placed(&f);
        formed_expect_keys(&f, KEYS);
    }
    EXPECT_U64(formed_newest(&f)->node_count, 4);
    formed_destroy(&f);
}

TEST(a_damaged_file_is_not_believed)
{
    struct formed f;

    formed_create(&f, 251, 3);
    formed_put_keys(&f, KEYS);
    sim_run_ms(f.n.w, 1000);
    nodes_crash(&f.n, 3);
    EXPECT(sim_disk_flip(f.n.w, 3, "data/ATLAS", 100, 3));
    EXPECT_ST(formed_try_boot(&f, 3), ST_CORRUPT);
    EXPECT(strstr(f.nodes[3].refusal.text, "ATLAS: damaged") != NULL);
    EXPECT(sim_disk_remove(f.n.w, 3, "data/ATLAS"));
    formed_boot(&f, 3);
    formed_await_placed(&f);
    formed_expect_keys(&f, KEYS);
    formed_destroy(&f);
}

TEST(a_file_that_is_cut_short_anywhere_is_not_believed)
{
    struct formed f;
    struct buf bytes = buf_empty(1 << 20);
    struct sim_disk_image *whole;

    formed_create(&f, 252, 2);
    sim_run_ms(f.n.w, 1000);
    nodes_crash(&f.n, 2);
    whole = sim_disk_save(f.n.w, 2);
    EXPECT(sim_disk_read(f.n.w, 2, "data/ATLAS", &bytes));
    for (uint64_t size = 0; size < bytes.size; size += 1 + size / 8) {
        sim_disk_load(f.n.w, 2, whole);
        EXPECT(sim_disk_truncate(f.n.w, 2, "data/ATLAS", size));
        EXPECT_ST(formed_try_boot(&f, 2), ST_CORRUPT);
    }
    buf_release(&bytes);
    sim_disk_image_free(whole);
    formed_destroy(&f);
}

static void
expect_refused_until_it_joins(struct formed *f, uint32_t node)
{
    f->nodes[node].join = 0;
    EXPECT_ST(formed_try_boot(f, node), ST_INVALID);
    EXPECT(strstr(f->nodes[node].refusal.text,
                  "does not know who else is in it: start with --join") != NULL);
    f->nodes[node].join = 1;
    formed_boot(f, node);
    formed_await_placed(f);
}

/* Not even where nothing else is amiss: the others would have a cluster of the same id, and another one's tablets. */
TEST(a_node_that_has_lost_its_file_and_is_to_ask_nobody_begins_no_cluster)
{
    enum { COUNT = 7, COORDINATOR = 7 };
    struct formed f;
    uint32_t refused = 0;

    formed_prepare(&f, 256, COUNT);
    f.nodes[COORDINATOR].weight = 0;
    formed_boot_all(&f);
    for (uint32_t i = 1; i <= COUNT; i++)
        formed_await_member(&f, i);
    formed_await_placed(&f);
    formed_put_keys(&f, KEYS);
    for (uint32_t i = 2; i <= COUNT; i++) {
        sim_run_ms(f.n.w, 1000);
        if (tablet_record_member(formed_newest(&f)->tablets[0], f.nodes[i].id) != NULL)
            continue; /* it has the metadata */
        nodes_crash(&f.n, i);
        EXPECT(sim_disk_remove(f.n.w, i, "data/ATLAS"));
        expect_refused_until_it_joins(&f, i);
        refused++;
    }
    EXPECT(refused >= 2);
    formed_expect_keys(&f, KEYS);
    formed_destroy(&f);
}

TEST(a_store_that_was_to_join_and_is_to_ask_nobody_begins_no_cluster)
{
    struct formed f;

    formed_prepare(&f, 257, 2);
    formed_boot(&f, 2); /* and nobody is there */
    sim_run_ms(f.n.w, 500);
    nodes_crash(&f.n, 2);
    formed_boot(&f, 1);
    expect_refused_until_it_joins(&f, 2);
    EXPECT_U64(formed_newest(&f)->node_count, 2);
    formed_destroy(&f);
}

/* A node alone that has made a keyspace, and no more than that: power is gone before the file says so. */
static struct sim_disk_image *
make_keyspace_late(struct formed *f)
{
    for (uint32_t ms = 1;; ms++) {
        struct sim_disk_image *before = sim_disk_save(f->n.w, 1);
        struct sim_disk_image *after;
        bool made;

        formed_boot(f, 1);
        formed_order(f, 1, "keyspace-create first 3 4 hash"); /* the file is written now and then */
        formed_order_and_crash(f, 1, "keyspace-create late 3 4 hash", ms);
        after = sim_disk_save(f->n.w, 1);
        formed_boot(f, 1);
        made = formed_keyspace(f, "late") != NULL;
        nodes_crash(&f->n, 1);
        sim_disk_load(f->n.w, 1, made ? after : before);
        sim_disk_image_free(before);
        if (made)
            return after;
        sim_disk_image_free(after);
    }
}

/* What the log has brought since the file was written says what to make, too; and a start that found the replica and
 * not the file would not know with whom it was born, and have nobody lead it. */
TEST(what_a_start_makes_is_in_the_file_before)
{
    struct sim_disk_image *image;
    struct formed f;
    bool crashed = true;
    uint32_t crashes = 0;

    formed_create(&f, 253, 1);
    sim_run_ms(f.n.w, 1000);
    nodes_crash(&f.n, 1);
    image = make_keyspace_late(&f);
    for (uint64_t nth = 1; crashed; nth++) {
        sim_disk_load(f.n.w, 1, image);
        sim_crash_at(f.n.w, 1, SIM_OP_ALL, nth, nth % 2 == 0);
        crashed = formed_try_boot(&f, 1) == ST_UNKNOWN;
        crashes += crashed;
        sim_crash_at(f.n.w, 1, 0, 0, false);
        if (crashed)
            formed_boot(&f, 1);
        formed_use(&f, "late");
        formed_put_keys(&f, KEYS);
        nodes_crash(&f.n, 1);
    }
    EXPECT(crashes > 20);
    sim_disk_image_free(image);
    formed_destroy(&f);
}

/* ------------------------------------------------------------------ the file INCARNATION */

static const char incarnation_file[] = "data/INCARNATION";

static uint64_t
incarnation_of(const struct formed *f)
{
    return cluster_incarnation(kv_cluster_of(f->n.kv[1]));
}

static uint64_t
incarnation_after_crash(struct formed *f)
{
    nodes_crash(&f->n, 1);
    formed_boot(f, 1);
    return incarnation_of(f);
}

TEST(each_process_of_a_node_is_of_a_higher_incarnation_whatever_its_clock_says)
{
    struct formed f;
    uint64_t latest;

    formed_create(&f, 254, 1);
    latest = incarnation_of(&f);
    for (uint32_t i = 0; i < 6; i++) {
        uint64_t next;

        sim_jump_clock(f.n.w, 1, i < 3 ? 0 : i == 3 ? 86400000 : -3600000);
        next = incarnation_after_crash(&f);
        EXPECT(next > latest && next <= latest + 86400 + 120);
        latest = next;
    }
    formed_destroy(&f);
}

/* Lost, damaged, or not to be written: the clock still tells one process from the next. */
TEST(a_node_starts_whatever_has_become_of_its_incarnation)
{
    struct formed f;
    uint64_t latest;

    formed_create(&f, 255, 1);
    latest = incarnation_of(&f);
    for (uint32_t i = 0; i < 3; i++) {
        uint64_t next;

        sim_run_ms(f.n.w, 2000);
        nodes_crash(&f.n, 1);
        if (i == 0)
            EXPECT(sim_disk_remove(f.n.w, 1, incarnation_file));
        else if (i == 1)
            EXPECT(sim_disk_flip(f.n.w, 1, incarnation_file, 12, 1));
        else
            EXPECT(sim_disk_truncate(f.n.w, 1, incarnation_file, 5));
        formed_boot(&f, 1);
        next = incarnation_of(&f);
        EXPECT(next > latest);
        EXPECT(incarnation_after_crash(&f) > next); /* the file is whole again */
        latest = next;
    }
    formed_destroy(&f);
}

/* ------------------------------------------------------------------ memory and disks */

/* One allocation after the other fails, at each node in turn, while everything moves. */
TEST(a_node_without_memory_for_a_moment_finds_its_way)
{
    struct formed f;

    formed_create(&f, 260, 3);
    (void)formed_add(&f);
    formed_boot(&f, 4);
    for (uint32_t i = 0; i < 600; i++) {
        struct mem_heap *heap = sim_heap(f.n.w, 1 + i % 4);

        heap->fail_at = heap->allocation + 1 + i / 16;
        sim_run_ms(f.n.w, 10);
        heap->fail_at = 0;
        if (i == 200)
            (void)formed_try_order(&f, 1, "drain n2");
        if (i == 400)
            (void)formed_try_order(&f, 3, "undrain n2");
    }
    formed_await_member(&f, 4);
    formed_await_placed(&f);
    formed_put_keys(&f, KEYS);
    formed_expect_keys(&f, KEYS);
    formed_destroy(&f);
}

/* ------------------------------------------------------------------ everything at once */

static void
one_mishap(struct formed *f, struct prng *p)
{
    uint32_t node = 1 + (uint32_t)prng_below(p, f->n.count);
    static const char *const orders[] = { "drain n1",   "undrain n1", "drain n3",
                                          "undrain n3", "drain n5",   "undrain n5" };

    if (!sim_running(f->n.w, node))
        formed_boot(f, node);
    else if (prng_chance(p, 1, 3))
        nodes_crash(&f->n, node);
    else if (prng_chance(p, 1, 2))
        nodes_cut(&f->n, node, prng_chance(p, 1, 2));
    else if (formed_is_member(f, node))
        (void)formed_try_order(f, node, orders[prng_below(p, sizeof(orders) / sizeof(orders[0]))]);
}

static void
undrain(struct formed *f, const char *words)
{
    while (formed_try_order(f, 1, words) != ST_OK && strstr(f->answer, "is not draining") == NULL)
        sim_run_ms(f->n.w, 100);
}

TEST(whatever_happens_on_the_way_the_cluster_becomes_as_it_should_be)
{
    uint64_t first = test_seed(3000);

    for (uint64_t seed = first; seed < first + CHAOS_RUNS; seed++) {
        struct formed f;

        formed_prepare(&f, seed, 5);
        formed_spoil_messages(&f, true);
        formed_boot_all(&f);
        for (uint32_t i = 0; i < 60; i++) {
            one_mishap(&f, sim_prng(f.n.w));
            sim_run_ms(f.n.w, prng_below(sim_prng(f.n.w), 600));
        }
        for (uint32_t i = 1; i <= 5; i++)
            nodes_cut(&f.n, i, false);
        formed_spoil_messages(&f, false);
        formed_boot_all(&f);
        for (uint32_t i = 1; i <= 5; i++)
            formed_await_member(&f, i);
        undrain(&f, "undrain n1");
        undrain(&f, "undrain n3");
        undrain(&f, "undrain n5");
        formed_await_placed(&f);
        formed_put_keys(&f, KEYS);
        formed_expect_keys(&f, KEYS);
        EXPECT_U64(formed_newest(&f)->node_count, 5);
        formed_destroy(&f);
    }
}

QUIET_TEST_MAIN(RUN(a_movement_goes_on_whoever_leads_the_metadata),
                RUN(without_a_majority_of_the_metadata_nothing_changes_and_then_it_does),
                RUN(all_machines_lose_power_at_once_in_the_midst_of_it),
                RUN(a_node_that_has_lost_its_file_learns_it_anew),
                RUN(a_damaged_file_is_not_believed),
                RUN(a_file_that_is_cut_short_anywhere_is_not_believed),
                RUN(a_node_that_has_lost_its_file_and_is_to_ask_nobody_begins_no_cluster),
                RUN(a_store_that_was_to_join_and_is_to_ask_nobody_begins_no_cluster),
                RUN(what_a_start_makes_is_in_the_file_before),
                RUN(each_process_of_a_node_is_of_a_higher_incarnation_whatever_its_clock_says),
                RUN(a_node_starts_whatever_has_become_of_its_incarnation),
                RUN(a_node_without_memory_for_a_moment_finds_its_way),
                RUN(whatever_happens_on_the_way_the_cluster_becomes_as_it_should_be))
