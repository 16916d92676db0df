/*
 * The life of a call.
 *
 * INVARIANTS
 *
 *   C1  A session's replies leave in the order of its commands: only the head
 *       of the queue writes into the output.
 *   C2  Between the submission of a request and its coming back, nothing of
 *       the call moves, and the blocks that it borrows from are held.
 *   C3  A read that may be repeated later (its reply had no room, or is to be
 *       streamed) is not overtaken by a write of the same session, so that it
 *       never sees an effect of a later command: session->rereads.
 *   C4  What is charged for a call is given back when it is destroyed, or
 *       moves to the output with its reply.
 */
#include "api/call.h"

#include "base/assert.h"
#include "base/limits.h"
#include "base/mem.h"

#include "api/session.h"
#include "api/transaction.h"

enum { ARENA_CHUNK_BYTES = 2048, ARENA_FREE_BYTES = 64 << 10 };

/* ------------------------------------------------------------------ life */

static struct call *
allocate(struct reactor *r)
{
    struct list *link = list_pop_front(&r->free_calls);

    if (link == NULL)
        return mem_alloc(sizeof(struct call));
    r->free_call_count--;
    return container_of(link, struct call, link);
}

struct call *
call_create(struct session *s, const struct command *command)
{
    struct reactor *r = s->reactor;
    struct call *c = allocate(r);

    if (c == NULL)
        return NULL;
    *c = (struct call){
        .session = s,
        .command = command,
        .state = CALL_RUNNING,
        .version = s->version,
        .keyspace = s->keyspace,
    };
    c->reply.max = REPLY_BYTES_MAX;
    c->arena.chunk_bytes = ARENA_CHUNK_BYTES;
    room_wait_init(&c->room, call_room_over);
    list_push_back(&s->calls, &c->link);
    s->call_count++;
    r->call_count++;
    return c;
}

void
call_destroy(struct call *c)
{
    struct session *s = c->session;
    struct reactor *r = s->reactor;

    ASSERT(!c->busy && !room_waits(&c->room));
    ASSERT(!c->writes && !c->rereads);
    if (c->release != NULL)
        c->release(c);
    transaction_free(r, c->transaction);
    if (c->reply_charged > 0)
        s->reply_bytes -= c->reply_charged;
    room_give(&r->room, ROOM_REPLY, c->reply_charged + c->granted); /* C4 */
    room_give(&r->room, ROOM_REQUEST, c->arena_charged);
    buf_release(&c->reply);
    arena_release(&c->arena);
    block_refs_release(&c->blocks, &r->blocks);
    s->call_bytes -= c->bytes;
    s->call_count--;
    r->call_count--;
    if (r->free_call_count == CALL_POOL_MAX) {
        mem_free(c);
        return;
    }
    list_push_front(&r->free_calls, &c->link);
    r->free_call_count++;
}

bool
call_is_head(const struct call *c)
{
    return c->session->calls.next == &c->link;
}

static void
set_writes(struct call *c, bool on)
{
    if (c->writes == on)
        return;
    c->writes = on;
    if (on)
        c->session->writes_unfinished++;
    else
        c->session->writes_unfinished--;
}

void
call_set_rereads(struct call *c, bool on)
{
    if (c->rereads == on)
        return;
    c->rereads = on;
    if (on)
        c->session->rereads++;
    else
        c->session->rereads--;
}

/* The reply of a call that has become the head joins the output. */
static void
hand_over(struct call *c)
{
    struct session *s = c->session;

    if (c->reply.size == 0)
        return;
    if (output_add(&s->output, &c->reply, c->reply_charged) != ST_OK) {
        s->broken = true;
        return;
    }
    s->reply_bytes -= c->reply_charged;
    c->reply_charged = 0;
}

static void
leave(struct call *c)
{
    list_remove(&c->link);
    call_destroy(c);
}

void
call_finish(struct call *c)
{
    struct session *s = c->session;

    ASSERT(c->state != CALL_DONE);
    c->state = CALL_DONE;
    c->wake = NULL;
    set_writes(c, false);
    call_set_rereads(c, false);
    if (s->alone == c)
        s->alone = NULL;
    if (session_closed(s)) {
        leave(c);
        session_call_ended(s);
        return;
    }
    while (!list_empty(&s->calls)) {
        struct call *head = container_of(s->calls.next, struct call, link);

        if (head->state != CALL_DONE)
            break;
        hand_over(head); /* C1 */
        leave(head);
    }
    session_call_ended(s);
}

/* ------------------------------------------------------------------ memory */

void *
call_alloc(struct call *c, size_t size)
{
    struct room *room = &c->session->reactor->room;
    void *bytes;

    if (size > ARENA_FREE_BYTES) {
        if (!room_try(room, ROOM_REQUEST, size))
            return NULL;
        c->arena_charged += size;
    }
    bytes = arena_alloc(&c->arena, size);
    return bytes;
}

const struct slice *
call_keep_args(struct call *c, const struct slice *args, uint32_t count)
{
    struct slice *kept = call_alloc(c, count * sizeof(struct slice));

    if (kept != NULL)
        memcpy(kept, args, count * sizeof(struct slice));
    return kept;
}

/* ------------------------------------------------------------------ replies */

struct resp_writer
call_reply(struct call *c, size_t size, size_t *mark)
{
    struct session *s = c->session;
    struct buf *out = &c->reply;

    if (call_is_head(c)) {
        out = output_begin(&s->output, size, c->granted);
        if (out == NULL)
            return (struct resp_writer){ .version = c->version, .st = ST_NO_MEMORY };
        c->granted = 0;
    }
    *mark = out->size;
    return resp_writer_to(out, c->version);
}

/* What the buffer of a call that is not the head takes is charged to it. */
static void
charge_own_reply(struct call *c)
{
    size_t capacity = c->reply.capacity;

    if (capacity <= c->reply_charged)
        return;
    c->session->reply_bytes += capacity - c->reply_charged;
    if (capacity - c->reply_charged > c->granted) {
        room_take(&c->session->reactor->room, ROOM_REPLY, capacity - c->reply_charged - c->granted);
        c->granted = 0;
    } else {
        c->granted -= capacity - c->reply_charged;
    }
    c->reply_charged = capacity;
}

void
call_replied(struct call *c, struct resp_writer *w, size_t mark)
{
    struct session *s = c->session;

    if (w->st != ST_OK) {
        s->broken = true;
        if (w->out != NULL)
            w->out->size = mark;
    }
    if (w->out == &c->reply)
        charge_own_reply(c);
    else if (w->out != NULL)
        output_end(&s->output, mark);
    session_mark_dirty(s);
}

void
call_reply_error(struct call *c, const char *text)
{
    size_t mark = 0;
    struct resp_writer w = call_reply(c, strlen(text) + 3, &mark);

    resp_put_error_text(&w, text);
    call_replied(c, &w, mark);
    counter_add(&c->session->reactor->counters.errors, 1);
    call_finish(c);
}

void
call_reply_status(struct call *c, enum status st, const struct err *err)
{
    char text[STATUS_TEXT_MAX];

    call_reply_error(c, status_text(st, err, c->is_write, text));
}

void
call_reply_simple(struct call *c, const char *text)
{
    size_t mark = 0;
    struct resp_writer w = call_reply(c, strlen(text) + 3, &mark);

    resp_put_simple(&w, text);
    call_replied(c, &w, mark);
    call_finish(c);
}

/* ------------------------------------------------------------------ requests */

static void
came_back(struct request *r)
{
    struct call *c = container_of(r, struct call, request);

    set_writes(c, false);
    c->busy = false;
    if (session_closed(c->session))
        call_finish(c);
    else
        c->finish(c);
}

void
call_submit(struct call *c, const struct op *ops, struct op_result *results, uint32_t count,
            size_t result_bytes_max)
{
    struct session *s = c->session;
    struct request *r = &c->request;

    r->keyspace = c->keyspace;
    r->durability = session_durability(s);
    r->origin = s->id;
    r->stale_ms = session_stale_ms(s);
    r->ordered = s->writes_unfinished > 0 || r->precondition_count > 0; /* only the owner checks */
    if (r->deadline_ns == 0)
        r->deadline_ns = session_deadline_ns(s);
    r->ops = ops;
    r->op_count = count;
    r->results = results;
    r->result_bytes_max = result_bytes_max;
    r->done = came_back;
    c->state = CALL_RUNNING;
    c->busy = true;
    set_writes(c, c->is_write);
    kv_submit(s->reactor->door, r); /* the call may be gone now */
}
