/* Tests of cluster/petition.h and cluster/report.h: what nodes tell one another comes as it was sent, or is
 * refused, or is at least within its limits. */
#include "base/mem.h"

#include "cluster/petition.h"
#include "cluster/report.h"
#include "unit/cluster/samples.h"

enum { BYTES_MAX = 1 << 20, ROUNDS = 300 };

static struct petition
sample_petition(void)
{
    struct petition p = { .wall_ms = UINT64_C(1767225600123), .node = sample_node(77).as.node };

    memset(p.cluster, 0xc1, CLUSTER_ID_BYTES);
    return p;
}

static struct verdict
sample_verdict(void)
{
    struct verdict v = { .kind = VERDICT_WELCOME,
                         .text = slice_str("come in"),
                         .feed = slice_str("a feed") };

    memset(v.cluster, 0xc2, CLUSTER_ID_BYTES);
    return v;
}

static struct tablet_report
sample_report(void)
{
    return (struct tablet_report){ .tablet = 9,
                                   .leader = 2,
                                   .term = 300,
                                   .commit = UINT64_MAX,
                                   .settled = true,
                                   .bytes = 1 << 20,
                                   .bytes_left = 4096,
                                   .member_count = 2,
                                   .members = { { 2, true, true }, { 3, false, true } } };
}

static struct slice
open_parcel(const struct buf *b, size_t body_max)
{
    struct slice body = { 0 };
    size_t size = 0;

    EXPECT_OK(parcel_open(buf_slice(b), body_max, &size, &body, NULL));
    EXPECT_U64(size, b->size);
    EXPECT_U64(body.size, b->size - PARCEL_HEAD_BYTES - PARCEL_TAIL_BYTES);
    return body;
}

static struct buf
make_petition(void)
{
    struct petition p = sample_petition();
    struct buf out = buf_empty(BYTES_MAX);

    EXPECT_OK(petition_encode(&p, &out));
    return out;
}

static struct buf
make_verdict(void)
{
    struct verdict v = sample_verdict();
    struct buf out = buf_empty(BYTES_MAX);

    EXPECT_OK(verdict_encode(&v, &out));
    return out;
}

/* ------------------------------------------------------------------ round trips */

TEST(a_petition_is_read_as_it_was_written)
{
    struct prng prng;

    prng_init(&prng, test_seed(1));
    for (int i = 0; i < ROUNDS; i++) {
        struct record sent = random_record(&prng, RECORD_NODE, 1 + prng_next(&prng) / 2);
        struct petition p = { .wall_ms = prng_next(&prng), .node = sent.as.node }, back;
        struct record got = { .kind = RECORD_NODE };
        struct buf out = buf_empty(BYTES_MAX);

        memset(p.cluster, i, CLUSTER_ID_BYTES);
        EXPECT_OK(petition_encode(&p, &out));
        EXPECT_OK(petition_decode(open_parcel(&out, PETITION_BYTES_MAX), &back, NULL));
        got.as.node = back.node;
        EXPECT(records_equal(&sent, &got));
        EXPECT(back.wall_ms == p.wall_ms);
        EXPECT(memcmp(back.cluster, p.cluster, CLUSTER_ID_BYTES) == 0);
        buf_release(&out);
    }
}

TEST(the_largest_petition_is_one)
{
    struct record r = sample_largest(RECORD_NODE);
    struct petition p = { .node = r.as.node }, back;
    struct buf out = buf_empty(BYTES_MAX);

    EXPECT_OK(petition_encode(&p, &out));
    EXPECT_OK(petition_decode(open_parcel(&out, PETITION_BYTES_MAX), &back, NULL));
    buf_release(&out);
}

TEST(a_verdict_is_read_as_it_was_written)
{
    for (int kind = VERDICT_TOLD; kind <= VERDICT_REFUSED; kind++) {
        struct verdict v = sample_verdict(), back;
        struct buf out = buf_empty(BYTES_MAX);

        v.kind = (enum verdict_kind)kind;
        if (kind == VERDICT_TOLD)
            v.text = v.feed = slice_of(NULL, 0);
        EXPECT_OK(verdict_encode(&v, &out));
        EXPECT_OK(verdict_decode(open_parcel(&out, VERDICT_BYTES_MAX), &back, NULL));
        EXPECT(back.kind == v.kind && memcmp(back.cluster, v.cluster, CLUSTER_ID_BYTES) == 0);
        EXPECT(slice_equal(back.text, v.text) && slice_equal(back.feed, v.feed));
        buf_release(&out);
    }
}

static struct tablet_report
random_report(struct prng *p)
{
    struct tablet_report r = { .tablet = prng_next(p),
                               .leader = 1 + prng_below(p, 100),
                               .term = prng_next(p) >> prng_below(p, 64),
                               .commit = prng_next(p) >> prng_below(p, 64),
                               .settled = prng_chance(p, 1, 2),
                               .bytes = prng_next(p),
                               .bytes_left = prng_next(p),
                               .member_count = (uint32_t)prng_below(p, RAFT_MEMBERS_MAX + 1) };

    for (uint32_t i = 0; i < r.member_count; i++)
        r.members[i] =
            (struct report_member){ prng_next(p), prng_chance(p, 1, 2), prng_chance(p, 1, 2) };
    return r;
}

static bool
reports_equal(const struct tablet_report *a, const struct tablet_report *b)
{
    for (uint32_t i = 0; i < a->member_count; i++) {
        if (a->members[i].node != b->members[i].node ||
            a->members[i].votes != b->members[i].votes ||
            a->members[i].caught_up != b->members[i].caught_up)
            return false;
    }
    return a->tablet == b->tablet && a->leader == b->leader && a->term == b->term &&
           a->commit == b->commit && a->settled == b->settled && a->bytes == b->bytes &&
           a->bytes_left == b->bytes_left && a->member_count == b->member_count;
}

/* One after the other, as they travel. */
TEST(reports_are_read_as_they_were_written)
{
    struct buf out = buf_empty(BYTES_MAX);
    struct tablet_report sent[20], back;
    struct reader from;
    struct prng p;

    prng_init(&p, test_seed(2));
    for (int i = 0; i < 20; i++) {
        size_t begin = out.size;

        sent[i] = random_report(&p);
        EXPECT_OK(report_encode(&sent[i], &out));
        EXPECT(out.size - begin <= REPORT_BYTES_MAX);
    }
    from = reader_of(buf_slice(&out));
    for (int i = 0; i < 20; i++) {
        EXPECT_OK(report_decode(&from, &back));
        EXPECT(reports_equal(&sent[i], &back));
    }
    EXPECT_U64(reader_left(&from), 0);
    buf_release(&out);
}

/* ------------------------------------------------------------------ pieces, damage */

TEST(a_parcel_is_waited_for_until_it_is_whole)
{
    struct buf out = make_petition();
    struct slice body;
    size_t size;

    for (size_t got = 0; got < out.size; got++) {
        size = 99;
        EXPECT_OK(parcel_open(slice_of(out.data, got), PETITION_BYTES_MAX, &size, &body, NULL));
        EXPECT_U64(size, 0);
    }
    EXPECT_OK(append_u8(&out, 0)); /* what follows it does not belong to it */
    EXPECT_OK(parcel_open(buf_slice(&out), PETITION_BYTES_MAX, &size, &body, NULL));
    EXPECT_U64(size, out.size - 1);
    buf_release(&out);
}

TEST(a_parcel_with_a_flipped_bit_is_refused_or_waited_for)
{
    struct buf out = make_petition();

    for (size_t bit = 0; bit < out.size * 8; bit++) {
        struct slice body;
        size_t size = 0;
        enum status st;

        out.data[bit / 8] ^= (uint8_t)(1u << bit % 8);
        st = parcel_open(buf_slice(&out), PETITION_BYTES_MAX, &size, &body, NULL);
        EXPECT(st == ST_CORRUPT || (st == ST_OK && size == 0 && bit / 8 >= 8 && bit / 8 < 12));
        out.data[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
    buf_release(&out);
}

TEST(what_does_not_begin_like_a_parcel_is_refused_at_once)
{
    static const char *const words[] = { "G", "DX", "DKVPEER\n", "DKVENTEr" };
    struct slice body;
    size_t size;

    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
        EXPECT_ST(parcel_open(slice_str(words[i]), PETITION_BYTES_MAX, &size, &body, NULL),
                  ST_CORRUPT);
    EXPECT_OK(parcel_open(slice_of(NULL, 0), PETITION_BYTES_MAX, &size, &body, NULL));
    EXPECT_U64(size, 0);
}

/* Its size is known long before it has come. */
TEST(a_parcel_that_would_be_too_large_is_refused_at_its_head)
{
    struct buf out = make_petition();
    struct slice head = slice_of(out.data, PARCEL_HEAD_BYTES), body;
    size_t size;

    put_u32le(out.data + 8, PETITION_BYTES_MAX);
    EXPECT_OK(parcel_open(head, PETITION_BYTES_MAX, &size, &body, NULL));
    put_u32le(out.data + 8, PETITION_BYTES_MAX + 1);
    EXPECT_ST(parcel_open(head, PETITION_BYTES_MAX, &size, &body, NULL), ST_CORRUPT);
    put_u32le(out.data + 8, UINT32_MAX);
    EXPECT_ST(parcel_open(head, VERDICT_BYTES_MAX, &size, &body, NULL), ST_CORRUPT);
    buf_release(&out);
}

typedef enum status try_fn(struct slice bytes);

static enum status
try_petition(struct slice body)
{
    struct petition p;
    enum status st = petition_decode(body, &p, NULL);
    struct record r = { .kind = RECORD_NODE };

    if (st == ST_OK) {
        r.as.node = p.node;
        EXPECT(record_is_in_range(&r));
    }
    return st;
}

static enum status
try_verdict(struct slice body)
{
    struct verdict v;
    enum status st = verdict_decode(body, &v, NULL);

    if (st == ST_OK)
        EXPECT(v.kind >= VERDICT_TOLD && v.kind <= VERDICT_REFUSED &&
               v.text.size <= VERDICT_TEXT_MAX);
    return st;
}

static enum status
try_report(struct slice bytes)
{
    struct reader from = reader_of(bytes);
    struct tablet_report r;
    enum status st = report_decode(&from, &r);

    if (st == ST_OK)
        EXPECT(r.leader != 0 && r.member_count <= RAFT_MEMBERS_MAX);
    return st;
}

/* In a block of exactly its size. */
static enum status
try_exactly(try_fn *try, struct slice bytes)
{
    uint8_t *copy = mem_alloc(bytes.size);
    enum status st;

    EXPECT(copy != NULL);
    if (bytes.size > 0)
        memcpy(copy, bytes.data, bytes.size);
    st = try(slice_of(copy, bytes.size));
    EXPECT(st == ST_OK || st == ST_CORRUPT || st == ST_INVALID);
    mem_free(copy);
    return st;
}

static void
spoil_everywhere(try_fn *try, struct slice good)
{
    struct buf bytes = buf_empty(BYTES_MAX);
    unsigned refused = 0;

    EXPECT_OK(buf_append(&bytes, good));
    EXPECT_OK(try_exactly(try, good));
    for (size_t size = 0; size < good.size; size++)
        EXPECT_ST(try_exactly(try, slice_of(bytes.data, size)), ST_CORRUPT);
    for (size_t at = 0; at < good.size; at++) {
        for (unsigned change = 1; change < 256; change++) {
            bytes.data[at] ^= (uint8_t)change;
            refused += try_exactly(try, buf_slice(&bytes)) != ST_OK;
            bytes.data[at] ^= (uint8_t)change;
        }
    }
    EXPECT(refused > 0);
    buf_release(&bytes);
}

TEST(bodies_that_are_cut_or_changed_are_refused_or_in_range)
{
    struct buf petition = make_petition(), verdict = make_verdict();
    struct buf report = buf_empty(BYTES_MAX);
    struct tablet_report r = sample_report();

    EXPECT_OK(report_encode(&r, &report));
    spoil_everywhere(try_petition, open_parcel(&petition, PETITION_BYTES_MAX));
    spoil_everywhere(try_verdict, open_parcel(&verdict, VERDICT_BYTES_MAX));
    spoil_everywhere(try_report, buf_slice(&report));
    buf_release(&petition);
    buf_release(&verdict);
    buf_release(&report);
}

static void
expect_nothing_behind(try_fn *try, struct slice body)
{
    struct buf longer = buf_empty(BYTES_MAX);

    EXPECT_OK(buf_append(&longer, body));
    EXPECT_OK(append_u8(&longer, 0));
    EXPECT_ST(try(buf_slice(&longer)), ST_CORRUPT);
    buf_release(&longer);
}

static void
expect_formats(try_fn *try, struct slice body)
{
    uint8_t *format = (uint8_t *)(uintptr_t)body.data;

    EXPECT_U64(*format, 1);
    *format = 2;
    EXPECT_ST(try(body), ST_INVALID);
    *format = 0;
    EXPECT_ST(try(body), ST_CORRUPT);
}

TEST(a_body_that_goes_on_or_is_of_another_format_is_refused)
{
    struct buf petition = make_petition(), verdict = make_verdict();

    expect_nothing_behind(try_petition, open_parcel(&petition, PETITION_BYTES_MAX));
    expect_nothing_behind(try_verdict, open_parcel(&verdict, VERDICT_BYTES_MAX));
    expect_formats(try_petition, open_parcel(&petition, PETITION_BYTES_MAX));
    expect_formats(try_verdict, open_parcel(&verdict, VERDICT_BYTES_MAX));
    buf_release(&petition);
    buf_release(&verdict);
}

TEST(a_verdict_beyond_its_limits_is_refused)
{
    static const char text[VERDICT_TEXT_MAX + 1];

    for (size_t size = VERDICT_TEXT_MAX; size <= VERDICT_TEXT_MAX + 1; size++) {
        struct verdict v = sample_verdict();
        struct buf out = buf_empty(BYTES_MAX);

        v.text = slice_of(text, size);
        EXPECT_OK(verdict_encode(&v, &out));
        EXPECT_ST(try_verdict(open_parcel(&out, VERDICT_BYTES_MAX)),
                  size <= VERDICT_TEXT_MAX ? ST_OK : ST_CORRUPT);
        buf_release(&out);
    }
}

/* ------------------------------------------------------------------ failures */

static enum status
encode_one(int which, struct buf *out)
{
    struct petition petition = sample_petition();
    struct verdict verdict = sample_verdict();
    struct tablet_report report = sample_report();

    if (which == 0)
        return petition_encode(&petition, out);
    return which == 1 ? verdict_encode(&verdict, out) : report_encode(&report, out);
}

TEST(what_cannot_be_encoded_leaves_nothing_behind)
{
    for (int which = 0; which < 3; which++) {
        struct buf whole = buf_empty(BYTES_MAX);

        EXPECT_OK(encode_one(which, &whole));
        for (size_t max = 3; max < whole.size + 3; max++) {
            struct buf small = buf_empty(max);

            EXPECT_OK(buf_append(&small, slice_str("abc")));
            EXPECT_ST(encode_one(which, &small), ST_TOO_BIG);
            EXPECT_SLICE(buf_slice(&small), "abc");
            buf_release(&small);
        }
        buf_release(&whole);
    }
}

TEST(encoding_survives_the_failure_of_every_allocation)
{
    for (int which = 0; which < 3; which++) {
        enum status st = ST_NO_MEMORY;
        unsigned failures = 0;

        for (uint64_t nth = 1; st != ST_OK; nth++) {
            struct mem_heap heap = { .fail_at = nth };
            struct mem_heap *before = mem_heap_enter(&heap);
            struct buf out = buf_empty(BYTES_MAX);

            st = encode_one(which, &out);
            EXPECT(st == ST_OK || (st == ST_NO_MEMORY && out.size == 0));
            failures += st != ST_OK;
            buf_release(&out);
            EXPECT_U64(heap.block_count, 0);
            mem_heap_enter(before);
        }
        EXPECT(failures > 0);
    }
}

/* ------------------------------------------------------------------ reports */

/* Tablet, leader, term, commit, edition, basis, and then it. */
TEST(settled_is_yes_or_no)
{
    uint8_t bytes[] = { 9, 1, 3, 7, 0, 0, 0, 0, 0, 0 };

    for (uint8_t settled = 0; settled < 4; settled++) {
        bytes[6] = settled;
        EXPECT_ST(try_report(slice_of(bytes, sizeof(bytes))), settled < 2 ? ST_OK : ST_CORRUPT);
    }
}

TEST(the_later_report_is_of_a_later_term_or_further)
{
    struct tablet_report a = { .term = 3, .commit = 10 }, b = a;

    EXPECT(report_is_newer(&a, &b)); /* the same again: it may know more of the members */
    b.commit = 11;
    EXPECT(!report_is_newer(&a, &b) && report_is_newer(&b, &a));
    a.term = 4;
    EXPECT(report_is_newer(&a, &b) && !report_is_newer(&b, &a));
}

TEST(a_reports_members_are_found_by_node)
{
    struct tablet_report r = sample_report();

    EXPECT(report_member(&r, 3) == &r.members[1]);
    EXPECT(report_member(&r, 4) == NULL);
    r.member_count = 1;
    EXPECT(report_member(&r, 3) == NULL);
}

TEST_MAIN(RUN(a_petition_is_read_as_it_was_written), RUN(the_largest_petition_is_one),
          RUN(a_verdict_is_read_as_it_was_written), RUN(reports_are_read_as_they_were_written),
          RUN(a_parcel_is_waited_for_until_it_is_whole),
          RUN(a_parcel_with_a_flipped_bit_is_refused_or_waited_for),
          RUN(what_does_not_begin_like_a_parcel_is_refused_at_once),
          RUN(a_parcel_that_would_be_too_large_is_refused_at_its_head),
          RUN(bodies_that_are_cut_or_changed_are_refused_or_in_range),
          RUN(a_body_that_goes_on_or_is_of_another_format_is_refused),
          RUN(a_verdict_beyond_its_limits_is_refused), RUN(settled_is_yes_or_no),
          RUN(what_cannot_be_encoded_leaves_nothing_behind),
          RUN(encoding_survives_the_failure_of_every_allocation),
          RUN(the_later_report_is_of_a_later_term_or_further),
          RUN(a_reports_members_are_found_by_node))
