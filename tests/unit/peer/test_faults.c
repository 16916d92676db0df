/* Every allocation of a node fails in turn, once and for good. */
#include "unit/peer/fixture.h"

enum { LONG_BYTES = PEER_FRAME_BYTES_MAX + 1000 }; /* two frames */

/* Connect, talk both ways, lose the other node, get it back. */
static void
live(struct cluster *c)
{
    for (int i = 0; i < 3; i++) {
        send(c, 1, 0, 2, 100, true);
        send(c, 1, 0, 2, 100000, false);
        send(c, 1, 0, 2, LONG_BYTES, false);
        send(c, 2, 0, 1, 100, true);
        send(c, 2, 0, 1, 100000, false);
        send(c, 2, 0, 1, LONG_BYTES, false);
        sim_run_ms(c->w, 300);
    }
}

/* False: there were fewer allocations. */
static bool
live_with_fault(uint64_t nth, bool for_good)
{
    struct cluster *c = cluster_create(nth, 2, 1);
    struct mem_heap *heap = sim_heap(c->w, 1);
    bool struck;

    member_start(c, 2);
    sim_boot(c->w, 1, 1);
    heap->fail_at = nth;
    heap->fail_for_good = for_good;
    if (member_try_start(c, 1) == ST_OK) {
        struct err err;

        if (peer_set_address(peer_of(c, 1), 2, "10.0.0.2", PEER_PORT, &err) == ST_OK)
            sim_run_ms(c->w, 3000);
        live(c);
        struck = heap->allocation >= nth;
        heap->fail_at = 0;
        if (peer_set_address(peer_of(c, 1), 2, "10.0.0.2", PEER_PORT, &err) == ST_OK)
            cluster_settle(c); /* and all is well again */
        memset(c->members[2].heard, 0, sizeof(c->members[2].heard));
        c->members[2].heard[1][0].next[BULK] = c->members[1].seats[0].next[2][BULK];
        send_ok(c, 1, 2, LONG_BYTES, false);
        sim_run_ms(c->w, 1000);
        EXPECT_U64(count_heard(c, 2, 1, BULK), 1);
        expect_order(c, 2, 1);
    } else {
        struck = true;
        heap->fail_at = 0;
    }
    cluster_destroy(c); /* nothing leaks */
    return struck;
}

TEST(every_allocation_fails_once)
{
    uint64_t n = 1;

    while (live_with_fault(n, false))
        n++;
    print_message("%llu allocations\n", (unsigned long long)n);
    EXPECT(n > 20);
}

TEST(every_allocation_fails_from_the_nth_on)
{
    uint64_t n = 1;

    while (live_with_fault(n, true))
        n++;
    print_message("%llu allocations\n", (unsigned long long)n);
    EXPECT(n > 20);
}

QUIET_TEST_MAIN(RUN(every_allocation_fails_once), RUN(every_allocation_fails_from_the_nth_on))
