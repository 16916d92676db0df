/*
 * A look at every table on this node, slowly, whether anybody reads it or not: what nobody reads is damaged for long
 * before it is noticed, and by then perhaps everywhere.
 *
 *      the next table of a tablet ──(job: read whole, compared with the manifest)──> the one after it
 *        └─ damaged: the tablet is told (tablet_tell_damage()), and its copy here is replaced (damages.c)
 *
 * Tables are taken in the order of their numbers, so that what a compaction makes meanwhile comes later.  A tablet is
 * held for one table only: it may be dropped in between.
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
    SCRUB_LOOKS_MAX = 16,            /* tablets without a table to look at, in one round */
};

struct scrub {
    struct cluster *cluster;
    struct job job;
    struct tablet *tablet; /* held, while the job runs */
    struct lsm_checkpoint *checkpoint;
    uint32_t table;
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

static void
run(struct job *job)
{
    struct scrub *s = container_of(job, struct scrub, job);

    s->status = lsm_checkpoint_verify(s->checkpoint, s->table, &s->err);
}

static void
done(struct job *job)
{
    struct scrub *s = container_of(job, struct scrub, job);
    struct cluster *c = s->cluster;
    uint32_t level;
    const struct table_info *info = lsm_checkpoint_table(s->checkpoint, s->table, &level);
    uint64_t ms = info->file_bytes * 1000 / SCRUB_BYTES_PER_S;

    if (s->status == ST_CORRUPT) {
        s->damages++;
        tablet_tell_damage(s->tablet, &s->err);
    } else if (s->status != ST_OK) {
        log_event(LOG_WARN, "scrub.not_looked_at", log_err(&s->err));
    }
    s->last = info->number;
    s->tables++;
    s->due_ns = loop_now_ns(c->loop) + (ms > SCRUB_PAUSE_MS ? ms : SCRUB_PAUSE_MS) * NS_PER_MS;
    lsm_checkpoint_release(s->checkpoint);
    tablet_let_go(s->tablet);
    s->busy = false;
    c->under_way--;
}

/* Of the tables with a higher number than the last one's, that with the lowest; false: there is none. */
static bool
next_table(struct scrub *s)
{
    uint64_t best = UINT64_MAX;

    for (uint32_t i = 0; i < lsm_checkpoint_table_count(s->checkpoint); i++) {
        uint32_t level;
        uint64_t number = lsm_checkpoint_table(s->checkpoint, i, &level)->number;

        if (number > s->last && number < best) {
            best = number;
            s->table = i;
        }
    }
    return best != UINT64_MAX;
}

static bool
look_at(struct scrub *s, struct tablet *t)
{
    if (lsm_checkpoint_take(tablet_lsm(t), &s->checkpoint) != ST_OK)
        return false; /* a clear is pending, and nothing of it will be left */
    if (!next_table(s)) {
        lsm_checkpoint_release(s->checkpoint);
        return false;
    }
    s->tablet = tablet_hold(t);
    s->busy = true;
    s->cluster->under_way++;
    s->job = (struct job){ .run = run, .done = done, .loop = s->cluster->loop };
    env_submit(s->cluster->env, ENV_LANE_COMPACT, &s->job);
    return true;
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
    for (int i = 0; i < SCRUB_LOOKS_MAX; i++) {
        if (s->place >= all->count) {
            end_pass(s, now_ns);
            return;
        }
        if (look_at(s, all->at[s->place]))
            return;
        s->place++;
        s->last = 0;
    }
}
