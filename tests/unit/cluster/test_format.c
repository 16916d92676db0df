/* docs/formats/cluster.md and the code say the same: the example in the document is made anew. */
#include "cluster/book.h"
#include "cluster/fitness.h"
#include "cluster/petition.h"
#include "cluster/recovery.h"
#include "cluster/report.h"
#include "unit/cluster/samples.h"
#include "unit/example.h"

enum { BYTES_MAX = 4096 };

static void
say_record(const char *title, const struct record *r, struct book *book, version_t version)
{
    struct record_key key = record_key_of(r);
    uint8_t bytes[RECORD_KEY_BYTES];
    char text[80];
    struct buf value;

    record_key_encode(&key, bytes);
    snprintf(text, sizeof(text), "%s: its key", title);
    example_bytes(text, slice_of(bytes, sizeof(bytes)), 0, sizeof(bytes));
    encode(r, &value);
    snprintf(text, sizeof(text), "%s: its value", title);
    example_bytes(text, buf_slice(&value), 0, value.size);
    EXPECT_OK(book_put(book, &key, version, buf_slice(&value), NULL));
    buf_release(&value);
}

static void
say_petition(void)
{
    struct petition p = { .wall_ms = UINT64_C(1767225600123), .node = sample_node(2).as.node };
    struct buf out = buf_empty(BYTES_MAX);

    for (int i = 0; i < CLUSTER_ID_BYTES; i++)
        p.cluster[i] = (uint8_t)(0xa0 + i);
    EXPECT_OK(petition_encode(&p, &out));
    example_bytes("a petition", buf_slice(&out), 0, out.size);
    buf_release(&out);
}

static void
say_verdict(struct slice feed)
{
    struct verdict v = { .kind = VERDICT_WELCOME, .feed = feed };
    struct buf out = buf_empty(BYTES_MAX);

    for (int i = 0; i < CLUSTER_ID_BYTES; i++)
        v.cluster[i] = (uint8_t)(0xa0 + i);
    EXPECT_OK(verdict_encode(&v, &out));
    example_bytes("a verdict", buf_slice(&out), 0, out.size);
    buf_release(&out);
}

static void
say_report(void)
{
    struct tablet_report r = { .tablet = 9,
                               .leader = 1,
                               .term = 3,
                               .commit = 300,
                               .basis = 0x2001,
                               .settled = true,
                               .bytes = 4096,
                               .bytes_left = 128,
                               .member_count = 2,
                               .members = { { 1, true, true }, { 2, false, true } } };
    struct buf out = buf_empty(REPORT_BYTES_MAX);

    EXPECT_OK(report_encode(&r, &out));
    example_bytes("a report", buf_slice(&out), 0, out.size);
    buf_release(&out);
}

static void
say_fitness(void)
{
    struct fitness f = { .ails = true, .missed_count = 2, .missed = { 2, 300 } };
    struct buf out = buf_empty(BYTES_MAX);

    EXPECT_OK(fitness_encode(&f, &out));
    example_bytes("a fitness", buf_slice(&out), 0, out.size);
    buf_release(&out);
}

static void
say_remnant(void)
{
    struct remnant m = { .node = 1,
                         .tablet = 9,
                         .term = 3,
                         .last = 4,
                         .commit = 2,
                         .run_count = 2,
                         .runs = { { 1, 1 }, { 3, 2 } },
                         .config = { .voter_count = 3, .voters = { 1, 2, 3 } } };
    struct buf out = buf_empty(REMNANT_BYTES_MAX);

    EXPECT_OK(remnant_encode(&m, &out));
    example_bytes("a remnant", buf_slice(&out), 0, out.size);
    buf_release(&out);
}

TEST(the_example_in_the_document_is_what_the_code_writes)
{
    struct record cluster = sample_cluster(7), keyspace = sample_keyspace(5);
    struct record node = sample_node(1), tablet = sample_tablet(9);
    struct buf feed = buf_empty(BYTES_MAX);
    struct book book = { 0 };

    say_record("the cluster", &cluster, &book, 0x2001);
    say_record("keyspace 5", &keyspace, &book, 0x1001);
    say_record("node 1", &node, &book, 0x1000);
    say_record("tablet 9", &tablet, &book, 0x2001);
    EXPECT_OK(book_feed(&book, 0x1001, &feed));
    example_bytes("a feed of what is newer than keyspace 5", buf_slice(&feed), 0, feed.size);
    say_petition();
    say_verdict(buf_slice(&feed));
    say_report();
    say_fitness();
    say_remnant();
    buf_release(&feed);
    book_release(&book);
    EXPECT_EXAMPLE(DOCUMENT);
}

TEST_MAIN(RUN(the_example_in_the_document_is_what_the_code_writes))
