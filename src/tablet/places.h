/*
 * tablet/places.h — where in the log a tablet's entries are, roughly, and of which term.
 *
 *      entries    8 9 10 11 | 12 13 | 14 15 16 ...            limit: one past the last one noted
 *      places     8, term 3   12, 3   14, term 5
 *                 at 70 KB    at 110  at 150
 *
 * A place stands for the entries up to the next one: all are of its term, and the records of all of
 * them lie at its position or after it.  Together they know a stretch of the log without a hole, its end
 * mostly; what is not known is as good as released.
 *
 * There is a place for each term, and in between one for each 128th of what is known, no
 * nearer than PLACE_BYTES_MIN: so the bytes that a reading has to skip are few beside those that a member
 * far behind will want, and the places of even a large log (4 GB) few.
 *
 * Positions are this process's.  Depends on: base, raft (its integers), wal (its position).
 */
#ifndef TABLET_PLACES_H
#define TABLET_PLACES_H

#include "raft/raft.h"
#include "wal/wal.h"

enum {
    PLACE_BYTES_MIN = 32 << 10, /* of log, between two places of one term */
    PLACE_SHARE = 128,
    PLACES_MAX = 1024, /* 24 KB; beyond, the older half is forgotten */
};

struct place {
    raft_index index; /* of its first entry */
    raft_term term;
    wal_position position;
};

struct places {
    struct place *at; /* owned; ascending in each of the three */
    uint32_t count;   /* 0: nothing is known */
    uint32_t capacity;
    raft_index limit;
};

void places_release(struct places *p); /* nothing is known afterwards */

/* The entry is in the log, at `position` or after it; what was noted at its index and after it is void.
 * After a hole, or where terms or positions run backwards, all that came before is forgotten: this may come from
 * a disk.  So it is without memory for a place. */
void places_note(struct places *p, raft_index index, raft_term term, wal_position position);

/* Entries from `index` on are void. */
void places_cut(struct places *p, raft_index index);

/* What lies before `position` is gone from the log. */
void places_forget(struct places *p, wal_position position);

/* The place that stands for the entry; NULL: none does. */
const struct place *places_find(const struct places *p, raft_index index);

/* One past the last entry known that follows the place without another term in between. */
raft_index places_term_limit(const struct places *p, const struct place *place);

#endif
