/*
 * Seeds side by side, lines in order
 *
 * A window of slots moves over the seeds; seed n has slot n modulo their number.  So many processes
 * run at a time as were asked for, and what is over waits in its slot until its turn has come: the
 * output does not depend on which seed is fast.
 *
 *        told      over   busy   over   busy   free
 *      ... [ 5 ] | [ 6 ]  [ 7 ]  [ 8 ]  [ 9 ]  [   ]
 *                 next_told                  next_started
 *
 *   M1  next_told <= next_started <= next_told + slot_count, and every seed between them has its slot.
 *
 * A violation that is to be made smaller has the machine to itself: nothing is started, and what runs
 * is waited for.
 */
#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/mem.h"

#include "cli/cli.h"
#include "cli/show.h"
#include "cli/sim_tell.h"
#include "cli/target.h"

enum { CODE_FINE, CODE_VIOLATION, CODE_WRONG };
enum { SLOTS_PER_JOB = 8, SAID_BYTES_MAX = 4096 };

struct simulation {
    struct sim_args args;
    struct sim_run *slots; /* owned */
    uint64_t slot_count;
    uint64_t next_told; /* M1 */
    uint64_t next_started;
    uint64_t busy;
    struct sim_sums sums;
    struct progress progress;
    bool bar;
};

static struct sim_run *
slot_of(const struct simulation *s, uint64_t seed)
{
    return &s->slots[seed % s->slot_count];
}

/* ------------------------------------------------------------------ processes */

static enum status
start_some(struct simulation *s, struct err *err)
{
    enum status st = ST_OK;

    while (st == ST_OK && s->busy < s->args.jobs && s->next_started <= s->args.seeds.last &&
           s->next_started - s->next_told < s->slot_count) {
        struct trial_options options;

        sim_args_draw(&s->args, s->next_started, &options);
        st = sim_run_start(slot_of(s, s->next_started), &options, err);
        if (st != ST_OK)
            break;
        s->next_started++;
        s->busy++;
    }
    ASSERT(s->next_told <= s->next_started);
    ASSERT(s->next_started - s->next_told <= s->slot_count); /* M1 */
    return st;
}

/* How many have come to their end since. */
static uint64_t
collect(struct simulation *s)
{
    uint64_t before = s->busy;

    for (uint64_t seed = s->next_told; seed < s->next_started; seed++) {
        struct sim_run *r = slot_of(s, seed);

        if (r->child > 0 && sim_run_poll(r, s->args.seconds_max))
            s->busy--;
    }
    return before - s->busy;
}

static void
collect_all(struct simulation *s)
{
    while (s->busy > 0 && !sim_watch_interrupted()) {
        if (collect(s) == 0)
            sim_watch_wait();
    }
}

/* ------------------------------------------------------------------ telling */

static enum status
shrink(struct simulation *s, const struct sim_run *r, struct sim_smaller *out, struct err *err)
{
    collect_all(s);
    return sim_smaller_find(out, r, &s->args, err);
}

static enum status
tell(struct simulation *s, const struct sim_run *r, struct err *err)
{
    bool wanted = s->args.shrink && r->report->violated;
    struct sim_smaller smaller;
    enum status st = ST_OK;

    if (s->bar)
        progress_hide(&s->progress);
    if (!s->args.json)
        sim_tell_seed(r);
    if (wanted)
        st = shrink(s, r, &smaller, err);
    if (st == ST_OK && wanted && !s->args.json)
        sim_tell_smaller(&smaller);
    return st == ST_OK && s->args.json ? sim_tell_json(r, wanted ? &smaller : NULL, err) : st;
}

static enum status
fail(const struct sim_run *r, struct err *err)
{
    char said[SAID_BYTES_MAX];

    sim_run_said(r, said, sizeof(said));
    return err_raise(err, ST_IO, "seed %" PRIu64 ": %s", r->options.seed, said);
}

/* All whose turn has come. */
static enum status
tell_some(struct simulation *s, struct err *err)
{
    enum status st = ST_OK;

    while (st == ST_OK && s->next_told < s->next_started && slot_of(s, s->next_told)->over) {
        struct sim_run *r = slot_of(s, s->next_told);

        if (r->failed)
            return fail(r, err);
        st = tell(s, r, err);
        sim_sums_add(&s->sums, r);
        s->next_told++;
        if (s->bar)
            progress_update(&s->progress, s->sums.seeds, s->sums.seeds);
    }
    return st;
}

static bool
tell_sums(const struct simulation *s)
{
    FILE *out = s->args.json ? stderr : stdout;
    bool unseen = s->args.marks_all && sim_sums_tell_unseen(&s->sums, out) > 0;

    if (s->args.marks_count)
        sim_sums_tell_marks(&s->sums, out);
    if (!s->args.json && (s->sums.seeds > 1 || s->args.marks_count))
        sim_sums_tell(&s->sums);
    return unseen;
}

/* ------------------------------------------------------------------ the whole */

static enum status
prepare(struct simulation *s, struct err *err)
{
    uint64_t count = s->args.seeds.last - s->args.seeds.first + 1;
    enum status st = ST_OK;

    s->next_told = s->next_started = s->args.seeds.first;
    s->slot_count = s->args.jobs == 1 ? 1 : s->args.jobs * SLOTS_PER_JOB;
    s->slots = mem_new_array(struct sim_run, s->slot_count);
    if (s->slots == NULL)
        return err_raise(err, ST_NO_MEMORY, "no memory for the runs");
    for (uint64_t i = 0; i < s->slot_count && st == ST_OK; i++)
        st = sim_run_init(&s->slots[i], err);
    sim_sums_init(&s->sums);
    s->bar = count > 1 && isatty(STDERR_FILENO) != 0;
    if (s->bar)
        progress_begin(&s->progress, stderr, "seeds", count);
    return st;
}

static enum status
run_seeds(struct simulation *s, struct err *err)
{
    enum status st = ST_OK;

    while (st == ST_OK && s->next_told <= s->args.seeds.last && !sim_watch_interrupted()) {
        st = start_some(s, err);
        if (st == ST_OK && collect(s) == 0)
            sim_watch_wait();
        if (st == ST_OK)
            st = tell_some(s, err);
    }
    return st;
}

static void
finish(struct simulation *s)
{
    if (s->bar)
        progress_end(&s->progress, s->sums.seeds);
    for (uint64_t i = 0; s->slots != NULL && i < s->slot_count; i++)
        sim_run_release(&s->slots[i]);
    mem_free(s->slots);
}

static int
simulate(struct simulation *s)
{
    struct sim_watch watch;
    struct err err = { 0 };
    bool unseen = false;
    enum status st;

    sim_watch_begin(&watch);
    st = prepare(s, &err);
    if (st == ST_OK)
        st = run_seeds(s, &err);
    finish(s);
    sim_watch_end(&watch);
    if (st == ST_OK)
        unseen = tell_sums(s);
    else
        fprintf(stderr, "distkv sim: %s\n", err.text);
    if (st != ST_OK)
        return CODE_WRONG;
    return unseen || s->sums.violations > 0 ? CODE_VIOLATION : CODE_FINE;
}

int
cli_sim_main(int argc, char **argv)
{
    struct simulation s = { 0 };
    struct err err = { 0 };

    if (target_wants_help(argc, argv, argc))
        return fputs(sim_args_help, stdout) < 0;
    if (sim_args_take(&s.args, argc, argv, &err) == ST_OK)
        return simulate(&s);
    fprintf(stderr, "distkv sim: %s\ndistkv sim --help says what there is\n", err.text);
    return CODE_WRONG;
}
