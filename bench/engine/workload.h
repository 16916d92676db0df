/*
 * The operations that are measured: 16-byte keys and 100-byte values of which
 * half can be compressed away.
 *
 * Present keys are even numbers, absent ones odd: an absent key lies between
 * two present ones, so that only a filter or a block can tell.
 */
#ifndef BENCH_ENGINE_WORKLOAD_H
#define BENCH_ENGINE_WORKLOAD_H

#include "base/histogram.h"

#include "opponent.h"

enum { KEY_BYTES = 16, VALUE_BYTES = 100 };

uint64_t now_ns(void);

/* Fill the pool from which values are cut.  Once, before anything else. */
void workload_init(void);

struct measure {
    double rate;    /* operations a second */
    double cpu_ns;  /* of the whole process, background work included */
    uint64_t count; /* operations */
    struct histogram *times_ns;
};

/* Each key once, in order; each once, shuffled; or as many draws, some keys more than once. */
enum fill_order { FILL_SEQUENTIAL, FILL_SHUFFLED, FILL_DRAWN };

void run_fill(const struct opponent *o, void *store, uint64_t keys, enum fill_order order,
              uint64_t seed, struct measure *m);

/* Synced puts by `threads` for `seconds`. */
void run_sync(const struct opponent *o, void *store, uint32_t threads, double seconds,
              struct measure *m);

/* Random gets, all of present or all of absent keys. */
void run_get(const struct opponent *o, void *store, uint64_t keys, bool present, double seconds,
             uint64_t seed, struct measure *m);

/* The same beside a thread that overwrites `writes_per_second`; says what it managed. */
double run_get_while_writing(const struct opponent *o, void *store, uint64_t keys,
                             double writes_per_second, double seconds, uint64_t seed,
                             struct measure *m);

/* Flush, and wait until no background work is left.  Returns seconds. */
double run_settle(const struct opponent *o, void *store);

#endif
