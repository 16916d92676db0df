#include "fixture.h"

#include "base/mem.h"

#include "brute.h"
#include "history/anomalies.h"
#include "history/keys.h"

enum { WORD_MAX = 64, MEMORY_BYTES = 64 << 20 };

/* ------------------------------------------------------------------ reading */

static struct history_value
value_of(const char *text)
{
    if (strcmp(text, "-") == 0)
        return (struct history_value){ 0 };
    return (struct history_value){ true, slice_str(text) };
}

/* "cas:a>b" in pieces: what stands before and after a mark. */
static char *
split(char *text, char mark)
{
    char *at = strchr(text, mark);

    EXPECT(at != NULL);
    *at = '\0';
    return at + 1;
}

static void
read_deed(char *deed, struct history_op *op)
{
    char *rest = strcmp(deed, "del") == 0 ? deed : split(deed, ':');

    if (strcmp(deed, "del") == 0) {
        op->verb = HISTORY_DELETE;
    } else if (strcmp(deed, "cas") == 0) {
        op->verb = HISTORY_CAS;
        op->value = value_of(split(rest, '>'));
        op->expect = value_of(rest);
    } else if (strcmp(deed, "incr") == 0) {
        op->verb = HISTORY_INCR;
        if (op->result == HISTORY_OK)
            op->sum = strtoll(split(rest, '='), NULL, 10);
        op->delta = strtoll(rest, NULL, 10);
    } else {
        EXPECT(strcmp(deed, "get") == 0 || strcmp(deed, "put") == 0);
        op->verb = strcmp(deed, "get") == 0 ? HISTORY_GET : HISTORY_PUT;
        op->value = value_of(rest);
    }
}

static void
read_times(char *times, struct history_op *op)
{
    char *end = split(times, '-');

    if (strchr(end, '?') != NULL)
        op->result = HISTORY_UNKNOWN;
    if (strchr(end, '!') != NULL)
        op->result = HISTORY_FAIL;
    op->mismatch = strstr(end, "!!") != NULL;
    op->call_ns = strtoull(times, NULL, 10);
    op->return_ns = end[0] == '?' ? HISTORY_NEVER : strtoull(end, NULL, 10);
}

static void
read_op(struct history *h, const char *text, uint64_t line)
{
    char deed[WORD_MAX], times[WORD_MAX];
    struct history_op op = { .client = line, .line = line, .key = slice_str("k") };

    EXPECT(sscanf(text, " %63s %63s", deed, times) == 2);
    read_times(times, &op);
    read_deed(deed, &op);
    EXPECT_OK(history_add(h, &op, NULL));
}

struct history *
history_of(const char *text)
{
    char *copy = strdup(text), *rest = copy;
    struct history *h = NULL;
    uint64_t line = 0;

    EXPECT_OK(history_create(&h));
    for (char *op = strsep(&rest, ","); op != NULL; op = strsep(&rest, ","))
        read_op(h, op, ++line);
    free(copy);
    return h;
}

/* ------------------------------------------------------------------ judging */

struct history_report
judge(const struct history *h)
{
    struct history_check_options options = { .memory_bytes_max = MEMORY_BYTES };
    struct history_report report = { 0 };

    EXPECT_OK(history_check(h, &options, &report, NULL));
    return report;
}

const char *
verdict_of(const char *text)
{
    struct history *h = history_of(text);
    struct history_report report = judge(h);

    if (report.verdict == HISTORY_VIOLATION)
        EXPECT(strstr(explanation_of(h, &report), "no order") != NULL);
    history_destroy(h);
    return history_verdict_name(report.verdict);
}

const char *
anomaly_of(const char *text)
{
    struct history *h = history_of(text);
    struct history_report report = judge(h);

    EXPECT(report.verdict == HISTORY_VIOLATION);
    history_destroy(h);
    return history_anomaly_name(report.anomaly);
}

const char *
explanation_of(const struct history *h, const struct history_report *report)
{
    static char text[8192];
    struct buf out = buf_empty(sizeof(text) - 1);

    EXPECT_OK(history_explain(h, report, &out));
    memcpy(text, out.data, out.size);
    text[out.size] = '\0';
    buf_release(&out);
    return text;
}

/* ------------------------------------------------------------------ agreement */

static bool
has_anomaly(const struct subhistory *sub)
{
    struct anomaly anomaly;

    EXPECT_OK(anomalies_find(sub, &anomaly));
    return anomaly.kind != HISTORY_NO_ANOMALY;
}

/* By the search alone: history_check() would believe the anomaly. */
static struct search_result
search_for(struct keys *keys, bool *anomaly)
{
    struct search_options options = { .memory_bytes_max = MEMORY_BYTES };
    struct search_result result = { 0 };
    struct subhistory sub;

    EXPECT_OK(subhistory_init(&sub, keys->history, keys_ops(keys, STRING_FIRST),
                              keys_op_count(keys, STRING_FIRST), MOMENT_LAST, keys->local));
    *anomaly = has_anomaly(&sub);
    EXPECT_OK(subhistory_reduce(&sub));
    EXPECT_OK(search_run(&sub, &options, &result));
    subhistory_release(&sub);
    return result;
}

static void
check_culprit(const struct history *h, const struct history_op *ops, uint32_t count)
{
    struct history_report report = judge(h);
    struct history_op cut[BRUTE_OPS_MAX];
    uint32_t kept = brute_cut(ops, count, report.culprit, cut);

    EXPECT(report.verdict == HISTORY_VIOLATION);
    EXPECT(!brute_is_linearizable(cut, kept));
    for (uint32_t i = 0; i < count; i++) { /* it is the first that makes it one */
        if (ops[i].return_ns >= ops[report.culprit].return_ns)
            continue;
        kept = brute_cut(ops, count, i, cut);
        EXPECT(brute_is_linearizable(cut, kept));
    }
    EXPECT(strlen(explanation_of(h, &report)) > 0);
}

bool
agrees_with_itself(const struct history *h)
{
    uint32_t count = history_op_count(h);
    struct history_op ops[BRUTE_OPS_MAX];
    struct search_result result;
    struct keys keys;
    bool good, anomaly;

    for (uint32_t i = 0; i < count; i++)
        ops[i] = history_op_at(h, i);
    EXPECT_OK(keys_init(&keys, h));
    result = search_for(&keys, &anomaly);
    good = result.verdict == HISTORY_LINEARIZABLE;
    EXPECT(!(good && anomaly));
    EXPECT(good == (judge(h).verdict == HISTORY_LINEARIZABLE));
    if (good)
        EXPECT(brute_is_order(ops, count, result.order, result.order_count));
    else
        check_culprit(h, ops, count);
    mem_free(result.order);
    keys_release(&keys);
    return good;
}
