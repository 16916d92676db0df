#include "cli/cli.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/mem.h"

#include "cli/run.h"
#include "cli/shell.h"

static int
print_help(void)
{
    printf(
        "usage: distkv cli [FLAG]... [COMMAND [ARGUMENT]...]\n\n"
        "Without a command: a session on a terminal, or commands from a pipe, one a line (# begins a\n"
        "comment line).\n"
        "Exit code: 0 done; 1 an error, or key not found; 2 wrong arguments.\n\n%s\n"
        "Commands: PUT GET DELETE RANGE STATS COMPACT QUIT HELP, and all of the server's.\n",
        target_options_help);
    return 0;
}

/* The words of the command line; the value of PUT is all that follows the key. */
static enum status
words_of_argv(struct words *w, int argc, char **argv)
{
    bool put = slice_equal_nocase(slice_str(argv[0]), "put");
    enum status st = ST_OK;

    for (int i = 0; i < argc && st == ST_OK; i++) {
        if (i > 2 && put) {
            st = buf_append(&w->line, slice_str(" "));
            if (st == ST_OK)
                st = buf_append(&w->line, slice_str(argv[i]));
        } else if (put && i == 2) {
            st = buf_append(&w->line, slice_str(argv[i]));
        } else if (w->count < WORDS_MAX) {
            w->word[w->count++] = slice_str(argv[i]);
        } else {
            st = ST_TOO_BIG;
        }
    }
    if (st == ST_OK && put && argc > 2)
        w->word[w->count++] = buf_slice(&w->line);
    return st;
}

static int
run_once(struct target *t, int argc, char **argv)
{
    enum run_outcome outcome = RUN_FAILED;
    struct words w;

    words_init(&w);
    if (words_of_argv(&w, argc, argv) == ST_OK)
        outcome = run_command(t, &w, stdout, stderr);
    else
        fputs("distkv cli: too many arguments\n", stderr);
    words_release(&w);
    return run_exit_code(outcome);
}

/* Commands from a pipe; goes on after an error, and says so in the exit code. */
static int
run_pipe(struct target *t)
{
    enum run_outcome outcome = RUN_OK;
    char *line = NULL;
    size_t room = 0;
    ssize_t size;
    struct words w;
    int code = 0;

    words_init(&w);
    while (outcome != RUN_QUIT && outcome != RUN_BROKEN && outcome != RUN_CLOSED &&
           (size = getline(&line, &room, stdin)) >= 0) {
        while (size > 0 && (line[size - 1] == '\n' || line[size - 1] == '\r'))
            size--;
        if (size > 0 && line[0] == '#')
            continue;
        if (words_split(&w, slice_of(line, (size_t)size)) != ST_OK) {
            fputs("Error: unbalanced quotes, or a line that is too long\n", stderr);
            code = 1;
        } else if (w.count > 0) {
            outcome = run_command(t, &w, stdout, stderr);
            code = run_exit_code(outcome) == 0 ? code : 1;
        }
    }
    free(line);
    words_release(&w);
    return code;
}

int
cli_main(int argc, char **argv)
{
    struct target_options options;
    struct target *t = NULL;
    struct err err = { 0 };
    int used = 0;
    int code;

    if (target_wants_help(argc, argv, 1))
        return print_help();
    target_options_default(&options);
    if (target_options_take(&options, argc, argv, &used, &err) != ST_OK) {
        fprintf(stderr, "distkv cli: %s\n", err.text);
        return 2;
    }
    if (used < argc && argv[used][0] == '-') {
        fprintf(stderr, "distkv cli: unknown flag %s; see distkv cli --help\n", argv[used]);
        return 2;
    }
    if (used < argc && run_answered_here(slice_str(argv[used])))
        return run_once(NULL, argc - used, argv + used);
    if (target_open(&t, &options, &err) != ST_OK) {
        fprintf(stderr, "Error: %s\n", err.text);
        return 1;
    }
    if (used < argc)
        code = run_once(t, argc - used, argv + used);
    else
        code = isatty(STDIN_FILENO) != 0 ? shell_run(t) : run_pipe(t);
    if (target_close(t, &err) != ST_OK) {
        fprintf(stderr, "Error: %s\n", err.text);
        code = 1;
    }
    return code;
}
