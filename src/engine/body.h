/*
 * engine/body.h — what the body of a tablet's log record says.  Pure codec.
 *
 *      ENTRY record   format:u8 = 2  kind:u8  version:varint  lag:varint  ...
 *          BATCH      count:varint  { type:u8  key:string  [expiry:varint]  [value:string] }*
 *                     type: entry_type, with BODY_HAS_EXPIRY added when an expiry follows
 *          TERM       ceiling_ms:varint (the first entry of a term)
 *          CEILING    ceiling_ms:varint
 *          CLEAR
 *          CONFIG     config
 *          SPLIT      format 3; heir:u64  scope-kind:u8  at:string
 *      HEAD record    format:u8 = 2  term:varint  vote:varint  commit:varint  ceiling_ms:varint
 *                     index:varint  config   the last one applied, and the index of its entry
 *                     format 3, of a tablet that was split, or came out of one, besides:
 *                     index:varint  version:varint  scope   of the entry of the last split
 *      config         voters  outgoing  learners, each  count:u8  { node:varint }*
 *
 * `lag`: when the entry was proposed, everything up to its index less this was committed.  So,
 * with the commit of heads, a log tells by itself what of it may be applied: all but its end.
 *
 * Bytes of the log are not trusted: every decoder may say ST_CORRUPT, and
 * ST_INVALID to a format that is newer than this program.
 */
#ifndef ENGINE_BODY_H
#define ENGINE_BODY_H

#include "base/entry.h"
#include "base/status.h"

#include "engine/scope.h"
#include "raft/raft.h"

enum { BODY_FORMAT = 2, BODY_FORMAT_SPLIT = 3, BODY_HAS_EXPIRY = 0x80 };

enum body_kind {
    BODY_BATCH = 1,
    BODY_TERM = 2,
    BODY_CEILING = 3,
    BODY_CLEAR = 4,
    BODY_CONFIG = 5,
    BODY_SPLIT = 6,
};

/* What lies at the bound and beyond is the tablet `heir`'s from here on. */
struct split {
    uint64_t heir;
    enum scope_kind kind;
    struct scope_bound at;
};

struct body {
    enum body_kind kind;
    version_t version;
    uint64_t lag;
    uint64_t ceiling_ms;  /* BODY_TERM, BODY_CEILING */
    uint32_t entry_count; /* BODY_BATCH */
    struct slice rest;    /* BODY_BATCH, BODY_CONFIG: encoded; see body_entries(), body_config() */
    struct split split;   /* BODY_SPLIT */
};

struct head {
    struct raft_hard hard;
    uint64_t commit; /* entries up to here were, when this was written */
    uint64_t ceiling_ms;
    uint64_t config_index; /* of the entry that brought the membership; 0: it was born with it */
    struct raft_config config;
    uint64_t scope_index;    /* of the entry that brought the scope; 0: there was none */
    version_t scope_version; /* its version */
    struct scope scope;
};

/* Bytes that body_encode_batch() will write; of `b`, version and lag. */
size_t body_batch_size(const struct body *b, const struct entry *entries, size_t count);

/* Encode into `at`, which has body_batch_size() bytes, and make the entries' keys and values
 * point into it. */
void body_encode_batch(uint8_t *at, const struct body *b, struct entry *entries, size_t count);

/* The other kinds; `out` has BODY_SMALL_MAX bytes; `config` for BODY_CONFIG.  Returns how many were
 * written. */
enum { BODY_SMALL_MAX = 512 };
size_t body_encode_small(uint8_t *out, const struct body *b, const struct raft_config *config);

MUST_USE enum status body_decode(struct slice bytes, struct body *out);

/* Is it of a kind whose entries change the head, BODY_CONFIG or BODY_SPLIT?  The rest is not looked at. */
bool body_is_of_head(struct slice bytes);

/* Decode the entries of a batch; `entries` has body->entry_count, and borrows from the bytes.
 * All get the body's version. */
MUST_USE enum status body_entries(const struct body *body, struct entry *entries);

/* The membership of a BODY_CONFIG, which body_decode() has checked. */
void body_config(const struct body *body, struct raft_config *out);

MUST_USE enum status head_encode(const struct head *head, struct buf *out);
MUST_USE enum status head_decode(struct slice bytes, struct head *out);

#endif
