/*
 * oracle/differ.h — where the two cores may differ, each with a name, and how often they did.
 *
 * There is no tolerance but these.  Each has an exact condition, at the place that calls
 * differ_count(); README.md says why ours is right, or that it does no harm.
 */
#ifndef ORACLE_DIFFER_H
#define ORACLE_DIFFER_H

#include <stdbool.h>
#include <stdint.h>

#define DIFFERENCE_LIST(X)                                                               \
 X(ACK_IS_A_MAXIMUM, "we acknowledge all that this leader's appends have matched")       \
 X(ACK_BELOW_COMMIT, "an append before our commit: etcd acknowledges the commit")        \
 X(APPEND_ACROSS_COMMIT, "an append across our commit: etcd takes nothing of it")        \
 X(REFUSAL_HINT, "we say where terms may meet, etcd where its log ends")                 \
 X(PREVOTE_OF_OWN_TERM, "a pre-vote for a term that we are in: we refuse")               \
 X(STALE_PREVOTE_REPLY, "a pre-vote granted for another term: we do not count it")       \
 X(FORMER_LEADER_ASKS, "our leader itself asks: no lease protects it from itself")       \
 X(STRANGER_RAISES_TERM, "a reply of a later term from no member: we enter the term")    \
 X(HEARTBEAT_BEYOND_LOG, "a heartbeat commits beyond the log")                           \
 X(HEARTBEAT_OF_NEW_TERM, "the first heartbeat of a term: we answer the next one")       \
 X(TWO_LEADERS, "an append of another leader in our term: we say corrupt")               \
 X(REPLY_BEYOND_LOG, "a reply beyond our log: we say corrupt")                           \
 X(COMMIT_DENIED, "an append denies what is committed: we always say corrupt")           \
 X(CHANGE_BEFORE_OWN_ENTRY, "a change before our term's first entry is committed")       \
 X(REFUSED_CHANGE_IS_AN_ENTRY, "etcd appends an empty entry for a change it refuses")    \
 X(MEMBERSHIP_IN_FLIGHT, "ours is in force when appended, etcd's when applied")          \
 X(TIMEOUT_NOW_AGAIN, "asked again, or answered again, we tell the heir again")          \
 X(READ_BEFORE_OWN_ENTRY, "a read of before our term's first entry needs no new round")  \
 X(ROUND_IS_A_MAXIMUM, "an answer to a later round confirms the earlier ones")           \
 X(COMMIT_FORGOTTEN, "a restarted member hears from a leader what is committed")         \
 X(COMMIT_NOT_TOLD, "whoever's answers do not arrive is not told what is committed")     \
 X(UNHEARD_HAS_MORE, "to one who does not answer, one of the leaders has sent more")     \
 X(REMOVED_IS_NOT_TOLD, "we send a removed member nothing, not even that it is removed") \
 X(LEAVER_STANDS, "no voter any more, but, restarted, not sure that it is committed")    \
 X(LEADER_LEAVES, "a leader that was removed hands over; etcd's stays")

enum difference {
#define DIFFERENCE_ENUM(name, text) DIFFER_##name,
    DIFFERENCE_LIST(DIFFERENCE_ENUM)
#undef DIFFERENCE_ENUM
        DIFFER_COUNT
};

void differ_count(enum difference what);

/* A line for each: how often, its name, what it is. */
void differ_print(void);

#endif
