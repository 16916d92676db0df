/* What comes from other nodes: late, twice, or as nonsense (kv/serve.c, kv/away.c). */
#include "base/coding.h"
#include "base/prng.h"

#include "kv/forward.h"
#include "kv/kv_internal.h"
#include "tablet/request_codec.h"
#include "unit/kv/line.h"
#include "unit/test.h"

/* What another node says, as it comes from the connection. */
struct said {
    struct nodes *n;
    uint32_t to;
    uint32_t loop;
    struct peer_sender from;
    struct slice payload;
    uint8_t type;
};

static void
say_body(void *ctx)
{
    struct said *s = ctx;
    struct exchange_guest *guest = kv_door_of(s->n->kv[s->to], s->loop)->reactor.guest;

    guest->receive(guest, &s->from, s->type, 7, s->payload);
}

static void
say_put(struct said *s, uint64_t stream, const char *value)
{
    struct tablet *t = kv_tablet(s->n->kv[s->to], 0);
    struct op op = { .kind = OP_PUT, .key = slice_str("k"), .value = slice_str(value) };
    struct request r = { .ops = &op, .op_count = 1, .term = raft_hard(tablet_raft(t)).term };
    struct request_envelope e = { .tablet = tablet_id(t), .left_us = 1000000 };
    uint8_t bytes[256];
    uint8_t *at = put_varint(bytes, stream);

    s->type = FORWARD_REQUEST;
    s->payload = slice_of(bytes, (size_t)(at - bytes) + request_encode(at, &r, &e));
    sim_on_loop(s->n->w, s->to, s->loop, say_body, s);
}

static void
expect_said(struct said *s, const char *value)
{
    sim_run_ms(s->n->w, 50);
    EXPECT_STR(nodes_get(s->n, s->to, "k"), value);
}

TEST(what_comes_late_on_an_old_stream_is_not_evaluated)
{
    struct nodes n;
    struct said s;

    nodes_create_forwarding(&n, test_seed(16), 3);
    s = (struct said){ .n = &n, .to = nodes_leader(&n) };
    s.from = (struct peer_sender){ line_other_than(s.to), 77 };
    say_put(&s, 1, "first");
    expect_said(&s, "first");
    say_put(&s, 3, "second");
    expect_said(&s, "second");
    say_put(&s, 2, "late");
    expect_said(&s, "second");
    say_put(&s, 3, "third");
    expect_said(&s, "third");
    s.from.incarnation = 78; /* a new process of the node counts anew */
    say_put(&s, 0, "reborn");
    expect_said(&s, "reborn");
    s.from.incarnation = 77; /* and the former one is heard no more */
    say_put(&s, 4, "dead");
    expect_said(&s, "reborn");
    s.from.incarnation = 79;
    say_put(&s, 0, "latest");
    expect_said(&s, "latest");
    s.from.incarnation =
        77; /* nor one of long ago, and it does not make the living one a former one */
    say_put(&s, 9, "long dead");
    expect_said(&s, "latest");
    s.from.incarnation = 79;
    say_put(&s, 0, "lives");
    expect_said(&s, "lives");
    s.from.node = 99;
    say_put(&s, 9, "stranger");
    expect_said(&s, "lives");
    nodes_destroy(&n);
}

/* The one on the tablet's own loop comes first; the other is on its way there from another loop. */
TEST(what_is_on_its_way_between_loops_when_a_later_stream_comes_is_not_evaluated)
{
    struct nodes n;
    struct said s;
    uint32_t own;

    nodes_create_forwarding(&n, test_seed(21), 3);
    s = (struct said){ .n = &n, .to = nodes_leader(&n) };
    s.from = (struct peer_sender){ line_other_than(s.to), 77 };
    own = loop_index(tablet_loop(kv_tablet(n.kv[s.to], 0)));
    s.loop = own == 0;
    say_put(&s, 5, "early");
    expect_said(&s, "early");
    say_put(&s, 5, "late");
    s.loop = own;
    say_put(&s, 6, "now");
    expect_said(&s, "now");
    nodes_destroy(&n);
}

/* The leader says that answers of its may be lost: the one that is waited for will not come. */
TEST(what_an_answer_was_lost_of_is_not_waited_for)
{
    struct nodes n;
    struct line l;
    struct said s;

    nodes_create_forwarding(&n, test_seed(15), 5);
    s = (struct said){ .n = &n, .to = 5, .type = FORWARD_LOST };
    s.from = (struct peer_sender){ nodes_leader(&n), 77 };
    EXPECT_OK(nodes_put(&n, 5, "a", "1"));
    for (uint32_t i = 1; i <= NODES_FOUNDERS; i++) {
        if (i != s.from.node)
            sim_net_cut(n.w, (uint32_t)s.from.node, i); /* it commits nothing */
    }
    line_begin(&l, &n, 5, 0);
    line_append(&l, 1);
    sim_run_ms(n.w, 20);
    EXPECT_U64(l.done, 0);
    sim_on_loop(n.w, 5, 0, say_body, &s);
    sim_run_ms(n.w, 60);
    EXPECT_ST(l.steps[0].status, ST_UNKNOWN);
    nodes_destroy(&n);
}

/* Cut short, or with a byte that is another one: it is refused, or is another request; the node serves on. */
TEST(nonsense_from_another_node_does_no_harm)
{
    struct nodes n;
    struct said s;
    struct prng p;

    nodes_create_forwarding(&n, test_seed(17), 3);
    prng_init(&p, test_seed(17));
    s = (struct said){ .n = &n, .to = nodes_leader(&n) };
    s.from = (struct peer_sender){ line_other_than(s.to), 77 };
    for (int i = 0; i < 3000; i++) {
        uint8_t bytes[128] = { 0, 1, 1, 0, 0, 0, (uint8_t)prng_below(&p, REQUEST_KINDS), 0 };
        size_t known = prng_below(&p, 8);

        for (size_t at = known; at < sizeof(bytes); at++)
            bytes[at] = prng_chance(&p, 1, 2) ? 0 : (uint8_t)prng_next(&p);
        s.type = (uint8_t)(FORWARD_REQUEST + prng_below(&p, 5));
        s.payload = slice_of(bytes, prng_below(&p, sizeof(bytes)));
        sim_on_loop(n.w, s.to, 0, say_body, &s);
    }
    sim_run_ms(n.w, 1000);
    EXPECT_OK(nodes_put(&n, line_other_than(s.to), "a", "1"));
    EXPECT_STR(nodes_get(&n, 1, "a"), "1");
    nodes_destroy(&n);
}

/* ------------------------------------------------------------------ one answer */

/* The same ids are used by the next process of the node: what its former life had asked is not for it. */
TEST(an_answer_to_a_former_life_is_nobodys)
{
    struct nodes n;
    struct line l;
    uint32_t leader;

    nodes_create_forwarding(&n, test_seed(12), 5);
    leader = nodes_leader(&n);
    EXPECT_OK(nodes_put(&n, 4, "warm", "1"));
    for (uint32_t i = 1; i <= NODES_FOUNDERS; i++) {
        if (i != leader)
            sim_net_cut(n.w, leader, i);
    }
    line_begin(&l, &n, 4, 0);
    line_append(&l, 20);
    sim_run_ms(n.w, 20);
    nodes_crash(&n, 4);
    nodes_boot(&n, 4);
    sim_run_ms(n.w, 20);
    l.count = 0;
    l.key = "other";
    line_append(&l, 20);
    for (uint32_t i = 1; i <= NODES_FOUNDERS; i++)
        nodes_cut(&n, i, false);
    line_await(&l);
    line_check(&l, 4);
    nodes_destroy(&n);
}

QUIET_TEST_MAIN(RUN(what_comes_late_on_an_old_stream_is_not_evaluated),
                RUN(what_is_on_its_way_between_loops_when_a_later_stream_comes_is_not_evaluated),
                RUN(what_an_answer_was_lost_of_is_not_waited_for),
                RUN(nonsense_from_another_node_does_no_harm),
                RUN(an_answer_to_a_former_life_is_nobodys))
