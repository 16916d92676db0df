/* A majority is gone for good: what an operator is told, and what the cluster is afterwards. */
#include "cluster/cluster_internal.h"
#include "simenv/simenv.h"
#include "unit/kv/formed.h"
#include "unit/test.h"

enum { KEYS = 12, SILENT_MS = 6000 };

static void
lose(struct formed *f, uint32_t node)
{
    nodes_crash(&f->n, node);
}

static void
expect_refused(struct formed *f, uint32_t node, const char *words, const char *reason)
{
    EXPECT_ST(formed_try_order(f, node, words), ST_INVALID);
    if (strstr(f->answer, reason) == NULL)
        fail_msg("\"%s\" does not say \"%s\"", f->answer, reason);
}

static void
expect_says(const struct formed *f, const char *words)
{
    if (strstr(f->answer, words) == NULL)
        fail_msg("\"%s\" does not say \"%s\"", f->answer, words);
}

/* Where the tablet of database 0 has a copy. */
static bool
has_database_0(struct formed *f, uint32_t node)
{
    const struct atlas_keyspace *k = formed_keyspace(f, "0");

    return tablet_record_member(k->tablets[0], f->nodes[node].id) != NULL;
}

TEST(two_of_three_are_gone_and_the_third_goes_on)
{
    struct formed f;

    formed_create(&f, 400, 3);
    formed_put_keys(&f, KEYS);
    sim_run_ms(f.n.w, 2000);
    lose(&f, 1);
    lose(&f, 3);
    expect_refused(&f, 2, "recover", "counts as lost when it was silent for 5 s");
    sim_run_ms(f.n.w, SILENT_MS);
    EXPECT_OK(formed_try_order(&f, 2, "recover"));
    expect_says(&f, "\"done\":false");
    expect_says(&f, "\"outcome\":\"goes on\"");
    EXPECT(nodes_put(&f.n, 2, "k0", "other") != ST_OK); /* nothing was done */
    EXPECT_OK(formed_try_order(&f, 2, "recover confirm test"));
    expect_says(&f, "\"done\":true");
    formed_await_placed(&f);
    formed_expect_keys(&f, KEYS);
    formed_put(&f, 2, "a", "1");
    EXPECT_U64(formed_record(&f, 1)->state, NODE_REMOVED);
    EXPECT_U64(formed_record(&f, 3)->state, NODE_REMOVED);
    expect_refused(&f, 2, "recover", "nothing to recover");
    formed_destroy(&f);
}

TEST(nothing_is_done_without_the_clusters_name)
{
    struct formed f;
    uint64_t change;

    formed_create(&f, 401, 3);
    sim_run_ms(f.n.w, 2000);
    change = formed_newest(&f)->cluster.change;
    lose(&f, 1);
    lose(&f, 2);
    sim_run_ms(f.n.w, SILENT_MS);
    expect_refused(&f, 3, "recover confirm other", "was not confirmed");
    expect_refused(&f, 3, "recover confirm", "was not confirmed");
    EXPECT_OK(formed_try_order(&f, 3, "recover"));
    sim_run_ms(f.n.w, SILENT_MS);
    EXPECT_U64(formed_newest(&f)->cluster.change, change);
    formed_boot(&f, 1); /* after all; and nobody is the worse for it */
    formed_boot(&f, 2);
    formed_await_placed(&f);
    formed_put(&f, 3, "a", "1");
    formed_destroy(&f);
}

TEST(nothing_is_recovered_while_there_is_a_quorum)
{
    struct formed f;

    formed_create(&f, 402, 3);
    expect_refused(&f, 1, "recover confirm test", "nothing to recover");
    lose(&f, 3);
    sim_run_ms(f.n.w, SILENT_MS);
    expect_refused(&f, 1, "recover confirm test", "nothing to recover");
    EXPECT_U64(formed_record(&f, 3)->state, NODE_MEMBER);
    formed_destroy(&f);
}

/* Some tablets keep their quorum, some one copy, and some none; the keys are in one of those that keep one. */
TEST(three_of_five_are_gone)
{
    struct formed f;
    uint32_t lost = 0, kept = 0;

    formed_create(&f, 403, 5);
    formed_put_keys(&f, KEYS);
    sim_run_ms(f.n.w, 2000);
    for (uint32_t i = 1; i <= 5 && lost < 3; i++) {
        if (has_database_0(&f, i) && kept++ == 0)
            continue;
        lose(&f, i);
        lost++;
    }
    sim_run_ms(f.n.w, SILENT_MS);
    for (uint32_t i = 1; i <= 5; i++) {
        if (f.n.kv[i] == NULL)
            continue;
        EXPECT_OK(formed_try_order(&f, i, "recover confirm test"));
        break;
    }
    formed_await_placed(&f);
    formed_expect_keys(&f, KEYS);
    for (uint32_t k = 0; k < LIMIT_DATABASES; k++) {
        char name[8];

        snprintf(name, sizeof(name), "%u", k);
        formed_use(&f, name);
        formed_put_keys(&f, 2);
        formed_expect_keys(&f, 2);
    }
    formed_destroy(&f);
}

/* n1 was away when the keys were written; it is back, and only n5 has them. */
TEST(who_was_away_is_not_chosen)
{
    struct formed f;

    formed_create(&f, 404, 5);
    formed_order(&f, 1, "keyspace-create five 5 4 hash");
    formed_await_placed(&f);
    formed_use(&f, "five");
    lose(&f, 1);
    formed_put_keys(&f, KEYS);
    sim_run_ms(f.n.w, 2000);
    for (uint32_t i = 2; i <= 4; i++)
        lose(&f, i);
    formed_boot(&f, 1);
    sim_run_ms(f.n.w, SILENT_MS);
    EXPECT_OK(formed_try_order(&f, 1, "recover confirm test"));
    formed_await_placed(&f);
    formed_expect_keys(&f, KEYS);
    formed_destroy(&f);
}

TEST(the_lost_that_come_back_are_refused)
{
    struct formed f;

    formed_create(&f, 405, 3);
    formed_put_keys(&f, KEYS);
    sim_run_ms(f.n.w, 2000);
    lose(&f, 1);
    lose(&f, 2);
    sim_run_ms(f.n.w, SILENT_MS);
    EXPECT_OK(formed_try_order(&f, 3, "recover confirm test"));
    formed_await_placed(&f);
    formed_put(&f, 3, "k0", "new");
    formed_boot(&f, 1);
    formed_await_refused(&f, 1, "was removed from this cluster");
    EXPECT(nodes_put(&f.n, 1, "k0", "old") != ST_OK);
    formed_put(&f, 3, "k1", "new");
    formed_expect(&f, 3, "k0", "new");
    formed_destroy(&f);
}

/* From the book of one node into that of another; they need not run at the same time. */
struct feeding {
    struct cluster *cluster;
    struct buf bytes;
};

static void
take_feed(void *ctx)
{
    struct feeding *t = ctx;

    EXPECT_OK(book_feed(&t->cluster->book, 0, &t->bytes));
}

static void
give_feed(void *ctx)
{
    struct feeding *t = ctx;

    feed_came(t->cluster, buf_slice(&t->bytes));
}

/* n3 was told of a change by those who made it, before they died: its copy of the metadata is older than what it knows. */
TEST(metadata_that_is_older_than_what_is_known_of_it_is_made_up)
{
    struct feeding t = { .bytes = buf_empty(1 << 20) };
    struct formed f;

    formed_create(&f, 406, 3);
    formed_put_keys(&f, KEYS);
    sim_run_ms(f.n.w, 2000);
    lose(&f, 3);
    formed_order(&f, 1, "keyspace-create many 3 120 hash"); /* more than fit into one change */
    formed_order(&f, 2, "keyspace-create more 3 100 hash");
    sim_run_ms(f.n.w, 2000);
    t.cluster = kv_cluster_of(f.n.kv[1]);
    take_feed(&t);
    lose(&f, 1);
    lose(&f, 2);
    formed_boot(&f, 3);
    t.cluster = kv_cluster_of(f.n.kv[3]);
    sim_on_loop(f.n.w, 3, 0, give_feed, &t);
    sim_run_ms(f.n.w, SILENT_MS);
    EXPECT_OK(formed_try_order(&f, 3, "recover confirm test"));
    formed_await_placed(&f);
    formed_expect_keys(&f, KEYS);
    nodes_crash(&f.n, 3);
    formed_boot(&f, 3);
    formed_use(&f, "more");
    formed_put_keys(&f, KEYS);
    formed_expect_keys(&f, KEYS);
    EXPECT_U64(formed_keyspace(&f, "many")->tablet_count, 120);
    buf_release(&t.bytes);
    formed_destroy(&f);
}

/* The node that was asked dies in the middle: another is asked, and goes on from what was done. */
TEST(a_recovery_that_was_interrupted_is_taken_up_again)
{
    for (uint32_t at_ms = 100; at_ms <= 2500; at_ms += 400) {
        struct formed f;

        formed_create(&f, 410 + at_ms, 5);
        formed_put_keys(&f, KEYS);
        sim_run_ms(f.n.w, 2000);
        for (uint32_t i = 3; i <= 5; i++)
            lose(&f, i);
        sim_run_ms(f.n.w, SILENT_MS);
        formed_order_and_crash(&f, 1, "recover confirm test", at_ms);
        formed_boot(&f, 1);
        sim_run_ms(f.n.w, SILENT_MS);
        if (formed_try_order(&f, 2, "recover confirm test") != ST_OK)
            expect_says(&f, "nothing to recover");
        formed_await_placed(&f);
        formed_put_keys(&f, KEYS);
        formed_expect_keys(&f, KEYS);
        formed_destroy(&f);
    }
}

QUIET_TEST_MAIN(RUN(two_of_three_are_gone_and_the_third_goes_on),
                RUN(nothing_is_done_without_the_clusters_name),
                RUN(nothing_is_recovered_while_there_is_a_quorum), RUN(three_of_five_are_gone),
                RUN(who_was_away_is_not_chosen), RUN(the_lost_that_come_back_are_refused),
                RUN(metadata_that_is_older_than_what_is_known_of_it_is_made_up),
                RUN(a_recovery_that_was_interrupted_is_taken_up_again))
