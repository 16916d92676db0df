/*
 * Members that were away: they are sent what the log of whoever leads still has, and a snapshot only of
 * what it has no more.
 *
 * A leader keeps 64 KB of entries in memory for its followers here (nodes.c), and each round of
 * writes below is more than that.
 */
#include "unit/kv/nodes.h"
#include "unit/test.h"

enum { MANY = 200, RESERVE_BYTES = 512 << 10, PATIENCE_MS = 20000 };

static raft_index
commit_of(struct nodes *n, uint32_t node)
{
    return raft_commit(tablet_raft(kv_tablet(n->kv[node], 0)));
}

/* Somebody who does not lead. */
static uint32_t
follower(struct nodes *n)
{
    return nodes_leader(n) == 3 ? 1 : 3;
}

/* Until it has all that is committed. */
static void
await_caught_up(struct nodes *n, uint32_t node)
{
    uint32_t leader = nodes_leader(n);

    for (uint32_t passed_ms = 0; passed_ms < PATIENCE_MS; passed_ms += 50) {
        sim_run_ms(n->w, 50);
        if (commit_of(n, node) == commit_of(n, leader))
            return;
    }
    fail_msg("node %u is at %llu of %llu", node, (unsigned long long)commit_of(n, node),
             (unsigned long long)commit_of(n, leader));
}

/* Nobody crashes for it, so what has been counted stays. */
static void
hand_over(struct nodes *n, uint32_t to)
{
    for (uint32_t i = 0; i < 10; i++) {
        if (nodes_leader(n) == to || nodes_transfer(n, to))
            return;
    }
    fail_msg("node %u never leads", to);
}

static void
expect_log_alone(struct nodes *n)
{
    struct tablet_stats stats = nodes_stats(n, nodes_leader(n));

    EXPECT(stats.log_entries > 0 && stats.log_readings > 0);
    EXPECT_U64(stats.snapshots, 0);
    EXPECT_U64(stats.log_failures, 0);
}

static void
a_member_that_was_away_is_sent_what_the_log_has(void **state)
{
    struct nodes n;
    uint32_t away;

    (void)state;
    nodes_create_with_log(&n, test_seed(1), 3, RESERVE_BYTES);
    away = follower(&n);
    nodes_crash(&n, away);
    nodes_put_many(&n, nodes_leader(&n), MANY, 'a');
    nodes_boot_all(&n);
    await_caught_up(&n, away);
    expect_log_alone(&n);
    nodes_make_lead(&n, away);
    nodes_check_many(&n, away, MANY, 'a');
    nodes_destroy(&n);
}

/* All of it is in tables, and the log is read by a process that did not write it. */
static void
a_leader_that_was_started_anew_has_its_log_still(void **state)
{
    struct nodes n;
    uint32_t away;

    (void)state;
    for (int flushed = 0; flushed < 2; flushed++) {
        nodes_create_with_log(&n, test_seed(2), 3, RESERVE_BYTES);
        away = follower(&n);
        nodes_crash(&n, away);
        nodes_put_many(&n, nodes_leader(&n), MANY, 'a');
        for (uint32_t i = 1; i <= 3; i++) {
            if (i == away)
                continue;
            if (flushed)
                nodes_flush(&n, i);
            nodes_crash(&n, i);
        }
        nodes_boot_all(&n);
        await_caught_up(&n, away);
        expect_log_alone(&n);
        nodes_make_lead(&n, away);
        nodes_check_many(&n, away, MANY, 'a');
        nodes_destroy(&n);
    }
}

/* More is written than is kept. */
static void
what_the_log_has_no_more_comes_as_a_snapshot(void **state)
{
    struct nodes n;
    uint32_t away;

    (void)state;
    nodes_create_with_log(&n, test_seed(3), 3, 64 << 10);
    away = follower(&n);
    nodes_crash(&n, away);
    for (char round = 'a'; round <= 'd'; round++)
        nodes_put_many(&n, nodes_leader(&n), MANY, round);
    nodes_boot_all(&n);
    await_caught_up(&n, away);
    EXPECT(nodes_stats(&n, nodes_leader(&n)).snapshots > 0);
    nodes_make_lead(&n, away);
    nodes_check_many(&n, away, MANY, 'd');
    nodes_destroy(&n);
}

/* The leader's log has entries of its own that nobody else has, among those that a new member needs. */
static void
what_was_cut_off_is_not_sent(void **state)
{
    static const uint64_t four[] = { 1, 2, 3, 4 };
    struct nodes n;
    uint32_t old;

    (void)state;
    nodes_create_with_log(&n, test_seed(4), 4, RESERVE_BYTES);
    old = nodes_leader(&n);
    EXPECT_OK(nodes_put(&n, old, "a", "1"));
    nodes_leave_uncommitted(&n, old, 5);
    nodes_put_many(&n, nodes_leader_but(&n, old), MANY, 'a');
    nodes_cut(&n, old, false);
    await_caught_up(&n, old);
    hand_over(&n, old);
    nodes_change(&n, four, 4);
    await_caught_up(&n, 4);
    EXPECT(nodes_leader(&n) == old);
    expect_log_alone(&n);
    nodes_make_lead(&n, 4);
    nodes_check_many(&n, 4, MANY, 'a');
    EXPECT(strcmp(nodes_get(&n, 4, "lost"), "nil") == 0);
    nodes_destroy(&n);
}

/* The node's log comes to have a history that nobody else has, beyond where a snapshot replaces it. */
static void
make_void(struct nodes *n, uint32_t old)
{
    uint32_t other;

    nodes_leave_uncommitted(n, old, 2 * MANY);
    other = nodes_leader_but(n, old);
    nodes_crash(n, old); /* so that what the others have sent to it meanwhile never comes */
    nodes_cut(n, old, false);
    nodes_put_many(n, other, MANY, 'a');
    nodes_flush(n, other);
    sim_run_ms(n->w, 1000);
    EXPECT(nodes_leader(n) == other);
    nodes_boot(n, old);
    await_caught_up(n, old);
    EXPECT(nodes_stats(n, other).snapshots > 0);
}

/* It was never anybody's history, whatever a restart finds of it in the log. */
static void
what_a_snapshot_has_made_void_is_not_sent(void **state)
{
    static const uint64_t five[] = { 1, 2, 3, 4, 5 };
    struct nodes n;
    uint32_t old, away;

    (void)state;
    nodes_create_with_log(&n, test_seed(10), 5, 0);
    nodes_change(&n, five, 5);
    old = nodes_leader(&n);
    away = old == 5 ? 4 : 5;
    nodes_crash(&n, away);
    make_void(&n, old);
    nodes_put_many(&n, nodes_leader(&n), 5, 'a');
    nodes_crash(&n, old);
    nodes_boot(&n, old);
    await_caught_up(&n, old);
    hand_over(&n, old);
    nodes_boot(&n, away);
    await_caught_up(&n, away);
    EXPECT(nodes_leader(&n) == old);
    EXPECT(nodes_stats(&n, old).snapshots > 0);
    nodes_make_lead(&n, away);
    nodes_check_many(&n, away, MANY, 'a');
    EXPECT(strcmp(nodes_get(&n, away, "lost"), "nil") == 0);
    nodes_destroy(&n);
}

/* It does not wait for a heartbeat after each reading. */
static void
one_reading_follows_the_other(void **state)
{
    enum { HEARTBEAT_MS = 50 };
    struct nodes n;
    uint32_t away, leader;
    uint32_t passed_ms = 0;

    (void)state;
    nodes_create_with_log(&n, test_seed(11), 3, RESERVE_BYTES);
    away = follower(&n);
    leader = nodes_leader(&n);
    nodes_crash(&n, away);
    nodes_put_many(&n, leader, 2 * MANY, 'a');
    nodes_boot_all(&n);
    while (nodes_stats(&n, leader).log_readings < 2) /* the first may come before it is there */
        sim_run_ms(n.w, 1);
    for (; commit_of(&n, away) < commit_of(&n, leader); passed_ms++)
        sim_run_ms(n.w, 1);
    expect_log_alone(&n);
    EXPECT(nodes_stats(&n, leader).log_readings >= 4);
    EXPECT(passed_ms < nodes_stats(&n, leader).log_readings * HEARTBEAT_MS / 2);
    nodes_destroy(&n);
}

/* ------------------------------------------------------------------ damage */

struct search {
    struct nodes *n;
    uint32_t node;
    char letter;
    uint32_t flipped;
};

/* A bit in the middle of each value of the letter. */
static void
flip_in(void *ctx, const char *path, uint64_t size)
{
    struct search *s = ctx;
    struct buf bytes = buf_empty(1 << 20);
    uint32_t run = 0;

    (void)size;
    if (strstr(path, "log-0/") == NULL || !sim_disk_read(s->n->w, s->node, path, &bytes)) {
        buf_release(&bytes);
        return;
    }
    for (size_t i = 0; i < bytes.size; i++) {
        run = bytes.data[i] == (uint8_t)s->letter ? run + 1 : 0;
        if (run == NODES_LARGE_BYTES / 2) {
            EXPECT(sim_disk_flip(s->n->w, s->node, path, i, 3));
            s->flipped++;
        }
    }
    buf_release(&bytes);
}

static void
damage_is_said_and_answered_with_a_snapshot(void **state)
{
    struct nodes n;
    struct search s;
    uint32_t away;

    (void)state;
    nodes_create_with_log(&n, test_seed(5), 3, RESERVE_BYTES);
    away = follower(&n);
    nodes_crash(&n, away);
    nodes_put_many(&n, nodes_leader(&n), MANY, 'a');
    nodes_put_many(&n, nodes_leader(&n), MANY, 'b');
    s = (struct search){ &n, nodes_leader(&n), 'b', 0 };
    sim_disk_each(n.w, s.node, flip_in, &s);
    EXPECT(s.flipped > 0);
    nodes_boot_all(&n);
    await_caught_up(&n, away);
    EXPECT(nodes_leader(&n) == s.node);
    EXPECT(nodes_stats(&n, s.node).log_failures > 0);
    EXPECT(nodes_stats(&n, s.node).snapshots > 0);
    nodes_crash(&n, s.node); /* for good: it would not start with this log (P5) */
    hand_over(&n, away);
    nodes_check_many(&n, away, MANY, 'b');
    nodes_destroy(&n);
}

/* ------------------------------------------------------------------ failures */

typedef void fault_fn(struct nodes *n, uint32_t leader, uint32_t nth);

static void
fail_allocation(struct nodes *n, uint32_t leader, uint32_t nth)
{
    struct mem_heap *heap = sim_heap(n->w, leader);

    heap->fail_at = nth == 0 ? 0 : heap->allocation + nth;
}

static void
fail_reading(struct nodes *n, uint32_t leader, uint32_t nth)
{
    sim_fail(n->w, leader, SIM_OPEN | SIM_READ, nth, false, ST_IO);
}

/* Each in turn, while a member that was away catches up. */
static void
check_failures(uint64_t seed, fault_fn *strike, uint32_t count)
{
    struct nodes n;

    nodes_create_with_log(&n, seed, 3, RESERVE_BYTES);
    for (uint32_t nth = 1; nth <= count; nth++) {
        uint32_t leader = nodes_leader(&n);
        uint32_t away = leader == 3 ? 1 : 3;

        nodes_crash(&n, away);
        nodes_put_many(&n, leader, MANY / 2, (char)('a' + nth % 26));
        strike(&n, leader, nth);
        nodes_boot_all(&n);
        sim_run_ms(n.w, 1500);
        strike(&n, leader, 0);
        await_caught_up(&n, away);
    }
    EXPECT(nodes_stats(&n, nodes_leader(&n)).log_entries > count);
    nodes_check_many(&n, nodes_leader(&n), MANY / 2, (char)('a' + count % 26));
    nodes_destroy(&n);
}

static void
who_is_behind_catches_up_whatever_fails_once(void **state)
{
    (void)state;
    check_failures(test_seed(6), fail_allocation, 60);
    check_failures(test_seed(7), fail_reading, 12);
}

/* ------------------------------------------------------------------ what is kept */

static uint64_t
retained(struct nodes *n, uint32_t node)
{
    struct kv_stats stats;

    kv_stats(n->kv[node], &stats);
    return stats.engine.log_retained_bytes;
}

static void
fill_and_flush(struct nodes *n, uint32_t node)
{
    for (char round = 'a'; round <= 'd'; round++)
        nodes_put_many(n, node, MANY, round);
    nodes_flush(n, node);
    sim_run_ms(n->w, 1000);
}

static void
flushed_log_is_kept_for_others_only(void **state)
{
    enum { SEGMENT_BYTES = 128 << 10 };
    struct nodes n;
    uint32_t leader;

    (void)state;
    nodes_create_with_log(&n, test_seed(8), 3, RESERVE_BYTES);
    leader = nodes_leader(&n);
    fill_and_flush(&n, leader);
    EXPECT(retained(&n, leader) >= RESERVE_BYTES);
    EXPECT(retained(&n, leader) <= RESERVE_BYTES + 2 * SEGMENT_BYTES);
    nodes_crash(&n, leader);
    nodes_boot_all(&n);
    sim_run_ms(n.w, 1000);
    EXPECT(retained(&n, leader) >= RESERVE_BYTES); /* a start is no reason to let go */
    nodes_destroy(&n);
    nodes_create_with_log(&n, test_seed(8), 1, RESERVE_BYTES);
    fill_and_flush(&n, 1);
    EXPECT(retained(&n, 1) <= 2 * SEGMENT_BYTES);
    nodes_destroy(&n);
}

/* Before anything is refused for want of space; and where there is room again, it is kept again. */
static void
where_space_is_short_it_is_not_kept(void **state)
{
    struct nodes n;
    uint32_t leader;

    (void)state;
    nodes_create_with_log(&n, test_seed(9), 3, RESERVE_BYTES);
    leader = nodes_leader(&n);
    fill_and_flush(&n, leader);
    EXPECT(retained(&n, leader) >= RESERVE_BYTES);
    sim_set_capacity(n.w, leader, sim_disk_used(n.w, leader) + (1 << 20) - (64 << 10));
    sim_run_ms(n.w, 3000);
    EXPECT(retained(&n, leader) < RESERVE_BYTES / 2);
    EXPECT_OK(kv_writable(n.kv[leader]));
    for (char round = 'a'; round <= 'd'; round++) { /* nor does it come back by and by */
        nodes_put_many(&n, leader, MANY, round);
        EXPECT(retained(&n, leader) < RESERVE_BYTES / 4 * 3);
    }
    sim_set_capacity(n.w, leader, UINT64_C(1) << 40);
    sim_run_ms(n.w, 3000);
    fill_and_flush(&n, nodes_leader(&n));
    EXPECT(nodes_leader(&n) == leader);
    EXPECT(retained(&n, leader) >= RESERVE_BYTES);
    nodes_destroy(&n);
}

static uint64_t
size_of(struct nodes *n, uint32_t node, const char *path)
{
    struct buf bytes = buf_empty(16 << 20);
    uint64_t size;

    EXPECT(sim_disk_read(n->w, node, path, &bytes));
    size = bytes.size;
    buf_release(&bytes);
    return size;
}

/* What no compression makes small. */
static void
put_noise(struct nodes *n, uint32_t node, uint32_t count)
{
    char value[NODES_LARGE_BYTES + 1] = { 0 };
    char key[16];

    for (uint32_t i = 0; i < count; i++) {
        snprintf(key, sizeof(key), "noise%u", i);
        for (uint32_t at = 0; at < NODES_LARGE_BYTES; at++)
            value[at] = (char)('!' + prng_below(sim_prng(n->w), '~' - '!'));
        EXPECT_OK(nodes_put(n, node, key, value));
    }
}

/* The disk is full before anybody has looked at it: what is kept for followers goes before the reserve for
 * a full disk does.  A flush finds no room for its table, or before it the log none for a segment. */
static void
check_that_it_goes_before_the_reserve(uint64_t seed, uint32_t count, uint64_t left_bytes)
{
    struct nodes n;
    uint32_t leader;
    uint64_t reserve;

    nodes_create_with_log(&n, seed, 3, RESERVE_BYTES);
    leader = nodes_leader(&n);
    fill_and_flush(&n, leader);
    reserve = size_of(&n, leader, "data/RESERVE");
    EXPECT(reserve > 0 && retained(&n, leader) >= RESERVE_BYTES);
    put_noise(&n, leader, count);
    sim_set_capacity(n.w, leader, sim_disk_used(n.w, leader) + left_bytes);
    nodes_flush(&n, leader);
    EXPECT(retained(&n, leader) < RESERVE_BYTES);
    EXPECT_U64(size_of(&n, leader, "data/RESERVE"), reserve);
    nodes_destroy(&n);
}

static void
what_is_kept_for_others_goes_before_the_reserve(void **state)
{
    (void)state;
    check_that_it_goes_before_the_reserve(test_seed(12), 20, 12 << 10);
    check_that_it_goes_before_the_reserve(test_seed(12), 50, 16 << 10);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_member_that_was_away_is_sent_what_the_log_has),
        cmocka_unit_test(a_leader_that_was_started_anew_has_its_log_still),
        cmocka_unit_test(what_the_log_has_no_more_comes_as_a_snapshot),
        cmocka_unit_test(what_was_cut_off_is_not_sent),
        cmocka_unit_test(what_a_snapshot_has_made_void_is_not_sent),
        cmocka_unit_test(one_reading_follows_the_other),
        cmocka_unit_test(damage_is_said_and_answered_with_a_snapshot),
        cmocka_unit_test(who_is_behind_catches_up_whatever_fails_once),
        cmocka_unit_test(flushed_log_is_kept_for_others_only),
        cmocka_unit_test(where_space_is_short_it_is_not_kept),
        cmocka_unit_test(what_is_kept_for_others_goes_before_the_reserve),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
