#include "history/check.h"

#include "base/assert.h"
#include "base/mem.h"

#include "history/anomalies.h"
#include "history/keys.h"

struct check {
    struct keys keys;
    const struct history_check_options *options;
    uint64_t judged; /* operations of the keys that are done */
};

const char *
history_verdict_name(enum history_verdict verdict)
{
    static const char *const names[] = { [HISTORY_LINEARIZABLE] = "linearizable",
                                         [HISTORY_VIOLATION] = "violation",
                                         [HISTORY_UNDECIDED] = "undecided" };

    return names[verdict];
}

const char *
history_anomaly_name(enum history_anomaly anomaly)
{
    static const char *const names[] = { [HISTORY_NO_ANOMALY] = "none",
                                         [HISTORY_NEVER_WRITTEN] = "value never written",
                                         [HISTORY_STALE_READ] = "stale read",
                                         [HISTORY_LOST_WRITE] = "lost acknowledged write" };

    ASSERT(anomaly < HISTORY_ANOMALY_COUNT);
    return names[anomaly];
}

/* A step is an operation, or less: close enough for a bar. */
static void
on_progress(void *ctx, uint32_t ordered)
{
    const struct check *c = ctx;

    c->options->progress(c->options->progress_ctx, c->judged + ordered);
}

static enum status
name_anomaly(struct check *c, uint32_t key, struct history_report *report)
{
    const struct history *h = c->keys.history;
    struct moment until = { h->ops[report->culprit].return_ns, report->culprit };
    struct subhistory sub;
    struct anomaly anomaly;
    enum status st = subhistory_init(&sub, h, keys_ops(&c->keys, key), keys_op_count(&c->keys, key),
                                     until, c->keys.local);

    if (st != ST_OK)
        return st;
    st = anomalies_find(&sub, &anomaly);
    subhistory_release(&sub);
    if (st != ST_OK || anomaly.kind == HISTORY_NO_ANOMALY)
        return st;
    report->anomaly = anomaly.kind;
    report->witness = anomaly.observer;
    report->against = anomaly.against;
    return ST_OK;
}

static enum status
report_key(struct check *c, uint32_t key, const struct search_options *search,
           struct history_report *report)
{
    bool violation = report->verdict == HISTORY_VIOLATION;
    enum status st = ST_OK;

    report->key = c->keys.history->keys.texts[key];
    report->key_op_count = keys_op_count(&c->keys, key);
    if (violation)
        st = keys_find_culprit(&c->keys, key, search, &report->culprit);
    return st == ST_OK && violation ? name_anomaly(c, key, report) : st;
}

static enum status
judge_key(struct check *c, uint32_t key, struct history_report *report)
{
    size_t bytes_max = c->options->memory_bytes_max;
    struct search_options search = {
        .memory_bytes_max = bytes_max != 0 ? bytes_max : HISTORY_MEMORY_BYTES_DEFAULT,
        .progress = c->options->progress != NULL ? on_progress : NULL,
        .progress_ctx = c,
    };
    struct search_result result;
    enum status st = keys_judge(&c->keys, key, MOMENT_LAST, &search, &result);

    if (st != ST_OK)
        return st;
    mem_free(result.order);
    if (result.verdict == HISTORY_UNDECIDED)
        report->undecided_key_count++;
    if (result.verdict == HISTORY_LINEARIZABLE ||
        (result.verdict == HISTORY_UNDECIDED && report->verdict == HISTORY_UNDECIDED))
        return ST_OK;
    report->verdict = result.verdict;
    return report_key(c, key, &search, report);
}

enum status
history_check(const struct history *h, const struct history_check_options *options,
              struct history_report *out, struct err *err)
{
    struct history_report report = { .verdict = HISTORY_LINEARIZABLE, .against = HISTORY_OPS_MAX };
    struct check c = { .options = options };
    enum status st = keys_init(&c.keys, h);

    for (uint32_t key = STRING_FIRST; key < h->keys.count && st == ST_OK; key++) {
        st = judge_key(&c, key, &report);
        if (report.verdict == HISTORY_VIOLATION)
            break;
        c.judged += keys_op_count(&c.keys, key);
        if (options->progress != NULL)
            options->progress(options->progress_ctx, c.judged);
    }
    keys_release(&c.keys);
    if (st != ST_OK)
        return err_raise(err, st, "out of memory");
    *out = report;
    return ST_OK;
}
