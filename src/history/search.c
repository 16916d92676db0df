/*
 * The search for an order.
 *
 * It is that of Wing and Gong ("Testing and verifying concurrent objects",
 * 1993) with the cache of Lowe ("Testing for linearizability", 2017): take any
 * step that may come next, that is, which was called before any step that is
 * not yet in order returned, and that the register can carry out; go on from
 * there; when nothing can follow, take back the last step and try the next
 * one.  A configuration (which steps are in order, and what the register
 * holds) that was met before is not entered again: whatever could follow was
 * tried then.
 *
 *         calls      1    2  3       4            steps not in order, by call
 *        returns         2      1       3         and by return; optional ones have none
 *      candidates    1    2  |                    called before the frontier, the first return
 *
 * Two linked lists hold what is not in order.  A step in order is unlinked but
 * keeps its links, so that taking back, in reverse, is linking again.
 *
 * What is not tried, because trying would change nothing (prune.c):
 *
 *   W1  A READ or DIFFER that is possible is taken at once, and alone: wherever it stood later, it
 *       could stand here.
 *
 *   W2  A step that leaves a value behind which must still be seen, and which nothing can make
 *       again, is not taken.  On a counter, whose value only grows, that is every smaller
 *       number.
 *
 *   W3  A value that cannot be made again stays until all who need it have come, so at least
 *       until the last of them is called.  If something that has no use for the value returns
 *       earlier, the step that makes it is not taken.
 *
 *   W4  A bubble is a WRITE that must come and whose value only READs look for, all called
 *       already, and nobody else makes.  WRITE and READs together may stand before any other
 *       WRITE, and no step misses them where they stood, unless it is a DIFFER that found its
 *       value there before them: so nothing that is called before the bubble's WRITE returns may
 *       make such a value.  While there is a bubble, no other WRITE is tried.
 *
 *   W5  Values that nobody looks for any more, no DIFFER either, are one value, in the cache.
 *
 *   W6  An optional step that changes nothing is left out.  So is one that makes what nobody
 *       looks for any more, unless a DIFFER waits for the present value to go.
 *
 *   W7  Of twins (reduce.c, D3), the first.
 *
 * Steps that must come are tried before optional ones.
 *
 * Invariants
 *
 *   S1  A step is in order, or in `calls`; not both.  It is in `returns` too, unless it is
 *       optional.
 *   S2  All steps in order were called before the frontier: so frontier, candidates and value say
 *       all of a configuration.
 *   S3  Counts of values are those of the steps that are not in order.
 */
#include <stdlib.h>

#include "base/assert.h"
#include "base/mem.h"

#include "history/search_internal.h"

enum { PROGRESS_EVERY = 4096, CONFIG_HEAD_WORDS = 2 };

/* ------------------------------------------------------------------ the lists */

static void
list_append(struct link *list, uint32_t end, uint32_t step)
{
    uint32_t last = list[end].prev;

    list[step] = (struct link){ last, end };
    list[last].next = step;
    list[end].prev = step;
}

static void
list_unlink(struct link *list, uint32_t step)
{
    list[list[step].prev].next = list[step].next;
    list[list[step].next].prev = list[step].prev;
}

static void
list_relink(struct link *list, uint32_t step)
{
    list[list[step].prev].next = step;
    list[list[step].next].prev = step;
}

/* ------------------------------------------------------------------ steps */

uint32_t
search__carry_out(struct search *s, const struct step *step)
{
    const struct value *v = &s->sub->values[s->value];
    uint32_t next = VALUE_NONE;
    bool needed = step->needs == s->value || (step->or_absent && s->value == VALUE_ABSENT);
    int64_t sum;

    switch (step->kind) {
    case STEP_READ:
        return needed ? s->value : VALUE_NONE;
    case STEP_DIFFER:
        return needed ? VALUE_NONE : s->value;
    case STEP_WRITE:
        return step->makes;
    case STEP_SWAP:
        return needed ? step->makes : VALUE_NONE;
    case STEP_ADD:
        if (!subhistory_adds_see(s->sub, s->value) ||
            __builtin_add_overflow(s->value == VALUE_ABSENT ? 0 : v->number, step->delta, &sum))
            return VALUE_NONE;
        if (subhistory_number(s->sub, sum, &next) != ST_OK)
            s->stopped = ST_NO_MEMORY;
        return next;
    }
    return next;
}

static void
take(struct search *s, uint32_t at, uint32_t next, bool forced)
{
    const struct step *step = &s->sub->steps[at];

    ASSERT(s->depth < s->end);
    s->frames[s->depth++] = (struct frame){ at, s->value, forced };
    list_unlink(s->calls, at);
    if (!step->optional) {
        list_unlink(s->returns, at);
        s->missing--;
    }
    subhistory_count(s->sub, step, false);
    s->value = next;
}

static struct frame
take_back(struct search *s)
{
    struct frame frame = s->frames[--s->depth];
    const struct step *step = &s->sub->steps[frame.step];

    subhistory_count(s->sub, step, true);
    if (!step->optional) {
        list_relink(s->returns, frame.step);
        s->missing++;
    }
    list_relink(s->calls, frame.step);
    s->value = frame.value_before;
    return frame;
}

/* ------------------------------------------------------------------ configurations */

/* S2.  False: it was met before, or there is no room for it. */
static bool
enter(struct search *s)
{
    uint32_t count = CONFIG_HEAD_WORDS;
    bool is_new = false;
    enum status st;

    s->words[0] = search__is_spent(s) ? VALUE_SPENT : s->value;
    s->words[1] = s->returns[s->end].next;
    for (uint32_t at = s->calls[s->end].next; search__is_candidate(s, at); at = s->calls[at].next)
        s->words[count++] = at;
    st = configs_add(&s->configs, s->words, count, &is_new);
    if (st != ST_OK)
        s->stopped = st;
    return is_new;
}

/* ------------------------------------------------------------------ the search */

static bool
try_step(struct search *s, uint32_t at, uint32_t bubble)
{
    uint32_t before = s->value;
    uint32_t next = search__carry_out(s, &s->sub->steps[at]);

    if (next == VALUE_NONE || search__is_idle(s, at, next, bubble))
        return false;
    take(s, at, next, false);
    if (!search__is_in_vain(s, before) && enter(s))
        return true;
    take_back(s);
    return false;
}

/* Take the next step after `tried`, of those that must come and then of the optional ones.
 * False: there is none. */
static bool
advance(struct search *s, uint32_t tried)
{
    bool optional = tried != s->end && s->sub->steps[tried].optional;
    uint32_t bubble = search__find_bubble(s);
    uint32_t at = s->calls[tried].next;

    for (;;) {
        for (; search__is_candidate(s, at); at = s->calls[at].next) {
            if (s->sub->steps[at].optional == optional && try_step(s, at, bubble))
                return true;
        }
        if (optional)
            return false;
        optional = true;
        at = s->calls[s->end].next;
    }
}

/* To the last step that has an alternative, perhaps: `*tried` is that step.  False: there is
 * none. */
static bool
retreat(struct search *s, uint32_t *tried)
{
    while (s->depth > 0) {
        struct frame frame = take_back(s);

        if (!frame.forced) {
            *tried = frame.step;
            return true;
        }
    }
    return false;
}

static void
tell(struct search *s, const struct search_options *options)
{
    if (++s->turns % PROGRESS_EVERY == 0 && options->progress != NULL)
        options->progress(options->progress_ctx, s->depth);
}

static enum history_verdict
search(struct search *s, const struct search_options *options)
{
    uint32_t tried = s->end;

    while (s->missing > 0) {
        uint32_t forced = tried == s->end ? search__find_forced(s) : s->end;
        bool on = true;

        tell(s, options);
        if (forced != s->end)
            take(s, forced, s->value, true);
        else if (advance(s, tried))
            tried = s->end;
        else
            on = s->stopped == ST_OK && retreat(s, &tried);
        if (s->stopped != ST_OK)
            return HISTORY_UNDECIDED;
        if (!on)
            return HISTORY_VIOLATION;
    }
    return HISTORY_LINEARIZABLE;
}

/* ------------------------------------------------------------------ life */

static int
compare_returns(const void *left, const void *right)
{
    const struct step *a = *(const struct step *const *)left;
    const struct step *b = *(const struct step *const *)right;

    return (a->return_rank > b->return_rank) - (a->return_rank < b->return_rank);
}

static enum status
link_steps(struct search *s)
{
    const struct step **sorted = mem_new_array(const struct step *, s->end);
    uint32_t count = 0;

    if (sorted == NULL)
        return ST_NO_MEMORY;
    s->calls[s->end] = s->returns[s->end] = (struct link){ s->end, s->end };
    for (uint32_t i = 0; i < s->end; i++) {
        list_append(s->calls, s->end, i);
        if (!s->sub->steps[i].optional)
            sorted[count++] = &s->sub->steps[i];
    }
    if (count > 0)
        qsort(sorted, count, sizeof(const struct step *), compare_returns);
    for (uint32_t i = 0; i < count; i++)
        list_append(s->returns, s->end, (uint32_t)(sorted[i] - s->sub->steps));
    s->missing = count;
    mem_free(sorted);
    return ST_OK;
}

static enum status
search_init(struct search *s, struct subhistory *sub, size_t memory_bytes_max)
{
    size_t count = sub->step_count;

    *s = (struct search){ .sub = sub, .end = sub->step_count, .value = VALUE_ABSENT };
    s->calls = mem_new_array(struct link, count + 1);
    s->returns = mem_new_array(struct link, count + 1);
    s->frames = mem_new_array(struct frame, count);
    s->words = mem_new_array(uint32_t, count + CONFIG_HEAD_WORDS);
    if (s->calls == NULL || s->returns == NULL || s->frames == NULL || s->words == NULL ||
        configs_init(&s->configs, memory_bytes_max) != ST_OK)
        return ST_NO_MEMORY;
    return link_steps(s);
}

static void
search_release(struct search *s)
{
    configs_release(&s->configs);
    mem_free(s->calls);
    mem_free(s->returns);
    mem_free(s->frames);
    mem_free(s->words);
}

static enum status
give_order(const struct search *s, struct search_result *out)
{
    uint32_t *order = mem_new_array(uint32_t, s->depth);

    if (order == NULL)
        return ST_NO_MEMORY;
    for (uint32_t i = 0; i < s->depth; i++)
        order[i] = s->sub->steps[s->frames[i].step].op;
    *out = (struct search_result){ HISTORY_LINEARIZABLE, order, s->depth };
    return ST_OK;
}

enum status
search_run(struct subhistory *sub, const struct search_options *options, struct search_result *out)
{
    enum history_verdict verdict;
    struct search s;
    enum status st = search_init(&s, sub, options->memory_bytes_max);

    if (st == ST_OK) {
        verdict = search(&s, options);
        if (s.stopped == ST_NO_MEMORY)
            st = ST_NO_MEMORY;
        else if (verdict == HISTORY_LINEARIZABLE)
            st = give_order(&s, out);
        else
            *out = (struct search_result){ .verdict = verdict };
    }
    search_release(&s);
    return st;
}
