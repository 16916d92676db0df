/* Tests of base/budget.h. */
#include <pthread.h>

#include "base/budget.h"
#include "base/prng.h"

#include "unit/test.h"

TEST(budget_admits_up_to_its_limit_and_not_one_byte_more)
{
    struct budget b;

    budget_init(&b, 100);
    EXPECT_U64(budget_left(&b), 100);
    EXPECT(budget_try_charge(&b, 60));
    EXPECT(!budget_try_charge(&b, 41));
    EXPECT_U64(budget_used(&b), 60); /* a refused charge charges nothing */
    EXPECT(budget_try_charge(&b, 40));
    EXPECT(budget_try_charge(&b, 0));
    EXPECT(!budget_try_charge(&b, 1));
    EXPECT(!budget_try_charge(&b, SIZE_MAX)); /* no wrap-around */
    EXPECT_U64(budget_left(&b), 0);
    budget_return(&b, 100);
    EXPECT_U64(budget_used(&b), 0);
}

TEST(budget_may_be_overcharged_by_what_must_not_fail)
{
    struct budget b;

    budget_init(&b, 100);
    budget_charge(&b, 150);
    EXPECT_U64(budget_used(&b), 150);
    EXPECT_U64(budget_left(&b), 0);
    EXPECT(!budget_try_charge(&b, 0)); /* over the limit, nothing more is admitted */
    budget_return(&b, 60);
    EXPECT(budget_try_charge(&b, 10));
    EXPECT(!budget_try_charge(&b, 1));
}

TEST(budget_takes_back_only_what_was_charged)
{
    struct budget b;

    budget_init(&b, 100);
    budget_charge(&b, 10);
    EXPECT_ABORT(budget_return(&b, 11));
}

enum { THREADS = 4, STEPS = 30000, LIMIT = 1000 };

struct worker {
    struct budget *budget;
    uint64_t seed;
    uint64_t admitted;
    uint64_t over_limit; /* how often the total was seen beyond the limit */
};

static void *
charge_and_return(void *ctx)
{
    struct worker *w = ctx;
    struct prng prng;
    size_t held = 0;

    prng_init(&prng, w->seed);
    for (int i = 0; i < STEPS; i++) {
        size_t bytes = 1 + (size_t)prng_below(&prng, LIMIT / 2);

        if (budget_try_charge(w->budget, bytes)) {
            held += bytes;
            w->admitted++;
        }
        w->over_limit += budget_used(w->budget) > LIMIT;
        if (prng_chance(&prng, 1, 2)) {
            budget_return(w->budget, held);
            held = 0;
        }
    }
    budget_return(w->budget, held);
    return NULL;
}

TEST(budget_is_never_exceeded_and_comes_out_even_under_threads)
{
    struct worker workers[THREADS];
    pthread_t threads[THREADS];
    struct budget b;
    uint64_t seed = test_seed(12);

    budget_init(&b, LIMIT);
    for (int i = 0; i < THREADS; i++) {
        workers[i] = (struct worker){ &b, seed + (uint64_t)i, 0, 0 };
        EXPECT_U64(pthread_create(&threads[i], NULL, charge_and_return, &workers[i]), 0);
    }
    for (int i = 0; i < THREADS; i++) {
        EXPECT_U64(pthread_join(threads[i], NULL), 0);
        EXPECT_U64(workers[i].over_limit, 0);
        EXPECT(workers[i].admitted > 0);
    }
    EXPECT_U64(budget_used(&b), 0);
}

TEST_MAIN(RUN(budget_admits_up_to_its_limit_and_not_one_byte_more),
          RUN(budget_may_be_overcharged_by_what_must_not_fail),
          RUN(budget_takes_back_only_what_was_charged),
          RUN(budget_is_never_exceeded_and_comes_out_even_under_threads))
