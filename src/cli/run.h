/*
 * cli/run.h — one command: send it, and show the answer to a person.
 *
 *      PUT key value   -> OK             (the value is the rest of the line)
 *      GET key         -> the value      missing: Error: key not found
 *      DELETE key      -> Deleted        missing: Error: key not found
 *      STATS           -> a box
 *      COMPACT         -> start, progress, result
 *      anything else   -> the server's command, its reply printed
 */
#ifndef CLI_RUN_H
#define CLI_RUN_H

#include <stdio.h>

#include "cli/target.h"
#include "cli/words.h"

enum run_outcome {
    RUN_OK,     /* exit code 0 */
    RUN_FAILED, /* the answer is an error, or "not found": exit code 1 */
    RUN_QUIT,   /* the person wants to leave */
    RUN_BROKEN, /* the connection is gone: exit code 1 */
    RUN_CLOSED, /* it is gone because that was asked for: exit code 0 */
};

/* Answers go to `out`, errors to `err_out`. */
enum run_outcome run_command(struct target *t, const struct words *w, FILE *out, FILE *err_out);

static inline int
run_exit_code(enum run_outcome outcome)
{
    return outcome == RUN_FAILED || outcome == RUN_BROKEN ? 1 : 0;
}

/* HELP and QUIT are answered here, and need nobody at the other end: `t` may be NULL. */
bool run_answered_here(struct slice verb);

/* What there is, for help, completion and hints: "SET", "key value [NX | XX] ...".  NULL at the
 * end of the list. */
struct command_help {
    const char *name;
    const char *arguments;
    const char *summary;
};
extern const struct command_help command_helps[];

/* The entry of a verb, without regard to case; NULL when it is unknown here. */
const struct command_help *command_help_of(struct slice verb);

#endif
