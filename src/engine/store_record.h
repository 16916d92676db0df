/*
 * engine/store_record.h — what the embedded store writes: its log records, and the names of its
 * families.  Pure codec.
 *
 *      ENTRY record   format:u8 = 1  version:varint  count:varint
 *                     { tree:varint  type:u8  key:string  [value:string] }*
 *      a family       in the tree STORE_NAMES_TREE: key = name, value = tree:u64
 *
 * All records have tablet 0; the index counts the records of the store.  Bytes of the log are not
 * trusted: the decoders may say ST_CORRUPT.
 */
#ifndef ENGINE_STORE_RECORD_H
#define ENGINE_STORE_RECORD_H

#include "base/coding.h"
#include "base/entry.h"
#include "base/status.h"

enum {
    STORE_TABLET = 0,
    STORE_NAMES_TREE = 1,
    STORE_DEFAULT_TREE = 2,
    STORE_NAME_MAX = 64, /* of a family */
};

struct store_record {
    version_t version; /* of all its operations */
    uint64_t op_count;
    struct reader ops; /* for store_record_next(); borrows from the body */
};

/* Begin a record, for `op_bytes` of keys and values: what was in `out` goes. */
MUST_USE enum status store_record_begin(struct buf *out, version_t version, size_t op_count,
                                        size_t op_bytes);
MUST_USE enum status store_record_add(struct buf *out, uint64_t tree, const struct entry *e);

MUST_USE enum status store_record_decode(struct slice body, struct store_record *out);

/* The next of `op_count` operations; key and value borrow from the body. */
MUST_USE enum status store_record_next(struct store_record *r, uint64_t *tree, struct entry *e);

/* After the last: nothing may follow. */
MUST_USE enum status store_record_end(const struct store_record *r);

#endif
