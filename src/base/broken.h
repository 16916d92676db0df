/*
 * base/broken.h — mistakes that can be put back, to prove that a test sees them.
 *
 * A rule of the code is written as `if (!BROKEN(NAME) && ...)`.  In a build with -DDISTKV_MUTANTS=ON
 * one mistake at a time can be chosen by name; in every other build BROKEN() is false, and nothing
 * of it is left in the program.  `make mutants` runs the simulator against each.
 */
#ifndef BASE_BROKEN_H
#define BASE_BROKEN_H

#include <stdbool.h>

/* What is done wrong. */
#define BROKEN_RAFT_LIST(X)                                                                   \
 X(COMMIT_OLD_TERM, "entries of older terms are committed by counting (Raft, figure 8)")      \
 X(NO_NOOP, "a leader does not begin its term with an entry")                                 \
 X(COMMIT_ONLY_NEWEST, "commit moves only to the leader's newest entry")                      \
 X(CONFIG_NOT_ROLLED_BACK, "a truncated membership stays in force")                           \
 X(CONFIG_TOO_EARLY, "a membership changes before an entry of this term is committed")        \
 X(CONFIG_OVERLAP, "a membership changes while another change is uncommitted")                \
 X(CONFIG_JUMP, "voters change by more than one without a joint membership")                  \
 X(STAND_WHILE_INSTALLING, "a member stands for election while it installs a snapshot")       \
 X(APPEND_WHILE_INSTALLING, "entries are taken while a snapshot is being installed")          \
 X(ANSWER_OLD_TERM, "an append is acknowledged after the term has changed under it")          \
 X(LEAD_WITHOUT_DISK, "a leader whose log has failed goes on leading")                        \
 X(VOTE_BEFORE_DURABLE, "a vote is given before it is durable")                               \
 X(STAND_BEFORE_DURABLE, "votes are asked for, and counted, before our own is durable")       \
 X(ACK_BEFORE_DURABLE, "a follower acknowledges what is not durable")                         \
 X(LEADER_COUNTS_EARLY, "a leader counts itself before its entry is durable")                 \
 X(PERSISTED_BY_INDEX, "a late report of durability counts for entries that replaced others") \
 X(COMMIT_BEYOND_MATCH, "a follower commits beyond what is known to match")                   \
 X(VOTE_FORGOTTEN, "a pre-vote of the same term clears the vote")                             \
 X(VOTE_TWICE, "a member votes for two in one term")                                          \
 X(VOTE_STALE_LOG, "a vote is given to a log that lacks entries of ours")                     \
 X(LOST_LOG_FORGOTTEN, "who comes back without its log votes as if it had had none")          \
 X(COUNT_LEARNERS, "votes and acknowledgements of non-voters are counted")                    \
 X(JOINT_ONE_MAJORITY, "a joint membership is content with one majority")                     \
 X(ROUND_ANY, "a read is confirmed by the answer to an earlier round")                        \
 X(READ_WITHOUT_TERM, "a read is confirmed before an entry of this term is committed")        \
 X(LEASE_FROM_REPLY, "a lease counts from when the answer came, not from when we asked")      \
 X(LEASE_IN_TRANSFER, "a lease holds while leadership is being handed over")                  \
 X(VOTE_IN_LEASE, "a member votes although it has heard the leader lately")                   \
 X(KEEP_CONFLICT, "entries that conflict with the leader's are kept")                         \
 X(TRUNCATE_MATCHING, "entries that match are cut off when an old message repeats them")      \
 X(IGNORE_QUORUM_LOSS, "a leader that hears no majority goes on leading")                     \
 X(TERM_BACK_AFTER_RESTART, "the vote is forgotten in a restart")

/* What only a whole node can do wrong. */
#define BROKEN_STORE_LIST(X)                                                              \
 X(READ_UNCONFIRMED, "a leader answers reads without asking whether it still leads")      \
 X(READ_UNCOMMITTED, "reads do not wait for the commit of what they saw")                 \
 X(CLOCK_WITHOUT_FLOOR, "a new leader's time may be before what the last one used")       \
 X(RETRY_APPLIED_AGAIN, "a write that is repeated is applied again")                      \
 X(TICKET_EARLY, "entries are reported durable when only some of a message are")          \
 X(LEARNER_FORGOTTEN, "one voter sends its learners nothing")                             \
 X(RELEASE_UNFLUSHED, "log is released that no table has yet")                            \
 X(HEIR_EMPTY, "a part of a tablet is made empty where the tablet has still to be split") \
 X(ANSWER_FOR_HEIR, "a tablet answers for keys that it has left to another")              \
 X(ANSWER_IN_SPLIT, "who leads evaluates what it has proposed to leave to another")       \
 X(DURABLE_UNSYNCED, "what was written to the log is reported durable before its fsync")

#define BROKEN_LIST(X) BROKEN_RAFT_LIST(X) BROKEN_STORE_LIST(X)

enum broken {
    BROKEN_NOTHING,
#define BROKEN_ENUM(name, text) BROKEN_##name,
    BROKEN_RAFT_LIST(BROKEN_ENUM) BROKEN_RAFT_LIMIT,
    BROKEN_STORE_FIRST = BROKEN_RAFT_LIMIT - 1,
    BROKEN_STORE_LIST(BROKEN_ENUM)
#undef BROKEN_ENUM
        BROKEN_COUNT
};

#ifdef DISTKV_MUTANTS

extern enum broken broken_now;
# define BROKEN(name) (broken_now == BROKEN_##name)

#else

# define BROKEN(name) false

#endif

/* From now on this mistake, and no other.  False: this build has none. */
bool broken_choose(enum broken what);

/* For those who choose: "COMMIT_OLD_TERM" and what it does wrong; BROKEN_NOTHING: no such name. */
enum broken broken_find(const char *name);
const char *broken_name(enum broken what);
const char *broken_text(enum broken what);

#endif
