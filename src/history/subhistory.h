/*
 * history/subhistory.h — what happened to one key, as a checker needs it.
 *
 * Every operation that says anything is a step on a register that holds a value
 * or none; whether it was a cas or an incr does not matter any more:
 *
 *      step      possible                         leaves
 *      READ      if the register holds `needs`    it as it was   a get
 *      DIFFER    if it does not hold `needs`      it as it was   a cas that saw a mismatch
 *      WRITE     always                           `makes`        a put, a delete
 *      SWAP      if it holds `needs`              `makes`        a cas, an incr with a known sum
 *      ADD       if it holds a number, or none    the sum        an incr of unknown outcome
 *
 * A step is optional if its outcome is unknown: it may stand anywhere after its
 * call, or be left out.
 *
 * Invariants
 *
 *   H1  Steps stand in the order of their calls.
 *   H2  Ranks number all calls and returns by time, calls first where times are equal: so what
 *       touches overlaps.  `a` precedes `b` exactly if a.return_rank < b.call_rank.
 *   H3  READ and DIFFER are never optional; ADD always is.
 *   H4  Value 0 is VALUE_ABSENT.  A number has one value only.
 */
#ifndef HISTORY_SUBHISTORY_H
#define HISTORY_SUBHISTORY_H

#include "history/history_internal.h"

enum { VALUE_ABSENT = 0 };

#define VALUE_NONE ((uint32_t)-1) /* no value at all */
#define RANK_NEVER ((uint32_t)-1)
#define STEP_NONE  ((uint32_t)-1)

enum step_kind { STEP_READ, STEP_DIFFER, STEP_WRITE, STEP_SWAP, STEP_ADD };

struct step {
    enum step_kind kind;
    bool optional;
    bool or_absent; /* SWAP: it counts from 0, so it is possible on an absent key too */
    uint32_t op;    /* in the history */
    uint32_t needs; /* VALUE_NONE: of a WRITE or an ADD */
    uint32_t makes; /* VALUE_NONE: of a READ, a DIFFER or an ADD */
    int64_t delta;  /* ADD */
    uint64_t call_ns;
    uint64_t return_ns; /* HISTORY_NEVER: of an optional one */
    uint32_t call_rank;
    uint32_t return_rank; /* RANK_NEVER */
    uint32_t twin;        /* reduce.c; STEP_NONE */
};

/* A value, and how many steps that are not yet done look for it or make it. */
struct value {
    uint32_t string;    /* in the history's values; of a sum that is not there, STRING_NEVER */
    uint32_t needers;   /* steps that must come, and need just this */
    uint32_t watchers;  /* steps that could use it, but are optional or would do with another */
    uint32_t differs;   /* DIFFERs that are not possible while it is held */
    uint32_t makers;    /* WRITE and SWAP */
    uint32_t last_call; /* the latest call_rank of its needers, 0 if there are none */
    bool swapped;       /* a SWAP looks for it */
    bool is_number;
    int64_t number;
};

struct subhistory {
    const struct history *history;
    struct step *steps; /* owned */
    uint32_t step_count;
    struct value *values; /* owned */
    uint32_t value_count;
    uint32_t value_room;
    uint32_t add_count;    /* ADDs that are not yet done */
    uint32_t differ_count; /* all DIFFERs */
    bool grows;            /* whatever changes the register leaves a larger number: a counter */
};

/* A moment of the history: just after the return of this operation. */
struct moment {
    uint64_t return_ns;
    uint32_t op; /* who of those that return then */
};

/* After everything. */
#define MOMENT_LAST ((struct moment){ HISTORY_NEVER, HISTORY_OPS_MAX })

/* Build it of `ops`, the `count` operations of one key in any order, as they stood at `until`:
 * what was called later is not there, and what had not returned is of unknown outcome.  `local`
 * has an entry for each value of the history, all VALUE_NONE, and has so again afterwards.
 * ST_NO_MEMORY. */
MUST_USE enum status subhistory_init(struct subhistory *s, const struct history *h,
                                     const uint32_t *ops, uint32_t count, struct moment until,
                                     uint32_t *local);
void subhistory_release(struct subhistory *s);

/* The value of a number, which becomes one if it is none.  ST_NO_MEMORY. */
MUST_USE enum status subhistory_number(struct subhistory *s, int64_t number, uint32_t *value);

/* Leave out what cannot matter, and narrow what can (reduce.c); then rank. */
MUST_USE enum status subhistory_reduce(struct subhistory *s);

/* Could an ADD that is to come look at this value; could it make it? */
static inline bool
subhistory_adds_see(const struct subhistory *s, uint32_t value)
{
    return s->add_count > 0 && (value == VALUE_ABSENT || s->values[value].is_number);
}

static inline bool
subhistory_adds_make(const struct subhistory *s, uint32_t value)
{
    return s->add_count > 0 && s->values[value].is_number;
}

/* Put the counts of a step in, or take them out. */
void subhistory_count(struct subhistory *s, const struct step *step, bool in);

#endif
