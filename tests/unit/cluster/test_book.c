/* Tests of cluster/book.h: a book against an array that is searched from end to end, and what may come
 * from another node's. */
#include "base/mem.h"

#include "cluster/book.h"
#include "unit/cluster/samples.h"

enum { NAIVE_MAX = 400, ROUNDS = 60, FEED_BYTES_MAX = 1 << 20 };

/* ------------------------------------------------------------------ a naive book */

struct naive_page {
    struct record_key key;
    version_t version;
    struct buf value;
};

struct naive {
    struct naive_page pages[NAIVE_MAX];
    uint32_t count;
    version_t version;
};

static struct naive_page *
naive_find(struct naive *n, const struct record_key *key)
{
    for (uint32_t i = 0; i < n->count; i++) {
        if (n->pages[i].key.kind == key->kind && n->pages[i].key.id == key->id)
            return &n->pages[i];
    }
    return NULL;
}

static void
naive_put(struct naive *n, const struct record_key *key, version_t version, struct slice value)
{
    struct naive_page *page = naive_find(n, key);

    if (page != NULL && page->version >= version)
        return;
    if (page == NULL) {
        EXPECT(n->count < NAIVE_MAX);
        page = &n->pages[n->count++];
        *page = (struct naive_page){ .key = *key, .value = buf_empty(RECORD_VALUE_BYTES_MAX) };
    }
    page->version = version;
    page->value.size = 0;
    EXPECT_OK(buf_append(&page->value, value));
    n->version = n->version > version ? n->version : version;
}

static void
naive_release(struct naive *n)
{
    for (uint32_t i = 0; i < n->count; i++)
        buf_release(&n->pages[i].value);
    mem_free(n);
}

static void
expect_same(const struct book *b, struct naive *n)
{
    EXPECT_U64(b->count, n->count);
    EXPECT_U64(b->version, n->version);
    for (uint32_t i = 0; i < b->count; i++) {
        const struct page *p = &b->pages[i];
        const struct naive_page *known = naive_find(n, &p->key);

        EXPECT(known != NULL && known->version == p->version);
        EXPECT(slice_equal(buf_slice(&known->value), p->value));
        EXPECT(book_find(b, &p->key) == p);
        if (i > 0)
            EXPECT(p[-1].key.kind < p->key.kind ||
                   (p[-1].key.kind == p->key.kind && p[-1].key.id < p->key.id));
    }
}

/* ------------------------------------------------------------------ changes */

/* A change of the metadata: some records at one new version, into the book and the naive one. */
static void
change(struct prng *p, struct book *b, struct naive *n, version_t version)
{
    for (uint64_t left = 1 + prng_below(p, 5); left > 0; left--) {
        struct record r = random_record(p, kinds[prng_below(p, KINDS)], 1 + prng_below(p, 60));
        struct record_key key = record_key_of(&r);
        struct buf value;

        encode(&r, &value);
        EXPECT_OK(book_put(b, &key, version, buf_slice(&value), NULL));
        naive_put(n, &key, version, buf_slice(&value));
        buf_release(&value);
    }
}

static void
put(struct book *b, const struct record *r, version_t version)
{
    struct record_key key = record_key_of(r);
    struct buf value;

    encode(r, &value);
    EXPECT_OK(book_put(b, &key, version, buf_slice(&value), NULL));
    buf_release(&value);
}

/* The book's feed, in a buf of the caller's. */
static struct buf
feed(const struct book *b, version_t since)
{
    struct buf out = buf_empty(FEED_BYTES_MAX);

    EXPECT_OK(book_feed(b, since, &out));
    return out;
}

static void
expect_equal(const struct book *a, const struct book *b)
{
    EXPECT_U64(a->count, b->count);
    EXPECT_U64(a->version, b->version);
    for (uint32_t i = 0; i < a->count; i++) {
        EXPECT(a->pages[i].key.kind == b->pages[i].key.kind);
        EXPECT_U64(a->pages[i].key.id, b->pages[i].key.id);
        EXPECT_U64(a->pages[i].version, b->pages[i].version);
        EXPECT(slice_equal(a->pages[i].value, b->pages[i].value));
    }
}

TEST(a_book_is_what_a_naive_one_is)
{
    struct naive *n = mem_new(struct naive);
    struct book b = { 0 };
    struct prng p;

    EXPECT(n != NULL);
    prng_init(&p, test_seed(1));
    expect_same(&b, n);
    for (version_t v = 1; v < 400; v++) {
        change(&p, &b, n, v * 3);
        if (v % 20 == 0)
            expect_same(&b, n);
    }
    EXPECT(b.count > 150);
    EXPECT(book_find(&b, &(struct record_key){ RECORD_NODE, 61 }) == NULL);
    expect_same(&b, n);
    book_release(&b);
    EXPECT_U64(b.count, 0);
    naive_release(n);
}

TEST(an_older_record_or_the_same_again_changes_nothing)
{
    struct record first = sample_cluster(1), later = sample_cluster(2);
    struct record_key key = { RECORD_CLUSTER, 0 };
    struct book b = { 0 };
    struct buf value;

    put(&b, &later, 9);
    put(&b, &first, 8);
    put(&b, &first, 9);
    encode(&later, &value);
    EXPECT(slice_equal(book_find(&b, &key)->value, buf_slice(&value)));
    EXPECT_U64(b.version, 9);
    buf_release(&value);
    book_release(&b);
}

TEST(a_record_that_cannot_be_read_changes_nothing)
{
    struct record r = sample_node(3);
    struct record_key key = record_key_of(&r);
    struct book b = { 0 };
    struct buf value;

    encode(&r, &value);
    EXPECT_ST(book_put(&b, &key, 5, slice_of(value.data, value.size - 1), NULL), ST_CORRUPT);
    EXPECT_ST(book_put(&b, &key, 5, slice_of(NULL, 0), NULL), ST_CORRUPT);
    value.data[0] = 9;
    EXPECT_ST(book_put(&b, &key, 5, buf_slice(&value), NULL), ST_INVALID);
    EXPECT(b.count == 0 && b.version == 0);
    buf_release(&value);
    book_release(&b);
}

/* ------------------------------------------------------------------ feeds */

static void
take_twice(struct book *copy, const struct book *source, version_t since)
{
    struct buf f = feed(source, since);

    EXPECT_OK(book_take(copy, buf_slice(&f), NULL));
    EXPECT_OK(book_take(copy, buf_slice(&f), NULL));
    expect_equal(copy, source);
    buf_release(&f);
}

/* Whatever was taken, and however often: once all that is newer than one's version has come, one knows all. */
TEST(books_that_take_feeds_become_what_their_source_is)
{
    struct prng p;

    prng_init(&p, test_seed(2));
    for (int round = 0; round < ROUNDS; round++) {
        struct naive *n = mem_new(struct naive);
        struct book source = { 0 }, copy = { 0 };

        EXPECT(n != NULL);
        for (version_t v = 1; v <= 30; v++) {
            change(&p, &source, n, v);
            if (prng_chance(&p, 1, 3))
                take_twice(&copy, &source, prng_below(&p, copy.version + 1));
        }
        book_release(&source);
        book_release(&copy);
        naive_release(n);
    }
}

/* Feeds of one moment after the other, kept, and taken in any order. */
TEST(feeds_may_come_late_and_in_any_order)
{
    enum { FEEDS = 12 };
    struct prng p;

    prng_init(&p, test_seed(3));
    for (int round = 0; round < ROUNDS; round++) {
        struct naive *n = mem_new(struct naive);
        struct book source = { 0 }, copy = { 0 };
        struct buf feeds[FEEDS];

        EXPECT(n != NULL);
        for (version_t v = 0; v < FEEDS; v++) {
            change(&p, &source, n, v + 1);
            feeds[v] = feed(&source, 0);
        }
        for (int i = 0; i < 3 * FEEDS; i++) {
            version_t before = copy.version;

            EXPECT_OK(book_take(&copy, buf_slice(&feeds[prng_below(&p, FEEDS)]), NULL));
            EXPECT(copy.version >= before);
        }
        EXPECT_OK(book_take(&copy, buf_slice(&feeds[FEEDS - 1]), NULL));
        expect_equal(&copy, &source);
        for (int i = 0; i < FEEDS; i++)
            buf_release(&feeds[i]);
        book_release(&source);
        book_release(&copy);
        naive_release(n);
    }
}

/* Else a record of between would be missing for ever: nobody would ask for it. */
TEST(a_feed_that_goes_on_from_a_later_version_is_refused)
{
    struct record node = sample_node(1), cluster = sample_cluster(2);
    struct book source = { 0 }, copy = { 0 };
    struct buf all, latest;

    put(&source, &node, 5);
    put(&source, &cluster, 9);
    latest = feed(&source, 5);
    all = feed(&source, 0);
    EXPECT_ST(book_take(&copy, buf_slice(&latest), NULL), ST_CONFLICT);
    EXPECT(copy.count == 0 && copy.version == 0);
    put(&copy, &node, 5);
    EXPECT_OK(book_take(&copy, buf_slice(&latest), NULL));
    expect_equal(&copy, &source);
    EXPECT_OK(book_take(&copy, buf_slice(&all), NULL));
    buf_release(&latest);
    buf_release(&all);
    book_release(&source);
    book_release(&copy);
}

TEST(an_empty_feed_is_a_feed)
{
    struct book none = { 0 }, some = { 0 };
    struct record r = sample_cluster(1);
    struct buf f = feed(&none, 0);

    put(&some, &r, 4);
    EXPECT_OK(book_take(&some, buf_slice(&f), NULL));
    EXPECT_U64(some.count, 1);
    buf_release(&f);
    f = feed(&some, 4);
    EXPECT_OK(book_take(&some, buf_slice(&f), NULL));
    buf_release(&f);
    book_release(&some);
}

/* ------------------------------------------------------------------ bad feeds */

static void
fill(struct book *b)
{
    struct record records[] = { sample_cluster(4), sample_keyspace(5), sample_node(1),
                                sample_node(2), sample_tablet(9) };

    for (size_t i = 0; i < sizeof(records) / sizeof(records[0]); i++)
        put(b, &records[i], 200 + i);
}

/* In a block of exactly its size.  Refused, it has changed nothing. */
static enum status
take_exactly(struct slice bytes)
{
    struct record old = sample_node(2);
    struct book b = { 0 };
    uint8_t *copy = mem_alloc(bytes.size);
    enum status st;

    EXPECT(copy != NULL);
    if (bytes.size > 0)
        memcpy(copy, bytes.data, bytes.size);
    put(&b, &old, 7);
    st = book_take(&b, slice_of(copy, bytes.size), NULL);
    if (st != ST_OK) {
        EXPECT(st == ST_CORRUPT || st == ST_INVALID || st == ST_CONFLICT);
        EXPECT(b.count == 1 && b.version == 7 && b.pages[0].version == 7);
    }
    book_release(&b);
    mem_free(copy);
    return st;
}

TEST(a_feed_that_is_cut_or_changed_is_refused_whole_or_read)
{
    struct book b = { 0 };
    unsigned refused = 0;
    struct buf f;

    fill(&b);
    f = feed(&b, 0);
    EXPECT_OK(take_exactly(buf_slice(&f)));
    for (size_t size = 0; size < f.size; size++)
        EXPECT_ST(take_exactly(slice_of(f.data, size)), ST_CORRUPT);
    for (size_t at = 0; at < f.size; at++) {
        for (unsigned bit = 0; bit < 8; bit++) {
            f.data[at] ^= (uint8_t)(1u << bit);
            refused += take_exactly(buf_slice(&f)) != ST_OK;
            f.data[at] ^= (uint8_t)(1u << bit);
        }
    }
    EXPECT(refused > 300);
    f.data[0] = 2;
    EXPECT_ST(take_exactly(buf_slice(&f)), ST_INVALID);
    f.data[0] = 0;
    EXPECT_ST(take_exactly(buf_slice(&f)), ST_CORRUPT);
    f.data[0] = 1;
    EXPECT_OK(append_u8(&f, 0));
    EXPECT_ST(take_exactly(buf_slice(&f)), ST_CORRUPT);
    buf_release(&f);
    book_release(&b);
}

static void
feed_one(struct buf *f, const struct record *r, version_t version)
{
    struct record_key key = record_key_of(r);
    struct buf value;

    encode(r, &value);
    EXPECT_OK(append_u8(f, (uint8_t)key.kind));
    EXPECT_OK(append_varint(f, key.id));
    EXPECT_OK(append_varint(f, version));
    EXPECT_OK(append_string(f, buf_slice(&value)));
    buf_release(&value);
}

static enum status
take_two(const struct record *a, version_t a_version, const struct record *b, version_t b_version)
{
    struct buf f = buf_empty(FEED_BYTES_MAX);
    enum status st;

    EXPECT_OK(append_u8(&f, 1));
    EXPECT_OK(append_varint(&f, 0));
    EXPECT_OK(append_varint(&f, 2));
    feed_one(&f, a, a_version);
    feed_one(&f, b, b_version);
    st = take_exactly(buf_slice(&f));
    buf_release(&f);
    return st;
}

/* The second of the same key would win, however old it is. */
TEST(a_feed_that_is_out_of_order_is_refused)
{
    struct record one = sample_node(5), other = sample_node(6);

    EXPECT_OK(take_two(&one, 11, &other, 11));
    EXPECT_ST(take_two(&other, 11, &one, 12), ST_CORRUPT);
    EXPECT_ST(take_two(&one, 12, &one, 11), ST_CORRUPT);
    EXPECT_ST(take_two(&one, 11, &one, 11), ST_CORRUPT);
    EXPECT_ST(take_two(&one, 11, &other, 0), ST_CORRUPT);
    EXPECT_ST(take_two(&one, 11, &other, VERSION_MAX + 1), ST_CORRUPT);
    EXPECT_OK(take_two(&one, 11, &other, VERSION_MAX));
}

TEST(a_count_that_promises_too_much_is_refused)
{
    static const uint64_t counts[] = { 2, 1000, UINT32_MAX, UINT64_MAX };

    for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++) {
        struct record r = sample_node(5);
        struct buf f = buf_empty(FEED_BYTES_MAX);

        EXPECT_OK(append_u8(&f, 1));
        EXPECT_OK(append_varint(&f, 0));
        EXPECT_OK(append_varint(&f, counts[i]));
        feed_one(&f, &r, 9);
        EXPECT_ST(take_exactly(buf_slice(&f)), ST_CORRUPT);
        buf_release(&f);
    }
}

/* ------------------------------------------------------------------ failures */

/* Every allocation fails in turn, of a put, a feed and its taking; the books are in heaps of their own. */
TEST(a_book_survives_the_failure_of_every_allocation)
{
    struct record r = sample_tablet(77);
    struct record_key key = record_key_of(&r);
    struct book source = { 0 };
    struct buf value, whole;
    enum status st = ST_NO_MEMORY;
    unsigned failures = 0;

    fill(&source);
    encode(&r, &value);
    whole = feed(&source, 0);
    for (uint64_t nth = 1; st != ST_OK; nth++) {
        struct mem_heap heap = { .fail_at = nth };
        struct mem_heap *before = mem_heap_enter(&heap);
        struct buf out = buf_empty(FEED_BYTES_MAX);
        struct book b = { 0 };

        st = book_put(&b, &key, 3, buf_slice(&value), NULL);
        EXPECT_U64(b.count, st == ST_OK);
        if (st == ST_OK)
            st = book_take(&b, buf_slice(&whole), NULL);
        EXPECT(b.count <= 1 || (st == ST_OK && b.count == source.count + 1));
        if (st == ST_OK)
            st = book_feed(&b, 0, &out);
        EXPECT(st == ST_OK || (st == ST_NO_MEMORY && out.size == 0));
        failures += st != ST_OK;
        buf_release(&out);
        book_release(&b);
        EXPECT_U64(heap.block_count, 0);
        mem_heap_enter(before);
    }
    EXPECT(failures >= 8);
    buf_release(&whole);
    buf_release(&value);
    book_release(&source);
}

TEST(a_feed_without_room_leaves_nothing_behind)
{
    struct book b = { 0 };
    struct buf whole;

    fill(&b);
    whole = feed(&b, 0);
    for (size_t max = 3; max < whole.size + 3; max++) {
        struct buf out = buf_empty(max);

        EXPECT_OK(buf_append(&out, slice_str("abc")));
        EXPECT_ST(book_feed(&b, 0, &out), ST_TOO_BIG);
        EXPECT_SLICE(buf_slice(&out), "abc");
        buf_release(&out);
    }
    buf_release(&whole);
    book_release(&b);
}

TEST_MAIN(RUN(a_book_is_what_a_naive_one_is),
          RUN(an_older_record_or_the_same_again_changes_nothing),
          RUN(a_record_that_cannot_be_read_changes_nothing),
          RUN(books_that_take_feeds_become_what_their_source_is),
          RUN(feeds_may_come_late_and_in_any_order),
          RUN(a_feed_that_goes_on_from_a_later_version_is_refused), RUN(an_empty_feed_is_a_feed),
          RUN(a_feed_that_is_cut_or_changed_is_refused_whole_or_read),
          RUN(a_feed_that_is_out_of_order_is_refused),
          RUN(a_count_that_promises_too_much_is_refused),
          RUN(a_book_survives_the_failure_of_every_allocation),
          RUN(a_feed_without_room_leaves_nothing_behind))
