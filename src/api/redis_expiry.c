/* When keys cease to exist. */
#include "api/redis.h"
#include "wire/decimal.h"

/* ------------------------------------------------------------------ setting */

static bool
parse_conditions(struct unit *u, struct piece *p, const struct slice *args, uint32_t count,
                 unsigned *flags)
{
    for (uint32_t i = 0; i < count; i++) {
        if (arg_is(args[i], "NX")) {
            *flags |= OPF_NX;
        } else if (arg_is(args[i], "XX")) {
            *flags |= OPF_XX;
        } else if (arg_is(args[i], "GT")) {
            *flags |= OPF_GT;
        } else if (arg_is(args[i], "LT")) {
            *flags |= OPF_LT;
        } else {
            piece_failf(u, p, "ERR Unsupported option %.*s",
                        (int)(args[i].size < 128 ? args[i].size : 128), (const char *)args[i].data);
            return false;
        }
    }
    if ((*flags & OPF_NX) != 0 && (*flags & (OPF_XX | OPF_GT | OPF_LT)) != 0) {
        piece_fail(u, p, "ERR NX and XX, GT or LT options at the same time are not compatible");
        return false;
    }
    if ((*flags & OPF_GT) != 0 && (*flags & OPF_LT) != 0) {
        piece_fail(u, p, "ERR GT and LT options at the same time are not compatible");
        return false;
    }
    return true;
}

static void
prepare(struct unit *u, struct piece *p, const struct slice *args, uint32_t count,
        enum expiry_unit unit, const char *name)
{
    struct op *op = unit_add(u, p, 1);
    int64_t value, unix_ms;

    p->encode = encode_integer;
    if (op == NULL)
        return;
    op->kind = OP_EXPIRE;
    op->key = args[1];
    if (!parse_conditions(u, p, args + 3, count - 3, &op->flags))
        return;
    if (!decimal_parse_i64(args[2], &value)) {
        piece_fail(u, p, REDIS_NOT_INTEGER);
        return;
    }
    if (!expiry_resolve(unit, value, unit_now_ms(u), &unix_ms)) {
        piece_failf(u, p, "ERR invalid expire time in '%s' command", name);
        return;
    }
    op->expiry_ms = unix_ms > 0 ? (uint64_t)unix_ms : 1; /* 0 would mean: never */
}

void
prepare_expire(struct unit *u, struct piece *p, const struct slice *args, uint32_t count)
{
    prepare(u, p, args, count, EXPIRY_EX, "expire");
}

void
prepare_pexpire(struct unit *u, struct piece *p, const struct slice *args, uint32_t count)
{
    prepare(u, p, args, count, EXPIRY_PX, "pexpire");
}

void
prepare_expireat(struct unit *u, struct piece *p, const struct slice *args, uint32_t count)
{
    prepare(u, p, args, count, EXPIRY_EXAT, "expireat");
}

void
prepare_pexpireat(struct unit *u, struct piece *p, const struct slice *args, uint32_t count)
{
    prepare(u, p, args, count, EXPIRY_PXAT, "pexpireat");
}

void
prepare_persist(struct unit *u, struct piece *p, const struct slice *args, uint32_t count)
{
    struct op *op = unit_add(u, p, 1);

    (void)count;
    p->encode = encode_integer;
    if (op == NULL)
        return;
    op->kind = OP_EXPIRE;
    op->key = args[1];
}

/* ------------------------------------------------------------------ asking */

enum { NO_KEY = -2, NO_EXPIRY = -1 };

static int64_t
rounded_seconds(uint64_t ms)
{
    return (int64_t)((ms + 500) / 1000);
}

static uint64_t
left_ms(const struct piece *p, const struct op_result *result)
{
    return result->expiry_ms > p->now_ms ? result->expiry_ms - p->now_ms : 0;
}

static bool
has_expiry(const struct op_result *result, struct resp_writer *w)
{
    if (result->code == OP_NIL)
        resp_put_i64(w, NO_KEY);
    else if (result->expiry_ms == 0)
        resp_put_i64(w, NO_EXPIRY);
    return result->code != OP_NIL && result->expiry_ms != 0;
}

static void
encode_ttl(const struct piece *p, const struct op_result *results, struct resp_writer *w)
{
    if (has_expiry(&results[0], w))
        resp_put_i64(w, rounded_seconds(left_ms(p, &results[0])));
}

static void
encode_pttl(const struct piece *p, const struct op_result *results, struct resp_writer *w)
{
    if (has_expiry(&results[0], w))
        resp_put_i64(w, (int64_t)left_ms(p, &results[0]));
}

static void
encode_expiretime(const struct piece *p, const struct op_result *results, struct resp_writer *w)
{
    (void)p;
    if (has_expiry(&results[0], w))
        resp_put_i64(w, rounded_seconds(results[0].expiry_ms));
}

static void
encode_pexpiretime(const struct piece *p, const struct op_result *results, struct resp_writer *w)
{
    (void)p;
    if (has_expiry(&results[0], w))
        resp_put_i64(w, (int64_t)results[0].expiry_ms);
}

static void
prepare_meta(struct unit *u, struct piece *p, const struct slice *args)
{
    struct op *op = unit_add(u, p, 1);

    p->now_ms = unit_now_ms(u);
    if (op == NULL)
        return;
    op->kind = OP_META;
    op->key = args[1];
}

void
prepare_ttl(struct unit *u, struct piece *p, const struct slice *args, uint32_t count)
{
    (void)count;
    p->encode = encode_ttl;
    prepare_meta(u, p, args);
}

void
prepare_pttl(struct unit *u, struct piece *p, const struct slice *args, uint32_t count)
{
    (void)count;
    p->encode = encode_pttl;
    prepare_meta(u, p, args);
}

void
prepare_expiretime(struct unit *u, struct piece *p, const struct slice *args, uint32_t count)
{
    (void)count;
    p->encode = encode_expiretime;
    prepare_meta(u, p, args);
}

void
prepare_pexpiretime(struct unit *u, struct piece *p, const struct slice *args, uint32_t count)
{
    (void)count;
    p->encode = encode_pexpiretime;
    prepare_meta(u, p, args);
}
