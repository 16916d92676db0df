/*
 * history/check.h — is a history linearizable?
 *
 * It is if all its operations can be put in one order that a single register a key could have
 * carried out, in which each stands at one moment between its call and its return.  Operations on
 * different keys do not constrain each other (Herlihy and Wing's locality), so each key is
 * judged alone.
 *
 * The search is exact.  It ends with one of three verdicts, and never with a wrong one: where a
 * bound stops it, the verdict is "undecided".  How it searches, and why it may leave out what it
 * leaves out: search.c and reduce.c.
 */
#ifndef HISTORY_CHECK_H
#define HISTORY_CHECK_H

#include "history/history.h"

enum history_verdict { HISTORY_LINEARIZABLE, HISTORY_VIOLATION, HISTORY_UNDECIDED };

/* What a violation looks like, in the words of who runs a store.  Each implies a violation. */
enum history_anomaly {
    HISTORY_NO_ANOMALY,    /* none of these: no order exists, and no short story tells why */
    HISTORY_NEVER_WRITTEN, /* a value was seen that no write can have left */
    HISTORY_STALE_READ,    /* a value was seen that had been replaced before the look began */
    HISTORY_LOST_WRITE, /* the same, and the acknowledged write that replaced it was never seen */
    HISTORY_ANOMALY_COUNT
};

/* Memory for the configurations that were visited, of one key at a time, if not told otherwise. */
#define HISTORY_MEMORY_BYTES_DEFAULT ((size_t)1 << 30)

/* Called now and then: so many of the history's operations are judged. */
typedef void history_progress_fn(void *ctx, uint64_t judged);

struct history_check_options {
    size_t memory_bytes_max;       /* beyond: undecided; 0: HISTORY_MEMORY_BYTES_DEFAULT */
    history_progress_fn *progress; /* may be NULL */
    void *progress_ctx;
};

struct history_report {
    enum history_verdict verdict;
    uint32_t undecided_key_count;

    /* Of a violation, and `key` and `key_op_count` of an undecided one too.  The first key in
     * the order of the history that has one.  Borrowed from the history. */
    struct slice key;
    uint32_t key_op_count;
    uint32_t culprit; /* the operation whose answer is the first that no order explains */
    uint32_t witness; /* of an anomaly, the operation that saw it, mostly the same */
    uint32_t against; /* of an anomaly, the write that it contradicts; else HISTORY_OPS_MAX */
    enum history_anomaly anomaly;
};

/* Judge it.  A violation ends it at once, whatever other keys would be.  ST_NO_MEMORY: `*out` is
 * untouched. */
MUST_USE enum status history_check(const struct history *h,
                                   const struct history_check_options *options,
                                   struct history_report *out, struct err *err);

/* Append a text of some lines for a person: the longest part of the history that can be
 * explained, how, what cannot follow, and in plain words why, if it is an anomaly.  Only of a
 * violation.  The statuses of buf_append(). */
MUST_USE enum status history_explain(const struct history *h, const struct history_report *report,
                                     struct buf *out);

/* "linearizable"; "stale read". */
const char *history_verdict_name(enum history_verdict verdict);
const char *history_anomaly_name(enum history_anomaly anomaly);

#endif
