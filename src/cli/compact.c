#include "cli/compact.h"

#include <pthread.h>
#include <time.h>
#include <unistd.h>

#include "cli/show.h"

enum { POLL_MS = 50, LINE_PERMILLE = 100, PERMILLE = 1000, SECONDS_DIGITS = 6 };

/* ------------------------------------------------------------------ how far it is */

/* What the thread that watches shares with the one that waits for the answer. */
struct watch {
    struct target *target;
    FILE *out;
    bool terminal;
    pthread_mutex_t lock;
    pthread_cond_t over_cond;
    bool over;         /* guarded by the lock */
    int64_t permille;  /* the most that was seen; -1: it is not known */
    int64_t line_next; /* off a terminal: the next line is due at this */
    double begun;
};

/* -1: the node does not say. */
static int64_t
ask_permille(struct client *c)
{
    struct slice words[2] = { slice_str("DISTKV"), slice_str("COMPACTION") };
    struct resp_item item;
    struct err err;
    int64_t permille = -1;
    int64_t figures = 0;
    bool last = false;

    if (client_command(c, words, 2) != ST_OK || client_flush(c, &err) != ST_OK)
        return -1;
    while (!last) {
        if (client_item(c, &item, &last, &err) != ST_OK)
            return -1;
        if (item.type == RESP_INTEGER && ++figures == 2) /* behind whether one is running */
            permille = item.integer;
    }
    return permille;
}

static void
draw(struct watch *watch)
{
    double spent = show_clock() - watch->begun;

    fputs("\r\033[K  ", watch->out);
    if (watch->permille >= 0)
        show_bar(watch->out, (uint64_t)watch->permille, PERMILLE);
    fprintf(watch->out, "merging, %.1f s", spent);
    fflush(watch->out);
}

static void
say(struct watch *watch)
{
    if (watch->permille < watch->line_next)
        return;
    fprintf(watch->out, "  %3lld %%, %.1f s\n", (long long)watch->permille / 10,
            show_clock() - watch->begun);
    fflush(watch->out);
    watch->line_next = watch->permille - watch->permille % LINE_PERMILLE + LINE_PERMILLE;
}

/* True: it is over.  Waits for a moment, but not longer than until then. */
static bool
pause_until_over(struct watch *watch)
{
    struct timespec until;
    bool over;

    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_nsec += POLL_MS * 1000000L;
    if (until.tv_nsec >= 1000000000L) {
        until.tv_nsec -= 1000000000L;
        until.tv_sec++;
    }
    pthread_mutex_lock(&watch->lock);
    if (!watch->over)
        (void)pthread_cond_timedwait(&watch->over_cond, &watch->lock, &until);
    over = watch->over;
    pthread_mutex_unlock(&watch->lock);
    return over;
}

static void *
watch_compaction(void *ctx)
{
    struct watch *watch = ctx;
    struct client *c = NULL;
    struct err ignored;

    if (target_connect(watch->target, &c, &ignored) != ST_OK)
        c = NULL;
    do {
        int64_t permille = c == NULL ? -1 : ask_permille(c);

        if (permille > watch->permille)
            watch->permille = permille; /* for a moment after each database it is less */
        if (watch->terminal)
            draw(watch);
        else
            say(watch);
    } while (!pause_until_over(watch));
    client_close(c);
    if (watch->terminal)
        fputs("\r\033[K", watch->out);
    return NULL;
}

/* ------------------------------------------------------------------ what came of it */

enum { FIGURE_COUNT = 4, FIGURE_TEXT_MAX = 24 };

struct answer {
    char figures[FIGURE_COUNT][FIGURE_TEXT_MAX]; /* in the order of the reply */
    size_t count;
    enum run_outcome outcome;
    char error[2 * ERR_TEXT_MAX];
};

/* The reply is a flat list of names and figures; the last of them is no integer. */
static void
take_item(struct answer *a, const struct resp_item *item)
{
    char *text = a->figures[a->count < FIGURE_COUNT ? a->count : 0];

    if (item->type == RESP_FAILURE) {
        snprintf(a->error, sizeof(a->error), "%.*s",
                 (int)(item->text.size < ERR_TEXT_MAX ? item->text.size : ERR_TEXT_MAX),
                 (const char *)item->text.data);
        a->outcome = RUN_FAILED;
    } else if (item->type == RESP_INTEGER && a->count < FIGURE_COUNT - 1) {
        snprintf(text, FIGURE_TEXT_MAX, "%lld", (long long)item->integer);
        a->count++;
    } else if (a->count == FIGURE_COUNT - 1 && item->text.size > 0 && item->text.data[0] <= '9') {
        snprintf(text, FIGURE_TEXT_MAX, "%.*s",
                 (int)(item->text.size < SECONDS_DIGITS ? item->text.size : SECONDS_DIGITS),
                 (const char *)item->text.data);
        a->count++;
    }
}

static void
await_answer(struct client *c, struct answer *a)
{
    struct resp_item item;
    struct err err;
    bool last = false;

    while (!last) {
        if (client_item(c, &item, &last, &err) != ST_OK) {
            snprintf(a->error, sizeof(a->error), "%s", err.text);
            a->outcome = RUN_BROKEN;
            return;
        }
        take_item(a, &item);
    }
}

static void
print_answer(const struct answer *a, FILE *out, FILE *err_out)
{
    static const char *const labels[FIGURE_COUNT] = { "tables in", "keys removed",
                                                      "bytes reclaimed", "seconds" };

    if (a->outcome != RUN_OK) {
        fprintf(err_out, "Error: %s\n", a->error);
        return;
    }
    for (size_t i = 0; i < a->count; i++)
        fprintf(out, "  %s: %s\n", labels[i], a->figures[i]);
    fputs("Compaction complete\n", out);
}

/* ------------------------------------------------------------------ both at once */

/* Not printed before the watch has ended: the lines of one would fall into those of the other. */
static void
await_watched(struct target *t, struct answer *answer, FILE *out)
{
    struct watch watch = { .target = t,
                           .out = out,
                           .terminal = isatty(fileno(out)) != 0,
                           .permille = -1,
                           .line_next = LINE_PERMILLE,
                           .begun = show_clock() };
    pthread_t thread;
    bool watched;

    pthread_mutex_init(&watch.lock, NULL);
    pthread_cond_init(&watch.over_cond, NULL);
    watched = pthread_create(&thread, NULL, watch_compaction, &watch) == 0;
    await_answer(target_client(t), answer);
    if (watched) {
        pthread_mutex_lock(&watch.lock);
        watch.over = true;
        pthread_cond_signal(&watch.over_cond);
        pthread_mutex_unlock(&watch.lock);
        pthread_join(thread, NULL);
    }
    pthread_cond_destroy(&watch.over_cond);
    pthread_mutex_destroy(&watch.lock);
}

enum run_outcome
compact_run(struct target *t, const struct words *w, FILE *out, FILE *err_out)
{
    struct answer answer = { .outcome = RUN_OK };
    struct err err = { 0 };
    enum status st = client_command(target_client(t), w->word, w->count);

    if (st == ST_OK)
        st = client_flush(target_client(t), &err);
    if (st != ST_OK) {
        fprintf(err_out, "Error: %s\n", err.text);
        return RUN_BROKEN;
    }
    fputs("Compaction started\n", out);
    fflush(out);
    await_watched(t, &answer, out);
    print_answer(&answer, out, err_out);
    return answer.outcome;
}
