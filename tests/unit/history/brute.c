#include "brute.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool
holds(const struct cell *cell, struct history_value v)
{
    return cell->present == v.present && (!v.present || slice_equal(slice_str(cell->text), v.text));
}

static void
hold(struct cell *cell, struct history_value v)
{
    *cell = (struct cell){ .present = v.present };
    if (v.present)
        memcpy(cell->text, v.text.data, v.text.size);
}

static bool
apply_incr(struct cell *cell, const struct history_op *op)
{
    char again[BRUTE_TEXT_MAX];
    int64_t now = cell->present ? strtoll(cell->text, NULL, 10) : 0;

    snprintf(again, sizeof(again), "%" PRId64, now);
    if (cell->present && strcmp(again, cell->text) != 0)
        return false;
    if (__builtin_add_overflow(now, op->delta, &now))
        return false;
    if (op->result == HISTORY_OK && now != op->sum)
        return false;
    cell->present = true;
    snprintf(cell->text, sizeof(cell->text), "%" PRId64, now);
    return true;
}

bool
cell_apply(struct cell *cell, const struct history_op *op)
{
    if (op->result == HISTORY_FAIL)
        return op->mismatch && !holds(cell, op->expect);
    if (op->verb == HISTORY_GET)
        return holds(cell, op->value);
    if (op->verb == HISTORY_INCR)
        return apply_incr(cell, op);
    if (op->verb == HISTORY_CAS && !holds(cell, op->expect))
        return false;
    hold(cell, op->verb == HISTORY_DELETE ? (struct history_value){ 0 } : op->value);
    return true;
}

static bool
must_come(const struct history_op *op)
{
    return op->result == HISTORY_OK || op->mismatch;
}

static bool
may_come(const struct history_op *op)
{
    return must_come(op) || (op->result == HISTORY_UNKNOWN && op->verb != HISTORY_GET);
}

static bool
precedes(const struct history_op *a, const struct history_op *b)
{
    return must_come(a) && a->return_ns < b->call_ns;
}

/* May this one come next, after those in `done`? */
static bool
is_next(const struct history_op *ops, uint32_t count, uint32_t done, uint32_t at)
{
    if ((done >> at & 1) != 0 || !may_come(&ops[at]))
        return false;
    for (uint32_t i = 0; i < count; i++) {
        if ((done >> i & 1) == 0 && precedes(&ops[i], &ops[at]))
            return false;
    }
    return true;
}

static uint32_t
all_that_must(const struct history_op *ops, uint32_t count)
{
    uint32_t all = 0;

    for (uint32_t i = 0; i < count; i++)
        all |= (uint32_t)must_come(&ops[i]) << i;
    return all;
}

bool
brute_is_linearizable(const struct history_op *ops, uint32_t count)
{
    struct cell cells[BRUTE_OPS_MAX + 1] = { 0 };
    uint32_t tried[BRUTE_OPS_MAX + 1] = { 0 };
    uint32_t chosen[BRUTE_OPS_MAX];
    uint32_t must = all_that_must(ops, count), done = 0, depth = 0;

    while ((done & must) != must) {
        uint32_t at = tried[depth]++;

        if (at == count) {
            if (depth-- == 0)
                return false;
            done &= ~(1U << chosen[depth]);
            continue;
        }
        cells[depth + 1] = cells[depth];
        if (!is_next(ops, count, done, at) || !cell_apply(&cells[depth + 1], &ops[at]))
            continue;
        chosen[depth++] = at;
        done |= 1U << at;
        tried[depth] = 0;
    }
    return true;
}

bool
brute_is_order(const struct history_op *ops, uint32_t count, const uint32_t *order,
               uint32_t order_count)
{
    uint32_t must = all_that_must(ops, count), done = 0;
    struct cell cell = { 0 };

    for (uint32_t i = 0; i < order_count; i++) {
        if (!is_next(ops, count, done, order[i]) || !cell_apply(&cell, &ops[order[i]]))
            return false;
        done |= 1U << order[i];
    }
    return (done & must) == must;
}

uint32_t
brute_cut(const struct history_op *ops, uint32_t count, uint32_t last, struct history_op *out)
{
    uint32_t kept = 0;

    for (uint32_t i = 0; i < count; i++) {
        const struct history_op *op = &ops[i];
        bool later = op->return_ns > ops[last].return_ns ||
                     (op->return_ns == ops[last].return_ns && i > last);

        if (op->call_ns > ops[last].return_ns)
            continue;
        out[kept] = *op;
        if (later && op->result != HISTORY_FAIL)
            out[kept].result = HISTORY_UNKNOWN;
        if (later)
            out[kept].mismatch = false;
        kept++;
    }
    return kept;
}
