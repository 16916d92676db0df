/*
 * raft/raft.h — consensus as a pure function (Ongaro and Ousterhout, "In Search of an
 * Understandable Consensus Algorithm", 2014; Ongaro's thesis, 2014).
 *
 * One member of one group.  It does no I/O, reads no clock, draws no random
 * number that it was not given, and no step allocates.  It
 * is a value that is told what happened, and says what must be done:
 *
 *      message, tick, proposal,                     append to the log, persist
 *      "durable up to here",        +--------+      messages to send
 *      "applied up to there"  ----> |  raft  | ---> commit, reads, role
 *                                   +--------+      appends and snapshots to send
 *             raft_step()                             struct raft_effects
 *
 * It does not hold the entries: only their indexes, terms, and the memberships
 * among them.  The driver has the log, and moves the bytes.
 *
 * THE CONTRACT OF raft_step(), in the order in which effects are carried out
 *
 *   1. LOG.  With `ticket` != 0: entries at and after `truncate_from` (if not
 *      0) are dropped, then entries append_first..append_last are appended, then the
 *      hard state if `hard_changed`.  Start making this durable, in the order of tickets, and
 *      report RAFT_PERSISTED with the ticket when it is; one report may stand for all tickets
 *      before it.  Nobody waits for it here.
 *   2. MESSAGES may be sent at once: what needs durable state first is said only after
 *      RAFT_PERSISTED.  They may be lost, repeated, delayed and reordered.
 *   3. APPLY entries up to raft_applicable(), in order; report RAFT_APPLIED.
 *   4. READS of rounds up to raft_confirmed_round() may be answered once everything up to
 *      raft_commit() as of now is applied.
 *   5. Once in a while, best when a batch of steps is over: raft_next_append() and
 *      raft_next_snapshot() until they have nothing more.
 *
 * If the process ends, whatever was not durable is gone; raft_create() with what is left, and
 * raft_restore() for each entry of the log, go on from there.
 *
 * TIME is the driver's: `now_ns` never runs backwards (CLOCK_BOOTTIME).  Timeouts are drawn from
 * the `dice` that come with ticks.
 *
 * QUIESCENCE.  A group in which all is said goes to sleep: it sends nothing and wants no ticks
 * (raft_is_quiesced()).  The driver then watches the nodes instead (one heartbeat per pair of
 * them), and says RAFT_SILENT when one has not been heard for an election timeout or has been
 * started anew.
 *
 * IMPOSED MEMBERSHIPS.  When a majority of the voters is gone for good, nobody can be elected any more.
 * RAFT_IMPOSE makes one member that is left the only voter, by order: it enters `term`, and when that is
 * durable, leads in it, with the membership as the first entry of the term.  What its log holds is then
 * committed; what only others held is lost, were it committed a hundred times.  This is the one thing
 * here that breaks what consensus promises, and the caller answers for it:
 *
 *      those who are gone never come back as who they were;
 *      of those who are left, the one with the newest log is chosen, among those that have all that any
 *          of them knows to be committed (or it and they contradict each other for ever);
 *      `term` is above every term that anybody, dead or alive, has seen;
 *      others who are left are in `config` as learners, so that they hear of it, and vote no more by the
 *          membership before.
 *
 * Not thread-safe.  Invariants R1..: raft.c.  Where we differ from the paper: README.md.
 * Depends on: base.
 */
#ifndef RAFT_RAFT_H
#define RAFT_RAFT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/slice.h"
#include "base/status.h"

struct raft;

typedef uint64_t raft_index; /* 1-based; 0 is before the first entry */
typedef uint64_t raft_term;
typedef uint64_t raft_id; /* 0 is nobody */

enum {
    /* Voters of one majority; beyond, a group is slower and no safer. */
    RAFT_VOTERS_MAX = 9,
    /* Members of all kinds; a joint membership has up to two sets of voters. */
    RAFT_MEMBERS_MAX = 16,
    /* A step sends each other member at most two messages. */
    RAFT_MESSAGES_MAX = 2 * RAFT_MEMBERS_MAX,
};

/* ------------------------------------------------------------------ membership */

/* Each list in ascending order, without repetition; no learner is in `voters`.  A learner that is in
 * `outgoing` votes until the joint membership is left. */
struct raft_config {
    uint32_t voter_count;
    uint32_t outgoing_count; /* not 0: joint; a majority of `outgoing` is needed as well */
    uint32_t learner_count;
    raft_id voters[RAFT_VOTERS_MAX];
    raft_id outgoing[RAFT_VOTERS_MAX];
    raft_id learners[RAFT_MEMBERS_MAX];
};

bool raft_config_is_valid(const struct raft_config *c);
bool raft_config_equal(const struct raft_config *a, const struct raft_config *b);
bool raft_config_votes(const struct raft_config *c, raft_id id); /* in either set */
bool raft_config_has(const struct raft_config *c, raft_id id);

/* ------------------------------------------------------------------ entries and messages */

enum raft_entry_kind {
    RAFT_DATA,   /* what was proposed */
    RAFT_NOOP,   /* the first of a term; has no data */
    RAFT_CONFIG, /* a membership; in force as soon as it is in the log */
    RAFT_ENTRY_KIND_COUNT
};

struct raft_entry {
    raft_term term;
    enum raft_entry_kind kind;
    const struct raft_config *config; /* RAFT_CONFIG: borrowed */
    struct slice data;                /* the driver's; not looked at here */
};

enum raft_message_kind {
    RAFT_PREVOTE, /* would you vote for me in `term`? */
    RAFT_PREVOTE_REPLY,
    RAFT_VOTE,
    RAFT_VOTE_REPLY,
    RAFT_APPEND, /* made by the driver from struct raft_append */
    RAFT_APPEND_REPLY,
    RAFT_HEARTBEAT,
    RAFT_HEARTBEAT_REPLY,
    RAFT_TIMEOUT_NOW, /* stand at once: the leader hands over */
    RAFT_MESSAGE_KIND_COUNT
};

/* How much a leader has sent to this member so far; echoed when it is durable there. */
struct raft_flow {
    uint64_t messages;
    uint64_t bytes;
};

/* Plain data, but for `entries`.  What each kind uses is said beside the field. */
struct raft_message {
    enum raft_message_kind kind;
    raft_id from;
    raft_id to;
    raft_term term;
    raft_index index;   /* PREVOTE, VOTE: the last entry; APPEND: the entry before `entries`;
                         * APPEND_REPLY: durable and matching up to here, or, when `reject`, the
                         * `index` that was refused */
    raft_term log_term; /* its term: PREVOTE, VOTE, APPEND */
    raft_index commit;  /* APPEND, HEARTBEAT */
    bool reject;        /* the replies to votes and APPEND_REPLY */
    bool force;         /* PREVOTE, VOTE: a transfer; the old leader is no reason to refuse */
    bool quiesce;       /* HEARTBEAT: all is said */
    bool quiet; /* APPEND, of the receiver's driver: it left the entries out, and they are to come
                         * again later; no reply, unless it is refused */
    raft_index hint; /* APPEND_REPLY: received up to here; when `reject`: try here next */
    raft_term hint_term;
    uint64_t round;                   /* HEARTBEAT; echoed */
    uint64_t sent_ns;                 /* HEARTBEAT: the leader's clock; echoed */
    struct raft_flow flow;            /* APPEND; echoed */
    uint32_t entry_count;             /* APPEND */
    const struct raft_entry *entries; /* borrowed */
};

/* ------------------------------------------------------------------ events */

enum raft_event_kind {
    RAFT_TICK,      /* time has passed; wanted every heartbeat interval or more often */
    RAFT_RECEIVE,   /* `message` has arrived */
    RAFT_PROPOSE,   /* append an entry of `bytes` */
    RAFT_CHANGE,    /* append a membership: `config` is the target, never joint */
    RAFT_PERSISTED, /* durable: everything up to `ticket` */
    RAFT_APPLIED,   /* the state machine is at `index`; `bytes` of entries since the last report */
    RAFT_READ,      /* begin a round of confirmation: see raft_round() */
    RAFT_TRANSFER,  /* hand over to `node`; 0: to whom is nearest */
    RAFT_CAMPAIGN,  /* stand now (a lone voter; an operator), unless a leader was just heard */
    RAFT_IMPOSE,    /* an operator: lead by `config` from `term` on, whoever is gone (see below) */
    RAFT_COMPACTED, /* the log begins after `index`, which is applied */
    RAFT_SNAPSHOT_SENT,  /* `node` has (`ok`) installed the snapshot at `index`, or has not */
    RAFT_SNAPSHOT_OFFER, /* a leader (`message`: from, term, index, log_term) offers one */
    RAFT_SNAPSHOT_STAGED, /* a whole snapshot at `index`, `term`, `config` is ready to be installed */
    RAFT_INSTALLED,       /* it has (`ok`) been, durably, or has not */
    RAFT_UNREACHABLE,     /* what was sent to `node` lately may be lost */
    RAFT_SILENT,          /* nothing was heard of `node` for an election timeout, or it restarted */
    RAFT_DISK_FAILED,     /* our log takes no more: final (P4) */
    RAFT_EVENT_KIND_COUNT
};

struct raft_event {
    enum raft_event_kind kind;
    uint64_t now_ns;
    uint32_t dice;                      /* TICK: any random number */
    const struct raft_message *message; /* RECEIVE, SNAPSHOT_OFFER; borrowed */
    const struct raft_config *config;   /* CHANGE, IMPOSE, SNAPSHOT_STAGED; borrowed */
    raft_id node;
    raft_index index;
    raft_term term;
    uint64_t ticket;
    uint64_t bytes;
    bool ok;
};

/* ------------------------------------------------------------------ effects */

enum raft_role { RAFT_FOLLOWER, RAFT_PRECANDIDATE, RAFT_CANDIDATE, RAFT_LEADER, RAFT_ROLE_COUNT };

/* A stretch of entries of one term, up to the next one's first or the log's last. */
struct raft_run {
    raft_index first;
    raft_term term;
};

struct raft_hard {
    raft_term term;
    raft_id vote;
};

/* The caller's; overwritten by each step.  `own` borrows from the raft object, until the next step. */
struct raft_effects {
    uint64_t ticket; /* 0: nothing for the log */
    bool hard_changed;
    raft_index truncate_from;
    raft_index append_first; /* append_first > append_last: none */
    raft_index append_last;
    struct raft_entry own; /* what is appended, unless it came with the event: NOOP and CONFIG */

    bool commit_moved;
    bool reads_moved;
    bool role_changed; /* role, term or leader */
    bool install;      /* SNAPSHOT_STAGED: install it, then report RAFT_INSTALLED */
    bool wants_room;   /* for more terms: raft_grow() */

    uint32_t message_count;
    struct raft_message messages[RAFT_MESSAGES_MAX];
};

/* ------------------------------------------------------------------ life */

struct raft_options {
    raft_id self;
    struct raft_config config; /* as of `base_index` */
    raft_index base_index;     /* the log begins after it; applied, durable */
    raft_term base_term;
    struct raft_hard hard;
    /* Where the log of an earlier life ended, which was given up since: what was acknowledged then may have been
     * committed by that.  So as long as ours is not as new, we stand for nothing, and vote only for whom that
     * life would have voted for (R11).  0, 0: there was none. */
    raft_term lost_term;
    raft_index lost_index;
    uint64_t now_ns;
    uint32_t dice;
    bool unheard;          /* no other member was ever heard: nothing was promised (leases) */
    uint64_t heartbeat_ns; /* 50 ms */
    /* 300 ms; timeouts are drawn from [election, 2 election).  Where terms pass in vain, because disks take as
     * long for a vote, from up to 8 times that. */
    uint64_t election_ns;
    uint32_t lease_percent;   /* of election_ns that a lease lasts; 0: no leases.  Safe while no
                                     * two clocks differ in rate by more than the rest; 90 */
    uint32_t window_messages; /* sent to a member and not yet durable there */
    uint64_t window_bytes;
    uint64_t message_bytes;         /* of entries in one message; one entry may exceed it */
    uint64_t uncommitted_bytes_max; /* proposals; beyond: ST_BUSY, but one is always taken */
    uint32_t term_run_max;          /* stretches of entries of one term that there is room for */
};

void raft_options_default(struct raft_options *options);

/* A follower.  ST_INVALID: senseless options.  ST_NO_MEMORY. */
MUST_USE enum status raft_create(struct raft **out, const struct raft_options *options);
void raft_destroy(struct raft *r); /* NULL is allowed */

/* The next entry of a durable log; before the first step.  An entry at or before the last one
 * supersedes it and all after it.  ST_CORRUPT: a hole, terms that run backwards, or what is
 * known to be committed superseded.  ST_NO_MEMORY. */
MUST_USE enum status raft_restore(struct raft **r, raft_index index,
                                  const struct raft_entry *entry);

/* The entries up to `last` that follow what was restored so far are of `term`, and applied; a membership
 * among them is the one in the options, or older.  Before any raft_restore(): so a log may begin before
 * what is applied, for those who are behind.  ST_CORRUPT: terms that run backwards.  ST_NO_MEMORY. */
MUST_USE enum status raft_restore_applied(struct raft **r, raft_index last, raft_term term);

/* Twice the room for stretches of one term; between two steps.  A step does not allocate; without
 * room a member takes no entries of one more term, and does not stand, until enough is applied.
 * ST_NO_MEMORY: nothing has changed. */
MUST_USE enum status raft_grow(struct raft **r);

/* ST_OK; or the event is refused, and nothing has happened:
 * ST_NOT_LEADER  PROPOSE, CHANGE, READ, TRANSFER
 * ST_BUSY        PROPOSE: too much is uncommitted, or leadership is being handed over.
 *                CHANGE: one is under way, or no entry of this term is committed yet.
 *                IMPOSE: it leads, installs a snapshot, or lacks room for a term
 * ST_INVALID     CHANGE: not a membership, or the one in force; TRANSFER: not to a voter; IMPOSE: another
 *                voter than this member, a term that is not a later one, or the log has failed; a malformed
 *                message; SNAPSHOT_STAGED: of a term that was not offered, or another is being installed
 * ST_CORRUPT     RECEIVE: the message contradicts what is committed: a member has lost its disk's
 *                promises, or is not of this group */
MUST_USE enum status raft_step(struct raft *r, const struct raft_event *event,
                               struct raft_effects *effects);

/* Would RAFT_PROPOSE be taken?  For a driver that must put the entry into its log first. */
MUST_USE enum status raft_may_propose(const struct raft *r, uint64_t bytes);

/* ------------------------------------------------------------------ sending entries (leader) */

/* Entries to be sent, as RAFT_APPEND: from `first`, at most up to `last` and `bytes_max` bytes, but
 * at least one when there is one. */
struct raft_append {
    struct raft_message message; /* all but `entries`, `entry_count` and flow.bytes */
    raft_index first;
    raft_index last; /* last < first: an empty append */
    uint64_t bytes_max;
};

/* What is to be sent next; false: nothing.  The driver says raft_sent() before it asks again. */
bool raft_next_append(struct raft *r, struct raft_append *out);

/* Entries up to `last` (append.first - 1: none) of `bytes` are on their way; the message's flow is
 * now to be append.message.flow with its bytes raised by these. */
void raft_sent(struct raft *r, const struct raft_append *append, raft_index last, uint64_t bytes);

/* The driver could not send: try this member again at the next heartbeat, or when it says so. */
void raft_not_sent(struct raft *r, const struct raft_append *append);
void raft_can_send(struct raft *r, raft_id node);

/* A member whose next entries are no longer in the log, and to whom no snapshot is on its way yet:
 * begin one; 0: nobody.  Ends with RAFT_SNAPSHOT_SENT.
 *
 * Members take turns.  One to whom a snapshot did not come (`ok` false) is passed over for half a second,
 * then for twice as long each time, up to 30 s; success, its silence (RAFT_SILENT) and a new leadership
 * forget that. */
raft_id raft_next_snapshot(struct raft *r);

/* ------------------------------------------------------------------ looking */

enum raft_role raft_role(const struct raft *r);
raft_id raft_self(const struct raft *r);
raft_id raft_leader(const struct raft *r); /* 0: unknown */
struct raft_hard raft_hard(const struct raft *r);
raft_index raft_last(const struct raft *r);
raft_index raft_base(const struct raft *r);
raft_index raft_commit(const struct raft *r);
raft_index raft_persisted(const struct raft *r); /* of our own log */

/* Committed, and durable here: a tree must never be ahead of its own log. */
raft_index raft_applicable(const struct raft *r);

/* The first entry of the term that we lead in: once it is applied, all that was committed before is. */
raft_index raft_term_first(const struct raft *r);

/* The term of the entry; ST_NOT_FOUND: it is not in the log. */
MUST_USE enum status raft_term_at(const struct raft *r, raft_index index, raft_term *out);

/* The membership in force, committed or not, and the index of its entry (the base: what it was
 * created with). */
const struct raft_config *raft_config(const struct raft *r);
raft_index raft_config_index(const struct raft *r);

/* The last round begun; the last one confirmed: we led after it had begun.  Reads that came before
 * RAFT_READ are served by that round; grows for ever within a term. */
uint64_t raft_round(const struct raft *r);
uint64_t raft_confirmed_round(const struct raft *r);

/* Until when do we lead for certain, by the clock?  0: not even now.  The clock is to be read after the
 * value was. */
uint64_t raft_lease_until(const struct raft *r);

bool raft_is_quiesced(const struct raft *r);

/* How far a member is, for the operator and for placement. */
enum raft_progress_state { RAFT_PROBE, RAFT_REPLICATE, RAFT_SNAPSHOT };
struct raft_progress_view {
    enum raft_progress_state state;
    raft_index match; /* durable there */
    raft_index next;
    bool active; /* heard of within the last election timeout */
};
MUST_USE enum status raft_progress_of(const struct raft *r, raft_id id,
                                      struct raft_progress_view *out);

/* The first entry that some member that keeps up may still want; one past the last when there is none,
 * or we do not lead. */
raft_index raft_wanted_from(const struct raft *r);

const char *raft_role_name(enum raft_role role);
const char *raft_message_name(enum raft_message_kind kind);

#endif
