/* Tests of lsm/record_cache.c with threads; to be run under the thread sanitizer, too. */
#include <pthread.h>
#include <stdatomic.h>

#include "base/hash.h"
#include "base/mem.h"
#include "base/prng.h"

#include "lsm/record_cache.h"
#include "unit/test.h"

enum { KB = 1 << 10, MB = 1 << 20 };

static _Atomic uint64_t still; /* a tag that does not move */

enum { TREE_KEYS = 24, READERS = 3, FLUSHES = 1500, VIEWS = 2 * FLUSHES + 2 };

/* A tree in small: a view has the newest version of each key in the tables, and of each key in
 * the sealed memtable (0: not there).  Views are never freed during the test. */
struct small_view {
    uint64_t tables[TREE_KEYS];
    uint64_t sealed[TREE_KEYS];
};

static struct {
    struct record_cache *cache;
    _Atomic uint64_t tag;
    _Atomic(struct small_view *) view;
    struct small_view *views; /* owned */
    atomic_bool done;
    _Atomic uint64_t stale;
    _Atomic uint64_t hits;
} tree;

static struct entry
small_entry(uint64_t key, uint64_t version, char room[32])
{
    struct entry e = { .version = version, .type = ENTRY_VALUE };

    snprintf(room, 32, "%d", (int)key);
    e.key = slice_str(room);
    snprintf(room + 8, 24, "%d of %d", (int)version, (int)key);
    e.value = slice_str(room + 8);
    return e;
}

/* As lsm_get(): the tag, the view, the memtable, the cache, the tables. */
static uint64_t
small_get(uint64_t key, const struct small_view **seen)
{
    uint64_t tag = atomic_load(&tree.tag);
    const struct small_view *v = atomic_load(&tree.view);
    uint8_t room[RECORD_CACHE_VALUE_MAX];
    char text[32];
    struct entry e = small_entry(key, v->tables[key], text);
    struct entry got;

    *seen = v;
    if (v->sealed[key] != 0)
        return v->sealed[key];
    if (record_cache_get(tree.cache, 1, e.key, hash64(e.key), room, &got)) {
        struct entry want = small_entry(key, got.version, text);

        atomic_fetch_add(&tree.hits, 1);
        return slice_equal(got.value, want.value) ? got.version : 0;
    }
    record_cache_add(tree.cache, 1, hash64(e.key), &e, &tree.tag, tag);
    return v->tables[key];
}

static void *
read_on(void *ctx)
{
    struct prng p;

    prng_init(&p, (uint64_t)(uintptr_t)ctx);
    while (!atomic_load(&tree.done)) {
        const struct small_view *v;
        uint64_t key = prng_below(&p, TREE_KEYS);
        uint64_t got = small_get(key, &v);
        uint64_t least = v->sealed[key] != 0 ? v->sealed[key] : v->tables[key];

        if (got < least)
            atomic_fetch_add(&tree.stale, 1);
    }
    return NULL;
}

/* Write a few keys, seal them, and flush them. */
static void
write_and_flush(struct prng *p, struct small_view *next, uint64_t version)
{
    struct small_view *sealed = next;
    struct small_view *flushed = next + 1;

    *sealed = *atomic_load(&tree.view);
    for (int i = 0; i < 3; i++)
        sealed->sealed[prng_below(p, TREE_KEYS)] = version;
    atomic_store(&tree.view, sealed);

    *flushed = *sealed;
    atomic_fetch_add(&tree.tag, 1);
    for (uint64_t key = 0; key < TREE_KEYS; key++) {
        char text[32];
        struct entry e = small_entry(key, version, text);

        if (sealed->sealed[key] == 0)
            continue;
        flushed->tables[key] = sealed->sealed[key];
        flushed->sealed[key] = 0;
        record_cache_drop(tree.cache, 1, e.key, hash64(e.key));
    }
    atomic_store(&tree.view, flushed);
}

TEST(readers_beside_a_flush_never_see_what_it_replaced)
{
    pthread_t readers[READERS];
    struct prng p;

    prng_init(&p, test_seed(0xf1a5));
    tree.cache = record_cache_create(MB, NULL);
    tree.views = mem_new_array(struct small_view, VIEWS);
    assert_non_null(tree.views);
    for (int i = 0; i < TREE_KEYS; i++)
        tree.views[0].tables[i] = 1;
    atomic_store(&tree.view, &tree.views[0]);
    for (uintptr_t i = 0; i < READERS; i++)
        EXPECT(pthread_create(&readers[i], NULL, read_on, (void *)(i + 1)) == 0);

    for (uint64_t i = 0; i < FLUSHES || atomic_load(&tree.hits) == 0; i++) {
        if (i < FLUSHES)
            write_and_flush(&p, &tree.views[1 + 2 * i], i + 2);
    }
    atomic_store(&tree.done, true);
    for (int i = 0; i < READERS; i++)
        pthread_join(readers[i], NULL);
    EXPECT_U64(atomic_load(&tree.stale), 0);
    record_cache_destroy(tree.cache);
    mem_free(tree.views);
}

enum { MIX_THREADS = 4, MIX_STEPS = 30000 };

static struct record_cache *mixed;

static void *
mix_calls(void *ctx)
{
    uint8_t room[RECORD_CACHE_VALUE_MAX];
    uintptr_t wrong = 0;
    struct prng p;

    prng_init(&p, (uint64_t)(uintptr_t)ctx);
    for (int step = 0; step < MIX_STEPS; step++) {
        char text[32];
        struct entry e = small_entry(prng_below(&p, 2000), 1, text);
        struct entry got;
        uint64_t hash = hash64(e.key);

        if (prng_chance(&p, 1, 3))
            record_cache_add(mixed, 1 + step % 2, hash, &e, &still, 0);
        else if (prng_chance(&p, 1, 10))
            record_cache_drop(mixed, 1 + step % 2, e.key, hash);
        else if (record_cache_get(mixed, 1 + step % 2, e.key, hash, room, &got))
            wrong += !slice_equal(got.value, e.value);
        if (prng_chance(&p, 1, 5000))
            record_cache_drop_tree(mixed, 1 + step % 2);
        if (prng_chance(&p, 1, 100))
            wrong += record_cache_bytes(mixed) > 128 * KB;
    }
    return (void *)wrong;
}

TEST(threads_may_call_anything_at_once)
{
    pthread_t threads[MIX_THREADS];
    struct budget budget;
    void *wrong;

    budget_init(&budget, 100 * KB);
    mixed = record_cache_create(128 * KB, &budget);
    for (uintptr_t i = 0; i < MIX_THREADS; i++)
        EXPECT(pthread_create(&threads[i], NULL, mix_calls, (void *)(i + 1)) == 0);
    for (int i = 0; i < MIX_THREADS; i++) {
        pthread_join(threads[i], &wrong);
        EXPECT(wrong == NULL);
    }
    EXPECT(record_cache_hits(mixed) > 0);
    record_cache_destroy(mixed);
    EXPECT_U64(budget_used(&budget), 0);
}

TEST_MAIN(RUN(readers_beside_a_flush_never_see_what_it_replaced),
          RUN(threads_may_call_anything_at_once))
