/*
 * What failure detection costs and how good it is (figures.h), held to bounds; bench/swim prints the same as a table.
 *
 *      test_swim_figures                        in seconds
 *      TEST_MINUTES=60 test_swim_figures        an hour for each row
 */
#include "unit/swim/figures.h"
#include "unit/test.h"

enum { MINUTES = 10, ROW_COUNT = 5, LOSS_COUNT = 4 };

static const uint32_t counts[ROW_COUNT] = { 3, 5, 10, 30, 100 };
static const uint32_t losses[LOSS_COUNT] = { 0, 10, 50, 100 };

static uint32_t
minutes(void)
{
    const char *text = getenv("TEST_MINUTES");

    return text != NULL ? (uint32_t)strtoul(text, NULL, 0) : MINUTES;
}

static void
expect_cheap(const struct figures_setting *s)
{
    struct figures_cost c = figures_peace(s, minutes());

    print_message("%3u nodes, %2u %% lost: %.2f messages, %.0f bytes, %.3f suspicions\n",
                  s->node_count, s->loss_permille / 10, c.messages, c.bytes, c.suspicions);
    EXPECT_U64(c.downs, 0);
    EXPECT(s->loss_permille > 0 || c.suspicions == 0);
    EXPECT(c.suspicions <= 1);
    EXPECT(c.messages <= (s->loss_permille == 0 ? 2.02 : 5));
    EXPECT(c.most_in_second <= 50);
    EXPECT(c.bytes <= c.messages * SWIM_MESSAGE_BYTES_MAX);
}

TEST(nobody_who_lives_is_down_and_what_it_costs_does_not_depend_on_how_many_there_are)
{
    for (int loss = 0; loss < LOSS_COUNT; loss++) {
        for (int row = 0; row < ROW_COUNT; row++)
            expect_cheap(&(struct figures_setting){ .seed = counts[row] + losses[loss],
                                                    .node_count = counts[row],
                                                    .loss_permille = losses[loss] });
    }
}

static void
expect_seen(const struct figures_setting *s)
{
    static struct figures_deaths d;

    figures_deaths(s, FIGURES_DEATHS_MAX, &d);
    print_message("%3u nodes: suspicious %.1f to %.1f s, down %.1f to %.1f s\n", s->node_count,
                  d.suspicious.s[0], figures_part(d.suspicious.s, d.suspicious.count, 1),
                  d.down.s[0], figures_part(d.down.s, d.down.count, 1));
    EXPECT_U64(d.downs, 0);
    EXPECT_U64(d.suspicious.unseen + d.down.unseen, 0);
    /* The first probe that was not answered may have been sent just before the death. */
    EXPECT(d.suspicious.s[0] >= 3.99);
    EXPECT(figures_part(d.suspicious.s, d.suspicious.count, 1) <= 15);
    EXPECT(d.down.s[0] >= 28.99);
    EXPECT(figures_part(d.down.s, d.down.count, 1) <= 40);
}

TEST(a_dead_node_is_seen_in_time_by_everybody)
{
    for (int row = 0; row < ROW_COUNT; row++)
        expect_seen(&(struct figures_setting){ .seed = counts[row], .node_count = counts[row] });
}

TEST_MAIN(RUN(nobody_who_lives_is_down_and_what_it_costs_does_not_depend_on_how_many_there_are),
          RUN(a_dead_node_is_seen_in_time_by_everybody))
