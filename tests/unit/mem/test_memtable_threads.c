/* One writer and several readers on one memtable; run under the thread sanitizer.
 *
 * Write number i (1, 2, ...) has version i and puts key `plan[i]`.  The writer
 * says `done = i` when the put has returned.  So a reader that has seen `done`
 * knows exactly what it must find at that snapshot, whatever is added meanwhile. */
#include <pthread.h>
#include <stdatomic.h>

#include "base/hash.h"
#include "base/mem.h"
#include "base/prng.h"

#include "mem/memtable.h"
#include "unit/test.h"

enum {
    WRITES = 40000,
    KEYS = 15000,
    READERS = 3,
    KEY_BYTES = 12,
    WALK_EVERY = 4000,
    SEEK_EVERY = 64
};

struct world {
    struct memtable *table;
    uint32_t plan[WRITES + 1];     /* write -> key */
    uint32_t previous[WRITES + 1]; /* write -> the write of the same key before it, or 0 */
    uint64_t seed;
    _Atomic uint64_t done;
    _Atomic uint64_t broken; /* expectations that did not hold */
};

struct reader_thread {
    pthread_t thread;
    struct world *world;
    uint32_t index;
    uint64_t reads;
};

static struct slice
key_of(uint32_t number, uint8_t out[KEY_BYTES])
{
    uint64_t bits = hash_u64(number);

    memcpy(out, &bits, 8);
    memcpy(out + 8, &number, 4);
    return slice_of(out, KEY_BYTES);
}

static void
hold(struct world *w, bool condition)
{
    if (!condition)
        atomic_fetch_add(&w->broken, 1);
}

static void
check_value(struct world *w, const struct entry *e)
{
    uint64_t stored = 0;

    hold(w, e->value.size == sizeof(stored));
    memcpy(&stored, e->value.data, sizeof(stored));
    hold(w, stored == hash_u64(e->version));
}

static void *
write_all(void *ctx)
{
    struct world *w = ctx;

    for (uint64_t i = 1; i <= WRITES; i++) {
        uint8_t key[KEY_BYTES];
        uint64_t value = hash_u64(i);
        struct entry e = { .key = key_of(w->plan[i], key),
                           .value = slice_of(&value, sizeof(value)),
                           .version = i,
                           .type = ENTRY_VALUE };

        hold(w, memtable_put(w->table, &e) == ST_OK);
        atomic_store_explicit(&w->done, i, memory_order_release);
    }
    return NULL;
}

/* The key of a write that is done, at a snapshot not before it: the answer is known
 * as far as writes up to `done` decide it. */
static void
check_get(struct world *w, struct prng *prng)
{
    uint64_t done = atomic_load_explicit(&w->done, memory_order_acquire);
    uint64_t i = done == 0 ? 0 : 1 + prng_below(prng, done);
    uint8_t bytes[KEY_BYTES];
    struct slice key = key_of(w->plan[i], bytes);
    struct entry first;
    struct entry second;

    if (i == 0)
        return;
    hold(w, memtable_get(w->table, key, hash64(key), i, &first));
    hold(w, first.version == i);
    check_value(w, &first);
    hold(w, memtable_get(w->table, key, hash64(key), i - 1, &first) == (w->previous[i] != 0));
    hold(w, w->previous[i] == 0 || first.version == w->previous[i]);

    hold(w, memtable_get(w->table, key, hash64(key), VERSION_MAX, &first));
    hold(w, first.version >= i);
    check_value(w, &first);
    hold(w, memtable_get(w->table, key, hash64(key), VERSION_MAX, &second));
    hold(w, second.version >= first.version); /* M3: never back */
}

/* A walk of all runs sees, each in strict order, at least all that was done when it began. */
static void
check_walk(struct world *w)
{
    uint64_t done = atomic_load_explicit(&w->done, memory_order_acquire);
    uint64_t seen = 0;
    struct memtable_order *o;

    hold(w, memtable_order(w->table, done % 2 == 0, &o) == ST_OK);
    for (uint32_t run = 0; run < memtable_order_run_count(o); run++) {
        struct memtable_iter it;
        struct entry before = { 0 };

        memtable_iter_init(&it, o, run);
        for (memtable_iter_first(&it); memtable_iter_valid(&it); memtable_iter_next(&it)) {
            struct entry e;

            memtable_iter_entry(&it, &e);
            check_value(w, &e);
            hold(w, before.version == 0 ||
                        entry_compare(before.key, before.version, e.key, e.version) < 0);
            seen += e.version <= done;
            before = e;
        }
    }
    hold(w, seen == done);
    memtable_order_unref(o);
}

/* An entry that was done is in exactly one run of an order that was made afterwards. */
static void
check_seek(struct world *w, struct prng *prng)
{
    uint64_t done = atomic_load_explicit(&w->done, memory_order_acquire);
    uint64_t i = done == 0 ? 0 : 1 + prng_below(prng, done);
    uint8_t bytes[KEY_BYTES];
    struct slice key = key_of(w->plan[i], bytes);
    struct memtable_order *o;
    uint32_t found = 0;

    if (i == 0)
        return;
    hold(w, memtable_order(w->table, false, &o) == ST_OK);
    for (uint32_t run = 0; run < memtable_order_run_count(o); run++) {
        struct memtable_iter it;
        struct entry e;

        memtable_iter_init(&it, o, run);
        memtable_iter_seek(&it, key, i);
        if (!memtable_iter_valid(&it))
            continue;
        memtable_iter_entry(&it, &e);
        hold(w, entry_compare(e.key, e.version, key, i) >= 0);
        found += e.version == i && slice_equal(e.key, key);
    }
    hold(w, found == 1);
    memtable_order_unref(o);
}

/* At a snapshot, the version that was the newest then, however many came since. */
static void
check_history(struct world *w, struct prng *prng)
{
    uint64_t done = atomic_load_explicit(&w->done, memory_order_acquire);
    uint64_t i = done == 0 ? 0 : 1 + prng_below(prng, done);
    uint8_t bytes[KEY_BYTES];
    struct slice key = key_of(w->plan[i], bytes);
    struct entry e;

    if (i == 0)
        return;
    hold(w, memtable_get(w->table, key, hash64(key), i, &e) && e.version == i);
    if (w->previous[i] == 0)
        hold(w, !memtable_get(w->table, key, hash64(key), i - 1, &e));
    else
        hold(w, memtable_get(w->table, key, hash64(key), i - 1, &e) && e.version == w->previous[i]);
}

static void *
read_until_done(void *ctx)
{
    struct reader_thread *r = ctx;
    struct prng prng;

    prng_init(&prng, r->world->seed + r->index);
    while (atomic_load_explicit(&r->world->done, memory_order_relaxed) < WRITES) {
        check_get(r->world, &prng);
        check_history(r->world, &prng);
        if (r->reads++ % WALK_EVERY == 0)
            check_walk(r->world);
        if (r->reads % SEEK_EVERY == 0)
            check_seek(r->world, &prng);
    }
    return NULL;
}

static struct world *
make_world(uint64_t seed, bool ascending)
{
    struct world *w = mem_new(struct world);
    uint32_t *last = mem_new_array(uint32_t, KEYS);
    struct prng prng;

    assert_non_null(w);
    assert_non_null(last);
    prng_init(&prng, seed);
    w->seed = seed;
    w->table = memtable_create(1 << 20);
    assert_non_null(w->table);
    for (uint32_t i = 1; i <= WRITES; i++) {
        w->plan[i] = ascending ? i % KEYS : (uint32_t)prng_below(&prng, KEYS);
        w->previous[i] = last[w->plan[i]];
        last[w->plan[i]] = i;
    }
    mem_free(last);
    return w;
}

static void
run_world(struct world *w)
{
    struct reader_thread readers[READERS] = { 0 };
    pthread_t writer;

    for (uint32_t i = 0; i < READERS; i++) {
        readers[i].world = w;
        readers[i].index = i;
        assert_int_equal(pthread_create(&readers[i].thread, NULL, read_until_done, &readers[i]), 0);
    }
    assert_int_equal(pthread_create(&writer, NULL, write_all, w), 0);
    pthread_join(writer, NULL);
    for (uint32_t i = 0; i < READERS; i++)
        pthread_join(readers[i].thread, NULL);
    check_walk(w);
    EXPECT_U64(atomic_load(&w->broken), 0);
    memtable_unref(w->table);
    mem_free(w);
}

TEST(memtable_readers_see_whole_entries_and_never_go_back)
{
    run_world(make_world(test_seed(21), false));
}

TEST(memtable_readers_are_right_when_keys_arrive_in_cycles)
{
    run_world(make_world(test_seed(22), true));
}

TEST_MAIN(RUN(memtable_readers_see_whole_entries_and_never_go_back),
          RUN(memtable_readers_are_right_when_keys_arrive_in_cycles))
