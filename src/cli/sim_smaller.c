/*
 * The order of the search
 *
 * A run with another number of nodes has another plan, so nodes come first, and only while no action
 * is picked by its number.  A shorter run has the same plan up to its end; fewer clients, and fewer
 * operations, change nothing in what is planned.  Each step begins with the smallest run so far:
 *
 *      nodes --> minutes --> faults --> clients --> operations
 *                   ^                                    |
 *                   '------- as long as it helps --------'
 *
 * A run is small when a person can follow it; so minutes are not searched to the millisecond, but
 * faults and operations to the last.
 *
 * Not here, on purpose: attempts side by side.  Each depends on how the one before has ended.
 */
#include "cli/sim_smaller.h"

#include <inttypes.h>
#include <string.h>
#include <unistd.h>

#include "base/assert.h"

#include "cli/show.h"
#include "sim/shrink.h"

enum { ATTEMPTS_MAX = 2000, MINUTE_MS = 60000, MS_PARTS = 64, OPS_UNKNOWN = 1 << 20 };

enum dimension { BY_NODES, BY_MS, BY_CLIENTS, BY_OPS };

struct hunt {
    struct sim_smaller *out;
    const struct sim_args *args;
    const char *wanted; /* the text of the violation */
    struct sim_run run; /* of an attempt */
    enum dimension dimension;
    uint64_t seen_ms;  /* when the smallest run so far went wrong */
    uint64_t seen_ops; /* how many it asked; 0: nobody knows */
    double begun;
    bool terminal;
};

/* ------------------------------------------------------------------ sizes */

static uint32_t
count_picked(const struct plan *plan, const struct picks *only)
{
    uint32_t count = 0;

    for (uint32_t i = 0; i < plan->count; i++)
        count += picks_has(only, i);
    return count;
}

static enum status
measure(const struct trial_options *o, uint64_t ops, struct sim_size *out)
{
    struct setup setup;
    struct plan plan;
    enum status st = sim_run_plan(o, &plan);

    if (st != ST_OK)
        return st;
    setup_draw(&setup, o);
    *out = (struct sim_size){ .nodes = o->nodes,
                              .ms = o->ms,
                              .faults = count_picked(&plan, &o->only),
                              .clients = setup.callers,
                              .ops = ops };
    plan_release(&plan);
    return ST_OK;
}

/* The same selection, named action by action: what can be made smaller. */
static enum status
name_picks(const struct trial_options *o, struct picks *out)
{
    struct plan plan;
    enum status st = sim_run_plan(o, &plan);

    if (st != ST_OK)
        return st;
    *out = (struct picks){ .some = true };
    for (uint32_t i = 0; i < plan.count; i++)
        picks_set(out, i, picks_has(&o->only, i));
    plan_release(&plan);
    return ST_OK;
}

bool
sim_smaller_helped(const struct sim_smaller *s)
{
    return memcmp(&s->before, &s->after, sizeof(s->before)) != 0;
}

/* ------------------------------------------------------------------ attempts */

static double
seconds_left(const struct hunt *h)
{
    return h->begun + (double)h->args->shrink_seconds - show_clock();
}

static void
show_progress(const struct hunt *h)
{
    const struct sim_size *s = &h->out->after;

    if (!h->terminal)
        return;
    fprintf(stderr,
            "\r\033[Kshrinking seed %" PRIu64 ": attempt %" PRIu32 "; %" PRIu64
            " nodes, %.2f minutes, %" PRIu64 " faults, %" PRIu64 " clients, %" PRIu64
            " operations; %.0f s left",
            h->out->options.seed, h->out->attempts, s->nodes, (double)s->ms / MINUTE_MS, s->faults,
            s->clients, s->ops, seconds_left(h));
    fflush(stderr);
}

/* False: the search is to stop. */
static bool
run_attempt(struct hunt *h, const struct trial_options *candidate)
{
    struct err err;

    if (h->out->attempts == ATTEMPTS_MAX || seconds_left(h) <= 0 || sim_watch_interrupted() ||
        sim_run_start(&h->run, candidate, &err) != ST_OK)
        return false;
    h->out->attempts++;
    while (!sim_run_poll(&h->run, h->args->seconds_max)) {
        if (seconds_left(h) <= 0 || sim_watch_interrupted()) {
            sim_run_end(&h->run);
            return false;
        }
        sim_watch_wait();
    }
    return !h->run.failed;
}

static enum shrink_answer
attempt(struct hunt *h, const struct trial_options *candidate)
{
    const struct trial_report *r = h->run.report;
    struct sim_size size;

    show_progress(h);
    if (!run_attempt(h, candidate))
        return SHRINK_STOP;
    if (!r->violated || !shrink_same_kind(r->text, h->wanted))
        return SHRINK_OTHER;
    if (measure(candidate, r->issued, &size) != ST_OK)
        return SHRINK_STOP;
    h->out->options = *candidate;
    h->out->after = size;
    h->seen_ms = r->simulated_ms;
    h->seen_ops = r->issued;
    return SHRINK_SAME;
}

static enum shrink_answer
attempt_number(void *ctx, uint64_t number)
{
    struct hunt *h = ctx;
    struct trial_options candidate = h->out->options;

    switch (h->dimension) {
    case BY_NODES:
        candidate.nodes = (uint32_t)number;
        break;
    case BY_MS:
        candidate.ms = number;
        break;
    case BY_CLIENTS:
        candidate.callers = (uint32_t)number;
        break;
    case BY_OPS:
        candidate.ops_max = number;
        break;
    }
    return attempt(h, &candidate);
}

static enum shrink_answer
attempt_picks(void *ctx, const struct picks *picks)
{
    struct hunt *h = ctx;
    struct trial_options candidate = h->out->options;

    candidate.only = *picks;
    return attempt(h, &candidate);
}

/* ------------------------------------------------------------------ steps; false: stopped */

static bool
bisect(struct hunt *h, enum dimension dimension, uint64_t from, uint64_t fine)
{
    h->dimension = dimension;
    return shrink_number(&from, 1, fine, attempt_number, h);
}

/* The fewest first: they are the fastest, too. */
static bool
fewer_nodes(struct hunt *h)
{
    uint32_t nodes = h->out->options.nodes;

    h->dimension = BY_NODES;
    for (uint32_t n = 1; n < nodes && !h->out->options.only.some; n++) {
        enum shrink_answer said = attempt_number(h, n);

        if (said != SHRINK_OTHER)
            return said == SHRINK_SAME;
    }
    return true;
}

/* What has gone wrong before the healing does so, too, when the healing begins just after it. */
static bool
fewer_minutes(struct hunt *h)
{
    h->dimension = BY_MS;
    if (h->seen_ms + 1 < h->out->options.ms && attempt_number(h, h->seen_ms + 1) == SHRINK_STOP)
        return false;
    return bisect(h, BY_MS, h->out->options.ms, h->out->options.ms / MS_PARTS);
}

static bool
fewer_faults(struct hunt *h)
{
    struct picks picks;

    if (name_picks(&h->out->options, &picks) != ST_OK)
        return false;
    return shrink_picks(&picks, attempt_picks, h);
}

static bool
fewer_clients(struct hunt *h)
{
    return bisect(h, BY_CLIENTS, h->out->after.clients, 0);
}

static bool
fewer_ops(struct hunt *h)
{
    uint64_t ops = h->seen_ops > 0 ? h->seen_ops : OPS_UNKNOWN;

    if (h->out->options.ops_max != 0 && h->out->options.ops_max < ops)
        ops = h->out->options.ops_max;
    return bisect(h, BY_OPS, ops, 0);
}

static bool
search(struct hunt *h)
{
    bool going = fewer_nodes(h);
    struct sim_size before;

    do {
        before = h->out->after;
        going = going && fewer_minutes(h) && fewer_faults(h) && fewer_clients(h) && fewer_ops(h);
    } while (going && memcmp(&before, &h->out->after, sizeof(before)) != 0);
    return going;
}

/* ------------------------------------------------------------------ the whole */

enum status
sim_smaller_find(struct sim_smaller *out, const struct sim_run *wrong, const struct sim_args *args,
                 struct err *err)
{
    struct hunt h = { .out = out,
                      .args = args,
                      .wanted = wrong->report->text,
                      .seen_ms = wrong->report->simulated_ms,
                      .seen_ops = wrong->report->issued,
                      .begun = show_clock(),
                      .terminal = isatty(STDERR_FILENO) != 0 };
    enum status st = sim_run_init(&h.run, err);

    ASSERT(wrong->over && wrong->report->violated);
    *out = (struct sim_smaller){ .options = wrong->options };
    out->options.history_path = NULL;
    out->options.trace_path = NULL;
    if (st == ST_OK && measure(&out->options, h.seen_ops, &out->before) != ST_OK)
        st = err_raise(err, ST_NO_MEMORY, "no memory for a plan");
    out->after = out->before;
    if (st == ST_OK)
        out->hurried = !search(&h);
    out->seconds = show_clock() - h.begun;
    sim_run_release(&h.run);
    if (h.terminal)
        fprintf(stderr, "\r\033[K");
    return st;
}
