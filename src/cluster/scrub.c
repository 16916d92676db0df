/*
 * A look at every table on this node, slowly, whether anybody reads it or not: what nobody reads is damaged for long
 * before it is noticed, and by then perhaps everywhere.
 *
 *      the next table of a tablet ──(job: read whole, compared with the manifest)──> the one after it
 *        └─ damaged: the tablet is told (tablet_tell_damage()), and its copy here is replaced (damages.c)
 *
 * Tables are taken in the order of their numbers, so that what a compaction makes meanwhile comes later.  A tablet is
 * held for one table only: it may be dropped in between.  Its tables are pinned while one of them is read, not while
 * the job waits for compactions to end: what those replace would stay on the disk.
 */
#include "base/log.h"
#include "base/mem.h"

#include "cluster/cluster_internal.h"
#include "lsm/checkpoint.h"
#include "tablet/tablet.h"

enum {
    SCRUB_BYTES_PER_S = 8 << 20,
    SCRUB_PAUSE_MS = 200,            /* at least, between two tables */
    SCRUB_FIRST_MS = 5000,           /* after the start, which has enough to do */
    SCRUB_PASS_MS = 6 * 3600 * 1000, /* between two passes */
};

struct scrub {
    struct cluster *cluster;
    struct job job;
    struct tablet *tablet; /* held, while the job runs */
    bool found;            /* a table of it to look at, by the job */
    uint64_t number;       /* of that */
    uint64_t bytes;
    enum status status;
    struct err err;
    bool busy;
    uint64_t due_ns;
    uint32_t place;  /* in the roster */
    uint64_t last;   /* of that tablet's tables, the number that was looked at last */
    uint64_t tables; /* of this pass */
    uint64_t damages;
};

enum status
scrub_create(struct cluster *c)
{
    c->scrub = mem_new(struct scrub);
    if (c->scrub == NULL)
        return ST_NO_MEMORY;
    c->scrub->cluster = c;
    c->scrub->due_ns = UINT64_MAX; /* until the first round */
    return ST_OK;
}

void
scrub_destroy(struct cluster *c)
{
    mem_free(c->scrub);
    c->scrub = NULL;
}

/* Of the tables with a higher number than the last one's, that with the lowest; NULL: there is none. */
static const struct table_info *
next_table(const struct scrub *s, const struct lsm_checkpoint *c, uint32_t *at)
{
    const struct table_info *best = NULL;

    for (uint32_t i = 0; i < lsm_checkpoint_table_count(c); i++) {
        uint32_t level;
        const struct table_info *info = lsm_checkpoint_table(c, i, &level);

        if (info->number > s->last && (best == NULL || info->number < best->number)) {
            best = info;
            *at = i;
        }
    }
    return best;
}

static void
run(struct job *job)
{
    struct scrub *s = container_of(job, struct scrub, job);
    const struct table_info *info;
    struct lsm_checkpoint *c;
    uint32_t at;

    s->found = false;
    if (lsm_checkpoint_take(tablet_lsm(s->tablet), &c) != ST_OK)
        return; /* a clear is pending, and nothing of it will be left */
    info = next_table(s, c, &at);
    if (info != NULL) {
        s->found = true;
        s->number = info->number;
        s->bytes = info->file_bytes;
        s->status = lsm_checkpoint_verify(c, at, &s->err);
    }
    lsm_checkpoint_release(c);
}

/* The tablet's next table, or the next tablet. */
static void
go_on(struct scrub *s, uint64_t now_ns)
{
    uint64_t ms = s->bytes * 1000 / SCRUB_BYTES_PER_S;

    if (!s->found) {
        s->place++;
        s->last = 0;
        return;
    }
    if (s->status == ST_CORRUPT) {
        s->damages++;
        tablet_tell_damage(s->tablet, &s->err);
    } else if (s->status != ST_OK) {
        log_event(LOG_WARN, "scrub.not_looked_at", log_err(&s->err));
    }
    s->last = s->number;
    s->tables++;
    s->due_ns = now_ns + (ms > SCRUB_PAUSE_MS ? ms : SCRUB_PAUSE_MS) * NS_PER_MS;
}

static void
done(struct job *job)
{
    struct scrub *s = container_of(job, struct scrub, job);
    struct cluster *c = s->cluster;
    uint64_t now_ns = loop_now_ns(c->loop);

    go_on(s, now_ns);
    tablet_let_go(s->tablet);
    s->busy = false;
    c->under_way--;
    scrub_tick(c, now_ns);
}

static void
end_pass(struct scrub *s, uint64_t now_ns)
{
    log_event(s->damages > 0 ? LOG_ERROR : LOG_INFO, "scrub.done", log_u64("tables", s->tables),
              log_u64("damages", s->damages));
    s->place = 0;
    s->last = s->tables = s->damages = 0;
    s->due_ns = now_ns + (uint64_t)SCRUB_PASS_MS * NS_PER_MS;
}

void
scrub_tick(struct cluster *c, uint64_t now_ns)
{
    const struct tablet_roster *all = &c->seats[0].reactor->roster;
    struct scrub *s = c->scrub;

    if (s->due_ns == UINT64_MAX)
        s->due_ns = now_ns + (uint64_t)SCRUB_FIRST_MS * NS_PER_MS;
    if (s->busy || c->draining || now_ns < s->due_ns)
        return;
    if (s->place >= all->count) {
        end_pass(s, now_ns);
        return;
    }
    s->tablet = tablet_hold(all->at[s->place]);
    s->busy = true;
    c->under_way++;
    s->job = (struct job){ .run = run, .done = done, .loop = c->loop };
    env_submit(c->env, ENV_LANE_COMPACT, &s->job);
}
