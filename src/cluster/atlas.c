/*
 * An atlas is one arena: the records, decoded, and arrays that find them.  Bounds are copied into it.
 */
#include "cluster/atlas.h"

#include <stdatomic.h>
#include <stdlib.h>

#include "base/arena.h"
#include "base/assert.h"
#include "base/list.h"
#include "base/mem.h"

enum { CHUNK_BYTES = 64 << 10 };

/* What the callers see, and what it is made of. */
struct bound_atlas {
    struct atlas atlas;
    _Atomic uint32_t refs;
    struct arena arena;
};

static struct bound_atlas *
whole(const struct atlas *a)
{
    return container_of((struct atlas *)mem_own(a), struct bound_atlas, atlas);
}

const struct atlas *
atlas_ref(const struct atlas *a)
{
    atomic_fetch_add_explicit(&whole(a)->refs, 1, memory_order_relaxed);
    return a;
}

void
atlas_unref(const struct atlas *a)
{
    struct bound_atlas *w;

    if (a == NULL)
        return;
    w = whole(a);
    if (atomic_fetch_sub_explicit(&w->refs, 1, memory_order_acq_rel) > 1)
        return;
    arena_release(&w->arena);
    mem_free(w);
}

/* ------------------------------------------------------------------ making */

/* An atlas being drawn. */
struct drawing {
    struct atlas *a;
    struct arena *arena;
    struct node_record *nodes;
    struct atlas_keyspace *keyspaces;
};

static bool
keep_bound(struct arena *arena, struct slice *bound)
{
    uint8_t *copy;

    if (bound->size == 0) {
        *bound = (struct slice){ 0 };
        return true;
    }
    copy = arena_alloc_bytes(arena, bound->size);
    if (copy == NULL)
        return false;
    memcpy(copy, bound->data, bound->size);
    bound->data = copy;
    return true;
}

static bool
draw_tablet(struct drawing *d, const struct tablet_record *record, version_t version)
{
    struct tablet_record *t;

    if (record->state != TABLET_LIVE)
        return true;
    t = arena_alloc(d->arena, sizeof(*t));
    if (t == NULL)
        return false;
    *t = *record;
    t->version = version;
    d->a->tablets[d->a->tablet_count++] = t;
    return keep_bound(d->arena, &t->from) && keep_bound(d->arena, &t->limit) &&
           keep_bound(d->arena, &t->at);
}

/* Whatever the book took can be read. */
static bool
draw(struct drawing *d, const struct page *p)
{
    struct record r;
    enum status st = record_decode(&p->key, p->value, &r, NULL);

    ASSERT(st == ST_OK);
    switch (r.kind) {
    case RECORD_CLUSTER:
        d->a->cluster = r.as.cluster;
        break;
    case RECORD_NODE:
        d->nodes[d->a->node_count++] = r.as.node;
        break;
    case RECORD_KEYSPACE:
        if (r.as.keyspace.state == KEYSPACE_LIVE)
            d->keyspaces[d->a->keyspace_count++] =
                (struct atlas_keyspace){ .record = r.as.keyspace };
        break;
    case RECORD_TABLET:
        return draw_tablet(d, &r.as.tablet, p->version);
    }
    return true;
}

static struct atlas_keyspace *
keyspace_at(const struct atlas *a, uint32_t id)
{
    uint32_t low = 0;
    uint32_t high = a->keyspace_count;

    while (low < high) {
        uint32_t middle = low + (high - low) / 2;

        if (a->keyspaces[middle].record.id < id)
            low = middle + 1;
        else
            high = middle;
    }
    return low < a->keyspace_count && a->keyspaces[low].record.id == id
               ? mem_own(&a->keyspaces[low])
               : NULL;
}

static int
compare_froms(const void *a, const void *b)
{
    const struct tablet_record *x = *(const struct tablet_record *const *)a;
    const struct tablet_record *y = *(const struct tablet_record *const *)b;

    return slice_compare(x->from, y->from);
}

/* Each keyspace's tablets are a stretch of one array; a tablet whose keyspace was dropped is in none. */
static bool
arrange(struct drawing *d)
{
    struct atlas *a = d->a;
    const struct tablet_record **at =
        arena_alloc(d->arena, (a->tablet_count + 1) * sizeof(struct tablet_record *));

    if (at == NULL)
        return false;
    for (uint32_t i = 0; i < a->tablet_count; i++) {
        struct atlas_keyspace *k = keyspace_at(a, a->tablets[i]->keyspace);

        if (k != NULL)
            k->tablet_count++;
    }
    for (uint32_t i = 0; i < a->keyspace_count; i++) {
        d->keyspaces[i].tablets = at;
        at += d->keyspaces[i].tablet_count;
        d->keyspaces[i].tablet_count = 0;
    }
    for (uint32_t i = 0; i < a->tablet_count; i++) {
        struct atlas_keyspace *k = keyspace_at(a, a->tablets[i]->keyspace);

        if (k != NULL)
            k->tablets[k->tablet_count++] = a->tablets[i];
    }
    for (uint32_t i = 0; i < a->keyspace_count; i++)
        qsort(d->keyspaces[i].tablets, d->keyspaces[i].tablet_count, sizeof(void *), compare_froms);
    return true;
}

static void
count_kinds(const struct book *b, uint32_t *nodes, uint32_t *keyspaces, uint32_t *tablets)
{
    *nodes = *keyspaces = *tablets = 0;
    for (uint32_t i = 0; i < b->count; i++) {
        *nodes += b->pages[i].key.kind == RECORD_NODE;
        *keyspaces += b->pages[i].key.kind == RECORD_KEYSPACE;
        *tablets += b->pages[i].key.kind == RECORD_TABLET;
    }
}

/* The metadata's own keyspace has no record: nobody may alter or drop it. */
static void
draw_meta_keyspace(struct drawing *d)
{
    struct keyspace_record record = { .id = ATLAS_META_KEYSPACE,
                                      .state = KEYSPACE_LIVE,
                                      .name = "metadata",
                                      .mode = KEYSPACE_STRONG,
                                      .partition = PARTITION_HASH,
                                      .replicas = 5 };

    d->keyspaces[d->a->keyspace_count++] = (struct atlas_keyspace){ .record = record };
}

static bool
make(struct drawing *d, const struct book *b)
{
    struct atlas *a = d->a;
    uint32_t nodes, keyspaces, tablets;

    count_kinds(b, &nodes, &keyspaces, &tablets);
    a->version = b->version;
    a->nodes = d->nodes = arena_alloc(d->arena, (nodes + 1) * sizeof(*d->nodes));
    a->keyspaces = d->keyspaces = arena_alloc(d->arena, (keyspaces + 1) * sizeof(*d->keyspaces));
    a->tablets = arena_alloc(d->arena, (tablets + 1) * sizeof(struct tablet_record *));
    if (d->nodes == NULL || d->keyspaces == NULL || a->tablets == NULL)
        return false;
    for (uint32_t i = 0; i < b->count; i++) {
        if (!draw(d, &b->pages[i]))
            return false;
    }
    draw_meta_keyspace(d);
    return arrange(d);
}

struct atlas *
atlas_create(const struct book *b)
{
    struct bound_atlas *w = mem_new(struct bound_atlas);
    struct drawing d;

    if (w == NULL)
        return NULL;
    arena_init(&w->arena, CHUNK_BYTES);
    atomic_init(&w->refs, 1);
    d = (struct drawing){ .a = &w->atlas, .arena = &w->arena };
    if (make(&d, b))
        return &w->atlas;
    atlas_unref(&w->atlas);
    return NULL;
}

/* ------------------------------------------------------------------ looking */

const struct node_record *
atlas_node(const struct atlas *a, uint64_t id)
{
    uint32_t low = 0;
    uint32_t high = a->node_count;

    while (low < high) {
        uint32_t middle = low + (high - low) / 2;

        if (a->nodes[middle].id < id)
            low = middle + 1;
        else
            high = middle;
    }
    return low < a->node_count && a->nodes[low].id == id ? &a->nodes[low] : NULL;
}

/* A name may be used again by whoever takes a removed node's place. */
const struct node_record *
atlas_node_named(const struct atlas *a, struct slice name)
{
    for (uint32_t i = 0; i < a->node_count; i++) {
        if (a->nodes[i].state != NODE_REMOVED && slice_equal(slice_str(a->nodes[i].name), name))
            return &a->nodes[i];
    }
    return NULL;
}

uint32_t
atlas_count_nodes(const struct atlas *a)
{
    uint32_t count = 0;

    for (uint32_t i = 0; i < a->node_count; i++)
        count += a->nodes[i].state != NODE_REMOVED;
    return count;
}

const struct tablet_record *
atlas_tablet(const struct atlas *a, uint64_t id)
{
    uint32_t low = 0;
    uint32_t high = a->tablet_count;

    while (low < high) {
        uint32_t middle = low + (high - low) / 2;

        if (a->tablets[middle]->id < id)
            low = middle + 1;
        else
            high = middle;
    }
    return low < a->tablet_count && a->tablets[low]->id == id ? a->tablets[low] : NULL;
}

const struct atlas_keyspace *
atlas_keyspace(const struct atlas *a, uint32_t id)
{
    return keyspace_at(a, id);
}

const struct atlas_keyspace *
atlas_keyspace_named(const struct atlas *a, struct slice name)
{
    for (uint32_t i = 0; i < a->keyspace_count; i++) {
        if (slice_equal(slice_str(a->keyspaces[i].record.name), name))
            return &a->keyspaces[i];
    }
    return NULL;
}

/* ------------------------------------------------------------------ keys */

void
atlas_slots_of(const struct tablet_record *t, uint32_t *begin, uint32_t *limit)
{
    *begin = slot_of_bound(t->from, 0);
    *limit = slot_of_bound(t->limit, SLOT_COUNT);
}

uint32_t
atlas_tablet_number(const struct atlas_keyspace *k, struct slice key)
{
    uint8_t room[2];
    struct slice partition = key;
    uint32_t low = 0;
    uint32_t high = k->tablet_count;

    if (high > 1 && k->record.partition == PARTITION_HASH)
        partition = slot_bound(slot_of(key), room);
    while (high - low > 1) { /* tablets[low].from <= partition < tablets[high].from */
        uint32_t middle = low + (high - low) / 2;

        if (slice_compare(k->tablets[middle]->from, partition) <= 0)
            low = middle;
        else
            high = middle;
    }
    return low;
}

const struct tablet_record *
atlas_tablet_of(const struct atlas_keyspace *k, struct slice key)
{
    return k->tablet_count == 0 ? NULL : k->tablets[atlas_tablet_number(k, key)];
}
