/*
 * cli/shell.h — the interactive session: history, completion, argument hints.
 */
#ifndef CLI_SHELL_H
#define CLI_SHELL_H

#include "cli/target.h"

/* Until QUIT or the end of the input; returns the exit code. */
int shell_run(struct target *t);

#endif
