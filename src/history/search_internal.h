/* What search.c and prune.c share.  The essay, W1 to W7 and S1 to S3 are in search.c. */
#ifndef HISTORY_SEARCH_INTERNAL_H
#define HISTORY_SEARCH_INTERNAL_H

#include "history/configs.h"
#include "history/search.h"

/* What a register holds that nobody looks at any more; no number of a value. */
#define VALUE_SPENT (VALUE_NONE - 1)

struct link {
    uint32_t prev, next;
};

struct frame {
    uint32_t step;
    uint32_t value_before;
    bool forced; /* there is no alternative to it */
};

struct search {
    struct subhistory *sub;
    uint32_t end;         /* the lists' head, and "none": one past the last step */
    struct link *calls;   /* by step */
    struct link *returns; /* by step */
    struct frame *frames; /* the steps in order */
    uint32_t depth;
    uint32_t value;   /* that the register holds */
    uint32_t missing; /* steps that must come and are not in order */
    struct configs configs;
    uint32_t *words;     /* a configuration, while it is made */
    enum status stopped; /* ST_TOO_BIG: the bound was hit; ST_NO_MEMORY */
    uint64_t turns;
};

/* Before this moment, candidates were called. */
static inline uint32_t
search__frontier(const struct search *s)
{
    uint32_t first = s->returns[s->end].next;

    return first == s->end ? RANK_NEVER : s->sub->steps[first].return_rank;
}

static inline bool
search__is_candidate(const struct search *s, uint32_t at)
{
    return at != s->end && s->sub->steps[at].call_rank < search__frontier(s);
}

static inline bool
search__is_in_order(const struct search *s, uint32_t step)
{
    return s->calls[s->calls[step].prev].next != step;
}

/* What the register holds after the step; VALUE_NONE: it is not possible now.  Where a sum finds no
 * room, `s->stopped` says so. */
uint32_t search__carry_out(struct search *s, const struct step *step);

/* ------------------------------------------------------------------ prune.c */

/* W1: a step that is to be taken at once; `s->end`: there is none. */
uint32_t search__find_forced(struct search *s);

/* W4; `s->end`: there is none. */
uint32_t search__find_bubble(const struct search *s);

/* W4, W6, W7: there is no need to take this candidate, after which the register would hold
 * `next`. */
bool search__is_idle(const struct search *s, uint32_t at, uint32_t next, uint32_t bubble);

/* W2, W3: the last step was taken in vain; the register held `before`. */
bool search__is_in_vain(const struct search *s, uint32_t before);

/* W5: nobody looks for what the register holds any more. */
bool search__is_spent(const struct search *s);

#endif
