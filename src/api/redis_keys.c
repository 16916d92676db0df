/* Commands on keys, whatever their values. */
#include "base/mem.h"

#include "api/admin.h"
#include "api/redis.h"

static void
add_each(struct unit *u, struct piece *p, enum op_kind kind, const struct slice *args,
         uint32_t count)
{
    struct op *ops = unit_add(u, p, count - 1);

    p->encode = encode_count;
    for (uint32_t i = 0; ops != NULL && i < count - 1; i++) {
        ops[i].kind = kind;
        ops[i].key = args[i + 1];
    }
}

void
prepare_del(struct unit *u, struct piece *p, const struct slice *args, uint32_t count)
{
    add_each(u, p, OP_DELETE, args, count);
}

void
prepare_exists(struct unit *u, struct piece *p, const struct slice *args, uint32_t count)
{
    add_each(u, p, OP_META, args, count);
}

static void
encode_type(const struct piece *p, const struct op_result *results, struct resp_writer *w)
{
    (void)p;
    resp_put_simple(w, results[0].code == OP_NIL ? "none" : "string");
}

void
prepare_type(struct unit *u, struct piece *p, const struct slice *args, uint32_t count)
{
    add_each(u, p, OP_META, args, count);
    p->encode = encode_type;
}

/* ------------------------------------------------------------------ RENAME, COPY */

static void
encode_rename(const struct piece *p, const struct op_result *results, struct resp_writer *w)
{
    (void)p;
    if (results[0].code == OP_NIL)
        resp_put_error_text(w, "ERR no such key");
    else
        resp_put_simple(w, "OK");
}

static void
encode_renamenx(const struct piece *p, const struct op_result *results, struct resp_writer *w)
{
    (void)p;
    if (results[0].code == OP_NIL)
        resp_put_error_text(w, "ERR no such key");
    else
        resp_put_i64(w, results[0].integer);
}

static void
add_copy(struct unit *u, struct piece *p, const struct slice *args, unsigned flags)
{
    struct op *op = unit_add(u, p, 1);

    if (op == NULL)
        return;
    op->kind = OP_COPY;
    op->key = args[1];
    op->key2 = args[2];
    op->flags = flags;
}

void
prepare_rename(struct unit *u, struct piece *p, const struct slice *args, uint32_t count)
{
    (void)count;
    p->encode = encode_rename;
    add_copy(u, p, args, OPF_MOVE);
}

void
prepare_renamenx(struct unit *u, struct piece *p, const struct slice *args, uint32_t count)
{
    (void)count;
    p->encode = encode_renamenx;
    add_copy(u, p, args, OPF_MOVE | OPF_NX);
}

struct copy {
    bool replace;
    uint32_t keyspace;
};

/* NULL, or the error. */
static const char *
parse_copy(struct session *s, struct copy *copy, const struct slice *args, uint32_t count)
{
    uint32_t number;

    for (uint32_t i = 0; i < count; i++) {
        const char *error = NULL;

        if (arg_is(args[i], "REPLACE"))
            copy->replace = true;
        else if (arg_is(args[i], "DB") && i + 1 < count)
            error = arg_database(s, args[++i], &number, &copy->keyspace);
        else
            error = REDIS_SYNTAX_ERROR;
        if (error != NULL)
            return error;
    }
    return NULL;
}

void
prepare_copy(struct unit *u, struct piece *p, const struct slice *args, uint32_t count)
{
    struct copy copy = { .keyspace = u->call->keyspace };
    const char *error = parse_copy(u->call->session, &copy, args + 3, count - 3);

    p->encode = encode_integer;
    if (error == NULL && copy.keyspace != u->call->keyspace)
        error = REDIS_TWO_DATABASES;
    else if (error == NULL && slice_equal(args[1], args[2]))
        error = "ERR source and destination objects are the same";
    if (error != NULL)
        piece_fail(u, p, error);
    else
        add_copy(u, p, args, copy.replace ? 0 : OPF_NX);
}

/* ------------------------------------------------------------------ whole databases */

/* "", ASYNC and SYNC: it is never the one and always as good as the other. */
static bool
parse_flush(const struct slice *args, uint32_t count)
{
    return count == 1 || (count == 2 && (arg_is(args[1], "ASYNC") || arg_is(args[1], "SYNC")));
}

void
prepare_flushdb(struct unit *u, struct piece *p, const struct slice *args, uint32_t count)
{
    struct op *op;

    p->encode = encode_ok;
    if (!parse_flush(args, count)) {
        piece_fail(u, p, REDIS_SYNTAX_ERROR);
        return;
    }
    op = unit_add(u, p, 1);
    if (op != NULL)
        op->kind = OP_CLEAR;
}

/* One database after the other: c->piece.op_first counts them. */
static void
flush_next(struct call *c)
{
    if (c->request.status != ST_OK) {
        call_reply_status(c, c->request.status, &c->request.err);
        return;
    }
    if (c->piece.op_first == LIMIT_DATABASES) {
        call_reply_simple(c, "OK");
        return;
    }
    if (kv_database(c->session->reactor->door, c->piece.op_first++, &c->keyspace) != ST_OK) {
        call_reply_error(c, REDIS_BAD_DATABASE);
        return;
    }
    c->finish = flush_next;
    call_submit(c, &c->op, &c->result, 1, 0);
}

void
task_flushall(struct call *c, const struct slice *args, uint32_t count)
{
    if (!parse_flush(args, count)) {
        call_reply_error(c, REDIS_SYNTAX_ERROR);
        return;
    }
    c->op.kind = OP_CLEAR;
    c->is_write = true;
    c->request.status = ST_OK;
    flush_next(c);
}

/* ------------------------------------------------------------------ DBSIZE, RANDOMKEY */

static void
dbsize_done(struct admin *a)
{
    size_t mark = 0;
    struct resp_writer w = call_reply(a->call, 32, &mark);

    resp_put_i64(&w, (int64_t)a->count);
    call_replied(a->call, &w, mark);
    call_finish(a->call);
}

void
task_dbsize(struct call *c, const struct slice *args, uint32_t count)
{
    (void)args;
    (void)count;
    admin_read(c, KV_COUNT, dbsize_done);
}

static void
randomkey_done(struct admin *a)
{
    size_t mark = 0;
    struct resp_writer w = call_reply(a->call, a->admin.key.size + 32, &mark);

    if (a->admin.status == ST_NOT_FOUND)
        resp_put_nil(&w);
    else
        resp_put_bulk(&w, buf_slice(&a->admin.key));
    call_replied(a->call, &w, mark);
    call_finish(a->call);
}

void
task_randomkey(struct call *c, const struct slice *args, uint32_t count)
{
    (void)args;
    (void)count;
    admin_read(c, KV_RANDOM, randomkey_done);
}
