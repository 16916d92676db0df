/*
 * What a filter costs, in nanoseconds an operation, and how often it is wrong.
 *
 *      bench_filter [keys]        default 1000000
 */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/assert.h"
#include "base/hash.h"
#include "base/mem.h"

#include "sst/filter.h"

static uint64_t
now_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t); /* others may share the machine */
    return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

static double
since(uint64_t begin_ns, uint64_t count)
{
    return (double)(now_ns() - begin_ns) / (double)count;
}

static uint64_t
hash_of(uint64_t key)
{
    return hash64(slice_of(&key, sizeof(key)));
}

/* How many of the keys pass. */
static uint64_t
ask(const struct filter *f, const uint64_t *hashes, uint64_t count, const char *what)
{
    uint64_t begin = now_ns();
    uint64_t passed = 0;

    for (uint64_t i = 0; i < count; i++)
        passed += filter_may_contain(f, hashes[i]);
    printf(", %s %5.1f ns", what, since(begin, count));
    return passed;
}

static void
run(uint32_t bits_per_key, const uint64_t *hashes, uint64_t key_count)
{
    struct filter_builder *b = filter_builder_create(bits_per_key);
    struct buf bytes = buf_empty(SIZE_MAX);
    enum status st = ST_OK;
    struct filter f;
    uint64_t passed;
    uint64_t begin = now_ns();

    ASSERT(b != NULL);
    for (uint64_t i = 0; i < key_count && st == ST_OK; i++)
        st = filter_builder_add(b, hashes[i]);
    if (st == ST_OK)
        st = filter_builder_finish(b, &bytes);
    printf("%2u bits a key: add %5.1f ns", bits_per_key, since(begin, key_count));
    if (st == ST_OK)
        st = filter_parse(buf_slice(&bytes), &f);
    ASSERT(st == ST_OK);
    passed = ask(&f, hashes, key_count, "there");
    ASSERT(passed == key_count);
    passed = ask(&f, hashes + key_count, key_count, "absent");
    printf(", false %.3f %%, %.2f bits\n", 100.0 * (double)passed / (double)key_count,
           8.0 * (double)bytes.size / (double)key_count);
    buf_release(&bytes);
    filter_builder_destroy(b);
}

int
main(int argc, char **argv)
{
    uint64_t key_count = argc > 1 ? strtoull(argv[1], NULL, 10) : 1000000;
    uint64_t *hashes = mem_new_array(uint64_t, 2 * key_count);

    ASSERT(hashes != NULL);
    for (uint64_t i = 0; i < 2 * key_count; i++)
        hashes[i] = hash_of(i);
    for (uint32_t bits = 4; bits <= 20; bits += 2)
        run(bits, hashes, key_count);
    mem_free(hashes);
    return 0;
}
