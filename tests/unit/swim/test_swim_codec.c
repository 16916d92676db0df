/* codec.h: what is sent arrives, and what is not a message is refused. */
#include "base/prng.h"

#include "swim/codec.h"
#include "unit/example.h"
#include "unit/test.h"

static struct swim_update
draw_update(struct prng *p, bool accused)
{
    struct swim_update u = { .id = prng_next(p) | 1,
                             .incarnation = prng_next(p) >> (2 + prng_below(p, 60)),
                             .accused = accused };

    if (accused) {
        u.age_ms = (uint32_t)(prng_next(p) >> (32 + prng_below(p, 32)));
        u.accuser_count = 1 + (uint32_t)prng_below(p, SWIM_ACCUSERS_MAX);
        for (uint32_t i = 0; i < u.accuser_count; i++)
            u.accusers[i] = prng_next(p) | 1;
        return u;
    }
    u.payload.sequence = prng_next(p) >> (2 + prng_below(p, 60));
    u.payload.size = (uint32_t)prng_below(p, SWIM_PAYLOAD_BYTES + 1);
    for (uint32_t i = 0; i < u.payload.size; i++)
        u.payload.bytes[i] = (uint8_t)prng_next(p);
    return u;
}

static struct swim_message
draw_message(struct prng *p)
{
    struct swim_message m;

    memset(&m, 0, sizeof(m));
    m.kind = (enum swim_message_kind)prng_below(p, SWIM_MESSAGE_KIND_COUNT);
    m.probe = prng_next(p) >> prng_below(p, 64);
    m.subject = m.kind == SWIM_PING ? 0 : prng_next(p) | 1;
    m.origin = m.kind == SWIM_PING_REQ ? 0 : prng_next(p) | 1;
    m.update_count = (uint32_t)prng_below(p, SWIM_UPDATES_MAX + 1);
    for (uint32_t i = 0; i < m.update_count; i++)
        m.updates[i] = draw_update(p, prng_chance(p, 1, 2));
    return m;
}

static void
expect_same_update(const struct swim_update *a, const struct swim_update *b)
{
    EXPECT_U64(a->id, b->id);
    EXPECT_U64(a->incarnation, b->incarnation);
    EXPECT_U64(a->accused, b->accused);
    EXPECT_U64(a->age_ms, b->age_ms);
    EXPECT_U64(a->accuser_count, b->accuser_count);
    assert_memory_equal(a->accusers, b->accusers, sizeof(a->accusers));
    EXPECT_U64(a->payload.sequence, b->payload.sequence);
    EXPECT_U64(a->payload.size, b->payload.size);
    assert_memory_equal(a->payload.bytes, b->payload.bytes, sizeof(a->payload.bytes));
}

TEST(every_message_arrives_as_it_was_sent)
{
    struct prng p;

    prng_init(&p, test_seed(1));
    for (int i = 0; i < 20000; i++) {
        uint8_t bytes[SWIM_MESSAGE_BYTES_MAX];
        struct swim_message m = draw_message(&p), back;
        size_t size = swim_message_encode(&m, bytes);

        EXPECT_OK(swim_message_decode(slice_of(bytes, size), &back));
        EXPECT_U64(back.kind, m.kind);
        EXPECT_U64(back.probe, m.probe);
        EXPECT_U64(back.subject, m.subject);
        EXPECT_U64(back.origin, m.origin);
        EXPECT_U64(back.update_count, m.update_count);
        for (uint32_t u = 0; u < m.update_count; u++)
            expect_same_update(&back.updates[u], &m.updates[u]);
    }
}

TEST(every_prefix_and_every_longer_message_is_refused)
{
    struct prng p;

    prng_init(&p, test_seed(2));
    for (int i = 0; i < 200; i++) {
        uint8_t bytes[SWIM_MESSAGE_BYTES_MAX + 1] = { 0 };
        struct swim_message m = draw_message(&p), back;
        size_t size = swim_message_encode(&m, bytes);

        for (size_t cut = 0; cut < size; cut++)
            EXPECT_ST(swim_message_decode(slice_of(bytes, cut), &back), ST_CORRUPT);
        EXPECT_ST(swim_message_decode(slice_of(bytes, size + 1), &back), ST_CORRUPT);
    }
}

/* The bytes of a ping with one update, which the tests below spoil one at a time. */
enum { AT_FORMAT = 0, AT_KIND = 1, AT_ORIGIN = 3, AT_COUNT = 11, AT_ID = 12, AT_SAYS = 21 };

static size_t
encode_ping(uint8_t bytes[SWIM_MESSAGE_BYTES_MAX], const struct swim_update *u)
{
    struct swim_message m = { .kind = SWIM_PING, .origin = 7, .probe = 5, .update_count = 1 };

    m.updates[0] = *u;
    return swim_message_encode(&m, bytes);
}

static enum status
decode_spoiled(const struct swim_update *u, size_t at, uint8_t byte)
{
    uint8_t bytes[SWIM_MESSAGE_BYTES_MAX];
    size_t size = encode_ping(bytes, u);
    struct swim_message back;

    EXPECT(bytes[at] != byte);
    bytes[at] = byte;
    return swim_message_decode(slice_of(bytes, size), &back);
}

TEST(what_is_beyond_its_bounds_is_refused)
{
    static const struct swim_update alive = { .id = 3, .incarnation = 1 };
    static const struct swim_update accused = {
        .id = 3, .incarnation = 1, .accused = true, .accuser_count = 1, .accusers = { 9 }
    };

    EXPECT_ST(decode_spoiled(&alive, AT_FORMAT, 0), ST_CORRUPT);
    EXPECT_ST(decode_spoiled(&alive, AT_FORMAT, 2), ST_INVALID);
    EXPECT_ST(decode_spoiled(&alive, AT_KIND, SWIM_MESSAGE_KIND_COUNT), ST_CORRUPT);
    EXPECT_ST(decode_spoiled(&alive, AT_ORIGIN, 0), ST_CORRUPT);
    EXPECT_ST(decode_spoiled(&alive, AT_COUNT, 0), ST_CORRUPT);
    EXPECT_ST(decode_spoiled(&alive, AT_COUNT, SWIM_UPDATES_MAX + 1), ST_CORRUPT);
    EXPECT_ST(decode_spoiled(&alive, AT_ID, 0), ST_CORRUPT);
    EXPECT_ST(decode_spoiled(&alive, AT_SAYS, 2), ST_CORRUPT);
    EXPECT_ST(decode_spoiled(&accused, AT_SAYS + 2, 0), ST_CORRUPT);
    EXPECT_ST(decode_spoiled(&accused, AT_SAYS + 2, SWIM_ACCUSERS_MAX + 1), ST_CORRUPT);
    EXPECT_ST(decode_spoiled(&accused, AT_SAYS + 3, 0), ST_CORRUPT);
}

TEST(numbers_that_could_overflow_are_refused)
{
    struct swim_update u = { .id = 3, .incarnation = SWIM_INCARNATION_MAX };
    uint8_t bytes[SWIM_MESSAGE_BYTES_MAX + 64];
    struct swim_message back;

    EXPECT_OK(swim_message_decode(slice_of(bytes, encode_ping(bytes, &u)), &back));
    u.incarnation++;
    EXPECT_ST(swim_message_decode(slice_of(bytes, encode_ping(bytes, &u)), &back), ST_CORRUPT);
    u = (struct swim_update){ .id = 3, .payload = { .sequence = SWIM_INCARNATION_MAX } };
    EXPECT_OK(swim_message_decode(slice_of(bytes, encode_ping(bytes, &u)), &back));
    u.payload.sequence++;
    EXPECT_ST(swim_message_decode(slice_of(bytes, encode_ping(bytes, &u)), &back), ST_CORRUPT);
    u = (struct swim_update){ .id = 3, .payload = { .size = SWIM_PAYLOAD_BYTES } };
    EXPECT_OK(swim_message_decode(slice_of(bytes, encode_ping(bytes, &u)), &back));
    bytes[AT_SAYS + 2]++; /* one byte more, and it is there */
    EXPECT_ST(swim_message_decode(slice_of(bytes, AT_SAYS + 3 + SWIM_PAYLOAD_BYTES + 1), &back),
              ST_CORRUPT);
}

TEST(the_longest_message_has_exactly_the_bytes_that_are_promised)
{
    struct swim_message m = { .kind = SWIM_ACK,
                              .probe = UINT64_MAX,
                              .subject = 1,
                              .origin = 1,
                              .update_count = SWIM_UPDATES_MAX };
    uint8_t bytes[SWIM_MESSAGE_BYTES_MAX];

    for (uint32_t i = 0; i < SWIM_UPDATES_MAX; i++) {
        m.updates[i] =
            (struct swim_update){ .id = 1,
                                  .incarnation = SWIM_INCARNATION_MAX,
                                  .payload = { SWIM_INCARNATION_MAX, SWIM_PAYLOAD_BYTES, { 0 } } };
    }
    EXPECT_U64(swim_message_encode(&m, bytes), SWIM_MESSAGE_BYTES_MAX);
}

/* ------------------------------------------------------------------ the document */

#define INCARNATION UINT64_C(1767225600000)

static void
say(const char *title, const struct swim_message *m)
{
    uint8_t bytes[SWIM_MESSAGE_BYTES_MAX];
    size_t size = swim_message_encode(m, bytes);

    example_bytes(title, slice_of(bytes, size), 0, size);
}

TEST(the_example_in_the_document_is_what_the_code_writes)
{
    const struct swim_update first = { .id = 1, .incarnation = INCARNATION };
    struct swim_message m = { .kind = SWIM_PING,
                              .probe = 300,
                              .origin = 1,
                              .update_count = 2,
                              .updates = { first,
                                           { .id = 3,
                                             .incarnation = INCARNATION,
                                             .accused = true,
                                             .age_ms = 1200,
                                             .accuser_count = 2,
                                             .accusers = { 1, 4 } } } };

    say("a ping", &m);
    m = (struct swim_message){
        .kind = SWIM_PING_REQ, .probe = 300, .subject = 3, .update_count = 1, .updates = { first }
    };
    say("a ping request", &m);
    m = (struct swim_message){
        .kind = SWIM_ACK,
        .probe = 300,
        .subject = 3,
        .origin = 1,
        .update_count = 1,
        .updates = { { .id = 3, .incarnation = INCARNATION + 1, .payload = { 1, 4, "load" } } }
    };
    say("an ack", &m);
    EXPECT_EXAMPLE(DOCUMENT);
}

TEST_MAIN(RUN(every_message_arrives_as_it_was_sent),
          RUN(every_prefix_and_every_longer_message_is_refused),
          RUN(what_is_beyond_its_bounds_is_refused), RUN(numbers_that_could_overflow_are_refused),
          RUN(the_longest_message_has_exactly_the_bytes_that_are_promised),
          RUN(the_example_in_the_document_is_what_the_code_writes))
