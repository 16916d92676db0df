/* Messages as bytes: what is written is what is read, and nothing else is taken. */
#include "base/prng.h"

#include "raft/codec.h"
#include "unit/test.h"

enum { ENTRIES = 5, BYTES = 512 };

/* A number of any size. */
static uint64_t
draw(struct prng *p)
{
    return prng_next(p) >> prng_below(p, 64);
}

static struct raft_message
random_message(struct prng *p, struct raft_entry entries[ENTRIES])
{
    static const uint8_t data[] = "the bytes of an entry";
    struct raft_message m = { .kind =
                                  (enum raft_message_kind)prng_below(p, RAFT_MESSAGE_KIND_COUNT),
                              .term = draw(p),
                              .reject = prng_chance(p, 1, 2),
                              .force = prng_chance(p, 1, 2),
                              .quiesce = prng_chance(p, 1, 2) };
    raft_term term;

    if (m.kind == RAFT_PREVOTE || m.kind == RAFT_VOTE || m.kind == RAFT_APPEND) {
        m.index = draw(p);
        m.log_term = draw(p) >> 8;
    }
    if (m.kind == RAFT_APPEND_REPLY) {
        m.index = draw(p);
        m.hint = draw(p);
        m.hint_term = draw(p);
    }
    if (m.kind == RAFT_APPEND || m.kind == RAFT_HEARTBEAT)
        m.commit = draw(p);
    if (m.kind == RAFT_APPEND || m.kind == RAFT_APPEND_REPLY)
        m.flow = (struct raft_flow){ draw(p), draw(p) };
    if (m.kind == RAFT_HEARTBEAT || m.kind == RAFT_HEARTBEAT_REPLY) {
        m.round = draw(p);
        m.sent_ns = draw(p);
    }
    term = m.log_term;
    m.entry_count = m.kind == RAFT_APPEND ? (uint32_t)prng_below(p, ENTRIES + 1) : 0;
    m.entries = entries;
    for (uint32_t i = 0; i < m.entry_count; i++) {
        term += draw(p) >> 8;
        entries[i] = (struct raft_entry){ .term = term,
                                          .data = slice_of(data, prng_below(p, sizeof(data))) };
    }
    return m;
}

static void
expect_same(const struct raft_message *a, const struct raft_message *b)
{
    EXPECT_U64(a->kind, b->kind);
    EXPECT_U64(a->term, b->term);
    EXPECT_U64(a->index, b->index);
    EXPECT_U64(a->log_term, b->log_term);
    EXPECT_U64(a->commit, b->commit);
    EXPECT_U64(a->hint, b->hint);
    EXPECT_U64(a->hint_term, b->hint_term);
    EXPECT_U64(a->round, b->round);
    EXPECT_U64(a->sent_ns, b->sent_ns);
    EXPECT_U64(a->flow.messages, b->flow.messages);
    EXPECT_U64(a->flow.bytes, b->flow.bytes);
    EXPECT(a->reject == b->reject && a->force == b->force);
    EXPECT(a->quiesce == b->quiesce);
    EXPECT_U64(a->entry_count, b->entry_count);
    for (uint32_t i = 0; i < a->entry_count; i++) {
        EXPECT_U64(a->entries[i].term, b->entries[i].term);
        EXPECT(slice_equal(a->entries[i].data, b->entries[i].data));
    }
}

TEST(a_message_survives_the_wire_and_no_part_of_it_is_one)
{
    struct prng p;

    prng_init(&p, test_seed(5));
    for (int round = 0; round < 20000; round++) {
        struct raft_entry sent[ENTRIES], received[ENTRIES];
        struct raft_message m = random_message(&p, sent);
        struct raft_message got;
        uint8_t bytes[BYTES];
        size_t size = raft_message_bytes(&m);

        EXPECT(size <= sizeof(bytes));
        raft_message_encode(&m, bytes);
        EXPECT_OK(raft_message_decode(slice_of(bytes, size), &got, received, ENTRIES));
        expect_same(&m, &got);
        EXPECT_U64(raft_message_entry_count(slice_of(bytes, size)), m.entry_count);
        if (m.entry_count > 0)
            EXPECT_ST(raft_message_decode(slice_of(bytes, size), &got, received, m.entry_count - 1),
                      ST_TOO_BIG);
        size = prng_below(&p, size);
        EXPECT_ST(raft_message_decode(slice_of(bytes, size), &got, received, ENTRIES), ST_CORRUPT);
    }
}

TEST(what_is_no_message_is_refused)
{
    struct raft_message got;
    struct raft_entry room[ENTRIES];
    const uint8_t newer[] = { 2, 0, 0, 1, 1, 1 };
    const uint8_t kind[] = { 1, RAFT_MESSAGE_KIND_COUNT, 0, 1 };
    const uint8_t flags[] = { 1, RAFT_TIMEOUT_NOW, 16, 1 };
    const uint8_t more[] = { 1, RAFT_TIMEOUT_NOW, 0, 1, 0 };
    const uint8_t entries[] = { 1, RAFT_APPEND, 0, 1, 0, 0, 0, 0, 0, 100 };

    EXPECT_ST(raft_message_decode(slice_of(newer, sizeof(newer)), &got, room, 1), ST_INVALID);
    EXPECT_ST(raft_message_decode(slice_of(kind, sizeof(kind)), &got, room, 1), ST_CORRUPT);
    EXPECT_ST(raft_message_decode(slice_of(flags, sizeof(flags)), &got, room, 1), ST_CORRUPT);
    EXPECT_ST(raft_message_decode(slice_of(more, sizeof(more)), &got, room, 1), ST_CORRUPT);
    EXPECT_ST(raft_message_decode(slice_of(entries, sizeof(entries)), &got, room, 1), ST_CORRUPT);
    EXPECT_ST(raft_message_decode((struct slice){ 0 }, &got, room, 1), ST_CORRUPT);
    EXPECT_U64(raft_message_entry_count(slice_of(entries, sizeof(entries))), 0);
}

TEST_MAIN(RUN(a_message_survives_the_wire_and_no_part_of_it_is_one),
          RUN(what_is_no_message_is_refused))
