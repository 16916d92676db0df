#include "api/reactor.h"

#include "base/assert.h"
#include "base/mem.h"

#include "api/api_internal.h"
#include "api/session.h"

static const char too_many[] = "-ERR max number of clients reached\r\n";

static void after_round(void *ctx);
static void tick(void *ctx);

enum status
reactor_init(struct reactor *r, struct api *a, struct loop *loop)
{
    r->api = a;
    r->loop = loop;
    r->env = loop_env(loop);
    r->index = loop_index(loop);
    r->door = kv_door_of(a->kv, r->index);
    list_init(&r->sessions);
    list_init(&r->dirty);
    list_init(&r->ready);
    list_init(&r->free_calls);
    room_init(&r->room, &a->shares);
    block_pool_init(&r->blocks, &r->room);
    part_pool_init(&r->parts, &r->room);
    loop_set_after(loop, after_round, r);
    return timer_create_on(loop, tick, r, &r->timer);
}

void
reactor_release(struct reactor *r)
{
    struct list *link;

    if (r->loop == NULL)
        return; /* never begun */
    loop_set_after(r->loop, NULL, NULL);
    while (!list_empty(&r->sessions))
        session_close(container_of(r->sessions.next, struct session, link));
    ASSERT(r->call_count == 0); /* kv has given back every request */
    while ((link = list_pop_front(&r->free_calls)) != NULL)
        mem_free(container_of(link, struct call, link));
    block_pool_release(&r->blocks);
    part_pool_release(&r->parts);
    timer_destroy(r->timer);
}

#define PARTING_NS (500 * UINT64_C(1000000))

/* ------------------------------------------------------------------ rounds */

static void
advance_ready(struct reactor *r)
{
    struct list *link;

    while ((link = list_pop_front(&r->ready)) != NULL)
        session_advance(container_of(link, struct session, ready));
}

/* What is free here is charged all the same, and others may wait for it (M3). */
static void
empty_pools(struct reactor *r, bool all)
{
    if (all || room_is_wanted(&r->room, ROOM_REQUEST))
        block_pool_release(&r->blocks);
    if (all || room_is_wanted(&r->room, ROOM_REPLY))
        part_pool_release(&r->parts);
}

static void
after_round(void *ctx)
{
    struct reactor *r = ctx;
    struct list *link;

    empty_pools(r, list_empty(&r->sessions)); /* without sessions, no tick would do it */
    if (room_busy(&r->room))
        room_poll(&r->room, loop_now_ns(r->loop));
    do {
        advance_ready(r);
        while ((link = list_pop_front(&r->dirty)) != NULL)
            session_flush(container_of(link, struct session, dirty));
    } while (!list_empty(&r->ready)); /* what was sent may have made room to go on */
    reactor_tend(r);
}

/* ------------------------------------------------------------------ time */

static void
close_idle(struct reactor *r, uint64_t now_ns)
{
    uint64_t idle_ns = (uint64_t)r->api->options.idle_ms_max * 1000000;
    struct list *at = r->sessions.next;

    while (idle_ns > 0 && at != &r->sessions) {
        struct session *s = container_of(at, struct session, link);

        at = at->next;
        if (now_ns - s->active_ns < idle_ns)
            return; /* the others were active later */
        if (s->call_count == 0)
            session_close(s);
    }
}

static void
close_stuck(struct reactor *r, uint64_t now_ns)
{
    struct list *at = r->sessions.next;

    while (at != &r->sessions) {
        struct session *s = container_of(at, struct session, link);

        at = at->next;
        if (s->output.pending > 0 &&
            now_ns - s->sent_ns >= (uint64_t)SESSION_STUCK_MS_MAX * 1000000)
            session_close(s);
    }
}

/* Somebody was refused for want of room: whoever holds much of it, and has not moved for as long as
 * the other has waited, makes room. */
static void
close_holders(struct reactor *r, uint64_t now_ns)
{
    uint64_t patience_ns = (uint64_t)atomic_load(&r->api->deadline_ms) * 1000000;
    bool requests = room_was_missed(&r->room, ROOM_REQUEST);
    bool replies = room_was_missed(&r->room, ROOM_REPLY);
    struct list *at = r->sessions.next;

    while ((requests || replies) && at != &r->sessions) {
        struct session *s = container_of(at, struct session, link);
        bool stalled = requests && session_held_bytes(s) > HOLDER_BYTES_MIN &&
                       now_ns - s->active_ns >= patience_ns;
        bool stuck =
            replies && s->output.pending > HOLDER_BYTES_MIN && now_ns - s->sent_ns >= patience_ns;

        at = at->next;
        if (stalled || stuck)
            session_close(s);
    }
}

static void
close_all(struct reactor *r)
{
    while (!list_empty(&r->sessions))
        session_close(container_of(r->sessions.next, struct session, link));
}

/* Nothing has come of those who might have asked once more. */
static void
part_all(struct reactor *r)
{
    struct list *at = r->sessions.next;

    while (at != &r->sessions) {
        struct session *s = container_of(at, struct session, link);

        at = at->next; /* whoever is read from becomes the last */
        if (!s->ended)
            session_part(s);
    }
}

static void
tick(void *ctx)
{
    struct reactor *r = ctx;
    uint64_t now_ns = loop_now_ns(r->loop);

    r->tick = TICK_NONE;
    close_idle(r, now_ns);
    close_stuck(r, now_ns);
    close_holders(r, now_ns);
    if (r->draining && now_ns >= r->part_ns)
        part_all(r);
    if (r->draining && (now_ns >= r->drain_deadline_ns || atomic_load(&r->api->drain_now)))
        close_all(r);
}

static void
report_drained(struct reactor *r)
{
    r->drain_reported = true;
    api_reactor_drained(r->api, r->index);
}

void
reactor_tend(struct reactor *r)
{
    bool busy = room_busy(&r->room);

    if (r->draining && !r->drain_reported && list_empty(&r->sessions))
        report_drained(r);
    if (list_empty(&r->sessions) && !busy)
        return;
    if ((busy || r->draining) && r->tick != TICK_FAST) {
        r->tick = TICK_FAST;
        timer_start(r->timer, REACTOR_TICK_BUSY_MS);
    } else if (r->tick == TICK_NONE) {
        r->tick = TICK_SLOW;
        timer_start(r->timer, REACTOR_TICK_MS);
    }
}

/* ------------------------------------------------------------------ doors */

/* Say why, as far as the stream takes it. */
static void
turn_away(struct stream *stream)
{
    struct slice text = slice_str(too_many);
    size_t written;

    while (text.size > 0 && stream_write(stream, &text, 1, &written) == ST_OK)
        text = slice_of(text.data + written, text.size - written);
    stream_close(stream);
}

void
reactor_accept(struct reactor *r, struct stream *stream, enum api_door door)
{
    struct api *a = r->api;
    uint32_t before = atomic_fetch_add(&a->connections, 1);

    if (before >= a->options.connections_max || r->draining) {
        turn_away(stream);
        atomic_fetch_sub(&a->connections, 1);
        counter_add(&r->counters.refused, 1);
        return;
    }
    counter_add(&r->counters.accepted, 1);
    session_open(r, stream, door);
    reactor_tend(r);
}

void
reactor_drain(struct reactor *r, uint64_t deadline_ns)
{
    struct list *at = r->sessions.next;

    r->draining = true;
    r->drain_deadline_ns = deadline_ns;
    r->part_ns = loop_now_ns(r->loop) + PARTING_NS;
    while (at != &r->sessions) {
        struct session *s = container_of(at, struct session, link);

        at = at->next;
        session_drain(s);
    }
    reactor_tend(r);
}
