/* Two processes' worth of nodes, with real sockets, over the loopback: each has two loops on threads
 * of their own; plainly, and with TLS.  Counters are atomics, for the test's thread to look at. */
#include "peer/peer_internal.h"
#include "unit/env/fixture.h"
#include "unit/peer/pki.h"

enum { LOOPS = 2, NODES = 2, MESSAGES = 4000, LONG_EVERY = 500, LONG_BYTES = 3 << 20 };

#define FAR_S (INT64_C(50) * 365 * 86400)

struct machine;

/* One loop of a node. */
struct seat {
    struct machine *machine;
    struct peer *peer;
    uint32_t loop;
    struct timer *timer; /* goes on sending */
    uint64_t sent;
    uint64_t expected[LOOPS]; /* by the other's loop, which is the message's id */
};

struct machine {
    struct machine *other; /* for the test's thread */
    peer_node id;
    peer_node other_id;
    uint16_t other_port; /* once they have met */
    uint64_t incarnation;
    struct world world;
    struct budget budget;
    struct listener *listener;
    uint16_t port;
    struct peer *peers[LOOPS];
    struct seat seats[LOOPS];
    _Atomic uint32_t up; /* loops that are connected */
    _Atomic uint64_t ups;
    _Atomic uint64_t received;
    _Atomic uint64_t bytes;
    _Atomic uint64_t told_incarnation;
};

static uint8_t fill[LONG_BYTES]; /* written before the loops run */
static struct carrier *carrier;  /* likewise; of both nodes, or NULL */

/* ------------------------------------------------------------------ on the loops */

static void
receive(void *ctx, const struct peer_sender *from, uint8_t type, uint64_t id, struct slice payload)
{
    struct seat *s = ctx;
    uint64_t number;

    MUST(from->node == s->machine->other_id && type == 1 && id < LOOPS);
    MUST(payload.size >= sizeof(number));
    memcpy(&number, payload.data, sizeof(number));
    MUST(number == s->expected[id]);
    s->expected[id]++;
    MUST(payload.data[payload.size - 1] == 0x5a);
    atomic_fetch_add(&s->machine->bytes, payload.size);
    atomic_fetch_add(&s->machine->received, 1);
}

static void
state(void *ctx, peer_node node, uint64_t incarnation)
{
    struct seat *s = ctx;

    MUST(node == s->machine->other_id);
    if (incarnation != 0) {
        atomic_store(&s->machine->told_incarnation, incarnation);
        atomic_fetch_add(&s->machine->ups, 1);
        atomic_fetch_add(&s->machine->up, 1);
    } else {
        atomic_fetch_sub(&s->machine->up, 1);
    }
}

/* As much as is taken now; the rest a millisecond later. */
static void
send_on(void *ctx)
{
    struct seat *s = ctx;
    enum status st = ST_OK;

    while (st == ST_OK && s->sent < MESSAGES) {
        size_t size = s->sent % LONG_EVERY == LONG_EVERY - 1 ? LONG_BYTES : 100;
        struct slice parts[2] = { slice_of(&s->sent, sizeof(s->sent)), slice_of(fill, size) };
        struct peer_message m = { 1, s->loop, false, parts, 2, false };

        st = peer_send(s->peer, s->machine->other_id, &m);
        s->sent += st == ST_OK;
    }
    MUST(st == ST_OK || st == ST_BUSY);
    if (s->sent < MESSAGES)
        timer_start(s->timer, 1);
}

static void
flush_after(void *ctx)
{
    peer_flush(ctx);
}

static void
begin_seat(struct machine *m, uint32_t loop)
{
    struct seat *s = &m->seats[loop];
    struct peer_options options;

    *s = (struct seat){ .machine = m, .loop = loop };
    peer_options_default(&options);
    options.loop = real_env_loop(m->world.env, loop);
    options.budget = &m->budget;
    memset(options.self.cluster, 7, PEER_CLUSTER_BYTES);
    options.self.node = m->id;
    options.self.incarnation = m->incarnation;
    options.receive = receive;
    options.state = state;
    options.ctx = s;
    options.carrier = carrier;
    EXPECT_OK(peer_create(&s->peer, &options, NULL));
    EXPECT_OK(timer_create_on(options.loop, send_on, s, &s->timer));
    loop_set_after(options.loop, flush_after, s->peer);
    m->peers[loop] = s->peer;
}

static void
know_other(void *ctx)
{
    struct seat *s = ctx;
    struct machine *m = s->machine;

    MUST(peer_set_address(s->peer, m->other_id, "127.0.0.1", m->other_port, NULL) == ST_OK);
}

/* ------------------------------------------------------------------ on the test's thread */

/* With port 0, any. */
static void
machine_start(struct machine *m, struct machine *other, peer_node id, uint16_t port)
{
    struct err err;

    memset(m, 0, sizeof(*m));
    m->other = other;
    m->id = id;
    m->other_id = 3 - id;
    m->incarnation = 1000 + id + port;
    budget_init(&m->budget, 64 << 20);
    world_create(&m->world, LOOPS);
    for (uint32_t i = 0; i < LOOPS; i++)
        begin_seat(m, i);
    EXPECT_OK(
        env_listen(m->world.env, "127.0.0.1", port, peer_accepted, m->peers, &m->listener, &err));
    m->port = listener_port(m->listener);
    world_start(&m->world);
}

static void
machine_meet(struct machine *m)
{
    m->other_port = m->other->port;
    for (uint32_t i = 0; i < LOOPS; i++)
        on_loop(m->world.env, i, know_other, &m->seats[i]);
}

static void
machine_end(struct machine *m)
{
    world_stop(&m->world);
    listener_close(m->listener);
    for (uint32_t i = 0; i < LOOPS; i++) {
        timer_destroy(m->seats[i].timer);
        loop_set_after(real_env_loop(m->world.env, i), NULL, NULL);
        peer_destroy(m->peers[i]);
    }
    real_env_destroy(m->world.env);
    EXPECT_U64(budget_used(&m->budget), 0);
}

static void
start_two(struct machine m[NODES])
{
    machine_start(&m[0], &m[1], 1, 0);
    machine_start(&m[1], &m[0], 2, 0);
    machine_meet(&m[0]);
    machine_meet(&m[1]);
    WAIT_FOR(atomic_load(&m[0].up) == LOOPS && atomic_load(&m[1].up) == LOOPS);
}

static void
expect_everything_to_arrive(void)
{
    static struct machine m[NODES];
    uint64_t all = (uint64_t)LOOPS * MESSAGES;

    memset(fill, 0x5a, sizeof(fill));
    start_two(m);
    for (uint32_t n = 0; n < NODES; n++) {
        for (uint32_t i = 0; i < LOOPS; i++)
            on_loop(m[n].world.env, i, send_on, &m[n].seats[i]);
    }
    WAIT_FOR(atomic_load(&m[0].received) == all && atomic_load(&m[1].received) == all);
    EXPECT_U64(atomic_load(&m[0].ups), LOOPS); /* the connections held */
    EXPECT(atomic_load(&m[1].bytes) > (uint64_t)LOOPS * MESSAGES / LONG_EVERY * LONG_BYTES);
    machine_end(&m[0]);
    machine_end(&m[1]);
}

static void
expect_a_node_to_be_found_again(void)
{
    static struct machine m[NODES];
    uint16_t port;

    start_two(m);
    port = m[1].port;
    EXPECT_U64(atomic_load(&m[0].told_incarnation), 1002);
    machine_end(&m[1]);
    WAIT_FOR(atomic_load(&m[0].up) == 0);
    machine_start(&m[1], &m[0], 2, port);
    WAIT_FOR(atomic_load(&m[0].up) == LOOPS);
    EXPECT_U64(atomic_load(&m[0].told_incarnation), 1002 + port);
    EXPECT_U64(atomic_load(&m[0].ups), 2 * LOOPS);
    machine_end(&m[0]); /* that it calls node 2 no longer is none of node 2's business */
    machine_end(&m[1]);
}

TEST(everything_arrives_in_order_over_real_sockets)
{
    expect_everything_to_arrive();
}

TEST(a_node_that_comes_back_is_found_again)
{
    expect_a_node_to_be_found_again();
}

/* ------------------------------------------------------------------ with TLS */

/* Its files are on a simulated disk, which is gone when the nodes run. */
static void
begin_tls(struct sim *w)
{
    struct pki_wish wish = { .name = "ca", .is_authority = true, .from_s = -1, .until_s = FAR_S };
    struct pki ca, node;
    struct err err;

    pki_make(&ca, &wish);
    wish = (struct pki_wish){ .name = "n", .issuer = &ca, .from_s = -1, .until_s = FAR_S };
    pki_make(&node, &wish);
    pki_put(w, 1, &node, &ca);
    EXPECT_OK(carrier_create(&carrier, sim_boot(w, 1, 0), &pki_files, &err));
    pki_release(&node);
    pki_release(&ca);
}

static void
end_tls(struct sim *w)
{
    carrier_destroy(carrier);
    carrier = NULL;
    sim_destroy(w);
}

TEST(everything_arrives_in_order_over_tls)
{
    struct sim *w = sim_create(1);

    begin_tls(w);
    expect_everything_to_arrive();
    end_tls(w);
}

TEST(a_node_that_comes_back_is_found_again_over_tls)
{
    struct sim *w = sim_create(2);

    begin_tls(w);
    expect_a_node_to_be_found_again();
    end_tls(w);
}

/* Other threads begin connections meanwhile. */
TEST(certificates_may_change_while_nodes_call)
{
    static struct machine m[NODES];
    struct sim *w = sim_create(3);
    uint16_t port;

    begin_tls(w);
    start_two(m);
    port = m[1].port;
    for (unsigned i = 0; i < 3; i++) {
        machine_end(&m[1]);
        machine_start(&m[1], &m[0], 2, port);
        for (unsigned k = 0; k < 20; k++)
            EXPECT_OK(carrier_reload(carrier, NULL));
        WAIT_FOR(atomic_load(&m[0].told_incarnation) == m[1].incarnation &&
                 atomic_load(&m[0].up) == LOOPS);
    }
    machine_end(&m[0]);
    machine_end(&m[1]);
    end_tls(w);
}

QUIET_TEST_MAIN(RUN(everything_arrives_in_order_over_real_sockets),
                RUN(a_node_that_comes_back_is_found_again),
                RUN(everything_arrives_in_order_over_tls),
                RUN(a_node_that_comes_back_is_found_again_over_tls),
                RUN(certificates_may_change_while_nodes_call))
