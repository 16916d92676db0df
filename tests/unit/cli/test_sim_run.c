/* Tests of cli/sim_run.c: how a process may end, and what is then known. */
#include "cli/show.h"
#include "cli/sim_run.h"
#include "sim/shrink.h"
#include "unit/test.h"

enum { SECONDS_MAX = 60, LONG_MS = 24 * 3600 * 1000, SHORT_MS = 1000 };

static struct trial_options
options_of(uint32_t nodes, uint64_t ms)
{
    struct trial_options o;

    trial_options_default(&o);
    o.nodes = nodes;
    o.ms = ms;
    return o;
}

static struct sim_run
started(const struct trial_options *options)
{
    struct sim_run r;
    struct err err;

    EXPECT_OK(sim_run_init(&r, &err));
    EXPECT_OK(sim_run_start(&r, options, &err));
    return r;
}

static void
wait_for_end(struct sim_run *r, uint64_t seconds_max)
{
    while (!sim_run_poll(r, seconds_max))
        usleep(1000);
    EXPECT(r->over && r->child == 0);
}

TEST(a_run_ends_with_a_report_and_its_slot_serves_again)
{
    struct trial_options o = options_of(1, SHORT_MS);
    struct sim_run r = started(&o);
    struct err err;
    uint64_t hash;

    wait_for_end(&r, SECONDS_MAX);
    EXPECT(!r.failed && !r.report->violated && r.report->simulated_ms >= SHORT_MS);
    hash = r.report->trace_hash;
    EXPECT(hash != 0);
    EXPECT_OK(sim_run_start(&r, &o, &err));
    EXPECT(!r.over);
    wait_for_end(&r, SECONDS_MAX);
    EXPECT_U64(r.report->trace_hash, hash);
    sim_run_release(&r);
}

/* No node at all is a bug of whoever asks for it: an assertion as good as any. */
TEST(the_last_words_of_a_bug_are_the_text_of_the_violation)
{
    struct trial_options o = options_of(1, SHORT_MS);
    struct sim_run r;

    o.nodes = 0;
    r = started(&o);
    wait_for_end(&r, SECONDS_MAX);
    EXPECT(r.report->violated && !r.failed);
    EXPECT(strstr(r.report->text, "signal 6 (SIGABRT): distkv: bug: src/sim/trial.c:") != NULL);
    EXPECT(strstr(r.report->text, "assertion failed: options->nodes >= 1") != NULL);
    EXPECT(shrink_same_kind(r.report->text, r.report->text));
    EXPECT(!shrink_same_kind(r.report->text, "the process ended by signal 6 (SIGABRT)\n"));
    EXPECT(strlen(r.report->workload) > 0);
    sim_run_release(&r);
}

TEST(what_one_run_said_is_not_said_of_the_next)
{
    struct trial_options bad = options_of(0, SHORT_MS);
    struct trial_options forever = options_of(1, LONG_MS);
    struct sim_run r = started(&bad);
    struct err err;

    wait_for_end(&r, SECONDS_MAX);
    EXPECT_OK(sim_run_start(&r, &forever, &err));
    EXPECT(!r.report->violated);
    kill(r.child, SIGKILL);
    wait_for_end(&r, SECONDS_MAX);
    EXPECT(r.report->violated);
    EXPECT(strstr(r.report->text, "assertion") == NULL);
    sim_run_release(&r);
}

TEST(a_run_that_takes_too_long_is_ended_and_says_how_far_it_was)
{
    struct trial_options o = options_of(1, LONG_MS);
    struct sim_run r = started(&o);
    double begun = show_clock();
    pid_t child = r.child;

    wait_for_end(&r, 1);
    EXPECT(show_clock() - begun >= 0.9);
    EXPECT(r.report->violated && r.report->simulated_ms > 0);
    EXPECT(strstr(r.report->text, "did not end within 1 s of real time (at ") == r.report->text);
    EXPECT(kill(child, 0) != 0);
    sim_run_release(&r);
}

TEST(a_file_that_cannot_be_written_is_no_violation)
{
    struct trial_options o = options_of(1, SHORT_MS);
    char said[TRIAL_TEXT_MAX];
    struct sim_run r;

    o.history_path = "/nowhere/at/all";
    r = started(&o);
    wait_for_end(&r, SECONDS_MAX);
    EXPECT(r.failed && !r.report->violated);
    sim_run_said(&r, said, sizeof(said));
    EXPECT(strstr(said, "/nowhere/at/all cannot be written") != NULL);
    sim_run_release(&r);
}

TEST(a_run_that_is_released_leaves_no_process)
{
    struct trial_options o = options_of(1, LONG_MS);
    struct sim_run r = started(&o);
    pid_t child = r.child;

    EXPECT(kill(child, 0) == 0);
    sim_run_release(&r);
    EXPECT(kill(child, 0) != 0);
}

QUIET_TEST_MAIN(RUN(a_run_ends_with_a_report_and_its_slot_serves_again),
                RUN(the_last_words_of_a_bug_are_the_text_of_the_violation),
                RUN(what_one_run_said_is_not_said_of_the_next),
                RUN(a_run_that_takes_too_long_is_ended_and_says_how_far_it_was),
                RUN(a_file_that_cannot_be_written_is_no_violation),
                RUN(a_run_that_is_released_leaves_no_process))
