/* What the files of raft/ share.  The essay and the invariants are in raft.c. */
#ifndef RAFT_INTERNAL_H
#define RAFT_INTERNAL_H

#include "base/broken.h"

#include "raft/raft.h"

/* ------------------------------------------------------------------ config.c */

/* Every member once; returns how many. */
uint32_t raft__config_members(const struct raft_config *c, raft_id out[RAFT_MEMBERS_MAX]);

/* The next membership on the way from `now`, which is not joint, to `target`: itself, when one
 * voter at most comes or goes; else the joint one.  False: there is none. */
bool raft__config_between(const struct raft_config *now, const struct raft_config *target,
                          struct raft_config *out);

enum { RAFT_CONFIGS_MAX = 2 };

struct raft_config_at {
    raft_index index;
    struct raft_config config;
};

struct raft_configs {
    uint32_t count; /* > 0 */
    struct raft_config_at at[RAFT_CONFIGS_MAX];
};

void raft__configs_init(struct raft_configs *h, raft_index index, const struct raft_config *c);
const struct raft_config_at *raft__configs_newest(const struct raft_configs *h);
void raft__configs_push(struct raft_configs *h, raft_index index, const struct raft_config *c);
bool raft__configs_truncate(struct raft_configs *h,
                            raft_index from); /* true: another is in force */

/* ------------------------------------------------------------------ terms.c */

struct raft_terms {
    raft_index base_index;
    raft_term base_term;
    raft_index last_index;
    uint32_t run_count;
    uint32_t run_max;
    struct raft_run *runs; /* in the raft object's own block */
};

void raft__terms_init(struct raft_terms *t, raft_index base_index, raft_term base_term,
                      uint32_t run_max);
raft_term raft__terms_last(const struct raft_terms *t);
bool raft__terms_at(const struct raft_terms *t, raft_index index, raft_term *out);

/* Is there room for an entry of this term, if what is up to `applied` may be forgotten? */
bool raft__terms_room(const struct raft_terms *t, raft_term term, raft_index applied);
void raft__terms_append(struct raft_terms *t, raft_term term, raft_index applied);
void raft__terms_truncate(struct raft_terms *t, raft_index from);
void raft__terms_compact(struct raft_terms *t, raft_index base);

/* The last entry at or before `index` of a term not above `term`, or the base. */
raft_index raft__terms_find_below(const struct raft_terms *t, raft_index index, raft_term term,
                                  raft_term *out_term);

/* ------------------------------------------------------------------ durable.c */

/* What was given to the log and is not known to be durable: up to which entry, under which ticket.
 * When there are too many, the newest two become one, which is only slower. */
enum { RAFT_UNSYNCED_MAX = 16 };

struct raft_unsynced {
    uint64_t ticket;
    raft_index last;
    struct raft_flow flow;
};

struct raft_durable {
    uint64_t ticket;       /* the last one given */
    uint64_t done;         /* the last one reported */
    uint64_t hard_ticket;  /* of the hard state in force */
    raft_index persisted;  /* of our log, every entry up to here is durable */
    struct raft_flow flow; /* and with it, what this leader has sent */
    uint32_t first;
    uint32_t count;
    struct raft_unsynced ring[RAFT_UNSYNCED_MAX];
};

uint64_t raft__durable_ticket(struct raft_durable *d); /* a new one */
void raft__durable_add(struct raft_durable *d, uint64_t ticket, raft_index last,
                       struct raft_flow flow);
void raft__durable_truncate(struct raft_durable *d, raft_index from);
void raft__durable_forget_flow(struct raft_durable *d);
void raft__durable_done(struct raft_durable *d, uint64_t ticket);
static inline bool
raft__hard_is_durable(const struct raft_durable *d)
{
    return d->done >= d->hard_ticket;
}

/* ------------------------------------------------------------------ the member */

struct raft_progress {
    raft_id id;
    enum raft_progress_state state;
    bool paused  : 1; /* PROBE: one is under way, until it is answered */
    bool blocked : 1; /* the driver could not send; until the next heartbeat */
    bool nudge   : 1; /* send an append, even an empty one, to see whether the last one arrived */
    bool silent  : 1; /* the driver says that its node is */
    bool snapshot_begun : 1; /* SNAPSHOT: the driver knows */
    bool granted        : 1; /* CANDIDATE: voted for us */
    bool refused        : 1;
    bool active         : 1;  /* heard of since quorum was last checked */
    uint8_t snapshots_failed; /* one after the other */
    uint64_t snapshot_at_ns;  /* and so the next one not before this */
    uint64_t heard_ns;        /* when it was last heard of; 0: not yet */
    raft_index match;         /* durable there and the same as here */
    raft_index next;          /* to be sent */
    uint64_t round;           /* the highest one it has answered */
    uint64_t sent_ns;         /* when the latest heartbeat that it has answered was sent */
    struct raft_flow sent;
    struct raft_flow acked;
};

struct raft {
    struct raft_options options;
    struct raft_hard hard;
    enum raft_role role;
    raft_id leader;
    bool disk_failed;
    bool quiesced;
    uint64_t now_ns;
    uint32_t dice;

    struct raft_terms terms;
    struct raft_configs configs;
    struct raft_durable durable;
    raft_index commit;
    raft_index applied;

    /* follower */
    uint64_t deadline_ns; /* stand for election when nothing is heard until then */
    raft_term
        led_term; /* the last one in which we knew of a leader; of an earlier life: its last */
    uint64_t
        heard_ns; /* of the leader; until an election timeout later nobody else gets our vote */
    raft_index verified;   /* received from this term's leader: matches its log up to here */
    raft_index acked;      /* of it, what was reported as durable */
    struct raft_flow flow; /* of the last append received */
    raft_id vote_owed;     /* a vote is due to it when it is durable; 0: none */
    bool installing;       /* a snapshot */
    raft_index install_index;
    raft_term install_term;
    struct raft_config install_config;

    /* candidate */
    bool votes_owed;  /* requests are due when our own vote is durable */
    bool by_transfer; /* stands because it was told to */
    bool imposes; /* stands for nobody's vote: it leads by `imposed_config` when that is durable */
    struct raft_config imposed_config;

    /* leader */
    raft_index term_first; /* the entry with which this term began */
    bool by_order;         /* and it is an imposed membership */
    uint64_t round;        /* the last round begun */
    uint64_t confirmed;    /* the last round confirmed */
    uint64_t heartbeat_at_ns;
    uint64_t quorum_at_ns; /* check then whether a majority is heard */
    uint64_t checked_ns;   /* when it last was, or we were elected */
    uint64_t busy_ns;      /* when there was last something to do, for quiescence */
    uint64_t uncommitted_bytes;
    raft_id transfer_to; /* 0: none under way */
    bool handed_over;    /* somebody was told to stand: no lease in this term any more */
    uint64_t transfer_until_ns;
    uint32_t member_count;
    uint32_t append_turn;                           /* raft_next_append() goes round */
    uint32_t snapshot_turn;                         /* and so does raft_next_snapshot() */
    struct raft_progress members[RAFT_MEMBERS_MAX]; /* of the membership in force, us included */

    struct raft_effects *fx; /* of the step under way */
};

/* ------------------------------------------------------------------ shared steps */

/* raft.c */
const struct raft_config *raft__config(const struct raft *r);   /* in force */
struct raft_progress *raft__member(struct raft *r, raft_id id); /* NULL: not one */
bool raft__is_voter(const struct raft *r, raft_id id);
void raft__become_follower(struct raft *r, raft_term term, raft_id leader);
void raft__set_hard(struct raft *r, raft_term term, raft_id vote);
uint64_t raft__fx_ticket(struct raft *r); /* the step's; made at the first need */
void raft__reset_timer(struct raft *r);
void raft__push_config(struct raft *r, raft_index index, const struct raft_config *config);
void raft__members_follow(struct raft *r); /* another membership is in force */
struct raft_message *raft__send(struct raft *r, enum raft_message_kind kind, raft_id to);
void raft__append(struct raft *r);
void raft__append_own(struct raft *r, enum raft_entry_kind kind, const struct raft_config *config);
void raft__set_commit(struct raft *r, raft_index commit);
void raft__wake(struct raft *r);

/* quorum.c: what a majority of the voters has, of every set of them */
typedef uint64_t raft__value_fn(const struct raft *r, const struct raft_progress *p);
uint64_t raft__quorum_value(const struct raft *r, raft__value_fn *value);
enum raft_verdict { RAFT_UNDECIDED, RAFT_WON, RAFT_LOST };
enum raft_verdict raft__count_votes(const struct raft *r);
bool raft__quorum_active(const struct raft *r);

/* election.c */
bool raft__may_stand(const struct raft *r);
void raft__begin_candidacy(struct raft *r, enum raft_role role);
void raft__stand(struct raft *r, bool by_transfer);
void raft__election_tick(struct raft *r);
void raft__on_vote(struct raft *r, const struct raft_message *m);
void raft__on_vote_reply(struct raft *r, const struct raft_message *m);
void raft__election_durable(struct raft *r);   /* the hard state has become durable */
bool raft__has_promised(const struct raft *r); /* not to vote, for the leader's lease */
bool raft__in_lease_of_leader(const struct raft *r, const struct raft_message *m);

/* follow.c */
bool raft__contradicts(const struct raft *r, const struct raft_message *m);
void raft__on_append(struct raft *r, const struct raft_message *m);
void raft__on_heartbeat(struct raft *r, const struct raft_message *m);
void raft__follower_durable(struct raft *r);

/* lead.c */
void raft__become_leader(struct raft *r);
void raft__leader_tick(struct raft *r);
MUST_USE enum status raft__on_append_reply(struct raft *r, const struct raft_message *m);
void raft__on_heartbeat_reply(struct raft *r, const struct raft_message *m);
void raft__leader_durable(struct raft *r);
void raft__advance_commit(struct raft *r);
void raft__unreachable(struct raft *r, raft_id node);
void raft__broadcast_heartbeat(struct raft *r, bool quiesce);

/* impose.c */
MUST_USE enum status raft__impose(struct raft *r, raft_term term, const struct raft_config *config);
void raft__impose_durable(struct raft *r); /* the term is */

/* read.c */
void raft__begin_round(struct raft *r);
void raft__confirm_rounds(struct raft *r);
void raft__ask_round_again(struct raft *r, raft_index commit_before);

/* change.c */
MUST_USE enum status raft__change(struct raft *r, const struct raft_config *target);
void raft__config_committed(struct raft *r);
MUST_USE enum status raft__transfer(struct raft *r, raft_id node);
void raft__transfer_step(struct raft *r, struct raft_progress *p); /* it has caught up? */
void raft__on_timeout_now(struct raft *r, const struct raft_message *m);
raft_id raft__nearest(const struct raft *r); /* the voter, other than we, with the longest log; 0 */

/* snapshot.c */
void raft__snapshot_sent(struct raft *r, raft_id node, raft_index index, bool ok);
void raft__snapshot_forgive(struct raft_progress *p); /* that earlier ones did not arrive */
void raft__snapshot_offer(struct raft *r, const struct raft_message *m);
MUST_USE enum status raft__snapshot_staged(struct raft *r, const struct raft_event *e);
void raft__installed(struct raft *r, bool ok);

#endif
