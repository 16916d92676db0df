/*
 * history/search.h — look for an order of the steps of one key.
 */
#ifndef HISTORY_SEARCH_H
#define HISTORY_SEARCH_H

#include "history/check.h"
#include "history/subhistory.h"

/* Called now and then: so many steps are in order at the moment. */
typedef void search_progress_fn(void *ctx, uint32_t ordered);

struct search_options {
    size_t memory_bytes_max;
    search_progress_fn *progress; /* may be NULL */
    void *progress_ctx;
};

struct search_result {
    enum history_verdict verdict;
    uint32_t
        *order; /* if linearizable: the operations, in that order; owned by the caller (mem_free) */
    uint32_t order_count;
};

/* `s` has been reduced.  Its counts are used up.  ST_NO_MEMORY: `*out` is untouched. */
MUST_USE enum status search_run(struct subhistory *s, const struct search_options *options,
                                struct search_result *out);

#endif
