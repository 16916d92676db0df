#include "history/keys.h"

#include <stdlib.h>

#include "base/assert.h"
#include "base/mem.h"

#include "history/anomalies.h"

/* ------------------------------------------------------------------ life */

static void
sort_by_key(struct keys *k)
{
    const struct history *h = k->history;

    for (uint32_t i = 0; i < h->op_count; i++)
        k->begin[h->ops[i].key + 1]++;
    for (uint32_t i = STRING_FIRST; i < h->keys.count; i++)
        k->begin[i + 1] += k->begin[i];
    for (uint32_t i = h->op_count; i-- > 0;)
        k->ops[--k->begin[h->ops[i].key + 1]] = i;
    for (uint32_t i = STRING_FIRST; i < h->keys.count; i++)
        k->begin[i] = k->begin[i + 1];
    k->begin[h->keys.count] = h->op_count;
}

enum status
keys_init(struct keys *k, const struct history *h)
{
    *k = (struct keys){ .history = h };
    k->ops = mem_new_array(uint32_t, h->op_count);
    k->begin = mem_new_array(uint32_t, h->keys.count + 1);
    k->local = mem_new_array(uint32_t, h->values.count);
    if (k->ops == NULL || k->begin == NULL || k->local == NULL) {
        keys_release(k);
        return ST_NO_MEMORY;
    }
    for (uint32_t i = 0; i < h->values.count; i++)
        k->local[i] = VALUE_NONE;
    sort_by_key(k);
    return ST_OK;
}

void
keys_release(struct keys *k)
{
    mem_free(k->ops);
    mem_free(k->begin);
    mem_free(k->local);
    *k = (struct keys){ 0 };
}

/* ------------------------------------------------------------------ judging */

/* What an anomaly shows at once need not be searched for. */
static enum status
judge_shortly(const struct subhistory *s, bool *violation)
{
    struct anomaly anomaly;
    enum status st = anomalies_find(s, &anomaly);

    *violation = st == ST_OK && anomaly.kind != HISTORY_NO_ANOMALY;
    return st;
}

enum status
keys_judge(struct keys *k, uint32_t key, struct moment until, const struct search_options *options,
           struct search_result *out)
{
    struct subhistory sub;
    bool violation = false;
    enum status st =
        subhistory_init(&sub, k->history, keys_ops(k, key), keys_op_count(k, key), until, k->local);

    if (st != ST_OK)
        return st;
    st = judge_shortly(&sub, &violation);
    if (st == ST_OK && !violation)
        st = subhistory_reduce(&sub);
    if (st == ST_OK && violation)
        *out = (struct search_result){ .verdict = HISTORY_VIOLATION };
    else if (st == ST_OK)
        st = search_run(&sub, options, out);
    subhistory_release(&sub);
    return st;
}

/* ------------------------------------------------------------------ the culprit */

static int
compare_returns(const void *left, const void *right)
{
    const struct kept_op *a = *(const struct kept_op *const *)left;
    const struct kept_op *b = *(const struct kept_op *const *)right;

    if (a->return_ns != b->return_ns)
        return a->return_ns < b->return_ns ? -1 : 1;
    return (a > b) - (a < b);
}

/* Those that returned with a known outcome, by their return. */
static const struct kept_op **
sort_returns(const struct keys *k, uint32_t key, uint32_t *count)
{
    const struct kept_op **sorted = mem_new_array(const struct kept_op *, keys_op_count(k, key));

    *count = 0;
    for (uint32_t i = 0; sorted != NULL && i < keys_op_count(k, key); i++) {
        const struct kept_op *op = &k->history->ops[keys_ops(k, key)[i]];

        if (op->result == HISTORY_OK || op->mismatch)
            sorted[(*count)++] = op;
    }
    if (*count > 0)
        qsort(sorted, *count, sizeof(const struct kept_op *), compare_returns);
    return sorted;
}

static struct moment
moment_of(const struct keys *k, const struct kept_op *op)
{
    return (struct moment){ op->return_ns, (uint32_t)(op - k->history->ops) };
}

enum status
keys_find_culprit(struct keys *k, uint32_t key, const struct search_options *options,
                  uint32_t *culprit)
{
    struct search_options quiet = { .memory_bytes_max = options->memory_bytes_max };
    uint32_t good = 0; /* before this return, all can be explained */
    uint32_t bad;      /* after this one, not */
    const struct kept_op **sorted = sort_returns(k, key, &bad);
    enum status st = sorted == NULL ? ST_NO_MEMORY : ST_OK;

    ASSERT(bad > 0 || st != ST_OK);
    bad--;
    while (st == ST_OK && good < bad) {
        uint32_t middle = good + (bad - good) / 2;
        struct search_result result;

        st = keys_judge(k, key, moment_of(k, sorted[middle]), &quiet, &result);
        if (st != ST_OK || result.verdict == HISTORY_UNDECIDED)
            break;
        if (result.verdict == HISTORY_VIOLATION)
            bad = middle;
        else
            good = middle + 1;
        mem_free(result.order);
    }
    if (st == ST_OK)
        *culprit = (uint32_t)(sorted[bad] - k->history->ops);
    mem_free(sorted);
    return st;
}

bool
keys_moment_before(const struct keys *k, uint32_t key, uint32_t op, struct moment *out)
{
    const struct kept_op *ops = k->history->ops;
    const struct kept_op *self = &ops[op];
    const struct kept_op *best = NULL;

    for (uint32_t i = 0; i < keys_op_count(k, key); i++) {
        const struct kept_op *other = &ops[keys_ops(k, key)[i]];

        if ((other->result == HISTORY_OK || other->mismatch) &&
            compare_returns(&other, &self) < 0 &&
            (best == NULL || compare_returns(&other, &best) > 0))
            best = other;
    }
    if (best != NULL)
        *out = moment_of(k, best);
    return best != NULL;
}
