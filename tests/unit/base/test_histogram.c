/* Tests of base/histogram.h. */
#include <pthread.h>
#include <stdatomic.h>

#include "base/histogram.h"
#include "base/prng.h"

#include "unit/test.h"

enum { VALUES = 5000 };

static int
by_size(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a;
    uint64_t y = *(const uint64_t *)b;

    return (x > y) - (x < y);
}

/* What a percentile is, by its definition, over a sorted array. */
static uint64_t
exact_percentile(const uint64_t *sorted, size_t count, unsigned per_mille)
{
    size_t rank = (count * per_mille + 999) / 1000;

    return sorted[rank == 0 ? 0 : rank - 1];
}

/* Never below the truth, and above it by no more than 1/32. */
static void
check_near(uint64_t got, uint64_t exact)
{
    EXPECT(got >= exact);
    EXPECT(got - exact <= exact / HISTOGRAM_SUB);
}

TEST(histogram_percentiles_are_those_of_the_sorted_values_to_within_a_32nd)
{
    static struct histogram h;
    static uint64_t values[VALUES];
    struct prng prng;

    prng_init(&prng, test_seed(14));
    for (int round = 0; round < 20; round++) {
        size_t count = 1 + (size_t)prng_below(&prng, VALUES);
        unsigned shift = (unsigned)prng_below(&prng, 64);
        uint64_t sum = 0;

        memset(&h, 0, sizeof(h));
        for (size_t i = 0; i < count; i++) {
            values[i] = prng_next(&prng) >> shift >> prng_below(&prng, 64 - shift);
            sum += values[i];
            histogram_add(&h, values[i]);
        }
        qsort(values, count, sizeof(values[0]), by_size);
        EXPECT_U64(h.count, count);
        EXPECT_U64(h.sum, sum);
        EXPECT_U64(h.max, values[count - 1]);
        for (unsigned per_mille = 0; per_mille <= 1000; per_mille++)
            check_near(histogram_percentile(&h, per_mille / 10.0),
                       exact_percentile(values, count, per_mille));
        EXPECT_U64(histogram_percentile(&h, 100), values[count - 1]);
    }
}

/* Each value alone, with one far above it so that `max` does not lend its help. */
TEST(histogram_holds_every_order_of_magnitude)
{
    for (unsigned bit = 0; bit < 64; bit++) {
        for (int off = -1; off <= 1; off++) {
            static struct histogram h;
            uint64_t value = (UINT64_C(1) << bit) + (uint64_t)off;

            memset(&h, 0, sizeof(h));
            histogram_add(&h, value);
            EXPECT_U64(histogram_percentile(&h, 50), value); /* `max` is exact */
            histogram_add(&h, UINT64_MAX);
            check_near(histogram_percentile(&h, 0), value); /* of at least one value */
            check_near(histogram_percentile(&h, 50), value);
            EXPECT_U64(histogram_percentile(&h, 100), UINT64_MAX);
        }
    }
}

TEST(histogram_is_exact_for_small_values)
{
    static struct histogram h;

    for (uint64_t v = 0; v < HISTOGRAM_SUB; v++)
        histogram_add(&h, v);
    for (unsigned i = 1; i <= HISTOGRAM_SUB; i++)
        EXPECT_U64(histogram_percentile(&h, 100.0 * i / HISTOGRAM_SUB), i - 1);
}

/* Many percentages are not exact in binary; the value that is meant is. */
TEST(histogram_is_not_off_by_one_for_a_percentage_with_a_fraction)
{
    for (unsigned count = 1; count <= 3000; count += 97) {
        static struct histogram h;

        for (unsigned per_mille = 1; per_mille < 1000; per_mille++) {
            unsigned rank = (count * per_mille + 999) / 1000;

            memset(&h, 0, sizeof(h));
            h.buckets[1] = rank; /* as many ones as the percentage takes, and not one more */
            h.buckets[2] = count - rank;
            h.max = 2;
            EXPECT_U64(histogram_percentile(&h, per_mille / 10.0), 1);
            h.buckets[1]--;
            h.buckets[2]++;
            EXPECT_U64(histogram_percentile(&h, per_mille / 10.0), 2);
        }
    }
}

TEST(histogram_without_values_says_0)
{
    static struct histogram h;

    EXPECT_U64(histogram_percentile(&h, 0), 0);
    EXPECT_U64(histogram_percentile(&h, 99.9), 0);
    EXPECT_U64(histogram_percentile(&h, 100), 0);
    EXPECT_ABORT(histogram_percentile(&h, 100.1));
    EXPECT_ABORT(histogram_percentile(&h, -0.1));
}

TEST(histogram_of_two_halves_is_that_of_the_whole)
{
    static struct histogram whole, a, b;
    struct prng prng;

    prng_init(&prng, test_seed(15));
    for (int i = 0; i < 10000; i++) {
        uint64_t value = prng_next(&prng) >> prng_below(&prng, 64);

        histogram_add(&whole, value);
        histogram_add(prng_chance(&prng, 1, 3) ? &a : &b, value);
    }
    histogram_merge(&a, &b);
    assert_memory_equal(&a, &whole, sizeof(whole));
}

struct shared {
    struct histogram histogram;
    _Atomic bool done;
};

static void *
add_values(void *ctx)
{
    struct shared *s = ctx;

    for (uint64_t i = 1; i <= 50000; i++)
        histogram_add(&s->histogram, i % 1000 + 1);
    atomic_store(&s->done, true);
    return NULL;
}

TEST(histogram_may_be_read_while_it_grows)
{
    static struct shared s;
    pthread_t writer;

    EXPECT_U64(pthread_create(&writer, NULL, add_values, &s), 0);
    while (!atomic_load(&s.done)) {
        static struct histogram copy;

        EXPECT(histogram_percentile(&s.histogram, 99) <= 1000);
        memset(&copy, 0, sizeof(copy));
        histogram_merge(&copy, &s.histogram);
        EXPECT(copy.count <= 50000);
    }
    EXPECT_U64(pthread_join(writer, NULL), 0);
    EXPECT_U64(s.histogram.count, 50000);
    EXPECT_U64(histogram_percentile(&s.histogram, 100), 1000);
}

TEST_MAIN(RUN(histogram_percentiles_are_those_of_the_sorted_values_to_within_a_32nd),
          RUN(histogram_holds_every_order_of_magnitude), RUN(histogram_is_exact_for_small_values),
          RUN(histogram_is_not_off_by_one_for_a_percentage_with_a_fraction),
          RUN(histogram_without_values_says_0), RUN(histogram_of_two_halves_is_that_of_the_whole),
          RUN(histogram_may_be_read_while_it_grows))
