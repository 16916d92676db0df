/* docs/formats/peer.md and the code say the same: the example in the document is made anew.  And what
 * is encoded is decoded to the same. */
#include "base/hash.h"
#include "base/mem.h"

#include "unit/example.h"
#include "unit/peer/fixture.h"

static struct hello
hello_of(peer_node node, peer_node to, uint64_t nonce)
{
    struct hello h = { .format_min = 1, .format_max = 1, .to = to, .nonce = nonce };

    for (size_t i = 0; i < PEER_CLUSTER_BYTES; i++)
        h.self.cluster[i] = (uint8_t)(0xa0 + i);
    h.self.node = node;
    h.self.incarnation = node * UINT64_C(0x1111111111111111);
    return h;
}

static uint64_t
say_hellos(void)
{
    struct hello caller = hello_of(1, 2, UINT64_C(0x0102030405060708));
    struct hello answer = hello_of(2, 1, UINT64_C(0x1112131415161718));
    uint8_t both[2 * HELLO_BYTES];

    hello__put(both, &caller);
    hello__put(both + HELLO_BYTES, &answer);
    example_bytes("the hello of node 1", slice_of(both, HELLO_BYTES), 0, HELLO_BYTES);
    example_bytes("the hello of node 2", slice_of(both + HELLO_BYTES, HELLO_BYTES), 0, HELLO_BYTES);
    return hash64(slice_of(both, sizeof(both)));
}

static void
queue(struct outbox *o, uint8_t type, uint64_t id, bool urgent, struct slice payload)
{
    struct peer_message m = { type, id, urgent, &payload, 1, false };

    EXPECT_OK(outbox__add(o, &m, payload.size, 0));
}

/* The frames that are written next, one by one, and how many there are. */
static size_t
say_batch(struct outbox *o, const char *const *whats)
{
    struct slice parts[BATCH_FRAMES];
    size_t count = outbox__gather(o, parts);

    for (size_t i = 0; i < count; i++) {
        size_t size = parts[i].size < 48 ? parts[i].size : 48;

        example_bytes(whats[i], parts[i], 0, size);
    }
    for (size_t i = 0; i < count; i++)
        outbox__written(o, parts[i].size);
    return count;
}

static void
make_example(void)
{
    static uint8_t xs[PEER_FRAME_BYTES_MAX + 10];
    struct peer_options options;
    struct budget budget;
    struct outbox o;

    peer_options_default(&options);
    budget_init(&budget, 64 << 20);
    options.budget = &budget;
    memset(xs, 'x', sizeof(xs));
    outbox__init(&o, &options, say_hellos());
    queue(&o, 1, 7, false, slice_str("put k v"));
    EXPECT_U64(say_batch(&o, (const char *const[]){ "a message" }), 1);
    queue(&o, 2, 7, true, slice_of(NULL, 0));
    EXPECT_U64(say_batch(&o, (const char *const[]){ "an urgent message" }), 1);
    queue(&o, 3, 9, false, slice_of(xs, sizeof(xs)));
    EXPECT_U64(say_batch(&o, (const char *const[]){ "a long message begins" }), 1);
    EXPECT_U64(say_batch(&o, (const char *const[]){ "a long message ends" }), 1);
    EXPECT_U64(say_batch(&o, NULL), 0);
    outbox__release(&o);
    EXPECT_U64(budget_used(&budget), 0);
}

TEST(the_example_in_the_document_is_what_the_code_writes)
{
    make_example();
    EXPECT_EXAMPLE(DOCUMENT);
}

TEST(a_hello_is_read_as_it_was_written)
{
    struct hello h = hello_of(77, 78, 79), back = { 0 };
    uint8_t bytes[HELLO_BYTES];
    size_t size = 0;

    h.lane = 63;
    h.format_max = 9;
    hello__put(bytes, &h);
    EXPECT_OK(hello__size(slice_of(bytes, HELLO_BYTES), &size, NULL));
    EXPECT_U64(size, HELLO_BYTES);
    EXPECT_OK(hello__get(slice_of(bytes, size), &back, NULL));
    EXPECT(memcmp(&h, &back, sizeof(h)) == 0);
}

/* A later format says more, before the checksum. */
TEST(a_longer_hello_is_understood)
{
    struct hello h = hello_of(1, 2, 3), back = { 0 };
    uint8_t bytes[HELLO_BYTES_MAX] = { 0 };
    size_t size = 0;
    uint64_t sum;

    hello__put(bytes, &h);
    bytes[8] = 100;
    sum = hash64(slice_of(bytes, 92));
    memcpy(bytes + 92, &sum, sizeof(sum));
    for (size_t got = 0; got < 10; got++) {
        EXPECT_OK(hello__size(slice_of(bytes, got), &size, NULL));
        EXPECT_U64(size, 0);
    }
    EXPECT_OK(hello__size(slice_of(bytes, 10), &size, NULL));
    EXPECT_U64(size, 100);
    EXPECT_OK(hello__get(slice_of(bytes, size), &back, NULL));
    EXPECT_U64(back.nonce, 3);
    bytes[80] ^= 1;
    EXPECT_ST(hello__get(slice_of(bytes, size), &back, NULL), ST_CORRUPT);
}

TEST(a_frame_is_read_as_it_was_written)
{
    static const struct frame frames[] = {
        { .size = 5, .rest = 0, .id = UINT64_MAX, .type = 255 },
        { .size = 5, .rest = PEER_MESSAGE_BYTES_MAX - 5, .id = 1, .type = 0 },
        { .size = 0, .urgent = true, .type = 7 },
    };

    for (size_t i = 0; i < sizeof(frames) / sizeof(frames[0]); i++) {
        uint8_t bytes[FRAME_HEADER_BYTES + 5] = { 0 };
        struct slice payload = slice_of(bytes + FRAME_HEADER_BYTES, frames[i].size);
        struct frame back;

        frame__seal(bytes, &frames[i], 11, 12);
        EXPECT_OK(frame__get(bytes, &back, NULL));
        EXPECT(back.size == frames[i].size && back.rest == frames[i].rest);
        EXPECT(back.id == frames[i].id && back.type == frames[i].type);
        EXPECT(back.urgent == frames[i].urgent);
        EXPECT(frame__checks_out(bytes, payload, 11, 12));
        EXPECT(!frame__checks_out(bytes, payload, 11, 13));
        EXPECT(!frame__checks_out(bytes, payload, 10, 12));
    }
}

TEST_MAIN(RUN(the_example_in_the_document_is_what_the_code_writes),
          RUN(a_hello_is_read_as_it_was_written), RUN(a_longer_hello_is_understood),
          RUN(a_frame_is_read_as_it_was_written))
