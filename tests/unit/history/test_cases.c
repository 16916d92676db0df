/* Small histories, good and bad, each for one thing that a checker can get wrong.  How they are
 * written: fixture.h. */
#include "fixture.h"

#define GOOD(text) EXPECT_STR(verdict_of(text), "linearizable")
#define BAD(text)  EXPECT_STR(verdict_of(text), "violation")

TEST(a_register_begins_empty)
{
    GOOD("get:- 0-1");
    BAD("get:a 0-1");
    GOOD("del 0-1, get:- 2-3");
}

TEST(a_read_sees_the_last_write_before_it)
{
    GOOD("put:a 0-1, get:a 2-3");
    BAD("put:a 0-1, get:- 2-3");
    GOOD("put:a 0-1, put:b 2-3, get:b 4-5");
    BAD("put:a 0-1, put:b 2-3, get:a 4-5");
}

TEST(a_read_beside_a_write_sees_either)
{
    GOOD("put:a 0-1, put:b 2-10, get:a 3-4");
    GOOD("put:a 0-1, put:b 2-10, get:b 3-4");
    GOOD("put:a 0-10, get:- 1-2, get:a 3-4");
    BAD("put:b 5-6, get:b 0-1"); /* not one that is still to come */
}

TEST(reads_do_not_go_backwards)
{
    BAD("put:a 0-1, put:b 2-10, get:b 3-4, get:a 5-6");
    GOOD("put:a 0-1, put:b 2-10, get:a 3-4, get:b 5-6");
    BAD("put:a 0-10, get:a 1-2, get:- 3-4");
    GOOD("put:a 0-1, put:b 2-10, get:b 3-6, get:a 5-8"); /* these two overlap */
}

/* Readers may not disagree on the order of two writes. */
TEST(all_readers_see_one_order)
{
    BAD("put:a 0-20, put:b 0-20, get:a 1-2, get:b 3-4, get:a 5-6");
    BAD("put:a 0-10, put:b 0-10, get:a 11-12, get:b 13-14");
    GOOD("put:a 0-20, put:b 0-20, get:a 1-2, get:b 3-4, get:b 21-22");
}

TEST(an_unknown_write_may_take_effect_late)
{
    GOOD("put:a 0-?, get:- 10-11, get:a 20-21");
    GOOD("put:a 0-5?, put:b 6-7, get:b 8-9, get:a 20-21"); /* after its client gave up */
    BAD("put:a 0-?, get:a 10-11, get:- 20-21");            /* but once only */
    BAD("put:a 10-?, get:a 0-5");                          /* and not before its call */
}

TEST(an_unknown_write_may_never_take_effect)
{
    GOOD("put:a 0-1, put:b 2-?, get:a 10-11, get:a 20-21");
    GOOD("put:a 0-1, del 2-?, get:a 10-11, cas:a>b 20-21");
    GOOD("put:a 0-1, put:b 2-?");
}

TEST(a_failed_write_is_never_seen)
{
    BAD("put:a 0-1!, get:a 2-3");
    BAD("put:a 0-10!, get:a 2-3");
    GOOD("put:a 0-1!, get:- 2-3");
    BAD("incr:5 0-1!, get:5 2-3");
    GOOD("put:a 0-1, del 2-3!, get:a 4-5");
}

TEST(what_is_deleted_is_gone)
{
    GOOD("put:a 0-1, del 2-3, get:- 4-5");
    BAD("put:a 0-1, del 2-3, get:a 4-5");
    GOOD("put:a 0-1, del 2-9, get:a 3-4, get:- 5-6");
    BAD("put:a 0-1, del 2-9, get:- 3-4, get:a 5-6");
    GOOD("put:a 0-1, del 2-3, put:a 4-5, get:a 6-7");
}

TEST(of_two_cas_from_one_value_one_wins)
{
    BAD("put:a 0-1, cas:a>b 2-9, cas:a>c 2-9");
    GOOD("put:a 0-1, cas:a>b 2-9, cas:b>c 2-9");
    GOOD("put:a 0-1, cas:a>b 2-9, cas:a>c 2-9!!");
    GOOD("put:a 0-1, cas:a>b 2-9, cas:a>c 2-9?");
    BAD("cas:->a 0-9, cas:->b 0-9");
    GOOD("cas:->a 0-9, cas:->b 0-9, del 0-9");
    BAD("cas:->a 0-1, del 2-3, cas:a>b 4-5");
}

TEST(a_cas_needs_what_it_expects)
{
    BAD("put:a 0-1, cas:b>c 2-3");
    GOOD("put:a 0-1, cas:a>a 2-3, get:a 4-5");
    GOOD("put:b 0-?, put:a 1-2, cas:b>c 3-4, get:c 5-6");
    BAD("put:a 0-1, cas:b>c 2-?, get:c 4-5"); /* unknown, but it cannot have been */
}

TEST(a_mismatch_says_that_the_value_differed)
{
    BAD("put:a 0-1, cas:a>b 2-3!!");
    GOOD("put:a 0-1, cas:a>b 2-3!"); /* without the mark: nobody knows why */
    GOOD("put:a 0-1, cas:b>c 2-3!!");
    GOOD("put:a 0-1, put:b 2-?, cas:a>c 4-5!!"); /* the unknown one explains it */
    BAD("put:a 0-1, put:b 2-?, cas:a>c 4-5!!, get:a 6-7");
    GOOD("put:a 0-1, put:b 2-9, put:a 2-9, cas:a>c 4-5!!, get:a 10-11");
    BAD("cas:->a 0-1!!");
}

TEST(an_incr_counts_from_what_is_there)
{
    GOOD("incr:5=5 0-1, incr:2=7 2-3, get:7 4-5");
    GOOD("put:41 0-1, incr:1=42 2-3");
    BAD("put:41 0-1, incr:1=1 2-3");
    GOOD("put:41 0-1, del 2-3, incr:1=1 4-5");
    GOOD("put:0 0-1, incr:1=1 2-3");
    GOOD("put:5 0-1, incr:-7=-2 2-3, get:-2 4-5");
    BAD("put:x 0-1, incr:1=1 2-3");
    BAD("put:007 0-1, incr:1=8 2-3"); /* text, no number */
    GOOD("put:x 0-1, incr:1 2-3!, get:x 4-5");
}

TEST(no_incr_is_lost)
{
    BAD("incr:1=1 0-9, incr:1=1 0-9");
    BAD("incr:1=1 0-1, incr:1=1 2-3");
    GOOD("incr:1=2 0-9, incr:1=1 0-9");
    BAD("incr:1=2 0-1, incr:1=1 2-3");
    BAD("incr:1=1 0-1, incr:1=2 2-3, get:1 4-5");
}

TEST(an_unknown_incr_explains_one_gap)
{
    GOOD("incr:1=1 0-1, incr:1 2-?, incr:1=3 4-5");
    GOOD("incr:1=1 0-1, incr:1 2-?, incr:1=2 4-5");
    BAD("incr:1=1 0-1, incr:1 2-?, incr:1=4 4-5");
    BAD("incr:1=1 0-1, incr:1=3 2-3, incr:1 4-?"); /* it is called too late */
    GOOD("incr:1 0-?, incr:1 1-?, get:2 4-5, get:2 6-7");
    BAD("put:x 0-1, incr:1 2-?, get:1 4-5");
}

TEST(a_sum_that_no_number_gives_is_a_violation)
{
    BAD("put:9223372036854775807 0-1, incr:1=-9223372036854775808 2-3");
    GOOD("put:9223372036854775807 0-1, incr:1 2-?, get:9223372036854775807 4-5");
    GOOD("put:9223372036854775806 0-1, incr:1=9223372036854775807 2-3");
}

/* A clock that stands still does not order anything. */
TEST(what_touches_overlaps)
{
    GOOD("put:a 0-1, put:b 2-3, get:a 3-4");
    BAD("put:a 0-1, put:b 2-3, get:a 4-5");
    GOOD("put:a 5-5, get:- 5-5");
    GOOD("put:a 5-5, get:a 5-5, get:- 5-5");
    GOOD("get:a 0-5, put:a 5-9");
    BAD("get:a 0-4, put:a 5-9");
}

TEST(nothing_is_explained_by_nothing)
{
    struct history *h = NULL;

    EXPECT_OK(history_create(&h));
    EXPECT(judge(h).verdict == HISTORY_LINEARIZABLE);
    history_destroy(h);
    GOOD("get:a 0-?");
    GOOD("get:a 0-1!");
}

TEST(keys_are_judged_each_for_itself)
{
    struct history_op put = { .verb = HISTORY_PUT,
                              .key = slice_str("a"),
                              .return_ns = 1,
                              .value = { true, slice_str("x") } };
    struct history_op get = { .verb = HISTORY_GET,
                              .key = slice_str("b"),
                              .call_ns = 2,
                              .return_ns = 3,
                              .value = { true, slice_str("x") } };
    struct history *h = NULL;
    struct history_report report;

    EXPECT_OK(history_create(&h));
    EXPECT_OK(history_add(h, &put, NULL));
    EXPECT_OK(history_add(h, &get, NULL));
    report = judge(h);
    EXPECT(report.verdict == HISTORY_VIOLATION);
    EXPECT_SLICE(report.key, "b");
    EXPECT_U64(report.culprit, 1);
    EXPECT_U64(history_key_count(h), 2);
    history_destroy(h);
}

/* ------------------------------------------------------------------ explanations */

TEST(anomalies_have_names)
{
    EXPECT_STR(anomaly_of("put:a 0-1, put:b 2-3, get:b 4-5, get:a 6-7"), "stale read");
    EXPECT_STR(anomaly_of("put:a 0-1, put:b 2-3, get:a 4-5"), "lost acknowledged write");
    EXPECT_STR(anomaly_of("put:a 0-1, get:- 2-3"), "lost acknowledged write");
    EXPECT_STR(anomaly_of("incr:1=1 0-1, incr:1=2 2-3, incr:1=2 4-5"), "lost acknowledged write");
    EXPECT_STR(anomaly_of("put:a 0-1!, get:a 2-3"), "value never written");
    EXPECT_STR(anomaly_of("get:a 0-1, put:a 2-3"), "value never written");
    EXPECT_STR(anomaly_of("put:a 0-1, cas:a>b 2-9, cas:a>c 2-9"), "none");
}

TEST(an_explanation_names_what_can_be_explained_and_what_cannot)
{
    struct history *h = history_of("put:a 0-1, put:b 2-3, get:b 4-5, put:c 6-?, get:a 6-7");
    struct history_report report = judge(h);

    EXPECT_STR(
        explanation_of(h, &report),
        "Key \"k\": no order of its operations explains this one:\n"
        "  line 5, client 5: get saw \"a\", from 6 to 7\n"
        "Beside it ran, or may have run:\n"
        "  line 4, client 4: put \"c\", called at 6, outcome unknown\n"
        "Before its end, this order explains everything:\n"
        "  line 1, client 1: put \"a\", from 0 to 1\n"
        "  line 2, client 2: put \"b\", from 2 to 3\n"
        "  line 3, client 3: get saw \"b\", from 4 to 5\n"
        "In plain words, stale read: line 5 found \"a\", though line 2 had left \"b\" there, "
        "acknowledged before it began.\n");
    history_destroy(h);
}

/* Clients that all want to be the last, and readers that nothing explains: more configurations than
 * there is room for. */
TEST(what_does_not_fit_is_undecided_and_never_wrong)
{
    char text[4096];
    size_t size = 0;
    struct history *h;
    struct history_check_options options = { .memory_bytes_max = 1 << 20 };
    struct history_report report;

    for (int i = 0; i < 18; i++)
        size += (size_t)snprintf(text + size, sizeof(text) - size,
                                 "cas:%d>%d 0-100?, put:%d 0-100, ", i, (i * 7 + 3) % 18, i);
    snprintf(text + size, sizeof(text) - size,
             "cas:x>y 0-100?, put:x 200-300, del 200-300, "
             "get:x 301-302, get:- 303-304");
    h = history_of(text);
    EXPECT_OK(history_check(h, &options, &report, NULL));
    EXPECT_STR(history_verdict_name(report.verdict), "undecided");
    EXPECT_U64(report.undecided_key_count, 1);
    EXPECT_SLICE(report.key, "k");
    history_destroy(h);
}

TEST_MAIN(RUN(a_register_begins_empty), RUN(a_read_sees_the_last_write_before_it),
          RUN(a_read_beside_a_write_sees_either), RUN(reads_do_not_go_backwards),
          RUN(all_readers_see_one_order), RUN(an_unknown_write_may_take_effect_late),
          RUN(an_unknown_write_may_never_take_effect), RUN(a_failed_write_is_never_seen),
          RUN(what_is_deleted_is_gone), RUN(of_two_cas_from_one_value_one_wins),
          RUN(a_cas_needs_what_it_expects), RUN(a_mismatch_says_that_the_value_differed),
          RUN(an_incr_counts_from_what_is_there), RUN(no_incr_is_lost),
          RUN(an_unknown_incr_explains_one_gap), RUN(a_sum_that_no_number_gives_is_a_violation),
          RUN(what_touches_overlaps), RUN(nothing_is_explained_by_nothing),
          RUN(keys_are_judged_each_for_itself), RUN(anomalies_have_names),
          RUN(an_explanation_names_what_can_be_explained_and_what_cannot),
          RUN(what_does_not_fit_is_undecided_and_never_wrong))
