/*
 * Messages to be sent to one node.
 *
 *      add ---> urgent [ ][ ]      ---.
 *      add ---> bulk   [=][ ][ ][ ] ---+---> batch [ ][ ][ ] ---> the stream
 *                       '--- the rest of a long one ---'
 *
 * An item is a message in one block, with room for a frame's header before it.
 * A long message leaves in several frames; the header of each is put where the
 * bytes before it were, for these are written by then (P5).  A frame gets its
 * number and checksum when it enters the batch.
 */
#include "base/assert.h"
#include "base/mem.h"

#include "peer/peer_internal.h"

struct item {
    struct list link;
    uint64_t due_ns; /* while it is late */
    uint64_t id;
    uint32_t size;       /* of the message */
    uint32_t done;       /* bytes of it that were in earlier frames */
    uint32_t frame_size; /* of the payload of the frame in the batch */
    uint8_t type;
    bool urgent;
    uint8_t bytes[]; /* FRAME_HEADER_BYTES, then the message */
};

static struct item *
first_of(const struct list *head)
{
    return container_of(head->next, struct item, link);
}

static size_t
cost_of(size_t size)
{
    return sizeof(struct item) + FRAME_HEADER_BYTES + size;
}

static size_t *
counter_of(struct outbox *o, bool urgent)
{
    return urgent ? &o->urgent_bytes : &o->bulk_bytes;
}

/* ------------------------------------------------------------------ items */

/* A queue takes one message whatever its size, or long ones would never leave. */
static bool
has_room(struct outbox *o, bool urgent, size_t cost)
{
    size_t used = *counter_of(o, urgent);
    size_t max = urgent ? o->urgent_max : o->bulk_max;

    return used == 0 || (used <= max && cost <= max - used);
}

/* What is urgent is little, and what keeps the cluster alive: the budget does not stop it. */
static bool
charge(struct outbox *o, bool urgent, size_t cost)
{
    if (!has_room(o, urgent, cost))
        return false;
    if (urgent)
        budget_charge(o->budget, cost);
    else if (!budget_try_charge(o->budget, cost))
        return false;
    *counter_of(o, urgent) += cost;
    return true;
}

static void
discharge(struct outbox *o, bool urgent, size_t cost)
{
    ASSERT(*counter_of(o, urgent) >= cost); /* P3 */
    *counter_of(o, urgent) -= cost;
    budget_return(o->budget, cost);
}

static void
free_item(struct outbox *o, struct item *it)
{
    discharge(o, it->urgent, cost_of(it->size));
    list_remove(&it->link);
    mem_free(it);
}

static struct item *
make_item(const struct peer_message *m, size_t size)
{
    struct item *it = mem_alloc(cost_of(size));
    uint8_t *to;

    if (it == NULL)
        return NULL;
    it->id = m->id;
    it->size = (uint32_t)size;
    it->done = 0;
    it->type = m->type;
    it->urgent = m->urgent;
    to = it->bytes + FRAME_HEADER_BYTES;
    for (size_t i = 0; i < m->part_count; i++) {
        if (m->parts[i].size > 0)
            memcpy(to, m->parts[i].data, m->parts[i].size);
        to += m->parts[i].size;
    }
    return it;
}

static void
queue(struct outbox *o, struct item *it)
{
    list_push_back(it->urgent ? &o->urgent : &o->bulk, &it->link);
}

enum status
outbox__add(struct outbox *o, const struct peer_message *m, size_t size, uint64_t due_ns)
{
    struct item *it;

    if (!charge(o, m->urgent, cost_of(size)))
        return ST_BUSY;
    it = make_item(m, size);
    if (it == NULL) {
        discharge(o, m->urgent, cost_of(size));
        return ST_NO_MEMORY;
    }
    it->due_ns = due_ns;
    if (due_ns > 0)
        list_push_back(&o->late, &it->link);
    else
        queue(o, it);
    return ST_OK;
}

uint64_t
outbox__due(struct outbox *o, uint64_t now_ns)
{
    uint64_t next_ns = 0;

    for (struct list *at = o->late.next, *next; at != &o->late; at = next) {
        struct item *it = container_of(at, struct item, link);

        next = at->next;
        if (it->due_ns <= now_ns) {
            list_remove(at);
            queue(o, it);
        } else if (next_ns == 0 || it->due_ns < next_ns) {
            next_ns = it->due_ns;
        }
    }
    return next_ns;
}

/* ------------------------------------------------------------------ the batch */

static uint32_t
next_frame_size(const struct item *it)
{
    uint32_t left = it->size - it->done;

    return left < PEER_FRAME_BYTES_MAX ? left : PEER_FRAME_BYTES_MAX;
}

static struct slice
frame_bytes(const struct item *it)
{
    return slice_of(it->bytes + it->done, FRAME_HEADER_BYTES + (size_t)it->frame_size);
}

static void
enter_batch(struct outbox *o, struct item *it)
{
    struct frame f = {
        .size = next_frame_size(it), .id = it->id, .type = it->type, .urgent = it->urgent
    };

    f.rest = it->size - it->done - f.size;
    ASSERT(!it->urgent || f.rest == 0);
    it->frame_size = f.size;
    frame__seal(it->bytes + it->done, &f, o->seed, o->number++);
    list_remove(&it->link);
    list_push_back(&o->batch, &it->link);
}

/* P6: whatever is urgent and comes now waits for no more than this. */
static void
fill_batch(struct outbox *o)
{
    size_t bytes = 0;

    ASSERT(list_empty(&o->batch) && o->written == 0);
    for (unsigned count = 0; count < BATCH_FRAMES; count++) {
        const struct list *from = list_empty(&o->urgent) ? &o->bulk : &o->urgent;
        struct item *it;

        if (list_empty(from))
            return;
        it = first_of(from);
        bytes += FRAME_HEADER_BYTES + (size_t)next_frame_size(it);
        if (count > 0 && bytes > BATCH_BYTES)
            return;
        enter_batch(o, it);
    }
}

size_t
outbox__gather(struct outbox *o, struct slice parts[BATCH_FRAMES])
{
    size_t count = 0;

    if (list_empty(&o->batch))
        fill_batch(o);
    list_each (link, &o->batch)
        parts[count++] = frame_bytes(container_of(link, struct item, link));
    if (count > 0)
        parts[0] = slice_of(parts[0].data + o->written, parts[0].size - o->written);
    return count;
}

/* The frame of the batch's first is written. */
static void
leave_batch(struct outbox *o, struct item *it)
{
    it->done += it->frame_size;
    if (it->done == it->size) {
        free_item(o, it);
        return;
    }
    ASSERT(!it->urgent);
    list_remove(&it->link);
    list_push_front(&o->bulk, &it->link); /* P4: before all that came after it */
}

void
outbox__written(struct outbox *o, size_t size)
{
    o->written += size;
    while (!list_empty(&o->batch)) {
        struct item *first = first_of(&o->batch);
        size_t whole = frame_bytes(first).size;

        if (o->written < whole)
            return;
        o->written -= whole;
        leave_batch(o, first);
    }
    ASSERT(o->written == 0); /* no more was written than there was */
}

/* ------------------------------------------------------------------ life */

void
outbox__init(struct outbox *o, const struct peer_options *options, uint64_t seed)
{
    *o = (struct outbox){
        .budget = options->budget,
        .bulk_max = options->queue_bytes,
        .urgent_max = options->urgent_bytes,
        .seed = seed,
    };
    list_init(&o->urgent);
    list_init(&o->bulk);
    list_init(&o->late);
    list_init(&o->batch);
}

void
outbox__release(struct outbox *o)
{
    struct list *const all[] = { &o->urgent, &o->bulk, &o->late, &o->batch };

    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
        while (!list_empty(all[i]))
            free_item(o, first_of(all[i]));
    }
    ASSERT(o->bulk_bytes == 0 && o->urgent_bytes == 0); /* P3 */
}
