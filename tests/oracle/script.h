/*
 * oracle/script.h — one member, what happens to it, and what ours makes of each step.
 *
 *      script_begin(&s, options, terms, count);      the state in the beginning
 *      script_receive(&s, ...); script_campaign(&s)  ours has done it; the line for etcd grows
 *      ...
 *      script_line(&s)                               what etcd is asked
 *      judge_script(&s, answer, why)                 is it the same?  (judge.h)
 *
 * Where the two are known to understand a step differently, the line has the step in etcd's terms,
 * and `known` says so: what follows is compared exactly.
 */
#ifndef ORACLE_SCRIPT_H
#define ORACLE_SCRIPT_H

#include "oracle/differ.h"
#include "oracle/leader_log.h"

enum { SCRIPT_STEPS_MAX = 40, SCRIPT_STEP_TEXT_MAX = 2048 };

enum script_kind {
    SCRIPT_NOTHING,
    SCRIPT_RECEIVE,
    SCRIPT_CAMPAIGN,
    SCRIPT_EXPIRE, /* the leader's lease is over */
    SCRIPT_CHECK,  /* a leader asks itself whether a majority is there */
    SCRIPT_PROPOSE,
    SCRIPT_CHANGE,
    SCRIPT_TRANSFER,
    SCRIPT_READ,
    SCRIPT_SNAPSHOT,
};

struct script_step {
    enum script_kind kind;
    char text[SCRIPT_STEP_TEXT_MAX]; /* as etcd is told */
    struct raft_message message;     /* RECEIVE, SNAPSHOT: as we were told; its entries are gone */
    raft_id target;                  /* TRANSFER */
    enum difference known;           /* DIFFER_COUNT: none */
    bool was_in_flight;              /* before the step, our membership was not committed */
    bool in_flight;                  /* nor is it after it; or a leader has just moved to another */
    struct raft_config committed;    /* before the step */
    bool own_committed;              /* a leader: an entry of its term is */
    bool was_own_committed;          /* so before the step */
    bool reads_are_owed; /* when our last read was confirmed, a majority had answered it */
    bool read_was_early; /* it was asked before an entry of the term was committed */
    bool heir_was_told;  /* TIMEOUT_NOW was sent in this term before */
    struct view before;
    struct view after;
};

struct script {
    struct member member;
    char begin[SCRIPT_STEP_TEXT_MAX];
    struct script_step steps[SCRIPT_STEPS_MAX];
    uint32_t step_count;
    bool over; /* no more steps: from here on the two go apart */
    struct raft_config committed;

    /* of the leadership under way */
    raft_index term_first;
    raft_term led_term; /* the last one that we led in; 0: none */
    bool heir_was_told;
    uint64_t asked[SCRIPT_STEPS_MAX]; /* the rounds of reads */
    uint32_t asked_count;
    uint64_t asked_early;                /* the last one of before own_committed */
    uint64_t reads;                      /* confirmed */
    bool reads_are_owed;                 /* and rightly so, when that happened */
    uint64_t answered[VIEW_IDS_MAX + 1]; /* by id, the highest round */
};

void script_begin(struct script *s, const struct raft_options *options, const raft_term *terms,
                  uint32_t count);
void script_end(struct script *s);

/* `entries` are those of an append.  `sane`: a real leader could have sent it. */
void script_receive(struct script *s, const struct raft_message *m,
                    const struct oracle_entry *entries, bool sane);
/* Of what `entries` say, after the member's first base.  False: the member is not in it, and nothing
 * has happened. */
bool script_snapshot(struct script *s, const struct raft_message *offer,
                     const struct oracle_entry *entries);
void script_simple(struct script *s, enum script_kind kind); /* those without parameters */
void script_change(struct script *s, const char *change,
                   const char *another); /* at once after it */
void script_transfer(struct script *s, raft_id target);

/* After these the two are not in the same state, or no longer in a possible one. */
bool script_parts_ways(enum difference known);

/* Owned by the caller. */
char *script_line(const struct script *s);

#endif
