/*
 * An observer is a step that must come and needs one value: a READ, a SWAP.
 * Three moments decide about it:
 *
 *      sources     the steps that could have made its value: called before it returned
 *      settled     when the last of the sources had returned (never, if one of them is optional)
 *      replaced    a step that must come, makes another value, was called after
 *                  `settled` and had returned before the observer was called
 *
 *              source      replaced     observer
 *            |--------|   |--------|   |--------|
 *
 *   A1  No source, and the value is not what the register held at the beginning: never written.
 *   A2  One that replaced it: in every order it stands between all sources and the observer, so the
 *       observer cannot see the value.  If somebody who must come needed the replacement, the read
 *       was stale; if nobody ever did, the write was lost.
 *
 * Where there is an ADD, a number may have come from it, and nothing is said.
 */
#include "history/anomalies.h"

#include <stdlib.h>

#include "base/mem.h"

struct span {
    uint64_t settled_ns; /* so far */
    bool has_source;
    bool is_seen; /* an observer needs it */
};

struct finder {
    const struct subhistory *s;
    struct span *spans;         /* by value */
    const struct step **fates;  /* writes that must come, by their return */
    const struct step **newest; /* of fates[0..i], the one that was called last ... */
    const struct step **second; /* ... and the last called of those that make another value */
    uint32_t fate_count;
    bool has_add;
};

static bool
is_observer(const struct step *step)
{
    return !step->optional && !step->or_absent &&
           (step->kind == STEP_READ || step->kind == STEP_SWAP);
}

static bool
is_write(const struct step *step)
{
    return step->kind == STEP_WRITE || step->kind == STEP_SWAP;
}

static int
compare_returns(const void *left, const void *right)
{
    const struct step *a = *(const struct step *const *)left;
    const struct step *b = *(const struct step *const *)right;

    return (a->return_ns > b->return_ns) - (a->return_ns < b->return_ns);
}

static const struct step *
later_called(const struct step *a, const struct step *b)
{
    return a == NULL || (b != NULL && b->call_ns > a->call_ns) ? b : a;
}

/* Of the writes up to each, the last called one, and the last called one of another value than
 * it. */
static void
find_newest(struct finder *f)
{
    for (uint32_t i = 0; i < f->fate_count; i++) {
        const struct step *now = f->fates[i];
        const struct step *top = i == 0 ? NULL : f->newest[i - 1];
        const struct step *next = i == 0 ? NULL : f->second[i - 1];

        f->newest[i] = later_called(top, now);
        if (top == NULL || top->makes == now->makes)
            f->second[i] = next;
        else
            f->second[i] = f->newest[i] == now ? top : later_called(next, now);
    }
}

static void
collect(struct finder *f)
{
    for (uint32_t i = 0; i < f->s->step_count; i++) {
        const struct step *step = &f->s->steps[i];

        if (is_write(step) && !step->optional)
            f->fates[f->fate_count++] = step;
        if (is_observer(step))
            f->spans[step->needs].is_seen = true;
        if (step->or_absent)
            f->spans[step->needs].is_seen = f->spans[VALUE_ABSENT].is_seen = true;
        f->has_add = f->has_add || step->kind == STEP_ADD;
    }
    if (f->fate_count > 0)
        qsort(f->fates, f->fate_count, sizeof(const struct step *), compare_returns);
    find_newest(f);
}

/* The last called write of another value that had returned before the observer was called. */
static const struct step *
find_replacement(const struct finder *f, const struct step *observer)
{
    uint32_t begin = 0, limit = f->fate_count;

    while (begin < limit) {
        uint32_t middle = begin + (limit - begin) / 2;

        if (f->fates[middle]->return_ns < observer->call_ns)
            begin = middle + 1;
        else
            limit = middle;
    }
    if (begin == 0)
        return NULL;
    return f->newest[begin - 1]->makes != observer->needs ? f->newest[begin - 1]
                                                          : f->second[begin - 1];
}

/* The spans hold the sources that were called up to here. */
static void
judge(const struct finder *f, const struct step *observer, const struct span *span,
      struct anomaly *out)
{
    const struct step *replaced;

    if (f->has_add && f->s->values[observer->needs].is_number)
        return;
    if (!span->has_source && observer->needs != VALUE_ABSENT) {
        *out = (struct anomaly){ HISTORY_NEVER_WRITTEN, observer->op, HISTORY_OPS_MAX };
        return;
    }
    replaced = find_replacement(f, observer);
    if (replaced == NULL || (span->has_source && replaced->call_ns <= span->settled_ns))
        return;
    *out = (struct anomaly){ f->spans[replaced->makes].is_seen ? HISTORY_STALE_READ
                                                               : HISTORY_LOST_WRITE,
                             observer->op, replaced->op };
}

static void
add_source(struct finder *f, const struct step *step)
{
    struct span *span = &f->spans[step->makes];

    span->has_source = true;
    if (step->return_ns > span->settled_ns)
        span->settled_ns = step->return_ns;
}

static const struct step **
sort_observers(const struct finder *f, uint32_t *count)
{
    const struct step **sorted = mem_new_array(const struct step *, f->s->step_count);

    *count = 0;
    for (uint32_t i = 0; sorted != NULL && i < f->s->step_count; i++) {
        if (is_observer(&f->s->steps[i]))
            sorted[(*count)++] = &f->s->steps[i];
    }
    if (*count > 0)
        qsort(sorted, *count, sizeof(const struct step *), compare_returns);
    return sorted;
}

/* Observers by return, sources by call: both only grow. */
static enum status
walk(struct finder *f, struct anomaly *out)
{
    uint32_t count, at = 0;
    const struct step **observers = sort_observers(f, &count);
    const struct step *steps = f->s->steps;

    if (observers == NULL)
        return ST_NO_MEMORY;
    for (uint32_t i = 0; i < count && out->kind == HISTORY_NO_ANOMALY; i++) {
        for (; at < f->s->step_count && steps[at].call_ns <= observers[i]->return_ns; at++) {
            if (is_write(&steps[at]))
                add_source(f, &steps[at]);
        }
        judge(f, observers[i], &f->spans[observers[i]->needs], out);
    }
    mem_free(observers);
    return ST_OK;
}

enum status
anomalies_find(const struct subhistory *s, struct anomaly *out)
{
    struct finder f = { .s = s };
    struct anomaly found = { HISTORY_NO_ANOMALY, HISTORY_OPS_MAX, HISTORY_OPS_MAX };
    enum status st = ST_NO_MEMORY;

    f.spans = mem_new_array(struct span, s->value_count);
    f.fates = mem_new_array(const struct step *, s->step_count);
    f.newest = mem_new_array(const struct step *, s->step_count);
    f.second = mem_new_array(const struct step *, s->step_count);
    if (f.spans != NULL && f.fates != NULL && f.newest != NULL && f.second != NULL) {
        collect(&f);
        st = walk(&f, &found);
    }
    mem_free(f.spans);
    mem_free(f.fates);
    mem_free(f.newest);
    mem_free(f.second);
    if (st == ST_OK)
        *out = found;
    return st;
}
