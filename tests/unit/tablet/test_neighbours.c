/*
 * Other nodes that come and go (tablet/neighbours.h, tablet/exchange.h), and what is said between nodes that is
 * not about tablets.
 */
#include "tablet/tablet_internal.h"
#include "unit/tablet/hall.h"
#include "unit/test.h"

enum { T = 70, FOREIGN = EXCHANGE_FOREIGN + 8 };

/* ------------------------------------------------------------------ slots */

TEST(a_slot_is_shared_by_all_loops_and_used_again_when_all_have_parted)
{
    struct tablet_neighbour *a, *b, *c;
    struct neighbours n = { 0 };

    neighbours_init(&n);
    EXPECT(neighbours_find(&n, 5) == NULL);
    EXPECT_OK(neighbours_join(&n, 5, 1, &a));
    EXPECT_OK(neighbours_join(&n, 5, 2, &b));
    EXPECT_OK(neighbours_join(&n, 6, 3, &c));
    EXPECT(a == b && a != c && neighbours_find(&n, 5) == a);
    EXPECT_U64(atomic_load(&a->heard_ns), 1);
    EXPECT(neighbour_is_wanted(a, 1));
    atomic_store(&a->incarnation, 7);
    atomic_store(&a->departed, 7);
    atomic_store(&a->guest.streams[LIMIT_REACTORS - 1], 7);
    atomic_store(&a->guest.parting, 7);
    neighbours_part(&n, a);
    EXPECT(neighbours_find(&n, 5) == a);
    neighbours_part(&n, a);
    EXPECT(neighbours_find(&n, 5) == NULL);
    EXPECT_OK(neighbours_join(&n, 9, 4, &b));
    EXPECT(b == a && atomic_load(&b->incarnation) == 0);
    EXPECT_U64(atomic_load(&b->departed), 0);
    EXPECT_U64(atomic_load(&b->guest.streams[LIMIT_REACTORS - 1]), 0);
    EXPECT_U64(atomic_load(&b->guest.parting), 0);
    EXPECT_U64(atomic_load(&b->heard_ns), 4);
    neighbours_release(&n);
}

TEST(who_was_not_wanted_was_not_silent)
{
    struct tablet_neighbour *a;
    struct neighbours n = { 0 };
    uint64_t now_ns = 1;

    neighbours_init(&n);
    EXPECT_OK(neighbours_join(&n, 5, now_ns, &a));
    for (uint32_t i = 0; i < 20; i++) {
        now_ns += NEIGHBOUR_WANTED_NS / 4;
        EXPECT(neighbour_is_wanted(a, now_ns));
        neighbour_want(a, now_ns);
        EXPECT_U64(atomic_load(&a->heard_ns), 1);
    }
    now_ns += NEIGHBOUR_WANTED_NS;
    EXPECT(!neighbour_is_wanted(a, now_ns));
    neighbour_want(a, now_ns);
    EXPECT(neighbour_is_wanted(a, now_ns));
    EXPECT_U64(atomic_load(&a->heard_ns), now_ns);
    neighbours_part(&n, a);
    neighbours_release(&n);
}

TEST(there_are_so_many_slots_and_no_more)
{
    struct tablet_neighbour *slots[TABLET_NODES_MAX + 1];
    struct neighbours n = { 0 };

    neighbours_init(&n);
    for (uint32_t i = 0; i < TABLET_NODES_MAX; i++)
        EXPECT_OK(neighbours_join(&n, i + 1, 1, &slots[i]));
    EXPECT_ST(neighbours_join(&n, 1000, 1, &slots[TABLET_NODES_MAX]), ST_TOO_BIG);
    EXPECT_OK(neighbours_join(&n, 1, 1, &slots[TABLET_NODES_MAX]));
    neighbours_part(&n, slots[3]);
    EXPECT_OK(neighbours_join(&n, 1000, 1, &slots[TABLET_NODES_MAX]));
    EXPECT(slots[TABLET_NODES_MAX] == slots[3]);
    neighbours_release(&n);
}

/* ------------------------------------------------------------------ nodes */

struct meeting {
    struct tablet_reactor *r;
    uint64_t node;
    bool known;
    enum status status;
};

static void
meet_body(void *ctx)
{
    struct meeting *m = ctx;
    struct err err;

    if (m->known)
        m->status = exchange_set_neighbour(m->r, m->node, hall_hosts[m->node - 1], HALL_PORT, &err);
    else
        exchange_forget_neighbour(m->r, m->node);
}

static void
meet(struct hall *h, uint32_t node, uint64_t other, bool known)
{
    for (uint32_t i = 0; i < HALL_LOOPS; i++) {
        struct meeting m = { .r = &h->sites[node].loops[i].reactor, .node = other, .known = known };

        sim_on_loop(h->w, node, i, meet_body, &m);
        EXPECT_OK(m.status);
    }
}

static void
meet_all(struct hall *h, bool known)
{
    for (uint32_t a = 1; a <= h->count; a++) {
        for (uint32_t b = 1; b <= h->count; b++) {
            if (a != b)
                meet(h, a, b, known);
        }
    }
}

static bool
any_leads(struct hall *h)
{
    for (uint32_t node = 1; node <= h->count; node++) {
        if (tablet__leads(hall_tablet(h, node, T)))
            return true;
    }
    return false;
}

TEST(nodes_that_meet_while_they_run_form_a_group_and_part_again)
{
    struct hall h;

    hall_create_like(&h, test_seed(1), &(struct hall){ .count = 3, .strangers = true });
    for (uint32_t node = 1; node <= 3; node++)
        EXPECT_OK(hall_add(&h, node, T));
    sim_run_ms(h.w, 3000);
    EXPECT(!any_leads(&h));
    for (int times = 0; times < 3; times++) {
        meet_all(&h, true);
        meet_all(&h, true); /* again: nothing changes */
        EXPECT_OK(hall_put(&h, hall_leader(&h, T), T, "k", "v"));
        meet_all(&h, false);
        meet_all(&h, false);
        sim_run_ms(h.w, 3000);
        EXPECT(!any_leads(&h));
    }
    for (uint32_t node = 1; node <= 3; node++)
        hall_close(&h, node);
    hall_destroy(&h);
}

static void
refuse_body(void *ctx)
{
    struct meeting *m = ctx;
    struct err err;

    m->status = exchange_set_neighbour(m->r, m->node,
                                       "no address at all, and far too long to be "
                                       "one; so long that it is not even kept",
                                       HALL_PORT, &err);
}

TEST(a_neighbour_that_cannot_be_set_takes_no_slot)
{
    struct meeting m;
    struct hall h;

    hall_create_like(&h, test_seed(1), &(struct hall){ .count = 1, .strangers = true });
    m = (struct meeting){ .r = h.sites[1].node.first, .node = 2 };
    sim_on_loop(h.w, 1, 0, refuse_body, &m);
    EXPECT_ST(m.status, ST_INVALID);
    EXPECT(neighbours_find(&h.sites[1].node.neighbours, 2) == NULL);
    hall_close(&h, 1);
    hall_destroy(&h);
}

/* ------------------------------------------------------------------ heartbeats */

struct wanting {
    struct tablet_reactor *r;
    uint64_t node;
};

static void
want_body(void *ctx)
{
    const struct wanting *w = ctx;

    neighbour_want(neighbours_find(&w->r->node->neighbours, w->node), loop_now_ns(w->r->loop));
}

static void
want(struct hall *h, uint32_t node, uint64_t other)
{
    struct wanting w = { h->sites[node].node.first, other };

    sim_on_loop(h->w, node, 0, want_body, &w);
}

static uint64_t
heard_ns(struct hall *h, uint32_t node, uint64_t of)
{
    return atomic_load(&neighbours_find(&h->sites[node].node.neighbours, of)->heard_ns);
}

static bool
is_silent(struct hall *h, uint32_t node)
{
    return h->sites[node].node.first->watches[0].silent;
}

/* The two share no group. */
TEST(heartbeats_go_to_those_that_are_wanted_and_come_back)
{
    struct hall h;
    uint64_t before;

    hall_create(&h, test_seed(1), 2);
    sim_run_ms(h.w, 6000);
    before = heard_ns(&h, 1, 2);
    sim_run_ms(h.w, 2000);
    EXPECT_U64(heard_ns(&h, 1, 2), before);
    EXPECT(!is_silent(&h, 1) && !is_silent(&h, 2));

    want(&h, 1, 2);
    for (int i = 0; i < 100; i++) { /* what was not listened for is no silence */
        sim_run_ms(h.w, 10);
        EXPECT(!is_silent(&h, 1));
    }
    EXPECT(heard_ns(&h, 1, 2) > before + 2900 * UINT64_C(1000000));
    sim_run_ms(h.w, 6000);
    before = heard_ns(&h, 1, 2);
    sim_run_ms(h.w, 2000);
    EXPECT_U64(heard_ns(&h, 1, 2), before);

    hall_crash(&h, 2);
    want(&h, 1, 2);
    sim_run_ms(h.w, 250);
    EXPECT(!is_silent(&h, 1));
    sim_run_ms(h.w, 200);
    EXPECT(is_silent(&h, 1)); /* who is wanted, and says nothing */
    hall_destroy(&h);
}

/* ------------------------------------------------------------------ foreign messages */

struct heard {
    struct exchange_guest guest;
    struct peer_sender from;
    uint64_t id;
    uint8_t type;
    char payload[16];
    uint32_t count;
    uint64_t state_node;
    uint64_t incarnation;
};

static void
hear(struct exchange_guest *guest, const struct peer_sender *from, uint8_t type, uint64_t id,
     struct slice payload)
{
    struct heard *x = container_of(guest, struct heard, guest);

    x->from = *from;
    x->type = type;
    x->id = id;
    x->count++;
    snprintf(x->payload, sizeof(x->payload), "%.*s", (int)payload.size, (const char *)payload.data);
}

static void
hear_state(struct exchange_guest *guest, uint64_t node, uint64_t incarnation)
{
    struct heard *x = container_of(guest, struct heard, guest);

    x->state_node = node;
    x->incarnation = incarnation;
}

static void
speak(void *ctx)
{
    struct tablet_reactor *r = ctx;
    const struct slice part = slice_str("hello");
    struct peer_message m = { .type = FOREIGN, .id = 99, .parts = &part, .part_count = 1 };

    EXPECT_OK(peer_send(r->peer, 2, &m));
    peer_flush(r->peer);
}

/* Also of nodes that are not known: whoever joins is unknown at first. */
TEST(messages_of_other_types_and_changes_of_connections_are_for_those_above)
{
    struct heard heard[HALL_LOOPS] = { 0 };
    struct heard caller = { 0 };
    struct tablet_reactor *r;
    struct hall h;

    hall_create_like(&h, test_seed(1), &(struct hall){ .count = 2, .strangers = true });
    for (uint32_t i = 0; i < HALL_LOOPS; i++) {
        heard[i].guest = (struct exchange_guest){ .receive = hear, .state = hear_state };
        h.sites[2].loops[i].reactor.guest = &heard[i].guest;
    }
    r = &h.sites[1].loops[1].reactor;
    caller.guest = (struct exchange_guest){ .receive = hear, .state = hear_state };
    r->guest = &caller.guest;
    meet(&h, 1, 2, true);
    sim_run_ms(h.w, 2000);
    EXPECT(caller.state_node == 2 && caller.incarnation != 0);
    sim_on_loop(h.w, 1, 1, speak, r);
    sim_run_ms(h.w, 100);
    EXPECT_U64(heard[0].count + heard[1].count, 1);
    if (heard[0].count == 0)
        heard[0] = heard[1];
    EXPECT(heard[0].from.node == 1 && heard[0].type == FOREIGN && heard[0].id == 99);
    EXPECT_STR(heard[0].payload, "hello");
    hall_close(&h, 2);
    sim_run_ms(h.w, 1000);
    EXPECT(caller.state_node == 2 && caller.incarnation == 0);
    hall_destroy(&h);
}

QUIET_TEST_MAIN(RUN(a_slot_is_shared_by_all_loops_and_used_again_when_all_have_parted),
                RUN(who_was_not_wanted_was_not_silent), RUN(there_are_so_many_slots_and_no_more),
                RUN(nodes_that_meet_while_they_run_form_a_group_and_part_again),
                RUN(a_neighbour_that_cannot_be_set_takes_no_slot),
                RUN(heartbeats_go_to_those_that_are_wanted_and_come_back),
                RUN(messages_of_other_types_and_changes_of_connections_are_for_those_above))
