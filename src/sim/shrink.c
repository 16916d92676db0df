/*
 * Two searches
 *
 * A SELECTION is made smaller by delta debugging (Zeller and Hildebrandt, "Simplifying and isolating
 * failure-inducing input", 2002), in the form that only ever leaves out: first everything, then one
 * half or the other, then quarters, down to single elements, of what is left each time.
 *
 *      0 1 2 3 4 5 6 7      without 0-3: other      without 4-7: same
 *      0 1 2 3              without 0-1: other      without 2-3: other
 *      0 1 2 3              without 0: same ...
 *
 * Single elements are tried until a whole pass has left nothing out.
 *
 * A NUMBER is bisected.  That the larger of two goes wrong when the smaller does is a guess, which
 * guides the search and nothing else.
 *
 *   S1  What is returned was answered SHRINK_SAME, or is what was given.
 *   S2  It is part of what was given.
 *   S3  Unless it was stopped, of a selection no single element can be left out.
 *   S4  A search ends: each pass is finite, and another one of the same size follows only when the
 *       selection has become smaller.
 *
 * Not here, on purpose: no memory of what was tried.  A candidate seldom comes twice, and a run is
 * short by the time it does.
 */
#include "sim/shrink.h"

#include <ctype.h>

#include "base/assert.h"

struct members {
    uint32_t at[PLAN_ACTIONS_MAX]; /* ascending */
    uint32_t count;
};

static void
list_members(const struct picks *p, struct members *m)
{
    m->count = 0;
    for (uint32_t i = 0; i < PLAN_ACTIONS_MAX; i++) {
        if (picks_has(p, i))
            m->at[m->count++] = i;
    }
}

static struct picks
without(const struct picks *p, const struct members *m, uint32_t begin, uint32_t limit)
{
    struct picks rest = *p;

    for (uint32_t i = begin; i < limit; i++)
        picks_set(&rest, m->at[i], false);
    return rest;
}

/* Leave out what can be, `chunk` elements at a time.  False: it was stopped. */
static bool
pass(struct picks *picks, uint32_t chunk, shrink_picks_fn *answer, void *ctx)
{
    struct members m;

    list_members(picks, &m);
    for (uint32_t begin = 0; begin < m.count; begin += chunk) {
        uint32_t limit = m.count - begin < chunk ? m.count : begin + chunk;
        struct picks candidate = without(picks, &m, begin, limit);
        enum shrink_answer said = answer(ctx, &candidate);

        if (said == SHRINK_STOP)
            return false;
        if (said == SHRINK_SAME)
            *picks = candidate; /* S1; S2, as it was made by leaving out */
    }
    return true;
}

static uint32_t
size_of(const struct picks *p)
{
    struct members m;

    list_members(p, &m);
    return m.count;
}

bool
shrink_picks(struct picks *picks, shrink_picks_fn *answer, void *ctx)
{
    uint32_t count = size_of(picks);
    uint32_t chunk = count;

    ASSERT(picks->some);
    while (count > 0) {
        uint32_t left;

        if (!pass(picks, chunk, answer, ctx))
            return false;
        left = size_of(picks);
        ASSERT(left <= count);
        if (chunk == 1 && left == count)
            return true; /* S3, S4 */
        chunk = (chunk < left ? chunk + 1 : left + 1) / 2;
        count = left;
    }
    return true;
}

bool
shrink_number(uint64_t *number, uint64_t low, uint64_t fine, shrink_number_fn *answer, void *ctx)
{
    while (low<*number && * number - low> fine) {
        uint64_t middle = low + (*number - low) / 2;
        enum shrink_answer said = answer(ctx, middle);

        if (said == SHRINK_STOP)
            return false;
        if (said == SHRINK_SAME)
            *number = middle;
        else
            low = middle + 1;
    }
    return true;
}

/* ------------------------------------------------------------------ kinds */

static bool
is_word(char c)
{
    return isalnum((unsigned char)c) != 0;
}

static size_t
word_size(const char *text, bool *has_digit)
{
    size_t size = 0;

    *has_digit = false;
    while (is_word(text[size])) {
        *has_digit = *has_digit || isdigit((unsigned char)text[size]) != 0;
        size++;
    }
    return size;
}

/* Take one piece of a first line: a word, what is in quotes, or a single byte.  What may differ within
 * a kind is given as "". */
static struct slice
take_piece(const char **at)
{
    const char *begin = *at;
    const char *end = *begin == '"' ? strpbrk(begin + 1, "\"\n") : NULL;
    bool varies;
    size_t size;

    if (end != NULL && *end == '"') {
        *at = end + 1;
        return slice_of(begin, 0);
    }
    size = word_size(begin, &varies);
    *at = begin + (size > 0 ? size : 1);
    return slice_of(begin, varies ? 0 : (size_t)(*at - begin));
}

bool
shrink_same_kind(const char *left, const char *right)
{
    while (*left != '\0' && *left != '\n' && *right != '\0' && *right != '\n') {
        struct slice a = take_piece(&left);
        struct slice b = take_piece(&right);

        if (!slice_equal(a, b))
            return false;
    }
    return (*left == '\0' || *left == '\n') && (*right == '\0' || *right == '\n');
}
