/*
 * Which compaction is due.  Reads the version and nothing else.
 *
 *      L0   [a....m] [c.......t]        by count against l0_trigger
 *      L1   [a..d][e..k][l..z]          by bytes against level_base_bytes
 *      L2   [a.b][c..f][g....s]         by bytes against ten times as much
 *      ...
 *      L6                               takes what comes; never picked
 *
 * The level that is fullest in proportion to its aim is compacted into the next one, except that
 * an L0 on its way to a stall comes first.  When no level is over its aim, a table of which at
 * least half is tombstones is moved towards the data that it hides.
 *
 * Within a level, dense tables come first, counting what has an expiry as if it had expired; and
 * among equals they take turns in key order, beginning after the cursor.  In L0 the oldest
 * comes first.
 *
 * INVARIANTS, of a compaction that was picked
 *
 *   P1  From L0: with a table, all L0 tables that overlap the range of those chosen are chosen
 *       too.  So what stays in L0 neither hides nor is hidden by what moves (V3).
 *   P2  All tables of the output level that overlap the chosen range are chosen.  The range is
 *       one interval, so what stays lies wholly outside of it, and of the chosen ones (V1).
 *   P3  `bottom` only if no table below the output level overlaps the range of the inputs.
 *   P4  `trivial` only for one input, and not if that would keep tombstones that can go now.
 *   P5  Whatever is picked leaves the level; so with no new tables, nothing is due in the end.
 */
#include "lsm/picker.h"

#include "base/assert.h"
#include "base/mem.h"

enum {
    LAST_LEVEL = LIMIT_LEVELS - 1,
    INPUT_CAPACITY_MIN = 8,
};

/* Due, but not before anything that is over its aim. */
static const double dense_score = 0.5;

struct range {
    struct slice from;
    struct slice to;
};

static struct range
range_of(const struct table_file *f)
{
    return (struct range){ buf_slice(&f->info.smallest), buf_slice(&f->info.largest) };
}

static void
range_widen(struct range *r, const struct table_file *f)
{
    struct range other = range_of(f);

    if (slice_compare(other.from, r->from) < 0)
        r->from = other.from;
    if (slice_compare(other.to, r->to) > 0)
        r->to = other.to;
}

static bool
range_touches(const struct range *r, const struct table_file *f)
{
    struct range other = range_of(f);

    return slice_compare(other.from, r->to) <= 0 && slice_compare(other.to, r->from) >= 0;
}

/* At least half are tombstones: entries that only wait for older ones to vanish. */
static bool
is_dense(const struct table_file *f)
{
    return f->info.tombstone_count >= f->info.entry_count - f->info.tombstone_count;
}

/* At least half are tombstones, or may have become some by now. */
static bool
looks_dense(const struct table_file *f)
{
    uint64_t lacking; /* twice the entries that are not there to make it dense */

    if (is_dense(f))
        return true;
    lacking = f->info.entry_count - 2 * f->info.tombstone_count;
    return f->info.expiring_count >= lacking - lacking / 2;
}

/* ------------------------------------------------------------------ what is due */

/* How full the level is in proportion to its aim. */
static double
fullness(const struct version *v, const struct lsm_options *options, uint32_t level)
{
    double aim = (double)options->level_base_bytes;

    if (level == 0)
        return (double)v->levels[0].count / options->l0_trigger;
    for (uint32_t i = 1; i < level; i++)
        aim *= options->level_multiplier;
    return (double)v->levels[level].bytes / aim;
}

/* Half-way from the trigger to the stall, L0 comes before anything else. */
static bool
l0_presses(const struct version *v, const struct lsm_options *options)
{
    uint32_t count = v->levels[0].count;

    return count > options->l0_trigger && count >= (options->l0_trigger + options->l0_stall) / 2;
}

static bool
is_over(const struct version *v, const struct lsm_options *options, uint32_t level)
{
    return level == 0 ? v->levels[0].count >= options->l0_trigger
                      : fullness(v, options, level) > 1.0;
}

static bool
has_dense(const struct level *l)
{
    for (uint32_t i = 0; i < l->count; i++) {
        if (is_dense(l->files[i]))
            return true;
    }
    return false;
}

/* The level to compact, or LIMIT_LEVELS; `*score` as lsm_compact_score(). */
static uint32_t
most_urgent(const struct version *v, const struct lsm_options *options, double *score)
{
    uint32_t best = LIMIT_LEVELS;

    *score = 0;
    for (uint32_t level = 0; level < LAST_LEVEL; level++) {
        double full = fullness(v, options, level);

        if (is_over(v, options, level) && full > *score) {
            *score = full;
            best = level;
        }
    }
    if (l0_presses(v, options))
        return 0;
    for (uint32_t level = 0; best == LIMIT_LEVELS && level < LAST_LEVEL; level++) {
        if (has_dense(&v->levels[level])) {
            *score = dense_score;
            best = level;
        }
    }
    return best;
}

double
picker_score(const struct version *v, const struct lsm_options *options)
{
    double score;

    most_urgent(v, options, &score);
    return score;
}

/* ------------------------------------------------------------------ inputs */

void
compaction_release(struct compaction *c)
{
    for (uint32_t i = 0; i < c->input_count; i++)
        table_file_unref(c->inputs[i]);
    mem_free(c->inputs);
    mem_free(c->input_levels);
    *c = (struct compaction){ 0 };
}

/* Room for every table of the levels [begin, limit]: more than enough, and never too little. */
static enum status
reserve_inputs(struct compaction *c, const struct version *v, uint32_t begin, uint32_t limit)
{
    uint32_t room = INPUT_CAPACITY_MIN;

    for (uint32_t level = begin; level <= limit; level++)
        room += v->levels[level].count;
    c->inputs = mem_new_array(struct table_file *, room);
    c->input_levels = mem_new_array(uint32_t, room);
    return c->inputs != NULL && c->input_levels != NULL ? ST_OK : ST_NO_MEMORY;
}

static void
take_input(struct compaction *c, uint32_t level, struct table_file *f)
{
    table_file_ref(f);
    c->inputs[c->input_count] = f;
    c->input_levels[c->input_count] = level;
    c->input_count++;
    c->input_bytes += f->info.file_bytes;
}

/* Every table of the level that touches the range, in the level's order. */
static void
take_touching(struct compaction *c, const struct version *v, uint32_t level,
              const struct range *range)
{
    const struct level *l = &v->levels[level];

    for (uint32_t i = 0; i < l->count; i++) {
        if (range_touches(range, l->files[i]))
            take_input(c, level, l->files[i]);
    }
}

/* P1: widen the range until every L0 table that touches it lies inside. */
static void
close_over_l0(const struct level *l0, struct range *range)
{
    bool grown = true;

    while (grown) {
        struct range before = *range;

        for (uint32_t i = 0; i < l0->count; i++) {
            if (range_touches(range, l0->files[i]))
                range_widen(range, l0->files[i]);
        }
        grown = slice_compare(before.from, range->from) != 0 ||
                slice_compare(before.to, range->to) != 0;
    }
}

/* The first of those wanted that begins after the cursor, or else the first; NULL: none. */
static const struct table_file *
next_in_turn(const struct level *l, struct slice cursor, bool (*wanted)(const struct table_file *))
{
    const struct table_file *first = NULL;

    for (uint32_t i = 0; i < l->count; i++) {
        const struct table_file *f = l->files[i];

        if (wanted != NULL && !wanted(f))
            continue;
        if (slice_compare(buf_slice(&f->info.smallest), cursor) > 0)
            return f;
        if (first == NULL)
            first = f;
    }
    return first;
}

/* The oldest of those wanted; NULL: none. */
static const struct table_file *
oldest(const struct level *l0, bool (*wanted)(const struct table_file *))
{
    for (uint32_t i = l0->count; i > 0; i--) {
        if (wanted == NULL || wanted(l0->files[i - 1]))
            return l0->files[i - 1];
    }
    return NULL;
}

static const struct table_file *
next_of(const struct version *v, uint32_t level, struct slice cursor,
        bool (*wanted)(const struct table_file *))
{
    const struct level *l = &v->levels[level];

    return level == 0 ? oldest(l, wanted) : next_in_turn(l, cursor, wanted);
}

static const struct table_file *
choose_table(const struct version *v, uint32_t level, bool over, struct slice cursor)
{
    const struct table_file *f = next_of(v, level, cursor, over ? looks_dense : is_dense);

    return f != NULL ? f : next_of(v, level, cursor, NULL);
}

/* P3. */
static bool
nothing_below(const struct version *v, uint32_t level, const struct range *range)
{
    for (uint32_t below = level + 1; below < LIMIT_LEVELS; below++) {
        if (version_overlaps(&v->levels[below], below, range->from, range->to))
            return false;
    }
    return true;
}

/* The range of all that was taken so far. */
static struct range
inputs_range(const struct compaction *c)
{
    struct range range = range_of(c->inputs[0]);

    for (uint32_t i = 1; i < c->input_count; i++)
        range_widen(&range, c->inputs[i]);
    return range;
}

enum status
picker_pick(const struct version *v, const struct lsm_options *options, const struct buf *cursor,
            struct compaction *out)
{
    double score;
    uint32_t level = most_urgent(v, options, &score);
    struct compaction c = { .level = level, .output_level = level + 1 };
    struct range range;
    bool drops;
    enum status st;

    if (level == LIMIT_LEVELS)
        return ST_NOT_FOUND;
    ASSERT(level < LAST_LEVEL);
    st = reserve_inputs(&c, v, level, level + 1);
    if (st != ST_OK) {
        compaction_release(&c);
        return st;
    }
    range = range_of(choose_table(v, level, score > dense_score, buf_slice(&cursor[level])));
    if (level == 0)
        close_over_l0(&v->levels[0], &range);
    take_touching(&c, v, level, &range);
    c.upper_count = c.input_count;
    take_touching(&c, v, level + 1, &range); /* P2 */

    range = inputs_range(&c);
    c.bottom = nothing_below(v, level + 1, &range);
    drops = c.bottom && c.inputs[0]->info.tombstone_count > 0;
    c.trivial = c.input_count == 1 && !drops; /* P4 */
    ASSERT(c.upper_count > 0);
    *out = c;
    return ST_OK;
}

enum status
picker_all(const struct version *v, struct compaction *out)
{
    struct compaction c = { .level = 0, .bottom = true };
    uint32_t last = 0;
    enum status st;

    for (uint32_t level = 0; level < LIMIT_LEVELS; level++) {
        if (v->levels[level].count > 0)
            last = level;
    }
    c.output_level = last > 0 ? last : 1;
    st = reserve_inputs(&c, v, 0, last);
    if (st != ST_OK) {
        compaction_release(&c);
        return st;
    }
    for (uint32_t level = 0; level <= last; level++) {
        for (uint32_t i = 0; i < v->levels[level].count; i++)
            take_input(&c, level, v->levels[level].files[i]);
    }
    c.upper_count = v->levels[0].count;
    if (c.input_count == 0) {
        compaction_release(&c);
        return ST_NOT_FOUND;
    }
    *out = c;
    return ST_OK;
}
