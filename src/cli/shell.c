#include "cli/shell.h"

#include <histedit.h>
#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>
#include <sys/stat.h>
#include <termios.h>
#include <unistd.h>

#include "cli/run.h"

enum {
    HISTORY_LINES = 1000,
    PATH_TEXT_MAX = 4096,
    HINT_MAX = 120,
    HINT_MIN = 20,
    PROMPT_COLUMNS = 8
};

struct shell {
    struct target *target;
    EditLine *el;
    History *history;
    char history_file[PATH_TEXT_MAX];
    char hint[HINT_MAX];
    cc_t interrupt; /* the terminal's key for it */
    bool broken;    /* the connection: a new one is tried before the next command */
};

static char *
prompt(EditLine *el)
{
    static char text[] = "distkv> ";

    (void)el;
    return text;
}

static struct shell *
shell_of(EditLine *el)
{
    void *shell = NULL;

    el_get(el, EL_CLIENTDATA, &shell);
    return shell;
}

/* The verb that is being typed, up to the first blank. */
static struct slice
verb_of(EditLine *el, bool *complete)
{
    const LineInfo *line = el_line(el);
    const char *end = line->buffer;

    while (end < line->lastchar && *end != ' ')
        end++;
    *complete = end < line->lastchar;
    return slice_of(line->buffer, (size_t)(end - line->buffer));
}

/* The editor draws nothing at the right edge that does not fit there as a whole. */
static void
fit_hint(struct shell *s, EditLine *el)
{
    static const char dots[] = "...";
    const LineInfoW *line = el_wline(el);
    size_t taken = PROMPT_COLUMNS + (size_t)(line->lastchar - line->buffer) + 2;
    char code[] = "co";
    size_t room = 0;
    int columns = 0;

    if (el_get(el, EL_GETTC, code, &columns) == 0 && columns > 0 && (size_t)columns > taken)
        room = (size_t)columns - taken;
    if (strlen(s->hint) <= room)
        return;
    if (room < HINT_MIN)
        s->hint[0] = '\0';
    else
        memcpy(s->hint + room - strlen(dots), dots, sizeof(dots));
}

/* At the right edge: the arguments of the command that is being typed. */
static char *
hint(EditLine *el)
{
    struct shell *s = shell_of(el);
    bool complete;
    struct slice verb = verb_of(el, &complete);
    const struct command_help *h = complete ? command_help_of(verb) : NULL;

    s->hint[0] = '\0';
    if (h == NULL)
        return s->hint;
    snprintf(s->hint, sizeof(s->hint), "%s %s", h->name, h->arguments);
    fit_hint(s, el);
    return s->hint;
}

/* A blank ends the verb, so that its arguments can be shown: the editor would not draw them for a
 * mere letter more. */
static unsigned char
insert_blank(EditLine *el, int key)
{
    (void)key;
    return el_insertstr(el, " ") < 0 ? CC_ERROR : CC_REFRESH;
}

/* Ctrl-C: a new line instead of this one. */
static unsigned char
drop_line(EditLine *el, int key)
{
    const LineInfoW *line = el_wline(el); /* what is deleted is counted in characters */

    (void)key;
    el_cursor(el, (int)(line->lastchar - line->cursor));
    line = el_wline(el);
    el_deletestr(el, (int)(line->lastchar - line->buffer));
    puts("^C");
    return CC_REDISPLAY;
}

/* How many letters the commands that begin with `verb` have in common, and how many such
 * commands there are; `*one` is one of them. */
static size_t
common_letters(struct slice verb, int *matches, const struct command_help **one)
{
    size_t common = 0;

    *matches = 0;
    for (const struct command_help *h = command_helps; h->name != NULL; h++) {
        size_t same = 0;

        if (verb.size == 0 || strncasecmp(h->name, (const char *)verb.data, verb.size) != 0)
            continue;
        while (*matches > 0 && same < common && h->name[same] == (*one)->name[same])
            same++;
        common = *matches == 0 ? strlen(h->name) : same;
        *one = h;
        (*matches)++;
    }
    return common;
}

/* TAB: what the verb can only go on with, or the commands that begin like it; after the verb, its
 * arguments. */
static unsigned char
complete_verb(EditLine *el, int key)
{
    bool finished;
    struct slice verb = verb_of(el, &finished);
    const struct command_help *only = NULL;
    int matches = 0;
    size_t common;

    (void)key;
    if (finished) {
        only = command_help_of(verb);
        if (only != NULL)
            printf("\n  %s %s\n", only->name, only->arguments);
        return only == NULL ? CC_ERROR : CC_REDISPLAY;
    }
    common = common_letters(verb, &matches, &only);
    if (matches == 0)
        return CC_ERROR;
    if (matches == 1 || common > verb.size) {
        char rest[HINT_MAX];

        snprintf(rest, sizeof(rest), "%.*s%s", (int)(common - verb.size), only->name + verb.size,
                 matches == 1 ? " " : "");
        return el_insertstr(el, rest) < 0 ? CC_ERROR : CC_REFRESH;
    }
    putchar('\n');
    for (const struct command_help *h = command_helps; h->name != NULL; h++) {
        if (strncasecmp(h->name, (const char *)verb.data, verb.size) == 0)
            printf("  %s", h->name);
    }
    putchar('\n');
    return CC_REDISPLAY;
}

/* While a line is edited, Ctrl-C is a key; while a command runs, it ends the program. */
static void
set_interrupt(cc_t key)
{
    struct termios tty;

    if (tcgetattr(STDIN_FILENO, &tty) != 0)
        return;
    tty.c_cc[VINTR] = key;
    (void)tcsetattr(STDIN_FILENO, TCSADRAIN, &tty);
}

static const char *
read_line(struct shell *s, int *size)
{
    const char *line;

    set_interrupt(_POSIX_VDISABLE);
    line = el_gets(s->el, size);
    set_interrupt(s->interrupt);
    return *size > 0 ? line : NULL;
}

static bool
begin(struct shell *s)
{
    /* NOLINTNEXTLINE(concurrency-mt-unsafe): nobody changes the environment. */
    const char *home = getenv("HOME");
    struct termios tty;
    HistEvent event;

    s->interrupt = tcgetattr(STDIN_FILENO, &tty) == 0 ? tty.c_cc[VINTR] : _POSIX_VDISABLE;
    /* Without it, the editor takes no letter beyond ASCII. */
    (void)setlocale(LC_CTYPE, "C.UTF-8"); /* NOLINT(concurrency-mt-unsafe): the only thread */
    s->el = el_init("distkv", stdin, stdout, stderr);
    s->history = history_init();
    if (s->el == NULL || s->history == NULL)
        return false;
    history(s->history, &event, H_SETSIZE, HISTORY_LINES);
    history(s->history, &event, H_SETUNIQUE, 1);
    if (home != NULL) {
        snprintf(s->history_file, sizeof(s->history_file), "%s/.distkv_history", home);
        history(s->history, &event, H_LOAD, s->history_file);
    }
    el_set(s->el, EL_CLIENTDATA, s);
    el_set(s->el, EL_PROMPT, prompt);
    el_set(s->el, EL_RPROMPT, hint);
    el_set(s->el, EL_EDITOR, "emacs");
    el_set(s->el, EL_HIST, history, s->history);
    /* Wide, since el_set() would copy the names and never free them. */
    el_wset(s->el, EL_ADDFN, L"distkv-complete", L"complete a command", complete_verb);
    el_wset(s->el, EL_ADDFN, L"distkv-blank", L"insert a blank", insert_blank);
    el_wset(s->el, EL_ADDFN, L"distkv-drop", L"drop the line", drop_line);
    el_set(s->el, EL_BIND, "^I", "distkv-complete", NULL);
    el_set(s->el, EL_BIND, " ", "distkv-blank", NULL);
    el_set(s->el, EL_BIND, "^C", "distkv-drop", NULL);
    el_source(s->el, NULL);
    return true;
}

static void
end(struct shell *s)
{
    HistEvent event;

    if (s->history != NULL) {
        mode_t before = umask(S_IRWXG | S_IRWXO); /* what was typed is nobody else's business */

        if (s->history_file[0] != '\0')
            history(s->history, &event, H_SAVE, s->history_file);
        umask(before);
        history_end(s->history);
    }
    if (s->el != NULL)
        el_end(s->el);
}

/* Lines with a password are not kept. */
static bool
has_secret(const struct words *w)
{
    for (size_t i = 0; i < w->count; i++) {
        if (slice_equal_nocase(w->word[i], "auth") ||
            (slice_equal_nocase(w->word[i], "password") && i > 0))
            return true;
    }
    return false;
}

/* False: it was told that nobody answers. */
static bool
have_node(struct shell *s)
{
    struct err err;

    if (!s->broken)
        return true;
    if (target_reconnect(s->target, &err) != ST_OK) {
        fprintf(stderr, "Error: %s\n", err.text);
        return false;
    }
    s->broken = false;
    puts("Connected again, as a new client: database 0, no transaction.");
    return true;
}

static enum run_outcome
run_line(struct shell *s, struct words *w, const char *line, int size)
{
    enum run_outcome outcome;
    HistEvent event;
    enum status st;

    while (size > 0 && (line[size - 1] == '\n' || line[size - 1] == '\r'))
        size--;
    st = words_split(w, slice_of(line, (size_t)size));
    if (st != ST_OK) {
        fputs(st == ST_INVALID ? "Error: unbalanced quotes\n" : "Error: the line is too long\n",
              stderr);
        return RUN_FAILED;
    }
    if (w->count == 0)
        return RUN_OK;
    if (!has_secret(w))
        history(s->history, &event, H_ENTER, line);
    if (!run_answered_here(w->word[0]) && !have_node(s))
        return RUN_BROKEN;
    outcome = run_command(s->target, w, stdout, stderr);
    s->broken = s->broken || outcome == RUN_BROKEN || outcome == RUN_CLOSED;
    return outcome;
}

int
shell_run(struct target *t)
{
    struct shell s = { .target = t };
    enum run_outcome outcome = RUN_OK;
    struct words w;
    const char *line;
    int size = 0;

    words_init(&w);
    if (!begin(&s)) {
        fputs("distkv cli: the line editor could not be started\n", stderr);
        end(&s);
        return 1;
    }
    puts("Type HELP for the commands, TAB to complete, QUIT to leave.");
    while (outcome != RUN_QUIT && (line = read_line(&s, &size)) != NULL)
        outcome = run_line(&s, &w, line, size);
    if (outcome != RUN_QUIT)
        puts("\nShutting down..."); /* Ctrl-D */
    end(&s);
    words_release(&w);
    return outcome == RUN_BROKEN ? 1 : 0;
}
