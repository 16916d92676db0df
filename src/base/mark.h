/*
 * base/mark.h — rare places that a campaign of simulations must have been to.
 *
 * A fault that never meets the code it is meant for proves nothing, and nobody sees it.  So a place
 * that matters has a name here, whoever comes by counts it, and a campaign in which one was never
 * counted fails (docs/TESTING.md).  A mark is hit by the code itself, or by the simulator that sees
 * from outside what has happened; it is for places that are seldom come by, and costs an atomic
 * increment.
 *
 * The counters are of the whole process, and any thread may count.
 */
#ifndef BASE_MARK_H
#define BASE_MARK_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

/* The last column: how many nodes it takes at least. */
#define MARK_LIST(X)                                                                          \
 X(POWER_CUT, "a power cut of a running node", 1)                                             \
 X(CUT_UNSYNCED_LOG, "a power cut while records of the log were not durable", 1)              \
 X(CUT_UNSYNCED_TABLE, "a power cut in the middle of writing a table", 1)                     \
 X(CUT_UNSYNCED_MANIFEST, "a power cut between manifest append and sync", 1)                  \
 X(DIED_IN_CALL, "a power cut in the middle of a call to the disk", 1)                        \
 X(DIED_IN_RECOVERY, "a power cut in the middle of a recovery", 1)                            \
 X(KILLED, "a killed process whose page cache stays", 1)                                      \
 X(CUT_AFTER_KILL, "a power cut after a kill, before anything ran again", 1)                  \
 X(STOPPED_CLEAN, "an orderly stop under load", 1)                                            \
 X(TORN_TAIL, "a recovery that cut a torn tail", 1)                                           \
 X(REWRITTEN, "a recovery that rewrote what no watermark proved durable", 1)                  \
 X(RECOVERED_CLEAN, "a recovery from a log that was closed", 1)                               \
 X(REPLAYED, "a recovery that replayed records", 1)                                           \
 X(FLUSHED, "a flush under load", 1)                                                          \
 X(COMPACTED, "a compaction under load", 1)                                                   \
 X(STALLED, "a write that had to wait for background work", 1)                                \
 X(DISK_FAILED, "a log that failed for good (P4)", 1)                                         \
 X(DISK_FULL, "a write that was refused because the disk was full", 1)                        \
 X(RESUMED_AFTER_FULL, "a write after the disk had been full, without a restart", 1)          \
 X(START_REFUSED, "a start that failed because of the disk", 1)                               \
 X(PAUSED, "a node that stood still with requests under way", 1)                              \
 X(CLOCK_BACK, "a wall clock that was set back under load", 1)                                \
 X(REQUEST_UNKNOWN, "a request that ended with an unknown outcome", 1)                        \
 X(REQUEST_TIMEOUT, "a request whose deadline passed", 1)                                     \
 X(CLIENT_GAVE_UP, "a client that waited no longer, though its request went on", 1)           \
 X(CAS_MISMATCH, "a write whose precondition no longer held", 1)                              \
 X(REPEATED_WRITE, "a client that repeated a write whose outcome it did not know", 1)         \
 X(STATES_COMPARED, "two members whose states at one index were compared", 2)                 \
 X(SNAPSHOT, "a snapshot for a member that was behind", 2)                                    \
 X(READ_FROM_LOG, "entries read back from the log for a member that was behind", 2)           \
 X(ROT, "a table with a bit that went bad", 3)                                                \
 X(ROT_MET, "a request that met one, and was told so", 3)                                     \
 X(INSTALLED, "a snapshot that was installed", 2)                                             \
 X(ENTRIES_CUT, "entries that another leader had cut off", 2)                                 \
 X(JOINT, "a joint membership", 2)                                                            \
 X(DEPOSED, "a leader that lost office with requests under way", 2)                           \
 X(RETRY_ANSWERED, "a repeated write that was answered from its record", 1)                   \
 X(MEMBERS, "a change of members that was begun", 2)                                          \
 X(TRANSFER, "a leader that was told to hand over", 2)                                        \
 X(AT_DOOR, "a request that reached a node that stood still", 1)                              \
 X(NEW_LEADER, "what befell a leader that had only just become it", 2)                        \
 X(IN_INSTALL, "what befell a node in the middle of installing a snapshot", 2)                \
 X(ELECTED_UNDER_LOAD, "somebody who became leader while clients waited", 2)                  \
 X(RELEASED_IN_SHIPMENT, "log that a member lacks, let go while it was sent a snapshot", 2)   \
 X(NODE_ENTERED, "a node that was let into its cluster", 3)                                   \
 X(NODE_REFUSED, "a node that was not", 3)                                                    \
 X(REPLICA_MADE, "a replica that was made because the metadata says so", 3)                   \
 X(REPLICA_DROPPED, "a replica that was dropped because the metadata says so", 3)             \
 X(MEMBERS_SWAPPED, "a movement in which one member took another's place", 3)                 \
 X(PLAN_LOST, "a plan of a steward that the metadata was past already", 3)                    \
 X(NODE_REMOVED, "a node that was drained, removed, and came back as a new one", 3)           \
 X(NODE_GIVEN_UP, "a node that was silent for so long that others took its place", 3)         \
 X(SPLIT, "a tablet that left a part of its keys to another", 3)                              \
 X(SPLIT_ABANDONED, "a leader that lost office between proposing a split and applying it", 3) \
 X(HEIR_THERE_ALREADY, "a split whose heir was there before its entry was applied", 3)        \
 X(HEIR_BORN_AGAIN, "an heir whose head was given again by a replay", 3)                      \
 X(KEY_MOVED, "a request that was told that its key is another tablet's now", 3)

enum mark {
#define MARK_ENUM(name, text, nodes) MARK_##name,
    MARK_LIST(MARK_ENUM)
#undef MARK_ENUM
        MARK_COUNT
};

extern _Atomic uint64_t mark_counts[MARK_COUNT];

static inline void
mark_hit(enum mark m)
{
    atomic_fetch_add_explicit(&mark_counts[m], 1, memory_order_relaxed);
}

static inline void
mark_hit_if(bool condition, enum mark m)
{
    if (condition)
        mark_hit(m);
}

uint64_t mark_count(enum mark m);
void marks_reset(void);

/* "POWER_CUT"; in words; and the least number of nodes. */
const char *mark_name(enum mark m);
const char *mark_text(enum mark m);
uint32_t mark_nodes(enum mark m);

#endif
