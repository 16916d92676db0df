/*
 * The replicas with which a node starts.
 *
 *      a tablet for every tree ──> the log, replayed into them ──> the metadata tablet, and what it says
 *        ──> all other tablets: those that are missing are made, those of others set aside
 */
#include "base/log.h"

#include "kv/kv_internal.h"

/* ------------------------------------------------------------------ the log */

static enum status
create_tablet(struct kv *kv, struct engine_tree *tree, struct tablet **out, struct err *err)
{
    uint64_t id = engine_tree_id(tree);
    uint32_t loop = cluster_loop_of(kv->cluster, id);
    struct raft_config founders;

    cluster_founders(kv->cluster, id, &founders);
    *out = tablet_create(&kv->doors[loop].reactor, tree, &founders);
    if (*out == NULL)
        return err_raise(err, ST_NO_MEMORY, "out of memory for tablet %016llx",
                         (unsigned long long)id);
    return ST_OK;
}

/* A tablet for every tree that there is, so that the log finds them. */
struct making {
    struct kv *kv;
    struct err *err;
    enum status status;
};

static void
make_replaying(void *ctx, struct engine_tree *tree)
{
    struct making *m = ctx;
    struct tablet *made;

    if (m->status == ST_OK)
        m->status = create_tablet(m->kv, tree, &made, m->err);
}

static struct tablet *
find_tablet(const struct kv *kv, uint64_t id)
{
    return tablet_reactor_find(&kv->doors[0].reactor, id);
}

static enum status
replay(void *ctx, struct engine_tree *tree, const struct wal_record *record, wal_position at,
       struct err *err)
{
    struct kv *kv = ctx;
    struct tablet *t = find_tablet(kv, record->tablet);

    if (tree == NULL || t == NULL) {
        return err_raise(err, ST_CORRUPT,
                         "the log holds entry %llu of tablet %016llx, which the "
                         "catalogue does not name",
                         (unsigned long long)record->index, (unsigned long long)record->tablet);
    }
    return tablet_replay(t, record, at, err);
}

static void
passed(void *ctx, const struct wal_record *record, wal_position at)
{
    struct tablet *t = find_tablet(ctx, record->tablet);

    if (t != NULL)
        tablet_passed(t, record, at);
}

static enum status
replay_log(struct kv *kv, struct wal_recovery *report, struct err *err)
{
    struct engine_replay to = { .replay = replay, .passed = passed, .ctx = kv };
    struct making making = { kv, err, ST_OK };

    engine_each_tree(kv->engine, make_replaying, &making);
    if (making.status != ST_OK)
        return making.status;
    engine_hold_flushes(kv->engine, true); /* until all heads are in the log */
    return engine_recover(kv->engine, &to, report, err);
}

void
kv__log_recovery(const struct kv *kv, const struct wal_recovery *report)
{
    log_event(LOG_INFO, "recovery.done", log_u64("records", report->record_count),
              log_u64("bytes", report->byte_count), log_u64("segments", report->segment_count),
              log_str("end", report->clean ? "clean" : "crash"),
              log_u64("rewritten", report->rewritten_count),
              log_u64("tablets", kv->doors[0].reactor.roster.count));
    if (report->torn_bytes > 0) {
        log_event(LOG_WARN, "recovery.torn_tail", log_str("file", report->torn_file),
                  log_u64("offset", report->torn_offset), log_u64("bytes_cut", report->torn_bytes),
                  log_str("meaning", "an unfinished write that nobody was told of"));
    }
}

/* The node's time begins no earlier than the highest ceiling of its tablets. */
static void
begin_clock(struct kv *kv)
{
    const struct tablet_roster *all = &kv->doors[0].reactor.roster;
    struct env *env = engine_env(kv->engine);
    uint64_t floor_ms = 0;

    for (uint32_t i = 0; i < all->count; i++) {
        uint64_t ceiling_ms = tablet_ceiling_ms(all->at[i]);

        if (ceiling_ms > floor_ms)
            floor_ms = ceiling_ms;
    }
    node_clock_init(&kv->clock, env_wall_ms(env), floor_ms, env_boot_ns(env));
    kv->slewed_ns = env_boot_ns(env);
}

enum status
kv__recover(struct kv *kv, struct wal_recovery *report, struct err *err)
{
    enum status st = replay_log(kv, report, err);

    if (st == ST_OK)
        begin_clock(kv);
    return st;
}

/* ------------------------------------------------------------------ tablets */

/* Take the tablet that the replay made, or make one now. */
static enum status
claim_tablet(struct kv *kv, uint64_t id, struct tablet **out, struct err *err)
{
    struct engine_tree *tree;
    enum status st;

    *out = find_tablet(kv, id);
    if (*out != NULL)
        return ST_OK;
    st = engine_create_tree(kv->engine, id, &tree, err);
    return st == ST_OK ? create_tablet(kv, tree, out, err) : st;
}

static enum status
start_one(struct tablet *t, struct engine *engine, struct err *err)
{
    enum status st = tablet_stand(t, err);

    if (st == ST_OK)
        st = engine_sync(engine, err);
    if (st == ST_OK)
        st = tablet_lead(t, err);
    if (st == ST_OK)
        st = engine_sync(engine, err);
    return st == ST_OK ? tablet_started(t, err) : st;
}

/* Its records stand in a table from the first: whoever has to cut the log at its beginning
 * loses what was written, but not the way to the tables. */
static enum status
flush_meta(struct kv *kv, struct err *err)
{
    const struct tablet *meta = find_tablet(kv, ATLAS_META_TABLET);
    struct engine_tree *tree = engine_find_tree(kv->engine, ATLAS_META_TABLET);

    if (meta == NULL || tablet_is_aside(meta) || lsm_flushed(tablet_lsm(meta)).index != 0)
        return ST_OK;
    if (engine_tree_seal(tree) != ST_OK)
        return err_raise(err, ST_NO_MEMORY, "out of memory for the metadata tablet");
    return engine_tree_flush(tree, err);
}

static bool
has_metadata(const struct kv *kv)
{
    return find_tablet(kv, ATLAS_META_TABLET) != NULL &&
           !cluster_is_surplus(kv->cluster, ATLAS_META_TABLET);
}

/* A store that has copies of other tablets, and not of the metadata, is of a cluster that has begun elsewhere. */
static bool
begins_cluster(const struct kv *kv)
{
    return kv->doors[0].reactor.roster.count == 0 && cluster_begins_here(kv->cluster);
}

/* The metadata tablet, where it is, or where a cluster begins. */
static enum status
start_cluster(struct kv *kv, struct err *err)
{
    struct tablet *meta = NULL;
    enum status st = ST_OK;

    if (has_metadata(kv) || begins_cluster(kv)) {
        st = claim_tablet(kv, ATLAS_META_TABLET, &meta, err);
        if (st == ST_OK)
            st = start_one(meta, kv->engine, err);
    }
    if (st == ST_OK)
        st = cluster_begin(kv->cluster, meta, err);
    if (st == ST_OK && cluster_knows_nobody(kv->cluster)) {
        st = err_raise(err, ST_INVALID,
                       "%s is of a cluster, or was to join one, and does not know who else is in "
                       "it: start with --join HOST:PORT, the peer address of another of its nodes",
                       engine_dir(kv->engine));
    }
    return st;
}

/* Those that this node should have; later the cluster makes them.  So it does with the metadata's, if that was
 * not here when the cluster began: nobody would start it now. */
static enum status
claim_tablets(struct kv *kv, struct err *err)
{
    const struct atlas *a = cluster_atlas(kv->cluster);
    enum status st = ST_OK;

    if (!cluster_may_make(kv->cluster))
        return ST_OK;
    for (uint32_t i = 0; i < a->tablet_count && st == ST_OK; i++) {
        struct tablet *unused;

        if (a->tablets[i]->id != ATLAS_META_TABLET &&
            (cluster_is_fixed(kv->cluster) ||
             (tablet_record_member(a->tablets[i], kv->node.id) != NULL &&
              !cluster_awaits_split(kv->cluster, a->tablets[i]))))
            st = claim_tablet(kv, a->tablets[i]->id, &unused, err);
    }
    return st;
}

/* Those that the file ATLAS says are another's.  A newer atlas may give them to us again. */
static enum status
set_surplus_aside(struct kv *kv, struct err *err)
{
    const struct tablet_roster *all = &kv->doors[0].reactor.roster;
    enum status st = ST_OK;

    for (uint32_t i = 0; i < all->count && st == ST_OK; i++) {
        if (cluster_is_surplus(kv->cluster, tablet_id(all->at[i])))
            st = tablet_set_aside(all->at[i], err);
    }
    return st;
}

typedef enum status start_fn(struct tablet *t, struct err *err);

static enum status
for_all(struct kv *kv, start_fn *fn, struct err *err)
{
    const struct tablet_roster *all = &kv->doors[0].reactor.roster;
    enum status st = ST_OK;

    for (uint32_t i = 0; i < all->count && st == ST_OK; i++) {
        uint64_t id = tablet_id(all->at[i]);

        if (id != ATLAS_META_TABLET && !tablet_is_aside(all->at[i]))
            st = fn(all->at[i], err);
    }
    return st;
}

static bool
is_gone(const void *ctx, uint64_t tablet)
{
    return cluster_is_gone(ctx, tablet);
}

/* What dropped tablets had promised, and nobody will ever ask for. */
static void
forget_oaths(struct kv *kv)
{
    struct err err;

    if (engine_forget_oaths(kv->engine, is_gone, kv->cluster, &err) != ST_OK)
        log_event(LOG_WARN, "engine.oaths_kept", log_err(&err));
}

static enum status
start_tablets(struct kv *kv, struct err *err)
{
    enum status st = claim_tablets(kv, err);

    if (st == ST_OK)
        st = set_surplus_aside(kv, err);
    if (st == ST_OK)
        st = for_all(kv, tablet_stand, err);
    if (st == ST_OK)
        st = engine_sync(kv->engine, err); /* one fsync for all their votes */
    if (st == ST_OK)
        st = for_all(kv, tablet_lead, err);
    if (st == ST_OK)
        st = engine_sync(kv->engine, err); /* and one for their terms */
    return st == ST_OK ? for_all(kv, tablet_started, err) : st;
}

enum status
kv__start_replicas(struct kv *kv, struct err *err)
{
    enum status st = start_cluster(kv, err);

    if (st == ST_OK)
        st = start_tablets(kv, err);
    if (st == ST_OK) {
        engine_hold_flushes(kv->engine, false);
        st = flush_meta(kv, err);
    }
    if (st == ST_OK)
        forget_oaths(kv);
    return st;
}
