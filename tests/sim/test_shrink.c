/* Tests of sim/shrink.c, against predicates whose smallest failures are known. */
#include "base/hash.h"

#include "sim/shrink.h"
#include "unit/test.h"

struct judge {
    enum shrink_answer (*rule)(const struct judge *j, const struct picks *p);
    struct picks given;
    struct picks last_same;
    uint64_t least; /* of numbers: from here on it goes wrong */
    uint64_t hole;  /* ... but for this one */
    uint64_t salt;
    uint32_t tries;
    uint32_t tries_max; /* 0: as many as it likes */
};

static struct picks
picks_of(const char *text)
{
    struct picks p;

    EXPECT(picks_parse(text, &p));
    return p;
}

static void
expect_picks(const struct picks *p, const char *want)
{
    struct buf text = buf_empty(1 << 16);

    EXPECT_OK(picks_print(p, &text));
    EXPECT_SLICE(buf_slice(&text), want);
    buf_release(&text);
}

static bool
is_part_of(const struct picks *part, const struct picks *whole)
{
    for (uint32_t i = 0; i < PLAN_ACTIONS_MAX; i++) {
        if (picks_has(part, i) && !picks_has(whole, i))
            return false;
    }
    return true;
}

static enum shrink_answer
judge_picks(void *ctx, const struct picks *candidate)
{
    struct judge *j = ctx;
    enum shrink_answer said;

    if (j->tries == j->tries_max && j->tries_max > 0)
        return SHRINK_STOP;
    j->tries++;
    EXPECT(candidate->some && is_part_of(candidate, &j->given)); /* S2 */
    said = j->rule(j, candidate);
    if (said == SHRINK_SAME)
        j->last_same = *candidate;
    return said;
}

static struct judge
shrink(const char *given, enum shrink_answer (*rule)(const struct judge *, const struct picks *),
       struct picks *out)
{
    struct judge j = { .rule = rule, .given = picks_of(given), .last_same = picks_of(given) };

    *out = j.given;
    EXPECT(shrink_picks(out, judge_picks, &j));
    EXPECT_U64(memcmp(out, &j.last_same, sizeof(*out)), 0); /* S1 */
    return j;
}

static enum shrink_answer
same_if(bool condition)
{
    return condition ? SHRINK_SAME : SHRINK_OTHER;
}

static enum shrink_answer
always(const struct judge *j, const struct picks *p)
{
    (void)j;
    (void)p;
    return SHRINK_SAME;
}

static enum shrink_answer
only_the_whole(const struct judge *j, const struct picks *p)
{
    return same_if(memcmp(p, &j->given, sizeof(*p)) == 0);
}

static enum shrink_answer
needs_3_and_700(const struct judge *j, const struct picks *p)
{
    (void)j;
    return same_if(picks_has(p, 3) && picks_has(p, 700));
}

/* 5 is harmless alone, but where 6 is, too, it hides what 9 does. */
static enum shrink_answer
is_hidden_by_a_pair(const struct judge *j, const struct picks *p)
{
    (void)j;
    return same_if(picks_has(p, 9) && picks_has(p, 5) == picks_has(p, 6));
}

static enum shrink_answer
is_odd(const struct judge *j, const struct picks *p)
{
    uint32_t count = 0;

    (void)j;
    for (uint32_t i = 0; i < PLAN_ACTIONS_MAX; i++)
        count += picks_has(p, i);
    return same_if(count % 2 == 1);
}

/* Nobody could guess it; but the whole fails, and each selection always in the same way. */
static enum shrink_answer
is_random(const struct judge *j, const struct picks *p)
{
    uint64_t hash = hash64_seeded(slice_of(p->words, sizeof(p->words)), j->salt);

    return same_if(hash % 3 == 0);
}

TEST(what_fails_without_anything_is_found_at_once)
{
    struct picks got;
    struct judge j = shrink("0-4095", always, &got);

    expect_picks(&got, "none");
    EXPECT_U64(j.tries, 1);
    j = shrink("none", always, &got);
    expect_picks(&got, "none");
    EXPECT_U64(j.tries, 0);
}

TEST(two_needles_are_found_in_a_plan_of_thousands)
{
    struct picks got;
    struct judge j = shrink("0-4095", needs_3_and_700, &got);

    expect_picks(&got, "3,700");
    EXPECT(j.tries < 100);
}

TEST(what_needs_everything_stays_as_it_is)
{
    struct picks got;
    struct judge j = shrink("1,3-9,4095", only_the_whole, &got);

    expect_picks(&got, "1,3-9,4095");
    EXPECT(j.tries < 30);
}

TEST(what_hides_a_failure_is_left_out_in_one_piece_with_its_twin)
{
    struct picks got;

    (void)shrink("5-6,9", is_hidden_by_a_pair, &got);
    expect_picks(&got, "9");
    (void)shrink("0-100", is_hidden_by_a_pair, &got);
    EXPECT(picks_has(&got, 9));
}

TEST(an_odd_number_is_not_monotonic_and_ends_at_an_odd_one)
{
    struct picks got;

    (void)shrink("0-4094", is_odd, &got);
    EXPECT_U64(is_odd(NULL, &got), SHRINK_SAME);
}

/* S3, where nothing is monotonic. */
TEST(no_single_element_can_be_left_out_of_what_a_search_returns)
{
    uint64_t seed = test_seed(1);
    uint32_t smaller = 0;

    for (uint64_t i = 0; i < 200; i++) {
        struct judge j = { .rule = is_random, .given = picks_of("0-30"), .salt = seed + i };
        struct picks got = j.given;

        EXPECT(shrink_picks(&got, judge_picks, &j));
        smaller += memcmp(&got, &j.given, sizeof(got)) != 0;
        for (uint32_t e = 0; e <= 30; e++) {
            struct picks less = got;

            if (!picks_has(&got, e))
                continue;
            picks_set(&less, e, false);
            EXPECT_U64(is_random(&j, &less), SHRINK_OTHER);
        }
    }
    EXPECT(smaller > 100);
}

TEST(a_search_that_is_stopped_keeps_what_it_has)
{
    for (uint32_t tries = 1; tries < 60; tries++) {
        struct judge j = { .rule = needs_3_and_700, .tries_max = tries };
        struct picks got;

        j.given = j.last_same = got = picks_of("0-4095");
        if (!shrink_picks(&got, judge_picks, &j))
            EXPECT_U64(j.tries, tries);
        EXPECT_U64(memcmp(&got, &j.last_same, sizeof(got)), 0);
    }
}

/* ------------------------------------------------------------------ numbers */

static enum shrink_answer
judge_number(void *ctx, uint64_t candidate)
{
    struct judge *j = ctx;

    if (j->tries == j->tries_max && j->tries_max > 0)
        return SHRINK_STOP;
    j->tries++;
    return same_if(candidate >= j->least && candidate != j->hole);
}

TEST(a_number_is_bisected)
{
    for (uint64_t least = 5; least <= 1000; least++) {
        struct judge j = { .least = least, .hole = UINT64_MAX };
        uint64_t number = 1000;

        EXPECT(shrink_number(&number, 5, 0, judge_number, &j));
        EXPECT_U64(number, least);
        EXPECT(j.tries <= 10);
    }
}

TEST(a_number_with_a_hole_in_it_still_fails)
{
    for (uint64_t hole = 100; hole <= 999; hole++) {
        struct judge j = { .least = 100, .hole = hole };
        uint64_t number = 1000;

        EXPECT(shrink_number(&number, 1, 0, judge_number, &j));
        EXPECT(number >= 100 && number != hole);
    }
}

TEST(a_number_is_searched_no_finer_than_asked_for)
{
    struct judge j = { .least = 77777, .hole = UINT64_MAX };
    uint64_t number = 120000;

    EXPECT(shrink_number(&number, 1, 2000, judge_number, &j));
    EXPECT(number >= 77777 && number <= 77777 + 2000);
    EXPECT(j.tries <= 7);
    j = (struct judge){ .least = 1, .hole = UINT64_MAX, .tries_max = 2 };
    number = 1000;
    EXPECT(!shrink_number(&number, 1, 0, judge_number, &j));
    EXPECT(number < 500);
}

TEST(a_number_that_cannot_be_smaller_is_not_tried)
{
    struct judge j = { .least = 0 };
    uint64_t number = 3;

    EXPECT(shrink_number(&number, 3, 0, judge_number, &j));
    EXPECT(shrink_number(&number, 4, 0, judge_number, &j));
    EXPECT_U64(number, 3);
    EXPECT_U64(j.tries, 0);
}

/* ------------------------------------------------------------------ kinds */

TEST(a_kind_is_the_first_line_without_numbers_and_names)
{
    static const struct {
        const char *left;
        const char *right;
        bool same;
    } rows[] = {
        { "", "", true },
        { "", "x", false },
        { "node 1 is down", "node 12 is down", true },
        { "node 1 is down", "node 1 is up", false },
        { "node 1 is down", "node 1 is down too", false },
        { "node 1 is down\nfor 3 s", "node 2 is down\nbecause", true },
        { "Key \"r3\": none", "Key \"a \\x00 key\": none", true },
        { "Key \"r3\": none", "Key \"r3\": all", false },
        { "an open \"quote", "an open \"quote", true },
        { "an open \"quote", "an open \"quota", false },
        { "000001.log at 0", "0a1f.log at 77", true },
        { "segment log at 0", "0a1f.log at 77", false },
        { "ended by a signal (SIGABRT)", "ended by a signal (SIGKILL)", false },
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        EXPECT_U64(shrink_same_kind(rows[i].left, rows[i].right), rows[i].same);
        EXPECT_U64(shrink_same_kind(rows[i].right, rows[i].left), rows[i].same);
    }
}

TEST_MAIN(RUN(what_fails_without_anything_is_found_at_once),
          RUN(two_needles_are_found_in_a_plan_of_thousands),
          RUN(what_needs_everything_stays_as_it_is),
          RUN(what_hides_a_failure_is_left_out_in_one_piece_with_its_twin),
          RUN(an_odd_number_is_not_monotonic_and_ends_at_an_odd_one),
          RUN(no_single_element_can_be_left_out_of_what_a_search_returns),
          RUN(a_search_that_is_stopped_keeps_what_it_has), RUN(a_number_is_bisected),
          RUN(a_number_with_a_hole_in_it_still_fails),
          RUN(a_number_is_searched_no_finer_than_asked_for),
          RUN(a_number_that_cannot_be_smaller_is_not_tried),
          RUN(a_kind_is_the_first_line_without_numbers_and_names))
