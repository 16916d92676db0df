#include "random.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "brute.h"
#include "unit/test.h"

enum { TINY_SPAN = 24, LATENCY_MAX = 100000, THINK_MAX = 20000 };

/* ------------------------------------------------------------------ what is asked */

static void
draw_text(struct prng *prng, enum flavour flavour, uint32_t serial, char out[DRAWN_TEXT_MAX])
{
    if (flavour == FLAVOUR_UNIQUE)
        snprintf(out, DRAWN_TEXT_MAX, "v%" PRIu32, serial);
    else if (flavour == FLAVOUR_FEW)
        snprintf(out, DRAWN_TEXT_MAX, "%c", "ab7"[prng_below(prng, 3)]);
    else
        snprintf(out, DRAWN_TEXT_MAX, "%d", (int)prng_below(prng, 5) - 1);
}

static enum history_verb
draw_verb(struct prng *prng, enum flavour flavour)
{
    static const enum history_verb mixed[] = { HISTORY_GET, HISTORY_GET,    HISTORY_PUT,
                                               HISTORY_PUT, HISTORY_DELETE, HISTORY_CAS,
                                               HISTORY_INCR };
    static const enum history_verb unique[] = { HISTORY_GET, HISTORY_GET, HISTORY_GET,
                                                HISTORY_PUT, HISTORY_PUT, HISTORY_DELETE,
                                                HISTORY_CAS };

    if (flavour == FLAVOUR_COUNTER)
        return prng_chance(prng, 3, 4) ? HISTORY_INCR : HISTORY_GET;
    if (flavour == FLAVOUR_UNIQUE)
        return unique[prng_below(prng, 7)];
    return mixed[prng_below(prng, 7)];
}

static void
draw_question(struct prng *prng, enum flavour flavour, uint32_t serial, struct drawn *d)
{
    struct history_op *op = &d->op;

    op->verb = draw_verb(prng, flavour);
    op->key = slice_str("k");
    op->delta = flavour == FLAVOUR_COUNTER ? 1 + (int64_t)prng_below(prng, 2)
                                           : (int64_t)prng_below(prng, 3) - 1;
    draw_text(prng, flavour, serial, d->value);
    draw_text(prng, flavour, (uint32_t)prng_below(prng, serial + 1), d->expect);
}

/* ------------------------------------------------------------------ what is answered */

static void
point_at_texts(struct drawn *d)
{
    d->op.value.text = slice_str(d->value);
    d->op.expect.text = slice_str(d->expect);
    d->op.value.present = d->op.value.present || d->op.verb != HISTORY_GET;
}

static void
answer_get(struct cell *cell, struct drawn *d)
{
    d->op.value.present = cell->present;
    snprintf(d->value, sizeof(d->value), "%s", cell->text);
}

static void
answer_incr(struct cell *cell, struct drawn *d)
{
    struct history_op trial = d->op;

    trial.result = HISTORY_UNKNOWN;
    if (!cell_apply(cell, &trial))
        d->op.result = HISTORY_FAIL;
    else
        d->op.sum = strtoll(cell->text, NULL, 10);
}

/* A really atomic register carries it out. */
static void
answer(struct cell *cell, struct drawn *d)
{
    point_at_texts(d);
    if (d->op.result == HISTORY_FAIL || (d->op.result == HISTORY_UNKNOWN && !d->applied))
        return;
    if (d->op.verb == HISTORY_GET) {
        answer_get(cell, d);
        point_at_texts(d);
        return;
    }
    if (d->op.verb == HISTORY_INCR && d->op.result == HISTORY_OK) {
        answer_incr(cell, d);
        return;
    }
    if (!cell_apply(cell, &d->op) && d->op.result == HISTORY_OK) {
        d->op.result = HISTORY_FAIL;
        d->op.mismatch = d->applied;
    }
}

static int
compare_moments(const void *left, const void *right)
{
    const struct drawn *a = *(const struct drawn *const *)left;
    const struct drawn *b = *(const struct drawn *const *)right;
    int order = slice_compare(a->op.key, b->op.key);

    if (order != 0)
        return order;
    if (a->moment != b->moment)
        return a->moment < b->moment ? -1 : 1;
    return (a > b) - (a < b);
}

static void
answer_all(struct drawn *drawn, uint32_t count)
{
    struct drawn **sorted = calloc(count, sizeof(struct drawn *));
    struct cell cell = { 0 };

    for (uint32_t i = 0; i < count; i++)
        sorted[i] = &drawn[i];
    qsort(sorted, count, sizeof(struct drawn *), compare_moments);
    for (uint32_t i = 0; i < count; i++) {
        if (i > 0 && !slice_equal(sorted[i]->op.key, sorted[i - 1]->op.key))
            cell = (struct cell){ 0 };
        answer(&cell, sorted[i]);
    }
    free(sorted);
}

/* ------------------------------------------------------------------ histories */

void
draw_tiny(struct prng *prng, enum flavour flavour, struct drawn *out, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        struct drawn *d = &out[i];

        *d = (struct drawn){ 0 };
        draw_question(prng, flavour, i, d);
        d->op.client = i;
        d->op.call_ns = prng_below(prng, TINY_SPAN);
        d->op.return_ns = d->op.call_ns + prng_below(prng, TINY_SPAN / 2);
        d->moment = d->op.call_ns + prng_below(prng, d->op.return_ns - d->op.call_ns + 1);
        d->applied = prng_chance(prng, 1, 2);
        if (prng_chance(prng, 1, 10))
            d->op.result = HISTORY_FAIL;
        if (prng_chance(prng, 1, 5)) {
            d->op.result = HISTORY_UNKNOWN;
            d->moment = d->op.call_ns + prng_below(prng, TINY_SPAN);
            d->op.return_ns = prng_chance(prng, 1, 2) ? HISTORY_NEVER : d->op.return_ns;
        }
    }
    answer_all(out, count);
}

void
draw_long(struct prng *prng, const struct crowd *crowd, struct drawn *out)
{
    static const char *const names[] = {
        "k0", "k1", "k2", "k3", "k4", "k5", "k6", "k7", "k8", "k9"
    };
    uint64_t *now = calloc(crowd->client_count, sizeof(*now));

    EXPECT(crowd->key_count <= 10);
    for (uint32_t i = 0; i < crowd->op_count; i++) {
        uint64_t *clock = &now[i % crowd->client_count];
        struct drawn *d = &out[i];

        *d = (struct drawn){ 0 };
        draw_question(prng, crowd->flavour, i, d);
        d->op.key = slice_str(names[prng_below(prng, crowd->key_count)]);
        d->op.client = i % crowd->client_count;
        d->op.call_ns = *clock + prng_below(prng, THINK_MAX);
        d->moment = d->op.call_ns + prng_below(prng, LATENCY_MAX);
        d->op.return_ns = d->moment + prng_below(prng, LATENCY_MAX);
        *clock = d->op.return_ns;
        d->applied = prng_chance(prng, 1, 2);
        if (prng_chance(prng, crowd->unknown_of_1000, 1000)) {
            d->op.result = HISTORY_UNKNOWN;
            d->moment += prng_below(prng, 10 * LATENCY_MAX);
        }
    }
    free(now);
    answer_all(out, crowd->op_count);
}

void
mutate(struct prng *prng, struct drawn *drawn, uint32_t count)
{
    struct drawn *d = &drawn[prng_below(prng, count)];
    struct drawn *other = &drawn[prng_below(prng, count)];

    if (d->op.result == HISTORY_FAIL && d->op.verb != HISTORY_GET && d->op.verb != HISTORY_INCR &&
        d->op.return_ns != HISTORY_NEVER) {
        d->op.result = HISTORY_OK;
        d->op.mismatch = false;
    } else if (d->op.verb == HISTORY_GET && d->op.result == HISTORY_OK) {
        d->op.value.present = prng_chance(prng, 3, 4);
        memcpy(d->value, other->value, sizeof(d->value));
        point_at_texts(d);
    } else if (d->op.verb == HISTORY_INCR && d->op.result == HISTORY_OK) {
        d->op.sum += prng_chance(prng, 1, 2) ? 1 : -1;
    } else if (d->op.result == HISTORY_OK) {
        d->op.result = HISTORY_FAIL;
    }
}

struct history *
history_of_drawn(const struct drawn *drawn, uint32_t count)
{
    struct history *h = NULL;

    EXPECT_OK(history_create(&h));
    for (uint32_t i = 0; i < count; i++)
        EXPECT_OK(history_add(h, &drawn[i].op, NULL));
    return h;
}
