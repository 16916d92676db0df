#include "cli/sim_run.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/select.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/assert.h"

#include "cli/show.h"

enum { CHILD_FINE, CHILD_FAILED = 2 };
enum { NS_PER_SECOND = 1000000000, NS_PER_MS = 1000000, NS_PER_US = 1000 };
enum { WAIT_MS = 100, SAID_BYTES_MAX = TRIAL_TEXT_MAX - 100 };

enum status
sim_run_init(struct sim_run *r, struct err *err)
{
    *r = (struct sim_run){ .report = mmap(NULL, sizeof(*r->report), PROT_READ | PROT_WRITE,
                                          MAP_SHARED | MAP_ANONYMOUS, -1, 0) };
    if (r->report == MAP_FAILED) {
        r->report = NULL;
        return err_raise_sys(err, ST_NO_MEMORY, errno, "no memory for a run");
    }
    r->said = tmpfile();
    return r->said != NULL ? ST_OK : err_raise_sys(err, ST_IO, errno, "no temporary file");
}

void
sim_run_release(struct sim_run *r)
{
    sim_run_end(r);
    if (r->report != NULL)
        munmap(r->report, sizeof(*r->report));
    if (r->said != NULL)
        fclose(r->said);
    *r = (struct sim_run){ 0 };
}

/* ------------------------------------------------------------------ in the child */

enum status
sim_run_plan(const struct trial_options *o, struct plan *plan)
{
    struct setup setup;

    setup_draw(&setup, o);
    return setup_plan(&setup, o, plan);
}

static void
write_trace(void *ctx, uint64_t ns, uint32_t node, struct slice line)
{
    fprintf(ctx, "%" PRIu64 ".%06" PRIu64 " node %" PRIu32 ": %.*s", ns / NS_PER_SECOND,
            ns % NS_PER_SECOND / NS_PER_US, node, (int)line.size, (const char *)line.data);
}

static void
write_plan(const struct trial_options *o, FILE *trace)
{
    char text[ACTION_TEXT_MAX];
    struct plan plan;

    if (sim_run_plan(o, &plan) != ST_OK)
        return;
    for (uint32_t i = 0; i < plan.count; i++)
        fprintf(trace, "%u%s %s\n", i, picks_has(&o->only, i) ? "" : " (left out)",
                action_text(&plan.actions[i], text));
    plan_release(&plan);
}

static int
run_child(struct sim_run *r)
{
    FILE *trace = NULL;
    struct err err = { 0 };

    if (r->options.trace_path != NULL) {
        trace = fopen(r->options.trace_path, "w");
        if (trace == NULL) {
            fprintf(stderr, "%s cannot be written\n", r->options.trace_path);
            return CHILD_FAILED;
        }
        write_plan(&r->options, trace);
    }
    (void)broken_choose(r->options.broken);
    if (trial_run(&r->options, trace == NULL ? NULL : write_trace, trace, r->report, &err) == ST_OK)
        return CHILD_FINE;
    fprintf(stderr, "%s\n", err.text);
    return CHILD_FAILED;
}

/* ------------------------------------------------------------------ from outside */

enum status
sim_run_start(struct sim_run *r, const struct trial_options *options, struct err *err)
{
    ASSERT(r->child == 0);
    memset(r->report, 0, sizeof(*r->report));
    r->options = *options;
    r->over = r->failed = false;
    r->begun = show_clock();
    if (ftruncate(fileno(r->said), 0) != 0 || lseek(fileno(r->said), 0, SEEK_SET) != 0)
        return err_raise_sys(err, ST_IO, errno, "no temporary file");
    fflush(NULL); /* or the child writes it once more */
    r->child = fork();
    if (r->child == 0) {
        int code = dup2(fileno(r->said), STDERR_FILENO) < 0 ? CHILD_FAILED : run_child(r);

        fflush(NULL);
        _exit(code);
    }
    if (r->child > 0)
        return ST_OK;
    r->child = 0;
    return err_raise_sys(err, ST_IO, errno, "no process for a run");
}

void
sim_run_said(const struct sim_run *r, char *out, size_t room)
{
    ssize_t size = pread(fileno(r->said), out, room - 1, 0);

    out[size > 0 ? size : 0] = '\0';
}

/* Those that a bug ends a process by.  A number alone would not tell two kinds of violations apart. */
static const char *
signal_name(int signal)
{
    switch (signal) {
    case SIGABRT:
        return "SIGABRT";
    case SIGSEGV:
        return "SIGSEGV";
    case SIGBUS:
        return "SIGBUS";
    case SIGFPE:
        return "SIGFPE";
    case SIGILL:
        return "SIGILL";
    case SIGKILL:
        return "SIGKILL";
    default:
        return "another one";
    }
}

/* What was said begins where the sanitizers' rows of equals signs end. */
static void
convict_dead(struct sim_run *r, int how)
{
    char said[SAID_BYTES_MAX];
    const char *text = said;
    char cause[64];

    if (r->report->violated)
        return;
    sim_run_said(r, said, sizeof(said));
    while (*text != '\0' && !isalnum((unsigned char)*text))
        text++;
    if (WIFSIGNALED(how))
        snprintf(cause, sizeof(cause), "signal %d (%s)", WTERMSIG(how), signal_name(WTERMSIG(how)));
    else
        snprintf(cause, sizeof(cause), "exit code %d", WEXITSTATUS(how));
    r->report->violated = true;
    snprintf(r->report->text, sizeof(r->report->text), "the process ended by %s%s%s", cause,
             *text != '\0' ? ": " : "\n", text);
}

/* A process that was ended has not said what it was doing. */
static void
complete(struct sim_run *r)
{
    struct setup setup;

    setup_draw(&setup, &r->options);
    snprintf(r->report->workload, sizeof(r->report->workload), "%s", setup.workload->name);
    r->seconds = show_clock() - r->begun;
    r->child = 0;
    r->over = true;
}

static void
convict_slow(struct sim_run *r, uint64_t seconds_max)
{
    uint64_t ms;

    kill(r->child, SIGKILL);
    waitpid(r->child, NULL, 0);
    ms = r->report->simulated_ms;
    if (!r->report->violated) {
        snprintf(r->report->text, sizeof(r->report->text),
                 "did not end within %" PRIu64 " s of real time (at %" PRIu64 ".%03" PRIu64
                 " simulated seconds)\n",
                 seconds_max, ms / 1000, ms % 1000);
    }
    r->report->violated = true;
    complete(r);
}

bool
sim_run_poll(struct sim_run *r, uint64_t seconds_max)
{
    int how = 0;
    pid_t gone;

    ASSERT(r->child > 0);
    gone = waitpid(r->child, &how, WNOHANG);
    if (gone == 0 && show_clock() - r->begun < (double)seconds_max)
        return false;
    if (gone == 0) {
        convict_slow(r, seconds_max);
        return true;
    }
    ASSERT(gone == r->child);
    r->failed = WIFEXITED(how) && WEXITSTATUS(how) == CHILD_FAILED;
    if (!r->failed && !(WIFEXITED(how) && WEXITSTATUS(how) == CHILD_FINE))
        convict_dead(r, how);
    complete(r);
    return true;
}

void
sim_run_end(struct sim_run *r)
{
    if (r->child > 0) {
        kill(r->child, SIGKILL);
        waitpid(r->child, NULL, 0);
    }
    r->child = 0;
    r->over = false;
}

/* ------------------------------------------------------------------ patience */

static void
on_child(int signal)
{
    (void)signal; /* that it interrupts a wait is all */
}

/* A signal that is ignored, as in the background of a shell, would be pending for good. */
static void
hold_unless_ignored(sigset_t *held, int signal)
{
    struct sigaction now;

    if (sigaction(signal, NULL, &now) == 0 && now.sa_handler != SIG_IGN)
        sigaddset(held, signal);
}

void
sim_watch_begin(struct sim_watch *w)
{
    struct sigaction wake = { .sa_handler = on_child };
    sigset_t held;

    sigemptyset(&held);
    sigaddset(&held, SIGCHLD);
    hold_unless_ignored(&held, SIGINT);
    hold_unless_ignored(&held, SIGTERM);
    pthread_sigmask(SIG_BLOCK, &held, &w->before);
    sigaction(SIGCHLD, &wake, &w->child_before);
}

/* Only here can the death of a process be noticed: none is missed between a poll and the wait. */
void
sim_watch_wait(void)
{
    struct timespec limit = { .tv_nsec = (long)WAIT_MS * NS_PER_MS };
    sigset_t held;

    pthread_sigmask(SIG_BLOCK, NULL, &held);
    sigdelset(&held, SIGCHLD);
    (void)pselect(0, NULL, NULL, NULL, &limit, &held);
}

bool
sim_watch_interrupted(void)
{
    sigset_t pending;

    sigpending(&pending);
    return sigismember(&pending, SIGINT) == 1 || sigismember(&pending, SIGTERM) == 1;
}

void
sim_watch_end(struct sim_watch *w)
{
    sigaction(SIGCHLD, &w->child_before, NULL);
    pthread_sigmask(SIG_SETMASK, &w->before, NULL);
}
