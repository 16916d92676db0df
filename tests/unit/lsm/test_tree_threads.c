/*
 * One writer, two readers, a flush thread, a compaction thread and one that closes
 * tables on the real environment.  Built with -DDISTKV_SANITIZE=thread, this is where races show.
 *
 * Every unit writes the same number to a pair of keys.  A reader must see the numbers of a key
 * never go back, and both keys of a pair alike in one iteration.
 *
 * Only the test's own thread may use EXPECT; the others use MUST, which ends the program.
 */
#include <pthread.h>
#include <time.h>
#include <unistd.h>

#include "base/coding.h"
#include "base/mem.h"
#include "base/prng.h"

#include "env/real.h"
#include "lsm/lsm.h"
#include "lsm/readers.h"
#include "lsm/record_cache.h"
#include "unit/test.h"

#define MUST(x) ((x) ? (void)0 : must_failed(#x, __FILE__, __LINE__))

enum { PAIRS = 40, UNITS = 30000, VALUE_BYTES = 60, KEY_BYTES = 8, OPEN_TABLES_MAX = 10 };
enum { STILL_PAIRS = 4000, STILL_ROUNDS = 2000, STILL_RUN = 50 };

struct shop {
    struct env *env;
    struct epoch epoch;
    struct budget budget;
    _Atomic uint64_t next_number;
    _Atomic uint32_t manifests_open;
    struct lsm_shared shared;
    struct lsm *tree;
    _Atomic bool over;
    char dir[64];
};

static void
must_failed(const char *what, const char *file, int line)
{
    fprintf(stderr, "%s:%d: %s does not hold\n", file, line, what);
    abort();
}

static void
pause_us(long us)
{
    struct timespec ts = { 0, us * 1000 };

    nanosleep(&ts, NULL);
}

static struct slice
key_of(uint32_t pair, uint32_t half, uint8_t out[KEY_BYTES])
{
    put_u32le(out, __builtin_bswap32(half));
    put_u32le(out + 4, __builtin_bswap32(pair));
    return slice_of(out, KEY_BYTES);
}

/* ------------------------------------------------------------------ the writer */

static void
write_pair(struct shop *s, uint32_t pair, uint64_t number)
{
    struct lsm_mark mark = { number, 1, number };
    uint8_t keys[2][KEY_BYTES];
    uint8_t value[VALUE_BYTES] = { 0 };
    struct entry entries[2];

    put_u64le(value, number);
    for (uint32_t half = 0; half < 2; half++) {
        entries[half] = (struct entry){
            .key = key_of(pair, half, keys[half]),
            .value = slice_of(value, VALUE_BYTES),
            .version = number,
            .type = ENTRY_VALUE,
        };
    }
    MUST(lsm_apply(s->tree, entries, 2, &mark) == ST_OK);
}

static void *
write_all(void *ctx)
{
    struct shop *s = ctx;
    struct prng prng;

    prng_init(&prng, 1);
    for (uint64_t number = 1; number <= UNITS; number++) {
        struct lsm_mark mark = { number, 1, number };

        if (number % 7000 == 0)
            MUST(lsm_clear(s->tree, &mark) == ST_OK);
        else
            write_pair(s, (uint32_t)prng_below(&prng, PAIRS), number);
        if (number % 250 == 0) {
            enum status st = lsm_switch(s->tree);

            MUST(st == ST_OK || st == ST_BUSY);
        }
        while (lsm_stall(s->tree) != LSM_STALL_NONE)
            pause_us(200);
    }
    atomic_store(&s->over, true);
    return NULL;
}

/* ------------------------------------------------------------------ background */

static void *
flush_all(void *ctx)
{
    struct shop *s = ctx;
    struct err err;

    while (!atomic_load(&s->over)) {
        if (lsm_flush_due(s->tree))
            MUST(lsm_flush(s->tree, &err) == ST_OK);
        else
            pause_us(100);
        if (lsm_sweep_due(s->tree))
            MUST(lsm_sweep(s->tree, &err) == ST_OK);
    }
    return NULL;
}

static void *
compact_all(void *ctx)
{
    struct shop *s = ctx;
    struct lsm_stats stats;
    struct err err;

    while (!atomic_load(&s->over)) {
        enum status st = lsm_compact(s->tree, &err);

        MUST(st == ST_OK || st == ST_NOT_FOUND);
        lsm_stats(s->tree, &stats);
        if (st == ST_NOT_FOUND)
            pause_us(100);
    }
    return NULL;
}

/* As if the tree were idle all the time. */
static void *
rest_all(void *ctx)
{
    struct shop *s = ctx;

    while (!atomic_load(&s->over)) {
        uint32_t manifests = 1;

        lsm_rest(s->tree, 0, 0, &manifests);
        pause_us(50);
    }
    return NULL;
}

/* ------------------------------------------------------------------ readers */

struct reader_state {
    struct shop *shop;
    struct epoch_slot slot;
    uint64_t seen[PAIRS][2];
};

static uint64_t
number_of(const struct entry *e)
{
    uint64_t number = get_u64le(e->value.data);

    MUST(e->value.size == VALUE_BYTES && number == e->version);
    return number;
}

static void
note(struct reader_state *r, uint32_t pair, uint32_t half, uint64_t number)
{
    MUST(number >= r->seen[pair][half]);
    r->seen[pair][half] = number;
}

static void
read_one(struct reader_state *r, uint32_t pair, uint32_t half)
{
    struct shop *s = r->shop;
    uint8_t room[KEY_BYTES];
    struct slice key = key_of(pair, half, room);
    struct lsm_found found;
    struct err err;
    enum status st;

    epoch_enter(&s->epoch, &r->slot);
    st = lsm_try_get(s->tree, key, VERSION_MAX, &found, &err);
    if (st == ST_OK)
        note(r, pair, half, number_of(&found.entry));
    lsm_found_release(&found);
    epoch_leave(&s->epoch, &r->slot);
    if (st == ST_WOULD_BLOCK) {
        st = lsm_get(s->tree, key, VERSION_MAX, &found, &err);
        if (st == ST_OK)
            note(r, pair, half, number_of(&found.entry));
        lsm_found_release(&found);
    }
    MUST(st == ST_OK || st == ST_NOT_FOUND);
}

/* T2: both halves of every pair are of one unit. */
static void
read_everything(struct reader_state *r, bool with_snapshot)
{
    struct shop *s = r->shop;
    struct lsm_snapshot *snapshot = with_snapshot ? lsm_snapshot_take(s->tree) : NULL;
    struct lsm_iter_options options = { .snapshot = snapshot };
    uint64_t numbers[2][PAIRS] = { 0 };
    struct lsm_iter *it;
    struct err err;
    enum status st;

    MUST(!with_snapshot || snapshot != NULL);
    MUST(lsm_iter_create(s->tree, &options, &it, &err) == ST_OK);
    for (st = lsm_iter_first(it, &err); st == ST_OK; st = lsm_iter_next(it, &err)) {
        struct entry e;
        uint32_t half, pair;

        lsm_iter_entry(it, &e);
        half = __builtin_bswap32(get_u32le(e.key.data));
        pair = __builtin_bswap32(get_u32le(e.key.data + 4));
        MUST(half < 2 && pair < PAIRS);
        numbers[half][pair] = number_of(&e);
    }
    MUST(st == ST_NOT_FOUND);
    MUST(memcmp(numbers[0], numbers[1], sizeof(numbers[0])) == 0);
    lsm_iter_destroy(it);
    lsm_snapshot_release(s->tree, snapshot);
}

static void *
read_all(void *ctx)
{
    struct reader_state *r = ctx;
    struct prng prng;

    prng_init(&prng, (uint64_t)(uintptr_t)r);
    epoch_join(&r->shop->epoch, &r->slot);
    while (!atomic_load(&r->shop->over)) {
        for (int i = 0; i < 20; i++)
            read_one(r, (uint32_t)prng_below(&prng, PAIRS), (uint32_t)prng_below(&prng, 2));
        read_everything(r, prng_chance(&prng, 1, 2));
    }
    epoch_part(&r->shop->epoch, &r->slot);
    return NULL;
}

/* ------------------------------------------------------------------ the shop */

static void
open_shop(struct shop *s, bool with_records)
{
    struct real_env_options env_options = { 0 };
    struct lsm_options options;
    const char *tmp = getenv("TMPDIR");
    struct err err;

    snprintf(s->dir, sizeof(s->dir), "%s/dkv-lsm-threads-XXXXXX", tmp != NULL ? tmp : "/tmp");
    EXPECT(mkdtemp(s->dir) != NULL);
    EXPECT_OK(real_env_create(&env_options, &s->env, &err));
    epoch_init(&s->epoch);
    budget_init(&s->budget, 64 << 20);
    atomic_store(&s->next_number, 1);
    s->shared = (struct lsm_shared){
        .env = s->env,
        .epoch = &s->epoch,
        .blocks = cache_create(1 << 20, &s->budget),
        .records = with_records ? record_cache_create(64 << 10, &s->budget) : NULL,
        .budget = &s->budget,
        .next_number = &s->next_number,
        .manifests_open = &s->manifests_open,
        .manifests_open_max = 1,
        .readers = readers_create(&s->epoch, OPEN_TABLES_MAX),
    };
    EXPECT(s->shared.blocks != NULL && s->shared.readers != NULL);
    lsm_options_default(&options);
    options.memtable_bytes = 64 << 10;
    options.table_bytes = 4 << 10;
    options.level_base_bytes = 8 << 10;
    options.level_multiplier = 2;
    options.l0_trigger = 2;
    EXPECT_OK(lsm_open(&s->tree, &s->shared, 1, s->dir, &options, true, &err));
}

static void
remove_file(void *ctx, const char *name)
{
    struct shop *s = ctx;
    char path[400];

    snprintf(path, sizeof(path), "%s/%s", s->dir, name);
    EXPECT_OK(env_remove(s->env, path, NULL));
}

static void
close_shop(struct shop *s)
{
    lsm_close(s->tree);
    readers_destroy(s->shared.readers);
    record_cache_destroy(s->shared.records);
    cache_destroy(s->shared.blocks);
    epoch_release(&s->epoch);
    EXPECT_U64(budget_used(&s->budget), 0);
    EXPECT_OK(env_list(s->env, s->dir, remove_file, s, NULL));
    EXPECT_OK(env_remove_dir(s->env, s->dir, NULL));
    real_env_destroy(s->env);
}

TEST(readers_beside_a_writer_a_flush_a_compaction_and_a_closing_of_tables_see_whole_units_in_order)
{
    static struct shop s;
    static struct reader_state readers[2];
    void *(*const roles[])(void *) = { write_all, flush_all, compact_all,
                                       rest_all,  read_all,  read_all };
    void *const contexts[] = { &s, &s, &s, &s, &readers[0], &readers[1] };
    enum { ROLES = sizeof(roles) / sizeof(roles[0]) };
    pthread_t threads[ROLES];
    struct lsm_stats stats;

    open_shop(&s, true);
    readers[0].shop = &s;
    readers[1].shop = &s;
    for (int i = 0; i < ROLES; i++)
        EXPECT(pthread_create(&threads[i], NULL, roles[i], contexts[i]) == 0);
    for (int i = 0; i < ROLES; i++)
        EXPECT(pthread_join(threads[i], NULL) == 0);
    lsm_stats(s.tree, &stats);
    EXPECT(stats.flushes > 5);
    EXPECT(stats.compactions > 0);
    EXPECT(stats.gets > 0);
    close_shop(&s);
}

/* ------------------------------------------------------------------ reads and closings only */

/* So many tables that most are closed, and nothing but tables to read from. */
static void
fill_tables(struct shop *s)
{
    struct err err;
    enum status st = ST_OK;

    for (uint64_t number = 1; number <= STILL_PAIRS; number++) {
        write_pair(s, (uint32_t)number - 1, number);
        if (number % 250 == 0) {
            EXPECT_OK(lsm_switch(s->tree));
            EXPECT_OK(lsm_flush(s->tree, &err));
        }
    }
    while (st == ST_OK)
        st = lsm_compact(s->tree, &err);
    EXPECT_ST(st, ST_NOT_FOUND);
}

struct still_reader {
    struct shop *shop;
    struct epoch_slot slot;
    uint64_t tried;
    uint64_t blocked;
};

static void
read_still(struct still_reader *r, uint32_t pair)
{
    struct shop *s = r->shop;
    uint8_t room[KEY_BYTES];
    struct slice key = key_of(pair, pair % 2, room);
    struct lsm_found found;
    struct err err;
    enum status st;

    epoch_enter(&s->epoch, &r->slot);
    st = lsm_try_get(s->tree, key, VERSION_MAX, &found, &err);
    if (st == ST_OK)
        MUST(number_of(&found.entry) == pair + 1);
    lsm_found_release(&found);
    epoch_leave(&s->epoch, &r->slot);
    r->tried += st == ST_OK;
    if (st != ST_WOULD_BLOCK) {
        MUST(st == ST_OK);
        return;
    }
    r->blocked++;
    MUST(lsm_get(s->tree, key, VERSION_MAX, &found, &err) == ST_OK);
    MUST(number_of(&found.entry) == pair + 1);
    lsm_found_release(&found);
}

/* Neighbours follow one another, so that a table which was opened is found open. */
static void *
read_all_still(void *ctx)
{
    struct still_reader *r = ctx;
    struct prng prng;

    prng_init(&prng, (uint64_t)(uintptr_t)r);
    epoch_join(&r->shop->epoch, &r->slot);
    for (int i = 0; i < STILL_ROUNDS; i++) {
        uint32_t first = (uint32_t)prng_below(&prng, STILL_PAIRS - STILL_RUN);

        for (uint32_t j = 0; j < STILL_RUN; j++)
            read_still(r, first + j);
    }
    epoch_part(&r->shop->epoch, &r->slot);
    return NULL;
}

TEST(reads_that_race_with_the_closing_of_tables_find_everything)
{
    static struct shop s;
    static struct still_reader readers[3];
    pthread_t threads[3], closer;

    memset(&s, 0, sizeof(s));
    open_shop(&s, false);
    fill_tables(&s);
    EXPECT(pthread_create(&closer, NULL, rest_all, &s) == 0);
    for (int i = 0; i < 3; i++) {
        readers[i].shop = &s;
        EXPECT(pthread_create(&threads[i], NULL, read_all_still, &readers[i]) == 0);
    }
    for (int i = 0; i < 3; i++)
        EXPECT(pthread_join(threads[i], NULL) == 0);
    atomic_store(&s.over, true);
    EXPECT(pthread_join(closer, NULL) == 0);
    for (int i = 0; i < 3; i++)
        EXPECT(readers[i].tried > 0 && readers[i].blocked > 0);
    close_shop(&s);
}

TEST_MAIN(
    RUN(reads_that_race_with_the_closing_of_tables_find_everything),
    RUN(readers_beside_a_writer_a_flush_a_compaction_and_a_closing_of_tables_see_whole_units_in_order))
