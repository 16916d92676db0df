/*
 * history/strings.h — every text once, known by a number.
 */
#ifndef HISTORY_STRINGS_H
#define HISTORY_STRINGS_H

#include <stdint.h>

#include "base/arena.h"
#include "base/slice.h"
#include "base/status.h"

/* The first numbers are no texts, and are found by none. */
enum { STRING_ABSENT, STRING_NEVER, STRING_FIRST };

struct strings {
    struct arena bytes;
    struct slice *texts; /* owned; by number */
    uint32_t count;      /* STRING_FIRST included */
    uint32_t room;
    uint32_t *slots; /* owned; a hash table of numbers, 0 = free */
    uint32_t slot_count;
};

/* ST_NO_MEMORY: nothing is held. */
MUST_USE enum status strings_init(struct strings *s);
void strings_release(struct strings *s); /* {0} is allowed */

/* The number of a text, which is copied when it is new.  ST_NO_MEMORY, ST_TOO_BIG: nothing was
 * added. */
MUST_USE enum status strings_intern(struct strings *s, struct slice text, uint32_t *number);

#endif
