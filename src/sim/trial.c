#include "sim/trial.h"

#include <errno.h>
#include <stdio.h>

#include "base/assert.h"
#include "base/log.h"
#include "base/mem.h"

#include "history/check.h"
#include "history/codec.h"
#include "sim/census.h"
#include "sim/havoc.h"
#include "sim/observer.h"
#include "sim/survey.h"

enum {
    NS_PER_MS = 1000000,
    LIVENESS_MS = 60000, /* after healing, everything is answered within this */
    SETTLED_MS = 180000, /* and every tablet is where it should be within this */
    SPACE_TABLETS = 4,
    STEP_MS_MAX = 100,
    EXPLANATION_BYTES_MAX = 1 << 20,
    LINE_BYTES_MAX = 1 << 20,
};

#define JUDGE_BYTES_MAX ((size_t)256 << 20)

struct trial {
    trial_trace_fn *trace;
    void *trace_ctx;
    const struct trial_options *options;
    struct trial_report *report;
    struct setup setup;
    struct plan plan;
    struct sim *world;
    struct node nodes[NODE_CLUSTER_MAX];
    struct crowd *crowd;
    struct havoc *havoc;
    struct observer *observer;
    struct census *census;
    struct clerk *clerk;
    bool stirred;   /* something happened that somebody waits for */
    uint64_t wakes; /* waits that ended with an answer */
    uint64_t begun_ms;
};

/* ------------------------------------------------------------------ verdicts */

static void
convict(struct trial *t, struct slice text)
{
    if (t->report->violated)
        return;
    t->report->violated = true;
    snprintf(t->report->text, sizeof(t->report->text), "%.*s", (int)text.size,
             (const char *)text.data);
}

/* Memory is the experimenter's trouble, all else the subject's. */
static enum status
take(struct trial *t, enum status st, const struct err *err)
{
    if (st != ST_OK && st != ST_NO_MEMORY)
        convict(t, slice_str(err->text));
    return st == ST_NO_MEMORY ? st : ST_OK;
}

static enum status
judge(struct trial *t, struct err *err)
{
    struct history_check_options options = { .memory_bytes_max = JUDGE_BYTES_MAX };
    const struct history *h = crowd_history(t->crowd);
    struct history_report report = { 0 };
    struct buf text = buf_empty(EXPLANATION_BYTES_MAX);
    enum status st = history_check(h, &options, &report, err);

    if (st == ST_OK && report.verdict == HISTORY_VIOLATION) {
        st = history_explain(h, &report, &text);
        convict(t, buf_slice(&text));
    }
    t->report->undecided = report.verdict == HISTORY_UNDECIDED;
    buf_release(&text);
    return st;
}

static enum status
write_lines(const struct history *h, FILE *file, struct err *err)
{
    struct buf line = buf_empty(LINE_BYTES_MAX);
    enum status st = ST_OK;

    for (uint32_t i = 0; i < history_op_count(h) && st == ST_OK; i++) {
        struct history_op op = history_op_at(h, i);

        line.size = 0;
        st = history_write(&line, &op, err);
        if (st == ST_OK && fwrite(line.data, 1, line.size, file) != line.size)
            st = err_raise_sys(err, ST_IO, errno, "the history cannot be written");
    }
    buf_release(&line);
    return st;
}

static enum status
export_history(const struct trial *t, struct err *err)
{
    const char *path = t->options->history_path;
    FILE *file = path == NULL ? NULL : fopen(path, "w");
    enum status st;

    if (path == NULL)
        return ST_OK;
    if (file == NULL)
        return err_raise_sys(err, ST_IO, errno, "%s cannot be written", path);
    st = write_lines(crowd_history(t->crowd), file, err);
    if (fclose(file) != 0 && st == ST_OK)
        st = err_raise_sys(err, ST_IO, errno, "%s cannot be written", path);
    return st;
}

/* ------------------------------------------------------------------ phases */

static uint64_t
now_ms(const struct trial *t)
{
    return sim_now_ns(t->world) / NS_PER_MS;
}

static void
wait_for_next(struct trial *t)
{
    uint64_t now = sim_now_ns(t->world);
    uint64_t next = crowd_next_ns(t->crowd);
    uint64_t also = havoc_next_ns(t->havoc);
    uint64_t ms;

    if (also < next)
        next = also;
    ms = next <= now ? 1 : (next - now + NS_PER_MS - 1) / NS_PER_MS;
    t->wakes += sim_run_until(t->world, &t->stirred, ms < STEP_MS_MAX ? ms : STEP_MS_MAX);
}

typedef bool phase_done_fn(const struct trial *t);

/* Until it is done, or `limit_ms` have passed. */
static enum status
run_phase(struct trial *t, phase_done_fn *done, uint64_t limit_ms)
{
    uint64_t limit = now_ms(t) + limit_ms;
    enum status st = ST_OK;

    while (st == ST_OK && !t->report->violated && now_ms(t) < limit && !done(t)) {
        struct err err = { 0 };

        t->stirred = false;
        st = take(t, havoc_tend(t->havoc, &err), &err);
        if (st == ST_OK && !t->report->violated)
            st = take(t, crowd_tend(t->crowd, &err), &err);
        if (st == ST_OK && !t->report->violated && setup_is_durable(&t->setup))
            st = take(t, census_tend(t->census, &err), &err);
        if (st == ST_OK && !t->report->violated)
            wait_for_next(t);
        if (st == ST_OK)
            st = take(t, observer_verdict(t->observer, &err), &err);
        t->report->simulated_ms = now_ms(t) - t->begun_ms;
    }
    return st;
}

static bool
has_asked_all(const struct trial *t)
{
    return crowd_is_done(t->crowd);
}

static bool
is_up(const struct trial *t)
{
    return havoc_all_up(t->havoc);
}

static bool
is_settled(const struct trial *t)
{
    char unused[SURVEY_TEXT_MAX];

    return clerk_is_content(t->clerk) && havoc_all_up(t->havoc) &&
           survey_is_placed(t->nodes, t->setup.nodes, unused);
}

static bool
is_converged(const struct trial *t)
{
    return census_is_done(t->census);
}

static bool
is_quiet(const struct trial *t)
{
    return census_is_quiet(t->census);
}

static bool
is_down(const struct trial *t)
{
    return havoc_all_down(t->havoc);
}

/* A phase that must come to its end. */
static enum status
must_finish(struct trial *t, phase_done_fn *done, const char *what)
{
    enum status st = run_phase(t, done, LIVENESS_MS);
    struct buf text = buf_empty(TRIAL_TEXT_MAX);

    if (st != ST_OK || t->report->violated || done(t))
        return st;
    st = buf_printf(&text, "liveness: %d ms after healing, %s\n", LIVENESS_MS, what);
    if (st == ST_OK)
        st = observer_describe(t->observer, &text);
    if (st == ST_OK)
        convict(t, buf_slice(&text));
    buf_release(&text);
    return st;
}

/* Every node is a member, and every tablet where it should be.  Some wait for what others have still to do. */
static enum status
settle(struct trial *t)
{
    char trouble[SURVEY_TEXT_MAX] = "";
    char text[TRIAL_TEXT_MAX];
    enum status st = run_phase(t, is_settled, SETTLED_MS);

    if (st != ST_OK || t->report->violated || is_settled(t))
        return st;
    (void)survey_is_placed(t->nodes, t->setup.nodes, trouble);
    snprintf(text, sizeof(text), "liveness: %d ms after healing, %s: %s", SETTLED_MS,
             clerk_is_content(t->clerk) ? "not all is in its place"
                                        : "not every order is carried out",
             trouble);
    convict(t, slice_str(text));
    return ST_OK;
}

static enum status
converge(struct trial *t)
{
    enum status st;

    census_begin_finale(t->census);
    st = must_finish(t, is_converged, "the members are not at one index");
    census_end(t->census);
    if (st == ST_OK && !t->report->violated)
        st = must_finish(t, is_quiet, "not every member has told its state");
    return st;
}

static enum status
live(struct trial *t)
{
    enum status st = run_phase(t, has_asked_all, t->options->ms);

    if (st != ST_OK || t->report->violated)
        return st;
    havoc_end(t->havoc);
    st = must_finish(t, is_up, "not every node is up");
    if (st == ST_OK && !t->report->violated && t->setup.formed)
        st = settle(t);
    if (st == ST_OK && !t->report->violated) {
        crowd_begin_finale(t->crowd);
        st = must_finish(t, has_asked_all, "not every client was answered");
    }
    if (st == ST_OK && !t->report->violated && setup_is_durable(&t->setup))
        st = converge(t);
    if (st == ST_OK && !t->report->violated) {
        havoc_stop_all(t->havoc);
        st = must_finish(t, is_down, "not every node has stopped");
    }
    return st;
}

/* ------------------------------------------------------------------ a trial */

/* Each action is wished to begin, to end, and perhaps to be taken back; and clients may want a keyspace of their own,
 * which is the first after those that are there from the beginning. */
static enum status
begin_clerk(struct trial *t)
{
    struct clerk_wish space = { .verb = CLERK_CREATE, .count = SPACE_TABLETS };
    enum status st = clerk_create(&t->clerk, t->nodes, &t->setup, 3 * t->plan.count + 1);

    if (st == ST_OK && t->setup.keyspace != 0)
        clerk_wish(t->clerk, &space);
    return st;
}

static enum status
prepare(struct trial *t)
{
    const struct trial_options *o = t->options;
    struct crowd_options crowd = {
        .nodes = t->nodes, .setup = &t->setup, .ops_max = o->ops_max, .stirred = &t->stirred
    };
    struct havoc_options havoc = { .nodes = t->nodes, .setup = &t->setup };
    struct census_options census = { .nodes = t->nodes, .setup = &t->setup };
    enum status st;

    setup_draw(&t->setup, o);
    st = setup_plan(&t->setup, o, &t->plan);
    t->world = st == ST_OK ? sim_create(o->seed) : NULL;
    if (t->world == NULL)
        return ST_NO_MEMORY;
    t->begun_ms = now_ms(t);
    for (uint32_t i = 0; i < o->nodes; i++) {
        node_init(&t->nodes[i], t->world, &t->setup, i + 1);
        sim_ignore_sync(t->world, i + 1, o->ignore_sync);
    }
    crowd.world = havoc.world = t->world;
    st = observer_create(&t->observer, t->world, t->nodes, o->nodes);
    if (st == ST_OK)
        observer_stir(t->observer, &t->stirred);
    census.world = t->world;
    census.observer = t->observer;
    if (st == ST_OK)
        st = census_create(&t->census, &census);
    if (st == ST_OK)
        st = crowd_create(&t->crowd, &crowd);
    havoc.plan = &t->plan;
    havoc.only = &o->only;
    havoc.crowd = t->crowd;
    havoc.observer = t->observer;
    if (st == ST_OK && t->setup.formed)
        st = begin_clerk(t);
    havoc.clerk = t->clerk;
    return st == ST_OK ? havoc_create(&t->havoc, &havoc) : st;
}

static void
report(struct trial *t)
{
    struct trial_report *r = t->report;
    struct crowd_counts crowd;
    struct machine_counts havoc;

    crowd_count(t->crowd, &crowd);
    havoc_count(t->havoc, &havoc);
    r->trace_hash = sim_trace_hash(t->world);
    r->issued = crowd.issued;
    r->ok = crowd.ok;
    r->failed = crowd.failed;
    r->unknown = crowd.unknown;
    r->busy_ms = crowd.busy_ms;
    r->elections = observer_elections(t->observer);
    r->power_cuts = havoc.power_cuts;
    r->kills = havoc.kills;
    r->stops = havoc.stops;
    r->actions = t->plan.count;
    snprintf(r->workload, sizeof(r->workload), "%s", t->setup.workload->name);
    for (int m = 0; m < MARK_COUNT; m++)
        r->marks[m] = mark_count((enum mark)m);
}

static void
pass_on(void *ctx, struct slice line)
{
    const struct trial *t = ctx;
    bool has_world = t->world != NULL;

    t->trace(t->trace_ctx, has_world ? sim_now_ns(t->world) : 0,
             has_world ? sim_current(t->world) : 0, line);
}

enum status
trial_run(const struct trial_options *options, trial_trace_fn *trace, void *ctx,
          struct trial_report *out, struct err *err)
{
    struct trial t = { .options = options, .report = out, .trace = trace, .trace_ctx = ctx };
    struct log_sink sink = { .level = LOG_OFF };
    enum status st;

    ASSERT(options->nodes >= 1 && options->nodes <= NODE_CLUSTER_MAX);
    *out = (struct trial_report){ 0 };
    if (trace != NULL)
        sink = (struct log_sink){ .level = LOG_DEBUG, .write = pass_on, .ctx = &t };
    log_set_sink(&sink);
    marks_reset();
    st = prepare(&t);
    if (st == ST_OK)
        st = live(&t);
    if (st == ST_OK)
        st = crowd_give_up(t.crowd, err);
    if (st == ST_OK)
        st = judge(&t, err);
    if (st == ST_OK) {
        report(&t);
        st = export_history(&t, err);
    }
    if (st == ST_NO_MEMORY)
        st = err_raise(err, st, "out of memory for a trial");
    census_destroy(t.census);
    observer_destroy(t.observer);
    sim_destroy(t.world);
    crowd_destroy(t.crowd);
    havoc_destroy(t.havoc);
    clerk_destroy(t.clerk);
    plan_release(&t.plan);
    sink = (struct log_sink){ .level = LOG_OFF };
    log_set_sink(&sink);
    return st;
}
