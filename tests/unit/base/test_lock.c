/* Tests of base/lock.h. */
#include "base/lock.h"

#include "unit/test.h"

enum { THREADS = 4, STEPS = 20000 };

struct shared {
    struct lock lock;
    uint64_t count; /* not atomic, on purpose */
};

static void *
count_up(void *ctx)
{
    struct shared *s = ctx;

    for (int i = 0; i < STEPS; i++) {
        lock_take(&s->lock);
        s->count++;
        lock_drop(&s->lock);
    }
    return NULL;
}

TEST(lock_lets_one_thread_in_at_a_time)
{
    struct shared s = { .count = 0 };
    pthread_t threads[THREADS];

    lock_init(&s.lock);
    for (int i = 0; i < THREADS; i++)
        EXPECT_U64(pthread_create(&threads[i], NULL, count_up, &s), 0);
    for (int i = 0; i < THREADS; i++)
        EXPECT_U64(pthread_join(threads[i], NULL), 0);
    EXPECT_U64(s.count, THREADS * STEPS);
    lock_release(&s.lock);
}

TEST_MAIN(RUN(lock_lets_one_thread_in_at_a_time))
