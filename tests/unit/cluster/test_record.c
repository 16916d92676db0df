/* Tests of cluster/record.h.  What is decoded comes from a disk or another node: it is what was
 * encoded, or it is refused, or at least every field is within its limits. */
#include "base/mem.h"

#include "unit/cluster/samples.h"

enum { ROUNDS = 400 };

static enum status
decode(const struct record_key *key, struct slice value, struct record *out)
{
    return record_decode(key, value, out, NULL);
}

static void
expect_round_trip(const struct record *r)
{
    struct record_key key = record_key_of(r);
    struct record back;
    struct buf value;

    encode(r, &value);
    EXPECT_OK(decode(&key, buf_slice(&value), &back));
    EXPECT(records_equal(r, &back));
    buf_release(&value);
}

/* ------------------------------------------------------------------ round trips */

TEST(a_record_is_read_as_it_was_written)
{
    struct prng p;

    prng_init(&p, test_seed(1));
    for (int round = 0; round < ROUNDS; round++) {
        for (int i = 0; i < KINDS; i++) {
            struct record r = random_record(&p, kinds[i], 1 + prng_below(&p, 1000));

            EXPECT(record_is_in_range(&r));
            expect_round_trip(&r);
        }
    }
}

TEST(the_largest_record_of_each_kind_is_a_value)
{
    for (int i = 0; i < KINDS; i++) {
        struct record r = sample_largest(kinds[i]);

        expect_round_trip(&r);
    }
}

TEST(keys_order_by_kind_and_id)
{
    static const struct record_key keys[] = {
        { RECORD_CLUSTER, 0 },    { RECORD_KEYSPACE, 0 },   { RECORD_KEYSPACE, 255 },
        { RECORD_KEYSPACE, 256 }, { RECORD_NODE, 1 },       { RECORD_NODE, UINT64_MAX },
        { RECORD_TABLET, 1 },     { RECORD_TABLET, 65536 },
    };
    uint8_t bytes[2][RECORD_KEY_BYTES];

    for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
        struct record_key back;

        record_key_encode(&keys[i], bytes[i % 2]);
        EXPECT_OK(record_key_decode(slice_of(bytes[i % 2], RECORD_KEY_BYTES), &back));
        EXPECT(back.kind == keys[i].kind && back.id == keys[i].id);
        if (i > 0)
            EXPECT(memcmp(bytes[(i - 1) % 2], bytes[i % 2], RECORD_KEY_BYTES) < 0);
    }
}

TEST(a_key_of_another_length_is_none)
{
    uint8_t bytes[RECORD_KEY_BYTES + 1] = { 'n' };
    struct record_key key;

    for (size_t size = 0; size <= sizeof(bytes); size++) {
        if (size != RECORD_KEY_BYTES)
            EXPECT_ST(record_key_decode(slice_of(bytes, size), &key), ST_CORRUPT);
    }
}

/* ------------------------------------------------------------------ damage */

/* The bytes in a block of exactly their size, so that a sanitizer sees a read of one too many. */
static enum status
decode_exactly(const struct record_key *key, struct slice bytes, struct record *out)
{
    uint8_t *copy = mem_alloc(bytes.size);
    enum status st;

    EXPECT(copy != NULL);
    if (bytes.size > 0)
        memcpy(copy, bytes.data, bytes.size);
    st = decode(key, slice_of(copy, bytes.size), out);
    if (st == ST_OK)
        EXPECT(record_is_in_range(out));
    mem_free(copy);
    return st;
}

TEST(a_record_cut_short_or_long_is_refused)
{
    for (int i = 0; i < KINDS; i++) {
        struct record r = sample_largest(kinds[i]), back;
        struct record_key key = record_key_of(&r);
        struct buf value;

        encode(&r, &value);
        for (size_t size = 0; size < value.size; size++)
            EXPECT_ST(decode_exactly(&key, slice_of(value.data, size), &back), ST_CORRUPT);
        EXPECT_OK(append_u8(&value, 0));
        EXPECT_ST(decode_exactly(&key, buf_slice(&value), &back), ST_CORRUPT);
        buf_release(&value);
    }
}

/* There are few values of a byte: try them all.  How many were refused? */
static unsigned
change_byte(const struct record_key *key, struct buf *value, size_t at)
{
    unsigned refused = 0;
    struct record back;

    for (unsigned change = 1; change < 256; change++) {
        value->data[at] ^= (uint8_t)change;
        refused += decode_exactly(key, buf_slice(value), &back) != ST_OK;
        value->data[at] ^= (uint8_t)change;
    }
    return refused;
}

TEST(a_record_with_a_changed_byte_is_refused_or_in_range)
{
    struct record samples[] = { sample_cluster(7), sample_keyspace(5), sample_node(1),
                                sample_tablet(9) };
    unsigned refused = 0;

    for (int i = 0; i < KINDS; i++) {
        struct record_key key = record_key_of(&samples[i]);
        struct buf value;

        encode(&samples[i], &value);
        for (size_t at = 0; at < value.size; at++)
            refused += change_byte(&key, &value, at);
        buf_release(&value);
    }
    EXPECT(refused > 1000);
}

TEST(a_record_of_a_newer_format_is_invalid_and_of_none_corrupt)
{
    for (int i = 0; i < KINDS; i++) {
        struct record r = sample_largest(kinds[i]), back;
        struct record_key key = record_key_of(&r);
        struct err err = { 0 };
        struct buf value;

        encode(&r, &value);
        EXPECT_U64(value.data[0], 1);
        value.data[0] = 3;
        EXPECT_ST(record_decode(&key, buf_slice(&value), &back, &err), ST_INVALID);
        EXPECT(strstr(err.text, "format 3") != NULL);
        value.data[0] = 0;
        EXPECT_ST(decode(&key, buf_slice(&value), &back), ST_CORRUPT);
        buf_release(&value);
    }
}

/* Fields of a split are written only where there are any. */
TEST(a_tablet_that_is_split_is_of_format_2_and_no_other_record)
{
    static const uint8_t at[] = { 0x18, 0x00 };
    struct record r = sample_tablet(9), back;
    struct record_key key = record_key_of(&r);
    struct buf value;

    for (int round = 0; round < 3; round++) {
        r.as.tablet.edition = (uint64_t)round;
        r.as.tablet.parent = round == 2 ? 8 : 0;
        r.as.tablet.heir = round == 1 ? 10 : 0;
        r.as.tablet.at = round == 1 ? slice_of(at, 2) : slice_of(NULL, 0);
        encode(&r, &value);
        EXPECT_U64(value.data[0], round == 0 ? 1 : 2);
        EXPECT_OK(decode(&key, buf_slice(&value), &back));
        EXPECT_U64(back.as.tablet.edition, r.as.tablet.edition);
        EXPECT_U64(back.as.tablet.parent, r.as.tablet.parent);
        EXPECT_U64(back.as.tablet.heir, r.as.tablet.heir);
        EXPECT(slice_equal(back.as.tablet.at, r.as.tablet.at));
        buf_release(&value);
    }
    r = sample_node(1);
    key = record_key_of(&r);
    encode(&r, &value);
    value.data[0] = 2;
    EXPECT_ST(decode(&key, buf_slice(&value), &back), ST_CORRUPT);
    buf_release(&value);
}

TEST(a_tablet_is_split_within_its_bounds)
{
    static const uint8_t bounds[] = { 0x10, 0x00, 0x18, 0x00, 0x20, 0x00 };
    static const uint64_t heirs[] = { 10, 10, 10, 9, 10 };
    struct record r = sample_tablet(9), back;
    struct record_key key = record_key_of(&r);
    struct buf value;

    for (uint32_t i = 0; i < 5; i++) {
        r.as.tablet.heir = heirs[i];
        r.as.tablet.at = i < 3 ? slice_of(bounds + 2 * i, 2) : slice_of(bounds + 2, i == 4 ? 0 : 2);
        encode(&r, &value);
        EXPECT_ST(decode(&key, buf_slice(&value), &back), i == 1 ? ST_OK : ST_CORRUPT);
        buf_release(&value);
    }
}

TEST(a_key_that_no_record_can_have_is_refused)
{
    static const struct record_key wrong[] = {
        { RECORD_CLUSTER, 1 },      { RECORD_KEYSPACE, UINT32_MAX },
        { RECORD_NODE, 0 },         { RECORD_KEYSPACE, UINT64_C(1) << 32 },
        { RECORD_TABLET, 0 },       { (enum record_kind)'x', 1 },
        { (enum record_kind)0, 0 },
    };
    struct record samples[] = { sample_cluster(7), sample_keyspace(5), sample_node(1),
                                sample_tablet(9) };

    for (int i = 0; i < KINDS; i++) {
        struct record back;
        struct buf value;

        encode(&samples[i], &value);
        for (size_t k = 0; k < sizeof(wrong) / sizeof(wrong[0]); k++)
            EXPECT_ST(decode(&wrong[k], buf_slice(&value), &back), ST_CORRUPT);
        buf_release(&value);
    }
}

/* ------------------------------------------------------------------ limits */

typedef void spoil_fn(struct record *r);

static void
longer_from(struct record *r)
{
    static const uint8_t bound[CLUSTER_BOUND_BYTES + 1];

    r->as.tablet.from = slice_of(bound, sizeof(bound));
}

static void
longer_limit(struct record *r)
{
    static const uint8_t bound[CLUSTER_BOUND_BYTES + 1] = { 0xff };

    r->as.tablet.limit = slice_of(bound, sizeof(bound));
}

static void
bounds_swapped(struct record *r)
{
    struct slice from = r->as.tablet.from;

    r->as.tablet.from = r->as.tablet.limit;
    r->as.tablet.limit = from;
}

static void
bounds_equal(struct record *r)
{
    r->as.tablet.limit = r->as.tablet.from;
}

static void
no_founder(struct record *r)
{
    r->as.tablet.founder_count = 0;
}

static void
nobody_founded(struct record *r)
{
    r->as.tablet.founders[0] = 0;
}

static void
one_founded_twice(struct record *r)
{
    r->as.tablet.founder_count = 2;
    r->as.tablet.founders[1] = r->as.tablet.founders[0];
}

static void
nobody_is_member(struct record *r)
{
    r->as.tablet.members[1].node = 0;
}

static void
member_twice(struct record *r)
{
    r->as.tablet.members[2].node = 1;
}

static void
nobody_votes(struct record *r)
{
    r->as.tablet.members[0].role = MEMBER_LEARNER;
}

static void
role_beyond(struct record *r)
{
    r->as.tablet.members[1].role = (enum member_role)(MEMBER_LEAVING + 1);
}

/* raft takes no more, and whom tablet_record_config() left out would be out of the group. */
static void
too_many_vote(struct record *r)
{
    r->as.tablet.member_count = RAFT_VOTERS_MAX + 1;
    for (uint32_t i = 0; i < r->as.tablet.member_count; i++)
        r->as.tablet.members[i] = (struct tablet_member){ i + 1, MEMBER_VOTER };
}

TEST(a_tablet_that_cannot_be_is_refused)
{
    static spoil_fn *const spoils[] = {
        longer_from,  longer_limit,   bounds_swapped,    bounds_equal,
        no_founder,   nobody_founded, one_founded_twice, nobody_is_member,
        member_twice, nobody_votes,   role_beyond,       too_many_vote,
    };

    for (size_t i = 0; i < sizeof(spoils) / sizeof(spoils[0]); i++) {
        struct record r = sample_tablet(9), back;
        struct record_key key = record_key_of(&r);
        struct buf value;

        spoils[i](&r);
        encode(&r, &value);
        if (decode(&key, buf_slice(&value), &back) != ST_CORRUPT)
            fail_msg("spoil %zu was taken", i);
        buf_release(&value);
    }
}

TEST(a_tablet_that_is_gone_needs_nobody)
{
    struct record r = sample_tablet(9);

    r.as.tablet.state = TABLET_GONE;
    r.as.tablet.member_count = 0;
    expect_round_trip(&r);
}

TEST(a_text_that_is_too_long_or_has_a_zero_is_refused)
{
    struct record_key key = { RECORD_CLUSTER, 0 };
    uint8_t text[LIMIT_NAME_BYTES + 1];
    struct record back;

    memset(text, 'x', sizeof(text));
    for (size_t size = LIMIT_NAME_BYTES - 1; size <= sizeof(text); size++) {
        struct buf value = buf_empty(1000);

        EXPECT_OK(append_u8(&value, 1));
        EXPECT_OK(append_string(&value, slice_of(text, size)));
        EXPECT_OK(append_varint(&value, 1));
        EXPECT_OK(append_varint(&value, 1));
        EXPECT_ST(decode(&key, buf_slice(&value), &back),
                  size <= LIMIT_NAME_BYTES ? ST_OK : ST_CORRUPT);
        value.data[5] = 0;
        EXPECT_ST(decode(&key, buf_slice(&value), &back), ST_CORRUPT);
        buf_release(&value);
    }
}

/* ------------------------------------------------------------------ failures */

TEST(what_cannot_be_encoded_leaves_nothing_behind)
{
    for (int i = 0; i < KINDS; i++) {
        struct record r = sample_largest(kinds[i]);
        struct buf whole;

        encode(&r, &whole);
        for (size_t max = 3; max < whole.size + 3; max++) {
            struct buf small = buf_empty(max);

            EXPECT_OK(buf_append(&small, slice_str("abc")));
            EXPECT_ST(record_encode(&r, &small), ST_TOO_BIG);
            EXPECT_SLICE(buf_slice(&small), "abc");
            buf_release(&small);
        }
        buf_release(&whole);
    }
}

TEST(encoding_survives_the_failure_of_every_allocation)
{
    struct record r = sample_largest(RECORD_TABLET);
    enum status st = ST_NO_MEMORY;

    for (uint64_t nth = 1; st != ST_OK; nth++) {
        struct mem_heap heap = { .fail_at = nth };
        struct mem_heap *before = mem_heap_enter(&heap);
        struct buf value = buf_empty(RECORD_VALUE_BYTES_MAX);

        st = record_encode(&r, &value);
        EXPECT(st == ST_OK || (st == ST_NO_MEMORY && value.size == 0));
        buf_release(&value);
        EXPECT_U64(heap.block_count, 0);
        mem_heap_enter(before);
        EXPECT(st != ST_OK || nth > 1);
    }
}

/* ------------------------------------------------------------------ looking */

TEST(the_membership_that_a_record_asks_for_is_in_order)
{
    struct record r = sample_tablet(9);
    struct raft_config c;

    r.as.tablet.member_count = 5;
    r.as.tablet.members[0] = (struct tablet_member){ 9, MEMBER_VOTER };
    r.as.tablet.members[1] = (struct tablet_member){ 4, MEMBER_LEARNER };
    r.as.tablet.members[2] = (struct tablet_member){ 3, MEMBER_VOTER };
    r.as.tablet.members[3] = (struct tablet_member){ 1, MEMBER_JOINING };
    r.as.tablet.members[4] = (struct tablet_member){ 2, MEMBER_LEAVING };
    tablet_record_config(&r.as.tablet, &c);
    EXPECT_U64(c.outgoing_count, 0);
    EXPECT_U64(c.voter_count, 2);
    EXPECT(c.voters[0] == 3 && c.voters[1] == 9);
    EXPECT_U64(c.learner_count, 2);
    EXPECT(c.learners[0] == 1 && c.learners[1] == 4);
    EXPECT(tablet_record_member(&r.as.tablet, 2) == &r.as.tablet.members[4]);
    EXPECT(tablet_record_member(&r.as.tablet, 5) == NULL);
}

TEST(states_and_roles_have_names)
{
    EXPECT_STR(node_state_name(NODE_MEMBER), "member");
    EXPECT_STR(node_state_name(NODE_DRAINING), "draining");
    EXPECT_STR(node_state_name(NODE_FAILED), "failed");
    EXPECT_STR(node_state_name(NODE_REMOVED), "removed");
    EXPECT_STR(member_role_name(MEMBER_VOTER), "voter");
    EXPECT_STR(member_role_name(MEMBER_LEARNER), "learner");
    EXPECT_STR(member_role_name(MEMBER_JOINING), "joining");
    EXPECT_STR(member_role_name(MEMBER_LEAVING), "leaving");
}

TEST_MAIN(RUN(a_record_is_read_as_it_was_written), RUN(the_largest_record_of_each_kind_is_a_value),
          RUN(keys_order_by_kind_and_id), RUN(a_key_of_another_length_is_none),
          RUN(a_record_cut_short_or_long_is_refused),
          RUN(a_record_with_a_changed_byte_is_refused_or_in_range),
          RUN(a_record_of_a_newer_format_is_invalid_and_of_none_corrupt),
          RUN(a_tablet_that_is_split_is_of_format_2_and_no_other_record),
          RUN(a_tablet_is_split_within_its_bounds), RUN(a_key_that_no_record_can_have_is_refused),
          RUN(a_tablet_that_cannot_be_is_refused), RUN(a_tablet_that_is_gone_needs_nobody),
          RUN(a_text_that_is_too_long_or_has_a_zero_is_refused),
          RUN(what_cannot_be_encoded_leaves_nothing_behind),
          RUN(encoding_survives_the_failure_of_every_allocation),
          RUN(the_membership_that_a_record_asks_for_is_in_order), RUN(states_and_roles_have_names))
