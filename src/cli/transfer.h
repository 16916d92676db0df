/*
 * cli/transfer.h — what import and export have in common: a file, its format, and a node.
 */
#ifndef CLI_TRANSFER_H
#define CLI_TRANSFER_H

#include "cli/records.h"
#include "cli/target.h"

struct transfer {
    const char *name; /* "import" */
    const char *help; /* its own part of the help text */
    bool needs_path;
    bool only_reads;  /* a data directory that is not there is not created */
    const char *path; /* NULL: none was given */
    enum record_format format;
    struct target_options options;
    struct target *target;
};

/* Take the arguments; then reach the node.  True: go on.  False: `*code` is the exit code, and the
 * reason, or the help, was printed. */
bool transfer_parse(struct transfer *x, int argc, char **argv, int *code);
bool transfer_open(struct transfer *x, int *code);

/* Let go of the node; `code` is what the transfer came to. */
int transfer_end(struct transfer *x, int code);

#endif
