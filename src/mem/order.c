/*
 * Order, made after the fact: arrivals are sorted into runs, and runs are merged.
 *
 *      order:   [ 300,000 entries ][ 40,000 ][ 900 ]        the newest run last
 *      + 600:   [ 300,000 entries ][ 40,000 ][ 900 ][ 600 ]  the last two are too alike (M6):
 *               [ 300,000 entries ][ 40,000 ][ 1,500 ]
 *
 * As in a log-structured tree, an entry is merged again only when its run has doubled or more, so
 * all scans together sort each entry once and merge it a logarithmic number of times.
 *
 * An item holds sixteen bytes of its key as numbers, so that nearly all comparisons stay inside
 * the array.  They are taken behind what all keys of the run have in common: keys like
 * "user:profile:0001" would be alike in their first sixteen.
 *
 * An order is never changed; runs are shared by the orders that have them.
 */
#include "base/assert.h"
#include "base/coding.h"
#include "base/mem.h"

#include "mem/memtable_internal.h"

enum {
    SORT_BLOCK = 12, /* items that are sorted by insertion */
    STEPS_AHEAD = 8,
    CACHE_LINE_BYTES = 64,
};

struct item {
    uint64_t upper; /* the eight bytes of the key behind what the run's keys share */
    uint64_t lower; /* and the next eight; zeros where the key has ended */
    const struct memtable_node *node;
};

struct memtable_run {
    _Atomic uint32_t ref_count;
    struct memtable_account *account;
    size_t shared; /* the first so many bytes of all keys are the same */
    size_t count;
    struct item items[];
};

struct memtable_order {
    _Atomic uint32_t ref_count;
    uint64_t count;
    struct memtable_node *last; /* of the arrivals */
    uint32_t run_count;
    struct memtable_run *runs[MEMTABLE_RUNS_MAX];
};

/* ------------------------------------------------------------------ runs */

static size_t
run_bytes(size_t count)
{
    return sizeof(struct memtable_run) + count * sizeof(struct item);
}

static struct memtable_run *
run_create(size_t count, struct memtable_account *account)
{
    struct memtable_run *r = mem_alloc(run_bytes(count));

    if (r == NULL)
        return NULL;
    atomic_init(&r->ref_count, 1);
    r->account = account;
    r->shared = 0;
    r->count = count;
    memtable__charge(account, run_bytes(count));
    return r;
}

static struct memtable_run *
run_ref(struct memtable_run *r)
{
    atomic_fetch_add_explicit(&r->ref_count, 1, memory_order_relaxed);
    return r;
}

static void
run_unref(struct memtable_run *r)
{
    if (r == NULL || atomic_fetch_sub_explicit(&r->ref_count, 1, memory_order_acq_rel) > 1)
        return;
    memtable__return(r->account, run_bytes(r->count));
    mem_free(r);
}

/* ------------------------------------------------------------------ items */

static uint64_t
number_at(struct slice key, size_t at)
{
    return key.size <= at ? 0 : get_prefix_be(slice_of(key.data + at, key.size - at));
}

static void
item_set(struct item *i, const struct memtable_node *n, size_t shared)
{
    struct slice key = memtable__key(n);

    i->upper = number_at(key, shared);
    i->lower = number_at(key, shared + sizeof(i->upper));
    i->node = n;
}

static inline bool
item_precedes(const struct item *a, const struct item *b)
{
    if (a->upper != b->upper)
        return a->upper < b->upper;
    if (a->lower != b->lower)
        return a->lower < b->lower;
    return entry_compare(memtable__key(a->node), a->node->version, memtable__key(b->node),
                         b->node->version) < 0;
}

/* How many of the first `limit` bytes both keys have in common. */
static size_t
shared_bytes(struct slice a, struct slice b, size_t limit)
{
    size_t at = 0;

    if (limit > a.size)
        limit = a.size;
    if (limit > b.size)
        limit = b.size;
    while (at < limit && a.data[at] == b.data[at])
        at++;
    return at;
}

/* ------------------------------------------------------------------ sorting */

static void
sort_block(struct item *items, size_t count)
{
    for (size_t i = 1; i < count; i++) {
        struct item moving = items[i];
        size_t at = i;

        for (; at > 0 && item_precedes(&moving, &items[at - 1]); at--)
            items[at] = items[at - 1];
        items[at] = moving;
    }
}

static void
merge_items(const struct item *a, size_t a_count, const struct item *b, size_t b_count,
            struct item *out)
{
    const struct item *a_limit = a + a_count;
    const struct item *b_limit = b + b_count;

    while (a < a_limit && b < b_limit)
        *out++ = item_precedes(b, a) ? *b++ : *a++;
    memcpy(out, a, (size_t)(a_limit - a) * sizeof(*a));
    memcpy(out + (a_limit - a), b, (size_t)(b_limit - b) * sizeof(*b));
}

static bool
is_sorted(const struct item *items, size_t count)
{
    for (size_t i = 1; i < count; i++) {
        if (!item_precedes(&items[i - 1], &items[i]))
            return false;
    }
    return true;
}

/* Merge neighbours of `width` items each from one array into the other. */
static void
merge_pass(const struct item *from, struct item *to, size_t count, size_t width)
{
    for (size_t begin = 0; begin < count; begin += 2 * width) {
        size_t left = count - begin < width ? count - begin : width;
        size_t right = count - begin - left < width ? count - begin - left : width;

        merge_items(from + begin, left, from + begin + left, right, to + begin);
    }
}

/* Bottom up; what `spare` holds afterwards is open.  The sorted items are in either: which one is
 * returned. */
static struct item *
sort_items(struct item *items, struct item *spare, size_t count)
{
    for (size_t begin = 0; begin < count; begin += SORT_BLOCK)
        sort_block(items + begin, count - begin < SORT_BLOCK ? count - begin : SORT_BLOCK);
    for (size_t width = SORT_BLOCK; width < count; width *= 2) {
        struct item *sorted = spare;

        merge_pass(items, sorted, count, width);
        spare = items;
        items = sorted;
    }
    return items;
}

static enum status
sort_run(struct memtable_run *r)
{
    struct item *spare, *sorted;

    if (is_sorted(r->items, r->count))
        return ST_OK;
    spare = mem_alloc_array(sizeof(*spare), r->count);
    if (spare == NULL)
        return ST_NO_MEMORY;
    memtable__charge(r->account, r->count * sizeof(*spare));
    sorted = sort_items(r->items, spare, r->count);
    if (sorted != r->items)
        memcpy(r->items, sorted, r->count * sizeof(*sorted));
    mem_free(spare);
    memtable__return(r->account, r->count * sizeof(*spare));
    return ST_OK;
}

/* The arrivals as a run; `*last` is the last of them. */
static enum status
run_of(const struct memtable_arrivals *a, struct memtable_run **out, struct memtable_node **last)
{
    struct memtable_run *r = run_create(a->count, a->account);
    struct memtable_node *n = a->first;
    enum status st;

    if (r == NULL)
        return ST_NO_MEMORY;
    r->shared = n->key_size;
    for (size_t i = 0; i < r->count; i++) {
        *last = n;
        r->items[i].node = n;
        r->shared = shared_bytes(memtable__key(a->first), memtable__key(n), r->shared);
        n = memtable__next(n);
    }
    for (size_t i = 0; i < r->count; i++)
        item_set(&r->items[i], r->items[i].node, r->shared);
    st = sort_run(r);
    if (st != ST_OK) {
        run_unref(r);
        return st;
    }
    *out = r;
    return ST_OK;
}

/* The run itself, or a copy whose numbers are taken further to the front. */
static struct memtable_run *
run_with_shared(struct memtable_run *r, size_t shared)
{
    struct memtable_run *copy;

    ASSERT(shared <= r->shared);
    if (r->shared == shared)
        return run_ref(r);
    copy = run_create(r->count, r->account);
    if (copy == NULL)
        return NULL;
    copy->shared = shared;
    for (size_t i = 0; i < r->count; i++)
        item_set(&copy->items[i], r->items[i].node, shared);
    return copy;
}

static struct memtable_run *
run_merge(struct memtable_run *a, struct memtable_run *b)
{
    size_t limit = a->shared < b->shared ? a->shared : b->shared;
    size_t shared =
        shared_bytes(memtable__key(a->items[0].node), memtable__key(b->items[0].node), limit);
    struct memtable_run *left = run_with_shared(a, shared);
    struct memtable_run *right = run_with_shared(b, shared);
    struct memtable_run *merged = NULL;

    if (left != NULL && right != NULL)
        merged = run_create(a->count + b->count, a->account);
    if (merged != NULL) {
        merged->shared = shared;
        merge_items(left->items, left->count, right->items, right->count, merged->items);
    }
    run_unref(left);
    run_unref(right);
    return merged;
}

/* ------------------------------------------------------------------ orders */

void
memtable_order_ref(struct memtable_order *o)
{
    atomic_fetch_add_explicit(&o->ref_count, 1, memory_order_relaxed);
}

void
memtable_order_unref(struct memtable_order *o)
{
    if (o == NULL || atomic_fetch_sub_explicit(&o->ref_count, 1, memory_order_acq_rel) > 1)
        return;
    for (uint32_t i = 0; i < o->run_count; i++)
        run_unref(o->runs[i]);
    mem_free(o);
}

uint32_t
memtable_order_run_count(const struct memtable_order *o)
{
    return o->run_count;
}

uint64_t
memtable__order_count(const struct memtable_order *o)
{
    return o->count;
}

struct memtable_node *
memtable__order_last(const struct memtable_order *o)
{
    return o->last;
}

/* Merge the last two runs while they are too alike (M6), or there are two. */
static enum status
merge_last(struct memtable_order *o, bool whole)
{
    while (o->run_count > 1) {
        struct memtable_run **last = &o->runs[o->run_count - 1];
        struct memtable_run *merged;

        if (!whole && last[-1]->count / 2 > last[0]->count)
            break;
        merged = run_merge(last[-1], last[0]);
        if (merged == NULL)
            return ST_NO_MEMORY;
        run_unref(last[0]);
        run_unref(last[-1]);
        last[-1] = merged;
        o->run_count--;
    }
    return ST_OK;
}

static enum status
add_arrivals(struct memtable_order *o, const struct memtable_arrivals *a)
{
    enum status st;

    if (a->count == 0)
        return ST_OK;
    ASSERT(o->run_count < MEMTABLE_RUNS_MAX); /* M6 */
    st = run_of(a, &o->runs[o->run_count], &o->last);
    if (st != ST_OK)
        return st;
    o->run_count++;
    o->count += a->count;
    return ST_OK;
}

enum status
memtable__order_extend(const struct memtable_order *before, const struct memtable_arrivals *since,
                       bool whole, struct memtable_order **out)
{
    struct memtable_order *o = mem_new(struct memtable_order);
    enum status st;

    if (o == NULL)
        return ST_NO_MEMORY;
    atomic_init(&o->ref_count, 1);
    if (before != NULL) {
        o->count = before->count;
        o->last = before->last;
        o->run_count = before->run_count;
        for (uint32_t i = 0; i < o->run_count; i++)
            o->runs[i] = run_ref(before->runs[i]);
    }
    st = add_arrivals(o, since);
    if (st == ST_OK)
        st = merge_last(o, whole);
    if (st != ST_OK) {
        memtable_order_unref(o);
        return st;
    }
    *out = o;
    return ST_OK;
}

/* ------------------------------------------------------------------ walking */

#define NOWHERE SIZE_MAX /* before the first */

static inline bool
item_is_before(const struct item *i, const struct item *place, struct slice key, version_t version)
{
    if (i->upper != place->upper)
        return i->upper < place->upper;
    if (i->lower != place->lower)
        return i->lower < place->lower;
    return entry_compare(memtable__key(i->node), i->node->version, key, version) < 0;
}

/* The index of the first item at or after the place. */
static size_t
find(const struct memtable_run *r, struct slice key, version_t version)
{
    struct slice first = memtable__key(r->items[0].node);
    struct item place = { number_at(key, r->shared),
                          number_at(key, r->shared + sizeof(place.upper)), NULL };
    size_t begin = 0;
    size_t limit = r->count;

    if (shared_bytes(first, key, r->shared) < r->shared)
        return slice_compare(key, first) < 0 ? 0 : r->count;
    while (begin < limit) {
        size_t middle = begin + (limit - begin) / 2;

        if (item_is_before(&r->items[middle], &place, key, version))
            begin = middle + 1;
        else
            limit = middle;
    }
    return begin;
}

void
memtable_iter_init(struct memtable_iter *it, const struct memtable_order *o, uint32_t run)
{
    ASSERT(run < o->run_count);
    *it = (struct memtable_iter){ .run = o->runs[run], .at = NOWHERE };
}

bool
memtable_iter_valid(const struct memtable_iter *it)
{
    return it->at < it->run->count;
}

void
memtable_iter_seek(struct memtable_iter *it, struct slice key, version_t version)
{
    it->at = find(it->run, key, version);
}

void
memtable_iter_seek_before(struct memtable_iter *it, struct slice key, version_t version)
{
    it->at = find(it->run, key, version) - 1; /* NOWHERE, when it is the first */
}

void
memtable_iter_first(struct memtable_iter *it)
{
    it->at = 0;
}

void
memtable_iter_last(struct memtable_iter *it)
{
    it->at = it->run->count - 1;
}

/* Neighbours in order lie anywhere in memory: ask for a node some steps before it is read. */
static void
look_ahead(const struct memtable_iter *it)
{
    const struct memtable_node *n;

    if (it->run->count - it->at <= STEPS_AHEAD)
        return;
    n = it->run->items[it->at + STEPS_AHEAD].node;
    __builtin_prefetch(n);
    __builtin_prefetch((const uint8_t *)n + CACHE_LINE_BYTES);
}

void
memtable_iter_next(struct memtable_iter *it)
{
    ASSERT(memtable_iter_valid(it));
    look_ahead(it);
    it->at++;
}

void
memtable_iter_prev(struct memtable_iter *it)
{
    ASSERT(memtable_iter_valid(it));
    it->at--;
}

void
memtable_iter_entry(const struct memtable_iter *it, struct entry *out)
{
    ASSERT(memtable_iter_valid(it));
    memtable__read(it->run->items[it->at].node, out);
}
