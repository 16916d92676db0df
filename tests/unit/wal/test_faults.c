/* Every call to env and every allocation fails in turn, once and for good: nothing leaks, nothing
 * that was acknowledged is lost, and the stream opens again. */
#include "unit/test.h"
#include "unit/wal/life.h"

static struct {
    unsigned ops;
    uint64_t nth;
    bool for_good;
    enum status st;
} fault;

static void
arm_call(struct life *l)
{
    sim_fail(l->sim, LIFE_NODE, fault.ops, fault.nth, fault.for_good, fault.st);
}

static void
arm_memory(struct life *l)
{
    sim_heap(l->sim, LIFE_NODE)->fail_at = fault.nth;
    sim_heap(l->sim, LIFE_NODE)->fail_for_good = fault.for_good;
}

/* The programme with the fault (`before` lives without one came first); then, with or without a
 * power cut, everything is checked.  How many calls that matter the faulty life made, in `*count`. */
static void
run_with_fault(uint64_t seed, unsigned before, void (*arm)(struct life *l), bool power_cut,
               uint64_t *count)
{
    struct life *l = life_create(seed);

    for (unsigned i = 0; i < before; i++)
        life_run(l, NULL);
    EXPECT_STR(l->track->failure, "");
    l->forgiving = true;
    life_run(l, arm); /* ends cleanly, or sim_end() finds the leak */
    *count = sim_op_count(l->sim, LIFE_NODE, fault.ops);
    if (arm == arm_memory)
        *count = sim_heap(l->sim, LIFE_NODE)->allocation;
    if (l->track->failure[0] != '\0')
        print_error("fault %llu: %s\n", (unsigned long long)fault.nth, l->track->failure);
    EXPECT_STR(l->track->failure, "");
    if (power_cut)
        sim_crash(l->sim, LIFE_NODE);
    life_check(l);
    if (l->track->failure[0] != '\0')
        print_error("after fault %llu: %s\n", (unsigned long long)fault.nth, l->track->failure);
    EXPECT_STR(l->track->failure, "");
    life_destroy(l);
}

static void
fail_each(void (*arm)(struct life *l), unsigned ops, enum status st)
{
    fault.ops = ops;
    fault.st = st;
    for (unsigned variant = 0; variant < 4; variant++) {
        unsigned before = variant & 1;
        uint64_t count, ignored;

        fault.for_good = (variant & 2) != 0;
        fault.nth = 0; /* none, to count them */
        run_with_fault(1, before, arm, false, &count);
        EXPECT(count > 10);
        for (fault.nth = 1; fault.nth <= count + 5; fault.nth++)
            run_with_fault(fault.nth, before, arm, fault.nth % 2 == 0, &ignored);
    }
}

TEST(any_call_may_fail)
{
    fail_each(arm_call, SIM_OP_ALL, ST_IO);
}

TEST(any_call_that_takes_room_may_find_the_disk_full)
{
    fail_each(arm_call, SIM_OPEN | SIM_WRITE | SIM_FILL | SIM_RENAME | SIM_MAKE_DIR, ST_NO_SPACE);
}

/* The kernel has forgotten the dirty pages: only P4 stands between that and a lie. */
TEST(any_sync_may_fail)
{
    fail_each(arm_call, SIM_SYNC | SIM_SYNC_DIR, ST_IO);
}

TEST(any_allocation_may_fail)
{
    fail_each(arm_memory, 0, ST_OK);
}

static void
arm_anything(struct life *l)
{
    struct prng *p = &l->prng;

    if (prng_chance(p, 1, 2))
        sim_fail(l->sim, LIFE_NODE, 1u << prng_below(p, 13), 1 + prng_below(p, 10),
                 prng_chance(p, 1, 2), prng_chance(p, 1, 2) ? ST_IO : ST_NO_SPACE);
    if (prng_chance(p, 1, 4)) {
        sim_heap(l->sim, LIFE_NODE)->fail_at = 1 + prng_below(p, 100);
        sim_heap(l->sim, LIFE_NODE)->fail_for_good = prng_chance(p, 1, 2);
    }
    if (prng_chance(p, 1, 2))
        sim_crash_at(l->sim, LIFE_NODE, SIM_OP_ALL, 1 + prng_below(p, 100), prng_chance(p, 1, 2));
    if (prng_chance(p, 1, 4))
        l->kill_at = 1 + prng_below(p, 60);
}

TEST(faults_and_crashes_together_lose_nothing)
{
    enum { LIVES = 8 };
    uint64_t campaigns = life_effort(200);
    uint64_t seed = test_seed(1);

    for (uint64_t i = 0; i < campaigns; i++) {
        struct life *l = life_create(seed + i);

        l->drawn = true;
        l->forgiving = true;
        for (int life = 0; life < LIVES && l->track->failure[0] == '\0'; life++) {
            l->steps = (unsigned)prng_below(&l->prng, 50);
            life_run(l, arm_anything);
            if (prng_chance(&l->prng, 1, 3))
                sim_crash(l->sim, LIFE_NODE);
        }
        life_check(l);
        if (l->track->failure[0] != '\0')
            print_error("replay with TEST_SEED=%llu: %s\n", (unsigned long long)(seed + i),
                        l->track->failure);
        EXPECT_STR(l->track->failure, "");
        life_destroy(l);
    }
}

TEST_MAIN(RUN(any_call_may_fail), RUN(any_call_that_takes_room_may_find_the_disk_full),
          RUN(any_sync_may_fail), RUN(any_allocation_may_fail),
          RUN(faults_and_crashes_together_lose_nothing))
