/*
 * The memtable: nodes in an arena, found by hash at once and by order when it is asked for.
 *
 *      hash index    the newest version of every key: point reads           (hash_index.c)
 *      history       from each version of a key to the older ones: point reads at an old snapshot
 *      arrivals      all nodes, as a list in the order in which they were put
 *      order         sorted runs, made of the arrivals for a scan or a flush (order.c)
 *
 * A node lies in the arena and is never moved, changed or freed before the whole
 * memtable is; so a point read needs no lock and no epoch, only its reference.
 *
 * WHY ORDER COMES LATE.  A list that is kept in order costs a search for each put: some twenty
 * loads that miss the processor's caches, one after the other, a microsecond or more.  Sorting
 * what has come, when it is needed, costs a tenth of that, and runs where nobody waits: in the
 * job that flushes.  A scan of a memtable that grows sorts what came since the scan before, and
 * pays for it in proportion.
 *
 * INVARIANTS
 *
 *   M1  A node is complete before a release store makes it reachable, and
 *       whoever reaches it does so by an acquire load.
 *   M2  A bucket's chain is in the order of the hashes, and a reader leaves it at the first hash
 *       beyond its own; so a split need not move a node, and misleads nobody.
 *   M3  A bucket's chain holds exactly one node for each of its keys: the newest
 *       version.  A newer version takes the place of the older one, which keeps
 *       its own `chain` for readers who stand on it.
 *   M4  The first `entry_count` arrivals can be reached from the first one.  They are in the order
 *       of their versions, as far as keys are the same.
 *   M5  The entries of an order are exactly the first so many arrivals, each in one run.
 *   M6  Runs of an order shrink by more than half from each to the next.
 */
#include "mem/memtable.h"

#include "base/assert.h"
#include "base/coding.h"
#include "base/hash.h"
#include "base/limits.h"
#include "base/lock.h"
#include "base/mem.h"

#include "mem/memtable_internal.h"

enum {
    CHUNK_BYTES_MIN = 4 << 10,
    CHUNK_BYTES_MAX = 1 << 20,
    CHUNK_SHARE = 64,    /* a chunk is at most this part of what is expected */
    PREFETCH_COUNT = 16, /* about as many loads as a core can have under way */
};

struct memtable {
    struct memtable_index index;
    struct arena arena;
    size_t chunk_bytes_max;
    struct memtable_node *last; /* the writer's: what was put last; NULL: nothing yet */
    _Atomic(struct memtable_node *) first;
    _Atomic uint32_t ref_count;
    _Atomic size_t arena_bytes;
    _Atomic uint64_t entry_count;
    _Atomic uint64_t tombstone_count;

    struct memtable_account account; /* of the orders */
    struct lock lock;                /* guards `order` */
    struct memtable_order *order;    /* the newest one; a reference; NULL: nobody has asked yet */
};

static void
update_bytes(struct memtable *m)
{
    atomic_store_explicit(&m->arena_bytes, sizeof(*m) + m->arena.total_bytes, memory_order_relaxed);
}

struct memtable *
memtable_create(size_t bytes_expected)
{
    struct memtable *m = mem_new(struct memtable);
    size_t chunk = bytes_expected / CHUNK_SHARE;

    if (m == NULL)
        return NULL;
    arena_init(&m->arena, CHUNK_BYTES_MIN);
    m->chunk_bytes_max = chunk < CHUNK_BYTES_MIN ? CHUNK_BYTES_MIN : chunk;
    if (m->chunk_bytes_max > CHUNK_BYTES_MAX)
        m->chunk_bytes_max = CHUNK_BYTES_MAX;
    atomic_init(&m->ref_count, 1);
    lock_init(&m->lock);
    if (!memtable__index_init(&m->index, &m->arena)) {
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
    memtable_order_unref(m->order);
    ASSERT(atomic_load(&m->account.bytes) == 0); /* no order outlives us */
    lock_release(&m->lock);
    arena_release(&m->arena);
    mem_free(m);
}

/* Where the jump of a version leads that comes after `older`: from there back by jumps of one, two,
 * four, and so on, as many as make the power of two. */
static const struct memtable_node *
find_jump(const struct memtable_node *older)
{
    const struct memtable_node *n = older;

    for (int k = __builtin_ctz(older->depth + 1); k > 0; k--)
        n = memtable__history(n)->jump;
    return n;
}

/* A node with the entry copied in, linked to nothing yet; NULL when out of memory. */
static struct memtable_node *
make_node(struct arena *arena, const struct entry *e, uint32_t hash,
          const struct memtable_node *older)
{
    bool expires = e->expiry_ms != 0;
    size_t history_bytes = older != NULL ? sizeof(struct memtable_history) : 0;
    uint8_t *at = arena_alloc(arena, history_bytes + sizeof(struct memtable_node) + e->key.size +
                                         (expires ? 8 : 0) + e->value.size);
    struct memtable_node *n;

    if (at == NULL)
        return NULL;
    if (older != NULL)
        *(struct memtable_history *)at = (struct memtable_history){ older, find_jump(older) };
    n = (struct memtable_node *)(at + history_bytes);
    atomic_init(&n->next, NULL);
    n->version = e->version;
    n->hash = hash;
    n->value_size = (uint32_t)e->value.size;
    n->key_size = (uint32_t)e->key.size & 0xffffff;
    n->type = (uint32_t)e->type & 0x7f;
    n->expires = expires;
    n->depth = older == NULL ? 0 : older->depth + 1;

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

void
memtable__read(const struct memtable_node *n, struct entry *out)
{
    const uint8_t *at;

    out->key = memtable__key(n);
    out->version = n->version;
    out->type = (enum entry_type)n->type;
    at = out->key.data + out->key.size;
    out->expiry_ms = n->expires ? get_u64le(at) : 0;
    out->value = slice_of(at + (n->expires ? 8 : 0), n->value_size);
}

/* Chunks grow with the table, so that a small one wastes little and a large one asks rarely. */
static void
grow_chunks(struct memtable *m)
{
    if (m->arena.chunk_bytes >= m->chunk_bytes_max ||
        m->arena.total_bytes < 4 * m->arena.chunk_bytes)
        return;
    m->arena.chunk_bytes *= 2;
    if (m->arena.chunk_bytes > m->chunk_bytes_max)
        m->arena.chunk_bytes = m->chunk_bytes_max;
}

static void
count_entry(struct memtable *m, const struct entry *e)
{
    uint64_t entries = atomic_load_explicit(&m->entry_count, memory_order_relaxed);
    uint64_t tombstones = atomic_load_explicit(&m->tombstone_count, memory_order_relaxed);

    if (e->type == ENTRY_TOMBSTONE)
        atomic_store_explicit(&m->tombstone_count, tombstones + 1, memory_order_relaxed);
    atomic_store_explicit(&m->entry_count, entries + 1, memory_order_release); /* M4 */
}

static void
arrive(struct memtable *m, struct memtable_node *n)
{
    if (m->last == NULL)
        atomic_store_explicit(&m->first, n, memory_order_release);
    else
        atomic_store_explicit(&m->last->next, n, memory_order_release);
    m->last = n;
}

enum status
memtable_put(struct memtable *m, const struct entry *e)
{
    return memtable_put_hashed(m, e, hash64(e->key));
}

enum status
memtable_put_hashed(struct memtable *m, const struct entry *e, uint64_t hash)
{
    uint32_t upper = (uint32_t)(hash >> 32);
    struct memtable_slot slot;
    struct memtable_node *n;

    ASSERT(e->key.size <= LIMIT_STORED_KEY_BYTES);
    ASSERT(e->value.size <= UINT32_MAX);
    ASSERT(e->type == ENTRY_VALUE || e->value.size == 0);
    VERIFY(hash == hash64(e->key));

    slot = memtable__index_locate(&m->index, e->key, upper);
    ASSERT(slot.older == NULL || slot.older->version < e->version); /* the writer's duty */
    n = make_node(&m->arena, e, upper, slot.older);
    if (n == NULL)
        return ST_NO_MEMORY;
    grow_chunks(m);

    arrive(m, n);
    count_entry(m, e);
    memtable__index_add(&m->index, &m->arena, &slot, n);
    update_bytes(m);
    return ST_OK;
}

void
memtable_prefetch(const struct memtable *m, const uint64_t *hashes, uint32_t count)
{
    uint32_t upper[PREFETCH_COUNT];

    while (count > 0) {
        uint32_t some = count < PREFETCH_COUNT ? count : PREFETCH_COUNT;

        for (uint32_t i = 0; i < some; i++)
            upper[i] = (uint32_t)(hashes[i] >> 32);
        memtable__index_prefetch(&m->index, upper, some);
        hashes += some;
        count -= some;
    }
}

/* The newest of a key's versions that is not above `snapshot`, `n` being the newest of all. */
static const struct memtable_node *
back_to(const struct memtable_node *n, version_t snapshot)
{
    while (n->version > snapshot) {
        const struct memtable_history *h = memtable__history(n);

        if (n->depth == 0)
            return NULL;
        n = h->jump->version > snapshot ? h->jump : h->older;
    }
    return n;
}

bool
memtable_get(const struct memtable *m, struct slice key, uint64_t hash, version_t snapshot,
             struct entry *out)
{
    const struct memtable_node *n;

    VERIFY(hash == hash64(key));
    n = memtable__index_find(&m->index, key, (uint32_t)(hash >> 32));
    if (n != NULL)
        n = back_to(n, snapshot);
    if (n == NULL)
        return false;
    memtable__read(n, out);
    return true;
}

size_t
memtable_bytes(const struct memtable *m)
{
    return atomic_load_explicit(&m->arena_bytes, memory_order_relaxed);
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

/* ------------------------------------------------------------------ order */

void
memtable_set_budget(struct memtable *m, struct budget *budget)
{
    m->account.budget = budget;
}

size_t
memtable_order_bytes(const struct memtable *m)
{
    return atomic_load_explicit(&m->account.bytes, memory_order_relaxed);
}

/* Those that are not in `known`. */
static struct memtable_arrivals
arrivals_since(struct memtable *m, const struct memtable_order *known)
{
    uint64_t count = atomic_load_explicit(&m->entry_count, memory_order_acquire); /* M4 */
    struct memtable_arrivals a = { .account = &m->account };

    if (known != NULL && memtable__order_last(known) != NULL) {
        a.count = count - memtable__order_count(known);
        a.first = a.count == 0 ? NULL : memtable__next(memtable__order_last(known));
    } else {
        a.count = count;
        a.first = count == 0 ? NULL : atomic_load_explicit(&m->first, memory_order_acquire);
    }
    return a;
}

/* The lock is held: those who ask meanwhile wait for what they ask for. */
static enum status
bring_up_to_date(struct memtable *m, bool whole)
{
    struct memtable_arrivals since = arrivals_since(m, m->order);
    struct memtable_order *o;
    enum status st;

    if (m->order != NULL && since.count == 0 && (!whole || memtable_order_run_count(m->order) <= 1))
        return ST_OK;
    st = memtable__order_extend(m->order, &since, whole, &o);
    if (st != ST_OK)
        return st;
    memtable_order_unref(m->order);
    m->order = o;
    return ST_OK;
}

enum status
memtable_order(struct memtable *m, bool whole, struct memtable_order **out)
{
    enum status st;

    lock_take(&m->lock);
    st = bring_up_to_date(m, whole);
    if (st == ST_OK) {
        memtable_order_ref(m->order);
        *out = m->order;
    }
    lock_drop(&m->lock);
    return st;
}
