/*
 * Keys that a tree has left to another (T12 at the head of lsm.c).
 *
 * Narrowings are few, and each lives as long as the tree: whoever reads at an old version needs an old one.
 */
#include "base/assert.h"
#include "base/mem.h"

#include "lsm/lsm_internal.h"

struct narrowing {
    struct narrowing *older; /* owned */
    version_t since;
    lsm_has_fn *has;
    _Alignas(max_align_t) uint8_t scope[];
};

enum status
lsm_narrow(struct lsm *t, lsm_has_fn *has, const void *scope, size_t size, version_t since)
{
    struct narrowing *n = mem_alloc(sizeof(*n) + size);
    struct narrowing *older = atomic_load_explicit(&t->narrowed, memory_order_relaxed);

    if (n == NULL)
        return ST_NO_MEMORY;
    ASSERT(older == NULL || older->since <= since);
    *n = (struct narrowing){ .older = older, .since = since, .has = has };
    memcpy(n->scope, scope, size);
    atomic_store_explicit(&t->narrowed, n, memory_order_release);
    return ST_OK;
}

void
lsm__forget_narrowings(struct lsm *t)
{
    struct narrowing *n = atomic_load_explicit(&t->narrowed, memory_order_relaxed);

    while (n != NULL) {
        struct narrowing *older = n->older;

        mem_free(n);
        n = older;
    }
}

const struct narrowing *
lsm__narrowing_at(const struct lsm *t, version_t version)
{
    const struct narrowing *n = atomic_load_explicit(&t->narrowed, memory_order_acquire);

    while (n != NULL && n->since > version)
        n = n->older;
    return n;
}

bool
lsm__is_foreign(const struct narrowing *n, struct slice stored_key)
{
    return n != NULL && !n->has(n->scope, stored_key);
}
