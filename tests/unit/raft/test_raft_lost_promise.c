/* A member whose disk has lost what it had acknowledged must be found out.  Found by the oracle
 * (tests/oracle). */
#include "raft/raft.h"
#include "unit/test.h"

/* A leader tells each member no commit beyond what that has acknowledged.  So a heartbeat that goes
 * beyond the log means that entries were acknowledged and are gone (raft.h: ST_CORRUPT).  Taken as it is,
 * the member stays behind for ever, and counts as one who has them. */
TEST(raft_sees_that_acknowledged_entries_are_gone)
{
    struct raft_message heartbeat = { .kind = RAFT_HEARTBEAT, .from = 2, .to = 1, .term = 3 };
    struct raft_event e = { .kind = RAFT_RECEIVE, .message = &heartbeat };
    struct raft_entry entry = { .term = 2, .kind = RAFT_DATA };
    struct raft_options options;
    struct raft_effects fx;
    struct raft *r;

    raft_options_default(&options);
    options.self = 1;
    options.config = (struct raft_config){ .voter_count = 3, .voters = { 1, 2, 3 } };
    options.hard.term = 3;
    EXPECT_OK(raft_create(&r, &options));
    EXPECT_OK(raft_restore(&r, 1, &entry));

    heartbeat.commit = 2;
    EXPECT_ST(raft_step(r, &e, &fx), ST_CORRUPT);
    raft_destroy(r);
}

TEST_MAIN(RUN(raft_sees_that_acknowledged_entries_are_gone))
