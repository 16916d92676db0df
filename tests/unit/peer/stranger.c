#include "unit/peer/stranger.h"

#include "base/hash.h"

struct cluster *
alone(uint64_t seed)
{
    struct cluster *c = cluster_create(seed, 2, 1);

    member_start(c, 1);
    return c;
}

struct stranger
stranger_to(struct cluster *c)
{
    struct stranger s = { .c = c };

    s.client = sim_connect(c->w, 1, PEER_PORT);
    EXPECT(s.client != NULL);
    s.hello = (struct hello){ .format_min = 1, .format_max = 1, .to = 1, .nonce = 99 };
    memcpy(s.hello.self.cluster, c->id, PEER_CLUSTER_BYTES);
    s.hello.self.node = 2;
    s.hello.self.incarnation = 5;
    return s;
}

void
say(struct stranger *s, const void *bytes, size_t size)
{
    sim_client_send(s->client, slice_of(bytes, size));
    sim_run_ms(s->c->w, 50);
}

bool
is_cut_off(const struct stranger *s)
{
    return sim_client_closed(s->client);
}

void
part(struct stranger *s)
{
    sim_client_close(s->client);
    sim_run_ms(s->c->w, 50);
    EXPECT_U64(peer_of(s->c, 1)->incoming_count, 0);
}

void
greet(struct stranger *s)
{
    uint8_t both[2 * HELLO_BYTES];

    hello__put(both, &s->hello);
    say(s, both, HELLO_BYTES);
    if (sim_client_received(s->client).size < HELLO_BYTES)
        return;
    memcpy(both + HELLO_BYTES, sim_client_received(s->client).data, HELLO_BYTES);
    s->seed = hash64(slice_of(both, sizeof(both)));
}

size_t
make_frame(struct stranger *s, uint8_t out[100], const struct frame *f)
{
    memset(out, 0, 100);
    for (size_t i = NUMBER_BYTES; i < f->size && FRAME_HEADER_BYTES + i < 100; i++)
        out[FRAME_HEADER_BYTES + i] = (uint8_t)(i * 7 + i / 256);
    frame__seal(out, f, s->seed, s->number++);
    return FRAME_HEADER_BYTES + f->size;
}

void
say_frame(struct stranger *s, const struct frame *f)
{
    uint8_t bytes[100];
    size_t size = make_frame(s, bytes, f);

    say(s, bytes, size);
}

const struct frame whole = { .size = 20, .type = BULK };
