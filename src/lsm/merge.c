/*
 * Many sources as one: a binary heap of those that stand on an entry.
 *
 * The heap compares the first eight bytes of the keys as numbers, and looks at
 * whole keys only where these are equal.  A step moves the first source and lets it sink; most
 * often it stays first, which costs two comparisons however many sources there are.
 *
 * Invariant: the heap holds exactly the sources that are not past their end, and
 * each stands on its first entry not yet given out, in the direction of the walk.
 */
#include "base/assert.h"
#include "base/mem.h"

#include "lsm/lsm_internal.h"

enum status
lsm__merge_init(struct merge *m, struct lsm *t, uint32_t capacity, bool fill_cache, struct err *err)
{
    *m = (struct merge){ .tree = t, .fill_cache = fill_cache, .capacity = capacity };
    m->sources = mem_new_array(struct source, capacity);
    m->heap = mem_new_array(struct source *, capacity);
    if (m->sources == NULL || m->heap == NULL) {
        lsm__merge_release(m);
        return err_raise(err, ST_NO_MEMORY, "tree %s: no memory to merge %u sources", t->dir,
                         capacity);
    }
    return ST_OK;
}

void
lsm__merge_release(struct merge *m)
{
    for (uint32_t i = 0; i < m->source_count; i++)
        lsm__source_release(&m->sources[i]);
    mem_free(m->sources);
    mem_free(m->heap);
    *m = (struct merge){ 0 };
}

static struct source *
add(struct merge *m, bool is_run)
{
    struct source *s = &m->sources[m->source_count];

    ASSERT(m->source_count < m->capacity);
    s->tree = m->tree;
    s->is_run = is_run;
    s->fill_cache = m->fill_cache;
    s->rank = m->source_count++;
    return s;
}

void
lsm__merge_add_memtable(struct merge *m, struct memtable_order *order)
{
    for (uint32_t i = memtable_order_run_count(order); i > 0; i--) {
        struct source *s = add(m, false);

        memtable_order_ref(order);
        s->order = order;
        memtable_iter_init(&s->mem, order, i - 1);
    }
}

void
lsm__merge_add_run(struct merge *m, struct table_file **files, uint32_t count)
{
    add(m, true)->run = (struct level){ .files = files, .count = count };
}

/* ------------------------------------------------------------------ the heap */

static bool
precedes(const struct merge *m, const struct source *a, const struct source *b)
{
    int order;

    if (a->prefix != b->prefix)
        return (a->prefix < b->prefix) != m->backward;
    order = entry_compare(a->entry.key, a->entry.version, b->entry.key, b->entry.version);
    if (order == 0)
        order = a->rank < b->rank ? -1 : 1;
    return (order < 0) != m->backward;
}

/* Let the source at `at` sink to its place. */
static void
sink(struct merge *m, uint32_t at)
{
    struct source *s = m->heap[at];

    for (;;) {
        uint32_t child = 2 * at + 1;

        if (child >= m->heap_count)
            break;
        if (child + 1 < m->heap_count && precedes(m, m->heap[child + 1], m->heap[child]))
            child++;
        if (!precedes(m, m->heap[child], s))
            break;
        m->heap[at] = m->heap[child];
        at = child;
    }
    m->heap[at] = s;
}

enum status
lsm__merge_place(struct merge *m, const struct place *place, struct err *err)
{
    m->heap_count = 0;
    m->backward = place->kind == PLACE_LAST || place->kind == PLACE_BEFORE;
    for (uint32_t i = 0; i < m->source_count; i++) {
        enum status st = lsm__source_place(&m->sources[i], place, err);

        if (st == ST_OK) {
            m->heap[m->heap_count++] = &m->sources[i];
        } else if (st != ST_NOT_FOUND) {
            m->heap_count = 0;
            return st;
        }
    }
    for (uint32_t i = m->heap_count / 2; i > 0; i--)
        sink(m, i - 1);
    return m->heap_count > 0 ? ST_OK : ST_NOT_FOUND;
}

enum status
lsm__merge_step(struct merge *m, struct err *err)
{
    struct source *first = m->heap[0];
    enum status st;

    ASSERT(m->heap_count > 0);
    st = m->backward ? lsm__source_prev(first, err) : lsm__source_next(first, err);
    if (st == ST_NOT_FOUND) {
        m->heap[0] = m->heap[--m->heap_count];
        if (m->heap_count == 0)
            return ST_NOT_FOUND;
    } else if (st != ST_OK) {
        m->heap_count = 0;
        return st;
    }
    sink(m, 0);
    return ST_OK;
}

const struct entry *
lsm__merge_entry(const struct merge *m)
{
    ASSERT(m->heap_count > 0);
    return &m->heap[0]->entry;
}
