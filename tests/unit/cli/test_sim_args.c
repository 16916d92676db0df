/* Tests of cli/sim_args.c: above all, that a command which replays a run asks for exactly that run. */
#include "base/prng.h"

#include "cli/sim_args.h"
#include "sim/node.h"
#include "unit/test.h"

enum { WORDS_MAX = 40, COMMAND_BYTES_MAX = 1 << 16 };

/* As a shell would: `text` is cut into words. */
static enum status
take(struct sim_args *a, char *text, struct err *err)
{
    char *words[WORDS_MAX];
    char *rest = NULL;
    int count = 0;

    for (char *word = strtok_r(text, " ", &rest); word != NULL; word = strtok_r(NULL, " ", &rest)) {
        EXPECT(count < WORDS_MAX);
        words[count++] = word;
    }
    return sim_args_take(a, count, words, err);
}

/* What comes of "distkv sim ..." with these options. */
static struct trial_options
replay(const struct trial_options *options)
{
    struct buf command = buf_empty(COMMAND_BYTES_MAX);
    struct trial_options again;
    struct sim_args args;
    struct err err;

    EXPECT_OK(trial_command(options, &command));
    EXPECT_OK(buf_append(&command, slice_of("", 1)));
    EXPECT_OK(take(&args, (char *)command.data + strlen("distkv sim "), &err));
    buf_release(&command);
    sim_args_draw(&args, args.seeds.first, &again);
    EXPECT_U64(args.seeds.last, args.seeds.first);
    return again;
}

/* A plan is cut off at the end of a run: a millisecond can decide. */
TEST(every_number_of_milliseconds_is_replayed_exactly)
{
    struct trial_options options;

    trial_options_default(&options);
    for (options.ms = 1; options.ms <= 24 * 3600 * 1000; options.ms += 1 + options.ms / 20000)
        EXPECT_U64(replay(&options).ms, options.ms);
}

static struct trial_options
draw_options(struct prng *p)
{
    struct trial_options o;

    trial_options_default(&o);
    o.seed = prng_next(p) >> 1;
    o.nodes = 1 + (uint32_t)prng_below(p, NODE_CLUSTER_MAX);
    o.ms = 1 + prng_below(p, 1000000);
    o.faults = (unsigned)prng_below(p, FAULTS_ALL + 1u);
    o.rate = (uint32_t)prng_below(p, 1000);
    o.callers = (uint32_t)prng_below(p, SETUP_CALLERS_MAX + 1);
    o.ops_max = prng_below(p, 2) * prng_below(p, 100000);
    o.formed = (enum trial_formed)prng_below(p, TRIAL_FIXED + 1);
    o.only.some = prng_chance(p, 1, 2);
    for (uint32_t i = 0; i < 50 && o.only.some; i++)
        picks_set(&o.only, (uint32_t)prng_below(p, PLAN_ACTIONS_MAX), true);
    if (prng_chance(p, 1, 2))
        o.workload = workload_at((uint32_t)prng_below(p, workload_count()));
    return o;
}

TEST(all_options_are_replayed_exactly)
{
    struct prng prng;

    prng_init(&prng, test_seed(1));
    for (int i = 0; i < 2000; i++) {
        struct trial_options want = draw_options(&prng);
        struct trial_options got = replay(&want);

        EXPECT_U64(got.seed, want.seed);
        EXPECT_U64(got.nodes, want.nodes);
        EXPECT_U64(got.ms, want.ms);
        EXPECT_U64(got.faults, want.faults);
        EXPECT_U64(got.formed, want.formed);
        EXPECT_U64(got.rate, want.rate);
        EXPECT_U64(got.callers, want.callers);
        EXPECT_U64(got.ops_max, want.ops_max);
        EXPECT(got.workload == want.workload);
        EXPECT_U64(memcmp(&got.only, &want.only, sizeof(got.only)), 0);
    }
}

TEST(a_range_is_drawn_from_whole_and_a_seed_does_not_depend_on_the_others)
{
    char many[] = "--seeds 1..1000 --nodes 3..7 --minutes 2..10";
    char one[] = "--seed 17 --nodes 3..7 --minutes 2..10";
    struct sim_args args;
    struct trial_options o, alone;
    struct err err;
    uint32_t nodes[NODE_CLUSTER_MAX + 1] = { 0 };
    uint32_t minutes[11] = { 0 };

    EXPECT_OK(take(&args, one, &err));
    sim_args_draw(&args, 17, &alone);
    EXPECT_OK(take(&args, many, &err));
    for (uint64_t seed = 1; seed <= 1000; seed++) {
        sim_args_draw(&args, seed, &o);
        EXPECT(o.ms >= 120000 && o.ms <= 600000);
        nodes[o.nodes]++;
        minutes[o.ms / 60000]++;
    }
    for (uint32_t n = 3; n <= 7; n++)
        EXPECT_U64(nodes[n], 200);
    for (uint32_t m = 2; m < 10; m++)
        EXPECT(minutes[m] > 80);
    sim_args_draw(&args, 17, &o);
    EXPECT_U64(o.ms, alone.ms);
    EXPECT_U64(o.nodes, alone.nodes);
}

TEST_MAIN(RUN(every_number_of_milliseconds_is_replayed_exactly),
          RUN(all_options_are_replayed_exactly),
          RUN(a_range_is_drawn_from_whole_and_a_seed_does_not_depend_on_the_others))
