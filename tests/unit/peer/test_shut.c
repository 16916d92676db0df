/* The peers of a cluster whose streams a carrier wraps: they are as they were, and whoever has no certificate stays
 * outside, however he goes about it. */
#include "unit/peer/pki.h"
#include "unit/peer/stranger.h"

enum { FILES = 100 }; /* the machine whose disk has them */

struct shut {
    struct cluster *c;
    struct pki ca;
    struct pki node;
};

static void
begin(struct shut *s, uint64_t seed, uint32_t count, uint32_t loop_count)
{
    s->c = cluster_create(seed, count, loop_count);
    pki_authority(&s->ca, "ca");
    pki_node(&s->node, &s->ca, "node");
    pki_put(s->c->w, FILES, &s->node, &s->ca);
    EXPECT_OK(
        carrier_create(&s->c->options.carrier, sim_boot(s->c->w, FILES, 0), &pki_files, NULL));
}

static void
end(struct shut *s)
{
    struct carrier *carrier = s->c->options.carrier;

    cluster_destroy(s->c);
    carrier_destroy(carrier);
    pki_release(&s->node);
    pki_release(&s->ca);
}

TEST(nodes_speak_as_they_did)
{
    static const size_t sizes[] = { NUMBER_BYTES, 1000, 100000, 3 << 20 };
    struct shut s;

    begin(&s, 1, 3, 2);
    for (uint32_t id = 1; id <= 3; id++)
        member_start(s.c, id);
    cluster_settle(s.c);
    for (uint32_t i = 0; i < 40; i++) {
        send_ok(s.c, 1, 2 + i % 2, sizes[i % 4], false);
        send_ok(s.c, 2, 1, 100, true);
        sim_run_ms(s.c->w, 20);
    }
    sim_run_ms(s.c->w, 2000);
    EXPECT_U64(count_heard(s.c, 2, 1, BULK), 20);
    EXPECT_U64(count_heard(s.c, 3, 1, BULK), 20);
    EXPECT_U64(count_heard(s.c, 1, 2, URGENT), 40);
    expect_order(s.c, 2, 1);
    expect_order(s.c, 3, 1);
    expect_order(s.c, 1, 2);
    end(&s);
}

TEST(who_has_no_certificate_is_not_heard)
{
    struct shut s;
    struct stranger x;

    begin(&s, 2, 2, 1);
    member_start(s.c, 1);
    x = stranger_to(s.c);
    greet(&x);
    EXPECT(is_cut_off(&x));
    EXPECT_U64(sim_client_received(x.client).size, 7); /* an alert, and no hello */
    part(&x);
    end(&s);
}

/* It costs what a handshake does: neither for long, nor many times. */
TEST(who_does_not_finish_the_handshake_is_shut_out)
{
    static const uint8_t begin_of_one[] = { 0x16, 3, 1, 1, 0, 1 };
    enum { SILENT = PEER_GREETING_MAX + 10 };
    static struct sim_client *silent[SILENT];
    struct shut s;
    unsigned cut = 0;

    begin(&s, 3, 2, 1);
    member_start(s.c, 1);
    for (unsigned i = 0; i < SILENT; i++) {
        silent[i] = sim_connect(s.c->w, 1, PEER_PORT);
        sim_client_send(silent[i], slice_of(begin_of_one, i % sizeof(begin_of_one)));
    }
    sim_run_ms(s.c->w, 100);
    EXPECT_U64(peer_of(s.c, 1)->incoming_count, PEER_GREETING_MAX);
    EXPECT(budget_used(&s.c->members[1].budget) > PEER_GREETING_MAX * CARRIER_HANDSHAKE_BYTES);
    EXPECT(budget_used(&s.c->members[1].budget) < 2 * PEER_GREETING_MAX * CARRIER_HANDSHAKE_BYTES);
    member_start(s.c, 2); /* there is room for those who greet */
    sim_run_ms(s.c->w, 1000);
    EXPECT(all_up(s.c));
    sim_run_ms(s.c->w, GREETING_MS);
    EXPECT_U64(peer_of(s.c, 1)->incoming_count, 1);
    for (unsigned i = 0; i < SILENT; i++) {
        cut += sim_client_closed(silent[i]);
        sim_client_close(silent[i]);
    }
    EXPECT_U64(cut, SILENT);
    sim_run_ms(s.c->w, 100);
    EXPECT(budget_used(&s.c->members[1].budget) < 3 * CARRIER_STREAM_BYTES + 2 * SCRATCH_BYTES);
    end(&s);
}

/* The same two, when only one of them has TLS. */
TEST(a_node_with_tls_and_one_without_do_not_meet)
{
    for (uint32_t with = 1; with <= 2; with++) {
        struct shut s;
        struct carrier *carrier;

        begin(&s, 3 + with, 2, 1);
        carrier = s.c->options.carrier;
        for (uint32_t id = 1; id <= 2; id++) {
            s.c->options.carrier = id == with ? carrier : NULL;
            member_start(s.c, id);
        }
        sim_run_ms(s.c->w, 5000);
        for (uint32_t id = 1; id <= 2; id++) {
            EXPECT_U64(s.c->members[id].state_count, 0);
            EXPECT_U64(peer_of(s.c, id)->greeting_count, 0);
        }
        s.c->options.carrier = carrier;
        end(&s);
    }
}

static struct stream *taken;

static void
take_stranger(void *ctx, struct stream *stream, struct slice begin_of_it)
{
    (void)ctx;
    (void)begin_of_it;
    taken = stream;
}

/* Not even as a stranger, who might be asked in. */
TEST(who_speaks_plainly_is_no_stranger_but_refused)
{
    struct shut s;
    struct stranger x;

    begin(&s, 6, 2, 1);
    s.c->options.stranger = take_stranger;
    member_start(s.c, 1);
    x = stranger_to(s.c);
    say(&x, "DKVENTER", 8);
    EXPECT(is_cut_off(&x) && taken == NULL);
    part(&x);
    end(&s);
}

/* And a node without TLS does not take TLS for a stranger's protocol. */
TEST(tls_is_no_strangers_protocol)
{
    struct cluster *c = cluster_create(7, 2, 1);
    struct stranger x;

    c->options.stranger = take_stranger;
    member_start(c, 1);
    x = stranger_to(c);
    say(&x, "\x16\x03\x01\x02", 4);
    EXPECT(is_cut_off(&x) && taken == NULL);
    part(&x);
    cluster_destroy(c);
}

/* Of who calls and who is called; nothing is left behind, or the end of a member would say so. */
TEST(without_memory_for_a_connection_the_next_one_is_tried)
{
    unsigned failed = 0;

    for (uint64_t nth = 1; nth <= 20; nth++) {
        struct shut s;
        struct mem_heap *heap;

        begin(&s, 8 + nth, 2, 1);
        member_start(s.c, 1);
        heap = sim_heap(s.c->w, 1);
        heap->fail_at = heap->allocation + 1 + nth % 5;
        member_start(s.c, 2);
        cluster_settle(s.c);
        failed += heap->allocation >= heap->fail_at;
        end(&s);
    }
    EXPECT(failed >= 15);
}

QUIET_TEST_MAIN(RUN(nodes_speak_as_they_did), RUN(who_has_no_certificate_is_not_heard),
                RUN(who_does_not_finish_the_handshake_is_shut_out),
                RUN(a_node_with_tls_and_one_without_do_not_meet),
                RUN(who_speaks_plainly_is_no_stranger_but_refused),
                RUN(tls_is_no_strangers_protocol),
                RUN(without_memory_for_a_connection_the_next_one_is_tried))
