/* Tests of api/room.h. */
#include "base/limits.h"

#include "api/room.h"
#include "unit/test.h"

enum { MB = 1 << 20 };

struct waiter {
    struct room_wait wait;
    int granted;
    int refused;
};

static void
over(struct room_wait *self, bool granted)
{
    struct waiter *w = container_of(self, struct waiter, wait);

    if (granted)
        w->granted++;
    else
        w->refused++;
}

struct world {
    struct budget budget;
    struct room_shares shares;
    struct room room;
    struct waiter a, b;
};

static void
begin(struct world *x, size_t limit)
{
    budget_init(&x->budget, limit);
    room_shares_init(&x->shares, &x->budget);
    room_init(&x->room, &x->shares);
    x->a = x->b = (struct waiter){ 0 };
    room_wait_init(&x->a.wait, over);
    room_wait_init(&x->b.wait, over);
}

TEST(a_share_is_a_part_of_the_budget)
{
    struct world x;

    begin(&x, 400 * MB);
    EXPECT(room_try(&x.room, ROOM_REPLY, 100 * MB));
    EXPECT(!room_try(&x.room, ROOM_REPLY, 1));
    EXPECT(room_try(&x.room, ROOM_REQUEST, 66 * MB)); /* the other share is another one */
    EXPECT_U64(budget_used(&x.budget), 166 * MB);
    room_give(&x.room, ROOM_REPLY, 100 * MB);
    EXPECT(room_try(&x.room, ROOM_REPLY, 1));
    EXPECT_U64(budget_used(&x.budget), 66 * MB + 1);
}

TEST(a_small_budget_has_room_for_one_large_request_all_the_same)
{
    struct world x;

    begin(&x, 64 * MB);
    EXPECT(room_try(&x.room, ROOM_REQUEST, 2 * LIMIT_VALUE_BYTES));
}

TEST(a_full_budget_has_no_room_whatever_the_share)
{
    struct world x;

    begin(&x, 400 * MB);
    budget_charge(&x.budget, 400 * MB);
    EXPECT(!room_try(&x.room, ROOM_REQUEST, 1));
    EXPECT_U64(budget_used(&x.budget), 400 * MB);
    room_take(&x.room, ROOM_REQUEST, 10); /* what must be, is */
    EXPECT_U64(budget_used(&x.budget), 400 * MB + 10);
}

TEST(those_who_wait_are_served_in_turn)
{
    struct world x;

    begin(&x, 396 * MB); /* a sixth is 66 */
    EXPECT(room_try(&x.room, ROOM_REQUEST, 56 * MB));
    room_await(&x.room, ROOM_REQUEST, &x.a.wait, 20 * MB, 1000);
    room_await(&x.room, ROOM_REQUEST, &x.b.wait, 5 * MB, 1000);
    EXPECT(room_busy(&x.room));
    EXPECT(!room_try(&x.room, ROOM_REQUEST, 1)); /* nobody goes past them */
    room_poll(&x.room, 10);
    EXPECT(x.a.granted == 0 && x.b.granted == 0);
    room_give(&x.room, ROOM_REQUEST, 12 * MB);
    room_poll(&x.room, 11);
    EXPECT(x.a.granted == 1 && x.b.granted == 0);
    room_give(&x.room, ROOM_REQUEST, 20 * MB);
    room_poll(&x.room, 12);
    EXPECT(x.b.granted == 1 && !room_busy(&x.room));
}

TEST(who_waits_beyond_the_deadline_is_refused)
{
    struct world x;

    begin(&x, 400 * MB);
    EXPECT(room_try(&x.room, ROOM_REPLY, 100 * MB));
    room_await(&x.room, ROOM_REPLY, &x.a.wait, MB, 1000);
    room_await(&x.room, ROOM_REPLY, &x.b.wait, MB, 2000);
    EXPECT(!room_was_missed(&x.room, ROOM_REPLY));
    room_poll(&x.room, 1000);
    EXPECT(x.a.refused == 1 && x.b.refused == 0);
    EXPECT(room_was_missed(&x.room, ROOM_REPLY));
    EXPECT(!room_was_missed(&x.room, ROOM_REPLY));
    EXPECT(!room_was_missed(&x.room, ROOM_REQUEST));
    room_wait_cancel(&x.b.wait);
    EXPECT(!room_waits(&x.b.wait) && !room_busy(&x.room));
    room_poll(&x.room, 5000);
    EXPECT(x.b.refused == 0);
    EXPECT_U64(budget_used(&x.budget), 100 * MB);
}

TEST(half_of_a_share_is_kept_for_what_is_due)
{
    struct world x;

    begin(&x, 400 * MB); /* a quarter is 100 */
    EXPECT(room_is_ample(&x.room, ROOM_REPLY, 50 * MB));
    EXPECT(!room_is_ample(&x.room, ROOM_REPLY, 50 * MB + 1));
    EXPECT(room_try(&x.room, ROOM_REPLY, 30 * MB));
    EXPECT(room_is_ample(&x.room, ROOM_REPLY, 20 * MB));
    EXPECT(!room_is_ample(&x.room, ROOM_REPLY, 21 * MB));
}

/* M4; another reactor's pool asks, so it is the shares that know. */
TEST(everybody_hears_that_somebody_waits)
{
    struct room other;
    struct world x;

    begin(&x, 400 * MB);
    room_init(&other, &x.shares);
    EXPECT(room_try(&x.room, ROOM_REPLY, 100 * MB));
    room_await(&x.room, ROOM_REPLY, &x.a.wait, MB, 1000);
    room_await(&x.room, ROOM_REPLY, &x.b.wait, MB, 2000);
    EXPECT(room_is_wanted(&other, ROOM_REPLY) && !room_is_wanted(&other, ROOM_REQUEST));
    room_poll(&x.room, 1000);
    EXPECT(x.a.refused == 1 && room_is_wanted(&other, ROOM_REPLY));
    room_wait_cancel(&x.b.wait);
    room_wait_cancel(&x.b.wait);
    EXPECT(!room_is_wanted(&other, ROOM_REPLY));
    room_await(&x.room, ROOM_REPLY, &x.a.wait, MB, 3000);
    room_give(&x.room, ROOM_REPLY, 100 * MB);
    room_poll(&x.room, 1001);
    EXPECT(x.a.granted == 1 && !room_is_wanted(&other, ROOM_REPLY));
}

TEST_MAIN(RUN(a_share_is_a_part_of_the_budget),
          RUN(a_small_budget_has_room_for_one_large_request_all_the_same),
          RUN(a_full_budget_has_no_room_whatever_the_share), RUN(those_who_wait_are_served_in_turn),
          RUN(who_waits_beyond_the_deadline_is_refused),
          RUN(half_of_a_share_is_kept_for_what_is_due), RUN(everybody_hears_that_somebody_waits))
