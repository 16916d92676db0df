/* Commands on string values. */
#include "base/limits.h"

#include "api/redis.h"
#include "wire/decimal.h"

/* One operation on args[1]; NULL when the unit has failed. */
static struct op *
add_op(struct unit *u, struct piece *p, enum op_kind kind, struct slice key)
{
    struct op *op = unit_add(u, p, 1);

    if (op == NULL)
        return NULL;
    op->kind = kind;
    op->key = key;
    return op;
}

/* ------------------------------------------------------------------ GET and its kin */

void
prepare_get(struct unit *u, struct piece *p, const struct slice *args, uint32_t count)
{
    (void)count;
    p->encode = encode_value;
    (void)add_op(u, p, OP_GET, args[1]);
}

void
prepare_mget(struct unit *u, struct piece *p, const struct slice *args, uint32_t count)
{
    struct op *ops = unit_add(u, p, count - 1);

    p->encode = encode_value;
    p->is_list = true;
    for (uint32_t i = 0; ops != NULL && i < count - 1; i++) {
        ops[i].kind = OP_GET;
        ops[i].key = args[i + 1];
    }
}

static void
encode_deleted(const struct piece *p, const struct op_result *results, struct resp_writer *w)
{
    (void)p;
    if (results[0].old_missing)
        resp_put_nil(w);
    else
        resp_put_bulk(w, results[0].value);
}

void
prepare_getdel(struct unit *u, struct piece *p, const struct slice *args, uint32_t count)
{
    struct op *op = add_op(u, p, OP_DELETE, args[1]);

    (void)count;
    p->encode = encode_deleted;
    if (op != NULL)
        op->flags = OPF_RETURN_OLD;
}

void
prepare_strlen(struct unit *u, struct piece *p, const struct slice *args, uint32_t count)
{
    (void)count;
    p->encode = encode_integer;
    (void)add_op(u, p, OP_META, args[1]);
}

static void
encode_range(const struct piece *p, const struct op_result *results, struct resp_writer *w)
{
    (void)p;
    resp_put_bulk(w, results[0].code == OP_NIL ? slice_of(NULL, 0) : results[0].value);
}

void
prepare_getrange(struct unit *u, struct piece *p, const struct slice *args, uint32_t count)
{
    struct op *op = add_op(u, p, OP_GETRANGE, args[1]);

    (void)count;
    p->encode = encode_range;
    if (op == NULL)
        return;
    if (!decimal_parse_i64(args[2], &op->number) || !decimal_parse_i64(args[3], &op->number2)) {
        piece_fail(u, p, REDIS_NOT_INTEGER);
        return;
    }
    /* Counted from the end, the wrong way round: nothing, however short the value is. */
    if (op->number < 0 && op->number2 < 0 && op->number > op->number2) {
        op->number = 1;
        op->number2 = 0;
    }
}

/* ------------------------------------------------------------------ SET and its kin */

/* The options of SET and GETEX. */
struct options {
    unsigned flags;
    bool get;
    bool persist;
    enum expiry_unit unit;
    struct slice expiry; /* as text */
};

/* One kind of expiry; the same may be said again, and the last word counts. */
static bool
takes_expiry(const struct options *o, enum expiry_unit unit)
{
    return (o->unit == EXPIRY_NONE || o->unit == unit) && !o->persist &&
           (o->flags & OPF_KEEP_EXPIRY) == 0;
}

/* One option of SET; false: a syntax error. */
static bool
parse_set_option(struct options *o, struct slice arg)
{
    if (arg_is(arg, "NX") && (o->flags & OPF_XX) == 0)
        o->flags |= OPF_NX;
    else if (arg_is(arg, "XX") && (o->flags & OPF_NX) == 0)
        o->flags |= OPF_XX;
    else if (arg_is(arg, "GET"))
        o->get = true;
    else if (arg_is(arg, "KEEPTTL") && o->unit == EXPIRY_NONE)
        o->flags |= OPF_KEEP_EXPIRY;
    else
        return false;
    return true;
}

static bool
parse_getex_option(struct options *o, struct slice arg)
{
    if (!arg_is(arg, "PERSIST") || o->unit != EXPIRY_NONE)
        return false;
    o->persist = true;
    return true;
}

static bool
parse_options(struct options *o, const struct slice *args, uint32_t count,
              bool (*parse_other)(struct options *o, struct slice arg))
{
    for (uint32_t i = 0; i < count; i++) {
        enum expiry_unit unit = arg_expiry_unit(args[i]);

        if (unit == EXPIRY_NONE) {
            if (!parse_other(o, args[i]))
                return false;
            continue;
        }
        if (!takes_expiry(o, unit) || i + 1 == count)
            return false;
        o->unit = unit;
        o->expiry = args[++i];
    }
    return true;
}

enum time_kind { TIME_GOOD, TIME_NONE /* no integer */, TIME_BAD /* out of range */ };

static enum time_kind
expiry_of(struct unit *u, enum expiry_unit unit, struct slice text, uint64_t *expiry_ms)
{
    int64_t value, unix_ms;

    if (unit == EXPIRY_NONE)
        return TIME_GOOD;
    if (!decimal_parse_i64(text, &value))
        return TIME_NONE;
    if (value <= 0 || !expiry_resolve(unit, value, unit_now_ms(u), &unix_ms))
        return TIME_BAD;
    *expiry_ms = (uint64_t)unix_ms;
    return TIME_GOOD;
}

/* The expiry of a piece, or its failure. */
static void
resolve(struct unit *u, struct piece *p, enum expiry_unit unit, struct slice text, const char *name,
        uint64_t *expiry_ms)
{
    switch (expiry_of(u, unit, text, expiry_ms)) {
    case TIME_GOOD:
        break;
    case TIME_NONE:
        piece_fail(u, p, REDIS_NOT_INTEGER);
        break;
    case TIME_BAD:
        piece_failf(u, p, "ERR invalid expire time in '%s' command", name);
        break;
    }
}

static void
encode_set(const struct piece *p, const struct op_result *results, struct resp_writer *w)
{
    (void)p;
    if (results[0].code == OP_NIL)
        resp_put_nil(w);
    else
        resp_put_simple(w, "OK");
}

void
prepare_set(struct unit *u, struct piece *p, const struct slice *args, uint32_t count)
{
    struct op *op = add_op(u, p, OP_PUT, args[1]);
    struct options options = { 0 };

    p->encode = encode_set;
    if (op == NULL)
        return;
    op->value = args[2];
    if (count == 3)
        return;
    if (!parse_options(&options, args + 3, count - 3, parse_set_option)) {
        piece_fail(u, p, REDIS_SYNTAX_ERROR);
        return;
    }
    op->flags = options.flags;
    if (options.get) {
        op->flags |= OPF_RETURN_OLD;
        p->encode = encode_deleted;
    }
    resolve(u, p, options.unit, options.expiry, "set", &op->expiry_ms);
}

static void
encode_done(const struct piece *p, const struct op_result *results, struct resp_writer *w)
{
    (void)p;
    resp_put_i64(w, results[0].code == OP_DONE);
}

void
prepare_setnx(struct unit *u, struct piece *p, const struct slice *args, uint32_t count)
{
    struct op *op = add_op(u, p, OP_PUT, args[1]);

    (void)count;
    p->encode = encode_done;
    if (op == NULL)
        return;
    op->flags = OPF_NX;
    op->value = args[2];
}

static void
prepare_set_expiring(struct unit *u, struct piece *p, const struct slice *args,
                     enum expiry_unit unit, const char *name)
{
    struct op *op = add_op(u, p, OP_PUT, args[1]);

    p->encode = encode_ok;
    if (op == NULL)
        return;
    op->value = args[3];
    resolve(u, p, unit, args[2], name, &op->expiry_ms);
}

void
prepare_setex(struct unit *u, struct piece *p, const struct slice *args, uint32_t count)
{
    (void)count;
    prepare_set_expiring(u, p, args, EXPIRY_EX, "setex");
}

void
prepare_psetex(struct unit *u, struct piece *p, const struct slice *args, uint32_t count)
{
    (void)count;
    prepare_set_expiring(u, p, args, EXPIRY_PX, "psetex");
}

void
prepare_getset(struct unit *u, struct piece *p, const struct slice *args, uint32_t count)
{
    struct op *op = add_op(u, p, OP_PUT, args[1]);

    (void)count;
    p->encode = encode_deleted;
    if (op == NULL)
        return;
    op->flags = OPF_RETURN_OLD;
    op->value = args[2];
}

/* As in Redis, GETEX looks for the key before it looks at the time: without a key, any will do. */
static void
encode_bad_time(const struct piece *p, const struct op_result *results, struct resp_writer *w)
{
    (void)p;
    if (results[0].code == OP_NIL)
        resp_put_nil(w);
    else
        resp_put_error_text(w, "ERR invalid expire time in 'getex' command");
}

static void
encode_no_time(const struct piece *p, const struct op_result *results, struct resp_writer *w)
{
    (void)p;
    if (results[0].code == OP_NIL)
        resp_put_nil(w);
    else
        resp_put_error_text(w, REDIS_NOT_INTEGER);
}

void
prepare_getex(struct unit *u, struct piece *p, const struct slice *args, uint32_t count)
{
    struct op *op = add_op(u, p, OP_GETEX, args[1]);
    struct options options = { 0 };

    p->encode = encode_value;
    if (op == NULL)
        return;
    if (!parse_options(&options, args + 2, count - 2, parse_getex_option)) {
        piece_fail(u, p, REDIS_SYNTAX_ERROR);
        return;
    }
    if (options.persist || options.unit != EXPIRY_NONE)
        op->flags = OPF_HAS_EXPIRY;
    else
        op->kind = OP_GET;
    switch (expiry_of(u, options.unit, options.expiry, &op->expiry_ms)) {
    case TIME_GOOD:
        return;
    case TIME_BAD:
        p->encode = encode_bad_time;
        break;
    case TIME_NONE:
        p->encode = encode_no_time;
        break;
    }
    op->kind = OP_META;
    op->flags = 0;
}

static bool
add_pairs(struct unit *u, struct piece *p, const struct slice *args, uint32_t count,
          const char *name)
{
    struct op *ops;

    if (count % 2 == 0) {
        piece_failf(u, p, "ERR wrong number of arguments for '%s' command", name);
        return false;
    }
    ops = unit_add(u, p, count / 2);
    for (uint32_t i = 0; ops != NULL && i < count / 2; i++) {
        ops[i].kind = OP_PUT;
        ops[i].key = args[1 + 2 * i];
        ops[i].value = args[2 + 2 * i];
    }
    return ops != NULL;
}

void
prepare_mset(struct unit *u, struct piece *p, const struct slice *args, uint32_t count)
{
    p->encode = encode_ok;
    (void)add_pairs(u, p, args, count, "mset");
}

/* All or none: that every key is absent is the condition of the whole unit. */
void
prepare_msetnx(struct unit *u, struct piece *p, const struct slice *args, uint32_t count)
{
    struct precondition *absent;

    p->encode = encode_done;
    if (!add_pairs(u, p, args, count, "msetnx"))
        return;
    if (p->op_count == 1) {
        u->ops[p->op_first].flags = OPF_NX;
        return;
    }
    absent = unit_alloc(u, p->op_count * sizeof(*absent));
    if (absent == NULL)
        return;
    for (uint32_t i = 0; i < p->op_count; i++)
        absent[i] = (struct precondition){ .key = args[1 + 2 * i] };
    u->preconditions = absent;
    u->precondition_count = p->op_count;
}

/* ------------------------------------------------------------------ in place */

void
prepare_append(struct unit *u, struct piece *p, const struct slice *args, uint32_t count)
{
    struct op *op = add_op(u, p, OP_APPEND, args[1]);

    (void)count;
    p->encode = encode_integer;
    if (op != NULL)
        op->value = args[2];
}

void
prepare_setrange(struct unit *u, struct piece *p, const struct slice *args, uint32_t count)
{
    struct op *op = add_op(u, p, OP_SETRANGE, args[1]);

    (void)count;
    p->encode = encode_integer;
    if (op == NULL)
        return;
    op->value = args[3];
    if (!decimal_parse_i64(args[2], &op->number))
        piece_fail(u, p, REDIS_NOT_INTEGER);
    else if (op->number < 0)
        piece_fail(u, p, "ERR offset is out of range");
}

static void
add_incr(struct unit *u, struct piece *p, struct slice key, int64_t delta)
{
    struct op *op = add_op(u, p, OP_INCR, key);

    p->encode = encode_integer;
    if (op != NULL)
        op->number = delta;
}

void
prepare_incr(struct unit *u, struct piece *p, const struct slice *args, uint32_t count)
{
    (void)count;
    add_incr(u, p, args[1], 1);
}

void
prepare_decr(struct unit *u, struct piece *p, const struct slice *args, uint32_t count)
{
    (void)count;
    add_incr(u, p, args[1], -1);
}

void
prepare_incrby(struct unit *u, struct piece *p, const struct slice *args, uint32_t count)
{
    int64_t delta;

    (void)count;
    if (decimal_parse_i64(args[2], &delta))
        add_incr(u, p, args[1], delta);
    else
        piece_fail(u, p, REDIS_NOT_INTEGER);
}

void
prepare_decrby(struct unit *u, struct piece *p, const struct slice *args, uint32_t count)
{
    int64_t delta;

    (void)count;
    if (!decimal_parse_i64(args[2], &delta))
        piece_fail(u, p, REDIS_NOT_INTEGER);
    else if (delta == INT64_MIN)
        piece_fail(u, p, "ERR decrement would overflow");
    else
        add_incr(u, p, args[1], -delta);
}

void
prepare_incrbyfloat(struct unit *u, struct piece *p, const struct slice *args, uint32_t count)
{
    struct op *op = add_op(u, p, OP_INCR_FLOAT, args[1]);

    (void)count;
    p->encode = encode_value;
    if (op != NULL)
        op->value = args[2];
}
