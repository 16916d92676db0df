/*
 * From a log to trees: each record finds the tree that it was written for, by the name that the tree has in
 * the log (N8), or nobody, when that tree was dropped.
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/limits.h"
#include "base/mem.h"

#include "engine/engine_internal.h"

enum {
    GATHER_BYTES_MAX = 8 << 20,
    GATHER_SHARE = 32, /* and at most this part of the budget */
    KEPT_SEGMENTS = 2, /* one to go on in, one for the start's own records if that is full */
    SPARE_SEGMENTS = 1 + KEPT_SEGMENTS,
    REPLAY_SEALED_MAX = 8, /* of one tree; far below what it can hold */
};

struct replaying {
    struct engine *e;
    const struct engine_replay *to;
    struct engine_tree **by_log; /* all trees, by their names in the log; owned */
    bool *met; /* owned; of each line of the catalogue: the log has records of it */
};

/* As long as there is room for them, sealed memtables wait for the jobs that come after the replay:
 * clients wait for its end. */
static bool
must_flush(const struct engine_tree *tree)
{
    const struct engine *e = tree->engine;

    return lsm_flush_due(tree->lsm) && (lsm_sealed_count(tree->lsm) >= REPLAY_SEALED_MAX ||
                                        budget_used(&e->budget) > engine__memtable_share(e));
}

/* What no watermark proves is made durable only after the replay, and its records all come with the
 * same position: a memtable that ends in them has to wait (N6).  A record with a higher position
 * says that all before it are proven. */
enum status
engine__flush_replayed(struct engine_tree *tree, wal_position at, struct err *err)
{
    struct engine *e = tree->engine;

    while (must_flush(tree) && atomic_load(&tree->applied) < at && engine__may_flush_in_replay(e)) {
        enum status st = lsm_flush(tree->lsm, err);

        if (st == ST_NO_SPACE && engine__spend_reserve(e))
            st = lsm_flush(tree->lsm, err);
        if (st == ST_NO_SPACE) {
            e->replay_full = true;
            return ST_OK;
        }
        if (st != ST_OK)
            return st;
        engine__drop_floors(tree);
    }
    return ST_OK;
}

static int
compare_logs(const void *a, const void *b)
{
    uint64_t x = (*(struct engine_tree *const *)a)->log;
    uint64_t y = (*(struct engine_tree *const *)b)->log;

    return (x > y) - (x < y);
}

static enum status
begin_replay(struct replaying *r, struct err *err)
{
    struct engine *e = r->e;

    r->by_log = mem_new_array(struct engine_tree *, e->tree_count + (size_t)1);
    r->met = mem_new_array(bool, e->catalogue.count + (size_t)1);
    if (r->by_log == NULL || r->met == NULL)
        return err_raise(err, ST_NO_MEMORY, "%s: out of memory", e->dir);
    if (e->tree_count > 0) {
        memcpy(r->by_log, e->trees, e->tree_count * sizeof(struct engine_tree *));
        qsort(r->by_log, e->tree_count, sizeof(struct engine_tree *), compare_logs);
    }
    return ST_OK;
}

static void
end_replay(struct replaying *r)
{
    mem_free(r->by_log);
    mem_free(r->met);
}

static struct engine_tree *
named_in_log(const struct replaying *r, uint64_t log)
{
    struct engine_tree wanted = { .log = log };
    struct engine_tree *key = &wanted;
    struct engine_tree **found = NULL;

    if (r->e->tree_count > 0)
        found =
            bsearch(&key, r->by_log, r->e->tree_count, sizeof(struct engine_tree *), compare_logs);
    return found == NULL ? NULL : *found;
}

static bool
is_gone(struct replaying *r, uint64_t log)
{
    const struct catalogue *c = &r->e->catalogue;
    const struct catalogue_line *line = catalogue_find(c, CATALOGUE_GONE, log);

    if (line != NULL)
        r->met[line - c->lines] = true;
    return line != NULL;
}

static enum status
replay_record(void *ctx, const struct wal_record *named, wal_position at, struct err *err)
{
    struct replaying *r = ctx;
    struct engine_tree *tree = named_in_log(r, named->tablet);
    struct wal_record renamed = *named;
    const struct wal_record *record = &renamed;
    enum status st;

    if (tree == NULL && is_gone(r, named->tablet))
        return ST_OK;
    if (tree != NULL)
        renamed.tablet = tree->id;
    if (tree != NULL && record->type == WAL_ENTRY &&
        record->index <= lsm_flushed(tree->lsm).index) {
        if (r->to->passed != NULL)
            r->to->passed(r->to->ctx, record, at);
        return ST_OK;
    }
    if (tree != NULL) {
        st = engine__flush_replayed(tree, at, err);
        if (st != ST_OK)
            return st;
    }
    return r->to->replay(r->to->ctx, tree, record, at, err);
}

static void
before_writing(void *ctx)
{
    engine__spend_start(((struct replaying *)ctx)->e);
}

static void
drop_floors(void *ctx, struct engine_tree *tree)
{
    (void)ctx;
    engine__drop_floors(tree);
}

enum status
engine_recover(struct engine *e, const struct engine_replay *replay, struct wal_recovery *report,
               struct err *err)
{
    struct replaying replaying = { .e = e, .to = replay };
    char dir[LIMIT_PATH_BYTES];
    struct wal_options options = {
        .dir = dir,
        .store_id = e->identity.store,
        .segment_bytes = e->options.segment_bytes,
        .gather_bytes_max = /* not charged to the budget; so it is little where that is small */
        budget_part(e->options.budget_bytes, GATHER_SHARE, GATHER_BYTES_MAX),
        .spare_count = SPARE_SEGMENTS,
        .kept_count = KEPT_SEGMENTS,
        .create = e->catalogue.count == 0,
        .replay = replay_record,
        .before_writing = before_writing,
        .replay_ctx = &replaying,
    };
    enum status st = begin_replay(&replaying, err);

    snprintf(dir, sizeof(dir), "%s/log-0", e->dir);
    if (st == ST_OK)
        st = wal_open(&e->log, e->env, &options, &e->recovery, err);
    if (st == ST_NOT_FOUND)
        st = err_raise(err, ST_CORRUPT, "%s: missing, though the catalogue names trees", dir);
    if (st == ST_OK)
        engine__note_gone(e, replaying.met);
    end_replay(&replaying);
    if (st != ST_OK)
        return st;
    engine_each_tree(e, drop_floors, NULL);
    *report = e->recovery;
    e->recovering = false;
    e->last_end = wal_end(e->log);
    engine__refill_start(e);
    st = engine__start_ticking(e, err);
    engine__schedule(e);
    return st;
}

void
engine_hold_flushes(struct engine *e, bool held)
{
    atomic_store(&e->flushes_held, held);
    if (!held)
        engine__schedule(e);
}

void
engine_serve(struct engine *e)
{
    wal_serve(e->log);
}
