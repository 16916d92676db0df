#include "history/subhistory.h"

#include <stdlib.h>

#include "base/assert.h"
#include "base/mem.h"

#include "history/number.h"

enum { VALUES_FIRST = 16 };

/* ------------------------------------------------------------------ values */

static enum status
add_value(struct subhistory *s, struct value v, uint32_t *value)
{
    uint32_t room = s->value_room == 0 ? VALUES_FIRST : 2 * s->value_room;
    struct value *values;

    if (s->value_count == s->value_room) {
        values = mem_resize(s->values, room * sizeof(*values));
        if (values == NULL)
            return ST_NO_MEMORY;
        s->values = values;
        s->value_room = room;
    }
    *value = s->value_count;
    s->values[s->value_count++] = v;
    return ST_OK;
}

static enum status
value_of(struct subhistory *s, uint32_t string, uint32_t *local, uint32_t *value)
{
    struct value v = { .string = string };
    enum status st;

    *value = local[string];
    if (*value != VALUE_NONE)
        return ST_OK;
    if (string >= STRING_FIRST)
        v.is_number = number_parse(s->history->values.texts[string], &v.number);
    st = add_value(s, v, value);
    if (st == ST_OK)
        local[string] = *value;
    return st;
}

/* Few keys have an incr of unknown outcome, and their numbers are few: they are looked through. */
enum status
subhistory_number(struct subhistory *s, int64_t number, uint32_t *value)
{
    struct value v = { .string = STRING_NEVER, .is_number = true, .number = number };

    for (uint32_t i = 0; i < s->value_count; i++) {
        if (s->values[i].is_number && s->values[i].number == number) {
            *value = i;
            return ST_OK;
        }
    }
    return add_value(s, v, value);
}

static void
bump(uint32_t *count, bool in)
{
    ASSERT(in || *count > 0);
    *count += in ? 1 : (uint32_t)-1;
}

void
subhistory_count(struct subhistory *s, const struct step *step, bool in)
{
    if (step->kind == STEP_READ || step->kind == STEP_SWAP) {
        struct value *v = &s->values[step->needs];

        bump(step->optional || step->or_absent ? &v->watchers : &v->needers, in);
        if (step->or_absent)
            bump(&s->values[VALUE_ABSENT].watchers, in);
    }
    if (step->kind == STEP_DIFFER)
        bump(&s->values[step->needs].differs, in);
    if (step->kind == STEP_WRITE || step->kind == STEP_SWAP)
        bump(&s->values[step->makes].makers, in);
    if (step->kind == STEP_ADD)
        bump(&s->add_count, in);
}

/* ------------------------------------------------------------------ steps */

/* What the operation says; false: nothing. */
static bool
kind_of(const struct kept_op *op, bool returned, enum step_kind *kind)
{
    bool known = returned && op->result == HISTORY_OK;

    if (op->result == HISTORY_FAIL) {
        *kind = STEP_DIFFER;
        return op->mismatch && returned;
    }
    switch ((enum history_verb)op->verb) {
    case HISTORY_GET:
        *kind = STEP_READ;
        return known;
    case HISTORY_PUT:
    case HISTORY_DELETE:
        *kind = STEP_WRITE;
        return true;
    case HISTORY_CAS:
        *kind = STEP_SWAP;
        return true;
    case HISTORY_INCR:
        *kind = known ? STEP_SWAP : STEP_ADD;
        return true;
    case HISTORY_VERB_COUNT:
        break;
    }
    return false;
}

static bool
had_returned(const struct kept_op *op, uint32_t index, struct moment until)
{
    return op->return_ns < until.return_ns ||
           (op->return_ns == until.return_ns && index <= until.op);
}

static enum status
make_values(struct subhistory *s, const struct kept_op *op, uint32_t *local, struct step *step)
{
    bool read = step->kind == STEP_READ;
    enum status st = ST_OK;

    if (read || step->kind == STEP_SWAP || step->kind == STEP_DIFFER)
        st = value_of(s, read ? op->to : op->from, local, &step->needs);
    if (st == ST_OK && (step->kind == STEP_WRITE || step->kind == STEP_SWAP))
        st = value_of(s, op->to, local, &step->makes);
    step->or_absent = step->kind == STEP_SWAP && op->verb == HISTORY_INCR && st == ST_OK &&
                      s->values[step->needs].is_number && s->values[step->needs].number == 0;
    return st;
}

static enum status
add_step(struct subhistory *s, uint32_t index, struct moment until, uint32_t *local)
{
    const struct kept_op *op = &s->history->ops[index];
    bool returned = had_returned(op, index, until);
    struct step step = { .op = index,
                         .needs = VALUE_NONE,
                         .makes = VALUE_NONE,
                         .delta = op->delta,
                         .call_ns = op->call_ns,
                         .return_ns = op->return_ns,
                         .call_rank = RANK_NEVER,
                         .return_rank = RANK_NEVER,
                         .twin = STEP_NONE };
    enum status st;

    if (op->call_ns > until.return_ns || !kind_of(op, returned, &step.kind))
        return ST_OK;
    step.optional = !returned || op->result == HISTORY_UNKNOWN;
    if (step.optional)
        step.return_ns = HISTORY_NEVER;
    if (step.kind == STEP_DIFFER)
        s->differ_count++;
    st = make_values(s, op, local, &step);
    if (st == ST_OK)
        s->steps[s->step_count++] = step;
    return st;
}

/* H1 */
static int
compare_calls(const void *left, const void *right)
{
    const struct step *a = left, *b = right;

    if (a->call_ns != b->call_ns)
        return a->call_ns < b->call_ns ? -1 : 1;
    return (a->op > b->op) - (a->op < b->op);
}

enum status
subhistory_init(struct subhistory *s, const struct history *h, const uint32_t *ops, uint32_t count,
                struct moment until, uint32_t *local)
{
    uint32_t absent;
    enum status st;

    *s = (struct subhistory){ .history = h };
    s->steps = mem_new_array(struct step, count);
    st = s->steps == NULL ? ST_NO_MEMORY : value_of(s, STRING_ABSENT, local, &absent);
    for (uint32_t i = 0; i < count && st == ST_OK; i++)
        st = add_step(s, ops[i], until, local);
    for (uint32_t i = 0; i < s->value_count; i++)
        local[s->values[i].string] = VALUE_NONE;
    if (st != ST_OK) {
        subhistory_release(s);
        return st;
    }
    ASSERT(absent == VALUE_ABSENT); /* H4 */
    if (s->step_count > 0)
        qsort(s->steps, s->step_count, sizeof(*s->steps), compare_calls);
    return ST_OK;
}

void
subhistory_release(struct subhistory *s)
{
    mem_free(s->steps);
    mem_free(s->values);
    *s = (struct subhistory){ 0 };
}
