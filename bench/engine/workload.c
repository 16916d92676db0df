#include "workload.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <time.h>

#include "base/hash.h"
#include "base/mem.h"
#include "base/prng.h"

enum { POOL_BYTES = 1 << 20, THREADS_MAX = 64, QUIET_LOOKS = 5 };

static uint8_t pool[POOL_BYTES + VALUE_BYTES]; /* written once by workload_init() */

uint64_t
now_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

static double
cpu_ns(void)
{
    struct rusage u;

    getrusage(RUSAGE_SELF, &u);
    return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) * 1e9 +
           (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) * 1e3;
}

/* Runs of 50 random bytes, each twice: any 100 bytes hold half as much. */
void
workload_init(void)
{
    struct prng prng;

    prng_init(&prng, 20251120);
    for (size_t at = 0; at + VALUE_BYTES <= sizeof(pool); at += VALUE_BYTES) {
        for (size_t i = 0; i < VALUE_BYTES / 2; i++)
            pool[at + i] = (uint8_t)prng_next(&prng);
        memcpy(pool + at + VALUE_BYTES / 2, pool + at, VALUE_BYTES / 2);
    }
}

static struct slice
value_at(uint64_t random)
{
    return slice_of(pool + random % (POOL_BYTES / VALUE_BYTES) * VALUE_BYTES, VALUE_BYTES);
}

/* Decimal text, as people's keys are: byte order is the order of numbers. */
static struct slice
key_of(uint64_t number, uint8_t out[KEY_BYTES])
{
    for (int i = KEY_BYTES - 1; i >= 0; i--) {
        out[i] = (uint8_t)('0' + number % 10);
        number /= 10;
    }
    return slice_of(out, KEY_BYTES);
}

/* ------------------------------------------------------------------ filling */

static double
rate_of(uint64_t count, uint64_t ns)
{
    return ns == 0 ? 0 : (double)count * 1e9 / (double)ns;
}

/* What a measured run took, on the clock and of the processors. */
struct stopwatch {
    uint64_t begin_ns;
    double begin_cpu_ns;
};

static struct stopwatch
stopwatch_start(void)
{
    return (struct stopwatch){ now_ns(), cpu_ns() };
}

static void
stopwatch_stop(const struct stopwatch *s, uint64_t count, struct measure *m)
{
    m->rate = rate_of(count, now_ns() - s->begin_ns);
    m->cpu_ns = cpu_ns() - s->begin_cpu_ns;
    m->count = count;
}

/* A permutation of [0, count): four Feistel rounds on as many bits, again while it falls outside. */
static uint64_t
shuffled(uint64_t i, uint64_t count)
{
    unsigned half = 1;

    while ((UINT64_C(1) << 2 * half) < count)
        half++;
    do {
        uint64_t left = i >> half;
        uint64_t right = i & ((UINT64_C(1) << half) - 1);

        for (uint64_t round = 1; round <= 4; round++) {
            uint64_t mixed = hash_u64(right + (round << 40)) & ((UINT64_C(1) << half) - 1);

            mixed ^= left;
            left = right;
            right = mixed;
        }
        i = left << half | right;
    } while (i >= count);
    return i;
}

static uint64_t
number_of(enum fill_order order, uint64_t i, uint64_t keys, struct prng *prng)
{
    switch (order) {
    case FILL_SEQUENTIAL:
        return i;
    case FILL_SHUFFLED:
        return shuffled(i, keys);
    case FILL_DRAWN:
        break;
    }
    return prng_below(prng, keys);
}

void
run_fill(const struct opponent *o, void *store, uint64_t keys, enum fill_order order, uint64_t seed,
         struct measure *m)
{
    uint8_t room[KEY_BYTES];
    struct prng prng;
    struct stopwatch watch = stopwatch_start();
    uint64_t last_ns = watch.begin_ns;

    prng_init(&prng, seed);
    for (uint64_t i = 0; i < keys; i++) {
        uint64_t number = number_of(order, i, keys, &prng);
        uint64_t ns;

        o->put(store, key_of(2 * number, room), value_at(prng_next(&prng)), false);
        ns = now_ns();
        histogram_add(m->times_ns, ns - last_ns);
        last_ns = ns;
    }
    stopwatch_stop(&watch, keys, m);
}

double
run_settle(const struct opponent *o, void *store)
{
    struct timespec pause = { 0, 10000000 };
    uint64_t begin_ns = now_ns();
    int quiet = 0;

    o->flush(store);
    while (quiet < QUIET_LOOKS) {
        quiet = o->is_busy(store) ? 0 : quiet + 1;
        nanosleep(&pause, NULL);
    }
    return (double)(now_ns() - begin_ns) / 1e9;
}

/* ------------------------------------------------------------------ threads */

struct worker {
    pthread_t thread;
    const struct opponent *opponent;
    void *store;
    uint64_t keys;
    uint64_t seed;
    double per_second; /* paced; 0: as fast as it can */
    bool sync;
    _Atomic bool *over;
    uint64_t count;
    struct histogram times_ns;
};

static void
sleep_until(uint64_t ns)
{
    struct timespec t = { (time_t)(ns / 1000000000), (long)(ns % 1000000000) };

    clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, NULL);
}

/* A paced writer is late by the sleep's error, then catches up in a burst of a few. */
static void *
write_until_over(void *ctx)
{
    struct worker *w = ctx;
    uint64_t begin_ns = now_ns();
    uint8_t room[KEY_BYTES];
    struct prng prng;

    prng_init(&prng, w->seed);
    while (!atomic_load_explicit(w->over, memory_order_relaxed)) {
        uint64_t before_ns = now_ns();
        uint64_t due_ns =
            w->per_second == 0 ? 0 : begin_ns + (uint64_t)((double)w->count * 1e9 / w->per_second);

        if (due_ns > before_ns) {
            sleep_until(due_ns + 1000000);
            continue;
        }
        w->opponent->put(w->store, key_of(2 * prng_below(&prng, w->keys), room),
                         value_at(prng_next(&prng)), w->sync);
        histogram_add(&w->times_ns, now_ns() - before_ns);
        w->count++;
    }
    return NULL;
}

static struct worker *
start_writers(const struct worker *like, uint32_t count)
{
    struct worker *workers = mem_new_array(struct worker, count);

    for (uint32_t i = 0; i < count; i++) {
        if (workers == NULL)
            break;
        workers[i] = *like;
        workers[i].seed += i;
        if (pthread_create(&workers[i].thread, NULL, write_until_over, &workers[i]) != 0) {
            perror("bench_engine: a thread");
            exit(1);
        }
    }
    return workers;
}

static uint64_t
join_writers(struct worker *workers, uint32_t count, struct histogram *times_ns)
{
    uint64_t sum = 0;

    for (uint32_t i = 0; i < count; i++) {
        pthread_join(workers[i].thread, NULL);
        sum += workers[i].count;
        if (times_ns != NULL)
            histogram_merge(times_ns, &workers[i].times_ns);
    }
    mem_free(workers);
    return sum;
}

void
run_sync(const struct opponent *o, void *store, uint32_t threads, double seconds, struct measure *m)
{
    _Atomic bool over = false;
    struct worker like = { .opponent = o,
                           .store = store,
                           .keys = 1000000,
                           .seed = now_ns(),
                           .sync = true,
                           .over = &over };
    struct stopwatch watch = stopwatch_start();
    struct worker *workers = start_writers(&like, threads);
    uint64_t count;

    sleep_until(watch.begin_ns + (uint64_t)(seconds * 1e9));
    atomic_store(&over, true);
    count = join_writers(workers, threads, m->times_ns);
    stopwatch_stop(&watch, count, m);
}

/* ------------------------------------------------------------------ reading */

void
run_get(const struct opponent *o, void *store, uint64_t keys, bool present, double seconds,
        uint64_t seed, struct measure *m)
{
    uint8_t room[KEY_BYTES];
    struct prng prng;
    struct stopwatch watch = stopwatch_start();
    uint64_t last_ns = watch.begin_ns;
    uint64_t count = 0;
    uint64_t limit_ns = (uint64_t)(seconds * 1e9);

    prng_init(&prng, seed);
    while (last_ns - watch.begin_ns < limit_ns) {
        uint64_t number = 2 * prng_below(&prng, keys) + (present ? 0 : 1);
        uint64_t ns;

        if (o->get(store, key_of(number, room)) != present) {
            fprintf(stderr, "bench_engine: %s: key %llu: wrong answer\n", o->name,
                    (unsigned long long)number);
            exit(1);
        }
        ns = now_ns();
        histogram_add(m->times_ns, ns - last_ns);
        last_ns = ns;
        count++;
    }
    stopwatch_stop(&watch, count, m);
}

double
run_get_while_writing(const struct opponent *o, void *store, uint64_t keys,
                      double writes_per_second, double seconds, uint64_t seed, struct measure *m)
{
    _Atomic bool over = false;
    struct worker like = { .opponent = o,
                           .store = store,
                           .keys = keys,
                           .seed = seed + 1,
                           .per_second = writes_per_second,
                           .over = &over };
    uint64_t begin_ns = now_ns();
    struct worker *writer = start_writers(&like, 1);

    run_get(o, store, keys, true, seconds, seed, m);
    atomic_store(&over, true);
    return rate_of(join_writers(writer, 1, NULL), now_ns() - begin_ns);
}
