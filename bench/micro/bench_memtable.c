/*
 * What the memtable costs, in nanoseconds an operation.
 *
 *      bench_memtable [megabytes]        default 64
 *
 * 16-byte keys and 100-byte values, until the memtable holds that many megabytes.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/assert.h"
#include "base/hash.h"
#include "base/mem.h"
#include "base/prng.h"

#include "mem/memtable.h"

enum { KEY_BYTES = 16, VALUE_BYTES = 100, GETS = 2000000, SEEKS = 500000 };

enum key_kind { KEY_RANDOM, KEY_SEQUENTIAL, KEY_DECIMAL };

struct key {
    uint8_t bytes[KEY_BYTES];
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

static struct slice
key_slice(const struct key *k)
{
    return slice_of(k->bytes, KEY_BYTES);
}

/* A kind byte, then what differs. */
static void
make_key(struct key *k, enum key_kind kind, uint64_t i, struct prng *p)
{
    uint64_t number = kind == KEY_SEQUENTIAL ? i : prng_next(p);
    uint64_t rest = prng_next(p);

    memset(k, 0, sizeof(*k));
    if (kind == KEY_DECIMAL) {
        char text[32];

        snprintf(text, sizeof(text), "u%015" PRIu64, number % 1000000000);
        memcpy(k->bytes, text, KEY_BYTES);
        return;
    }
    number = __builtin_bswap64(number);
    k->bytes[0] = 1;
    memcpy(k->bytes + 1, &number, 8);
    if (kind == KEY_RANDOM)
        memcpy(k->bytes + 9, &rest, 7);
}

static uint64_t
fill(struct memtable *m, struct key *keys, uint64_t key_max, size_t bytes, enum key_kind kind,
     struct prng *p)
{
    uint8_t value[VALUE_BYTES];
    struct entry e = { .type = ENTRY_VALUE, .value = { value, VALUE_BYTES } };
    uint64_t count = 0;
    uint64_t begin;

    for (uint64_t i = 0; i < key_max; i++)
        make_key(&keys[i], kind, i, p);
    memset(value, 'v', sizeof(value));
    begin = now_ns();
    while (count < key_max && memtable_bytes(m) < bytes) {
        enum status st;

        e.key = key_slice(&keys[count]);
        e.version = ++count;
        st = memtable_put(m, &e);
        ASSERT(st == ST_OK);
    }
    report("put", begin, count);
    return count;
}

static void
read_back(struct memtable *m, const struct key *keys, uint64_t count, struct prng *p)
{
    struct memtable_order *order;
    struct memtable_iter it;
    struct entry e;
    uint64_t found = 0;
    uint64_t begin = now_ns();

    for (int i = 0; i < GETS; i++) {
        struct slice key = key_slice(&keys[prng_below(p, count)]);

        found += memtable_get(m, key, hash64(key), VERSION_MAX, &e) && e.value.data[50] == 'v';
    }
    ASSERT(found == GETS);
    report("get, there", begin, GETS);

    begin = now_ns();
    for (int i = 0; i < GETS; i++) {
        struct key absent = keys[prng_below(p, count)];

        absent.bytes[KEY_BYTES - 1] ^= 0x5a;
        found += memtable_get(m, key_slice(&absent), hash64(key_slice(&absent)), VERSION_MAX, &e);
    }
    report("get, absent", begin, GETS);

    begin = now_ns();
    if (memtable_order(m, true, &order) != ST_OK)
        abort();
    report("order, an entry", begin, count);
    memtable_iter_init(&it, order, 0);
    begin = now_ns();
    for (int i = 0; i < SEEKS; i++) {
        memtable_iter_seek(&it, key_slice(&keys[prng_below(p, count)]), VERSION_MAX);
        ASSERT(memtable_iter_valid(&it));
    }
    report("seek", begin, SEEKS);

    found = 0;
    begin = now_ns();
    for (memtable_iter_first(&it); memtable_iter_valid(&it); memtable_iter_next(&it))
        found++;
    ASSERT(found == count);
    report("next", begin, count);
    memtable_order_unref(order);
}

static void
run(const char *name, enum key_kind kind, size_t bytes)
{
    struct memtable *m = memtable_create(bytes);
    uint64_t key_max = bytes / VALUE_BYTES;
    struct key *keys = mem_new_array(struct key, key_max);
    struct prng p;
    uint64_t count;

    ASSERT(m != NULL && keys != NULL);
    prng_init(&p, 1);
    printf("%s\n", name);
    count = fill(m, keys, key_max, bytes, kind, &p);
    read_back(m, keys, count, &p);
    printf("  %-28s %8.1f bytes (%" PRIu64 " entries)\n", "memory, an entry",
           (double)memtable_bytes(m) / (double)count, count);
    memtable_unref(m);
    mem_free(keys);
}

int
main(int argc, char **argv)
{
    size_t megabytes = argc > 1 ? strtoul(argv[1], NULL, 10) : 64;

    mem_tune_process();
    run("random keys", KEY_RANDOM, megabytes << 20);
    run("sequential keys", KEY_SEQUENTIAL, megabytes << 20);
    run("decimal keys, random order", KEY_DECIMAL, megabytes << 20);
    return 0;
}
