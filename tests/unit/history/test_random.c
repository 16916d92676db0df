/* Histories by chance, against a checker that tries every order, and against what is known of
 * how they were made. */

#include "brute.h"
#include "fixture.h"
#include "random.h"

enum { TINY_ROUNDS = 20000, TINY_MAX = 8, LONG_OPS = 20000, LONG_ROUNDS = 12 };

static bool
brute_of(const struct history *h)
{
    struct history_op ops[BRUTE_OPS_MAX];

    for (uint32_t i = 0; i < history_op_count(h); i++)
        ops[i] = history_op_at(h, i);
    return brute_is_linearizable(ops, history_op_count(h));
}

TEST(the_search_agrees_with_one_that_tries_every_order)
{
    uint32_t good_count[FLAVOUR_COUNT] = { 0 };
    struct drawn drawn[TINY_MAX];
    struct prng prng;

    prng_init(&prng, test_seed(20));
    for (uint32_t i = 0; i < TINY_ROUNDS; i++) {
        enum flavour flavour = (enum flavour)(i % FLAVOUR_COUNT);
        uint32_t count = 5 + (uint32_t)prng_below(&prng, TINY_MAX - 4);
        struct history *h;
        bool good;

        draw_tiny(&prng, flavour, drawn, count);
        for (uint64_t times = prng_below(&prng, 4); times > 0; times--)
            mutate(&prng, drawn, count);
        h = history_of_drawn(drawn, count);
        good = brute_of(h);
        EXPECT(agrees_with_itself(h) == good);
        good_count[flavour] += good;
        history_destroy(h);
    }
    for (uint32_t i = 0; i < FLAVOUR_COUNT; i++) { /* or it proves little */
        print_message("flavour %u: %u of %d are linearizable\n", i, good_count[i],
                      TINY_ROUNDS / FLAVOUR_COUNT);
        EXPECT(good_count[i] > TINY_ROUNDS / FLAVOUR_COUNT / 5);
        EXPECT(good_count[i] < TINY_ROUNDS / FLAVOUR_COUNT * 4 / 5);
    }
}

TEST(what_no_one_mutated_is_linearizable)
{
    struct drawn drawn[TINY_MAX];
    struct prng prng;

    prng_init(&prng, test_seed(21));
    for (uint32_t i = 0; i < TINY_ROUNDS / 4; i++) {
        struct history *h;

        draw_tiny(&prng, (enum flavour)(i % FLAVOUR_COUNT), drawn, TINY_MAX);
        h = history_of_drawn(drawn, TINY_MAX);
        EXPECT(brute_of(h));
        EXPECT(agrees_with_itself(h));
        history_destroy(h);
    }
}

/* ------------------------------------------------------------------ long ones */

static enum history_verdict
verdict_of_drawn(const struct drawn *drawn, uint32_t count)
{
    struct history *h = history_of_drawn(drawn, count);
    struct history_report report = judge(h);

    if (report.verdict == HISTORY_VIOLATION)
        EXPECT(strlen(explanation_of(h, &report)) > 0);
    history_destroy(h);
    return report.verdict;
}

static struct crowd
draw_crowd(struct prng *prng, uint32_t round)
{
    enum flavour flavour = (enum flavour)(round % FLAVOUR_COUNT);
    bool few = flavour == FLAVOUR_FEW; /* if many overlap and few values differ, the bound is hit */

    return (struct crowd){ .client_count = 1 + (uint32_t)prng_below(prng, few ? 20 : 50),
                           .key_count = few ? 10 : 2 + (uint32_t)prng_below(prng, 9),
                           .op_count = LONG_OPS,
                           .unknown_of_1000 = (uint32_t)prng_below(prng, 10),
                           .flavour = flavour };
}

TEST(a_long_life_of_an_atomic_register_is_linearizable)
{
    struct drawn *drawn = calloc(LONG_OPS, sizeof(*drawn));
    struct prng prng;

    prng_init(&prng, test_seed(22));
    for (uint32_t i = 0; i < LONG_ROUNDS; i++) {
        struct crowd crowd = draw_crowd(&prng, i);

        draw_long(&prng, &crowd, drawn);
        EXPECT_STR(history_verdict_name(verdict_of_drawn(drawn, LONG_OPS)), "linearizable");
    }
    free(drawn);
}

static struct drawn *
pick(struct prng *prng, struct drawn *drawn, enum history_verb verb)
{
    for (;;) {
        struct drawn *d = &drawn[prng_below(prng, LONG_OPS)];

        if (d->op.verb == verb && d->op.result == HISTORY_OK)
            return d;
    }
}

TEST(one_answer_that_nobody_wrote_in_a_long_life_is_a_violation)
{
    struct drawn *drawn = calloc(LONG_OPS, sizeof(*drawn));
    struct prng prng;

    prng_init(&prng, test_seed(23));
    for (uint32_t i = 0; i < LONG_ROUNDS; i++) {
        struct crowd crowd = draw_crowd(&prng, i);
        struct drawn *d;

        crowd.unknown_of_1000 = crowd.flavour >= FLAVOUR_NUMBERS ? 0 : crowd.unknown_of_1000;
        draw_long(&prng, &crowd, drawn);
        d = pick(&prng, drawn, HISTORY_GET);
        d->op.value = (struct history_value){ true, slice_str("never written") };
        EXPECT_STR(history_verdict_name(verdict_of_drawn(drawn, LONG_OPS)), "violation");
    }
    free(drawn);
}

/* Deltas are positive, so every sum of a key is reached once. */
TEST(two_equal_sums_in_a_long_life_are_a_violation)
{
    struct drawn *drawn = calloc(LONG_OPS, sizeof(*drawn));
    struct prng prng;

    prng_init(&prng, test_seed(24));
    for (uint32_t i = 0; i < LONG_ROUNDS; i++) {
        struct crowd crowd = draw_crowd(&prng, FLAVOUR_COUNTER);
        struct drawn *a, *b;

        draw_long(&prng, &crowd, drawn);
        a = pick(&prng, drawn, HISTORY_INCR);
        do
            b = pick(&prng, drawn, HISTORY_INCR);
        while (b == a || !slice_equal(a->op.key, b->op.key));
        b->op.sum = a->op.sum;
        EXPECT_STR(history_verdict_name(verdict_of_drawn(drawn, LONG_OPS)), "violation");
    }
    free(drawn);
}

/* The last acknowledged put of the key that had returned when the get was called; NULL: none. */
static const struct drawn *
last_put_before(const struct drawn *drawn, const struct drawn *get)
{
    const struct drawn *last = NULL;

    for (uint32_t i = 0; i < LONG_OPS; i++) {
        const struct drawn *d = &drawn[i];

        if (d->op.verb == HISTORY_PUT && d->op.result == HISTORY_OK &&
            slice_equal(d->op.key, get->op.key) && d->op.return_ns < get->op.call_ns &&
            (last == NULL || d->op.call_ns > last->op.call_ns))
            last = d;
    }
    return last;
}

/* A get that sees what was replaced before it began, in a history whose values are unique. */
TEST(one_stale_answer_in_a_long_life_is_a_violation)
{
    struct drawn *drawn = calloc(LONG_OPS, sizeof(*drawn));
    struct prng prng;

    prng_init(&prng, test_seed(25));
    for (uint32_t i = 0; i < LONG_ROUNDS; i++) {
        struct crowd crowd = draw_crowd(&prng, FLAVOUR_UNIQUE);
        const struct drawn *late, *early = NULL;
        struct drawn *get;

        draw_long(&prng, &crowd, drawn);
        while (early == NULL) {
            get = pick(&prng, drawn, HISTORY_GET);
            late = last_put_before(drawn, get);
            early = late == NULL ? NULL : last_put_before(drawn, late);
        }
        get->op.value = early->op.value;
        EXPECT_STR(history_verdict_name(verdict_of_drawn(drawn, LONG_OPS)), "violation");
    }
    free(drawn);
}

TEST_MAIN(RUN(the_search_agrees_with_one_that_tries_every_order),
          RUN(what_no_one_mutated_is_linearizable),
          RUN(a_long_life_of_an_atomic_register_is_linearizable),
          RUN(one_answer_that_nobody_wrote_in_a_long_life_is_a_violation),
          RUN(two_equal_sums_in_a_long_life_are_a_violation),
          RUN(one_stale_answer_in_a_long_life_is_a_violation))
