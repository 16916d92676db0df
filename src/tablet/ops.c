/*
 * The operations, one function each: what the key is now, and what it becomes.
 * Semantics are those of the Redis commands that they serve.
 */
#include <math.h>

#include "base/assert.h"
#include "base/limits.h"

#include "tablet/number.h"
#include "tablet/tablet_internal.h"

typedef enum status evaluate_fn(struct unit *u, const struct op *op, struct op_result *out);

static bool
has(const struct op *op, enum op_flags flag)
{
    return (op->flags & (unsigned)flag) != 0;
}

static void
nil(const struct current *c, struct op_result *out)
{
    out->code = OP_NIL;
    out->was_tombstone = c->tombstone;
}

static struct slice
substring(struct slice value, int64_t first, int64_t last)
{
    int64_t size = (int64_t)value.size;

    if (first < 0)
        first = first + size < 0 ? 0 : first + size;
    if (last < 0)
        last = last + size < 0 ? 0 : last + size;
    if (last >= size)
        last = size - 1;
    if (first > last || size == 0)
        return slice_of(value.data, 0);
    return slice_of(value.data + first, (size_t)(last - first + 1));
}

void
op_read(const struct op *op, const struct current *c, struct op_result *out)
{
    *out = (struct op_result){ .code = OP_DONE };
    if (!c->exists) {
        nil(c, out);
        return;
    }
    out->version = c->version;
    out->expiry_ms = c->expiry_ms;
    out->integer = (int64_t)c->value.size;
    if (op->kind == OP_GET || op->kind == OP_GETEX)
        out->value = c->value;
    else if (op->kind == OP_GETRANGE)
        out->value = substring(c->value, op->number, op->number2);
}

static enum status
read_op(struct unit *u, const struct op *op, struct op_result *out)
{
    struct current now;
    enum status st = unit_look(u, op->key, op->kind != OP_META, &now);

    if (st == ST_OK)
        op_read(op, &now, out);
    return st;
}

static void
wrote(const struct unit *u, struct op_result *out)
{
    out->code = OP_DONE;
    out->version = u->version;
}

static void
keep_old(const struct op *op, const struct current *now, struct op_result *out)
{
    if (!has(op, OPF_RETURN_OLD))
        return;
    out->old_missing = !now->exists;
    out->value = now->exists ? now->value : (struct slice){ 0 };
}

static enum status
put_op(struct unit *u, const struct op *op, struct op_result *out)
{
    const unsigned looks = OPF_NX | OPF_XX | OPF_KEEP_EXPIRY | OPF_RETURN_OLD;
    uint64_t expiry_ms = op->expiry_ms;
    struct current now = { 0 };
    enum status st;

    if ((op->flags & looks) != 0) {
        st = unit_look(u, op->key, has(op, OPF_RETURN_OLD), &now);
        if (st != ST_OK)
            return st;
        keep_old(op, &now, out);
        if ((has(op, OPF_NX) && now.exists) || (has(op, OPF_XX) && !now.exists)) {
            out->code = OP_NIL;
            return ST_OK;
        }
        if (has(op, OPF_KEEP_EXPIRY))
            expiry_ms = now.expiry_ms;
    }
    wrote(u, out);
    out->expiry_ms = expiry_ms;
    if (expiry_ms != 0 && expiry_ms <= u->now_ms)
        return unit_delete(u, op->key); /* born dead */
    return unit_put(u, op->key, op->value, expiry_ms);
}

static enum status
delete_op(struct unit *u, const struct op *op, struct op_result *out)
{
    struct current now;
    enum status st = unit_look(u, op->key, has(op, OPF_RETURN_OLD), &now);

    if (st != ST_OK)
        return st;
    keep_old(op, &now, out);
    if (!now.exists) {
        nil(&now, out);
        return ST_OK;
    }
    wrote(u, out);
    out->integer = 1;
    return unit_delete(u, op->key);
}

/* NX, XX, GT, LT of EXPIRE: no expiry counts as infinitely far. */
static bool
expiry_allowed(const struct op *op, uint64_t old_ms)
{
    if (has(op, OPF_NX) && old_ms != 0)
        return false;
    if (has(op, OPF_XX) && old_ms == 0)
        return false;
    if (has(op, OPF_GT) && (old_ms == 0 || op->expiry_ms <= old_ms))
        return false;
    if (has(op, OPF_LT) && old_ms != 0 && op->expiry_ms >= old_ms)
        return false;
    return true;
}

static enum status
set_expiry(struct unit *u, const struct op *op, const struct current *now)
{
    if (op->expiry_ms != 0 && op->expiry_ms <= u->now_ms)
        return unit_delete(u, op->key);
    return unit_put(u, op->key, now->value, op->expiry_ms);
}

static enum status
expire_op(struct unit *u, const struct op *op, struct op_result *out)
{
    struct current now;
    enum status st = unit_look(u, op->key, true, &now);

    if (st != ST_OK)
        return st;
    if (!now.exists) {
        nil(&now, out);
        return ST_OK;
    }
    out->version = now.version;
    if ((op->expiry_ms == 0 && now.expiry_ms == 0) || !expiry_allowed(op, now.expiry_ms))
        return ST_OK; /* integer 0: nothing changed */
    wrote(u, out);
    out->integer = 1;
    return set_expiry(u, op, &now);
}

static enum status
getex_op(struct unit *u, const struct op *op, struct op_result *out)
{
    struct current now;
    enum status st = unit_look(u, op->key, true, &now);

    if (st != ST_OK)
        return st;
    op_read(op, &now, out);
    if (!now.exists || !has(op, OPF_HAS_EXPIRY) || op->expiry_ms == now.expiry_ms)
        return ST_OK;
    out->version = u->version;
    out->expiry_ms = op->expiry_ms;
    return set_expiry(u, op, &now);
}

static enum status
put_text(struct unit *u, const struct op *op, const char *text, size_t size, uint64_t expiry_ms,
         struct op_result *out)
{
    uint8_t *value = unit_bytes(u, size);

    if (value == NULL)
        return ST_NO_MEMORY;
    memcpy(value, text, size);
    wrote(u, out);
    out->value = slice_of(value, size);
    out->expiry_ms = expiry_ms;
    return unit_put(u, op->key, out->value, expiry_ms);
}

static enum status
incr_op(struct unit *u, const struct op *op, struct op_result *out)
{
    struct current now;
    char text[24];
    int64_t sum = 0;
    enum status st = unit_look(u, op->key, true, &now);

    if (st != ST_OK)
        return st;
    if (now.exists && !number_parse_i64(now.value, &sum)) {
        out->code = OP_NOT_INTEGER;
        return ST_OK;
    }
    if (__builtin_add_overflow(sum, op->number, &sum)) {
        out->code = OP_OVERFLOW;
        return ST_OK;
    }
    st = put_text(u, op, text, number_format_i64(sum, text), now.expiry_ms, out);
    out->integer = sum;
    return st;
}

static enum status
incr_float_op(struct unit *u, const struct op *op, struct op_result *out)
{
    struct current now;
    char text[NUMBER_TEXT_MAX];
    long double sum = 0;
    long double delta;
    enum status st = unit_look(u, op->key, true, &now);

    if (st != ST_OK)
        return st;
    if ((now.exists && !number_parse_float(now.value, &sum)) ||
        !number_parse_float(op->value, &delta)) {
        out->code = OP_NOT_FLOAT;
        return ST_OK;
    }
    sum += delta;
    if (!isfinite(sum)) {
        out->code = OP_NOT_FINITE;
        return ST_OK;
    }
    return put_text(u, op, text, number_format_float(sum, text), now.expiry_ms, out);
}

/* The old value with `op->value` laid over it at `offset`; the gap is zeros. */
static enum status
overwrite(struct unit *u, const struct op *op, const struct current *now, size_t offset,
          struct op_result *out)
{
    size_t end = offset + op->value.size;
    size_t size = end > now->value.size ? end : now->value.size;
    uint8_t *value;

    if (size > LIMIT_VALUE_BYTES) {
        out->code = OP_TOO_LONG;
        return ST_OK;
    }
    value = unit_bytes(u, size);
    if (value == NULL)
        return ST_NO_MEMORY;
    if (now->value.size > 0)
        memcpy(value, now->value.data, now->value.size);
    if (offset > now->value.size)
        memset(value + now->value.size, 0, offset - now->value.size);
    if (op->value.size > 0)
        memcpy(value + offset, op->value.data, op->value.size);
    wrote(u, out);
    out->integer = (int64_t)size;
    out->expiry_ms = now->expiry_ms;
    return unit_put(u, op->key, slice_of(value, size), now->expiry_ms);
}

static enum status
append_op(struct unit *u, const struct op *op, struct op_result *out)
{
    struct current now;
    enum status st = unit_look(u, op->key, true, &now);

    return st == ST_OK ? overwrite(u, op, &now, now.value.size, out) : st;
}

static enum status
setrange_op(struct unit *u, const struct op *op, struct op_result *out)
{
    struct current now;
    enum status st = unit_look(u, op->key, true, &now);

    if (st != ST_OK)
        return st;
    if (op->value.size == 0) { /* as Redis: nothing is created, nothing grows */
        out->integer = (int64_t)now.value.size;
        out->version = now.version;
        return ST_OK;
    }
    if (op->number < 0 || op->number > LIMIT_VALUE_BYTES) {
        out->code = OP_TOO_LONG;
        return ST_OK;
    }
    return overwrite(u, op, &now, (size_t)op->number, out);
}

static enum status
copy_op(struct unit *u, const struct op *op, struct op_result *out)
{
    struct current from;
    struct current to;
    enum status st = unit_look(u, op->key, true, &from);

    if (st == ST_OK)
        st = unit_look(u, op->key2, false, &to);
    if (st != ST_OK)
        return st;
    if (!from.exists) {
        nil(&from, out);
        return ST_OK;
    }
    if (has(op, OPF_NX) && to.exists)
        return ST_OK; /* integer 0 */
    wrote(u, out);
    out->integer = 1;
    out->expiry_ms = from.expiry_ms;
    if (slice_equal(op->key, op->key2))
        return ST_OK;
    st = unit_put(u, op->key2, from.value, from.expiry_ms);
    if (st == ST_OK && has(op, OPF_MOVE))
        st = unit_delete(u, op->key);
    return st;
}

static enum status
clear_op(struct unit *u, const struct op *op, struct op_result *out)
{
    (void)op;
    if (u->r->op_count != 1)
        return ST_INVALID; /* alone in its request */
    u->clear = true;
    wrote(u, out);
    return ST_OK;
}

static evaluate_fn *const evaluators[OP_KIND_COUNT] = {
    [OP_GET] = read_op,      [OP_META] = read_op,         [OP_GETRANGE] = read_op,
    [OP_PUT] = put_op,       [OP_DELETE] = delete_op,     [OP_EXPIRE] = expire_op,
    [OP_GETEX] = getex_op,   [OP_INCR] = incr_op,         [OP_INCR_FLOAT] = incr_float_op,
    [OP_APPEND] = append_op, [OP_SETRANGE] = setrange_op, [OP_COPY] = copy_op,
    [OP_CLEAR] = clear_op,
};

enum status
op_evaluate(struct unit *u, const struct op *op, struct op_result *out)
{
    ASSERT(op->kind < OP_KIND_COUNT);
    return evaluators[op->kind](u, op, out);
}
