/* Tests of base/epoch.h. */
#include <pthread.h>
#include <sched.h>

#include "base/epoch.h"
#include "base/mem.h"

#include "unit/test.h"

enum { ALIVE = 0x11fe, DEAD = 0xdead };

/* What is published, read, retired and freed. */
struct view {
    struct epoch_retired retired;
    uint32_t state; /* plain, so that the thread sanitizer sees a reader meet the destroyer */
    uint64_t *freed;
};

static struct view *
view_create(uint64_t *freed)
{
    struct view *v = mem_new(struct view);

    assert_non_null(v);
    v->state = ALIVE;
    v->freed = freed;
    return v;
}

/* Only the retiring thread runs this, so the count needs no atomics. */
static void
view_destroy(struct epoch_retired *retired)
{
    struct view *v = container_of(retired, struct view, retired);

    ASSERT(v->state == ALIVE); /* destroyed once */
    v->state = DEAD;
    (*v->freed)++;
    mem_free(v);
}

TEST(epoch_without_readers_destroys_at_once)
{
    struct epoch e;
    uint64_t freed = 0;

    epoch_init(&e);
    epoch_retire(&e, &view_create(&freed)->retired, view_destroy);
    EXPECT_U64(freed, 1);
    epoch_reclaim(&e);
    EXPECT_U64(freed, 1);
    epoch_release(&e);
}

/* E1, the half that keeps. */
TEST(epoch_keeps_what_a_reader_inside_may_see)
{
    struct epoch e;
    struct epoch_slot slot;
    uint64_t freed = 0;

    epoch_init(&e);
    epoch_join(&e, &slot);
    epoch_enter(&e, &slot);
    for (int i = 0; i < 10; i++)
        epoch_retire(&e, &view_create(&freed)->retired, view_destroy);
    epoch_reclaim(&e);
    EXPECT_U64(freed, 0);
    epoch_leave(&e, &slot);
    EXPECT_U64(freed, 0); /* leaving never frees: a reader pays for nothing */
    epoch_reclaim(&e);
    EXPECT_U64(freed, 10);
    epoch_part(&e, &slot);
    epoch_release(&e);
}

/* E2: who enters after the retirement does not hold it up. */
TEST(epoch_frees_what_only_later_readers_are_inside_of)
{
    struct epoch e;
    struct epoch_slot old, young;
    uint64_t freed = 0;

    epoch_init(&e);
    epoch_join(&e, &old);
    epoch_join(&e, &young);
    epoch_enter(&e, &old);
    epoch_retire(&e, &view_create(&freed)->retired, view_destroy); /* the first */
    epoch_enter(&e, &young);
    epoch_retire(&e, &view_create(&freed)->retired, view_destroy); /* the second */
    EXPECT_U64(freed, 0);
    epoch_leave(&e, &old);
    epoch_reclaim(&e);
    EXPECT_U64(freed, 1); /* the first; the second may be seen by the young reader */
    epoch_leave(&e, &young);
    epoch_reclaim(&e);
    EXPECT_U64(freed, 2);
    epoch_part(&e, &old);
    epoch_part(&e, &young);
    epoch_release(&e);
}

TEST(epoch_is_left_only_by_the_outermost_leave)
{
    struct epoch e;
    struct epoch_slot slot;
    uint64_t freed = 0;

    epoch_init(&e);
    epoch_join(&e, &slot);
    epoch_enter(&e, &slot);
    epoch_retire(&e, &view_create(&freed)->retired, view_destroy);
    epoch_enter(&e, &slot); /* nested: must not count as a later entry */
    epoch_reclaim(&e);
    EXPECT_U64(freed, 0);
    epoch_leave(&e, &slot);
    epoch_reclaim(&e);
    EXPECT_U64(freed, 0);
    epoch_leave(&e, &slot);
    epoch_reclaim(&e);
    EXPECT_U64(freed, 1);
    EXPECT_ABORT(epoch_leave(&e, &slot));
    epoch_part(&e, &slot);
    epoch_release(&e);
}

TEST(epoch_refuses_to_end_while_somebody_is_inside)
{
    struct epoch e;
    struct epoch_slot slot;
    uint64_t freed = 0;

    epoch_init(&e);
    epoch_join(&e, &slot);
    epoch_enter(&e, &slot);
    EXPECT_ABORT(epoch_part(&e, &slot));
    epoch_retire(&e, &view_create(&freed)->retired, view_destroy);
    EXPECT_ABORT(epoch_release(&e));
    epoch_leave(&e, &slot);
    EXPECT_ABORT(epoch_release(&e)); /* the slot is still joined */
    epoch_part(&e, &slot);
    epoch_release(&e); /* destroys what is left */
    EXPECT_U64(freed, 1);
}

/* A destroyed object may retire another one, as a tree retires its nodes. */
struct outer {
    struct epoch_retired retired;
    struct epoch *epoch;
    struct view *inner;
};

static void
outer_destroy(struct epoch_retired *retired)
{
    struct outer *o = container_of(retired, struct outer, retired);

    epoch_retire(o->epoch, &o->inner->retired, view_destroy);
    mem_free(o);
}

TEST(epoch_lets_a_destroyed_object_retire_another)
{
    struct outer *o = mem_new(struct outer);
    struct epoch e;
    uint64_t freed = 0;

    epoch_init(&e);
    o->epoch = &e;
    o->inner = view_create(&freed);
    epoch_retire(&e, &o->retired, outer_destroy);
    EXPECT_U64(freed, 1);
    epoch_release(&e);
}

enum { READERS = 3, PUBLICATIONS = 20000 };

struct world {
    struct epoch epoch;
    struct view *_Atomic head;
    _Atomic int reading; /* readers that have begun */
    _Atomic bool done;
};

struct reader {
    struct world *world;
    uint64_t seen;
    uint64_t dead;
};

static void *
read_views(void *ctx)
{
    struct reader *r = ctx;
    struct world *w = r->world;
    struct epoch_slot slot;

    epoch_join(&w->epoch, &slot);
    atomic_fetch_add(&w->reading, 1);
    while (!atomic_load(&w->done)) {
        struct view *v;

        epoch_enter(&w->epoch, &slot);
        v = atomic_load(&w->head);
        if (r->seen % 64 == 0)
            sched_yield(); /* stay inside for long, now and then */
        r->dead += v->state != ALIVE;
        epoch_leave(&w->epoch, &slot);
        r->seen++;
    }
    epoch_part(&w->epoch, &slot);
    return NULL;
}

/* Readers follow the published pointer while the writer replaces it as fast as it can.  A view
 * that is freed early is caught by its state, and by the sanitizers. */
TEST(epoch_frees_nothing_early_and_everything_in_the_end)
{
    struct reader readers[READERS];
    pthread_t threads[READERS];
    struct world w;
    uint64_t freed = 0;

    epoch_init(&w.epoch);
    atomic_init(&w.head, view_create(&freed));
    atomic_init(&w.reading, 0);
    atomic_init(&w.done, false);
    for (int i = 0; i < READERS; i++) {
        readers[i] = (struct reader){ .world = &w };
        EXPECT_U64(pthread_create(&threads[i], NULL, read_views, &readers[i]), 0);
    }
    while (atomic_load(&w.reading) < READERS)
        sched_yield();
    for (int i = 0; i < PUBLICATIONS; i++) {
        struct view *old = atomic_exchange(&w.head, view_create(&freed));

        epoch_retire(&w.epoch, &old->retired, view_destroy);
        EXPECT(freed <= (uint64_t)i + 1);
        if (i % 256 == 0)
            sched_yield();
    }
    atomic_store(&w.done, true);
    for (int i = 0; i < READERS; i++) {
        EXPECT_U64(pthread_join(threads[i], NULL), 0);
        EXPECT_U64(readers[i].dead, 0);
    }
    epoch_retire(&w.epoch, &atomic_load(&w.head)->retired, view_destroy);
    epoch_release(&w.epoch);
    EXPECT_U64(freed, PUBLICATIONS + 1);
}

TEST_MAIN(RUN(epoch_without_readers_destroys_at_once),
          RUN(epoch_keeps_what_a_reader_inside_may_see),
          RUN(epoch_frees_what_only_later_readers_are_inside_of),
          RUN(epoch_is_left_only_by_the_outermost_leave),
          RUN(epoch_refuses_to_end_while_somebody_is_inside),
          RUN(epoch_lets_a_destroyed_object_retire_another),
          RUN(epoch_frees_nothing_early_and_everything_in_the_end))
