#include <inttypes.h>
#include <stdio.h>

#include "base/assert.h"
#include "base/mem.h"

#include "history/check.h"
#include "history/keys.h"

enum { SHOWN_MAX = 8, TEXT_ROOM = 64 };

/* ------------------------------------------------------------------ words */

static const char *
value_text(struct history_value value, char room[TEXT_ROOM])
{
    char text[TEXT_ROOM - 2];

    if (!value.present)
        return "nothing";
    snprintf(room, TEXT_ROOM, "\"%s\"", slice_printable(value.text, text, sizeof(text)));
    return room;
}

/* "line 12", or where there are no lines, "operation 11". */
static enum status
put_place(struct buf *out, const struct history *h, uint32_t index)
{
    uint64_t line = h->ops[index].line;

    return line != 0 ? buf_printf(out, "line %" PRIu64, line)
                     : buf_printf(out, "operation %" PRIu32, index);
}

static enum status
put_deed(struct buf *out, const struct history_op *op)
{
    char first[TEXT_ROOM], second[TEXT_ROOM];

    switch (op->verb) {
    case HISTORY_GET:
        return buf_printf(out, "get saw %s", value_text(op->value, first));
    case HISTORY_PUT:
        return buf_printf(out, "put %s", value_text(op->value, first));
    case HISTORY_DELETE:
        return buf_append(out, slice_str("delete"));
    case HISTORY_CAS:
        return buf_printf(out, "cas %s%s to %s", op->mismatch ? "failed, not " : "",
                          value_text(op->expect, first), value_text(op->value, second));
    case HISTORY_INCR:
        if (op->result == HISTORY_OK)
            return buf_printf(out, "incr by %" PRId64 " made %" PRId64, op->delta, op->sum);
        return buf_printf(out, "incr by %" PRId64, op->delta);
    case HISTORY_VERB_COUNT:
        break;
    }
    return ST_OK;
}

static enum status
put_op(struct buf *out, const struct history *h, uint32_t index)
{
    struct history_op op = history_op_at(h, index);
    enum status st = buf_append(out, slice_str("  "));

    if (st == ST_OK)
        st = put_place(out, h, index);
    if (st == ST_OK)
        st = buf_printf(out, ", client %" PRIu64 ": ", op.client);
    if (st == ST_OK)
        st = put_deed(out, &op);
    if (st != ST_OK)
        return st;
    if (op.result == HISTORY_UNKNOWN)
        return buf_printf(out, ", called at %" PRIu64 ", outcome unknown\n", op.call_ns);
    return buf_printf(out, ", from %" PRIu64 " to %" PRIu64 "\n", op.call_ns, op.return_ns);
}

/* ------------------------------------------------------------------ what can be explained */

static enum status
put_order(struct buf *out, const struct history *h, const struct search_result *result)
{
    uint32_t hidden = result->order_count > SHOWN_MAX ? result->order_count - SHOWN_MAX : 0;
    enum status st;

    if (result->order_count == 0)
        return buf_append(out, slice_str("Before its end nothing is known to have happened.\n"));
    st = buf_append(out, slice_str("Before its end, this order explains everything:\n"));
    if (st == ST_OK && hidden > 0)
        st = buf_printf(out, "  (%" PRIu32 " operations before these)\n", hidden);
    for (uint32_t i = hidden; i < result->order_count && st == ST_OK; i++)
        st = put_op(out, h, result->order[i]);
    return st;
}

static enum status
put_prefix(struct buf *out, struct keys *k, uint32_t key, uint32_t culprit)
{
    struct search_options options = { .memory_bytes_max = HISTORY_MEMORY_BYTES_DEFAULT };
    struct search_result result = { .verdict = HISTORY_LINEARIZABLE };
    struct moment until;
    enum status st = ST_OK;

    if (keys_moment_before(k, key, culprit, &until))
        st = keys_judge(k, key, until, &options, &result);
    if (st == ST_OK && result.verdict == HISTORY_LINEARIZABLE)
        st = put_order(out, k->history, &result);
    mem_free(result.order);
    return st;
}

/* ------------------------------------------------------------------ what cannot follow */

static bool
runs_beside(const struct kept_op *a, const struct kept_op *b)
{
    bool known = b->result != HISTORY_UNKNOWN;

    return a != b && (b->result != HISTORY_FAIL || b->mismatch) && b->call_ns <= a->return_ns &&
           (!known || b->return_ns >= a->call_ns) && (known || b->verb != HISTORY_GET);
}

static enum status
put_neighbours(struct buf *out, struct keys *k, uint32_t key, uint32_t culprit)
{
    const struct history *h = k->history;
    enum status st = ST_OK;
    uint32_t count = 0;

    for (uint32_t i = 0; i < keys_op_count(k, key) && st == ST_OK; i++) {
        uint32_t op = keys_ops(k, key)[i];

        if (!runs_beside(&h->ops[culprit], &h->ops[op]))
            continue;
        if (count++ == 0)
            st = buf_append(out, slice_str("Beside it ran, or may have run:\n"));
        if (st == ST_OK && count <= SHOWN_MAX)
            st = put_op(out, h, op);
    }
    if (st == ST_OK && count > SHOWN_MAX)
        st = buf_printf(out, "  (%" PRIu32 " more)\n", count - SHOWN_MAX);
    return st;
}

/* ------------------------------------------------------------------ in plain words */

/* What the operation found, whatever it was. */
static const char *
seen_text(const struct history *h, uint32_t index, char room[TEXT_ROOM])
{
    const struct kept_op *op = &h->ops[index];
    uint32_t seen = op->verb == HISTORY_GET ? op->to : op->from;
    struct history_value value = { .present = seen >= STRING_FIRST };

    if (seen == STRING_NEVER)
        return "what no number can be";
    if (value.present)
        value.text = h->values.texts[seen];
    return value_text(value, room);
}

static const char *
left_text(const struct history *h, uint32_t index, char room[TEXT_ROOM])
{
    uint32_t left = h->ops[index].to;
    struct history_value value = { .present = left >= STRING_FIRST };

    if (value.present)
        value.text = h->values.texts[left];
    return value_text(value, room);
}

static enum status
put_contradiction(struct buf *out, const struct history *h, const struct history_report *report)
{
    bool lost = report->anomaly == HISTORY_LOST_WRITE;
    char seen[TEXT_ROOM], left[TEXT_ROOM];
    enum status st = put_place(out, h, report->witness);

    if (st == ST_OK)
        st = buf_printf(out, " found %s, though ", seen_text(h, report->witness, seen));
    if (st == ST_OK)
        st = put_place(out, h, report->against);
    if (st == ST_OK)
        st = buf_printf(out, " had left %s there, acknowledged before it began",
                        left_text(h, report->against, left));
    return st == ST_OK ? buf_printf(out, "%s.\n", lost ? "; and nobody ever found that" : "") : st;
}

static enum status
put_plain_words(struct buf *out, const struct history *h, const struct history_report *report)
{
    char seen[TEXT_ROOM];
    enum status st;

    if (report->anomaly == HISTORY_NO_ANOMALY)
        return ST_OK;
    st = buf_printf(out, "In plain words, %s: ", history_anomaly_name(report->anomaly));
    if (st != ST_OK || report->anomaly != HISTORY_NEVER_WRITTEN)
        return st == ST_OK ? put_contradiction(out, h, report) : st;
    st = put_place(out, h, report->witness);
    if (st != ST_OK)
        return st;
    return buf_printf(out,
                      " found %s, which no write that was called before its end, and did not "
                      "fail, can have left.\n",
                      seen_text(h, report->witness, seen));
}

enum status
history_explain(const struct history *h, const struct history_report *report, struct buf *out)
{
    uint32_t key = h->ops[report->culprit].key;
    char name[TEXT_ROOM];
    struct keys keys;
    enum status st = keys_init(&keys, h);

    ASSERT(report->verdict == HISTORY_VIOLATION);
    if (st == ST_OK)
        st = buf_printf(out, "Key \"%s\": no order of its operations explains this one:\n",
                        slice_printable(report->key, name, sizeof(name)));
    if (st == ST_OK)
        st = put_op(out, h, report->culprit);
    if (st == ST_OK)
        st = put_neighbours(out, &keys, key, report->culprit);
    if (st == ST_OK)
        st = put_prefix(out, &keys, key, report->culprit);
    if (st == ST_OK)
        st = put_plain_words(out, h, report);
    keys_release(&keys);
    return st;
}
