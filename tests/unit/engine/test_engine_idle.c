/*
 * A store with a thousand trees that nobody uses: what it holds in memory and in descriptors, and
 * that all is found when somebody comes.
 */
#include <dirent.h>
#include <errno.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/log.h"

#include "env/real.h"
#include "unit/engine/store_fixture.h"
#include "unit/test.h"

enum {
    TREES = 1000,
    OPEN_TABLES = 50,
    SPARE_DESCRIPTORS = 30, /* the log, LOCK, RESERVE, readers of other jobs */
    IDLE_MS = 1000,
    HEAP_PER_TREE = 6 << 10,
    HEAP_BESIDES = 2 << 20, /* the caches' tables, the log's buffers */
    REAL_TREES = 40,
    MANIFESTS = 64, /* that may be open */
};

static void
name_tree(int number, char out[16])
{
    snprintf(out, 16, "tree%04d", number);
}

static struct dkv_family *
tree(struct dkv *db, int number)
{
    struct dkv_family *family = NULL;
    struct dkv_error error;
    char name[16];

    name_tree(number, name);
    EXPECT(dkv_family_open(db, name, true, &family, &error) == DKV_OK);
    return family;
}

static void
write_trees(struct dkv *db, int count)
{
    static const struct dkv_write_options unsynced = { DKV_SYNC_NONE };
    struct dkv_error error;
    char name[16];

    for (int i = 0; i < count; i++) {
        name_tree(i, name);
        EXPECT(dkv_put(db, tree(db, i), name, 8, name, 8, &unsynced, &error) == DKV_OK);
    }
    EXPECT(dkv_flush(db, &error) == DKV_OK);
}

static void
read_trees(struct dkv *db, int count)
{
    struct dkv_error error;
    char name[16], value[16];
    size_t size;

    for (int i = 0; i < count; i++) {
        name_tree(i, name);
        error.text[0] = '\0';
        (void)dkv_get_into(db, tree(db, i), NULL, name, 8, value, sizeof(value), &size, &error);
        EXPECT_STR(error.text, "");
        EXPECT(size == 8 && memcmp(value, name, 8) == 0);
    }
}

static uint32_t
open_tables(struct dkv *db)
{
    struct engine_stats stats;

    engine_stats(db->engine, &stats);
    return stats.open_tables;
}

/* ------------------------------------------------------------------ a thousand, simulated */

static void
write_a_thousand(struct store_fix *f)
{
    write_trees(f->db, TREES);
}

static void
expect_few_files(struct store_fix *f)
{
    EXPECT(sim_open_files(f->w, STORE_NODE) < OPEN_TABLES + SPARE_DESCRIPTORS);
}

/* More than may be open: each opens its table, and another one goes. */
static void
read_a_thousand(struct store_fix *f)
{
    read_trees(f->db, TREES);
    EXPECT(open_tables(f->db) <= OPEN_TABLES);
}

static void
expect_rest(struct store_fix *f)
{
    sim_run_ms(f->w, 4 * IDLE_MS);
    EXPECT_U64(open_tables(f->db), 0);
    print_message("%d idle trees: %u descriptors, %zu KB of heap\n", TREES,
                  sim_open_files(f->w, STORE_NODE), sim_heap(f->w, STORE_NODE)->byte_count >> 10);
    EXPECT(sim_open_files(f->w, STORE_NODE) < SPARE_DESCRIPTORS);
    EXPECT(sim_heap(f->w, STORE_NODE)->byte_count < TREES * HEAP_PER_TREE + HEAP_BESIDES);
}

TEST(a_thousand_idle_trees_hold_no_descriptor_and_a_few_megabytes)
{
    struct store_fix f;

    store_create(&f, test_seed(1));
    f.options.memory_budget_bytes = 64 << 20;
    f.options.block_cache_bytes = 256 << 10;
    f.options.record_cache_bytes = 256 << 10;
    f.options.log_segment_bytes = 4 << 20;
    f.options.open_tables_max = OPEN_TABLES;
    EXPECT_OK(store_open(&f));
    f.db->engine->options.idle_close_ms = IDLE_MS;
    EXPECT(store_run(&f, write_a_thousand));
    expect_few_files(&f); /* a thousand manifests are not left open either */
    expect_rest(&f);
    EXPECT(store_run(&f, read_a_thousand));
    EXPECT_U64(open_tables(f.db), OPEN_TABLES); /* no more than needed were closed */
    expect_few_files(&f);
    expect_rest(&f);
    EXPECT(store_run(&f, read_a_thousand));
    store_close(&f);
    store_destroy(&f);
}

/* ------------------------------------------------------------------ manifests that rest */

static void
write_a_few(struct store_fix *f)
{
    write_trees(f->db, 2 * MANIFESTS);
}

/* Flushes wait for the job in which manifests rest. */
TEST(manifests_rest_a_few_at_a_time_and_sync_nothing)
{
    uint32_t open, before;
    struct store_fix f;
    uint64_t syncs;

    store_create(&f, test_seed(1));
    EXPECT_OK(store_open(&f));
    EXPECT(store_run(&f, write_a_few));
    open = sim_open_files(f.w, STORE_NODE);
    EXPECT(open >= MANIFESTS && open < MANIFESTS + SPARE_DESCRIPTORS);
    sim_run_ms(f.w, IDLE_MS); /* the log's own have come to an end */
    syncs = sim_op_count(f.w, STORE_NODE, SIM_SYNC);
    for (int seconds = 0; seconds < 7; seconds++) {
        before = sim_open_files(f.w, STORE_NODE);
        sim_run_ms(f.w, 1000);
        open = sim_open_files(f.w, STORE_NODE);
        EXPECT(before <= open + MANIFESTS / 4);
    }
    EXPECT(open < SPARE_DESCRIPTORS);
    EXPECT_U64(sim_op_count(f.w, STORE_NODE, SIM_SYNC), syncs);
    store_close(&f);
    store_destroy(&f);
}

/* ------------------------------------------------------------------ a few, on the real world */

static rlim_t
count_descriptors(void)
{
    DIR *d = opendir("/proc/self/fd");
    rlim_t count = 0;

    assert_non_null(d);
    while (readdir(d) != NULL)
        count++;
    closedir(d);
    return count - 3; /* ".", ".." and the folder itself */
}

/* Fewer than it takes, whatever the option says. */
static void
read_with_few_descriptors(struct dkv *db)
{
    struct rlimit before, few;

    EXPECT(getrlimit(RLIMIT_NOFILE, &before) == 0);
    few = before;
    few.rlim_cur = count_descriptors() + REAL_TREES / 4;
    EXPECT(setrlimit(RLIMIT_NOFILE, &few) == 0);
    read_trees(db, REAL_TREES);
    EXPECT(open_tables(db) <= REAL_TREES / 4);
    EXPECT(setrlimit(RLIMIT_NOFILE, &before) == 0);
}

static rlim_t
highest_descriptor(void)
{
    DIR *d = opendir("/proc/self/fd");
    rlim_t highest = 0;
    struct dirent *at;

    assert_non_null(d);
    while ((at = readdir(d)) != NULL) {
        rlim_t number = strtoul(at->d_name, NULL, 10); /* of ".": 0 */

        if (number > highest)
            highest = number;
    }
    closedir(d);
    return highest;
}

/* Tables have some, and nothing else is left. */
static void
flush_without_descriptors(struct dkv *db)
{
    static const struct dkv_write_options unsynced = { DKV_SYNC_NONE };
    enum { TAKEN_MAX = 256 };
    struct dkv_error error = { 0 };
    struct rlimit before, none;
    int taken[TAKEN_MAX];
    int count = 0;

    EXPECT(open_tables(db) > 4);
    EXPECT(getrlimit(RLIMIT_NOFILE, &before) == 0);
    none = before;
    none.rlim_cur = highest_descriptor() + 1;
    EXPECT(setrlimit(RLIMIT_NOFILE, &none) == 0);
    while (count < TAKEN_MAX && (taken[count] = dup(STDERR_FILENO)) >= 0)
        count++;
    EXPECT(count < TAKEN_MAX && errno == EMFILE);

    EXPECT(dkv_put(db, tree(db, 1), "key", 3, "value", 5, &unsynced, &error) == DKV_OK);
    (void)dkv_flush(db, &error);
    EXPECT_STR(error.text, "");
    while (count > 0)
        EXPECT(close(taken[--count]) == 0);
    EXPECT(setrlimit(RLIMIT_NOFILE, &before) == 0);
}

static void
make_folder(char folder[64])
{
    const char *tmp = getenv("TMPDIR");

    snprintf(folder, 64, "%s/dkv-idle-XXXXXX", tmp != NULL ? tmp : "/tmp");
    assert_non_null(mkdtemp(folder));
}

static void
remove_folder(const char *folder)
{
    char command[128];

    snprintf(command, sizeof(command), "rm -rf '%s'", folder);
    EXPECT(system(command) == 0); /* NOLINT(cert-env33-c): a folder of our own making */
}

/* What tables of an embedded store may hold, where the process may have so many. */
static uint32_t
tables_where(rlim_t descriptors, const struct dkv_options *options)
{
    struct rlimit before, few;
    struct dkv *db = NULL;
    char folder[64];
    uint32_t max;

    make_folder(folder);
    EXPECT(getrlimit(RLIMIT_NOFILE, &before) == 0);
    few = before;
    few.rlim_cur = descriptors;
    EXPECT(setrlimit(RLIMIT_NOFILE, &few) == 0);
    EXPECT(dkv_open(&db, folder, options, NULL) == DKV_OK);
    max = db->engine->options.open_tables_max;
    EXPECT(dkv_close(db, NULL) == DKV_OK);
    EXPECT(setrlimit(RLIMIT_NOFILE, &before) == 0);
    remove_folder(folder);
    return max;
}

TEST(an_embedded_store_takes_a_quarter_of_the_descriptors_for_tables)
{
    const struct dkv_options options = { .min_free_bytes = 1 << 20,
                                         .log_segment_bytes = 1 << 20,
                                         .open_tables_max = 500 };
    struct dkv_options defaults = options;

    defaults.open_tables_max = 0;
    EXPECT_U64(tables_where(400, &defaults), 100);
    EXPECT_U64(tables_where(30, &defaults), 8);
    EXPECT_U64(tables_where(400, &options), 500); /* the application knows better */
}

TEST(descriptors_go_back_to_the_system_and_may_run_out)
{
    struct dkv_options options = {
        .memory_budget_bytes = 32 << 20,
        .memtable_bytes = 64 << 10,
        .record_cache_bytes = 64 << 10,
        .log_segment_bytes = 1 << 20,
        .min_free_bytes = 1 << 20,
        .open_tables_max = 2 * MANIFESTS, /* so that all manifests rest at once */
    };
    struct dkv *db = NULL;
    char folder[64];
    rlim_t before;

    make_folder(folder);
    EXPECT(dkv_open(&db, folder, &options, NULL) == DKV_OK);
    db->engine->options.idle_close_ms = 100;
    before = count_descriptors();
    write_trees(db, REAL_TREES);
    env_sleep_ms(db->env, 2500);
    EXPECT_U64(open_tables(db), 0);
    EXPECT(count_descriptors() <= before + 4); /* segments, and the reserve */
    db->engine->options.idle_close_ms = 100000;
    read_with_few_descriptors(db);
    flush_without_descriptors(db);
    EXPECT(dkv_close(db, NULL) == DKV_OK);
    remove_folder(folder);
}

QUIET_TEST_MAIN(RUN(a_thousand_idle_trees_hold_no_descriptor_and_a_few_megabytes),
                RUN(manifests_rest_a_few_at_a_time_and_sync_nothing),
                RUN(an_embedded_store_takes_a_quarter_of_the_descriptors_for_tables),
                RUN(descriptors_go_back_to_the_system_and_may_run_out))
