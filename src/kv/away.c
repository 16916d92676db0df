/*
 * The requests of a door that are at other nodes.
 *
 *      id      door:8  generation:40  place:16
 *
 *   F1  A request that is away has one place, which its id names; an answer for a place that was used
 *       again, or for an earlier process of this node, or from another node, is nobody's.
 *   F2  The places of a link stand in the order in which their requests were sent.
 *   F3  Nothing of a stream is away any more when the next begins.
 */
#include "base/assert.h"
#include "base/coding.h"
#include "base/log.h"

#include "kv/forward.h"
#include "kv/kv_internal.h"
#include "kv/parting.h"
#include "kv/route.h"
#include "tablet/request_codec.h"

enum { PLACE_BITS = 16, GENERATION_BITS = 40 };

#define GENERATION_MASK ((UINT64_C(1) << GENERATION_BITS) - 1)
#define NS_PER_US       1000

_Static_assert(FORWARD_AWAY_MAX <= 1 << PLACE_BITS, "a place has a number");
_Static_assert(LIMIT_REACTORS <= 256, "a door has a byte of the id");

/* ------------------------------------------------------------------ sending */

static uint64_t
id_of(const struct forward *f, const struct away *a)
{
    uint64_t place = (uint64_t)(a - f->places);

    return (uint64_t)loop_index(f->door->loop) << (GENERATION_BITS + PLACE_BITS) |
           (a->generation & GENERATION_MASK) << PLACE_BITS | place;
}

uint32_t
forward_door_of(uint64_t id)
{
    return (uint32_t)(id >> (GENERATION_BITS + PLACE_BITS));
}

/* NULL: it is nobody's (F1). */
static struct away *
find_away(struct forward *f, uint64_t node, uint64_t id)
{
    uint64_t place = id & ((UINT64_C(1) << PLACE_BITS) - 1);
    struct away *a = &f->places[place < FORWARD_AWAY_MAX ? place : 0];

    return a->request != NULL && id_of(f, a) == id && a->to->node == node ? a : NULL;
}

static struct request_envelope
envelope_of(const struct forward *f, const struct route *route, const struct request *r)
{
    uint64_t now_ns = loop_now_ns(f->door->loop);

    return (struct request_envelope){
        .tablet = route->site->tablet,
        .left_us = r->deadline_ns > now_ns ? (r->deadline_ns - now_ns) / NS_PER_US : 0,
    };
}

static enum status
post_request(struct forward *f, const struct request *r, const struct request_envelope *e,
             const struct away *a)
{
    size_t size = request_encode(NULL, r, e);
    uint8_t *room = forward_room(f, size);
    uint8_t head[VARINT_BYTES_MAX];
    struct slice parts[2];
    struct peer_message message = {
        .type = FORWARD_REQUEST, .id = id_of(f, a), .parts = parts, .part_count = 2, .steady = true
    };
    enum status st;

    if (room == NULL)
        return ST_NO_MEMORY;
    (void)request_encode(room, r, e);
    parts[0] = slice_of(head, (size_t)(put_varint(head, a->to->stream) - head));
    parts[1] = slice_of(room, size);
    st = forward_post(f, a->to->node, &message);
    return st == ST_NOT_FOUND ? ST_CLOSED : st;
}

enum status
forward_send(struct forward *f, struct route *route, struct request *r, uint64_t node)
{
    struct forward_link *l = forward__link(f, node);
    struct request_envelope e = envelope_of(f, route, r);
    size_t bytes = request_encode(NULL, r, &e);
    struct away *a;
    enum status st;

    if (l == NULL || parting_of(f, (uint32_t)(l - f->links)))
        return ST_CLOSED;
    if (list_empty(&f->free) || (l->bytes > 0 && l->bytes + bytes > f->away_bytes_max))
        return ST_BUSY;
    a = container_of(f->free.next, struct away, link);
    a->to = l;
    st = post_request(f, r, &e, a);
    if (st != ST_OK)
        return st;
    a->request = r;
    a->route = route;
    a->bytes = bytes;
    a->sent_ns = loop_now_ns(f->door->loop);
    l->bytes += bytes;
    list_remove(&a->link);
    list_push_back(&l->away, &a->link); /* F2 */
    return ST_OK;
}

void
forward_ask(struct forward *f, struct site *site, struct request *r, uint64_t node)
{
    struct route *route = site == NULL ? NULL : forward_route(f, site);
    enum status st = site == NULL ? ST_NOT_FOUND : ST_NO_MEMORY;

    r->keyspace = site == NULL ? 0 : site->keyspace;
    r->home = f->door->loop;
    r->way = &f->direct;
    r->way->under_way++;
    r->cold = NULL;
    r->scratch = (struct buf){ 0 };
    if (route != NULL)
        st = forward_send(f, route, r, node);
    if (st == ST_OK)
        return;
    r->status = st;
    request_done(r);
}

/* ------------------------------------------------------------------ coming back */

/* Its place is free; the request is the caller's. */
static struct request *
detach(struct forward *f, struct away *a)
{
    struct request *r = a->request;

    ASSERT(r != NULL && a->to->bytes >= a->bytes);
    a->to->bytes -= a->bytes;
    a->request = NULL;
    a->generation++;
    list_remove(&a->link);
    list_push_back(&f->free, &a->link);
    return r;
}

/* Whoever drains is about to be gone: it refused. */
void
forward__answered(struct forward *f, const struct peer_sender *from, uint64_t id,
                  struct slice payload)
{
    struct reader in = reader_of(payload);
    bool ours = read_u64(&in) == cluster_incarnation(f->door->kv->cluster);
    struct away *a = find_away(f, from->node, id);
    struct route *route;
    struct request *r;

    if (a == NULL || !ours)
        return;
    route = a->route;
    r = detach(f, a);
    if (answer_decode(read_bytes(&in, reader_left(&in)), r) != ST_OK) {
        log_event(LOG_ERROR, "forward.answer_not_understood", log_u64("node", from->node));
        r->status = request_writes(r) ? ST_UNKNOWN : ST_CORRUPT;
    }
    if (r->status == ST_CLOSED)
        r->status = ST_NOT_LEADER;
    r->elsewhere = from->node;
    request_done(r);
    if (route->queue.waiting_count > 0)
        route_stir(route);
}

void
forward__lose(struct forward *f, struct forward_link *l, const struct route *only)
{
    struct list *at = l->away.next;
    struct list lost;

    list_init(&lost);
    while (at != &l->away) {
        struct away *a = container_of(at, struct away, link);

        at = at->next;
        if (only != NULL && a->route != only)
            continue;
        if (a->request->way == &a->route->way)
            route_block(a->route);
        list_push_back(&lost, &detach(f, a)->link);
    }
    if (only == NULL)
        l->stream++; /* F3 */
    while ((at = list_pop_front(&lost)) != NULL) {
        struct request *r = container_of(at, struct request, link);

        r->status = ST_UNKNOWN;
        request_done(r);
    }
}

void
forward_lose_route(struct forward *f, struct route *route)
{
    struct forward_link *l = forward__link(f, route->to.node);

    route_block(route);
    if (l != NULL)
        forward__lose(f, l, route);
}

/* ------------------------------------------------------------------ time */

/* The first of a link are the oldest, but not the first to be late. */
void
forward__end_late(struct forward *f, struct forward_link *l, uint64_t now_ns)
{
    struct list *at = l->away.next;
    struct list late;

    list_init(&late);
    while (at != &l->away) {
        struct away *a = container_of(at, struct away, link);

        at = at->next;
        ASSERT(a->request != NULL); /* F1 */
        if (now_ns >= a->request->deadline_ns)
            list_push_back(&late, &detach(f, a)->link);
        else if (now_ns - a->sent_ns > TABLET_SILENCE_NS)
            route_doubt(a->route);
    }
    while ((at = list_pop_front(&late)) != NULL) {
        struct request *r = container_of(at, struct request, link);

        r->status = request_writes(r) ? ST_UNKNOWN : ST_TIMEOUT;
        request_done(r);
    }
}
