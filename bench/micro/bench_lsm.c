/*
 * What a tree costs, in nanoseconds an operation, on the real environment.
 *
 *      bench_lsm [millions of keys]      default 1
 *
 * 16-byte keys and 100-byte values, one thread in front, flush and compaction on
 * one thread behind; no log.  The folder bench-lsm-* is made where it is started.
 */
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/coding.h"
#include "base/hash.h"
#include "base/mem.h"
#include "base/prng.h"

#include "env/real.h"
#include "lsm/lsm.h"
#include "lsm/readers.h"
#include "lsm/record_cache.h"

enum {
    KEY_BYTES = 16,
    VALUE_BYTES = 100,
    GETS = 1000000,
    SCANS = 20000,
    SCAN_KEYS = 50,
    OPEN_TABLES_MAX = 1000
};

struct bench {
    struct env *env;
    struct epoch epoch;
    struct epoch_slot slot;
    struct budget budget;
    _Atomic uint64_t next_number;
    _Atomic uint32_t manifests_open;
    struct lsm_shared shared;
    struct lsm *tree;
    _Atomic bool over;
    char dir[64];
    uint64_t keys;
};

static void
must(enum status st, const struct err *err)
{
    if (st == ST_OK)
        return;
    fprintf(stderr, "bench_lsm: %s\n", err != NULL ? err->text : status_name(st));
    exit(1);
}

static uint64_t
now_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t); /* others may share the machine */
    return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

static void
report(const char *what, uint64_t begin_ns, uint64_t count)
{
    printf("  %-36s %9.1f ns\n", what, (double)(now_ns() - begin_ns) / (double)count);
}

/* Spread over the key space, each number to a key of its own. */
static struct slice
key_of(uint64_t number, uint8_t out[KEY_BYTES])
{
    put_u64le(out, __builtin_bswap64(hash_u64(number)));
    put_u64le(out + 8, number);
    return slice_of(out, KEY_BYTES);
}

/* ------------------------------------------------------------------ behind */

static void *
work(void *ctx)
{
    struct bench *b = ctx;
    struct timespec pause = { 0, 1000000 };
    struct err err;

    while (!atomic_load(&b->over)) {
        enum status st;

        if (lsm_flush_due(b->tree)) {
            must(lsm_flush(b->tree, &err), &err);
            continue;
        }
        st = lsm_compact(b->tree, &err);
        if (st == ST_NOT_FOUND)
            nanosleep(&pause, NULL);
        else
            must(st, &err);
        must(lsm_sweep(b->tree, &err), &err);
    }
    return NULL;
}

/* ------------------------------------------------------------------ in front */

static void
fill(struct bench *b, struct prng *prng)
{
    struct timespec pause = { 0, 100000 };
    uint8_t key[KEY_BYTES], value[VALUE_BYTES];
    uint64_t begin = now_ns();

    for (uint64_t i = 1; i <= b->keys; i++) {
        struct lsm_mark mark = { i, 1, i };
        struct entry e = { .version = i, .type = ENTRY_VALUE };

        for (int at = 0; at < VALUE_BYTES; at += 10)
            put_u16le(value + at, (uint16_t)prng_next(prng));
        e.key = key_of(i, key);
        e.value = slice_of(value, VALUE_BYTES);
        must(lsm_apply(b->tree, &e, 1, &mark), NULL);
        if (lsm_switch_due(b->tree)) {
            while (lsm_stall(b->tree) != LSM_STALL_NONE)
                nanosleep(&pause, NULL);
            must(lsm_switch(b->tree), NULL);
        }
    }
    report("apply, stalls included", begin, b->keys);
}

static void
get(struct bench *b, struct prng *prng, const char *what, uint64_t first, uint64_t count)
{
    uint64_t begin = now_ns();
    uint64_t blocked = 0, found_count = 0;
    uint8_t room[KEY_BYTES];
    struct err err;

    for (uint64_t i = 0; i < GETS; i++) {
        struct slice key = key_of(first + prng_below(prng, count), room);
        struct lsm_found found;
        enum status st;

        epoch_enter(&b->epoch, &b->slot);
        st = lsm_try_get(b->tree, key, VERSION_MAX, &found, &err);
        found_count += st == ST_OK;
        lsm_found_release(&found);
        epoch_leave(&b->epoch, &b->slot);
        if (st == ST_WOULD_BLOCK) {
            blocked++;
            st = lsm_get(b->tree, key, VERSION_MAX, &found, &err);
            found_count += st == ST_OK;
            lsm_found_release(&found);
        }
        if (st != ST_NOT_FOUND)
            must(st, &err);
    }
    report(what, begin, GETS);
    printf("      %" PRIu64 " found, %" PRIu64 " went to a job\n", found_count, blocked);
}

static void
scan(struct bench *b, struct prng *prng)
{
    struct lsm_iter_options options = { .fill_cache = true };
    uint64_t begin = now_ns();
    uint64_t steps = 0;
    struct lsm_iter *it;
    struct err err;

    must(lsm_iter_create(b->tree, &options, &it, &err), &err);
    for (int i = 0; i < SCANS; i++) {
        uint8_t room[KEY_BYTES];
        enum status st = lsm_iter_seek(it, key_of(1 + prng_below(prng, b->keys), room), &err);

        for (int j = 0; j < SCAN_KEYS && st == ST_OK; j++, steps++)
            st = lsm_iter_next(it, &err);
        if (st != ST_NOT_FOUND)
            must(st, &err);
    }
    report("seek and 50 steps", begin, SCANS);
    begin = now_ns();
    steps = 0;
    for (enum status st = lsm_iter_first(it, &err); st == ST_OK; st = lsm_iter_next(it, &err))
        steps++;
    report("walk through all, a key", begin, steps);
    lsm_iter_destroy(it);
}

/* ------------------------------------------------------------------ around it */

static void
start(struct bench *b)
{
    struct real_env_options env_options = { 0 };
    struct lsm_options options;
    struct err err;

    strcpy(b->dir, "bench-lsm-XXXXXX");
    if (mkdtemp(b->dir) == NULL)
        exit(1);
    must(real_env_create(&env_options, &b->env, &err), &err);
    epoch_init(&b->epoch);
    epoch_join(&b->epoch, &b->slot);
    budget_init(&b->budget, (size_t)2 << 30);
    atomic_store(&b->next_number, 1);
    b->shared = (struct lsm_shared){
        .env = b->env,
        .epoch = &b->epoch,
        .blocks = cache_create(256 << 20, &b->budget),
        .records = record_cache_create(16 << 20, &b->budget),
        .budget = &b->budget,
        .next_number = &b->next_number,
        .manifests_open = &b->manifests_open,
        .manifests_open_max = 1,
        .readers = readers_create(&b->epoch, OPEN_TABLES_MAX),
    };
    lsm_options_default(&options);
    must(lsm_open(&b->tree, &b->shared, 1, b->dir, &options, true, &err), &err);
}

static void
remove_file(void *ctx, const char *name)
{
    struct bench *b = ctx;
    char path[400];

    snprintf(path, sizeof(path), "%s/%s", b->dir, name);
    must(env_remove(b->env, path, NULL), NULL);
}

static void
stop(struct bench *b)
{
    struct lsm_stats stats;
    struct err err;

    lsm_stats(b->tree, &stats);
    printf("  %" PRIu64 " flushes, %" PRIu64 " compactions, written %.2f x applied\n",
           stats.flushes, stats.compactions,
           (double)stats.bytes_written / (double)stats.bytes_applied);
    lsm_close(b->tree);
    readers_destroy(b->shared.readers);
    record_cache_destroy(b->shared.records);
    cache_destroy(b->shared.blocks);
    epoch_part(&b->epoch, &b->slot);
    epoch_release(&b->epoch);
    must(env_list(b->env, b->dir, remove_file, b, &err), &err);
    must(env_remove_dir(b->env, b->dir, &err), &err);
    real_env_destroy(b->env);
}

int
main(int argc, char **argv)
{
    static struct bench b;
    struct prng prng;
    pthread_t worker;
    uint64_t begin;
    struct lsm_compact_report done;
    struct err err;

    mem_tune_process();
    b.keys = (argc > 1 ? strtoull(argv[1], NULL, 0) : 1) * 1000000;
    prng_init(&prng, 1);
    start(&b);
    pthread_create(&worker, NULL, work, &b);
    fill(&b, &prng);
    get(&b, &prng, "get among the newest 10,000", b.keys - 10000, 10000);
    get(&b, &prng, "get among all", 1, b.keys);
    get(&b, &prng, "get what is not there", 2 * b.keys, b.keys);
    scan(&b, &prng);
    atomic_store(&b.over, true);
    pthread_join(worker, NULL);

    begin = now_ns();
    must(lsm_compact_all(b.tree, &done, &err), &err);
    report("compact all, a key", begin, b.keys);
    get(&b, &prng, "get among all, compacted", 1, b.keys);
    get(&b, &prng, "get among 10,000, compacted", 1, 10000);
    scan(&b, &prng);
    stop(&b);
    return 0;
}
