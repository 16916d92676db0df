/*
 * cli/words.h — what a person typed, as the words of a command.
 *
 * Words are separated by blanks; "double" and 'single' quotes group, as in
 * redis-cli.  PUT is different: its value is the rest of the line, verbatim.
 */
#ifndef CLI_WORDS_H
#define CLI_WORDS_H

#include "base/slice.h"
#include "base/status.h"

enum { WORDS_MAX = 1024 };

struct words {
    struct buf line; /* owned copy, unquoted in place */
    struct slice word[WORDS_MAX];
    size_t count;
};

void words_init(struct words *w);
void words_release(struct words *w);

/* ST_INVALID: unbalanced quotes; ST_TOO_BIG: too many words, or a line that is too long. */
MUST_USE enum status words_split(struct words *w, struct slice line);

#endif
