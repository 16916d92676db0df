/*
 * One connection, from the first byte to the last.
 *
 *      UNDECIDED ──'*', CRLF──> REDIS
 *          │
 *          └─────bare LF──────> LINE (and always on a line door)
 *
 * PARSING goes on until nothing whole is left, or something blocks it:
 *
 *      held     a parsed command that must wait for earlier ones to end
 *      alone    a command that runs by itself: scans, streams, jobs
 *      output   the client does not read its replies
 *      calls    too many commands, or too many bytes of them, are under way
 *      room     the next bytes have no memory to go to
 *
 * Whatever ends one of these calls session_wake(), and parsing goes on before
 * the round ends.  A session that is blocked is not read from: the client's
 * bytes stay in the kernel, and the client feels it.
 *
 * INVARIANTS
 *
 *   S1  session_close() is called only from the end of a round, from a tick and
 *       from a drain, never from inside a command: whoever is deeper sets
 *       `broken` or `leaving`.
 *   S2  A session is freed when it is closed and its last call has come back.
 *   S3  At most one command is held, and at most one is alone; while either is
 *       there, nothing is parsed.
 */
#include "api/session.h"

#include <stdio.h>

#include "base/assert.h"
#include "base/log.h"
#include "base/mem.h"

#include "api/api_internal.h"
#include "api/transaction.h"

#define PARTING_ACTIVE_NS UINT64_C(1000000000)

/* ------------------------------------------------------------------ life */

static void
init_limits(struct session *s)
{
    session_set_authenticated(s, !atomic_load(&s->reactor->api->password_set));
}

void
session_open(struct reactor *r, struct stream *stream, enum api_door door)
{
    struct session *s = mem_new(struct session);

    if (s == NULL || kv_database(r->door, 0, &s->keyspace) != ST_OK) {
        mem_free(s);
        stream_close(stream);
        atomic_fetch_sub(&r->api->connections, 1);
        return;
    }
    room_take(&r->room, ROOM_REQUEST, sizeof(*s));
    s->reactor = r;
    s->stream = stream;
    s->id = atomic_fetch_add(&r->api->next_session, 1);
    s->door = door;
    s->kind = door == API_DOOR_LINE ? WIRE_LINE : WIRE_UNDECIDED;
    s->version = 2;
    s->created_ns = s->active_ns = s->sent_ns = loop_now_ns(r->loop);
    input_init(&s->input, &r->blocks);
    s->input.lines.either_ending = door == API_DOOR_LINE;
    output_init(&s->output, &r->parts);
    list_init(&s->calls);
    list_init(&s->dirty);
    list_init(&s->ready);
    room_wait_init(&s->room, session_room_over);
    list_push_back(&r->sessions, &s->link);
    counter_add(&r->counters.sessions, 1);
    init_limits(s);
    session_watch(s);
}

void
session_set_authenticated(struct session *s, bool authenticated)
{
    struct resp_parser *p = &s->input.parser;

    s->authenticated = authenticated;
    p->args_max = authenticated ? LIMIT_COMMAND_ARGS : RESP_STRANGER_ARGS_MAX;
    p->bulk_max = authenticated ? RESP_BULK_BYTES_MAX : RESP_STRANGER_BULK_BYTES_MAX;
}

void
session_destroy(struct session *s)
{
    struct reactor *r = s->reactor;

    ASSERT(session_closed(s) && s->call_count == 0);
    ASSERT(s->writes_unfinished == 0 && s->rereads == 0);
    room_give(&r->room, ROOM_REQUEST, sizeof(*s));
    mem_free(s);
}

/* The calls that nothing but this session would ever end. */
static void
cancel_calls(struct session *s)
{
    struct list *at = s->calls.next;

    while (at != &s->calls) {
        struct call *c = container_of(at, struct call, link);

        at = at->next;
        if (c->busy)
            continue; /* what it waits for will come back */
        room_wait_cancel(&c->room);
        if (c->state != CALL_DONE) {
            call_finish(c);
            continue;
        }
        list_remove(&c->link);
        call_destroy(c);
    }
}

void
session_close(struct session *s)
{
    struct reactor *r = s->reactor;

    if (session_closed(s))
        return;
    stream_close(s->stream);
    s->stream = NULL;
    s->held = NULL;
    list_remove(&s->link);
    list_remove(&s->dirty);
    list_remove(&s->ready);
    room_wait_cancel(&s->room);
    atomic_fetch_sub(&r->api->connections, 1);
    counter_add(&r->counters.sessions, (uint64_t)-1);
    input_release(&s->input);
    output_release(&s->output);
    transaction_destroy(s);
    s->call_count++; /* so that the last of them does not free the session under us */
    cancel_calls(s);
    if (--s->call_count == 0)
        session_destroy(s); /* S2 */
}

/* Whoever asks one thing after the other has its next request on the way, mostly: it is answered, and closed
 * behind the answer, when nothing can be on the way.  Who has been quiet is closed at once. */
void
session_drain(struct session *s)
{
    s->parting = true;
    if (loop_now_ns(s->reactor->loop) - s->active_ns >= PARTING_ACTIVE_NS)
        session_part(s);
}

/* ------------------------------------------------------------------ lists of the round */

void
session_wake(struct session *s)
{
    if (!session_closed(s) && !s->advancing && list_empty(&s->ready))
        list_push_back(&s->reactor->ready, &s->ready);
}

void
session_mark_dirty(struct session *s)
{
    if (!session_closed(s) && list_empty(&s->dirty))
        list_push_back(&s->reactor->dirty, &s->dirty);
}

void
session_call_ended(struct session *s)
{
    if (session_closed(s)) {
        if (s->call_count == 0)
            session_destroy(s); /* S2 */
        return;
    }
    session_wake(s);
    session_mark_dirty(s);
}

size_t
session_held_bytes(const struct session *s)
{
    size_t queued = s->transaction == NULL ? 0 : s->transaction->bytes;

    return input_inside_command(&s->input) ? queued + input_held_bytes(&s->input) : queued;
}

uint64_t
session_deadline_ns(const struct session *s)
{
    const struct reactor *r = s->reactor;

    return loop_now_ns(r->loop) + (uint64_t)atomic_load(&r->api->deadline_ms) * 1000000;
}

enum durability
session_durability(const struct session *s)
{
    if (s->durability_chosen)
        return s->durability;
    return (enum durability)atomic_load_explicit(&s->reactor->api->durability,
                                                 memory_order_relaxed);
}

uint32_t
session_stale_ms(const struct session *s)
{
    if (!s->reads_here)
        return 0;
    return atomic_load_explicit(&s->reactor->api->stale_ms, memory_order_relaxed);
}

/* A web page can make a browser send lines of its choice to a port on loopback, but only behind
 * those of HTTP: whoever sends such a line is not heard any further. */
bool
session_refuse_http(struct session *s, struct slice word)
{
    if (!slice_equal_nocase(word, "post") && !slice_equal_nocase(word, "host:"))
        return false;
    log_event(LOG_WARN, "api.http", log_str("client", stream_peer(s->stream)),
              log_str("effect", "a line of HTTP came: the connection is closed"));
    s->broken = true;
    return true;
}

/* ------------------------------------------------------------------ parsing */

bool
session_blocked(const struct session *s)
{
    return s->held != NULL || s->alone != NULL || s->call_count >= SESSION_CALLS_MAX ||
           s->call_bytes >= SESSION_CALL_BYTES_MAX ||
           s->output.pending + s->reply_bytes >= SESSION_OUTPUT_BYTES_MAX || room_waits(&s->room);
}

/* May the command that is held begin now? */
static bool
may_begin(const struct session *s)
{
    const struct call *c = s->held;

    if (s->alone != NULL)
        return false;
    if ((c->command->flags & CMD_ALONE) != 0)
        return call_is_head(c);
    return s->rereads == 0 || !redis_writes(c);
}

/* A command that was waiting for its turn begins.  False: none could. */
static bool
begin_waiting(struct session *s)
{
    struct call *c;

    if (s->held != NULL && may_begin(s)) {
        c = s->held;
        s->held = NULL;
        redis_begin(c);
        return true;
    }
    if (list_empty(&s->calls))
        return false;
    c = container_of(s->calls.next, struct call, link);
    if (c->state != CALL_QUEUED || (s->alone != NULL && s->alone != c))
        return false;
    s->alone = c;
    stream_unit(c);
    return true;
}

static bool
detect(struct session *s)
{
    s->kind = wire_detect(input_rest(&s->input));
    return s->kind != WIRE_UNDECIDED;
}

static void
protocol_error(struct session *s, const char *text)
{
    struct call *c = call_create(s, NULL);
    char line[RESP_ERROR_BYTES + 8];

    s->leaving = true;
    if (c == NULL) {
        s->broken = true;
        return;
    }
    snprintf(line, sizeof(line), "ERR %s", text);
    call_reply_error(c, line);
}

/* True: something was done. */
static bool
parse_redis(struct session *s)
{
    switch (input_next(&s->input)) {
    case INPUT_COMMAND:
        redis_command(s);
        return true;
    case INPUT_ERROR:
        protocol_error(s, s->input.parser.error);
        return true;
    case INPUT_NO_MEMORY:
        s->broken = true;
        session_mark_dirty(s);
        return false;
    case INPUT_MORE:
        break;
    }
    return false;
}

static bool
parse_line(struct session *s)
{
    struct input *in = &s->input;
    struct slice all =
        in->block == NULL ? slice_of(NULL, 0) : slice_of(in->block->bytes, in->block->filled);
    struct slice line;

    switch (line_next(&in->lines, all, &in->at, &line)) {
    case LINE_TAKEN:
        line_command(s, line);
        return true;
    case LINE_TOO_LONG:
        s->leaving = true;
        line_refuse(s, "line too long");
        return true;
    case LINE_MORE:
        break;
    }
    return false;
}

static bool
parse(struct session *s)
{
    if (s->kind == WIRE_UNDECIDED && !detect(s))
        return false;
    return s->kind == WIRE_REDIS ? parse_redis(s) : parse_line(s);
}

void
session_advance(struct session *s)
{
    bool stopped = false;

    if (s->advancing || session_closed(s))
        return;
    s->advancing = true;
    while (!stopped && !s->leaving && !s->broken) {
        if (begin_waiting(s))
            continue;
        stopped = session_blocked(s);
        if (stopped)
            break;
        if (!parse(s))
            break;
    }
    s->advancing = false;
    if (!stopped && s->ended)
        s->leaving = true; /* all that was received is under way */
    if (!stopped)
        s->paused = false;
    input_rest_idle(&s->input);
    session_mark_dirty(s);
}
