/* Readers on several threads share tables and a cache that is too small for them; on the real
 * disk, under the thread sanitizer. */
#include <pthread.h>
#include <stdatomic.h>
#include <unistd.h>

#include "base/hash.h"
#include "base/mem.h"
#include "base/prng.h"

#include "env/real.h"
#include "sst/table.h"
#include "unit/test.h"

enum { TABLES = 3, THREADS = 3, ENTRIES = 4000, ROUNDS = 6000 };

struct world {
    char folder[64];
    struct env *env;
    struct budget budget;
    struct cache *cache;
    struct table_info infos[TABLES];
    struct table *tables[TABLES];
    uint64_t seed;
    _Atomic uint64_t broken;
};

struct worker {
    pthread_t thread;
    struct world *world;
    uint64_t index;
};

/* Entry i of a table: key "kNNNNN", version i + 1, a value that follows from both. */
static struct entry
entry_of(uint32_t table, uint32_t i, char key[16], uint64_t value[8])
{
    snprintf(key, 16, "k%05u", i);
    for (int j = 0; j < 8; j++)
        value[j] = hash_u64(table * ENTRIES + i);
    return (struct entry){
        .key = slice_str(key), .value = slice_of(value, 64), .version = i + 1, .type = ENTRY_VALUE
    };
}

static void
table_path(const struct world *w, uint32_t table, char *out, size_t room)
{
    snprintf(out, room, "%s/%u.sst", w->folder, table);
}

static void
make_table(struct world *w, uint32_t table)
{
    struct table_options options = { .block_bytes = 1024,
                                     .restart_interval = 8,
                                     .filter_bits_per_key = 10,
                                     .compression = (enum table_compression)(table % 3) };
    struct table_builder *b;
    char path[96];
    struct err err;

    table_path(w, table, path, sizeof(path));
    EXPECT_OK(table_builder_create(w->env, path, &(struct table_id){ table + 1, table + 1 },
                                   &options, &b, &err));
    for (uint32_t i = 0; i < ENTRIES; i++) {
        char key[16];
        uint64_t value[8];
        struct entry e = entry_of(table, i, key, value);

        EXPECT_OK(table_builder_add(b, &e, &err));
    }
    EXPECT_OK(table_builder_finish(b, &w->infos[table], &err));
    EXPECT_OK(
        table_open(w->env, path, &w->infos[table], w->cache, &w->budget, &w->tables[table], &err));
}

static void
check(struct world *w, uint32_t table, uint32_t i, const struct entry *got)
{
    char key[16];
    uint64_t value[8];
    struct entry want = entry_of(table, i, key, value);

    if (!slice_equal(got->key, want.key) || !slice_equal(got->value, want.value) ||
        got->version != want.version)
        atomic_fetch_add(&w->broken, 1);
}

static void
get_one(struct world *w, struct prng *p)
{
    uint32_t table = (uint32_t)prng_below(p, TABLES);
    uint32_t i = (uint32_t)prng_below(p, ENTRIES);
    enum table_mode mode = prng_chance(p, 1, 2) ? TABLE_TRY : TABLE_BLOCK;
    struct table_found found;
    uint64_t value[8];
    char key[16];
    struct entry want = entry_of(table, i, key, value);
    enum status st = table_get(w->tables[table], want.key, VERSION_MAX, mode, &found, NULL);

    if (st == ST_OK) {
        check(w, table, i, &found.entry);
        cache_release(found.pin);
    } else if (st != ST_WOULD_BLOCK || mode == TABLE_BLOCK) {
        atomic_fetch_add(&w->broken, 1);
    }
}

static void
walk_some(struct world *w, struct prng *p)
{
    uint32_t table = (uint32_t)prng_below(p, TABLES);
    uint32_t i = (uint32_t)prng_below(p, ENTRIES);
    struct table_iter_options options = { TABLE_BLOCK, prng_chance(p, 1, 2) };
    struct table_iter *it;
    uint64_t value[8];
    char key[16];
    struct entry from = entry_of(table, i, key, value);
    enum status st = table_iter_create(w->tables[table], &options, &it);

    if (st != ST_OK)
        return;
    st = table_iter_seek(it, from.key, VERSION_MAX, NULL);
    for (uint32_t n = 0; n < 100 && i + n < ENTRIES; n++) {
        struct entry e;

        if (st != ST_OK) {
            atomic_fetch_add(&w->broken, 1);
            break;
        }
        table_iter_entry(it, &e);
        check(w, table, i + n, &e);
        st = table_iter_next(it, NULL);
    }
    table_iter_destroy(it);
}

static void *
work(void *ctx)
{
    struct worker *self = ctx;
    struct prng p;

    prng_init(&p, self->world->seed + self->index);
    for (int i = 0; i < ROUNDS; i++) {
        get_one(self->world, &p);
        if (i % 50 == 0)
            walk_some(self->world, &p);
    }
    return NULL;
}

static void
remove_all(struct world *w)
{
    struct err err;

    for (uint32_t i = 0; i < TABLES; i++) {
        char path[96];

        table_close(w->tables[i]);
        table_info_release(&w->infos[i]);
        table_path(w, i, path, sizeof(path));
        EXPECT_OK(env_remove(w->env, path, &err));
    }
    EXPECT_OK(env_remove_dir(w->env, w->folder, &err));
}

TEST(table_readers_on_many_threads_see_what_was_written)
{
    const struct real_env_options options = { 0 };
    struct worker workers[THREADS];
    struct world w = { .seed = test_seed(96) };
    const char *tmp = getenv("TMPDIR");
    struct err err;

    snprintf(w.folder, sizeof(w.folder), "%s/dkv-sst-threads-XXXXXX", tmp != NULL ? tmp : "/tmp");
    assert_non_null(mkdtemp(w.folder));
    budget_init(&w.budget, SIZE_MAX);
    w.cache = cache_create(256 << 10, &w.budget);
    EXPECT_OK(real_env_create(&options, &w.env, &err));
    for (uint32_t i = 0; i < TABLES; i++)
        make_table(&w, i);
    for (uint64_t i = 0; i < THREADS; i++) {
        workers[i] = (struct worker){ .world = &w, .index = i };
        assert_int_equal(pthread_create(&workers[i].thread, NULL, work, &workers[i]), 0);
    }
    for (int i = 0; i < THREADS; i++)
        pthread_join(workers[i].thread, NULL);
    EXPECT_U64(atomic_load(&w.broken), 0);
    remove_all(&w);
    cache_destroy(w.cache);
    EXPECT_U64(budget_used(&w.budget), 0);
    real_env_destroy(w.env);
}

TEST_MAIN(RUN(table_readers_on_many_threads_see_what_was_written))
