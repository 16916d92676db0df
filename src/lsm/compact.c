/*
 * From tables to fewer and larger ones.  T5, T6, T7, T8 and T10 at the head of lsm.c.
 *
 *      inputs ──merge──> sieve ──> outputs, cut where a key ends
 *
 * Outputs are cut at `table_bytes`, and sooner when one would overlap too much of the
 * level below: that table would be dear to compact in its turn.  Never within a key: the
 * levels below L0 have one table for a key.
 *
 * What came to L0 since the inputs were picked is newer than they are, and stays
 * where it is; deeper levels change only by compactions, of which one runs at a time.
 */
#include "base/assert.h"

#include "lsm/lsm_internal.h"

enum { GRANDPARENT_TABLES_MAX = 10 }; /* as many tables' bytes may one output overlap */

struct compacting {
    struct lsm *tree;
    const struct compaction *plan;
    const struct version *version; /* the plan was picked from it */
    uint64_t generation;
    struct horizon horizon;
    struct sieve sieve;
    struct merge merge;
    struct change change;
    struct table_options options;
    struct table_builder *builder; /* NULL between two outputs */
    bool key_open;                 /* the builder has a version of the sieve's key */
    uint32_t grand_at;             /* first table of the level below that is not before the key */
    uint64_t grand_bytes;          /* what the current output overlaps there */
    uint64_t entries_in;
    uint64_t entries_out;
    uint64_t entries_total;
    uint64_t bytes_out;
    bool whole; /* somebody waits for it, and may ask how far it is */
};

/* ------------------------------------------------------------------ inputs */

/* Consecutive inputs with ascending, disjoint ranges are one run, opened one by one. */
static bool
follows(const struct table_file *before, const struct table_file *f)
{
    return slice_compare(buf_slice(&before->info.largest), buf_slice(&f->info.smallest)) < 0;
}

static void
add_inputs(struct compacting *c)
{
    const struct compaction *plan = c->plan;
    uint32_t begin = 0;

    for (uint32_t i = 1; i <= plan->input_count; i++) {
        if (i < plan->input_count && follows(plan->inputs[i - 1], plan->inputs[i]))
            continue;
        lsm__merge_add_run(&c->merge, &plan->inputs[begin], i - begin);
        begin = i;
    }
}

static enum status
remove_inputs(struct compacting *c, struct err *err)
{
    for (uint32_t i = 0; i < c->plan->input_count; i++) {
        enum status st = version_edit_remove(&c->change.edit, c->plan->input_levels[i],
                                             c->plan->inputs[i]->info.number);

        if (st != ST_OK)
            return err_raise(err, st, "tree %s: no memory for an edit", c->tree->dir);
    }
    return ST_OK;
}

/* ------------------------------------------------------------------ outputs */

static enum status
finish_output(struct compacting *c, struct err *err)
{
    struct table_builder *builder = c->builder;
    struct table_info info;
    enum status st;

    if (builder == NULL)
        return ST_OK;
    c->builder = NULL;
    c->grand_bytes = 0;
    st = table_builder_finish(builder, &info, err);
    if (st != ST_OK)
        return st;
    c->bytes_out += info.file_bytes;
    lsm__add(&c->tree->bytes_written, info.file_bytes);
    return lsm__change_add(&c->change, c->tree, c->plan->output_level, &info, err);
}

/* The key lies beyond some tables of the level below: the output has passed over them. */
static void
pass_grandparents(struct compacting *c, struct slice key)
{
    uint32_t level = c->plan->output_level + 1;
    const struct level *l;

    if (level >= LIMIT_LEVELS)
        return;
    l = &c->version->levels[level];
    while (c->grand_at < l->count &&
           slice_compare(buf_slice(&l->files[c->grand_at]->info.largest), key) < 0) {
        if (c->builder != NULL)
            c->grand_bytes += l->files[c->grand_at]->info.file_bytes;
        c->grand_at++;
    }
}

static bool
is_output_full(const struct compacting *c)
{
    return table_builder_file_bytes(c->builder) >= c->tree->options.table_bytes ||
           c->grand_bytes > GRANDPARENT_TABLES_MAX * c->tree->options.table_bytes;
}

static enum status
put_out(struct compacting *c, const struct entry *e, struct err *err)
{
    enum status st = ST_OK;

    if (c->builder != NULL && !c->key_open && is_output_full(c))
        st = finish_output(c, err);
    if (st == ST_OK && c->builder == NULL)
        st = lsm__table_begin(c->tree, &c->options, &c->builder, err);
    if (st == ST_OK)
        st = table_builder_add(c->builder, e, err);
    if (st != ST_OK)
        return st;
    c->key_open = true;
    c->entries_out++;
    return ST_OK;
}

/* ------------------------------------------------------------------ the merge */

static enum status
take_in(struct compacting *c, struct err *err)
{
    struct entry e = *lsm__merge_entry(&c->merge);
    enum status st;
    bool keep;

    c->entries_in++;
    st = lsm__sieve_judge(&c->sieve, &e, &keep);
    if (st != ST_OK)
        return err_raise(err, st, "tree %s: no memory for a key", c->tree->dir);
    if (c->sieve.new_key) {
        c->key_open = false;
        pass_grandparents(c, e.key);
    }
    return keep ? put_out(c, &e, err) : ST_OK;
}

static void
show_progress(const struct compacting *c)
{
    uint64_t permille = c->entries_total == 0 ? 0 : c->entries_in * 1000 / c->entries_total;

    if (!c->whole)
        return;
    atomic_store_explicit(&c->tree->compact_permille, permille < 1000 ? (uint32_t)permille : 1000,
                          memory_order_relaxed);
}

static enum status
merge_all(struct compacting *c, struct err *err)
{
    struct place first = { .kind = PLACE_FIRST };
    enum status st = lsm__merge_place(&c->merge, &first, err);

    while (st == ST_OK) {
        st = take_in(c, err);
        if (st == ST_OK && c->entries_in % JOB_CHECK_ENTRIES == 0) {
            show_progress(c);
            st = lsm__job_check(c->tree, c->generation, err);
        }
        if (st == ST_OK)
            st = lsm__merge_step(&c->merge, err);
    }
    return st == ST_NOT_FOUND ? finish_output(c, err) : st; /* T10: anything else ends it */
}

static void
prepare(struct compacting *c)
{
    struct lsm *t = c->tree;

    c->options = t->options.tables;
    if (c->plan->bottom)
        c->options.compression = t->options.last_level_compression;
    lsm__sieve_init(&c->sieve, &c->horizon);
    c->sieve.expired_ms = version_unix_ms(c->horizon.durable);
    c->sieve.narrowing = lsm__narrowing_at(c->tree, lsm__horizon_oldest(&c->horizon));
    c->sieve.drop_tombstones = true;
    c->sieve.below = c->plan->bottom ? NULL : c->version;
    c->sieve.below_level = c->plan->output_level + 1;
    for (uint32_t i = 0; i < c->plan->input_count; i++)
        c->entries_total += c->plan->inputs[i]->info.entry_count;
}

/* Write the outputs; they and the inputs are then in the change. */
static enum status
rewrite(struct compacting *c, struct err *err)
{
    enum status st = lsm__horizon_take(c->tree, &c->horizon, err);

    if (st != ST_OK)
        return st;
    prepare(c);
    st = lsm__merge_init(&c->merge, c->tree, c->plan->input_count, false, err);
    if (st == ST_OK) {
        add_inputs(c);
        st = merge_all(c, err);
        lsm__merge_release(&c->merge);
    }
    table_builder_abandon(c->builder); /* after a failure */
    lsm__sieve_release(&c->sieve);
    lsm__horizon_release(&c->horizon);
    return st;
}

static enum status
move(struct compacting *c, struct err *err)
{
    struct table_file *f = c->plan->inputs[0];
    enum status st = version_edit_add(&c->change.edit, c->plan->output_level, f);

    if (st != ST_OK)
        return err_raise(err, st, "tree %s: no memory for an edit", c->tree->dir);
    c->bytes_out = f->info.file_bytes;
    return ST_OK;
}

/* ------------------------------------------------------------------ the jobs */

static void
count(struct compacting *c, struct lsm_compact_report *report)
{
    struct lsm *t = c->tree;
    uint64_t bytes_in = c->plan->input_bytes;

    report->keys_removed = c->entries_in - c->entries_out;
    report->bytes_reclaimed = bytes_in > c->bytes_out ? bytes_in - c->bytes_out : 0;
    lsm__add(&t->compactions, 1);
    lsm__add(&t->keys_removed, report->keys_removed);
    lsm__add(&t->bytes_reclaimed, report->bytes_reclaimed);
    atomic_store_explicit(&t->last_compaction_ms, env_wall_ms(t->shared->env),
                          memory_order_relaxed);
}

static enum status
carry_out(struct compacting *c, bool trivial, struct lsm_compact_report *report, struct err *err)
{
    enum status st;

    lsm__change_init(&c->change, c->tree, c->generation);
    st = remove_inputs(c, err);
    if (st == ST_OK)
        st = trivial ? move(c, err) : rewrite(c, err);
    if (st != ST_OK) {
        lsm__change_abandon(&c->change);
        return st;
    }
    report->tables_in = c->change.edit.removed_count;
    report->tables_out = c->change.edit.added_count;
    st = lsm__change_commit(&c->change, c->tree, err);
    if (st == ST_OK)
        count(c, report);
    else
        *report = (struct lsm_compact_report){ 0 };
    return st;
}

static void
enter(struct lsm *t)
{
    bool running = atomic_exchange(&t->compacting, true);

    ASSERT(!running); /* one at a time */
}

static void
leave(struct lsm *t)
{
    atomic_store_explicit(&t->compact_permille, 0, memory_order_relaxed);
    atomic_store(&t->compacting, false);
}

/* The next choice within the level begins after these inputs, also if they cannot be compacted:
 * one damaged table must not keep the others from their turn. */
static void
move_cursor(struct lsm *t, const struct compaction *plan)
{
    struct buf *cursor = &t->cursor[plan->level];

    if (plan->level == 0)
        return;
    cursor->size = 0;
    if (buf_append(cursor, buf_slice(&plan->inputs[plan->upper_count - 1]->info.largest)) != ST_OK)
        cursor->size = 0;
}

static enum status
picked(const struct lsm *t, enum status st, struct err *err)
{
    if (st == ST_NO_MEMORY)
        return err_raise(err, st, "tree %s: no memory to pick a compaction", t->dir);
    return st;
}

static enum status
compact_next(struct lsm *t, struct err *err)
{
    struct lsm_compact_report report = { 0 };
    struct compacting c = { .tree = t };
    struct view *v = lsm__view_take(t, &c.generation);
    struct compaction plan;
    enum status st;

    st = lsm__job_check(t, c.generation, err);
    if (st == ST_OK)
        st = picked(t, picker_pick(v->version, &t->options, t->cursor, &plan), err);
    if (st == ST_OK) {
        c.plan = &plan;
        c.version = v->version;
        move_cursor(t, &plan);
        st = carry_out(&c, plan.trivial, &report, err);
        compaction_release(&plan);
    }
    lsm__view_unref(v);
    return st == ST_CONFLICT ? ST_OK : st; /* T8: a clear has done it for us */
}

enum status
lsm_compact(struct lsm *t, struct err *err)
{
    enum status st;

    enter(t);
    st = compact_next(t, err);
    leave(t);
    return st;
}

static enum status
compact_whole(struct lsm *t, struct lsm_compact_report *report, struct err *err)
{
    struct compacting c = { .tree = t, .whole = true };
    struct view *v = lsm__view_take(t, &c.generation);
    struct compaction plan;
    enum status st;

    st = lsm__job_check(t, c.generation, err);
    if (st == ST_OK)
        st = picked(t, picker_all(v->version, &plan), err);
    if (st == ST_OK) {
        c.plan = &plan;
        c.version = v->version;
        st = carry_out(&c, false, report, err);
        compaction_release(&plan);
    }
    lsm__view_unref(v);
    return st == ST_CONFLICT || st == ST_NOT_FOUND ? ST_OK : st; /* no table: nothing to do */
}

enum status
lsm_compact_all(struct lsm *t, struct lsm_compact_report *report, struct err *err)
{
    struct lsm_compact_report done = { 0 };
    enum status st;

    enter(t);
    st = compact_whole(t, &done, err);
    leave(t);
    if (st == ST_OK && report != NULL)
        *report = done;
    return st;
}
