/* Putting units together, and writing what came of them. */
#include <stdarg.h>
#include <stdio.h>

#include "base/assert.h"

#include "api/call.h"
#include "api/session.h"

enum { FAILURE_TEXT_MAX = 512 };

/* ------------------------------------------------------------------ together */

void *
unit_alloc(struct unit *u, size_t size)
{
    void *bytes = call_alloc(u->call, size);

    if (bytes == NULL)
        u->no_memory = true;
    return bytes;
}

uint64_t
unit_now_ms(const struct unit *u)
{
    return kv_now_ms(u->call->session->reactor->door, u->call->keyspace);
}

/* The operations of a unit lie side by side.  A lone command knows how many it needs, and a MULTI
 * has counted before it began, so this grows at most once. */
static bool
make_room(struct unit *u, uint32_t count)
{
    struct op *ops;

    if (count <= u->op_capacity - u->op_count)
        return true;
    ops = unit_alloc(u, (u->op_count + count) * sizeof(struct op));
    if (ops == NULL)
        return false;
    memcpy(ops, u->ops, u->op_count * sizeof(struct op));
    u->ops = ops;
    u->op_capacity = u->op_count + count;
    return true;
}

struct op *
unit_add(struct unit *u, struct piece *p, uint32_t count)
{
    struct op *ops;

    ASSERT(p->op_first + p->op_count == u->op_count);
    if (u->no_memory || !make_room(u, count))
        return NULL;
    ops = u->ops + u->op_count;
    memset(ops, 0, count * sizeof(struct op));
    u->op_count += count;
    p->op_count += count;
    return ops;
}

void
piece_fail(struct unit *u, struct piece *p, const char *text)
{
    u->op_count = p->op_first;
    p->op_count = 0;
    p->error = text;
}

void
piece_failf(struct unit *u, struct piece *p, const char *fmt, ...)
{
    char *text = unit_alloc(u, FAILURE_TEXT_MAX);
    va_list args;

    if (text == NULL)
        return;
    va_start(args, fmt);
    vsnprintf(text, FAILURE_TEXT_MAX, fmt, args);
    va_end(args);
    piece_fail(u, p, text);
}

/* ------------------------------------------------------------------ encoders */

void
piece_encode(struct session *s, const struct piece *p, const struct op_result *results,
             struct resp_writer *w)
{
    const struct op_result *own = results + p->op_first;

    if (p->error != NULL) {
        resp_put_error_text(w, p->error);
        counter_add(&s->reactor->counters.errors, 1);
        return;
    }
    if (p->local != NULL) {
        p->local->local(s, p->args, p->arg_count, w);
        return;
    }
    if (!p->is_list) {
        p->encode(p, own, w);
        return;
    }
    resp_put_array(w, p->op_count);
    for (uint32_t i = 0; i < p->op_count; i++)
        p->encode(p, &own[i], w);
}

bool
encode_check(const struct op_result *result, struct resp_writer *w)
{
    switch (result->code) {
    case OP_DONE:
    case OP_NIL:
        return true;
    case OP_NOT_INTEGER:
        resp_put_error_text(w, "ERR value is not an integer or out of range");
        return false;
    case OP_NOT_FLOAT:
        resp_put_error_text(w, "ERR value is not a valid float");
        return false;
    case OP_NOT_FINITE:
        resp_put_error_text(w, "ERR increment would produce NaN or Infinity");
        return false;
    case OP_OVERFLOW:
        resp_put_error_text(w, "ERR increment or decrement would overflow");
        return false;
    case OP_TOO_LONG:
    case OP_CODE_COUNT:
        break;
    }
    resp_put_error_text(w, "ERR string exceeds maximum allowed size (proto-max-bulk-len)");
    return false;
}

void
encode_ok(const struct piece *p, const struct op_result *results, struct resp_writer *w)
{
    (void)p;
    if (encode_check(&results[0], w))
        resp_put_simple(w, "OK");
}

void
encode_integer(const struct piece *p, const struct op_result *results, struct resp_writer *w)
{
    (void)p;
    if (encode_check(&results[0], w))
        resp_put_i64(w, results[0].integer);
}

void
encode_value(const struct piece *p, const struct op_result *results, struct resp_writer *w)
{
    (void)p;
    if (!encode_check(&results[0], w))
        return;
    if (results[0].code == OP_NIL)
        resp_put_nil(w);
    else
        resp_put_bulk(w, results[0].value);
}

/* How many of the keys there were. */
void
encode_count(const struct piece *p, const struct op_result *results, struct resp_writer *w)
{
    int64_t count = 0;

    for (uint32_t i = 0; i < p->op_count; i++)
        count += results[i].code == OP_DONE;
    resp_put_i64(w, count);
}

/* ------------------------------------------------------------------ failures */

static const char *
said(const struct err *err, const char *otherwise)
{
    return err != NULL && err->code != ST_OK && err->text[0] != '\0' ? err->text : otherwise;
}

const char *
status_text(enum status st, const struct err *err, bool writes, char out[STATUS_TEXT_MAX])
{
    const char *code = "ERR ";
    const char *text = status_name(st);

    switch (st) {
    case ST_BUSY:
        code = "BUSY ";
        text = "the node is overloaded; nothing was carried out, try again";
        break;
    case ST_NO_SPACE:
        code = "MISCONF ";
        text = "the disk is full: the node is read-only, deletes are admitted";
        break;
    case ST_IO:
        if (writes)
            code = "MISCONF ";
        text = writes ? "the log has failed: the node is read-only until it is restarted"
                      : said(err, "a read has failed");
        break;
    case ST_CORRUPT:
        code = "CORRUPT ";
        text = said(err, "the data is damaged");
        break;
    case ST_TIMEOUT:
        code = "TIMEOUT ";
        text = "the deadline has passed; nothing was carried out";
        break;
    case ST_UNKNOWN:
        code = "UNKNOWN ";
        text = "the outcome is unknown: it may or may not have been carried out";
        break;
    case ST_SCATTERED:
        code = "CROSSSLOT ";
        text = "Keys in request don't hash to the same slot";
        break;
    case ST_NO_MEMORY:
        code = "OOM ";
        text = "out of memory; nothing was carried out";
        break;
    case ST_CLOSED:
        text = "the node is shutting down";
        break;
    case ST_TOO_BIG:
        text = said(err, "the request or its reply is too large");
        break;
    case ST_OK:
    case ST_NOT_FOUND:
    case ST_EXISTS:
    case ST_INVALID:
    case ST_CONFLICT:
    case ST_WOULD_BLOCK:
    case ST_NOT_LEADER:
    case ST_MOVED:
    case ST_STATUS_COUNT:
        text = said(err, text);
        break;
    }
    snprintf(out, STATUS_TEXT_MAX, "%s%s", code, text);
    return out;
}

void
put_status(struct resp_writer *w, enum status st, const struct err *err, bool writes)
{
    char text[STATUS_TEXT_MAX];

    resp_put_error_text(w, status_text(st, err, writes, text));
}
