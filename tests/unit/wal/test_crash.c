/* Power cuts and killed processes: before and after every call to env, also a second time while
 * the first is being recovered from; and proof that each sync is needed. */
#include "unit/test.h"
#include "unit/wal/fixture.h"
#include "unit/wal/life.h"

static void
expect_right(struct life *l, const char *what, uint64_t n)
{
    if (l->track->failure[0] != '\0')
        print_error("%s %llu: %s\n", what, (unsigned long long)n, l->track->failure);
    EXPECT_STR(l->track->failure, "");
}

/* ------------------------------------------------------------------ every call */

static uint64_t crash_nth;
static uint64_t kill_nth;

static void
arm_crash(struct life *l)
{
    sim_crash_at(l->sim, LIFE_NODE, SIM_OP_ALL, (crash_nth + 1) / 2, crash_nth % 2 == 0);
}

static void
arm_kill(struct life *l)
{
    l->kill_at = kill_nth;
}

/* The programme, cut at its n-th call; then again from there, cut at the m-th, which is mostly
 * inside recovery; then it must all be there. */
static bool
cut_twice(uint64_t seed, uint64_t first, uint64_t second)
{
    struct life *l = life_create(seed);
    bool cut;

    crash_nth = first;
    cut = life_run(l, arm_crash) == LIFE_CRASHED;
    expect_right(l, "first cut at", first);
    if (second > 0) {
        crash_nth = second;
        life_run(l, arm_crash);
        expect_right(l, "second cut at", second);
    }
    life_check(l);
    expect_right(l, "cut at", first * 1000 + second);
    life_destroy(l);
    return cut;
}

TEST(a_power_cut_at_any_call_loses_nothing_that_was_acknowledged)
{
    for (uint64_t seed = 1; seed <= life_effort(4); seed++) {
        for (uint64_t nth = 1; cut_twice(seed, nth, 0); nth++)
            EXPECT(nth < 10000);
    }
}

TEST(a_second_power_cut_during_recovery_loses_nothing_either)
{
    uint64_t step = life_effort(1) > 1 ? 1 : 9;

    for (uint64_t first = 1; cut_twice(first, first, 1); first += step) {
        for (uint64_t second = 2 + first % 2; second < 70; second += 2)
            cut_twice(first * 100 + second, first, second);
    }
}

/* A killed process leaves bytes that can be read and are not durable; then the power goes. */
TEST(a_kill_at_any_change_and_then_a_power_cut_lose_nothing)
{
    bool killed = true;

    for (kill_nth = 1; killed; kill_nth++) {
        for (uint64_t second = kill_nth % 5; second < 40; second += 5) {
            struct life *l = life_create(kill_nth * 100 + second);

            killed = life_run(l, arm_kill) == LIFE_CRASHED;
            crash_nth = second;
            life_run(l, arm_crash);
            expect_right(l, "killed at", kill_nth);
            life_check(l);
            expect_right(l, "killed at", kill_nth);
            life_destroy(l);
        }
    }
    EXPECT(kill_nth > 50);
}

/* The second process dies while it recovers: CHAIN may then be one that nobody ever synced.  The
 * third, which believes it, loses power; and the CHAIN before it counts again (W6). */
TEST(a_kill_during_recovery_and_then_a_power_cut_lose_nothing)
{
    bool killed = true;

    for (kill_nth = 1; killed; kill_nth++) {
        for (uint64_t third = 2 + kill_nth % 3; third < 60; third += 3) {
            struct life *l = life_create(kill_nth * 100 + third);

            crash_nth = 75; /* in the middle of the programme */
            life_run(l, arm_crash);
            killed = life_run(l, arm_kill) == LIFE_CRASHED && kill_nth < 40;
            crash_nth = third;
            life_run(l, arm_crash);
            expect_right(l, "killed at", kill_nth);
            life_check(l);
            expect_right(l, "killed at", kill_nth);
            life_destroy(l);
        }
    }
}

/* CHAIN comes to name a segment whose first batch, with the hard states, is not durable, and the
 * power goes: what takes its place must have them (W7). */
TEST(a_segment_that_lost_its_hard_states_does_not_stay_the_last)
{
    unsigned lost = 0;

    for (uint64_t seed = 1; seed <= 40; seed++) {
        struct fix *f = setup(seed);

        append_head(f, 7, "vote");
        for (int i = 0; i < 3; i++) {
            tend(f);
            append_big(f, 60000, 'x');
            if (i == 1)
                wal_release(f->wal, wal_durable(f->wal));
            flush(f, i < 2);
        }
        wal_release(f->wal, wal_durable(f->wal) - 60000);
        tend(f); /* the first goes, the third is named */
        EXPECT_U64(f->wal->chain_count, 2);
        crash(f);
        boot(f);
        open_stream(f);
        lost += strcmp(contents(f), "[7:vote],#60000") == 0;
        wal_release(f->wal, wal_end(f->wal)); /* all but what takes its place */
        append(f, "next");
        flush(f, true);
        tend(f);
        EXPECT_U64(f->wal->chain_count, 1);
        reopen(f);
        EXPECT(strncmp(contents(f), "[7:vote]", 8) == 0);
        teardown(f);
    }
    EXPECT(lost > 5);
}

/* ------------------------------------------------------------------ anything */

static void
arm_anything(struct life *l)
{
    struct prng *p = &l->prng;
    unsigned what = (unsigned)prng_below(p, 4);

    if (what == 0)
        l->kill_at = 1 + prng_below(p, 60);
    else if (what < 3)
        sim_crash_at(l->sim, LIFE_NODE, SIM_OP_ALL, 1 + prng_below(p, 120), prng_chance(p, 1, 2));
}

/* Some lives on one disk.  False when something was wrong. */
static bool
live_and_die(uint64_t seed, bool concurrent, enum sync_purpose swallow, uint64_t *swallowed,
             char *failure, size_t room)
{
    enum { LIVES = 6 };
    struct life *l = life_create(seed);
    bool right = true;

    l->drawn = true;
    l->concurrent = concurrent;
    l->swallow = swallow;
    for (int i = 0; i < LIVES && right; i++) {
        l->steps = (unsigned)prng_below(&l->prng, 60);
        life_run(l, arm_anything);
        *swallowed += l->shim.swallowed;
        right = l->track->failure[0] == '\0';
        if (right && !sim_running(l->sim, LIFE_NODE) && prng_chance(&l->prng, 1, 2))
            sim_crash(l->sim, LIFE_NODE);
    }
    if (right) {
        sim_crash(l->sim, LIFE_NODE);
        right = life_check(l);
    }
    snprintf(failure, room, "%s", l->track->failure);
    life_destroy(l);
    return right;
}

static bool
campaign(uint64_t seed, enum sync_purpose swallow, uint64_t *swallowed, char *failure, size_t room)
{
    return live_and_die(seed, false, swallow, swallowed, failure, room);
}

static void
run_campaigns(bool concurrent)
{
    uint64_t campaigns = life_effort(300);
    uint64_t seed = test_seed(1);
    uint64_t swallowed = 0;
    char failure[300];

    for (uint64_t i = 0; i < campaigns; i++) {
        bool right =
            live_and_die(seed + i, concurrent, SYNC_NONE, &swallowed, failure, sizeof(failure));

        if (!right)
            print_error("replay with TEST_SEED=%llu: %s\n", (unsigned long long)(seed + i),
                        failure);
        EXPECT(right);
    }
}

TEST(many_lives_with_crashes_lose_nothing)
{
    run_campaigns(false);
}

TEST(appending_flushing_and_tending_at_once_with_crashes_lose_nothing)
{
    run_campaigns(true);
}

/* A process dies between writing a mark and syncing it; the next one finds the stream clean, goes
 * on behind the mark, and loses power.  Had it not written the mark again and synced it, then the
 * mark could be lost while a record behind it, which knows that everything up to there is durable,
 * is not: a crash that looks like damage. */
static bool
mark_campaign(uint64_t seed, enum sync_purpose swallow, uint64_t *swallowed, char *failure,
              size_t room)
{
    struct fix *f = setup(seed);
    enum status st;

    append(f, "alpha");
    flush(f, true);
    EXPECT_OK(wal_mark(f->wal, &f->err));
    flush(f, false);
    kill9(f);
    boot(f);
    f->shim.swallow = swallow;
    open_stream(f);
    EXPECT(f->report.clean);
    for (int i = 0; i < 6; i++)
        append_big(f, 300, 'b');
    flush(f, false);
    *swallowed += f->shim.swallowed;
    crash(f);
    boot(f);
    st = try_open(f);
    snprintf(failure, room, "%s", st == ST_OK ? "" : f->err.text);
    if (st == ST_OK && strncmp(contents(f), "alpha", 5) != 0)
        snprintf(failure, room, "lost what was marked");
    teardown(f);
    return failure[0] == '\0';
}

TEST(a_mark_that_was_read_but_never_synced_misleads_nobody)
{
    uint64_t swallowed = 0;
    char failure[300];

    for (uint64_t seed = 1; seed <= 100; seed++) {
        mark_campaign(seed, SYNC_NONE, &swallowed, failure, sizeof(failure));
        EXPECT_STR(failure, "");
    }
}

/* A test of the tests: with any one kind of sync left out, the same campaign goes wrong. */
TEST(every_sync_is_needed)
{
    enum { CAMPAIGNS_MAX = 1000 };

    for (int purpose = 0; purpose < SYNC_PURPOSE_COUNT; purpose++) {
        bool (*run)(uint64_t, enum sync_purpose, uint64_t *, char *, size_t) =
            purpose == SYNC_MARK ? mark_campaign : campaign;
        uint64_t swallowed = 0;
        char failure[300] = "";
        uint64_t seed = 1;

        while (seed <= CAMPAIGNS_MAX &&
               run(seed, (enum sync_purpose)purpose, &swallowed, failure, sizeof(failure)))
            seed++;
        print_message("without %-12s %4llu swallowed, wrong at seed %llu: %s\n",
                      sync_purpose_names[purpose], (unsigned long long)swallowed,
                      (unsigned long long)seed, failure);
        EXPECT(seed <= CAMPAIGNS_MAX);
    }
}

TEST_MAIN(RUN(a_power_cut_at_any_call_loses_nothing_that_was_acknowledged),
          RUN(a_second_power_cut_during_recovery_loses_nothing_either),
          RUN(a_kill_at_any_change_and_then_a_power_cut_lose_nothing),
          RUN(a_kill_during_recovery_and_then_a_power_cut_lose_nothing),
          RUN(a_segment_that_lost_its_hard_states_does_not_stay_the_last),
          RUN(many_lives_with_crashes_lose_nothing),
          RUN(appending_flushing_and_tending_at_once_with_crashes_lose_nothing),
          RUN(a_mark_that_was_read_but_never_synced_misleads_nobody), RUN(every_sync_is_needed))
