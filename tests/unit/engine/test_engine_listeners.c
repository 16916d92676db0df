/*
 * Listeners of the log that join while others are told: tablets are opened on a running server.
 * On the real world; the thread sanitizer judges how they are linked, this test that each is told.
 */
#include <pthread.h>
#include <stdatomic.h>

#include "engine/engine.h"
#include "env/real.h"
#include "unit/test.h"

enum {
    TREE = 1,
    LOOPS = 2,
    JOINERS = 3,
    LISTENERS_EACH = 400,
    PATIENCE_US = 10 * 1000 * 1000,
    SEGMENT_BYTES = 16 << 20, /* one is enough: where room is made, all are called in any case */
};

struct ear {
    struct engine_listener listener;
    _Atomic uint32_t told;
};

struct house {
    struct env *env;
    struct loop *loops[LOOPS];
    struct engine *engine;
    struct engine_tree *tree;
    _Atomic bool over;
    _Atomic uint32_t next_joiner;
    _Atomic uint32_t failed; /* appends */
    _Atomic uint32_t deaf;   /* joined, and the log moved without their being told */
    struct ear ears[JOINERS][LISTENERS_EACH];
    char folder[64];
};

static void
on_moved(void *ctx)
{
    struct ear *ear = ctx;

    engine_await_log(&ear->listener);
    atomic_fetch_add(&ear->told, 1);
}

static enum status
no_replay(void *ctx, struct engine_tree *tree, const struct wal_record *record, wal_position at,
          struct err *err)
{
    (void)ctx;
    (void)tree;
    (void)record;
    (void)at;
    (void)err;
    return ST_OK;
}

static struct house *
open_house(void)
{
    struct house *h = calloc(1, sizeof(*h));
    struct real_env_options env_options = { .loop_count = LOOPS };
    struct engine_replay replay = { .replay = no_replay };
    struct engine_options options;
    struct wal_recovery report;
    const char *tmp = getenv("TMPDIR");
    struct err err = { 0 };

    snprintf(h->folder, sizeof(h->folder), "%s/dkv-listeners-XXXXXX", tmp != NULL ? tmp : "/tmp");
    assert_non_null(mkdtemp(h->folder));
    EXPECT_OK(real_env_create(&env_options, &h->env, &err));
    for (uint32_t i = 0; i < LOOPS; i++)
        h->loops[i] = real_env_loop(h->env, i);
    engine_options_default(&options);
    options.dir = h->folder;
    options.segment_bytes = SEGMENT_BYTES;
    options.min_free_bytes = 1 << 20;
    options.loops = h->loops;
    options.loop_count = LOOPS;
    EXPECT_OK(engine_open(&h->engine, h->env, &options, &err));
    EXPECT_OK(engine_recover(h->engine, &replay, &report, &err));
    EXPECT_OK(engine_create_tree(h->engine, TREE, &h->tree, &err));
    return h;
}

static void
close_house(struct house *h)
{
    char command[128];
    struct err err;

    EXPECT_OK(engine_close(h->engine, &err));
    real_env_destroy(h->env);
    snprintf(command, sizeof(command), "rm -rf '%s'", h->folder);
    EXPECT(system(command) == 0); /* NOLINT(cert-env33-c): a folder of our own making */
    free(h);
}

/* The log moves as often as it can. */
static void *
move_the_log(void *arg)
{
    struct house *h = arg;
    struct wal_record record = { .type = WAL_HEAD, .tablet = TREE, .body = slice_str("head") };
    wal_position end;

    while (!atomic_load(&h->over)) {
        enum status st = engine_append(h->tree, &record, ENGINE_SYNC_NOW, &end, NULL);

        if (st != ST_OK && st != ST_BUSY) /* there is no room for the moment: that moves it, too */
            atomic_fetch_add(&h->failed, 1);
        engine_flush(h->engine, false);
        usleep(50);
    }
    return NULL;
}

static bool
is_told_again(struct ear *ear)
{
    uint32_t before = atomic_load(&ear->told);

    for (int us = 0; us < PATIENCE_US; us += 100) {
        if (atomic_load(&ear->told) != before)
            return true;
        usleep(100);
    }
    return false;
}

static void *
join(void *arg)
{
    struct house *h = arg;
    uint32_t me = atomic_fetch_add(&h->next_joiner, 1);

    for (int i = 0; i < LISTENERS_EACH; i++) {
        struct ear *ear = &h->ears[me][i];

        ear->listener.moved = on_moved;
        ear->listener.ctx = ear;
        ear->listener.loop = h->loops[i % LOOPS];
        engine_listen(h->engine, &ear->listener);
        if (!is_told_again(ear)) {
            atomic_fetch_add(&h->deaf, 1);
            break;
        }
    }
    return NULL;
}

static void *
run_loops(void *arg)
{
    struct house *h = arg;
    struct err err;

    EXPECT_OK(real_env_run(h->env, &err));
    return NULL;
}

TEST(listeners_that_join_while_the_log_moves_are_told_and_so_are_all_before_them)
{
    struct house *h = open_house();
    pthread_t loops, mover, joiners[JOINERS];

    EXPECT(pthread_create(&loops, NULL, run_loops, h) == 0);
    EXPECT(pthread_create(&mover, NULL, move_the_log, h) == 0);
    for (int i = 0; i < JOINERS; i++)
        EXPECT(pthread_create(&joiners[i], NULL, join, h) == 0);
    for (int i = 0; i < JOINERS; i++)
        pthread_join(joiners[i], NULL);
    EXPECT_U64(h->deaf, 0);
    for (int i = 0; i < JOINERS * LISTENERS_EACH; i++)
        EXPECT(is_told_again(&h->ears[i / LISTENERS_EACH][i % LISTENERS_EACH]));
    atomic_store(&h->over, true);
    pthread_join(mover, NULL);
    real_env_stop(h->env);
    pthread_join(loops, NULL);
    EXPECT_U64(h->failed, 0);
    close_house(h);
}

TEST_MAIN(RUN(listeners_that_join_while_the_log_moves_are_told_and_so_are_all_before_them))
