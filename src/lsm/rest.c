/*
 * What an idle tree closes: the readers of its tables, and its manifest.
 *
 * Reads count themselves already (struct stripe), so that nobody pays for this: a tree is idle
 * when its counts stand still.
 */
#include "lsm/lsm_internal.h"

static uint64_t
count_edits(const struct lsm *t)
{
    return atomic_load_explicit(&t->flushes, memory_order_relaxed) +
           atomic_load_explicit(&t->compactions, memory_order_relaxed);
}

/* Whatever uses a table moves it. */
static uint64_t
count_uses(const struct lsm *t)
{
    uint64_t sum = count_edits(t) + atomic_load_explicit(&t->iterations, memory_order_relaxed);

    for (int i = 0; i < STRIPE_COUNT; i++)
        sum += atomic_load_explicit(&t->stripes[i].gets, memory_order_relaxed);
    return sum;
}

static bool
is_busy(const struct lsm *t)
{
    return atomic_load(&t->iter_count) > 0 || atomic_load(&t->flushing) ||
           atomic_load(&t->compacting);
}

static void
close_tables(struct lsm *t)
{
    struct view *v = lsm__view_take(t, NULL);

    for (int level = 0; level < LIMIT_LEVELS; level++) {
        const struct level *l = &v->version->levels[level];

        for (uint32_t i = 0; i < l->count; i++)
            readers_detach(t->shared->readers, l->files[i]);
    }
    lsm__view_unref(v);
    readers_close(t->shared->readers);
}

static void
rest_tables(struct lsm *t, uint64_t now_ns, uint64_t idle_ns)
{
    uint64_t uses = count_uses(t);

    if (idle_ns > 0 && (uses != t->uses_seen || is_busy(t))) {
        t->uses_seen = uses;
        t->idle_since_ns = now_ns;
        return;
    }
    if (now_ns - t->idle_since_ns < idle_ns)
        return;
    t->idle_since_ns = now_ns; /* again, for what a job opens meanwhile */
    close_tables(t);
}

/* A thousand trees may be written to in turn: then the one that was just written to is wanted again
 * after all others.  So it gives way, and not one of those that are open already; of these, the
 * idle ones rest soon. */
void
lsm__manifest_tend(struct lsm *t)
{
    const struct lsm_shared *shared = t->shared;
    bool open = t->manifest != NULL && manifest_is_open(t->manifest);

    if (open && !atomic_load(&t->manifest_open) &&
        atomic_fetch_add(shared->manifests_open, 1) >= shared->manifests_open_max) {
        manifest_rest(t->manifest);
        atomic_fetch_sub(shared->manifests_open, 1);
        return;
    }
    if (!open && atomic_load(&t->manifest_open))
        atomic_fetch_sub(shared->manifests_open, 1);
    atomic_store(&t->manifest_open, open);
}

/* A flush or a compaction writes a table and syncs it; a new manifest for each is little beside
 * that.  So it is closed as soon as none came between two calls. */
static void
rest_manifest(struct lsm *t, bool at_once, uint32_t *manifests)
{
    uint64_t edits = count_edits(t);
    bool idle = at_once || edits == t->edits_seen;

    t->edits_seen = edits;
    if (!idle || *manifests == 0 || !atomic_load(&t->manifest_open))
        return;
    gate_enter(t->gate); /* T5 */
    manifest_rest(t->manifest);
    lsm__manifest_tend(t);
    gate_leave(t->gate);
    --*manifests;
}

void
lsm_rest(struct lsm *t, uint64_t now_ns, uint64_t idle_ns, uint32_t *manifests)
{
    rest_tables(t, now_ns, idle_ns);
    rest_manifest(t, idle_ns == 0, manifests);
}
