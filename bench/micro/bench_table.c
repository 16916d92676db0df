/*
 * What tables cost, on the disk of the current folder, which the page cache holds.
 *
 *      bench_table [entries]        default 500000
 *
 * 16-byte keys and 100-byte values, half of which can be compressed away.
 */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/hash.h"
#include "base/mem.h"
#include "base/prng.h"

#include "env/real.h"
#include "sst/table.h"

enum { KEY_BYTES = 16, VALUE_BYTES = 100, READS = 1000000, CACHE_BYTES = 512 << 20 };

static const char *const path = "bench_table.sst";
static const char *const kind_names[] = { "plain", "lz4", "zstd" };

struct bench {
    struct env *env;
    struct cache *cache;
    struct table_info info;
    struct table *table;
    uint64_t entry_count;
    struct prng prng;
};

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
    printf("  %-28s %8.1f ns\n", what, (double)(now_ns() - begin_ns) / (double)count);
}

static void
expect(enum status st, const struct err *err)
{
    if (st == ST_OK)
        return;
    fprintf(stderr, "%s: %s\n", status_name(st), err->text);
    abort();
}

/* A kind byte, a number in order, zeros. */
static struct slice
key_of(uint64_t i, uint8_t out[KEY_BYTES])
{
    uint64_t big_endian = __builtin_bswap64(i * 3);

    memset(out, 0, KEY_BYTES);
    out[0] = 1;
    memcpy(out + 1, &big_endian, 8);
    return slice_of(out, KEY_BYTES);
}

static void
build(struct bench *b, enum table_compression kind)
{
    const struct table_options options = {
        .block_bytes = 4096, .restart_interval = 16, .filter_bits_per_key = 10, .compression = kind
    };
    struct table_builder *builder;
    struct err err;
    uint64_t begin = now_ns();

    expect(table_builder_create(b->env, path, &(struct table_id){ 1, 1 }, &options, &builder, &err),
           &err);
    for (uint64_t i = 0; i < b->entry_count; i++) {
        uint8_t value[VALUE_BYTES] = { 0 };
        uint8_t key[KEY_BYTES];
        struct entry e = { key_of(i, key), slice_of(value, VALUE_BYTES), i + 1, 0, ENTRY_VALUE };

        for (size_t j = 0; j < VALUE_BYTES / 2; j += 8) {
            uint64_t random = prng_next(&b->prng);

            memcpy(value + j, &random, 8);
        }
        expect(table_builder_add(builder, &e, &err), &err);
    }
    expect(table_builder_finish(builder, &b->info, &err), &err);
    report("build, an entry", begin, b->entry_count);
    printf("  %-28s %8.1f bytes an entry\n", "file",
           (double)b->info.file_bytes / (double)b->entry_count);
}

static void
get_some(struct bench *b, const char *what, bool present)
{
    uint64_t begin = now_ns();
    struct err err;

    for (int i = 0; i < READS; i++) {
        uint8_t bytes[KEY_BYTES];
        struct slice key = key_of(prng_below(&b->prng, b->entry_count), bytes);
        struct table_found found;
        enum status st;

        if (!present) {
            bytes[KEY_BYTES - 1] = 1;
            if (!table_may_contain(b->table, hash64(key)))
                continue;
        }
        st = table_get(b->table, key, VERSION_MAX, TABLE_BLOCK, &found, &err);
        if (st == ST_OK)
            cache_release(found.pin);
        else if (present || st != ST_NOT_FOUND)
            expect(st, &err);
    }
    report(what, begin, READS);
}

static void
walk(struct bench *b, const char *what, bool fill_cache)
{
    const struct table_iter_options options = { TABLE_BLOCK, fill_cache };
    struct table_iter *it;
    struct err err;
    uint64_t begin = now_ns();
    uint64_t count = 0;

    expect(table_iter_create(b->table, &options, &it), &err);
    for (enum status st = table_iter_first(it, &err); st == ST_OK; st = table_iter_next(it, &err))
        count++;
    ASSERT(count == b->entry_count);
    table_iter_destroy(it);
    report(what, begin, count);
}

static void
seek_some(struct bench *b)
{
    const struct table_iter_options options = { TABLE_BLOCK, true };
    struct table_iter *it;
    struct err err;
    uint64_t begin;

    expect(table_iter_create(b->table, &options, &it), &err);
    begin = now_ns();
    for (int i = 0; i < READS / 4; i++) {
        uint8_t bytes[KEY_BYTES];

        expect(table_iter_seek(it, key_of(prng_below(&b->prng, b->entry_count), bytes), VERSION_MAX,
                               &err),
               &err);
    }
    report("seek, cached", begin, READS / 4);
    begin = now_ns();
    expect(table_iter_last(it, &err), &err);
    for (int i = 0; i < READS / 4 && table_iter_prev(it, &err) == ST_OK; i++)
        continue;
    report("previous, cached", begin, READS / 4);
    table_iter_destroy(it);
}

static void
find_some(struct bench *b)
{
    uint64_t begin = now_ns();
    uint64_t found = 0;

    for (int i = 0; i < READS; i++) {
        struct cache_handle *h = cache_find(b->cache, 1, 0);

        found += h != NULL;
        cache_release(h);
    }
    ASSERT(found == READS);
    report("cache_find and release", begin, READS);
}

static void
run(struct bench *b, enum table_compression kind)
{
    struct err err;

    printf("%s\n", kind_names[kind]);
    unlink(path);
    build(b, kind);
    b->cache = cache_create(CACHE_BYTES, NULL);
    ASSERT(b->cache != NULL);
    expect(table_open(b->env, path, &b->info, b->cache, NULL, &b->table, &err), &err);
    printf("  %-28s %8.1f bytes an entry\n", "memory of the open table",
           (double)table_memory_bytes(b->table) / (double)b->entry_count);
    walk(b, "walk, past the cache", false);
    get_some(b, "get, filling the cache", true);
    walk(b, "walk, cached", true);
    get_some(b, "get, cached", true);
    get_some(b, "get, absent", false);
    seek_some(b);
    find_some(b);
    table_close(b->table);
    table_info_release(&b->info);
    cache_destroy(b->cache);
    unlink(path);
}

int
main(int argc, char **argv)
{
    const struct real_env_options options = { 0 };
    struct bench b = { .entry_count = argc > 1 ? strtoull(argv[1], NULL, 10) : 500000 };
    struct err err;

    mem_tune_process();
    prng_init(&b.prng, 1);
    expect(real_env_create(&options, &b.env, &err), &err);
    for (int kind = TABLE_PLAIN; kind <= TABLE_ZSTD; kind++)
        run(&b, (enum table_compression)kind);
    real_env_destroy(b.env);
    return 0;
}
