/*
 * Layers and views; T1, T2 and T5 at the head of lsm.c.
 *
 * The pointer to the current view is stored and loaded sequentially consistent: the epoch
 * needs the reader's entry to come before its load, and the writer's store before its
 * look at who is inside (base/epoch.c).
 */
#include "base/assert.h"
#include "base/mem.h"

#include "lsm/lsm_internal.h"

/* ------------------------------------------------------------------ layers */

struct layer *
lsm__layer_create(struct lsm *t, bool with_memtable)
{
    struct layer *l = mem_new(struct layer);

    if (l == NULL)
        return NULL;
    atomic_init(&l->refs, 1);
    l->budget = t->shared->budget;
    if (!with_memtable)
        return l;
    l->memtable = memtable_create(t->options.memtable_bytes);
    if (l->memtable == NULL) {
        mem_free(l);
        return NULL;
    }
    memtable_set_budget(l->memtable, l->budget);
    lsm__layer_charge(l);
    return l;
}

void
lsm__layer_charge(struct layer *l)
{
    size_t bytes = memtable_bytes(l->memtable);

    if (bytes <= l->charged)
        return;
    if (l->budget != NULL)
        budget_charge(l->budget, bytes - l->charged);
    l->charged = bytes;
}

static void
layer_ref(struct layer *l)
{
    uint32_t before = atomic_fetch_add_explicit(&l->refs, 1, memory_order_relaxed);

    ASSERT(before > 0);
}

void
lsm__layer_unref(struct layer *l)
{
    uint32_t before;

    if (l == NULL)
        return;
    before = atomic_fetch_sub_explicit(&l->refs, 1, memory_order_acq_rel);
    ASSERT(before > 0);
    if (before > 1)
        return;
    if (l->memtable != NULL)
        memtable_unref(l->memtable);
    if (l->budget != NULL)
        budget_return(l->budget, l->charged);
    mem_free(l);
}

/* ------------------------------------------------------------------ views */

struct view *
lsm__view_create(struct lsm *t)
{
    struct view *v = mem_new(struct view);

    if (v == NULL)
        return NULL;
    atomic_init(&v->refs, 1);
    v->tree = t;
    atomic_fetch_add_explicit(&t->view_count, 1, memory_order_relaxed);
    return v;
}

void
lsm__view_unref(struct view *v)
{
    uint32_t before;
    struct lsm *t;

    if (v == NULL)
        return;
    before = atomic_fetch_sub_explicit(&v->refs, 1, memory_order_acq_rel);
    ASSERT(before > 0);
    if (before > 1)
        return;
    t = v->tree;
    lsm__layer_unref(v->active);
    for (uint32_t i = 0; i < v->sealed_count; i++)
        lsm__layer_unref(v->sealed[i]);
    if (v->version != NULL)
        version_unref(v->version);
    mem_free(v);
    atomic_fetch_sub_explicit(&t->view_count, 1,
                              memory_order_release); /* the last we touch of it */
}

void
lsm__view_set_active(struct view *v, struct layer *active)
{
    if (active != NULL)
        layer_ref(active);
    lsm__layer_unref(v->active);
    v->active = active;
}

void
lsm__view_push_sealed(struct view *v, struct layer *newest)
{
    ASSERT(v->sealed_count < SEALED_LIMIT);
    ASSERT(v->sealed_count == 0 || v->sealed[0]->mark.index <= newest->mark.index); /* T4 */
    layer_ref(newest);
    for (uint32_t i = v->sealed_count; i > 0; i--)
        v->sealed[i] = v->sealed[i - 1];
    v->sealed[0] = newest;
    v->sealed_count++;
}

void
lsm__view_drop_oldest(struct view *v, const struct layer *oldest)
{
    ASSERT(v->sealed_count > 0 && v->sealed[v->sealed_count - 1] == oldest); /* T4 */
    v->sealed_count--;
    lsm__layer_unref(v->sealed[v->sealed_count]);
}

void
lsm__view_set_version(struct view *v, struct version *version, double score)
{
    version_ref(version);
    if (v->version != NULL)
        version_unref(v->version);
    v->version = version;
    v->score = score;
}

void
lsm__view_copy(struct view *v, const struct view *from)
{
    ASSERT(v->active == NULL && v->sealed_count == 0 && v->version == NULL);
    lsm__view_set_active(v, from->active);
    for (uint32_t i = from->sealed_count; i > 0; i--)
        lsm__view_push_sealed(v, from->sealed[i - 1]);
    lsm__view_set_version(v, from->version, from->score);
    v->floor = from->floor;
    v->records_floor = from->records_floor;
}

/* ------------------------------------------------------------------ publication */

struct view *
lsm__view_publish(struct lsm *t, struct view *fresh)
{
    uint32_t sealed_count = fresh == NULL ? 0 : fresh->sealed_count;
    uint32_t l0_count = fresh == NULL ? 0 : fresh->version->levels[0].count;

    atomic_store_explicit(&t->sealed_count, sealed_count, memory_order_relaxed);
    atomic_store_explicit(&t->l0_count, l0_count, memory_order_relaxed);
    return atomic_exchange(&t->view, fresh);
}

static void
destroy_retired(struct epoch_retired *self)
{
    lsm__view_unref(container_of(self, struct view, retired));
}

void
lsm__view_retire(struct lsm *t, struct view *old)
{
    epoch_retire(t->shared->epoch, &old->retired, destroy_retired);
}

struct view *
lsm__view_take(struct lsm *t, uint64_t *generation)
{
    struct view *v;

    lock_take(&t->lock);
    if (generation != NULL)
        *generation = atomic_load_explicit(&t->generation, memory_order_relaxed);
    v = atomic_load_explicit(&t->view, memory_order_relaxed);
    atomic_fetch_add_explicit(&v->refs, 1, memory_order_relaxed); /* the publication holds one */
    lock_drop(&t->lock);
    return v;
}
