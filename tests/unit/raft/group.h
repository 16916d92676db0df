/*
 * unit/raft/group.h — members of one group in memory: logs that forget what was not durable, and a
 * network of packets that the test owns.
 *
 * After every step the whole group is held to the invariants of consensus (group_check.c):
 *
 *      election safety        one leader in a term
 *      log matching           an index and a term name one entry, and one before it
 *      leader completeness    a leader's log has everything that is committed
 *      state machine safety   what is applied at an index is the same everywhere
 *      durability             what a leader commits is durable on a majority
 *      reads                  a confirmed read, and one under a lease, sees whatever was committed when
 *                             it was asked
 *      stepping down          who reaches no majority, or whose disk has failed, does not lead for long
 *
 * A violation is printed with the way to replay it, and ends the process with code 3.
 */
#ifndef UNIT_RAFT_GROUP_H
#define UNIT_RAFT_GROUP_H

#include "base/prng.h"

#include "raft/raft.h"
#include "raft/witness.h"

enum {
    GROUP_NODES_MAX = 9,
    GROUP_LOG_MAX = 1 << 16,
    GROUP_PACKETS_MAX = 4096,
    GROUP_READS_MAX = 64,
    SLOW_MS_MAX = 400,   /* the slowest way */
    GROUP_VIOLATION = 3, /* exit code */
};

/* An entry as the driver has it: `value` stands for its bytes. */
struct cell {
    raft_term term;
    enum raft_entry_kind kind;
    uint64_t value;
    const struct raft_config *config;
};

/* What the state machine was at an index: enough to go on from. */
struct checkpoint {
    raft_index index;
    raft_term term;
    uint64_t digest; /* of all values applied */
    struct raft_config config;
};

struct image {
    struct checkpoint base;
    raft_index last;
    struct cell *cells; /* of base.index + 1 .. last, at their index - 1 */
    struct raft_hard hard;
};

/* What was given to the log under one ticket. */
struct gift {
    uint64_t ticket;
    uint64_t due_ns; /* when the disk will have it */
    bool hard_changed;
    struct raft_hard hard;
    raft_index truncate_from;
    raft_index first;
    raft_index last;
    struct cell *cells;
};

struct pending_read {
    uint64_t round;
    raft_index must_see; /* what was committed anywhere when it was asked */
};

struct packet {
    struct raft_message message;
    struct raft_entry *entries;  /* owned */
    struct checkpoint *snapshot; /* owned; a snapshot in one piece, instead of a message */
    uint64_t due_ns;
};

struct node {
    raft_id id;
    bool up;
    bool disk_failed;
    uint32_t life; /* counts its processes, from 1 */
    struct raft *raft;
    struct image log;     /* as the process sees it */
    struct image durable; /* as the disk has it */
    struct gift *gifts;   /* on their way to the disk, in order */
    uint32_t gift_count;
    raft_index applied;
    uint64_t digest;
    struct raft_config applied_config;
    struct checkpoint staged; /* a snapshot that is being installed */
    uint64_t install_due_ns;  /* 0: none */
    struct pending_read reads[GROUP_READS_MAX];
    uint32_t read_count;
    uint64_t tick_at_ns;
    int64_t clock_offset_ns;
    int32_t clock_ppm;
    uint64_t paused_until_ns;
    uint64_t reached_ns[GROUP_NODES_MAX + 1]; /* by id: when it and we could last hear each other */
    uint64_t leads_since_ns; /* awake, and by the same membership; 0: it does not */
    raft_index leads_config;
    uint64_t snapshot_until_ns[GROUP_NODES_MAX + 1]; /* by receiver: give it up then; 0: none */
    raft_index commit_checked;
};

struct written {
    uint64_t key; /* 0: free */
    raft_term prev_term;
    uint64_t value;
};

struct kept_config {
    struct kept_config *next;
    struct raft_config config;
};

struct group;

/* For traces: a step was made, and is about to be carried out; a message is sent, or is lost at once,
 * because the way is cut. */
typedef void group_trace_fn(struct group *g, struct node *n, const struct raft_event *e,
                            enum status st);
typedef void group_sent_fn(struct group *g, const struct raft_message *m, bool is_snapshot,
                           bool is_cut);

struct group {
    struct prng prng;
    uint64_t seed;
    uint64_t now_ns;
    uint64_t step;
    uint32_t node_count;
    struct node nodes[GROUP_NODES_MAX]; /* node i has id i + 1 */
    struct witness *witness;
    struct raft_options options; /* for new members: all but self, log and hard state */
    struct packet *packets;      /* GROUP_PACKETS_MAX of them */
    uint32_t packet_count;
    uint64_t delay_ns; /* a packet takes up to this long, */
    uint64_t slow_ns[GROUP_NODES_MAX + 1]
                    [GROUP_NODES_MAX + 1]; /* [from][to]: and up to so much longer */
    uint32_t loss_percent;
    uint32_t repeat_percent;
    bool cut[GROUP_NODES_MAX + 1][GROUP_NODES_MAX + 1]; /* [from][to]: nothing passes */
    uint64_t disk_ns;                                   /* a gift takes up to this long */
    uint64_t install_ns;                                /* and a snapshot */
    bool no_room;                                       /* there is no memory for raft_grow() */
    bool manual;                                        /* nothing happens but what the test says */
    uint64_t next_value;
    struct kept_config *configs;
    struct raft_effects fx; /* of the last step */
    group_trace_fn *trace;  /* NULL: none */
    group_sent_fn *sent;
    void *trace_ctx;

    /* what the checks remember */
    struct cell *committed;  /* by index - 1 */
    raft_term *committed_in; /* the term of the leader that did, by index - 1 */
    uint64_t *digests;       /* of the state machine after the index */
    raft_index committed_last;
    raft_id *leader_of;      /* by term */
    struct written *written; /* a hash table by (index, term) */
    uint64_t writes_acked;
    uint64_t reads_served;
    uint64_t lease_reads;
    uint64_t elections;
    uint64_t crashes;
    uint64_t installs;
    uint64_t changes;
    uint64_t truncations;
};

/* `voters` nodes that vote, out of `nodes`; the others are up and belong to no membership. */
struct group *group_create(uint64_t seed, uint32_t nodes, uint32_t voters,
                           const struct raft_options *options);
void group_destroy(struct group *g);

struct node *group_node(struct group *g, raft_id id);
struct node *group_leader(struct group *g); /* of the highest term; NULL */

/* Time passes, a millisecond at a step: ticks, packets, disks, and applying. */
void group_run_ms(struct group *g, uint32_t ms);

/* Until somebody leads, and everybody up knows; false after `ms`. */
bool group_elect(struct group *g, uint32_t ms);

/* One event for one node, with its effects carried out, and the group checked. */
enum status group_step(struct group *g, struct node *n, struct raft_event event);

enum status group_propose(struct group *g, struct node *n); /* a new value */
enum status group_read(struct group *g, struct node *n);
enum status group_change(struct group *g, struct node *n, const struct raft_config *target);
void group_crash(struct group *g,
                 struct node *n); /* the disk keeps a prefix of what was under way */
void group_start(struct group *g, struct node *n);
void group_compact(struct group *g, struct node *n); /* the log goes up to what is applied */
void group_fail_disk(struct group *g, struct node *n);

/* For manual groups. */
void group_tick(struct group *g, struct node *n, uint32_t ms); /* its clock goes on */
void group_sync(struct group *g, struct node *n);              /* all gifts are durable */
void group_apply(struct group *g, struct node *n);
void group_install(struct group *g, struct node *n); /* a snapshot that has come, if one has */
void group_send_appends(struct group *g, struct node *n);
void group_deliver(struct group *g, uint32_t packet); /* and take it out */
void group_drop(struct group *g, uint32_t packet);
void group_finish_install(struct group *g, struct node *n, bool ok);
void group_deliver_all(struct group *g); /* packets, disks and applying, until nothing moves */

/* Cut or heal all ways between these and the others. */
void group_isolate(struct group *g, const raft_id *ids, uint32_t count, bool cut);
void group_heal(struct group *g);

/* The invariants that need no event (group_check.c). */
void group_check(struct group *g, struct node *n);
void group_check_alone(struct group *g, struct node *n);
void group_wrote(struct group *g, raft_index index, raft_term prev_term, const struct cell *cell);
void group_committed(struct group *g, struct node *n, raft_index index);
_Noreturn void group_violation(struct group *g, const char *fmt, ...) PRINTF_LIKE(2, 3);

uint64_t group_digest_with(uint64_t digest, const struct cell *cell);

static inline bool
lease_holds(const struct raft *r, uint64_t now_ns)
{
    return now_ns < raft_lease_until(r);
}

#endif
