/* A checker that tries every order: slow, and as plain as the definition. */
#ifndef HISTORY_BRUTE_H
#define HISTORY_BRUTE_H

#include "history/history.h"

enum { BRUTE_OPS_MAX = 16, BRUTE_TEXT_MAX = 24 };

/* What a register holds. */
struct cell {
    bool present;
    char text[BRUTE_TEXT_MAX];
};

/* Carry the operation out; false: with this answer, it could not have been. */
bool cell_apply(struct cell *cell, const struct history_op *op);

/* All of one key.  Is there an order? */
bool brute_is_linearizable(const struct history_op *ops, uint32_t count);

/* Does every operation that must be there stand in this order, once, each possible, none before one
 * that had returned when it was called? */
bool brute_is_order(const struct history_op *ops, uint32_t count, const uint32_t *order,
                    uint32_t order_count);

/* The history as it stood just after the return of `ops[last]`; returns how many are left in
 * `out`. */
uint32_t brute_cut(const struct history_op *ops, uint32_t count, uint32_t last,
                   struct history_op *out);

#endif
