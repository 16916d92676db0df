#include "unit/wal/life.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/assert.h"

#include "wal/wal_internal.h"

enum { SEGMENT = 64 << 10 };

struct life *
life_create(uint64_t seed)
{
    struct life *l = calloc(1, sizeof(*l));

    ASSERT(l != NULL);
    l->sim = sim_create(seed);
    l->track = calloc(1, sizeof(*l->track));
    ASSERT(l->sim != NULL && l->track != NULL);
    prng_init(&l->prng, seed ^ 0x11fe);
    l->swallow = SYNC_NONE;
    l->options = (struct wal_options){
        .dir = "/log",
        .store_id = 0x5702e1d,
        .segment_bytes = SEGMENT,
        .gather_bytes_max = 256 << 10,
        .spare_count = 1,
        .create = true,
        .replay = track_replay,
        .replay_ctx = l->track,
    };
    return l;
}

void
life_destroy(struct life *l)
{
    sim_destroy(l->sim);
    free(l->track);
    free(l);
}

uint64_t
life_effort(uint64_t usual)
{
    const char *text = getenv("TEST_EFFORT");
    uint64_t times = text != NULL ? strtoull(text, NULL, 0) : 1;

#if defined(__SANITIZE_THREAD__)
    usual = usual < 10 ? 1 : usual / 10;
#endif
    return usual * times;
}

static void
complain(struct life *l, const char *what, enum status st)
{
    if (!l->forgiving && l->track->failure[0] == '\0')
        snprintf(l->track->failure, sizeof(l->track->failure), "%s: %s: %s", what, status_name(st),
                 l->err.text);
}

/* ------------------------------------------------------------------ what it does */

static enum status
flush(struct life *l, bool sync)
{
    char path[LIMIT_PATH_BYTES];
    enum status st;

    wal__segment_path(&l->wal->place, l->wal->current->sequence, path);
    l->shim.writing = path;
    l->shim.flushing = true;
    st = wal_flush(l->wal, sync, &l->err);
    l->shim.flushing = false;
    if (st != ST_OK)
        complain(l, "flush", st);
    track_acknowledge(l->track, l->wal);
    return st;
}

static enum status
tend(struct life *l)
{
    enum status st = wal_tend(l->wal, &l->err);

    if (st != ST_OK)
        complain(l, "tend", st);
    return st;
}

/* ------------------------------------------------------------------ beside the appends */

static void
flush_run(struct job *job)
{
    struct life *l = container_of(job, struct life, flush_job);

    flush(l, l->flush_sync);
    l->flush_busy = false;
}

static void
tend_run(struct job *job)
{
    struct life *l = container_of(job, struct life, tend_job);

    tend(l);
    l->tend_busy = false;
}

static void
start_flush(struct life *l, bool sync)
{
    if (l->flush_busy)
        return;
    l->flush_busy = true;
    l->flush_sync = sync;
    l->flush_job = (struct job){ .run = flush_run };
    env_submit(l->shim.inner, ENV_LANE_LOG, &l->flush_job);
}

static void
start_tend(struct life *l)
{
    if (l->tend_busy)
        return;
    l->tend_busy = true;
    l->tend_job = (struct job){ .run = tend_run };
    env_submit(l->shim.inner, ENV_LANE_FLUSH, &l->tend_job);
}

static void
wait_for_jobs(struct life *l)
{
    while (l->flush_busy || l->tend_busy)
        env_sleep_ms(l->shim.inner, 1);
}

/* Do what makes an append possible that was refused; false when that fails. */
static bool
make_way(struct life *l)
{
    if (!l->concurrent)
        return flush(l, false) == ST_OK && tend(l) == ST_OK;
    start_flush(l, false);
    start_tend(l);
    wait_for_jobs(l);
    return true;
}

/* ------------------------------------------------------------------ steps */

/* Back-pressure is answered as a caller would: by flushing, and by tending. */
static void
append(struct life *l, enum wal_record_type type, uint8_t tablet, uint32_t size)
{
    enum status st = track_append(l->track, l->wal, type, tablet, size, &l->err);

    for (int i = 0; i < 3 && (st == ST_BUSY || st == ST_NO_SPACE); i++) {
        if (wal_health(l->wal) != ST_OK)
            break;
        if (!make_way(l))
            return;
        st = track_append(l->track, l->wal, type, tablet, size, &l->err);
    }
    if (st != ST_OK)
        complain(l, "append", st);
}

static void
mark(struct life *l)
{
    enum status st = ST_OK;

    if (wal_wants_mark(l->wal))
        st = wal_mark(l->wal, &l->err);
    if (st != ST_OK)
        complain(l, "mark", st);
}

static void
do_something(struct life *l)
{
    struct prng *p = &l->prng;
    uint8_t tablet = (uint8_t)prng_below(p, TRACK_TABLETS);

    switch (prng_below(p, 12)) {
    case 0:
    case 1:
    case 2:
        append(l, WAL_ENTRY, tablet, 4 + (uint32_t)prng_below(p, 1000));
        return;
    case 3:
        append(l, WAL_HEAD, tablet, 4 + (uint32_t)prng_below(p, 60));
        return;
    case 4:
    case 5:
        append(l, WAL_ENTRY, tablet, 4 + (uint32_t)prng_below(p, 40000));
        return;
    case 6:
        if (prng_chance(p, 1, 8))
            append(l, WAL_ENTRY, tablet, 60000 + (uint32_t)prng_below(p, 100000));
        else
            append(l, WAL_CUT, tablet, 0);
        return;
    case 7:
    case 8:
        if (l->concurrent)
            start_flush(l, prng_chance(p, 3, 4));
        else
            flush(l, prng_chance(p, 3, 4));
        return;
    case 9:
        if (l->track->acknowledged > 0)
            track_release(l->track, l->wal, (uint32_t)prng_below(p, l->track->acknowledged + 1));
        return;
    case 10:
        if (l->concurrent)
            start_tend(l);
        else
            tend(l);
        return;
    default:
        if (l->concurrent)
            env_sleep_ms(l->shim.inner, 1);
        mark(l);
        return;
    }
}

/* Everything that a stream can do, in a fixed order. */
static void
fixed_programme(struct life *l)
{
    append(l, WAL_HEAD, 1, 20);
    append(l, WAL_ENTRY, 1, 100);
    flush(l, true);
    tend(l);
    append(l, WAL_HEAD, 2, 30);
    append(l, WAL_CUT, 1, 0);
    append(l, WAL_ENTRY, 2, 50000);
    flush(l, false);
    append(l, WAL_ENTRY, 1, 20000); /* crosses into the next segment */
    append(l, WAL_HEAD, 1, 25);
    flush(l, true);
    mark(l);
    flush(l, true);
    track_release(l->track, l->wal, l->track->acknowledged);
    tend(l);                         /* recycles */
    append(l, WAL_ENTRY, 3, 100000); /* wants a segment of its own */
    flush(l, true);
    track_release(l->track, l->wal, l->track->acknowledged / 2);
    tend(l);
    append(l, WAL_ENTRY, 3, 500);
    flush(l, true);
}

static void
live(void *ctx)
{
    struct life *l = ctx;
    enum status st;

    track_begin(l->track);
    l->opened = wal_open(&l->wal, &l->shim.base, &l->options, &l->report, &l->err);
    if (l->opened != ST_OK) {
        complain(l, "open", l->opened);
        return;
    }
    if (!track_end(l->track)) {
        wal_abandon(l->wal);
        return;
    }
    l->options.create = false;
    if (!l->drawn)
        fixed_programme(l);
    for (unsigned i = 0; l->drawn && i < l->steps; i++)
        do_something(l);
    wait_for_jobs(l);

    /* As wal_close() does it, but so that what has become durable is seen. */
    if (flush(l, true) == ST_OK) {
        mark(l);
        flush(l, true);
    }
    st = wal_close(l->wal, &l->err);
    if (st != ST_OK)
        complain(l, "close", st);
}

/* ------------------------------------------------------------------ its end */

static void
count_down(void *ctx)
{
    struct life *l = ctx;

    if (l->kill_at > 0 && --l->kill_at == 0)
        sim_kill(l->sim, LIFE_NODE);
}

enum life_end
life_run(struct life *l, void (*prepare)(struct life *l))
{
    bool finished;

    l->flush_busy = false;
    l->tend_busy = false;
    shim_init(&l->shim, sim_boot(l->sim, LIFE_NODE, 0));
    l->shim.point = count_down;
    l->shim.ctx = l;
    l->shim.swallow = l->swallow;
    if (prepare != NULL)
        prepare(l);
    finished = sim_call(l->sim, LIFE_NODE, live, l);
    sim_crash_at(l->sim, LIFE_NODE, 0, 0, false);
    sim_fail(l->sim, LIFE_NODE, 0, 0, false, ST_OK);
    sim_heap(l->sim, LIFE_NODE)->fail_at = 0;
    l->kill_at = 0;
    if (finished)
        sim_end(l->sim, LIFE_NODE); /* finds leaks */
    return finished ? LIFE_CLOSED : LIFE_CRASHED;
}

bool
life_check(struct life *l)
{
    bool drawn = l->drawn;
    unsigned steps = l->steps;

    l->drawn = true;
    l->steps = 0;
    l->forgiving = false;
    life_run(l, NULL);
    l->drawn = drawn;
    l->steps = steps;
    return l->track->failure[0] == '\0';
}
