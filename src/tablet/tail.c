#include "tablet/tail.h"

#include "base/assert.h"
#include "base/hash.h"
#include "base/mem.h"

enum { TAIL_CAPACITY_MIN = 8 };

void
tail_init(struct tail *t, raft_index index)
{
    *t = (struct tail){ .first = index, .limit = index };
}

void
tail_release(struct tail *t)
{
    ASSERT(t->first == t->limit);
    mem_free(t->ring);
    tail_init(t, t->limit);
}

static struct tail_entry **
slot_of(const struct tail *t, raft_index index)
{
    return &t->ring[index & (t->capacity - 1)];
}

enum status
tail_reserve(struct tail *t, uint32_t count)
{
    uint32_t capacity = t->capacity == 0 ? TAIL_CAPACITY_MIN : t->capacity;
    struct tail grown = { 0 };

    if (t->limit - t->first + count <= t->capacity)
        return ST_OK;
    while (capacity < t->limit - t->first + count)
        capacity *= 2;
    grown.capacity = capacity;
    grown.ring = mem_new_array(struct tail_entry *, capacity);
    if (grown.ring == NULL)
        return ST_NO_MEMORY;
    for (raft_index i = t->first; i < t->limit; i++)
        *slot_of(&grown, i) = *slot_of(t, i);
    mem_free(t->ring);
    t->ring = grown.ring;
    t->capacity = capacity;
    return ST_OK;
}

void
tail_push(struct tail *t, struct tail_entry *e)
{
    ASSERT(e->index == t->limit && t->limit - t->first < t->capacity);
    *slot_of(t, t->limit++) = e;
}

struct tail_entry *
tail_at(const struct tail *t, raft_index index)
{
    return index >= t->first && index < t->limit ? *slot_of(t, index) : NULL;
}

struct tail_entry *
tail_pop_first(struct tail *t)
{
    ASSERT(t->first < t->limit);
    return *slot_of(t, t->first++);
}

struct tail_entry *
tail_pop_last(struct tail *t)
{
    ASSERT(t->first < t->limit);
    return *slot_of(t, --t->limit);
}

/* The block: the structure, its writes, their overlay nodes, and room for the body. */
static struct tail_entry *
entry_new(uint32_t count, size_t body_bytes)
{
    size_t size = sizeof(struct tail_entry) +
                  count * (sizeof(struct entry) + sizeof(struct overlay_node)) + body_bytes;
    struct tail_entry *e = mem_alloc(size);

    if (e == NULL)
        return NULL;
    *e = (struct tail_entry){ .size = size,
                              .write_count = count,
                              .writes = (struct entry *)(e + 1) };
    e->nodes = (struct overlay_node *)(e->writes + count);
    e->bytes = slice_of(e->nodes + count, body_bytes);
    return e;
}

static uint8_t *
body_room(struct tail_entry *e)
{
    return (uint8_t *)(e->nodes + e->write_count);
}

/* Not in the overlay; the writes are there. */
static void
init_nodes(struct tail_entry *e)
{
    for (uint32_t i = 0; i < e->write_count; i++)
        e->nodes[i] =
            (struct overlay_node){ .entry = &e->writes[i], .hash = hash64(e->writes[i].key) };
}

struct tail_entry *
tail_entry_of_batch(const struct body *body, size_t size, const struct entry *writes,
                    uint32_t count)
{
    struct tail_entry *e = entry_new(count, size);

    if (e == NULL)
        return NULL;
    e->body = *body;
    memcpy(e->writes, writes, count * sizeof(*writes));
    body_encode_batch(body_room(e), body, e->writes, count);
    init_nodes(e);
    return e;
}

struct tail_entry *
tail_entry_small(void)
{
    return entry_new(0, BODY_SMALL_MAX);
}

void
tail_entry_set(struct tail_entry *e, const struct body *body, const struct raft_config *config)
{
    enum status st;

    e->bytes.size = body_encode_small(body_room(e), body, config);
    st = body_decode(e->bytes, &e->body); /* what points into bytes points into these */
    ASSERT(st == ST_OK);
}

enum status
tail_entry_decode(struct slice bytes, struct tail_entry **out)
{
    struct tail_entry *e;
    struct body body;
    enum status st = body_decode(bytes, &body);

    if (st != ST_OK)
        return st;
    e = entry_new(body.entry_count, bytes.size);
    if (e == NULL)
        return ST_NO_MEMORY;
    memcpy(body_room(e), bytes.data, bytes.size);
    st = body_decode(e->bytes, &e->body);
    if (st == ST_OK && body.kind == BODY_BATCH)
        st = body_entries(&e->body, e->writes);
    if (st != ST_OK) {
        mem_free(e);
        return st;
    }
    init_nodes(e);
    *out = e;
    return ST_OK;
}
