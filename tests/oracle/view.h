/*
 * oracle/view.h — what can be seen of a member, of ours or of etcd's, after a step.
 *
 * The text of it is that of etcd/text.go.  A membership is VOTERS/OUTGOING/LEARNERS/STAGED, where the
 * staged are voters that become learners when a joint membership is left; ours has none.
 */
#ifndef ORACLE_VIEW_H
#define ORACLE_VIEW_H

#include <stdio.h>

#include "raft/raft.h"

enum {
    VIEW_IDS_MAX = 9, /* members are 1..9 */
    VIEW_LOG_MAX = 512,
    VIEW_DECISIONS_MAX = 64,
};

/* A message that says what was decided; not what a leader sends for progress. */
struct decision {
    enum raft_message_kind kind;
    raft_id to;
    raft_term term;
    raft_index index;
    raft_term log_term;
    bool reject;
    bool force;
    raft_index hint;
};

struct view {
    bool up;
    bool broke; /* it was told what contradicts what is committed: ST_CORRUPT, a panic */
    bool done;  /* the step was not refused */
    bool early; /* ours: it claimed what was not durable yet */
    enum raft_role role;
    struct raft_hard hard;
    raft_id leader;
    raft_index commit;
    raft_index last;
    uint32_t term_count; /* of the entries after the base */
    raft_term terms[VIEW_LOG_MAX];
    struct raft_config config;
    uint32_t staged_count;
    raft_id staged[VIEW_IDS_MAX];
    raft_index match[VIEW_IDS_MAX + 1]; /* of a leader, by id */
    uint64_t reads;                     /* the last read that is confirmed */
    uint32_t decision_count;
    struct decision decisions[VIEW_DECISIONS_MAX]; /* sorted */
};

/* The part of *rest before the separator, cut off; NULL: there are no more. */
char *text_part(char **rest, const char *separator);

/* All but `broke`, `done`, `early`, `reads` and the decisions, which come with steps. */
void view_of(struct view *out, const struct raft *r);
void view_decide(struct view *v, const struct raft_message *m); /* nothing, unless it is one */
void view_sort(struct view *v);

/* False: it is not in the form of text.go. */
bool view_parse_state(struct view *out, char *text);  /* "STATE", "down" */
bool view_parse_script(struct view *out, char *text); /* "DONE STATE READS DECISIONS", "panic" */

void view_print_config(FILE *to, const struct raft_config *c);
void view_print(FILE *to, const struct view *v);

/* What must be equal of two states.  NULL, or what is not. */
const char *view_difference(const struct view *ours, const struct view *theirs);
bool view_logs_agree(const struct view *ours,
                     const struct view *theirs); /* where both have entries */
bool view_configs_agree(const struct view *ours, const struct view *theirs);

#endif
