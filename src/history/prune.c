/* The rules W1 to W7 of search.c: what the search need not try. */
#include "history/search_internal.h"

/* W1 */
uint32_t
search__find_forced(struct search *s)
{
    for (uint32_t at = s->calls[s->end].next; search__is_candidate(s, at); at = s->calls[at].next) {
        const struct step *step = &s->sub->steps[at];

        if ((step->kind == STEP_READ || step->kind == STEP_DIFFER) &&
            search__carry_out(s, step) != VALUE_NONE)
            return at;
    }
    return s->end;
}

/* May a DIFFER miss the bubble where it stood? */
static bool
is_missed(const struct search *s, const struct step *bubble)
{
    const struct step *steps = s->sub->steps;
    uint32_t at = s->calls[s->end].next;

    if (s->sub->differ_count == 0)
        return false;
    for (; at != s->end && steps[at].call_rank < bubble->return_rank; at = s->calls[at].next) {
        if (steps[at].kind == STEP_ADD ||
            (steps[at].makes != VALUE_NONE && s->sub->values[steps[at].makes].differs > 0))
            return true;
    }
    return false;
}

static bool
is_bubble(const struct search *s, const struct step *step)
{
    const struct value *v = &s->sub->values[step->makes];

    return step->kind == STEP_WRITE && !step->optional && !v->swapped && v->makers == 1 &&
           v->last_call < search__frontier(s) && !subhistory_adds_see(s->sub, step->makes) &&
           !is_missed(s, step);
}

/* W4 */
uint32_t
search__find_bubble(const struct search *s)
{
    for (uint32_t at = s->calls[s->end].next; search__is_candidate(s, at); at = s->calls[at].next) {
        if (s->sub->steps[at].kind == STEP_WRITE && is_bubble(s, &s->sub->steps[at]))
            return at;
    }
    return s->end;
}

static bool
can_be_made(const struct search *s, uint32_t value)
{
    return !s->sub->grows &&
           (s->sub->values[value].makers > 0 || subhistory_adds_make(s->sub, value));
}

/* Could the step stand while the register holds the value? */
static bool
has_use_for(const struct step *step, uint32_t value)
{
    if (step->kind == STEP_DIFFER)
        return step->needs != value;
    return step->needs == value || (step->or_absent && value == VALUE_ABSENT);
}

/* W2, of a counter: an ADD may have jumped over numbers. */
static bool
is_too_far(const struct search *s)
{
    const struct value *now = &s->sub->values[s->value];

    for (uint32_t i = 0; i < s->sub->value_count; i++) {
        const struct value *v = &s->sub->values[i];

        if (v->needers > 0 && v->is_number && v->number < now->number)
            return true;
    }
    return false;
}

/* W2 and W3: a step has been taken when the register held `before`.  Was that in vain? */
bool
search__is_in_vain(const struct search *s, uint32_t before)
{
    const struct value *v = &s->sub->values[s->value];

    if (s->value == before)
        return false;
    if (s->sub->values[before].needers > 0 && !can_be_made(s, before))
        return true;
    if (s->sub->grows && s->sub->steps[s->frames[s->depth - 1].step].kind == STEP_ADD &&
        is_too_far(s))
        return true;
    if (v->needers == 0 || can_be_made(s, s->value))
        return false;
    for (uint32_t at = s->returns[s->end].next; at != s->end; at = s->returns[at].next) {
        const struct step *step = &s->sub->steps[at];

        if (step->return_rank > v->last_call)
            return false;
        if (!has_use_for(step, s->value))
            return true;
    }
    return false;
}

static bool
is_unseen(const struct search *s, uint32_t value)
{
    const struct value *v = &s->sub->values[value];

    return v->needers == 0 && v->watchers == 0 && !subhistory_adds_see(s->sub, value);
}

/* W6 */
static bool
is_useless(const struct search *s, const struct step *step, uint32_t next)
{
    if (!step->optional)
        return false;
    return next == s->value ||
           (step->kind != STEP_ADD && is_unseen(s, next) && s->sub->values[s->value].differs == 0);
}

/* W4, W6, W7 */
bool
search__is_idle(const struct search *s, uint32_t at, uint32_t next, uint32_t bubble)
{
    const struct step *step = &s->sub->steps[at];

    if (bubble != s->end && at != bubble && step->kind == STEP_WRITE)
        return true;
    if (is_useless(s, step, next))
        return true;
    return step->twin != STEP_NONE && search__is_candidate(s, step->twin) &&
           !search__is_in_order(s, step->twin);
}

/* W5 */
bool
search__is_spent(const struct search *s)
{
    return is_unseen(s, s->value) && s->sub->values[s->value].differs == 0;
}
