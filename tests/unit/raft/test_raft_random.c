/* Random lives of a group.  TEST_SEED runs one of them, TEST_LIVES says how many, TEST_SECONDS how long. */
#include "unit/raft/swarm.h"
#include "unit/test.h"

enum { LIVES = 60, SECONDS = 20 };

static uint32_t
number_from(const char *name, uint32_t fallback)
{
    const char *text = getenv(name);

    return text != NULL ? (uint32_t)strtoul(text, NULL, 0) : fallback;
}

TEST(raft_keeps_its_promises_whatever_happens)
{
    uint64_t seed = test_seed(1);
    uint32_t lives = number_from("TEST_LIVES", getenv("TEST_SEED") != NULL ? 1 : LIVES);
    uint32_t seconds = number_from("TEST_SECONDS", SECONDS);
    struct swarm_marks m = { 0 };

    for (uint32_t i = 0; i < lives; i++)
        swarm_run(seed + i, seconds, &m);
    print_message("%u lives of %u s: %llu steps, %llu writes, %llu reads, %llu by lease, "
                  "%llu elections, %llu crashes, %llu failed disks\n"
                  "%llu snapshots, %llu changes, %llu of them joint, %llu transfers, "
                  "%llu truncations, %llu asleep\n",
                  lives, seconds, (unsigned long long)m.steps, (unsigned long long)m.writes,
                  (unsigned long long)m.reads, (unsigned long long)m.lease_reads,
                  (unsigned long long)m.elections, (unsigned long long)m.crashes,
                  (unsigned long long)m.disk_failures, (unsigned long long)m.installs,
                  (unsigned long long)m.changes, (unsigned long long)m.joint_changes,
                  (unsigned long long)m.transfers, (unsigned long long)m.truncations,
                  (unsigned long long)m.sleeps);
    if (lives < LIVES)
        return;
    EXPECT(m.writes > 0 && m.reads > 0 && m.lease_reads > 0 && m.elections > 0 && m.crashes > 0);
    EXPECT(m.installs > 0 && m.joint_changes > 0 && m.transfers > 0 && m.truncations > 0);
    EXPECT(m.disk_failures > 0 && m.sleeps > 0);
}

TEST_MAIN(RUN(raft_keeps_its_promises_whatever_happens))
