/*
 * DistKV beside RocksDB: the same operations, the same memory, the same
 * durability, in turn within one run.
 *
 *      bench_engine [--full] [--keys N] [--cache BYTES,..] [--compression plain|lz4|both]
 *                   [--seconds S] [--repetitions N] [--rows WORD,..] [--only NAME] [--dir DIR]
 *
 * Without options: 1 M keys, one cache that holds them all, a short table with lz4; minutes.
 * --full, or BENCH_FULL in the environment: 10 M keys, caches of 1 GB
 * and of 128 MB, each plain and with lz4; hours.
 *
 * DURABILITY.  Everywhere but in fillsync a put returns when write(2) has
 * taken its log record: a killed process loses nothing.  In fillsync it
 * returns after fdatasync.  Both for all contenders.
 */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"

#include "disk.h"
#include "machine.h"
#include "report.h"
#include "workload.h"

enum { LIST_MAX = 8, PATH_ROOM = 512, MEMTABLE_KEYS = 100000, PROBE_RECORD_BYTES = 160 };

enum word {
    WORD_FILL = 1,
    WORD_HIT = 2,
    WORD_MISS = 4,
    WORD_UNFILTERED = 8,
    WORD_MEMTABLE = 16,
    WORD_MIXED = 32,
    WORD_SYNC = 64,
};

struct plan {
    uint64_t keys;
    size_t caches[LIST_MAX];
    uint32_t cache_count;
    bool plain;
    bool lz4;
    double seconds; /* of one timed row, one repetition */
    uint32_t repetitions;
    uint32_t words;
    uint32_t only; /* a bit for each contender that takes part */
    double writes_per_second;
    char dir[PATH_ROOM / 2];
};

/* One table: a cache size and a compression. */
struct run {
    const struct plan *plan;
    struct report *report;
    size_t cache_bytes;
    bool lz4;
    void *stores[CONTENDER_COUNT];
};

static const struct opponent *
opponent_of(enum contender c)
{
    return c == DISTKV ? &opponent_distkv : &opponent_rocksdb;
}

/* ------------------------------------------------------------------ stores */

static void
path_of(const struct run *r, enum contender c, const char *what, char *out)
{
    static const char *const names[CONTENDER_COUNT] = { "distkv", "rocksdb-stock",
                                                        "rocksdb-tuned" };

    snprintf(out, PATH_ROOM, "%s/%s-%s", r->plan->dir, names[c], what);
}

static void *
open_fresh(const struct run *r, enum contender c, const char *what, bool filter)
{
    char path[PATH_ROOM];
    struct opponent_options options = {
        .dir = path,
        .cache_bytes = r->cache_bytes,
        .filter = filter && c != STOCK,
        .lz4 = r->lz4,
        .stock = c == STOCK,
    };

    path_of(r, c, what, path);
    disk_remove(path);
    return opponent_of(c)->open(&options);
}

static void
close_and_remove(const struct run *r, enum contender c, const char *what, void *store)
{
    char path[PATH_ROOM];

    opponent_of(c)->close(store);
    path_of(r, c, what, path);
    disk_remove(path);
}

/* ------------------------------------------------------------------ the rows */

static bool
takes_part(const struct run *r, enum contender c)
{
    return (r->plan->only & 1U << c) != 0;
}

/* Who begins changes with the repetition. */
static enum contender
in_turn(uint32_t repetition, int i)
{
    return (enum contender)((repetition + (uint32_t)i) % CONTENDER_COUNT);
}

static void
record(struct cell *cell, const struct measure *m)
{
    cell_add(cell, m->rate);
    cell->cpu_ns += m->cpu_ns;
    cell->operations += m->count;
}

/* Returns the seconds that the background work took afterwards. */
static double
fill(const struct run *r, enum contender c, void *store, enum row row, enum fill_order order,
     uint64_t seed)
{
    struct cell *cell = &r->report->cells[row][c];
    struct measure m = { .times_ns = &cell->times_ns };
    double settle_seconds;

    run_fill(opponent_of(c), store, r->plan->keys, order, seed, &m);
    record(cell, &m);
    settle_seconds = run_settle(opponent_of(c), store);
    if (row != ROW_FILLSEQ)
        cell_add(&r->report->cells[row + 1][c],
                 (double)r->plan->keys / ((double)r->plan->keys / m.rate + settle_seconds));
    return settle_seconds;
}

static void
fill_once(struct run *r, enum contender c, uint32_t repetition)
{
    void *store = open_fresh(r, c, "seq", true);
    char path[PATH_ROOM];

    fill(r, c, store, ROW_FILLSEQ, FILL_SEQUENTIAL, repetition);
    close_and_remove(r, c, "seq", store);
    if (r->stores[c] != NULL)
        close_and_remove(r, c, "main", r->stores[c]);
    r->stores[c] = open_fresh(r, c, "main", true);
    fill(r, c, r->stores[c], ROW_FILLRANDOM, FILL_SHUFFLED, repetition);
    r->report->settle_seconds[c] =
        fill(r, c, r->stores[c], ROW_OVERWRITE, FILL_DRAWN, repetition + 100);
    path_of(r, c, "main", path);
    r->report->table_bytes[c] = disk_bytes(path, ".sst");
}

static void
fill_rows(struct run *r)
{
    for (uint32_t repetition = 0; repetition < r->plan->repetitions; repetition++) {
        for (int i = 0; i < CONTENDER_COUNT; i++) {
            enum contender c = in_turn(repetition, i);

            if (takes_part(r, c))
                fill_once(r, c, repetition);
        }
    }
}

static void
load(enum contender c, void *store, uint64_t keys)
{
    struct histogram *ignored = mem_new(struct histogram);
    struct measure m = { .times_ns = ignored };

    if (ignored == NULL)
        abort();
    run_fill(opponent_of(c), store, keys, FILL_SHUFFLED, 1, &m);
    mem_free(ignored);
}

static void
get_row(const struct run *r, void *const *stores, enum row row, uint64_t keys, bool present)
{
    for (uint32_t repetition = 0; repetition <= r->plan->repetitions; repetition++) {
        for (int i = 0; i < CONTENDER_COUNT; i++) {
            enum contender c = in_turn(repetition, i);
            struct cell *cell = &r->report->cells[row][c];
            struct measure m = { .times_ns = &cell->times_ns };

            if (stores[c] == NULL)
                continue;
            run_get(opponent_of(c), stores[c], keys, present, r->plan->seconds, repetition, &m);
            if (repetition == 0)
                memset(&cell->times_ns, 0, sizeof(cell->times_ns)); /* it has warmed the caches */
            else
                record(cell, &m);
        }
    }
}

static void
open_main(struct run *r)
{
    for (int c = 0; c < CONTENDER_COUNT; c++) {
        if (!takes_part(r, (enum contender)c) || r->stores[c] != NULL)
            continue;
        r->stores[c] = open_fresh(r, (enum contender)c, "main", true);
        load((enum contender)c, r->stores[c], r->plan->keys);
        run_settle(opponent_of((enum contender)c), r->stores[c]);
    }
}

static void
unfiltered_row(struct run *r)
{
    void *stores[CONTENDER_COUNT] = { NULL };

    for (int c = 0; c < CONTENDER_COUNT; c++) {
        if (!takes_part(r, (enum contender)c) || c == STOCK)
            continue; /* which has no filter in any case */
        stores[c] = open_fresh(r, (enum contender)c, "unfiltered", false);
        load((enum contender)c, stores[c], r->plan->keys);
        run_settle(opponent_of((enum contender)c), stores[c]);
    }
    get_row(r, stores, ROW_MISS_UNFILTERED, r->plan->keys, false);
    for (int c = 0; c < CONTENDER_COUNT; c++) {
        if (stores[c] != NULL)
            close_and_remove(r, (enum contender)c, "unfiltered", stores[c]);
    }
}

static void
read_rows(struct run *r, uint32_t words)
{
    if ((words & (WORD_HIT | WORD_MISS)) != 0)
        open_main(r);
    if ((words & WORD_HIT) != 0)
        get_row(r, r->stores, ROW_HIT, r->plan->keys, true);
    if ((words & WORD_MISS) != 0)
        get_row(r, r->stores, ROW_MISS, r->plan->keys, false);
    if ((words & WORD_UNFILTERED) != 0)
        unfiltered_row(r);
}

static void
memtable_row(const struct run *r)
{
    void *stores[CONTENDER_COUNT] = { NULL };

    for (int c = 0; c < CONTENDER_COUNT; c++) {
        if (!takes_part(r, (enum contender)c))
            continue;
        stores[c] = open_fresh(r, (enum contender)c, "memtable", true);
        load((enum contender)c, stores[c], MEMTABLE_KEYS);
    }
    get_row(r, stores, ROW_MEMTABLE_HIT, MEMTABLE_KEYS, true);
    for (int c = 0; c < CONTENDER_COUNT; c++) {
        if (stores[c] != NULL)
            close_and_remove(r, (enum contender)c, "memtable", stores[c]);
    }
}

static void
mixed_row(struct run *r)
{
    open_main(r);
    for (uint32_t repetition = 0; repetition < r->plan->repetitions; repetition++) {
        for (int i = 0; i < CONTENDER_COUNT; i++) {
            enum contender c = in_turn(repetition, i);
            struct cell *cell = &r->report->cells[ROW_READ_WHILE_WRITING][c];
            struct measure m = { .times_ns = &cell->times_ns };

            if (r->stores[c] == NULL)
                continue;
            r->report->writes_per_second[c] =
                run_get_while_writing(opponent_of(c), r->stores[c], r->plan->keys,
                                      r->plan->writes_per_second, r->plan->seconds, repetition, &m);
            record(cell, &m);
            run_settle(opponent_of(c), r->stores[c]);
        }
    }
}

static void
sync_once(const struct run *r, enum contender c, void *store, enum row row, uint32_t threads)
{
    struct cell *cell = &r->report->cells[row][c];
    struct measure m = { .times_ns = &cell->times_ns };

    run_sync(opponent_of(c), store, threads, r->plan->seconds, &m);
    record(cell, &m);
}

static void
sync_rows(const struct run *r)
{
    struct cell *disk = &r->report->disk;

    for (uint32_t repetition = 0; repetition < r->plan->repetitions; repetition++) {
        cell_add(disk, (double)disk_sync_rate(r->plan->dir, PROBE_RECORD_BYTES, r->plan->seconds,
                                              &disk->times_ns) /
                           r->plan->seconds);
        for (int i = 0; i < CONTENDER_COUNT; i++) {
            enum contender c = in_turn(repetition, i);
            void *store;

            if (!takes_part(r, c))
                continue;
            store = open_fresh(r, c, "sync", true);
            sync_once(r, c, store, ROW_FILLSYNC, 1);
            sync_once(r, c, store, ROW_FILLSYNC_16, 16);
            close_and_remove(r, c, "sync", store);
        }
    }
}

/* ------------------------------------------------------------------ one table */

static void
measure(const struct plan *plan, size_t cache_bytes, bool lz4, uint32_t words)
{
    struct run r = { .plan = plan, .cache_bytes = cache_bytes, .lz4 = lz4 };

    r.report = mem_new(struct report);
    if (r.report == NULL)
        abort();
    printf("\n%llu keys of %d bytes, values of %d; cache %.0f MB, memtables %d MB; %s; "
           "%u repetitions\n",
           (unsigned long long)plan->keys, KEY_BYTES, VALUE_BYTES, (double)cache_bytes / 1e6,
           MEMTABLE_BYTES >> 20, lz4 ? "lz4 (stock: Snappy)" : "no compression (stock: Snappy)",
           plan->repetitions);
    fflush(stdout);
    if ((words & WORD_FILL) != 0)
        fill_rows(&r);
    read_rows(&r, words);
    if ((words & WORD_MEMTABLE) != 0)
        memtable_row(&r);
    if ((words & WORD_MIXED) != 0)
        mixed_row(&r);
    for (int c = 0; c < CONTENDER_COUNT; c++) {
        if (r.stores[c] != NULL)
            close_and_remove(&r, (enum contender)c, "main", r.stores[c]);
    }
    if ((words & WORD_SYNC) != 0)
        sync_rows(&r);
    report_print(r.report);
    fflush(stdout);
    mem_free(r.report);
}

/* What compression does not change is measured once. */
static void
measure_all(const struct plan *plan)
{
    const uint32_t same = WORD_SYNC | WORD_MEMTABLE | WORD_MIXED;
    uint32_t done = 0;

    for (uint32_t i = 0; i < plan->cache_count; i++) {
        if (plan->plain) {
            measure(plan, plan->caches[i], false, plan->words & ~done);
            done = WORD_SYNC | WORD_MEMTABLE;
        }
        if (plan->lz4)
            measure(plan, plan->caches[i], true, plan->words & ~(plan->plain ? same : 0));
    }
}

/* ------------------------------------------------------------------ options */

static void
usage(void)
{
    fprintf(stderr, "usage: bench_engine [--full] [--keys N] [--cache BYTES,..]\n"
                    "           [--compression plain|lz4|both] [--seconds S] [--repetitions N]\n"
                    "           [--rows fill,hit,miss,unfiltered,memtable,mixed,sync]\n"
                    "           [--only distkv,stock,tuned] [--writes-per-second N] [--dir DIR]\n");
    exit(2);
}

static void
set_full(struct plan *p)
{
    p->keys = 10000000;
    p->caches[0] = (size_t)1 << 30;
    p->caches[1] = (size_t)128 << 20;
    p->cache_count = 2;
    p->seconds = 5;
}

static void
set_caches(struct plan *p, const char *text)
{
    char *end;

    for (p->cache_count = 0; p->cache_count < LIST_MAX; text = end + 1) {
        p->caches[p->cache_count++] = strtoull(text, &end, 10);
        if (*end != ',')
            break;
    }
}

static void
set_rows(struct plan *p, const char *text)
{
    static const char *const words[] = { "fill",     "hit",   "miss", "unfiltered",
                                         "memtable", "mixed", "sync" };

    p->words = 0;
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
        p->words |= strstr(text, words[i]) != NULL ? 1U << i : 0;
    if (p->words == 0)
        usage();
}

static void
set_only(struct plan *p, const char *text)
{
    static const char *const names[CONTENDER_COUNT] = { "distkv", "stock", "tuned" };

    p->only = 0;
    for (int c = 0; c < CONTENDER_COUNT; c++)
        p->only |= strstr(text, names[c]) != NULL ? 1U << c : 0;
    if (p->only == 0)
        usage();
}

static void
set_compression(struct plan *p, const char *text)
{
    p->plain = strcmp(text, "lz4") != 0;
    p->lz4 = strcmp(text, "plain") != 0;
}

static void
set_option(struct plan *p, int option)
{
    switch (option) {
    case 'f':
        set_full(p);
        break;
    case 'k':
        p->keys = strtoull(optarg, NULL, 10);
        break;
    case 'c':
        set_caches(p, optarg);
        break;
    case 'z':
        set_compression(p, optarg);
        break;
    case 's':
        p->seconds = strtod(optarg, NULL);
        break;
    case 'n':
        p->repetitions = (uint32_t)strtoul(optarg, NULL, 10);
        break;
    case 'r':
        set_rows(p, optarg);
        break;
    case 'o':
        set_only(p, optarg);
        break;
    case 'w':
        p->writes_per_second = strtod(optarg, NULL);
        break;
    case 'd':
        snprintf(p->dir, sizeof(p->dir), "%s", optarg);
        break;
    default:
        usage();
    }
}

int
main(int argc, char **argv)
{
    static const struct option options[] = {
        { "full", no_argument, NULL, 'f' },
        { "keys", required_argument, NULL, 'k' },
        { "cache", required_argument, NULL, 'c' },
        { "compression", required_argument, NULL, 'z' },
        { "seconds", required_argument, NULL, 's' },
        { "repetitions", required_argument, NULL, 'n' },
        { "rows", required_argument, NULL, 'r' },
        { "only", required_argument, NULL, 'o' },
        { "writes-per-second", required_argument, NULL, 'w' },
        { "dir", required_argument, NULL, 'd' },
        { NULL, 0, NULL, 0 },
    };
    struct plan plan = {
        .keys = 1000000,
        .caches = { (size_t)192 << 20 },
        .cache_count = 1,
        .plain = true,
        .lz4 = true,
        .seconds = 0.7,
        .repetitions = 3,
        .words = ~0U,
        .only = ~0U,
        .writes_per_second = 20000,
    };
    const char *full = getenv("BENCH_FULL");
    int option;

    snprintf(plan.dir, sizeof(plan.dir), "bench-engine-%ld", (long)getpid());
    if (full != NULL && full[0] != '\0')
        set_full(&plan);
    while ((option = getopt_long(argc, argv, "", options, NULL)) != -1)
        set_option(&plan, option);
    if (plan.keys == 0 || plan.keys > UINT32_MAX || plan.cache_count == 0 ||
        plan.repetitions == 0 || plan.repetitions > REPETITIONS_MAX)
        usage();
    if (mkdir(plan.dir, 0700) != 0 && access(plan.dir, W_OK) != 0) {
        perror(plan.dir);
        return 1;
    }
    mem_tune_process();
    workload_init();
    machine_print(plan.dir);
    printf("versions    DistKV as built, RocksDB %s\n", rocksdb_version());
    printf("durability  a killed process loses nothing: write(2) for each put; "
           "fillsync: fdatasync before the reply\n");
    measure_all(&plan);
    (void)rmdir(plan.dir);
    return 0;
}
