/* Several threads on one small cache; run under the thread sanitizer. */
#include <pthread.h>
#include <stdatomic.h>

#include "base/hash.h"
#include "base/mem.h"
#include "base/prng.h"

#include "sst/cache.h"
#include "unit/test.h"

enum { THREADS = 4, ROUNDS = 40000, TABLES = 3, OFFSETS = 300 };

struct world {
    struct cache *cache;
    struct budget budget;
    uint64_t seed;
    _Atomic uint64_t broken;
};

struct worker {
    pthread_t thread;
    struct world *world;
    uint64_t index;
};

static uint64_t
stamp(uint64_t table, uint64_t offset)
{
    return hash_u64(table * 1000003 + offset);
}

static struct cache_handle *
load(struct cache *c, uint64_t table, uint64_t offset, size_t size)
{
    uint64_t *block = mem_alloc(size);

    for (size_t i = 0; i < size / 8; i++)
        block[i] = stamp(table, offset);
    return cache_add(c, table, offset, block, size);
}

static void
use_one(struct world *w, struct prng *p)
{
    uint64_t table = prng_below(p, TABLES);
    uint64_t offset = prng_below(p, OFFSETS);
    size_t size = 8 * (1 + offset % 100);
    struct cache_handle *h = cache_find(w->cache, table, offset);
    uint64_t first;

    if (h == NULL)
        h = load(w->cache, table, offset, size);
    memcpy(&first, cache_block(h).data, sizeof(first));
    if (first != stamp(table, offset) || cache_block(h).size != size)
        atomic_fetch_add(&w->broken, 1);
    if (prng_chance(p, 1, 3)) {
        cache_pin(h);
        cache_release(h);
    }
    cache_release(h);
}

static void *
work(void *ctx)
{
    struct worker *self = ctx;
    struct world *w = self->world;
    struct prng p;

    prng_init(&p, w->seed + self->index);
    for (int i = 0; i < ROUNDS; i++) {
        use_one(w, &p);
        if (prng_chance(&p, 1, 5000))
            cache_drop_table(w->cache, prng_below(&p, TABLES));
        if (prng_chance(&p, 1, 3000))
            cache_shrink(w->cache, 10000);
    }
    return NULL;
}

TEST(cache_is_right_when_threads_share_it)
{
    struct worker workers[THREADS];
    struct world w = { .seed = test_seed(95) };
    struct cache_counters n;

    budget_init(&w.budget, 200 << 10);
    w.cache = cache_create(100 << 10, &w.budget);
    for (uint64_t i = 0; i < THREADS; i++) {
        workers[i] = (struct worker){ .world = &w, .index = i };
        assert_int_equal(pthread_create(&workers[i].thread, NULL, work, &workers[i]), 0);
    }
    for (int i = 0; i < THREADS; i++)
        pthread_join(workers[i].thread, NULL);
    EXPECT_U64(atomic_load(&w.broken), 0);
    cache_count(w.cache, &n);
    EXPECT_U64(n.hits + n.misses, THREADS * ROUNDS);
    EXPECT(n.evictions > 100);
    EXPECT(n.bytes <= n.capacity);
    cache_destroy(w.cache);
    EXPECT_U64(budget_used(&w.budget), 0);
}

TEST_MAIN(RUN(cache_is_right_when_threads_share_it))
