/*
 * INVARIANTS
 *
 *   U1  `pending` is the sum over the parts of what is written and not sent.
 *   U2  A part's charge is at least its buffer's capacity after every
 *       output_end() and output_add().
 */
#include "api/output.h"

#include "base/assert.h"
#include "base/mem.h"

enum { GATHER_MAX = 64 };

void
part_pool_init(struct part_pool *pool, struct room *room)
{
    *pool = (struct part_pool){ .room = room };
    list_init(&pool->free);
}

static struct part *
part_create(struct part_pool *pool, size_t capacity, size_t granted)
{
    struct part *p = mem_new(struct part);

    if (p == NULL)
        return NULL;
    p->bytes = buf_empty(REPLY_BYTES_MAX);
    if (buf_reserve(&p->bytes, capacity) != ST_OK) {
        mem_free(p);
        return NULL;
    }
    p->charged = granted;
    if (p->bytes.capacity > granted) {
        room_take(pool->room, ROOM_REPLY, p->bytes.capacity - granted);
        p->charged = p->bytes.capacity;
    }
    return p;
}

static void
part_destroy(struct part_pool *pool, struct part *p)
{
    room_give(pool->room, ROOM_REPLY, p->charged);
    buf_release(&p->bytes);
    mem_free(p);
}

static struct part *
part_take(struct part_pool *pool)
{
    struct list *link = list_pop_front(&pool->free);
    struct part *p;

    if (link == NULL)
        return part_create(pool, PART_BYTES, 0);
    pool->free_count--;
    p = container_of(link, struct part, link);
    p->bytes.size = 0;
    p->sent = 0;
    return p;
}

static void
part_put(struct part_pool *pool, struct part *p)
{
    if (p->bytes.capacity != PART_BYTES || pool->free_count == PART_POOL_MAX ||
        room_is_wanted(pool->room, ROOM_REPLY)) {
        part_destroy(pool, p);
        return;
    }
    list_push_front(&pool->free, &p->link);
    pool->free_count++;
}

void
part_pool_release(struct part_pool *pool)
{
    struct list *link;

    while ((link = list_pop_front(&pool->free)) != NULL)
        part_destroy(pool, container_of(link, struct part, link));
    pool->free_count = 0;
}

void
output_init(struct output *o, struct part_pool *pool)
{
    *o = (struct output){ .pool = pool };
    list_init(&o->parts);
}

void
output_release(struct output *o)
{
    struct list *link;

    while ((link = list_pop_front(&o->parts)) != NULL)
        part_put(o->pool, container_of(link, struct part, link));
    o->pending = 0;
}

/* REQUIRES: there is a part. */
static struct part *
tail_of(struct output *o)
{
    return container_of(o->parts.prev, struct part, link);
}

static bool
has_room_at_tail(struct output *o, size_t size)
{
    struct part *p = tail_of(o);

    return p->bytes.capacity - p->bytes.size >= size;
}

static void
push(struct output *o, struct part *p)
{
    list_push_back(&o->parts, &p->link);
}

struct buf *
output_begin(struct output *o, size_t size, size_t granted)
{
    bool fits = !list_empty(&o->parts) && has_room_at_tail(o, size);
    struct part *p;

    if (fits) {
        p = tail_of(o);
    } else {
        p = size <= PART_BYTES ? part_take(o->pool) : part_create(o->pool, size, granted);
        if (p == NULL)
            return NULL;
        push(o, p);
    }
    if (granted > 0 && (fits || size <= PART_BYTES))
        room_give(o->pool->room, ROOM_REPLY, granted); /* it went where room was charged before */
    return &p->bytes;
}

void
output_end(struct output *o, size_t before)
{
    struct part *p = tail_of(o);

    ASSERT(p->bytes.size >= before);
    o->pending += p->bytes.size - before;
    if (p->bytes.capacity > p->charged) { /* U2: more was written than was foreseen */
        room_take(o->pool->room, ROOM_REPLY, p->bytes.capacity - p->charged);
        p->charged = p->bytes.capacity;
    }
}

enum status
output_add(struct output *o, struct buf *reply, size_t charged)
{
    struct buf *to;
    struct part *p;
    size_t before;

    if (reply->size <= PART_BYTES) {
        to = output_begin(o, reply->size, 0);
        if (to == NULL)
            return ST_NO_MEMORY;
        before = to->size;
        if (reply->size > 0)
            memcpy(to->data + to->size, reply->data, reply->size);
        to->size += reply->size;
        output_end(o, before);
        buf_release(reply);
        room_give(o->pool->room, ROOM_REPLY, charged);
        return ST_OK;
    }
    p = mem_new(struct part);
    if (p == NULL)
        return ST_NO_MEMORY;
    p->bytes = *reply;
    p->charged = charged;
    *reply = buf_empty(REPLY_BYTES_MAX);
    push(o, p);
    output_end(o, 0);
    return ST_OK;
}

static size_t
gather(const struct output *o, struct slice parts[GATHER_MAX])
{
    size_t count = 0;

    list_each (at, &o->parts) {
        const struct part *p = container_of(at, struct part, link);

        if (count == GATHER_MAX)
            break;
        if (p->bytes.size > p->sent)
            parts[count++] = slice_of(p->bytes.data + p->sent, p->bytes.size - p->sent);
    }
    return count;
}

static void
drop_sent(struct output *o, size_t sent)
{
    ASSERT(sent <= o->pending); /* U1 */
    o->pending -= sent;
    while (!list_empty(&o->parts)) {
        struct part *p = container_of(o->parts.next, struct part, link);
        size_t left = p->bytes.size - p->sent;

        if (sent < left) {
            p->sent += sent;
            return;
        }
        sent -= left;
        list_remove(&p->link);
        part_put(o->pool, p);
    }
    ASSERT(sent == 0);
}

enum status
output_send(struct output *o, struct stream *stream, uint64_t *sent)
{
    while (o->pending > 0) {
        struct slice parts[GATHER_MAX];
        size_t count = gather(o, parts);
        size_t written = 0;
        enum status st = stream_write(stream, parts, count, &written);

        if (st != ST_OK)
            return st;
        *sent += written;
        drop_sent(o, written);
    }
    return ST_OK;
}
