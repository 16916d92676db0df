/*
 * Carrying out units: submit, look at what came back, write the replies.
 *
 *      came back ─┬─ with values that have room ──────────> written
 *                 ├─ with values that have none (reads) ──> parked, then submitted again
 *                 ├─ with too many values (reads), ───────> queued for stream.c
 *                 │  or too early for them
 *                 └─ with a failure ──────────────────────> told
 */
#include "base/assert.h"
#include "base/limits.h"

#include "api/session.h"

static void submit_again(struct call *c);

static size_t
values_size(const struct call *c)
{
    size_t size = 0;

    for (uint32_t i = 0; i < c->unit.op_count; i++)
        size += c->unit.results[i].value.size;
    return size;
}

static void
count_lookups(struct call *c)
{
    struct reactor_counters *counters = &c->session->reactor->counters;

    for (uint32_t i = 0; i < c->unit.op_count; i++) {
        if (op_writes(c->unit.ops[i].kind))
            continue;
        counter_add(c->unit.results[i].code == OP_NIL ? &counters->misses : &counters->hits, 1);
    }
}

static void
write_unit(struct call *c, size_t size)
{
    size_t mark = 0;
    struct resp_writer w = call_reply(c, size + 64 + (size_t)c->unit.op_count * 16, &mark);

    if (c->is_exec)
        resp_put_array(&w, c->piece_count);
    for (uint32_t i = 0; i < c->piece_count && w.st == ST_OK; i++)
        piece_encode(c->session, &c->pieces[i], c->unit.results, &w);
    call_replied(c, &w, mark);
    call_finish(c);
}

/* Has a write of the session begun after this call? */
static bool
was_overtaken(const struct call *c)
{
    struct session *s = c->session;

    for (struct list *at = c->link.next; at != &s->calls; at = at->next) {
        if (container_of(at, struct call, link)->is_write)
            return true;
    }
    return false;
}

bool
call_hold_room(struct call *c, size_t size)
{
    if (size <= REPLY_FREE_BYTES || size <= c->granted)
        return true;
    if (!room_try(&c->session->reactor->room, ROOM_REPLY, size - c->granted))
        return false;
    c->granted = size;
    return true;
}

void
call_await_room(struct call *c, size_t size, void (*again)(struct call *c))
{
    struct session *s = c->session;

    if (!c->rereads && was_overtaken(c)) {
        c->request.status = ST_BUSY;
        c->finish(c);
        return;
    }
    c->state = CALL_PARKED;
    c->again = again;
    call_set_rereads(c, true); /* C3 */
    room_await(&s->reactor->room, ROOM_REPLY, &c->room, size, c->request.deadline_ns);
}

/* It is read again, by stream.c, when its turn has come. */
static void
put_off(struct call *c)
{
    c->state = CALL_QUEUED;
    call_set_rereads(c, true);
    session_wake(c->session);
}

/* A reply behind others cannot be sent yet.  If all of them held their values, there would be no
 * room for those that can, and each would wait for the other until the deadline. */
static bool
is_too_early(const struct call *c, size_t size)
{
    return !c->is_write && size > REPLY_FREE_BYTES && size > c->granted && !call_is_head(c) &&
           !room_is_ample(&c->session->reactor->room, ROOM_REPLY, size) &&
           (c->rereads || !was_overtaken(c));
}

/* The values did not fit into what was allowed for them. */
static void
too_big(struct call *c)
{
    if (!c->is_write) {
        put_off(c);
        return;
    }
    call_reply_error(c, "ERR the replies of a unit that writes may have 33554432 bytes in all");
}

_Static_assert(REPLY_UNIT_BYTES == 33554432, "the text above names it");

void
call_reply_conflict(struct call *c)
{
    size_t mark = 0;
    struct resp_writer w = call_reply(c, 16, &mark);

    if (c->is_exec)
        resp_put_nil_array(&w);
    else
        resp_put_i64(&w, 0);
    call_replied(c, &w, mark);
    call_finish(c);
}

static void
unit_came_back(struct call *c)
{
    struct request *r = &c->request;
    size_t size;

    switch ((int)r->status) {
    case ST_OK:
        break;
    case ST_CONFLICT:
        call_reply_conflict(c);
        return;
    case ST_TOO_BIG:
        if (c->unit.op_count > 0 && r->err.code != ST_TOO_BIG) {
            too_big(c);
            return;
        }
        call_reply_status(c, r->status, &r->err);
        return;
    default:
        call_reply_status(c, r->status, &r->err);
        return;
    }
    size = values_size(c);
    if (is_too_early(c, size)) {
        put_off(c);
        return;
    }
    if (!call_hold_room(c, size)) {
        if (!c->is_write) {
            call_await_room(c, size, submit_again);
            return;
        }
        room_take(&c->session->reactor->room, ROOM_REPLY, size - c->granted);
        c->granted = size; /* it has been carried out: the reply is due */
    }
    count_lookups(c);
    write_unit(c, size);
}

/* Single values come whole, as large as they are; several are tried within one piece, because they
 * can be streamed instead.  What writes is carried out once, and cannot. */
static size_t
first_limit(const struct call *c)
{
    if (c->is_write)
        return REPLY_UNIT_BYTES;
    return c->unit.op_count == 1 ? LIMIT_VALUE_BYTES : REPLY_PIECE_BYTES;
}

static void
submit_unit(struct call *c, size_t result_bytes_max)
{
    struct unit *u = &c->unit;

    c->finish = unit_came_back;
    c->request.preconditions = u->preconditions;
    c->request.precondition_count = u->precondition_count;
    c->request.err.code = ST_OK;
    c->request.err.text[0] = '\0';
    call_submit(c, u->ops, u->results, u->op_count, result_bytes_max);
}

void
call_room_over(struct room_wait *wait, bool granted)
{
    struct call *c = container_of(wait, struct call, room);

    ASSERT(c->state == CALL_PARKED);
    c->state = CALL_RUNNING;
    if (!granted) {
        c->request.status = ST_BUSY;
        c->finish(c);
        return;
    }
    c->granted += wait->bytes;
    c->again(c);
}

static void
submit_again(struct call *c)
{
    submit_unit(c, LIMIT_VALUE_BYTES);
}

_Static_assert(LIMIT_KEY_BYTES == 65536, "the text below names it");

/* kv would refuse them, too; here it can be told from results that are too large. */
static bool
keys_fit(const struct unit *u)
{
    for (uint32_t i = 0; i < u->op_count; i++) {
        if (u->ops[i].key.size > LIMIT_KEY_BYTES || u->ops[i].key2.size > LIMIT_KEY_BYTES)
            return false;
    }
    return true;
}

void
call_run_unit(struct call *c)
{
    struct unit *u = &c->unit;

    if (u->no_memory) {
        call_reply_status(c, ST_BUSY, NULL);
        return;
    }
    u->results = &c->result;
    if (u->op_count == 0) {
        write_unit(c, 0);
        return;
    }
    if (!keys_fit(u)) {
        call_reply_error(c, "ERR a key is longer than 65536 bytes");
        return;
    }
    for (uint32_t i = 0; i < u->op_count && !c->is_write; i++)
        c->is_write = op_writes(u->ops[i].kind);
    if (u->op_count > 1)
        u->results = call_alloc(c, u->op_count * sizeof(struct op_result));
    if (u->results == NULL) {
        call_reply_status(c, ST_BUSY, NULL);
        return;
    }
    memset(u->results, 0, u->op_count * sizeof(struct op_result));
    if (u->op_count > 1 && !c->is_write)
        call_set_rereads(c, true); /* C3: it may turn out to be too large for one piece */
    submit_unit(c, first_limit(c));
}
