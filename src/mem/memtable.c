/*
 * The memtable: one set of nodes, linked twice.
 *
 *      skip list     every version of every key, in entry order: iteration, and
 *                    reads at an old snapshot
 *      hash index    the newest version of every key: all other point reads
 *
 * A node lies in the arena and is never moved, changed or freed before the whole
 * memtable is; so a reader needs no lock and no epoch, only its reference.
 *
 * THE LIST is Pugh's ("Skip lists: a probabilistic alternative to balanced
 * trees", 1990).  Every second node has guides on the levels above, every fourth
 * of those one more, and so on:
 *
 *      level 1   [ ]-------------------->[c]
 *      level 0   [ ]-------->[b]-------->[c]-------->[e]
 *      list      head-->a-->  b ------->  c -->d-->   e
 *
 * Guides lie apart from the nodes, packed, with the first sixteen bytes of the key
 * in them.  So a search walks memory that mostly fits a processor's cache, and
 * touches a node only where these bytes are equal, and at the very end: measured,
 * that is twice as fast as links inside the nodes.  The number of guides is drawn
 * from the hash of key and version, so that a run of versions of one key is a skip
 * list too, and the same writes make the same list.
 *
 * INVARIANTS
 *
 *   M1  A node is complete before a release store makes it reachable, and
 *       whoever reaches it does so by an acquire load.
 *   M2  On each level the nodes are in strict entry order.
 *   M3  A node is in the list before its guides are, the lower ones first.
 *   M4  After an insertion the splice holds, on every level, the last guide (and
 *       in the list the last node) that is not after the node added last.  If the next place follows that node
 *       and is not after its successor, then no search is needed.
 *   M5  A bucket's chain holds exactly one node for each of its keys: the newest
 *       version.  A newer version takes the place of the older one, which keeps
 *       its own `chain` for readers who stand on it.
 *   M6  A segment is retired before its first node moves, and only before the
 *       put of the moment has linked its node in anywhere.  So while a segment
 *       is retired and not yet replaced, list and index hold the same entries,
 *       and a reader may take the list's answer for the index's: what one reader
 *       has seen, no later reader misses.
 */
#include "mem/memtable.h"

#include "base/assert.h"
#include "base/hash.h"
#include "base/limits.h"
#include "base/mem.h"

#include "mem/memtable_internal.h"

enum {
    CHUNK_BYTES_MIN = 4 << 10,
    CHUNK_BYTES_MAX = 1 << 20,
    CHUNK_SHARE = 64, /* a chunk is at most this part of what is expected */
    GUIDE_SHARE = 8,  /* guides take about this part of what nodes take */
};

struct memtable {
    struct memtable_list *list; /* in the arena, as what the index points to */
    struct memtable_index index;
    struct arena nodes;
    struct arena guides;
    size_t chunk_bytes_max;
    _Atomic uint32_t ref_count;
    _Atomic size_t byte_count;
    _Atomic uint64_t entry_count;
    _Atomic uint64_t tombstone_count;
};

static void
update_bytes(struct memtable *m)
{
    atomic_store_explicit(&m->byte_count, sizeof(*m) + m->nodes.total_bytes + m->guides.total_bytes,
                          memory_order_relaxed);
}

struct memtable *
memtable_create(size_t bytes_expected)
{
    struct memtable *m = mem_new(struct memtable);
    size_t chunk = bytes_expected / CHUNK_SHARE;

    if (m == NULL)
        return NULL;
    arena_init(&m->nodes, CHUNK_BYTES_MIN);
    arena_init(&m->guides, CHUNK_BYTES_MIN / GUIDE_SHARE);
    m->chunk_bytes_max = chunk < CHUNK_BYTES_MIN ? CHUNK_BYTES_MIN : chunk;
    if (m->chunk_bytes_max > CHUNK_BYTES_MAX)
        m->chunk_bytes_max = CHUNK_BYTES_MAX;
    atomic_init(&m->ref_count, 1);
    m->list = memtable__list_create(&m->nodes);
    if (m->list == NULL || !memtable__index_init(&m->index, &m->nodes)) {
        memtable_unref(m);
        return NULL;
    }
    update_bytes(m);
    return m;
}

void
memtable_ref(struct memtable *m)
{
    uint32_t before = atomic_fetch_add_explicit(&m->ref_count, 1, memory_order_relaxed);

    ASSERT(before > 0 && before < UINT32_MAX);
}

void
memtable_unref(struct memtable *m)
{
    uint32_t before = atomic_fetch_sub_explicit(&m->ref_count, 1, memory_order_acq_rel);

    ASSERT(before > 0);
    if (before > 1)
        return;
    arena_release(&m->guides);
    arena_release(&m->nodes);
    mem_free(m);
}

/* 0 with probability 1/2, 1 with 3/8, 2 with 3/32, and so on. */
static uint32_t
draw_levels(uint64_t hash, version_t version)
{
    uint64_t bits = hash_u64(hash ^ version);

    if ((bits & 1) != 0)
        return 0;
    bits = bits >> 1 | UINT64_C(1) << (2 * (GUIDE_LEVELS - 1));
    return (uint32_t)(1 + __builtin_ctzll(bits) / 2);
}

/* A node with the entry copied in, linked to nothing yet; NULL when out of memory. */
static struct memtable_node *
make_node(struct arena *arena, const struct entry *e, uint64_t hash)
{
    bool expires = e->expiry_ms != 0;
    struct memtable_node *n =
        arena_alloc(arena, sizeof(*n) + e->key.size + (expires ? 8 : 0) + e->value.size);
    uint8_t *at;

    if (n == NULL)
        return NULL;
    n->version = e->version;
    n->hash = (uint32_t)(hash >> 32);
    n->value_size = (uint32_t)e->value.size;
    n->key_size = (uint32_t)e->key.size;
    n->type = (uint8_t)e->type;
    n->expires = expires;

    at = (uint8_t *)(n + 1);
    if (e->key.size > 0)
        memcpy(at, e->key.data, e->key.size);
    at += e->key.size;
    if (expires) {
        put_u64le(at, e->expiry_ms);
        at += 8;
    }
    if (e->value.size > 0)
        memcpy(at, e->value.data, e->value.size);
    return n;
}

static void
read_node(const struct memtable_node *n, struct entry *out)
{
    const uint8_t *at = (const uint8_t *)(n + 1) + n->key_size;

    out->key = memtable__key(n);
    out->version = n->version;
    out->type = (enum entry_type)n->type;
    out->expiry_ms = n->expires ? get_u64le(at) : 0;
    out->value = slice_of(at + (n->expires ? 8 : 0), n->value_size);
}

/* Chunks grow with the table, so that a small one wastes little and a large one asks rarely. */
static void
grow_chunks(struct memtable *m)
{
    if (m->nodes.chunk_bytes >= m->chunk_bytes_max ||
        m->nodes.total_bytes < 4 * m->nodes.chunk_bytes)
        return;
    m->nodes.chunk_bytes *= 2;
    if (m->nodes.chunk_bytes > m->chunk_bytes_max)
        m->nodes.chunk_bytes = m->chunk_bytes_max;
    m->guides.chunk_bytes = m->nodes.chunk_bytes / GUIDE_SHARE;
}

static void
count_entry(struct memtable *m, const struct entry *e)
{
    uint64_t entries = atomic_load_explicit(&m->entry_count, memory_order_relaxed);
    uint64_t tombstones = atomic_load_explicit(&m->tombstone_count, memory_order_relaxed);

    atomic_store_explicit(&m->entry_count, entries + 1, memory_order_relaxed);
    if (e->type == ENTRY_TOMBSTONE)
        atomic_store_explicit(&m->tombstone_count, tombstones + 1, memory_order_relaxed);
}

enum status
memtable_put(struct memtable *m, const struct entry *e)
{
    return memtable_put_hashed(m, e, hash64(e->key));
}

/* The node of the key's newest version so far, given that the splice is at (key, version); NULL
 * when the key is new here. */
static struct memtable_node *
older_version(const struct memtable *m, const struct entry *e)
{
    const struct memtable_node *before = m->list->before;
    struct memtable_node *after = memtable__next(before);

    ASSERT(before == &m->list->head || !memtable__has_key(before, e->key)); /* the writer's duty */
    if (after == NULL || !memtable__has_key(after, e->key))
        return NULL;
    ASSERT(after->version < e->version);
    return after;
}

enum status
memtable_put_hashed(struct memtable *m, const struct entry *e, uint64_t hash)
{
    struct memtable_place place = memtable__place(e->key, e->version);
    uint32_t level_count = draw_levels(hash, e->version);
    struct memtable_guide *guides = NULL;
    struct memtable_node *older;
    struct memtable_node *n;

    ASSERT(e->key.size <= LIMIT_STORED_KEY_BYTES);
    ASSERT(e->value.size <= UINT32_MAX);
    ASSERT(e->type == ENTRY_VALUE || e->value.size == 0);
    VERIFY(hash == hash64(e->key));

    memtable__index_prefetch(&m->index, (uint32_t)(hash >> 32));
    if (level_count > 0) {
        guides = arena_alloc(&m->guides, level_count * sizeof(*guides));
        if (guides == NULL)
            return ST_NO_MEMORY;
    }
    n = make_node(&m->nodes, e, hash);
    if (n == NULL)
        return ST_NO_MEMORY;
    memtable__index_reserve(&m->index, &m->nodes, n->hash); /* M6: before it is linked in */
    grow_chunks(m);

    memtable__list_locate(m->list, &place);
    older = older_version(m, e);
    memtable__list_add(m->list, &place, n, guides, level_count);
    memtable__index_add(&m->index, n, older);

    count_entry(m, e);
    update_bytes(m);
    return ST_OK;
}

/* The key's newest version not above `snapshot`, by the list. */
static const struct memtable_node *
find_ordered(const struct memtable *m, struct slice key, version_t snapshot)
{
    struct memtable_place place = memtable__place(key, snapshot);
    const struct memtable_node *n = memtable__list_at(m->list, &place);

    return n != NULL && memtable__has_key(n, key) ? n : NULL;
}

static const struct memtable_node *
find(const struct memtable *m, struct slice key, uint32_t hash, version_t snapshot)
{
    const struct memtable_segment *token;
    const struct memtable_node *n;

    while (!memtable__index_find(&m->index, key, hash, &n, &token)) {
        n = find_ordered(m, key, snapshot);
        if (memtable__index_unchanged(&m->index, hash, token))
            return n; /* M6 */
    }
    if (n != NULL && n->version > snapshot)
        return find_ordered(m, key, snapshot);
    return n;
}

bool
memtable_get(const struct memtable *m, struct slice key, uint64_t hash, version_t snapshot,
             struct entry *out)
{
    const struct memtable_node *n;

    VERIFY(hash == hash64(key));
    n = find(m, key, (uint32_t)(hash >> 32), snapshot);
    if (n == NULL)
        return false;
    ASSERT(n->version <= snapshot);
    read_node(n, out);
    return true;
}

size_t
memtable_bytes(const struct memtable *m)
{
    return atomic_load_explicit(&m->byte_count, memory_order_relaxed);
}

uint64_t
memtable_entry_count(const struct memtable *m)
{
    return atomic_load_explicit(&m->entry_count, memory_order_relaxed);
}

uint64_t
memtable_tombstone_count(const struct memtable *m)
{
    return atomic_load_explicit(&m->tombstone_count, memory_order_relaxed);
}

/* ------------------------------------------------------------------ iteration */

/* The head stands for "before the first", which is no entry. */
static void
stand_on(struct memtable_iter *it, const struct memtable_node *n)
{
    it->node = n == &it->table->list->head ? NULL : n;
}

void
memtable_iter_init(struct memtable_iter *it, const struct memtable *m)
{
    *it = (struct memtable_iter){ .table = m };
}

bool
memtable_iter_valid(const struct memtable_iter *it)
{
    return it->node != NULL;
}

void
memtable_iter_seek(struct memtable_iter *it, struct slice key, version_t version)
{
    struct memtable_place place = memtable__place(key, version);

    stand_on(it, memtable__list_at(it->table->list, &place));
}

void
memtable_iter_seek_before(struct memtable_iter *it, struct slice key, version_t version)
{
    struct memtable_place place = memtable__place(key, version);

    stand_on(it, memtable__list_before(it->table->list, &place));
}

void
memtable_iter_first(struct memtable_iter *it)
{
    stand_on(it, memtable__next(&it->table->list->head));
}

void
memtable_iter_last(struct memtable_iter *it)
{
    stand_on(it, memtable__list_last(it->table->list));
}

void
memtable_iter_next(struct memtable_iter *it)
{
    ASSERT(it->node != NULL);
    stand_on(it, memtable__next(it->node));
}

void
memtable_iter_prev(struct memtable_iter *it)
{
    struct memtable_place place;

    ASSERT(it->node != NULL);
    place = memtable__place(memtable__key(it->node), it->node->version);
    stand_on(it, memtable__list_before(it->table->list, &place));
}

void
memtable_iter_entry(const struct memtable_iter *it, struct entry *out)
{
    ASSERT(it->node != NULL);
    read_node(it->node, out);
}
