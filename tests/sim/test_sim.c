/* Whole runs, and what they are made of.  Each failure prints the command that replays it. */
#include "sim/agenda.h"
#include "sim/trial.h"
#include "unit/test.h"

static struct trial_report
run(const struct trial_options *options)
{
    struct trial_report report;
    struct err err = { 0 };

    EXPECT_OK(trial_run(options, NULL, NULL, &report, &err));
    return report;
}

static struct trial_options
short_run(uint64_t seed, const char *workload)
{
    struct trial_options options;

    trial_options_default(&options);
    options.seed = seed;
    options.ms = 5000;
    options.workload = workload_find(workload);
    EXPECT(options.workload != NULL);
    return options;
}

static void
expect_fine(const struct trial_options *options)
{
    struct trial_report report = run(options);
    struct buf command = buf_empty(1 << 16);

    if (report.violated) {
        EXPECT_OK(trial_command(options, &command));
        print_error("%s\nreplay: %.*s\n", report.text, (int)command.size,
                    (const char *)command.data);
    }
    buf_release(&command);
    EXPECT(!report.violated && !report.undecided);
}

TEST(a_few_hundred_short_runs_are_fine)
{
    uint64_t seed = test_seed(1);

    for (uint64_t i = 0; i < 300; i++) {
        struct trial_options options;

        trial_options_default(&options);
        options.seed = seed + i;
        options.ms = 5000;
        expect_fine(&options);
    }
}

TEST(short_runs_of_three_nodes_are_fine)
{
    uint64_t seed = test_seed(1);

    for (uint64_t i = 0; i < 100; i++) {
        struct trial_options options;

        trial_options_default(&options);
        options.seed = seed + i;
        options.ms = 10000;
        options.nodes = 3 + (uint32_t)(i % 3);
        options.formed = TRIAL_FIXED;
        expect_fine(&options);
    }
}

/* Nodes join, and come and go, beside all else; in the end everything is where it should be. */
TEST(short_runs_of_clusters_that_form_themselves_are_fine)
{
    uint64_t seed = test_seed(92);

    for (uint64_t i = 0; i < 50; i++) {
        struct trial_options options;

        trial_options_default(&options);
        options.seed = seed + i;
        options.ms = 5000;
        options.nodes = 3 + (uint32_t)(options.seed % 3);
        options.formed = TRIAL_FORMED;
        expect_fine(&options);
    }
}

/* So many of a plan's actions, of these kinds. */
static uint32_t
count_kinds(const struct plan *plan, unsigned kinds)
{
    uint32_t count = 0;

    for (uint32_t i = 0; i < plan->count; i++)
        count += (kinds & 1u << plan->actions[i].kind) != 0;
    return count;
}

TEST(nodes_come_and_go_only_where_the_cluster_forms_itself)
{
    unsigned formed =
        1u << FAULT_DRAIN | 1u << FAULT_SPACE | 1u << FAULT_SPLIT | 1u << FAULT_COPIES;
    unsigned told = 1u << FAULT_MEMBERS | 1u << FAULT_ROT;
    uint32_t seen = 0;

    for (uint64_t seed = 1; seed <= 40; seed++) {
        struct plan_options options = {
            .seed = seed, .nodes = 4, .ms = 60000, .faults = FAULTS_ALL, .formed = seed % 2 == 0
        };
        struct plan plan;

        EXPECT_OK(plan_draw(&plan, &options));
        EXPECT_U64(count_kinds(&plan, options.formed ? told : formed), 0);
        seen += options.formed && count_kinds(&plan, formed) > 0;
        plan_release(&plan);
    }
    EXPECT(seen > 5);
}

TEST(the_same_seed_gives_the_same_trace)
{
    for (uint64_t seed = 1; seed <= 20; seed++) {
        struct trial_options options = short_run(seed, "mixed");
        struct trial_report first;
        struct trial_report second;

        options.nodes = seed % 2 == 0 ? 3 : 1;
        options.formed = seed % 4 == 0 ? TRIAL_FORMED : TRIAL_FIXED;
        first = run(&options);
        second = run(&options);
        EXPECT_U64(first.trace_hash, second.trace_hash);
        EXPECT_U64(memcmp(&first, &second, sizeof(first)), 0);
    }
}

/* A test of the tests: a log that is never synced loses acknowledged writes, and that is seen. */
TEST(a_log_that_is_not_synced_is_found_out)
{
    uint32_t found = 0;

    for (uint64_t seed = 1; seed <= 40; seed++) {
        struct trial_options options = short_run(seed, "plain");

        options.ignore_sync = ".log";
        found += run(&options).violated;
    }
    EXPECT(found >= 5);
}

/* How many pauses the plan of all kinds has; each is also, and in this order, in the other, if it has any. */
static uint32_t
compare_pauses(uint64_t seed)
{
    struct plan_options all = { .seed = seed, .nodes = 3, .ms = 60000, .faults = FAULTS_ALL };
    struct plan_options one = {
        .seed = seed, .nodes = 3, .ms = 60000, .faults = 1u << FAULT_PAUSE
    };
    struct plan whole, part;
    uint32_t seen = 0;

    EXPECT_OK(plan_draw(&whole, &all));
    EXPECT_OK(plan_draw(&part, &one));
    for (uint32_t i = 0; i < whole.count; i++) {
        if (whole.actions[i].kind != FAULT_PAUSE)
            continue;
        assert_true(seen < part.count);
        EXPECT_U64(whole.actions[i].at_ms, part.actions[seen].at_ms);
        EXPECT_U64(whole.actions[i].node, part.actions[seen++].node);
    }
    EXPECT(seen == 0 || seen == part.count);
    plan_release(&whole);
    plan_release(&part);
    return seen;
}

TEST(leaving_a_kind_out_does_not_move_the_others)
{
    uint32_t seen = 0;

    for (uint64_t seed = 1; seed <= 20; seed++)
        seen += compare_pauses(seed);
    EXPECT(seen > 0);
}

TEST(a_plan_that_must_keep_what_is_not_synced_has_no_fault_that_takes_it)
{
    for (uint64_t seed = 1; seed <= 50; seed++) {
        struct plan_options options = {
            .seed = seed, .nodes = 1, .ms = 60000, .faults = FAULTS_ALL, .keeps_unsynced = true
        };
        struct plan plan;

        EXPECT_OK(plan_draw(&plan, &options));
        for (uint32_t i = 0; i < plan.count; i++) {
            EXPECT(plan.actions[i].kind != FAULT_POWER && plan.actions[i].kind != FAULT_IO);
            EXPECT(plan.actions[i].kind != FAULT_DEATH && plan.actions[i].kind != FAULT_RECOVERY);
            EXPECT(plan.actions[i].kind != FAULT_PARTITION); /* one node alone has no links */
        }
        plan_release(&plan);
    }
}

TEST(an_agenda_gives_what_is_due_in_the_order_in_which_it_came)
{
    struct action first = { .node = 1 }, second = { .node = 2 };
    struct action third = { .awaits = PLAN_INSTALL, .after_us = 5 };
    struct agenda agenda;
    struct action out;

    EXPECT_OK(agenda_init(&agenda, 3));
    agenda_add(&agenda, 20, &first);
    agenda_add(&agenda, 10, &second);
    agenda_add(&agenda, AGENDA_SOME_DAY, &third);
    EXPECT_U64(agenda_next_ns(&agenda), 10);
    EXPECT(!agenda_take(&agenda, 9, &out));
    EXPECT(agenda_take(&agenda, 20, &out) && out.node == 1);
    EXPECT(agenda_take(&agenda, 20, &out) && out.node == 2);
    EXPECT(!agenda_take(&agenda, UINT64_MAX, &out));
    EXPECT_U64(agenda_next_ns(&agenda), AGENDA_SOME_DAY);
    agenda_date(&agenda, PLAN_ELECTION, 2, 50);
    EXPECT_U64(agenda_next_ns(&agenda), AGENDA_SOME_DAY);
    agenda_date(&agenda, PLAN_INSTALL, 3, 100);
    EXPECT_U64(agenda_next_ns(&agenda), 5100);
    EXPECT(!agenda_take(&agenda, 5099, &out));
    EXPECT(agenda_take(&agenda, 5100, &out) && out.node == 3);
    agenda_release(&agenda);
}

TEST(a_selection_is_printed_as_it_is_read)
{
    static const char *const good[] = { "none", "0", "3,7-9", "0-4095" };
    static const char *const bad[] = { "", "a", "3-", ",3", "3,", "4096", "3..4" };
    struct picks picks;

    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        struct buf text = buf_empty(1000);

        EXPECT(picks_parse(good[i], &picks));
        EXPECT_OK(picks_print(&picks, &text));
        EXPECT_SLICE(buf_slice(&text), good[i]);
        buf_release(&text);
    }
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        EXPECT(!picks_parse(bad[i], &picks));
}

TEST(a_value_tells_its_name_and_damage)
{
    uint8_t value[400];
    char name[VALUE_NAME_MAX];
    size_t size = value_make(value, sizeof(value), 3, 17);

    EXPECT_U64(size, sizeof(value));
    value_name(slice_of(value, size), name);
    EXPECT_STR(name, "3.17");
    for (size_t i = 0; i < size; i++) {
        value[i] ^= 1;
        value_name(slice_of(value, size), name);
        EXPECT(strcmp(name, "3.17") != 0);
        value[i] ^= 1;
    }
    size = value_make(value, 0, 3, 17);
    value_name(slice_of(value, size), name);
    EXPECT_STR(name, "3.17");
}

QUIET_TEST_MAIN(RUN(a_few_hundred_short_runs_are_fine), RUN(short_runs_of_three_nodes_are_fine),
                RUN(short_runs_of_clusters_that_form_themselves_are_fine),
                RUN(nodes_come_and_go_only_where_the_cluster_forms_itself),
                RUN(the_same_seed_gives_the_same_trace), RUN(a_log_that_is_not_synced_is_found_out),
                RUN(leaving_a_kind_out_does_not_move_the_others),
                RUN(a_plan_that_must_keep_what_is_not_synced_has_no_fault_that_takes_it),
                RUN(an_agenda_gives_what_is_due_in_the_order_in_which_it_came),
                RUN(a_selection_is_printed_as_it_is_read), RUN(a_value_tells_its_name_and_damage))
