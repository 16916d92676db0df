/*
 * From one version to the next.
 *
 *      version_apply(v, edit):    v        - removed      + added        = after
 *                              [a b c d]     { b, c }      { x }        [a x d]
 *
 * The new version is built whole beside the old one, and takes a reference on
 * every file that it holds; nothing that can be seen elsewhere changes.  Of the
 * invariants in version.h, V1 and V2 are checked wherever a file is put between
 * two others: an edit may come from a disk, so a breach is ST_CORRUPT.  V3 cannot
 * be seen without reading tables; picker.c and the flush keep it.
 *
 * Edits are small and versions may be large, so the work per edit is one pass
 * over the old version, copying references, and a binary search per added file.
 */
#include "lsm/version.h"

#include <inttypes.h>
#include <stdlib.h>

#include "base/assert.h"
#include "base/mem.h"

/* What an edit touches, in an order that can be searched. */
struct plan {
    uint64_t *added; /* owned; numbers, ascending */
    uint32_t added_count;
    struct edit_removed *removed; /* owned; by level, then number */
    uint32_t removed_count;
    uint32_t removed_found;
};

struct version *
version_create(void)
{
    struct version *v = mem_new(struct version);

    if (v != NULL)
        atomic_init(&v->refs, 1);
    return v;
}

void
version_ref(struct version *v)
{
    uint32_t before = atomic_fetch_add_explicit(&v->refs, 1, memory_order_relaxed);

    ASSERT(before > 0);
}

void
version_unref(struct version *v)
{
    uint32_t before = atomic_fetch_sub_explicit(&v->refs, 1, memory_order_acq_rel);

    ASSERT(before > 0);
    if (before > 1)
        return;
    for (uint32_t level = 0; level < LIMIT_LEVELS; level++) {
        for (uint32_t i = 0; i < v->levels[level].count; i++)
            table_file_unref(v->levels[level].files[i]);
        mem_free(v->levels[level].files);
    }
    mem_free(v);
}

static int
compare_numbers(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a;
    uint64_t y = *(const uint64_t *)b;

    return (x > y) - (x < y);
}

static int
compare_removed(const void *a, const void *b)
{
    const struct edit_removed *x = a;
    const struct edit_removed *y = b;

    if (x->level != y->level)
        return x->level < y->level ? -1 : 1;
    return (x->number > y->number) - (x->number < y->number);
}

static void
plan_release(struct plan *p)
{
    mem_free(p->added);
    mem_free(p->removed);
}

static enum status
plan_refuse_doubles(const struct plan *p, struct err *err)
{
    for (uint32_t i = 1; i < p->added_count; i++) {
        if (p->added[i] == p->added[i - 1])
            return err_raise(err, ST_CORRUPT, "edit adds table %016" PRIx64 " twice", p->added[i]);
    }
    for (uint32_t i = 1; i < p->removed_count; i++) {
        if (compare_removed(&p->removed[i], &p->removed[i - 1]) == 0)
            return err_raise(err, ST_CORRUPT, "edit removes table %016" PRIx64 " twice",
                             p->removed[i].number);
    }
    return ST_OK;
}

/* On failure the caller releases the plan all the same. */
static enum status
plan_init(struct plan *p, const struct version_edit *e, struct err *err)
{
    *p = (struct plan){ .added_count = e->added_count, .removed_count = e->removed_count };
    p->added = mem_new_array(uint64_t, e->added_count);
    p->removed = mem_new_array(struct edit_removed, e->removed_count);
    if (p->added == NULL || p->removed == NULL)
        return err_raise(err, ST_NO_MEMORY, "no memory for an edit of %" PRIu32 " tables",
                         e->added_count + e->removed_count);

    for (uint32_t i = 0; i < e->added_count; i++)
        p->added[i] = e->added[i].file->info.number;
    for (uint32_t i = 0; i < e->removed_count; i++)
        p->removed[i] = e->removed[i];
    qsort(p->added, p->added_count, sizeof(p->added[0]), compare_numbers);
    qsort(p->removed, p->removed_count, sizeof(p->removed[0]), compare_removed);
    return plan_refuse_doubles(p, err);
}

static bool
plan_removes(struct plan *p, uint32_t level, uint64_t number)
{
    struct edit_removed key = { level, number };

    if (p->removed_count == 0 ||
        bsearch(&key, p->removed, p->removed_count, sizeof(key), compare_removed) == NULL)
        return false;
    p->removed_found++; /* numbers are unique in a version, so each is found at most once */
    return true;
}

static bool
plan_adds(const struct plan *p, uint64_t number)
{
    return p->added_count > 0 &&
           bsearch(&number, p->added, p->added_count, sizeof(number), compare_numbers) != NULL;
}

static struct slice
smallest_of(const struct table_file *f)
{
    return buf_slice(&f->info.smallest);
}

static struct slice
largest_of(const struct table_file *f)
{
    return buf_slice(&f->info.largest);
}

/* May `a` stand directly before `b`?  V1 and V2. */
static bool
may_precede(uint32_t level, const struct table_file *a, const struct table_file *b)
{
    if (level == 0)
        return a->info.version_min > b->info.version_max;
    return slice_compare(largest_of(a), smallest_of(b)) < 0;
}

/* Does `a` belong before `b`, if they do not overlap? */
static bool
sorts_before(uint32_t level, const struct table_file *a, const struct table_file *b)
{
    if (level == 0)
        return a->info.version_max > b->info.version_max;
    return slice_compare(smallest_of(a), smallest_of(b)) < 0;
}

/* Room is there.  The place is found by binary search. */
static enum status
level_insert(struct level *l, uint32_t level, struct table_file *f, struct err *err)
{
    uint32_t begin = 0;
    uint32_t limit = l->count;

    while (begin < limit) {
        uint32_t middle = begin + (limit - begin) / 2;

        if (sorts_before(level, l->files[middle], f))
            begin = middle + 1;
        else
            limit = middle;
    }
    if ((begin > 0 && !may_precede(level, l->files[begin - 1], f)) ||
        (begin < l->count && !may_precede(level, f, l->files[begin])))
        return err_raise(err, ST_CORRUPT, "table %016" PRIx64 " overlaps another of level %" PRIu32,
                         f->info.number, level);

    memmove(&l->files[begin + 1], &l->files[begin],
            (l->count - begin) * sizeof(struct table_file *));
    l->files[begin] = f;
    l->count++;
    l->bytes += f->info.file_bytes;
    table_file_ref(f);
    return ST_OK;
}

static uint32_t
count_added(const struct version_edit *e, uint32_t level)
{
    uint32_t count = 0;

    for (uint32_t i = 0; i < e->added_count; i++)
        count += e->added[i].level == level;
    return count;
}

static enum status
keep_files(const struct level *old, uint32_t level, struct plan *p, struct level *out,
           struct err *err)
{
    for (uint32_t i = 0; i < old->count; i++) {
        struct table_file *f = old->files[i];

        if (plan_removes(p, level, f->info.number))
            continue;
        if (plan_adds(p, f->info.number))
            return err_raise(err, ST_CORRUPT, "edit adds table %016" PRIx64 ", which is there",
                             f->info.number);
        out->files[out->count++] = f;
        out->bytes += f->info.file_bytes;
        table_file_ref(f);
    }
    return ST_OK;
}

static enum status
add_files(const struct version_edit *e, uint32_t level, struct level *out, struct err *err)
{
    for (uint32_t i = 0; i < e->added_count; i++) {
        struct table_file *f = e->added[i].file;
        enum status st;

        if (e->added[i].level != level)
            continue;
        if (slice_compare(smallest_of(f), largest_of(f)) > 0)
            return err_raise(err, ST_CORRUPT, "table %016" PRIx64 " ends before it begins",
                             f->info.number);
        st = level_insert(out, level, f, err);
        if (st != ST_OK)
            return st;
    }
    return ST_OK;
}

/* On failure the level holds what it holds; version_unref() copes. */
static enum status
build_level(const struct level *old, const struct version_edit *e, uint32_t level, struct plan *p,
            struct level *out, struct err *err)
{
    uint32_t room = (e->clear ? 0 : old->count) + count_added(e, level);
    enum status st = ST_OK;

    if (room == 0)
        return ST_OK;
    out->files = mem_new_array(struct table_file *, room);
    if (out->files == NULL)
        return err_raise(err, ST_NO_MEMORY, "no memory for a level of %" PRIu32 " tables", room);
    if (!e->clear)
        st = keep_files(old, level, p, out, err);
    if (st == ST_OK)
        st = add_files(e, level, out, err);
    ASSERT(out->count <= room);
    return st;
}

static bool
level_is_ordered(const struct level *l, uint32_t level)
{
    uint64_t bytes = 0;

    for (uint32_t i = 0; i < l->count; i++) {
        bytes += l->files[i]->info.file_bytes;
        if (i > 0 && !may_precede(level, l->files[i - 1], l->files[i]))
            return false;
    }
    return bytes == l->bytes;
}

bool
version_is_ordered(const struct version *v)
{
    for (uint32_t level = 0; level < LIMIT_LEVELS; level++) {
        if (!level_is_ordered(&v->levels[level], level))
            return false;
    }
    return true;
}

enum status
version_apply(const struct version *v, const struct version_edit *e, struct version **out,
              struct err *err)
{
    struct version *after = version_create();
    struct plan plan;
    enum status st;

    if (after == NULL)
        return err_raise(err, ST_NO_MEMORY, "no memory for a version");

    st = plan_init(&plan, e, err);
    for (uint32_t level = 0; st == ST_OK && level < LIMIT_LEVELS; level++)
        st = build_level(&v->levels[level], e, level, &plan, &after->levels[level], err);
    if (st == ST_OK && plan.removed_found != plan.removed_count) {
        st = err_raise(err, ST_CORRUPT,
                       "edit removes %" PRIu32 " tables, of which %" PRIu32 " are there",
                       plan.removed_count, plan.removed_found);
    }
    plan_release(&plan);
    if (st != ST_OK) {
        version_unref(after);
        return st;
    }
    VERIFY(version_is_ordered(after));
    *out = after;
    return ST_OK;
}

uint32_t
version_find(const struct level *l, struct slice key)
{
    uint32_t begin = 0;
    uint32_t limit = l->count;

    while (begin < limit) {
        uint32_t middle = begin + (limit - begin) / 2;

        if (slice_compare(largest_of(l->files[middle]), key) < 0)
            begin = middle + 1;
        else
            limit = middle;
    }
    return begin;
}

bool
version_overlaps(const struct level *l, uint32_t level, struct slice from, struct slice to)
{
    uint32_t at;

    if (level > 0) {
        at = version_find(l, from);
        return at < l->count && slice_compare(smallest_of(l->files[at]), to) <= 0;
    }
    for (at = 0; at < l->count; at++) {
        if (slice_compare(smallest_of(l->files[at]), to) <= 0 &&
            slice_compare(largest_of(l->files[at]), from) >= 0)
            return true;
    }
    return false;
}
