/*
 * A test of the tests: every kind of fsync is needed.  With the syncs of one kind
 * of path turned into nothing, power cuts must soon lose an acknowledged write or leave damage; with all
 * of them in place they never do.
 */
#include "base/log.h"

#include "kv_fixture.h"
#include "unit/test.h"

enum { KEYS = 20, SEEDS_MAX = 150, ROUNDS = 3 };

struct life {
    struct kvfix f;
    uint32_t acknowledged[KEYS];
    uint32_t next;
};

static bool
put(struct life *l, int k)
{
    char key[16], value[300];
    bool done;

    snprintf(key, sizeof(key), "key:%02d", k);
    snprintf(value, sizeof(value), "%u %0250d", ++l->next, 0);
    done = fix_put(&l->f, key, value) == ST_OK;
    if (done)
        l->acknowledged[k] = l->next;
    return done;
}

/* Everything that was acknowledged: nothing is under way when the power is cut. */
static bool
holds(struct life *l)
{
    char key[16];

    for (int k = 0; k < KEYS; k++) {
        const char *got;

        snprintf(key, sizeof(key), "key:%02d", k);
        got = fix_get(&l->f, key);
        if (got[0] == '!' || (uint32_t)atoi(got) != l->acknowledged[k])
            return false;
    }
    return true;
}

/* A round may end while the log has the writes, or the tables, or right after its creation. */
static bool
one_round(struct life *l)
{
    uint64_t count = prng_below(sim_prng(l->f.w), 3) == 0 ? 1 : prng_below(sim_prng(l->f.w), 400);

    for (uint64_t i = 0; i < count; i++) {
        if (!put(l, (int)prng_below(sim_prng(l->f.w), KEYS)))
            return false;
    }
    if (prng_chance(sim_prng(l->f.w), 1, 2) && fix_admin(&l->f, KV_SAVE, NULL) != ST_OK)
        return false;
    if (prng_chance(sim_prng(l->f.w), 1, 2) && fix_admin(&l->f, KV_COMPACT, NULL) != ST_OK)
        return false;
    if (prng_chance(sim_prng(l->f.w), 1, 2))
        sim_run_ms(l->f.w, 2000);
    return true;
}

/* False: something was lost, or damaged. */
static bool
live(uint64_t seed, const char *ignored)
{
    struct life *l = calloc(1, sizeof(*l));
    bool fine;

    kvfix_create(&l->f, seed);
    l->f.options.segment_bytes = 64 << 10;
    l->f.options.log_bytes_max = 128 << 10;
    sim_ignore_sync(l->f.w, FIX_NODE, ignored);
    fine = kvfix_open(&l->f) == ST_OK;
    for (int round = 0; round < ROUNDS && fine; round++) {
        fine = one_round(l);
        kvfix_crash(&l->f);
        fine = fine && kvfix_open(&l->f) == ST_OK && holds(l);
    }
    kvfix_destroy(&l->f);
    free(l);
    return fine;
}

static void
expect_needed(const char *part)
{
    uint64_t seed = test_seed(1);

    for (uint64_t i = 0; i < SEEDS_MAX; i++) {
        if (live(seed + i, part))
            continue;
        print_message("%s: noticed at seed %llu\n", part, (unsigned long long)(seed + i));
        return;
    }
    fail_msg("nobody noticed that \"%s\" is never synced", part);
}

TEST(with_every_sync_in_place_nothing_is_lost)
{
    uint64_t seed = test_seed(1);

    for (uint64_t i = 0; i < 30; i++)
        EXPECT(live(seed + i, NULL));
}

TEST(the_syncs_of_log_segments_are_needed)
{
    expect_needed(".log");
}

TEST(the_sync_of_the_chain_is_needed)
{
    expect_needed("CHAIN");
}

TEST(the_syncs_of_manifests_are_needed)
{
    expect_needed("MANIFEST");
}

TEST(the_syncs_of_tables_are_needed)
{
    expect_needed(".sst");
}

TEST(the_sync_of_the_catalogue_is_needed)
{
    expect_needed("CATALOGUE");
}

TEST(the_sync_of_the_identity_is_needed)
{
    expect_needed("IDENTITY");
}

/* Of the folders: all of them have "data" in their paths, as the files have; those of one kind
 * of folder alone are named by their ends. */
TEST(the_syncs_of_the_log_folder_and_its_files_are_needed)
{
    expect_needed("log-0");
}

TEST(the_syncs_of_tree_folders_and_their_files_are_needed)
{
    expect_needed("tree-");
}

QUIET_TEST_MAIN(RUN(with_every_sync_in_place_nothing_is_lost),
                RUN(the_syncs_of_log_segments_are_needed), RUN(the_sync_of_the_chain_is_needed),
                RUN(the_syncs_of_manifests_are_needed), RUN(the_syncs_of_tables_are_needed),
                RUN(the_sync_of_the_catalogue_is_needed), RUN(the_sync_of_the_identity_is_needed),
                RUN(the_syncs_of_the_log_folder_and_its_files_are_needed),
                RUN(the_syncs_of_tree_folders_and_their_files_are_needed))
