/* A real disk and real threads: many append, one flushes, one tends; meant for the thread
 * sanitizer, but the data must come back in any build. */
#include <dirent.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/coding.h"
#include "base/prng.h"

#include "env/real.h"
#include "unit/test.h"
#include "wal/wal.h"

enum { APPENDERS = 4, RECORDS = 3000, BODY_MAX = 2000, SEGMENT = 64 << 10, PATH_ROOM = 200 };

struct shared {
    char root[PATH_ROOM];
    char dir[PATH_ROOM + 10];
    struct env *env;
    struct wal *wal;
    _Atomic unsigned appending; /* threads that still do */
    _Atomic bool flushed;       /* the flusher has ended */
    wal_position ends[APPENDERS + 1][RECORDS + 1];
    uint64_t replayed[APPENDERS + 1]; /* the last index of each tablet */
    uint64_t heads[APPENDERS + 1];
    bool gap;
};

struct appender {
    struct shared *shared;
    uint64_t tablet;
    pthread_t thread;
};

/* cmocka's failures jump, which only the test's own thread may do. */
static void
must(enum status st, const struct err *err)
{
    if (st == ST_OK)
        return;
    fprintf(stderr, "%s\n", err->text);
    abort();
}

/* ------------------------------------------------------------------ threads */

static void
append_one(struct appender *a, struct prng *p, uint64_t index)
{
    uint8_t body[BODY_MAX];
    struct wal_record r = { .type = WAL_ENTRY, .tablet = a->tablet, .term = 1, .index = index };
    struct err err;
    enum status st;

    memset(body, (int)index, sizeof(body));
    put_u64le(body, index);
    r.body = slice_of(body, 8 + prng_below(p, BODY_MAX - 8));
    if (index % 50 == 0) {
        r.type = WAL_HEAD;
        r.index = 0;
    }
    do {
        st = wal_append(a->shared->wal, &r, &a->shared->ends[a->tablet][index], &err);
        if (st == ST_BUSY)
            sched_yield();
    } while (st == ST_BUSY);
    must(st, &err);
}

static void *
append_all(void *ctx)
{
    struct appender *a = ctx;
    struct prng p;

    prng_init(&p, a->tablet);
    for (uint64_t index = 1; index <= RECORDS; index++) {
        append_one(a, &p, index);
        ASSERT(wal_durable(a->shared->wal) <= wal_written(a->shared->wal));
        if (index % 97 == 0)
            wal_forget(a->shared->wal, 1000 + a->tablet); /* of nobody, but under the lock */
    }
    atomic_fetch_sub(&a->shared->appending, 1);
    return NULL;
}

static void *
flush_all(void *ctx)
{
    struct shared *s = ctx;
    bool last = false;
    struct err err;

    for (uint64_t round = 0; !last; round++) {
        last = atomic_load(&s->appending) == 0;
        must(wal_flush(s->wal, last || round % 4 == 0, &err), &err);
        if (wal_wants_mark(s->wal))
            must(wal_mark(s->wal, &err), &err);
        ASSERT(wal_health(s->wal) == ST_OK);
    }
    atomic_store(&s->flushed, true);
    return NULL;
}

static void *
tend_all(void *ctx)
{
    struct shared *s = ctx;
    struct wal_counters counters;
    struct err err;

    while (!atomic_load(&s->flushed)) {
        wal_position durable = wal_durable(s->wal);

        wal_release(s->wal, durable / 2); /* the younger half is kept */
        if (wal_wants_tending(s->wal))
            must(wal_tend(s->wal, &err), &err);
        ASSERT(wal_begin(s->wal) <= wal_end(s->wal) && wal_retained_bytes(s->wal) >= SEGMENT);
        wal_count(s->wal, &counters);
        sched_yield();
    }
    return NULL;
}

/* ------------------------------------------------------------------ what comes back */

static enum status
check_record(void *ctx, const struct wal_record *r, wal_position at, struct err *err)
{
    struct shared *s = ctx;
    uint64_t index = get_u64le(r->body.data);

    (void)at;
    (void)err;
    if (r->type == WAL_HEAD) {
        s->heads[r->tablet] = index;
        if (index <= s->replayed[r->tablet] || s->replayed[r->tablet] == 0)
            return ST_OK; /* repeated, or at the beginning */
    }
    if (s->replayed[r->tablet] != 0 && index != s->replayed[r->tablet] + 1)
        s->gap = true;
    s->replayed[r->tablet] = index;
    return ST_OK;
}

static void
open_stream(struct shared *s, bool create)
{
    struct wal_options options = {
        .dir = s->dir,
        .store_id = 1,
        .segment_bytes = SEGMENT,
        .gather_bytes_max = 128 << 10,
        .spare_count = 3,
        .create = create,
        .replay = check_record,
        .replay_ctx = s,
    };
    struct wal_recovery report;
    struct err err;

    must(wal_open(&s->wal, s->env, &options, &report, &err), &err);
}

static void
remove_tree(const char *path)
{
    DIR *dir = opendir(path);
    struct dirent *entry;

    while (dir != NULL && (entry = readdir(dir)) != NULL) {
        char name[PATH_ROOM * 3];

        snprintf(name, sizeof(name), "%s/%s", path, entry->d_name);
        if (entry->d_name[0] != '.' && unlink(name) != 0)
            remove_tree(name);
    }
    if (dir != NULL)
        closedir(dir);
    rmdir(path);
}

static struct shared *
create_shared(void)
{
    struct real_env_options none = { 0 };
    struct shared *s = calloc(1, sizeof(*s));
    const char *base = getenv("TMPDIR");
    struct err err;

    assert_non_null(s);
    snprintf(s->root, sizeof(s->root), "%s/wal-threads-XXXXXX", base != NULL ? base : P_tmpdir);
    EXPECT(mkdtemp(s->root) != NULL);
    snprintf(s->dir, sizeof(s->dir), "%s/log", s->root);
    EXPECT_OK(real_env_create(&none, &s->env, &err));
    open_stream(s, true);
    atomic_store(&s->appending, APPENDERS);
    return s;
}

TEST(threads_append_flush_and_tend_at_once)
{
    struct shared *s = create_shared();
    struct appender appenders[APPENDERS];
    pthread_t flusher, tender;
    wal_position kept;
    struct err err;

    EXPECT(pthread_create(&flusher, NULL, flush_all, s) == 0);
    EXPECT(pthread_create(&tender, NULL, tend_all, s) == 0);
    for (unsigned i = 0; i < APPENDERS; i++) {
        appenders[i] = (struct appender){ .shared = s, .tablet = i + 1 };
        EXPECT(pthread_create(&appenders[i].thread, NULL, append_all, &appenders[i]) == 0);
    }
    for (unsigned i = 0; i < APPENDERS; i++)
        EXPECT(pthread_join(appenders[i].thread, NULL) == 0);
    EXPECT(pthread_join(flusher, NULL) == 0);
    EXPECT(pthread_join(tender, NULL) == 0);

    for (unsigned tablet = 1; tablet <= APPENDERS; tablet++) {
        for (unsigned i = 1; i < RECORDS; i++)
            EXPECT(s->ends[tablet][i] < s->ends[tablet][i + 1]);
        EXPECT(s->ends[tablet][RECORDS] <= wal_durable(s->wal));
    }
    kept = wal_begin(s->wal);
    EXPECT_OK(wal_close(s->wal, &err));
    open_stream(s, false);
    EXPECT(!s->gap);
    for (unsigned tablet = 1; tablet <= APPENDERS; tablet++) {
        if (s->ends[tablet][RECORDS] > kept) /* not who was done before half of the rest */
            EXPECT_U64(s->replayed[tablet], RECORDS);
        EXPECT_U64(s->heads[tablet], RECORDS / 50 * 50);
    }
    EXPECT_OK(wal_close(s->wal, &err));
    real_env_destroy(s->env);
    remove_tree(s->root);
    free(s);
}

TEST_MAIN(RUN(threads_append_flush_and_tend_at_once))
