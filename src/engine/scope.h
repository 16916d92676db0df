/*
 * engine/scope.h — which keys a tablet has, as far as its splits say.
 *
 *      born      whole                          every key that it is asked for is its own
 *      split     from .. at      edition 1      what is at `at` and beyond is another tablet's
 *      again     from .. at2     edition 2
 *
 * The tablet that comes out of a split has the same edition as the other.  Who asks says which edition it
 * knows: if it is the tablet's, its keys were chosen by these bounds.
 *
 * Pure.
 */
#ifndef ENGINE_SCOPE_H
#define ENGINE_SCOPE_H

#include "base/coding.h"

enum { SCOPE_BOUND_BYTES = 64 };

enum scope_kind {
    SCOPE_WHOLE = 0,
    SCOPE_SLOTS = 1, /* bounds are slots (base/slot.h) */
    SCOPE_KEYS = 2,  /* bounds are keys */
};

struct scope_bound {
    uint8_t size; /* 0: the beginning, or the end, of all there are */
    uint8_t bytes[SCOPE_BOUND_BYTES];
};

struct scope {
    enum scope_kind kind;
    struct scope_bound from;
    struct scope_bound limit; /* the first that is not its own */
    uint64_t edition;         /* how often it, and what it came out of, were split */
};

static inline struct slice
scope_bound_slice(const struct scope_bound *b)
{
    return slice_of(b->bytes, b->size);
}

/* False: it is longer than SCOPE_BOUND_BYTES. */
bool scope_bound_set(struct scope_bound *b, struct slice bytes);

/* Is the user's key, without kind byte, one of its own? */
bool scope_has(const struct scope *s, struct slice key);

/* The two halves of what is split at the bound.  False: `at` leaves one of them empty, or the kinds differ. */
bool scope_split(const struct scope *s, enum scope_kind kind, const struct scope_bound *at,
                 struct scope *lower, struct scope *upper);

/* As bytes: kind:u8 edition:varint from:string limit:string; at most SCOPE_BYTES_MAX.  The reader is bad when there is none. */
enum { SCOPE_BYTES_MAX = 1 + VARINT_BYTES_MAX + 2 * (1 + SCOPE_BOUND_BYTES) };
uint8_t *put_scope(uint8_t *at, const struct scope *s);
void read_scope(struct reader *r, struct scope *out);

#endif
