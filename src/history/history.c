#include "history/history.h"

#include <inttypes.h>
#include <stdlib.h>

#include "base/assert.h"
#include "base/mem.h"

#include "history/history_internal.h"
#include "history/number.h"

enum { OPS_FIRST = 64 };

static const char *const verb_names[] = { [HISTORY_GET] = "get",
                                          [HISTORY_PUT] = "put",
                                          [HISTORY_DELETE] = "delete",
                                          [HISTORY_CAS] = "cas",
                                          [HISTORY_INCR] = "incr" };

static const char *const result_names[] = {
    [HISTORY_OK] = "ok", [HISTORY_FAIL] = "fail", [HISTORY_UNKNOWN] = "unknown"
};

const char *
history_verb_name(enum history_verb verb)
{
    ASSERT(verb < HISTORY_VERB_COUNT);
    return verb_names[verb];
}

const char *
history_result_name(enum history_result result)
{
    ASSERT(result < HISTORY_RESULT_COUNT);
    return result_names[result];
}

static bool
named(const char *const *names, unsigned count, const char *name, unsigned *out)
{
    for (unsigned i = 0; i < count; i++) {
        if (strcmp(names[i], name) == 0) {
            *out = i;
            return true;
        }
    }
    return false;
}

bool
history__verb_named(const char *name, enum history_verb *out)
{
    unsigned at;
    bool found = named(verb_names, HISTORY_VERB_COUNT, name, &at);

    if (found)
        *out = (enum history_verb)at;
    return found;
}

bool
history__result_named(const char *name, enum history_result *out)
{
    unsigned at;
    bool found = named(result_names, HISTORY_RESULT_COUNT, name, &at);

    if (found)
        *out = (enum history_result)at;
    return found;
}

enum status
history_create(struct history **out)
{
    struct history *h = mem_new(struct history);

    if (h == NULL)
        return ST_NO_MEMORY;
    if (strings_init(&h->keys) != ST_OK || strings_init(&h->values) != ST_OK) {
        history_destroy(h);
        return ST_NO_MEMORY;
    }
    *out = h;
    return ST_OK;
}

void
history_destroy(struct history *h)
{
    if (h == NULL)
        return;
    strings_release(&h->keys);
    strings_release(&h->values);
    mem_free(h->ops);
    mem_free(h);
}

uint32_t
history_op_count(const struct history *h)
{
    return h->op_count;
}

uint32_t
history_key_count(const struct history *h)
{
    return h->keys.count - STRING_FIRST;
}

/* ------------------------------------------------------------------ adding */

static enum status
validate_times(const struct history_op *op, struct err *err)
{
    bool returned = op->return_ns != HISTORY_NEVER;

    if (op->client > HISTORY_NUMBER_MAX || op->call_ns > HISTORY_NUMBER_MAX ||
        (returned && op->return_ns > HISTORY_NUMBER_MAX))
        return err_raise(err, ST_INVALID, "a client or a time is beyond 2^63-1");
    if (!returned && op->result != HISTORY_UNKNOWN)
        return err_raise(err, ST_INVALID, "the result is \"%s\", and it has not returned",
                         history_result_name(op->result));
    if (op->return_ns < op->call_ns) {
        return err_raise(err, ST_INVALID,
                         "it returns at %" PRIu64 ", before it was called at %" PRIu64,
                         op->return_ns, op->call_ns);
    }
    return ST_OK;
}

enum status
history__op_validate(const struct history_op *op, struct err *err)
{
    if (op->verb >= HISTORY_VERB_COUNT || op->result >= HISTORY_RESULT_COUNT)
        return err_raise(err, ST_INVALID, "an operation or a result that is none");
    if ((op->verb == HISTORY_PUT || op->verb == HISTORY_CAS) && !op->value.present)
        return err_raise(err, ST_INVALID, "a %s without a value", history_verb_name(op->verb));
    if (op->mismatch && (op->verb != HISTORY_CAS || op->result != HISTORY_FAIL))
        return err_raise(err, ST_INVALID, "only a failed cas can have a mismatch");
    return validate_times(op, err);
}

static enum status
keep_value(struct history *h, struct history_value value, uint32_t *number)
{
    if (value.present)
        return strings_intern(&h->values, value.text, number);
    *number = STRING_ABSENT;
    return ST_OK;
}

static enum status
keep_number(struct history *h, int64_t value, uint32_t *number)
{
    char room[NUMBER_ROOM];

    return strings_intern(&h->values, number_print(value, room), number);
}

static enum status
keep_incr(struct history *h, const struct history_op *op, struct kept_op *kept)
{
    int64_t before;
    enum status st;

    kept->delta = op->delta;
    if (op->result != HISTORY_OK)
        return ST_OK;
    st = keep_number(h, op->sum, &kept->to);
    if (st != ST_OK)
        return st;
    if (!__builtin_sub_overflow(op->sum, op->delta, &before))
        return keep_number(h, before, &kept->from);
    kept->from = STRING_NEVER;
    return ST_OK;
}

/* The key comes last: a new one counts, so nothing may fail after it. */
static enum status
keep(struct history *h, const struct history_op *op, struct kept_op *kept)
{
    enum status st = ST_OK;

    if (op->verb == HISTORY_CAS)
        st = keep_value(h, op->expect, &kept->from);
    if (st == ST_OK && (op->verb == HISTORY_CAS || op->verb == HISTORY_PUT ||
                        (op->verb == HISTORY_GET && op->result == HISTORY_OK)))
        st = keep_value(h, op->value, &kept->to);
    if (st == ST_OK && op->verb == HISTORY_INCR)
        st = keep_incr(h, op, kept);
    return st == ST_OK ? strings_intern(&h->keys, op->key, &kept->key) : st;
}

static enum status
reserve(struct history *h)
{
    uint32_t room = h->op_room == 0 ? OPS_FIRST : 2 * h->op_room;
    struct kept_op *ops;

    if (h->op_count < h->op_room)
        return ST_OK;
    if (h->op_count == HISTORY_OPS_MAX)
        return ST_TOO_BIG;
    ops = mem_resize(h->ops, room * sizeof(*ops));
    if (ops == NULL)
        return ST_NO_MEMORY;
    h->ops = ops;
    h->op_room = room;
    return ST_OK;
}

enum status
history_add(struct history *h, const struct history_op *op, struct err *err)
{
    struct kept_op kept = { .client = op->client,
                            .call_ns = op->call_ns,
                            .return_ns = op->return_ns,
                            .line = op->line,
                            .verb = (uint8_t)op->verb,
                            .result = (uint8_t)op->result,
                            .mismatch = op->mismatch };
    enum status st = history__op_validate(op, err);

    if (st != ST_OK)
        return st;
    st = reserve(h);
    if (st == ST_OK)
        st = keep(h, op, &kept);
    if (st == ST_TOO_BIG)
        return err_raise(err, st, "a history has at most %d operations", HISTORY_OPS_MAX);
    if (st != ST_OK)
        return err_raise(err, st, "out of memory after %" PRIu32 " operations", h->op_count);
    h->ops[h->op_count++] = kept;
    return ST_OK;
}

/* ------------------------------------------------------------------ looking */

static struct history_value
value_of(const struct history *h, uint32_t number)
{
    if (number < STRING_FIRST)
        return (struct history_value){ 0 };
    return (struct history_value){ true, h->values.texts[number] };
}

struct history_op
history_op_at(const struct history *h, uint32_t index)
{
    const struct kept_op *kept = &h->ops[index];
    struct history_op op = { .verb = (enum history_verb)kept->verb,
                             .result = (enum history_result)kept->result,
                             .mismatch = kept->mismatch,
                             .client = kept->client,
                             .call_ns = kept->call_ns,
                             .return_ns = kept->return_ns,
                             .line = kept->line,
                             .key = h->keys.texts[kept->key],
                             .delta = kept->delta };

    ASSERT(index < h->op_count);
    if (op.verb != HISTORY_INCR) {
        op.value = value_of(h, kept->to);
        op.expect = value_of(h, kept->from);
    } else if (op.result == HISTORY_OK && !number_parse(h->values.texts[kept->to], &op.sum)) {
        ASSERT(false); /* keep_number() printed it */
    }
    return op;
}

/* By client, then by time. */
static int
compare_clients(const void *left, const void *right)
{
    const struct kept_op *a = *(const struct kept_op *const *)left;
    const struct kept_op *b = *(const struct kept_op *const *)right;

    if (a->client != b->client)
        return a->client < b->client ? -1 : 1;
    if (a->call_ns != b->call_ns)
        return a->call_ns < b->call_ns ? -1 : 1;
    return (a->return_ns > b->return_ns) - (a->return_ns < b->return_ns);
}

enum status
history_check_clients(const struct history *h, uint32_t *index, struct err *err)
{
    const struct kept_op **sorted = mem_new_array(const struct kept_op *, h->op_count);
    enum status st = ST_OK;

    if (sorted == NULL)
        return err_raise(err, ST_NO_MEMORY, "out of memory");
    for (uint32_t i = 0; i < h->op_count; i++)
        sorted[i] = &h->ops[i];
    if (h->op_count > 0)
        qsort(sorted, h->op_count, sizeof(const struct kept_op *), compare_clients);
    for (uint32_t i = 1; i < h->op_count && st == ST_OK; i++) {
        const struct kept_op *a = sorted[i - 1], *b = sorted[i];

        if (a->client != b->client || a->return_ns == HISTORY_NEVER || a->return_ns <= b->call_ns)
            continue;
        *index = (uint32_t)(b - h->ops);
        st = err_raise(err, ST_INVALID,
                       "client %" PRIu64 " calls at %" PRIu64 ", but its operation of line %" PRIu64
                       " returns at %" PRIu64 " only",
                       b->client, b->call_ns, a->line, a->return_ns);
    }
    mem_free(sorted);
    return st;
}
