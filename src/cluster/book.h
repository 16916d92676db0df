/*
 * cluster/book.h — a node's copy of the metadata's records.
 *
 *      metadata tablet ──applied──> book ──┬── atlas (atlas.h), for everybody to look into
 *      another node  ────feed────> book ──┤
 *      file ATLAS    ────load────> book ──┴── feed, for nodes that are behind; file
 *
 * A record counts only if it is newer than the one that is there, so that it does not matter how
 * often, from where and in which order they come.  A feed is whole: it
 * has all that is newer than the version it was asked for, and is taken only by a book that is at that
 * version or later; so a book always is what the metadata was at one moment, its version.
 *
 * Pure, but for memory.  One thread.
 */
#ifndef CLUSTER_BOOK_H
#define CLUSTER_BOOK_H

#include "cluster/record.h"

struct page {
    struct record_key key;
    version_t version;
    struct slice value; /* owned */
};

struct book {
    struct page *pages; /* owned; by kind and id */
    uint32_t count;
    uint32_t capacity;
    version_t version; /* the newest of the records' */
    uint64_t edits;    /* grows whenever a record is taken */
};

void book_release(struct book *b); /* zeroed is allowed, and is an empty one */

/* NULL: there is none. */
const struct page *book_find(const struct book *b, const struct record_key *key);

/* Take the record as bytes, unless a newer one is there.  A record that this program cannot read is
 * ST_CORRUPT or ST_INVALID, and nothing has changed; ST_NO_MEMORY, likewise. */
MUST_USE enum status book_put(struct book *b, const struct record_key *key, version_t version,
                              struct slice value, struct err *err);

/* Append all records that are newer than `since`, in a form for book_take().  ST_NO_MEMORY, ST_TOO_BIG. */
MUST_USE enum status book_feed(const struct book *b, version_t since, struct buf *out);

/* All of a feed, or nothing.  ST_CORRUPT: it is none; ST_INVALID: it is of a newer format; ST_CONFLICT: it
 * leaves out what this book does not have (ask anew, since its version); ST_NO_MEMORY. */
MUST_USE enum status book_take(struct book *b, struct slice feed, struct err *err);

#endif
