#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/log.h"

#include "cli/cli.h"
#include "cli/show.h"
#include "cli/target.h"
#include "sim/node.h"
#include "sim/trial.h"

enum { CODE_FINE, CODE_VIOLATION, CODE_WRONG };
enum { COMMAND_BYTES_MAX = 64 << 10, MINUTE_MS = 60000, HOURS_MAX = 24 };

static const char help[] =
    "usage: distkv sim [--seed N | --seeds A..B] [OPTION]...\n\n"
    "Runs whole nodes on virtual time, with clients and faults that a seed decides, and judges what the\n"
    "clients saw. The same seed and options give the same run.\n\n"
    "  --seed N         one seed (1)\n"
    "  --seeds A..B     all of these, one line each\n"
    "  --nodes N        of the cluster (1)\n"
    "  --minutes M      simulated, with faults; then all is healed, and everything must answer (2)\n"
    "  --faults LIST    all, none, or names with commas (all)\n"
    "  --workload NAME  what clients ask for (drawn)\n"
    "  --rate N         operations per second of all clients together (drawn, and it changes)\n"
    "  --clients N      (drawn)\n"
    "  --ops N          heal after so many operations\n"
    "  --only LIST      of the planned faults, only these: numbers and ranges, or none\n"
    "  --history FILE   what clients saw, as JSON lines for distkv check-history\n"
    "  --trace FILE     the plan, and the log of the nodes\n"
    "  --marks all      fail if no seed has been to one of the places of base/mark.h\n"
    "  --ignore-sync P  fsyncs of files with P in their path do nothing: can the simulator fail?\n\n"
    "Exit code: 0 all is well; 1 a violation, with the command that replays it; 2 wrong arguments.\n";

struct simulation {
    struct trial_options options;
    uint64_t first;
    uint64_t last;
    struct trial_report *report; /* shared with the child that fills it in */
    uint64_t violations;
    bool want_marks;
    uint64_t marks[MARK_COUNT]; /* of all seeds */
};

/* ------------------------------------------------------------------ one seed */

static void
write_trace(void *ctx, struct slice line)
{
    fwrite(line.data, 1, line.size, ctx);
}

static void
write_plan(const struct trial_options *o, FILE *trace)
{
    struct plan_options wanted = { o->seed, o->nodes, o->ms, o->faults, false };
    char text[ACTION_TEXT_MAX];
    struct setup setup;
    struct plan plan;

    setup_draw(&setup, o);
    wanted.keeps_unsynced = !setup_is_durable(&setup);
    if (plan_draw(&plan, &wanted) != ST_OK)
        return;
    for (uint32_t i = 0; i < plan.count; i++)
        fprintf(trace, "%u%s %s\n", i, picks_has(&o->only, i) ? "" : " (left out)",
                action_text(&plan.actions[i], text));
    plan_release(&plan);
}

/* In a process of its own: an ASSERT of a node ends it, and that is a verdict, too. */
static int
run_child(struct simulation *s)
{
    struct log_sink sink = { .level = LOG_OFF };
    struct err err = { 0 };

    if (s->options.trace_path != NULL) {
        FILE *trace = fopen(s->options.trace_path, "w");

        if (trace == NULL)
            return CODE_WRONG;
        write_plan(&s->options, trace);
        sink = (struct log_sink){ .level = LOG_DEBUG, .write = write_trace, .ctx = trace };
    }
    log_set_sink(&sink);
    if (trial_run(&s->options, s->report, &err) == ST_OK)
        return CODE_FINE;
    fprintf(stderr, "distkv sim: %s\n", err.text);
    return CODE_WRONG;
}

static int
run_apart(struct simulation *s)
{
    int how = 0;
    pid_t child;

    memset(s->report, 0, sizeof(*s->report));
    fflush(NULL);
    child = fork();
    if (child == 0) {
        int code = run_child(s);

        fflush(NULL);
        _exit(code);
    }
    if (child < 0 || waitpid(child, &how, 0) != child)
        return CODE_WRONG;
    if (WIFEXITED(how))
        return WEXITSTATUS(how);
    s->report->violated = true;
    snprintf(s->report->text, sizeof(s->report->text), "the process ended by signal %d\n",
             WTERMSIG(how));
    return CODE_FINE;
}

static void
tell(struct simulation *s, double seconds)
{
    const struct trial_report *r = s->report;
    struct buf command = buf_empty(COMMAND_BYTES_MAX);

    printf("seed %llu: %s; %s, %llu operations (%llu ok, %llu failed, %llu unknown) in %.2f busy "
           "minutes; %llu power cuts, %llu kills, %llu stops; trace %016llx; %.1f s\n",
           (unsigned long long)s->options.seed,
           r->violated    ? "VIOLATION"
           : r->undecided ? "undecided"
                          : "fine",
           r->workload, (unsigned long long)r->issued, (unsigned long long)r->ok,
           (unsigned long long)r->failed, (unsigned long long)r->unknown,
           (double)r->busy_ms / MINUTE_MS, (unsigned long long)r->power_cuts,
           (unsigned long long)r->kills, (unsigned long long)r->stops,
           (unsigned long long)r->trace_hash, seconds);
    if (r->violated && trial_command(&s->options, &command) == ST_OK)
        printf("%s\nreplay: %.*s\n", r->text, (int)command.size, (const char *)command.data);
    buf_release(&command);
    fflush(stdout);
}

/* How many places nobody has been to. */
static uint32_t
tell_unseen(const struct simulation *s)
{
    uint32_t unseen = 0;

    for (enum mark m = 0; m < MARK_COUNT; m++) {
        if (s->marks[m] > 0 || mark_nodes(m) > s->options.nodes)
            continue;
        printf("never seen: %s (%s)\n", mark_text(m), mark_name(m));
        unseen++;
    }
    return unseen;
}

static void
add_marks(struct simulation *s)
{
    for (int m = 0; m < MARK_COUNT; m++)
        s->marks[m] += s->report->marks[m];
}

static int
run_seeds(struct simulation *s)
{
    bool bar = s->last > s->first && isatty(STDERR_FILENO) != 0;
    struct progress progress;

    s->report =
        mmap(NULL, sizeof(*s->report), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (s->report == MAP_FAILED)
        return CODE_WRONG;
    if (bar)
        progress_begin(&progress, stderr, "seeds", s->last - s->first + 1);
    for (uint64_t seed = s->first; seed <= s->last; seed++) {
        double begun = show_clock();

        s->options.seed = seed;
        if (run_apart(s) != CODE_FINE)
            return CODE_WRONG;
        tell(s, show_clock() - begun);
        s->violations += s->report->violated;
        add_marks(s);
        if (bar)
            progress_update(&progress, seed - s->first + 1, seed - s->first + 1);
    }
    if (bar)
        progress_end(&progress, s->last - s->first + 1);
    if (s->want_marks && tell_unseen(s) > 0)
        return CODE_VIOLATION;
    return s->violations > 0 ? CODE_VIOLATION : CODE_FINE;
}

/* ------------------------------------------------------------------ arguments */

static bool
parse_number(const char *text, uint64_t low, uint64_t high, uint64_t *out)
{
    char *end;

    if (*text < '0' || *text > '9')
        return false;
    *out = strtoull(text, &end, 0);
    return *end == '\0' && *out >= low && *out <= high;
}

static bool
parse_seeds(struct simulation *s, const char *text)
{
    char *end;

    if (*text < '0' || *text > '9')
        return false;
    s->first = strtoull(text, &end, 0);
    return strncmp(end, "..", 2) == 0 && parse_number(end + 2, s->first, UINT64_MAX - 1, &s->last);
}

static bool
parse_minutes(struct simulation *s, const char *text)
{
    char *end;
    double minutes = strtod(text, &end);

    if (*end != '\0' || !(minutes > 0 && minutes <= HOURS_MAX * 60))
        return false;
    s->options.ms = (uint64_t)(minutes * MINUTE_MS);
    return s->options.ms > 0;
}

static bool
parse_count(const char *text, uint64_t high, uint32_t *out)
{
    uint64_t value;

    if (!parse_number(text, 1, high, &value))
        return false;
    *out = (uint32_t)value;
    return true;
}

static bool
take_option(struct simulation *s, const char *flag, const char *value)
{
    struct trial_options *o = &s->options;

    if (strcmp(flag, "--seed") == 0) {
        bool good = parse_number(value, 0, UINT64_MAX - 1, &s->first);

        s->last = s->first;
        return good;
    }
    if (strcmp(flag, "--seeds") == 0)
        return parse_seeds(s, value);
    if (strcmp(flag, "--nodes") == 0)
        return parse_count(value, NODE_CLUSTER_MAX, &o->nodes);
    if (strcmp(flag, "--minutes") == 0)
        return parse_minutes(s, value);
    if (strcmp(flag, "--faults") == 0)
        return faults_parse(value, &o->faults);
    if (strcmp(flag, "--workload") == 0)
        return (o->workload = workload_find(value)) != NULL;
    if (strcmp(flag, "--rate") == 0)
        return parse_count(value, 100000, &o->rate);
    if (strcmp(flag, "--clients") == 0)
        return parse_count(value, SETUP_CALLERS_MAX, &o->callers);
    if (strcmp(flag, "--ops") == 0)
        return parse_number(value, 1, UINT64_MAX, &o->ops_max);
    if (strcmp(flag, "--only") == 0)
        return picks_parse(value, &o->only);
    if (strcmp(flag, "--history") == 0)
        return (o->history_path = value) != NULL;
    if (strcmp(flag, "--trace") == 0)
        return (o->trace_path = value) != NULL;
    if (strcmp(flag, "--marks") == 0)
        return (s->want_marks = strcmp(value, "all") == 0);
    return strcmp(flag, "--ignore-sync") == 0 && (o->ignore_sync = value) != NULL;
}

int
cli_sim_main(int argc, char **argv)
{
    struct simulation s = { .first = 1, .last = 1 };

    if (target_wants_help(argc, argv, argc))
        return fputs(help, stdout) < 0;
    trial_options_default(&s.options);
    for (int i = 0; i < argc; i += 2) {
        if (i + 1 == argc || !take_option(&s, argv[i], argv[i + 1])) {
            fprintf(stderr, "distkv sim: %s %s: there is no such option or value\n%s", argv[i],
                    i + 1 < argc ? argv[i + 1] : "", help);
            return CODE_WRONG;
        }
    }
    return run_seeds(&s);
}
