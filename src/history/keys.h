/*
 * history/keys.h — the operations of a history, key by key.
 */
#ifndef HISTORY_KEYS_H
#define HISTORY_KEYS_H

#include "history/history_internal.h"
#include "history/search.h"

struct keys {
    const struct history *history;
    uint32_t *ops;   /* owned; key after key, in the order in which they were added */
    uint32_t *begin; /* owned; by key, where its operations begin; one more at the end */
    uint32_t *local; /* owned; for subhistory_init() */
};

/* ST_NO_MEMORY: nothing is held. */
MUST_USE enum status keys_init(struct keys *k, const struct history *h);
void keys_release(struct keys *k);

static inline const uint32_t *
keys_ops(const struct keys *k, uint32_t key)
{
    return k->ops + k->begin[key];
}

static inline uint32_t
keys_op_count(const struct keys *k, uint32_t key)
{
    return k->begin[key + 1] - k->begin[key];
}

/* Judge one key as it stood at `until`.  `*out` owns its order.  ST_NO_MEMORY. */
MUST_USE enum status keys_judge(struct keys *k, uint32_t key, struct moment until,
                                const struct search_options *options, struct search_result *out);

/* Of a key with a violation, the operation whose return makes it one: until just before it, all
 * can be explained.  (Leaving the end of a history away does not make it worse.)  Where the
 * search for it is stopped by a bound, a later return.  ST_NO_MEMORY. */
MUST_USE enum status keys_find_culprit(struct keys *k, uint32_t key,
                                       const struct search_options *options, uint32_t *culprit);

/* The moment just before the return of an operation of the key; false: none returned before. */
bool keys_moment_before(const struct keys *k, uint32_t key, uint32_t op, struct moment *out);

#endif
