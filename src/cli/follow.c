#include "cli/follow.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "cli/chart_words.h"
#include "cli/show.h"

enum {
    POLL_MS = 250,
    LINE_S = 5,
    SAME_LINE_S = 60,
    STUCK_S = 15,
    RATE_SHARE = 20,
    CODE_INTERRUPTED = 130
};

struct watching {
    struct follow *follow;
    bool terminal;
    double begun;
    double heard;  /* when somebody answered last */
    double line;   /* off a terminal: when the last line was written */
    uint64_t told; /* and what was left then */
    double moved;  /* when something was seen to change */
    struct follow_left first;
    struct follow_left now;
};

/* ------------------------------------------------------------------ Ctrl-C */

static void
leave(int number)
{
    static const char text[] = "\nThe work goes on without you; "
                               "`distkv cluster status` tells how far it is.\n";
    ssize_t written = write(STDERR_FILENO, text, sizeof(text) - 1);

    (void)written;
    (void)number;
    _exit(CODE_INTERRUPTED);
}

static void
catch_interrupt(void (*handler)(int number))
{
    struct sigaction action = { .sa_handler = handler };

    sigaction(SIGINT, &action, NULL);
}

/* ------------------------------------------------------------------ what is shown */

/* What a rate says of how long the rest takes; 0: too little is done for that. */
static double
rest_of(double spent, uint64_t first, uint64_t now)
{
    if (now >= first || (first - now) * RATE_SHARE < first)
        return 0;
    return spent * (double)now / (double)(first - now);
}

/* By the rate so far: of bytes, or of what is counted as long as hardly a byte has moved. */
static double
seconds_left(const struct watching *w)
{
    double spent = show_clock() - w->begun;
    double seconds = rest_of(spent, w->first.bytes, w->now.bytes);

    return seconds > 0 ? seconds : rest_of(spent, w->first.count, w->now.count);
}

static void
draw(struct watching *w)
{
    char bytes[SHOW_MAX], time[SHOW_TIME_MAX];
    double seconds = seconds_left(w);

    if (!w->terminal && show_clock() - w->line < (w->now.count == w->told ? SAME_LINE_S : LINE_S))
        return;
    w->line = show_clock();
    w->told = w->now.count;
    fputs(w->terminal ? "\r\033[K" : "", stderr);
    show_bar(stderr, w->first.count - w->now.count, w->first.count);
    fprintf(stderr, "%llu %s%s left", (unsigned long long)w->now.count, w->follow->unit,
            w->now.count == 1 ? "" : "s");
    if (w->now.bytes > 0)
        fprintf(stderr, ", %s", show_bytes(w->now.bytes, bytes));
    if (show_clock() - w->moved > STUCK_S)
        fprintf(stderr, ", no progress for %s", show_time(show_clock() - w->moved, time));
    else if (seconds > 0)
        fprintf(stderr, ", %s", show_time(seconds, time));
    fputs(w->terminal ? "" : "\n", stderr);
    fflush(stderr);
}

static void
wipe(const struct watching *w)
{
    if (w->terminal)
        fputs("\r\033[K", stderr);
}

/* ------------------------------------------------------------------ watching */

static void
take_in(struct watching *w, const json_t *answer)
{
    struct follow_left before = w->now;

    w->heard = show_clock();
    w->now = w->follow->look(w->follow->ctx, answer);
    if (w->now.count != before.count || w->now.bytes != before.bytes)
        w->moved = w->heard;
    if (w->now.count > w->first.count)
        w->first.count = w->now.count; /* there is more to do than was seen at first */
    if (w->now.bytes > w->first.bytes)
        w->first.bytes = w->now.bytes;
}

/* One look; ST_BUSY: it is not done yet. */
static enum status
look(struct watching *w)
{
    struct follow *f = w->follow;
    json_t *answer = NULL;
    struct err err = { 0 };
    enum status st = desk_try(f->desk, f->words, f->word_count, &answer, &err);

    if (st != ST_OK && show_clock() - w->heard > FOLLOW_PATIENCE_S) {
        wipe(w);
        desk_complain(f->desk, "%s; the work goes on, but cannot be watched", err.text);
        return st;
    }
    if (st != ST_OK)
        return ST_BUSY;
    take_in(w, answer);
    json_decref(answer);
    return w->now.count == 0 ? ST_OK : ST_BUSY;
}

enum status
follow(struct follow *f)
{
    const struct timespec pause = { .tv_nsec = POLL_MS * 1000000L };
    struct watching w = { .follow = f,
                          .terminal = isatty(STDERR_FILENO) != 0,
                          .begun = show_clock() };
    enum status st;

    w.heard = w.line = w.moved = w.begun;
    catch_interrupt(leave);
    while ((st = look(&w)) == ST_BUSY) {
        if (f->wait_s > 0 && show_clock() - w.begun > f->wait_s) {
            st = ST_TIMEOUT;
            break;
        }
        if (w.first.count > 0)
            draw(&w);
        nanosleep(&pause, NULL);
    }
    wipe(&w);
    catch_interrupt(SIG_DFL);
    return st;
}
