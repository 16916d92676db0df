/*
 * history/configs.h — the configurations that a search has been in.
 */
#ifndef HISTORY_CONFIGS_H
#define HISTORY_CONFIGS_H

#include "base/arena.h"
#include "base/status.h"

struct config; /* words, as they were given */

struct configs {
    struct arena words;
    struct config **slots; /* owned */
    size_t slot_count;
    size_t count;
    size_t bytes_max; /* of all this */
};

/* ST_NO_MEMORY: nothing is held. */
MUST_USE enum status configs_init(struct configs *c, size_t bytes_max);
void configs_release(struct configs *c); /* {0} is allowed */

/* Remember a configuration; `*is_new` if it was not known.  ST_TOO_BIG: it would pass `bytes_max`.
 * ST_NO_MEMORY. */
MUST_USE enum status configs_add(struct configs *c, const uint32_t *words, uint32_t word_count,
                                 bool *is_new);

#endif
