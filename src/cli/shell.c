#include "cli/shell.h"

#include <histedit.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

#include "cli/run.h"

enum { HISTORY_LINES = 1000, PATH_TEXT_MAX = 4096, HINT_MAX = 120 };

struct shell {
    struct target *target;
    EditLine *el;
    History *history;
    char history_file[PATH_TEXT_MAX];
    char hint[HINT_MAX];
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

/* At the right edge: the arguments of the command that is being typed. */
static char *
hint(EditLine *el)
{
    struct shell *s = shell_of(el);
    bool complete;
    struct slice verb = verb_of(el, &complete);
    const struct command_help *h = complete ? command_help_of(verb) : NULL;

    snprintf(s->hint, sizeof(s->hint), "%s%s", h == NULL ? "" : h->name, h == NULL ? "" : " ");
    if (h != NULL)
        snprintf(s->hint + strlen(s->hint), sizeof(s->hint) - strlen(s->hint), "%s", h->arguments);
    return s->hint;
}

/* TAB: the rest of the verb, or the commands that begin like it; after the verb, its arguments. */
static unsigned char
complete_verb(EditLine *el, int key)
{
    bool finished;
    struct slice verb = verb_of(el, &finished);
    const struct command_help *only = NULL;
    int matches = 0;

    (void)key;
    if (finished) {
        only = command_help_of(verb);
        if (only != NULL)
            printf("\n  %s %s\n", only->name, only->arguments);
        return only == NULL ? CC_ERROR : CC_REDISPLAY;
    }
    for (const struct command_help *h = command_helps; h->name != NULL; h++) {
        if (verb.size > 0 && strncasecmp(h->name, (const char *)verb.data, verb.size) == 0) {
            matches++;
            only = h;
        }
    }
    if (matches == 1) {
        char rest[HINT_MAX];

        snprintf(rest, sizeof(rest), "%s ", only->name + verb.size);
        return el_insertstr(el, rest) < 0 ? CC_ERROR : CC_REFRESH;
    }
    if (matches == 0)
        return CC_ERROR;
    putchar('\n');
    for (const struct command_help *h = command_helps; h->name != NULL; h++) {
        if (strncasecmp(h->name, (const char *)verb.data, verb.size) == 0)
            printf("  %s", h->name);
    }
    putchar('\n');
    return CC_REDISPLAY;
}

static bool
begin(struct shell *s)
{
    /* NOLINTNEXTLINE(concurrency-mt-unsafe): nobody changes the environment. */
    const char *home = getenv("HOME");
    HistEvent event;

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
    el_set(s->el, EL_ADDFN, "distkv-complete", "complete a command", complete_verb);
    el_set(s->el, EL_BIND, "^I", "distkv-complete", NULL);
    el_source(s->el, NULL);
    return true;
}

static void
end(struct shell *s)
{
    HistEvent event;

    if (s->history != NULL) {
        if (s->history_file[0] != '\0')
            history(s->history, &event, H_SAVE, s->history_file);
        history_end(s->history);
    }
    if (s->el != NULL)
        el_end(s->el);
}

static enum run_outcome
run_line(struct shell *s, struct words *w, const char *line, int size)
{
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
    history(s->history, &event, H_ENTER, line);
    return run_command(s->target, w, stdout, stderr);
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
    while (outcome != RUN_QUIT && outcome != RUN_BROKEN && (line = el_gets(s.el, &size)) != NULL &&
           size > 0)
        outcome = run_line(&s, &w, line, size);
    end(&s);
    words_release(&w);
    return outcome == RUN_BROKEN ? 1 : 0;
}
