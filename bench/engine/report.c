#include "report.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const row_names[ROW_COUNT] = {
    [ROW_FILLSEQ] = "fillseq",
    [ROW_FILLRANDOM] = "fillrandom",
    [ROW_FILLRANDOM_DEBT] = "  with its compactions",
    [ROW_OVERWRITE] = "overwrite",
    [ROW_OVERWRITE_DEBT] = "  with its compactions",
    [ROW_HIT] = "readrandom hit",
    [ROW_MISS] = "readrandom miss, filter",
    [ROW_MISS_UNFILTERED] = "readrandom miss, none",
    [ROW_MEMTABLE_HIT] = "memtable hit",
    [ROW_READ_WHILE_WRITING] = "readwhilewriting",
    [ROW_FILLSYNC] = "fillsync, 1 thread",
    [ROW_FILLSYNC_16] = "fillsync, 16 threads",
};

static const char *const contender_names[CONTENDER_COUNT] = {
    [DISTKV] = "DistKV",
    [STOCK] = "RocksDB stock",
    [TUNED] = "RocksDB tuned",
};

const char *
row_name(enum row row)
{
    return row_names[row];
}

const char *
contender_name(enum contender c)
{
    return contender_names[c];
}

void
cell_add(struct cell *c, double rate)
{
    if (c->count < REPETITIONS_MAX)
        c->rates[c->count++] = rate;
}

static int
compare_rates(const void *a, const void *b)
{
    double x = *(const double *)a;
    double y = *(const double *)b;

    return (x > y) - (x < y);
}

double
cell_median(const struct cell *c)
{
    double sorted[REPETITIONS_MAX];

    if (c->count == 0)
        return 0;
    memcpy(sorted, c->rates, c->count * sizeof(sorted[0]));
    qsort(sorted, c->count, sizeof(sorted[0]), compare_rates);
    return (sorted[(c->count - 1) / 2] + sorted[c->count / 2]) / 2;
}

static double
ratio(double a, double b)
{
    return b > 0 ? a / b : 0;
}

static void
print_latencies(const struct cell *c)
{
    double microseconds[3];

    if (c->times_ns.count == 0) {
        printf("  %24s", "");
        return;
    }
    microseconds[0] = (double)histogram_percentile(&c->times_ns, 50) / 1e3;
    microseconds[1] = (double)histogram_percentile(&c->times_ns, 99) / 1e3;
    microseconds[2] = (double)histogram_percentile(&c->times_ns, 99.9) / 1e3;
    printf("  %7.2f %7.1f %8.1f", microseconds[0], microseconds[1], microseconds[2]);
}

/* Microseconds of processor for each operation: what other programs' load disturbs least. */
static double
cpu_us(const struct cell *c)
{
    return c->operations == 0 ? 0 : c->cpu_ns / (double)c->operations / 1e3;
}

static void
print_row(const struct report *r, enum row row)
{
    const struct cell *cells = r->cells[row];
    double ours = cell_median(&cells[DISTKV]);

    printf("%-24s", row_names[row]);
    for (int c = 0; c < CONTENDER_COUNT; c++)
        printf(" %10.0f", cell_median(&cells[c]));
    printf("  %6.2f %6.2f", ratio(ours, cell_median(&cells[STOCK])),
           ratio(ours, cell_median(&cells[TUNED])));
    print_latencies(&cells[DISTKV]);
    print_latencies(&cells[TUNED]);
    printf("  %6.2f %6.2f\n", cpu_us(&cells[DISTKV]), cpu_us(&cells[TUNED]));
}

static void
print_filter_factor(const struct report *r)
{
    printf("the filter makes misses faster by");
    for (int c = 0; c < CONTENDER_COUNT; c++) {
        double with = cell_median(&r->cells[ROW_MISS][c]);
        double without = cell_median(&r->cells[ROW_MISS_UNFILTERED][c]);

        if (c != STOCK && with > 0 && without > 0)
            printf("  %s %.1fx", contender_names[c], with / without);
    }
    printf("  (stock has none)\n");
}

static void
print_notes(const struct report *r)
{
    if (r->cells[ROW_OVERWRITE][DISTKV].count + r->cells[ROW_OVERWRITE][TUNED].count > 0) {
        printf("compactions after overwrite, and tables then:");
        for (int c = 0; c < CONTENDER_COUNT; c++)
            printf("  %s %.1f s, %.0f MB", contender_names[c], r->settle_seconds[c],
                   (double)r->table_bytes[c] / 1e6);
        printf("\n");
    }
    if (r->cells[ROW_MISS_UNFILTERED][DISTKV].count > 0)
        print_filter_factor(r);
    if (r->cells[ROW_READ_WHILE_WRITING][DISTKV].count > 0) {
        printf("writes a second beside the reader:");
        for (int c = 0; c < CONTENDER_COUNT; c++)
            printf("  %s %.0f", contender_names[c], r->writes_per_second[c]);
        printf("\n");
    }
    if (r->disk.count > 0)
        printf("the bare disk: %.0f writes with fdatasync a second; p50 %.0f us, p99 %.0f us\n",
               cell_median(&r->disk), (double)histogram_percentile(&r->disk.times_ns, 50) / 1e3,
               (double)histogram_percentile(&r->disk.times_ns, 99) / 1e3);
}

void
report_print(const struct report *r)
{
    printf("\n%-24s %10s %10s %10s  %13s  %24s  %24s\n", "", "DistKV", "RocksDB", "RocksDB",
           "DistKV over", "DistKV, us", "RocksDB tuned, us");
    printf("%-24s %10s %10s %10s  %6s %6s  %7s %7s %8s  %7s %7s %8s\n", "operations a second", "",
           "stock", "tuned", "stock", "tuned", "p50", "p99", "p99.9", "p50", "p99", "p99.9");
    for (int row = 0; row < ROW_COUNT; row++) {
        uint32_t count = 0;

        for (int c = 0; c < CONTENDER_COUNT; c++)
            count += r->cells[row][c].count;
        if (count > 0)
            print_row(r, (enum row)row);
    }
    print_notes(r);
}
