#include "cli/sim_tell.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "cli/show.h"

enum { COMMAND_BYTES_MAX = 64 << 10, MINUTE_MS = 60000, HOUR_SECONDS = 3600, HEX_ROOM = 17 };

static const char *
verdict(const struct trial_report *r)
{
    if (r->violated)
        return "violation";
    return r->undecided ? "undecided" : "fine";
}

/* With a terminator; empty when there is no memory for it. */
static struct buf
command_of(const struct trial_options *options)
{
    struct buf out = buf_empty(COMMAND_BYTES_MAX);

    if (trial_command(options, &out) != ST_OK || buf_append(&out, slice_of("", 1)) != ST_OK)
        buf_release(&out);
    return out;
}

static const char *
text_of(const struct buf *command)
{
    return command->size == 0 ? "(no memory for the command)" : (const char *)command->data;
}

/* ------------------------------------------------------------------ for people */

static void
tell_command(const char *label, const struct trial_options *options)
{
    struct buf command = command_of(options);

    printf("%s: %s\n", label, text_of(&command));
    buf_release(&command);
}

void
sim_tell_seed(const struct sim_run *run)
{
    const struct trial_options *o = &run->options;
    const struct trial_report *r = run->report;

    printf("seed %" PRIu64 ": %s; %" PRIu32 " nodes, %.2f minutes; %s, %" PRIu64
           " operations (%" PRIu64 " ok, %" PRIu64 " failed, %" PRIu64
           " unknown) in %.2f busy minutes; %" PRIu64 " elections, %" PRIu64 " power cuts, %" PRIu64
           " kills, %" PRIu64 " stops; trace %016" PRIx64 "; %.1f s\n",
           o->seed, r->violated ? "VIOLATION" : verdict(r), o->nodes, (double)o->ms / MINUTE_MS,
           r->workload, r->issued, r->ok, r->failed, r->unknown, (double)r->busy_ms / MINUTE_MS,
           r->elections, r->power_cuts, r->kills, r->stops, r->trace_hash, run->seconds);
    if (r->violated) {
        int size = (int)strlen(r->text);

        printf("%.*s\n", size > 0 && r->text[size - 1] == '\n' ? size - 1 : size, r->text);
        tell_command("replay", o);
    }
    fflush(stdout);
}

static void
tell_ratio(const char *what, uint64_t before, uint64_t after)
{
    if (before != 0)
        printf("%" PRIu64 " of %" PRIu64 " %s, ", after, before, what);
    else if (after != 0)
        printf("%" PRIu64 " %s, ", after, what);
}

void
sim_tell_smaller(const struct sim_smaller *s)
{
    if (!sim_smaller_helped(s)) {
        printf("smaller: nothing found");
    } else {
        tell_command("smaller", &s->options);
        printf("that is ");
        tell_ratio("nodes", s->before.nodes, s->after.nodes);
        printf("%.3f of %.3f minutes, ", (double)s->after.ms / MINUTE_MS,
               (double)s->before.ms / MINUTE_MS);
        tell_ratio("faults", s->before.faults, s->after.faults);
        tell_ratio("clients", s->before.clients, s->after.clients);
        tell_ratio("operations", s->before.ops, s->after.ops);
        printf("found");
    }
    printf(" by %" PRIu32 " attempts in %.1f s%s\n", s->attempts, s->seconds,
           s->hurried ? "; the search was not finished" : "");
    fflush(stdout);
}

/* ------------------------------------------------------------------ for programs */

static const struct {
    const char *name;
    size_t at;
} figures[] = {
#define FIGURE(field)                          \
 {                                             \
#  field, offsetof(struct trial_report, field) \
 }
    FIGURE(issued),       FIGURE(ok),        FIGURE(failed),     FIGURE(unknown), FIGURE(busy_ms),
    FIGURE(simulated_ms), FIGURE(elections), FIGURE(power_cuts), FIGURE(kills),   FIGURE(stops),
};

/* A path in it may be anything, and a text that is too long was cut anywhere; JSON is UTF-8. */
static json_t *
json_text(const char *text)
{
    json_t *whole = json_string(text);
    char *plain = whole != NULL ? NULL : strdup(text);

    for (char *c = plain; c != NULL && *c != '\0'; c++) {
        if ((unsigned char)*c >= 0x80)
            *c = '?';
    }
    if (plain != NULL)
        whole = json_string(plain);
    free(plain);
    return whole;
}

static json_t *
json_command(const struct trial_options *options)
{
    struct buf command = command_of(options);
    json_t *text = json_text(text_of(&command));

    buf_release(&command);
    return text;
}

static json_t *
json_marks(const struct trial_report *r)
{
    json_t *marks = json_object();
    int failed = marks == NULL;

    for (enum mark m = 0; m < MARK_COUNT && !failed; m++)
        failed = json_object_set_new(marks, mark_name(m), json_integer((json_int_t)r->marks[m]));
    if (!failed)
        return marks;
    json_decref(marks);
    return NULL;
}

static json_t *
json_size(const struct sim_size *s)
{
    return json_pack("{sI sI sI sI sI}", "nodes", (json_int_t)s->nodes, "ms", (json_int_t)s->ms,
                     "faults", (json_int_t)s->faults, "clients", (json_int_t)s->clients, "ops",
                     (json_int_t)s->ops);
}

static json_t *
json_smaller(const struct sim_smaller *s)
{
    return json_pack("{so so so sI sf sb}", "replay", json_command(&s->options), "before",
                     json_size(&s->before), "after", json_size(&s->after), "attempts",
                     (json_int_t)s->attempts, "seconds", s->seconds, "finished", !s->hurried);
}

/* NULL: no memory, or a member of it is NULL for want of memory. */
static json_t *
json_seed(const struct sim_run *run, const struct sim_smaller *smaller)
{
    const struct trial_report *r = run->report;
    char trace[HEX_ROOM];
    json_t *all;
    int failed;

    snprintf(trace, sizeof(trace), "%016" PRIx64, r->trace_hash);
    all = json_pack("{sI ss sI sI ss sI ss sf so so}", "seed", (json_int_t)run->options.seed,
                    "verdict", verdict(r), "nodes", (json_int_t)run->options.nodes, "ms",
                    (json_int_t)run->options.ms, "workload", r->workload, "faults",
                    (json_int_t)r->actions, "trace", trace, "seconds", run->seconds, "replay",
                    json_command(&run->options), "marks", json_marks(r));
    failed = all == NULL;
    for (size_t i = 0; i < sizeof(figures) / sizeof(figures[0]) && !failed; i++) {
        uint64_t value;

        memcpy(&value, (const char *)r + figures[i].at, sizeof(value));
        failed = json_object_set_new(all, figures[i].name, json_integer((json_int_t)value));
    }
    if (!failed && r->violated)
        failed = json_object_set_new(all, "text", json_text(r->text));
    if (!failed && smaller != NULL)
        failed = json_object_set_new(all, "smaller", json_smaller(smaller));
    if (!failed)
        return all;
    json_decref(all);
    return NULL;
}

enum status
sim_tell_json(const struct sim_run *r, const struct sim_smaller *smaller, struct err *err)
{
    json_t *object = json_seed(r, smaller);
    bool written = false;

    if (object == NULL)
        return err_raise(err, ST_NO_MEMORY, "no memory for a line of JSON");
    written = json_dumpf(object, stdout, JSON_COMPACT) == 0 && fputc('\n', stdout) != EOF &&
              fflush(stdout) == 0;
    json_decref(object);
    return written ? ST_OK : err_raise(err, ST_IO, "a line of JSON cannot be written");
}

/* ------------------------------------------------------------------ all together */

void
sim_sums_init(struct sim_sums *s)
{
    *s = (struct sim_sums){ .begun = show_clock() };
}

void
sim_sums_add(struct sim_sums *s, const struct sim_run *run)
{
    const struct trial_report *r = run->report;

    s->seeds++;
    s->violations += r->violated;
    s->undecided += !r->violated && r->undecided;
    s->issued += r->issued;
    s->busy_ms += r->busy_ms;
    s->node_ms += r->simulated_ms * run->options.nodes;
    s->faults += r->actions;
    if (s->nodes_max < run->options.nodes)
        s->nodes_max = run->options.nodes;
    for (int m = 0; m < MARK_COUNT; m++)
        s->marks[m] += r->marks[m];
}

void
sim_sums_tell(const struct sim_sums *s)
{
    double seconds = show_clock() - s->begun;

    printf("total: %" PRIu64 " seeds, %.2f node-minutes, %.2f busy-minutes, %" PRIu64
           " operations, %" PRIu64 " faults, %" PRIu64 " violations, %" PRIu64
           " undecided, %.1f seconds, %.0f seeds/hour\n",
           s->seeds, (double)s->node_ms / MINUTE_MS, (double)s->busy_ms / MINUTE_MS, s->issued,
           s->faults, s->violations, s->undecided, seconds,
           seconds > 0 ? (double)s->seeds / seconds * HOUR_SECONDS : 0);
}

void
sim_sums_tell_marks(const struct sim_sums *s, FILE *out)
{
    for (enum mark m = 0; m < MARK_COUNT; m++) {
        if (mark_nodes(m) <= s->nodes_max)
            fprintf(out, "mark %s %" PRIu64 "\n", mark_name(m), s->marks[m]);
    }
}

uint32_t
sim_sums_tell_unseen(const struct sim_sums *s, FILE *out)
{
    uint32_t unseen = 0;

    for (enum mark m = 0; m < MARK_COUNT; m++) {
        if (s->marks[m] > 0 || mark_nodes(m) > s->nodes_max)
            continue;
        fprintf(out, "never seen: %s (%s)\n", mark_text(m), mark_name(m));
        unseen++;
    }
    return unseen;
}
