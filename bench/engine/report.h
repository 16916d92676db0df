/* What was measured, and the table of it. */
#ifndef BENCH_ENGINE_REPORT_H
#define BENCH_ENGINE_REPORT_H

#include <stdbool.h>

#include "base/histogram.h"

enum row {
    ROW_FILLSEQ,
    ROW_FILLRANDOM,
    ROW_FILLRANDOM_DEBT,
    ROW_OVERWRITE,
    ROW_OVERWRITE_DEBT,
    ROW_HIT,
    ROW_MISS,
    ROW_MISS_UNFILTERED,
    ROW_MEMTABLE_HIT,
    ROW_READ_WHILE_WRITING,
    ROW_FILLSYNC,
    ROW_FILLSYNC_16,
    ROW_COUNT
};

enum contender { DISTKV, STOCK, TUNED, CONTENDER_COUNT };

enum { REPETITIONS_MAX = 32 };

struct cell {
    double rates[REPETITIONS_MAX]; /* operations a second */
    uint32_t count;
    struct histogram times_ns; /* of all repetitions */
    double cpu_ns;             /* of the process, in all of them */
    uint64_t operations;
};

struct report {
    struct cell cells[ROW_COUNT][CONTENDER_COUNT];
    struct cell disk; /* bare writes with fdatasync, between the fillsync runs */
    double settle_seconds[CONTENDER_COUNT]; /* after overwrite, the last repetition's */
    uint64_t table_bytes[CONTENDER_COUNT];
    double writes_per_second[CONTENDER_COUNT]; /* beside the readers */
};

const char *row_name(enum row row);
const char *contender_name(enum contender c);

void cell_add(struct cell *c, double rate);
double cell_median(const struct cell *c);

/* Rows without a measurement are left out. */
void report_print(const struct report *r);

#endif
