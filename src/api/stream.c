/*
 * Replies of many values, at the pace of the socket.
 *
 * The results of the unit did not fit into one piece.  So they are read again,
 * from one pinned snapshot, a few operations at a time; each time there must be
 * room for what may come, and the socket must have taken most of what came
 * before.  What a client does not read is therefore not read from the store
 * either.
 *
 *      snapshot ─> conditions ─> header ─> [ room ─> read ─> write ]* ─> end
 *
 * After the header there is no way to say that the whole has failed.  A value
 * that cannot be read is an error in its place; anything worse closes the
 * connection, so that no client takes a part for the whole.
 *
 * INVARIANTS
 *
 *   P1  Every reply comes from the one snapshot.
 *   P2  Room for the largest possible result is held while a read is under way.
 */
#include "base/assert.h"
#include "base/limits.h"
#include "base/mem.h"

#include "api/session.h"

enum { BATCH_OPS = 64 };

struct unit_stream {
    struct call *call;
    struct kv_snapshot snapshot; /* owned */
    struct room_wait room;
    uint32_t piece;            /* being replied to */
    uint32_t op;               /* next one of the piece */
    uint32_t batch;            /* operations under way */
    size_t wanted;             /* room for them */
    bool begun;                /* the header is written */
    bool checked;              /* the conditions held */
    uint32_t batch_max;        /* of the next batch: follows the size of the values */
    struct op_result *results; /* as many as the unit has operations */
};

static void step(struct unit_stream *st);
static void fetch_done(struct call *c);
static void room_over(struct room_wait *wait, bool granted);

static void
release(struct call *c)
{
    struct unit_stream *st = c->task;

    room_wait_cancel(&st->room);
    kv_snapshot_release(&st->snapshot);
    mem_free(st);
}

/* The reply cannot be completed. */
static void
give_up(struct unit_stream *st, enum status why)
{
    struct call *c = st->call;

    if (!st->begun) {
        call_reply_status(c, why, &c->request.err);
        return;
    }
    c->session->broken = true;
    session_mark_dirty(c->session);
    call_finish(c);
}

/* ------------------------------------------------------------------ reading */

/* The room is there. */
static void
fetch(struct unit_stream *st)
{
    struct call *c = st->call;
    const struct piece *p = &c->pieces[st->piece];
    uint32_t first = p->op_first + st->op;

    c->finish = fetch_done;
    c->request.snapshot = &st->snapshot; /* P1 */
    c->request.precondition_count = 0;
    c->request.deadline_ns = session_deadline_ns(c->session);
    c->request.err.code = ST_OK;
    call_submit(c, c->unit.ops + first, st->results + first, st->batch, st->wanted);
}

static void
ask_for_room(struct unit_stream *st)
{
    struct call *c = st->call;
    struct room *room = &c->session->reactor->room;

    if (c->granted >= st->wanted) {
        fetch(st);
        return;
    }
    st->wanted -= c->granted;
    if (room_try(room, ROOM_REPLY, st->wanted)) { /* P2 */
        st->wanted += c->granted;
        c->granted = st->wanted;
        fetch(st);
        return;
    }
    room_await(room, ROOM_REPLY, &st->room, st->wanted, session_deadline_ns(c->session));
}

static void
room_over(struct room_wait *wait, bool granted)
{
    struct unit_stream *st = container_of(wait, struct unit_stream, room);
    struct call *c = st->call;

    if (!granted) {
        give_up(st, ST_BUSY);
        return;
    }
    c->granted += wait->bytes;
    st->wanted = c->granted;
    fetch(st);
}

static void
begin_fetch(struct unit_stream *st)
{
    const struct piece *p = &st->call->pieces[st->piece];
    uint32_t left = p->op_count - st->op;

    st->batch = !p->is_list || left < st->batch_max ? left : st->batch_max;
    st->wanted = st->batch == 1 ? LIMIT_VALUE_BYTES : REPLY_PIECE_BYTES;
    ask_for_room(st);
}

/* ------------------------------------------------------------------ writing */

static size_t
size_of_batch(const struct unit_stream *st, uint32_t first)
{
    size_t size = 64;

    for (uint32_t i = 0; i < st->batch; i++)
        size += st->results[first + i].value.size + 32;
    return size;
}

static void
put_header(struct unit_stream *st, struct resp_writer *w)
{
    if (!st->begun && st->call->is_exec)
        resp_put_array(w, st->call->piece_count);
    st->begun = true;
}

static void
write_batch(struct unit_stream *st)
{
    struct call *c = st->call;
    const struct piece *p = &c->pieces[st->piece];
    const struct op_result *results = st->results + p->op_first + st->op;
    size_t mark = 0;
    struct resp_writer w = call_reply(c, size_of_batch(st, p->op_first + st->op), &mark);

    put_header(st, &w);
    if (p->is_list && st->op == 0)
        resp_put_array(&w, p->op_count);
    if (p->is_list) {
        for (uint32_t i = 0; i < st->batch; i++)
            p->encode(p, &results[i], &w);
    } else {
        p->encode(p, results, &w);
    }
    call_replied(c, &w, mark);
}

/* One value cannot be read: it is an error where it would have been. */
static void
write_failure(struct unit_stream *st)
{
    struct call *c = st->call;
    const struct piece *p = &c->pieces[st->piece];
    size_t mark = 0;
    struct resp_writer w = call_reply(c, STATUS_TEXT_MAX, &mark);

    put_header(st, &w);
    if (p->is_list && st->op == 0)
        resp_put_array(&w, p->op_count);
    put_status(&w, c->request.status, &c->request.err, false);
    call_replied(c, &w, mark);
}

/* A piece that needs no reading. */
static void
write_piece(struct unit_stream *st)
{
    struct call *c = st->call;
    size_t mark = 0;
    struct resp_writer w = call_reply(c, 256, &mark);

    put_header(st, &w);
    piece_encode(c->session, &c->pieces[st->piece], st->results, &w);
    call_replied(c, &w, mark);
    st->piece++;
}

static void
advance(struct unit_stream *st)
{
    st->op += st->batch;
    if (st->op == st->call->pieces[st->piece].op_count) {
        st->op = 0;
        st->piece++;
    }
}

/* Small values are read many at a time, large ones one by one. */
static void
adapt(struct unit_stream *st)
{
    const struct piece *p = &st->call->pieces[st->piece];
    size_t size = size_of_batch(st, p->op_first + st->op);

    if (size <= REPLY_PIECE_BYTES / 4 && st->batch_max < BATCH_OPS)
        st->batch_max *= 2;
    else if (size > REPLY_PIECE_BYTES / 2 && st->batch_max > 1)
        st->batch_max /= 2;
}

static void
fetch_done(struct call *c)
{
    struct unit_stream *st = c->task;
    bool is_list = c->pieces[st->piece].is_list;
    bool single = st->batch == 1;

    switch ((int)c->request.status) {
    case ST_OK:
        adapt(st);
        write_batch(st);
        advance(st);
        break;
    case ST_TOO_BIG:
    case ST_CORRUPT:
    case ST_IO:
        if (is_list && !single) {
            st->batch_max = 1; /* once more, to find out which it is */
            break;
        }
        write_failure(st);
        advance(st);
        break;
    default:
        give_up(st, c->request.status);
        return;
    }
    session_mark_dirty(c->session); /* at the end of the round, wake() goes on */
}

/* Go on, unless something is under way, or the socket is behind. */
static void
step(struct unit_stream *st)
{
    struct call *c = st->call;

    while (st->piece < c->piece_count && c->pieces[st->piece].op_count == 0)
        write_piece(st);
    if (st->piece == c->piece_count) {
        call_finish(c);
        return;
    }
    if (c->session->output.pending < SESSION_STREAM_BYTES)
        begin_fetch(st);
}

static void
wake(struct call *c)
{
    struct unit_stream *st = c->task;

    if (!c->busy && st->checked && !room_waits(&st->room))
        step(st);
}

/* ------------------------------------------------------------------ conditions */

/* What was watched must be as it was, in this snapshot too. */
static void
conditions_done(struct call *c)
{
    struct unit_stream *st = c->task;
    const struct unit *u = &c->unit;

    if (c->request.status != ST_OK) {
        give_up(st, c->request.status);
        return;
    }
    for (uint32_t i = 0; i < u->precondition_count; i++) {
        const struct op_result *result = &c->request.results[i];

        if ((result->code == OP_NIL ? 0 : result->version) != u->preconditions[i].version) {
            call_reply_conflict(c);
            return;
        }
    }
    st->checked = true;
    step(st);
}

static void
check_conditions(struct unit_stream *st)
{
    struct call *c = st->call;
    struct unit *u = &c->unit;
    struct op *ops = call_alloc(c, u->precondition_count * sizeof(*ops));
    struct op_result *results = call_alloc(c, u->precondition_count * sizeof(*results));

    if (ops == NULL || results == NULL) {
        give_up(st, ST_BUSY);
        return;
    }
    memset(results, 0, u->precondition_count * sizeof(*results));
    for (uint32_t i = 0; i < u->precondition_count; i++)
        ops[i] = (struct op){ .kind = OP_META, .key = u->preconditions[i].key };
    c->finish = conditions_done;
    c->request.snapshot = &st->snapshot;
    c->request.precondition_count = 0;
    c->request.deadline_ns = session_deadline_ns(c->session);
    call_submit(c, ops, results, u->precondition_count, 0);
}

/* ------------------------------------------------------------------ the snapshot */

static void
asked(struct call *c)
{
    struct unit_stream *st = c->task;
    enum status status = c->request.status;

    if (status == ST_OK && c->request.elsewhere != 0)
        status = ST_TOO_BIG; /* only the node that leads can read it in pieces */
    if (status == ST_OK)
        status = kv_snapshot_take(&st->snapshot, &c->request);
    if (status != ST_OK) {
        give_up(st, status);
    } else if (c->unit.precondition_count > 0) {
        check_conditions(st);
    } else {
        st->checked = true;
        step(st);
    }
}

void
stream_unit(struct call *c)
{
    struct unit_stream *st = mem_new(struct unit_stream);

    ASSERT(call_is_head(c) && c->state == CALL_QUEUED);
    c->state = CALL_RUNNING;
    if (st == NULL) {
        call_reply_status(c, ST_NO_MEMORY, NULL);
        return;
    }
    st->call = c;
    st->results = c->unit.results;
    st->batch_max = 1;
    room_wait_init(&st->room, room_over);
    c->task = st;
    c->release = release;
    c->wake = wake;
    c->finish = asked;
    c->request.precondition_count = 0;
    c->request.deadline_ns = session_deadline_ns(c->session);
    call_submit(c, NULL, NULL, 0, 0);
}
