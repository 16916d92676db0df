/*
 * engine/body.h — what the body of a tablet's log record says.  Pure codec.
 *
 *      ENTRY record   format:u8 = 1  kind:u8  version:varint  ...
 *          BATCH      count:varint  { type:u8  key:string  [expiry:varint]  [value:string] }*
 *                     type: entry_type, with BODY_HAS_EXPIRY added when an expiry follows
 *          TERM       (the first entry of a term)
 *          CEILING    ceiling_ms:varint
 *          CLEAR
 *      HEAD record    format:u8 = 1  term:varint  vote:varint  ceiling_ms:varint
 *                     count:varint  { member:varint }*
 *
 * Bytes of the log are not trusted: every decoder may say ST_CORRUPT, and
 * ST_INVALID to a format that is newer than this program.
 */
#ifndef ENGINE_BODY_H
#define ENGINE_BODY_H

#include "base/entry.h"
#include "base/status.h"

enum { BODY_FORMAT = 1, BODY_HAS_EXPIRY = 0x80, BODY_MEMBERS_MAX = 16 };

enum body_kind { BODY_BATCH = 1, BODY_TERM = 2, BODY_CEILING = 3, BODY_CLEAR = 4 };

struct body {
    enum body_kind kind;
    version_t version;
    uint64_t ceiling_ms;  /* BODY_CEILING */
    uint32_t entry_count; /* BODY_BATCH */
    struct slice entries; /* encoded; see body_entries */
};

struct head {
    uint64_t term;
    uint64_t vote;
    uint64_t ceiling_ms;
    uint32_t member_count;
    uint64_t members[BODY_MEMBERS_MAX];
};

/* Bytes that body_encode_batch() will write. */
size_t body_batch_size(version_t version, const struct entry *entries, size_t count);

/* Encode into `at`, which has body_batch_size() bytes, and make the entries' keys and values
 * point into it. */
void body_encode_batch(uint8_t *at, version_t version, struct entry *entries, size_t count);

/* The other kinds; `out` has BODY_SMALL_MAX bytes.  Returns how many were written. */
enum { BODY_SMALL_MAX = 32 };
size_t body_encode_small(uint8_t *out, enum body_kind kind, version_t version, uint64_t ceiling_ms);

MUST_USE enum status body_decode(struct slice bytes, struct body *out);

/* Decode the entries of a batch; `entries` has body->entry_count, and borrows from the bytes.
 * All get the body's version. */
MUST_USE enum status body_entries(const struct body *body, struct entry *entries);

MUST_USE enum status head_encode(const struct head *head, struct buf *out);
MUST_USE enum status head_decode(struct slice bytes, struct head *out);

#endif
