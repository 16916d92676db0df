/* A joint change may turn a voter into a learner.  Found by the oracle (tests/oracle/README.md,
 * found it first). */
#include "unit/raft/group.h"
#include "unit/test.h"

/* raft.h: RAFT_CHANGE's `config` is the target.  While the membership is joint the member votes with
 * the outgoing ones; afterwards it is to be what the target says. */
TEST(raft_keeps_a_voter_that_a_joint_change_makes_a_learner)
{
    struct raft_options options;
    struct raft_config target = {
        .voter_count = 2, .learner_count = 1, .voters = { 1, 4 }, .learners = { 2 }
    };
    struct group *g;
    struct node *leader;

    raft_options_default(&options);
    g = group_create(1, 4, 3, &options); /* 3 goes, 4 comes, 2 is demoted */
    do {
        EXPECT(group_elect(g, 10000));
        leader = group_leader(g);
        if (leader->id != 1)
            (void)group_step(g, leader, (struct raft_event){ .kind = RAFT_TRANSFER, .node = 1 });
        group_run_ms(g, 1000);
    } while (group_leader(g)->id != 1);
    leader = group_leader(g);

    EXPECT_OK(group_change(g, leader, &target));
    group_run_ms(g, 2000);

    EXPECT_U64(raft_config(leader->raft)->outgoing_count, 0);
    EXPECT(raft_config_equal(raft_config(leader->raft), &target));
    group_destroy(g);
}

TEST_MAIN(RUN(raft_keeps_a_voter_that_a_joint_change_makes_a_learner))
