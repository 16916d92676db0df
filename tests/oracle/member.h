/*
 * oracle/member.h — one of our members alone, whose disk is never late: after each event everything
 * is durable, and applied.
 */
#ifndef ORACLE_MEMBER_H
#define ORACLE_MEMBER_H

#include "oracle/view.h"

enum { CHANGE_TEXT_MAX = 16, MEMBER_HEARTBEAT_MS = 50, MEMBER_ELECTION_MS = 300 };

/* An entry; `change` is "" but for a membership, and else as in etcd/text.go: "v4". */
struct oracle_entry {
    raft_term term;
    char change[CHANGE_TEXT_MAX];
};

struct member {
    struct raft *raft;
    uint64_t now_ns;
    raft_index base;
    raft_index applied;
    struct oracle_entry log[VIEW_LOG_MAX]; /* after the base that it had in the beginning */
    struct raft_effects fx;
};

/* What the two cores have in common: no leases (etcd's refusals of votes are there all the same). */
void member_options(struct raft_options *out);

/* With a log of `count` plain entries, of these terms. */
void member_create(struct member *m, const struct raft_options *options, const raft_term *terms,
                   uint32_t count);
void member_destroy(struct member *m);

/* `entries` are those of an append, and have the memberships of its message. */
void member_step(struct member *m, struct raft_event event, const struct oracle_entry *entries,
                 struct view *out);

/* A snapshot is offered, comes, and is installed at once.  `entries` are those that it stands for,
 * after the member's first base. */
void member_snapshot(struct member *m, const struct raft_message *offer,
                     const struct raft_config *config, const struct oracle_entry *entries,
                     struct view *out);

raft_term member_term_at(const struct member *m, raft_index index); /* 0: it has no such entry */

/* Time passes for it, and it does not notice before the next event. */
void member_wait(struct member *m, uint32_t ms);

/* The target of a change, "v4" or "v4+r1"; false: it is none, or the same again. */
bool member_target(const struct raft_config *now, const char *change, struct raft_config *out);

#endif
