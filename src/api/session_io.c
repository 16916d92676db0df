/* A session and its socket: what is read, what is sent, and what is watched for. */
#include "api/api_internal.h"
#include "api/transaction.h"

enum { READS_PER_ROUND = 4 };

/* ------------------------------------------------------------------ reading */

static void
no_room(struct session *s, size_t wanted)
{
    s->paused = true;
    room_await(&s->reactor->room, ROOM_REQUEST, &s->room, wanted, session_deadline_ns(s));
}

void
session_room_over(struct room_wait *wait, bool granted)
{
    struct session *s = container_of(wait, struct session, room);
    struct input *in = &s->input;

    if (granted) {
        if (input_grow(in, wait->bytes) != ST_OK)
            s->broken = true;
    } else if (s->kind == WIRE_LINE) {
        s->leaving = true;
        line_refuse(s, "BUSY the node is overloaded");
    } else {
        transaction_spoil(s); /* what it holds is of no use any more, and others need the room */
        if (input_inside_command(in) && in->refused == INPUT_KEPT)
            input_refuse(in, INPUT_NO_ROOM);
    }
    session_wake(s);
    session_mark_dirty(s);
}

/* True: there may be more to read. */
static bool
read_once(struct session *s)
{
    struct input *in = &s->input;
    size_t size, wanted, got;
    uint8_t *to;
    enum status st = input_prepare(in, &to, &size, &wanted);

    if (st == ST_BUSY) {
        no_room(s, wanted);
        return false;
    }
    if (st != ST_OK) {
        s->broken = true;
        return false;
    }
    st = stream_read(s->stream, to, size, &got);
    if (st == ST_WOULD_BLOCK)
        return false;
    if (st != ST_OK) {
        s->ended = true;
        session_wake(s);
        return false;
    }
    input_filled(in, got);
    counter_add(&s->reactor->counters.bytes_in, got);
    session_advance(s);
    return got == size;
}

static void
touch(struct session *s)
{
    struct reactor *r = s->reactor;

    s->active_ns = loop_now_ns(r->loop);
    list_remove(&s->link);
    list_push_back(&r->sessions, &s->link);
}

static void
read_some(struct session *s)
{
    touch(s);
    for (int i = 0; i < READS_PER_ROUND; i++) {
        if (s->ended || s->leaving || s->broken)
            break;
        if (session_blocked(s)) {
            s->paused = true;
            break;
        }
        if (!read_once(s))
            break;
    }
    input_rest_idle(&s->input);
}

void
session_part(struct session *s)
{
    read_some(s); /* what has come so far is answered, too */
    s->ended = true;
    session_wake(s);
    session_mark_dirty(s);
}

static void
on_event(void *ctx, unsigned events)
{
    struct session *s = ctx;

    if ((events & STREAM_READABLE) != 0 && s->parting)
        session_part(s);
    else if ((events & STREAM_READABLE) != 0)
        read_some(s);
    session_mark_dirty(s);
}

/* ------------------------------------------------------------------ sending */

void
session_watch(struct session *s)
{
    unsigned wanted = 0;

    if (!s->ended && !s->leaving && !s->paused)
        wanted |= STREAM_READABLE;
    if (s->output.pending > 0)
        wanted |= STREAM_WRITABLE;
    if (wanted == s->watching)
        return;
    s->watching = wanted;
    stream_watch(s->stream, wanted, on_event, s);
}

static enum status
send_output(struct session *s)
{
    struct reactor *r = s->reactor;
    bool was_full = s->output.pending + s->reply_bytes >= SESSION_OUTPUT_BYTES_MAX;
    uint64_t sent = 0;
    enum status st;

    if (s->output.pending == 0)
        return ST_OK;
    st = output_send(&s->output, s->stream, &sent);
    if (sent > 0) {
        s->sent_ns = loop_now_ns(r->loop);
        counter_add(&r->counters.bytes_out, sent);
    }
    if (was_full && s->output.pending + s->reply_bytes < SESSION_OUTPUT_BYTES_MAX)
        session_wake(s);
    return st;
}

void
session_flush(struct session *s)
{
    enum status st;

    if ((s->watching & STREAM_WRITABLE) == 0)
        s->sent_ns = loop_now_ns(s->reactor->loop); /* so far, it has taken all there was */
    st = send_output(s);
    if (s->broken || (st != ST_OK && st != ST_WOULD_BLOCK)) {
        session_close(s);
        return;
    }
    if (s->leaving && s->call_count == 0 && s->output.pending == 0) {
        session_close(s);
        return;
    }
    if (s->alone != NULL && s->alone->wake != NULL && s->output.pending < SESSION_STREAM_BYTES)
        s->alone->wake(s->alone);
    session_watch(s);
}
