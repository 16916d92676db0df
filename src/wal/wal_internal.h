/*
 * wal_internal.h — what the files of this module share.
 *
 *      record.c    one record as bytes                        pure
 *      chain.c     the CHAIN file                             codec pure
 *      segment.c   segment files: header, making, recycling
 *      heads.c     the newest hard state of every tablet      pure
 *      gather.c    bytes on their way to the disk             pure
 *      scan.c      reading a segment file, record by record
 *      walk.c      reading a whole stream
 *      visit.c     ... the records of a segment
 *      judge.c     ... what lies beyond the end: torn or damaged?
 *      recover.c   wal_open
 *      fresh.c     ... going on in a fresh segment, with a copy of what is unproven
 *      wal.c       the essay; append, mark, and what is asked of a stream
 *      flush.c     wal_flush, wal_close
 *      tend.c      spares, release, recycling
 *      read.c      wal_read
 *      verify.c    wal_verify
 *      cut.c       wal_cut
 */
#ifndef WAL_WAL_INTERNAL_H
#define WAL_WAL_INTERNAL_H

#include <stdatomic.h>

#include "base/limits.h"
#include "base/list.h"
#include "base/lock.h"

#include "wal/wal.h"

enum {
    LOG_FORMAT = 1,

    SEGMENT_HEADER_BYTES = 4096, /* the first record comes after it */
    SEGMENT_BYTES_MIN = 64 << 10,
    SEGMENT_BYTES_MAX = 1 << 30,
    SEGMENT_NAME_BYTES = 24, /* "0123456789abcdef.log" and its terminator */

    RECORD_HEADER_BYTES = 32,
    RECORD_BYTES_MIN = RECORD_HEADER_BYTES + 2,
    LINK_BODY_BYTES = 8,
    MARK_BYTES = RECORD_BYTES_MIN,
    SEAL_BYTES = RECORD_BYTES_MIN + LINK_BODY_BYTES,
    FOLLOW_BYTES = SEAL_BYTES,
    TAIL_BYTES = MARK_BYTES + SEAL_BYTES, /* always left in a segment (W10) */

    /* Segments that CHAIN can name. */
    CHAIN_SEGMENTS_MAX = 1 << 16,

    /* Segments of one stream; beyond, wal_append() says ST_BUSY until some are released: 2 TB of
     * segments of 64 MB.  The other half is for what recoveries add. */
    RETAINED_SEGMENTS_MAX = CHAIN_SEGMENTS_MAX / 2,
};

/* Where a stream lives, and what seeds its checksums. */
struct place {
    struct env *env;
    const char *dir; /* borrowed */
    uint64_t store_id;
};

/* ------------------------------------------------------------------ record.c */

/* Types that only this module knows, beside those of enum wal_record_type. */
enum inner_type {
    RECORD_MARK = 3,   /* everything before it is durable */
    RECORD_SEAL = 4,   /* the segment ends; tablet and body name the next one */
    RECORD_FOLLOW = 5, /* first in a segment: tablet and body name the one before, now durable */
    RECORD_TYPE_MAX = WAL_CUT,
};

struct raw_record {
    uint8_t type;       /* enum wal_record_type or enum inner_type */
    uint64_t watermark; /* offset in this file before which all was durable when it was laid out */
    uint64_t tablet;
    uint64_t term;
    uint64_t index;
    struct slice body; /* borrowed */
};

enum parse {
    PARSE_NONE, /* not ours: zeros, torn, damaged, or of another incarnation */
    PARSE_OK,
    PARSE_NEWER, /* intact, and written by a later release */
};

/* The seed of every checksum in one incarnation of a segment. */
uint64_t wal__record_seed(uint64_t store_id, uint64_t incarnation);

/* Bytes that the record takes. */
size_t wal__record_bytes(const struct raw_record *r);

/* Write it at `out`, which has room; `offset` is where it will stand in the file. */
void wal__record_put(uint8_t *out, uint64_t seed, uint64_t offset, const struct raw_record *r);

/* Could the RECORD_HEADER_BYTES at `header` begin a record at `offset`, with `room` bytes to the
 * end?  Its whole size, or 0.  Right but for one time in 65,536. */
uint64_t wal__record_peek(const uint8_t *header, uint64_t seed, uint64_t offset, uint64_t room);

/* Decode a record of exactly these bytes; `out->body` points into them. */
enum parse wal__record_get(struct slice bytes, uint64_t seed, uint64_t offset,
                           struct raw_record *out);

/* The incarnation that a seal or a follow record names. */
uint64_t wal__record_link(const struct raw_record *r);

/* Was it appended by wal_append(), or a head repeated?  Then this is what it was given. */
bool wal__record_is_outer(const struct raw_record *r);
struct wal_record wal__record_outer(const struct raw_record *r);

/* ------------------------------------------------------------------ segment.c */

struct segment_header {
    uint64_t store_id;
    uint64_t sequence;    /* its name */
    uint64_t incarnation; /* random, fresh at every use */
    uint64_t bytes;       /* of the file */
};

void wal__header_put(uint8_t out[SEGMENT_HEADER_BYTES], const struct segment_header *h);
enum parse wal__header_get(const uint8_t in[SEGMENT_HEADER_BYTES], struct segment_header *h);

/* One segment file of ours.  A stream holds it in one of three lists: `chain` (part of the log),
 * `ready` (prepared, empty), `freed` (to be recycled or removed). */
struct segment {
    struct list link;
    uint64_t sequence;
    uint64_t incarnation;
    uint64_t bytes;
    uint64_t seed;
    struct file *file;      /* open while it may be written to; owned */
    wal_position begin;     /* where the one before ends */
    wal_position base;      /* position of its first record */
    wal_position heads_end; /* position past the hard states at its beginning */
    uint64_t limit;         /* offset past its last record; 0 while it grows */
    uint64_t seal_at;       /* offset of its seal; 0 = none */
    bool settled;           /* sealed or cut, durable, closed */
    bool doomed;            /* freed, and not to be used again */
    uint32_t readers;       /* W12 */
};

/* Position past the last record of a segment that has a limit. */
wal_position wal__segment_end(const struct segment *s);

void wal__segment_destroy(struct segment *s); /* closes its file; NULL is allowed */
void wal__segments_destroy(struct list *segments);

void wal__segment_name(uint64_t sequence, char out[SEGMENT_NAME_BYTES]);
bool wal__segment_parse_name(const char *name, uint64_t *sequence);
void wal__path(const struct place *p, const char *name, char out[LIMIT_PATH_BYTES]);
void wal__segment_path(const struct place *p, uint64_t sequence, char out[LIMIT_PATH_BYTES]);

/* Make a new file of this size, ready for use: allocated, with a fresh header, all durable (W3).
 * On failure nothing is left of it that matters. */
MUST_USE enum status wal__segment_make(const struct place *p, uint64_t sequence, uint64_t bytes,
                                       struct segment **out, struct err *err);

/* Make a file that is no longer part of the log ready for use under another name.  On failure the
 * segment is doomed, and stays the caller's. */
MUST_USE enum status wal__segment_recycle(const struct place *p, struct segment *s,
                                          uint64_t sequence, struct err *err);

/* Open a file and check its header.  ST_NOT_FOUND; ST_CORRUPT: it does not check out, or the file
 * does not have the size that it says (the text is for wal__damage()); ST_INVALID: newer.
 * `flags` as for env_open(). */
MUST_USE enum status wal__segment_open(const struct place *p, uint64_t sequence, unsigned flags,
                                       struct file **out, struct segment_header *h,
                                       struct err *err);

/* The sequence numbers of all segment files in the folder, ascending.  ST_NOT_FOUND: no folder. */
struct sequences {
    uint64_t *items; /* owned */
    size_t count;
    size_t capacity;
    bool failed;
};

MUST_USE enum status wal__sequences_read(const struct place *p, struct sequences *out,
                                         struct err *err);
void wal__sequences_release(struct sequences *s);

/* ------------------------------------------------------------------ chain.c */

struct chain_entry {
    uint64_t sequence;
    uint64_t incarnation;
    uint64_t limit; /* everything before this offset is durable, and nothing after it counts;
                       0 = open: follow its seals.  The last entry is open, and only the last */
};

struct chain {
    uint64_t store_id;
    struct chain_entry *entries; /* owned */
    uint32_t count;
};

void wal__chain_release(struct chain *c);

/* Bytes of the CHAIN file for so many entries, and the file itself. */
size_t wal__chain_bytes(uint32_t count);
void wal__chain_put(uint8_t *out, const struct chain *c);

/* Where the first of the two copies does not check out; `bytes` when both are intact. */
struct chain_found {
    enum parse parse; /* PARSE_OK: at least one copy is intact, and `chain` holds it */
    bool damaged;     /* not both are intact, or they differ */
    uint64_t damaged_at;
};

/* Decode a CHAIN file.  ST_NO_MEMORY, or ST_OK and `*found`. */
MUST_USE enum status wal__chain_get(struct slice file, struct chain *out,
                                    struct chain_found *found);

/* Read CHAIN.  ST_NOT_FOUND; ST_IO; otherwise ST_OK and `*found`. */
MUST_USE enum status wal__chain_read(const struct place *p, struct chain *out,
                                     struct chain_found *found, struct err *err);

/* Replace CHAIN: when this returns ST_OK the new one is durable; on failure either may be. */
MUST_USE enum status wal__chain_replace(const struct place *p, const struct chain *c,
                                        struct err *err);

/* As above, listing these segments.  The last is listed as open. */
MUST_USE enum status wal__chain_write(const struct place *p, const struct list *segments,
                                      struct err *err);

/* ------------------------------------------------------------------ heads.c */

/* A tablet's hard state; the newest one is repeated at the start of each segment (W7). */
struct head {
    uint64_t tablet;
    uint64_t term;
    size_t size;
    uint8_t body[];
};

struct heads {
    struct head **slots; /* open addressing, linear probing; heads are owned */
    size_t slot_count;   /* a power of two, or 0 */
    size_t count;
    uint64_t bytes; /* of all of them as records */
};

struct head *wal__head_create(uint64_t tablet, uint64_t term,
                              struct slice body); /* NULL: no memory */
struct raw_record wal__head_record(const struct head *h);

/* Room for one more tablet.  ST_NO_MEMORY: nothing changed. */
MUST_USE enum status wal__heads_reserve(struct heads *hs);

/* Take a head in, after a reserve.  Returns the one that it replaced, for the caller to free;
 * or NULL. */
struct head *wal__heads_put(struct heads *hs, struct head *h);

/* The head of this tablet, taken out, for the caller to free; or NULL. */
struct head *wal__heads_take(struct heads *hs, uint64_t tablet);

void wal__heads_release(struct heads *hs);

/* ------------------------------------------------------------------ gather.c */

struct gather {
    uint8_t *bytes; /* owned */
    size_t used;
    size_t capacity;
};

MUST_USE bool wal__gather_reserve(struct gather *g, size_t more); /* false: no memory */

/* Forget the bytes; keep the memory, unless it grew far beyond what is used. */
void wal__gather_reset(struct gather *g);
void wal__gather_release(struct gather *g);

/* ------------------------------------------------------------------ scan.c */

/* A window on a segment file. */
struct scan {
    struct file *file; /* borrowed */
    uint64_t bytes;    /* of the file */
    uint64_t seed;
    uint64_t begin; /* of the window */
    struct buf window;
};

struct found {
    enum parse parse;
    uint64_t offset;
    uint64_t size;            /* of the record; 0 for PARSE_NONE */
    struct raw_record record; /* borrowed from the window: dies at the next call */
};

void wal__scan_init(struct scan *s, struct file *file, uint64_t bytes, uint64_t seed);
void wal__scan_release(struct scan *s);

/* What stands at `offset`, if it ends at or before `limit`. */
MUST_USE enum status wal__scan_record(struct scan *s, uint64_t offset, uint64_t limit,
                                      struct found *out, struct err *err);

/* Call `fn` for every intact record at or after `from`, wherever it begins.  Anything but ST_OK
 * ends the search and is returned. */
typedef enum status scan_fn(void *ctx, const struct found *found, struct err *err);
MUST_USE enum status wal__scan_ahead(struct scan *s, uint64_t from, scan_fn *fn, void *ctx,
                                     struct err *err);

/* ------------------------------------------------------------------ walk.c, visit.c, judge.c */

/* Reading a stream from its beginning to its end, without changing it. */
struct walk {
    const struct place *place;
    const struct wal_options *options;
    const struct wal_damage *cut; /* the log ends here, by the operator's decision; or NULL */
    struct wal_recovery *report;

    struct list segments; /* struct segment, oldest first; owned */
    uint32_t segment_count;
    struct sequences sequences; /* every segment file in the folder */
    struct heads heads;         /* as of `proven` */
    struct buf pending;         /* heads of the last segment beyond `proven` */

    /* The last segment. */
    struct file *file; /* owned */
    struct scan scan;
    uint64_t proven;   /* everything before this offset is known to be durable */
    uint64_t replayed; /* where the records end that were replayed */
    uint64_t told;     /* the position that unproven ones are given: at most `proven` */
    uint64_t end;      /* where its records end */
    uint64_t mark_at;  /* of its last record, if that is a mark which covers all before it; or 0 */
    bool sealed;
    struct segment_header next; /* when sealed: sequence and incarnation of its successor */

    bool absent;     /* ST_NOT_FOUND: there is no stream in this folder */
    bool was_cut;    /* ended at `cut` */
    bool alive;      /* intact or torn records of its last incarnation lie beyond the end */
    uint64_t barred; /* a spare that the last seal names; not to be changed before CHAIN is */
    struct wal_damage damage;      /* after ST_CORRUPT */
    struct segment_header damaged; /* which segment that was, if it is one; else sequence 0 */
};

void wal__walk_init(struct walk *k, const struct place *p, const struct wal_options *options,
                    struct wal_recovery *report);
void wal__walk_release(struct walk *k);
MUST_USE enum status wal__walk(struct walk *k, struct err *err);

struct segment *wal__walk_last(const struct walk *k);

/* Is this segment file part of the log that was walked? */
bool wal__walk_has(const struct walk *k, uint64_t sequence);

/* Open a segment that the log names: that it is there, and whole, is certain (W3); so all else is
 * damage. */
MUST_USE enum status wal__open_named(struct walk *k, const struct segment_header *want,
                                     struct segment_header *got, struct file **out,
                                     struct err *err);

/* Record damage and return ST_CORRUPT. */
MUST_USE enum status wal__damage(struct walk *k, const char *file, uint64_t offset, struct err *err,
                                 const char *fmt, ...) PRINTF_LIKE(5, 6);

MUST_USE enum status wal__damage_here(struct walk *k, uint64_t offset, const char *what,
                                      struct err *err); /* in the last segment */

/* Everything before `offset` of the last segment is durable. */
MUST_USE enum status wal__prove(struct walk *k, uint64_t offset, struct err *err);

/* Visit the records of the last segment, up to its limit (0: it has none), its seal, the cut if
 * it is here, or the first that does not check out. */
MUST_USE enum status wal__visit_records(struct walk *k, uint64_t limit, bool cut_here,
                                        struct err *err);

/* Read the first record of a file that is not known to be part of the log. */
struct first_record {
    bool header_ok;
    struct segment_header header;
    bool intact;
    struct raw_record record; /* without its body */
    uint64_t link;            /* for a follow record: whom it names */
};

MUST_USE enum status wal__first_record(const struct place *p, uint64_t sequence,
                                       struct first_record *out, struct err *err);

/* The last segment's records end at `end`: was there more that had been durable? */
MUST_USE enum status wal__judge_end(struct walk *k, struct err *err);

/* The last segment ends in a seal.  Is its successor in use?  Then `*joined`. */
MUST_USE enum status wal__judge_successor(struct walk *k, bool *joined, struct err *err);

/* ------------------------------------------------------------------ the stream */

struct wal {
    struct place place;
    char *dir; /* owned */
    uint64_t segment_bytes;
    size_t gather_bytes_max;
    uint32_t spare_count;
    uint32_t kept_count;

    struct lock own_lock;
    struct lock *lock; /* guards what follows, down to `failure`; never held across env */
    struct list chain; /* the log, oldest first; never empty */
    struct list ready; /* prepared for use, in the order of preparing */
    struct list freed; /* of no use to the log */
    uint32_t chain_count;
    uint32_t ready_count;
    uint64_t retained_bytes; /* of the files in `chain` */
    struct segment *current; /* last of `chain`: records are laid out here */
    uint64_t at;             /* offset in `current` of the next record */
    struct gather gathers[2];
    unsigned active; /* which of them takes records; the other is being written, or empty */
    struct heads heads;
    bool marked;  /* the last record laid out is a mark */
    bool serving; /* wal_serve() */
    wal_position released;
    wal_position begin;    /* nothing before it is read any more; its segment is in `chain` */
    uint64_t wanted_bytes; /* a segment of this size is missing; 0 = none */
    bool no_space;         /* the last wal_tend() met ST_NO_SPACE */
    struct err failure;    /* why the stream ended (W5) */

    struct segment *writing; /* wal_flush() only: where the byte at `written` goes */
    uint64_t next_sequence;  /* wal_tend() only */

    _Atomic wal_position end;
    _Atomic wal_position written;
    _Atomic wal_position durable;
    _Atomic int health; /* enum status */
    _Atomic uint64_t sync_count;
    _Atomic uint64_t sync_ns;
    _Atomic uint64_t write_count;
    _Atomic uint64_t byte_count;
    _Atomic uint64_t record_count;
};

/* wal_open(), with the log ending at `cut`, if that is not NULL. */
MUST_USE enum status wal__open(struct wal **out, struct env *env, const struct wal_options *options,
                               const struct wal_damage *cut, struct wal_recovery *report,
                               struct err *err);

/* fresh.c: end the stream that was walked where it is proven, and go on in a fresh segment, with a copy
 * of the rest; nothing that CHAIN speaks of is changed before CHAIN is.  The walk keeps the segments of
 * which nothing is left. */
MUST_USE enum status wal__continue_fresh(struct wal *w, struct walk *k, struct err *err);

/* Options from a configuration file: ST_INVALID. */
MUST_USE enum status wal__check_options(const struct wal_options *options, struct err *err);

/* The failure that ended the stream, again; under the lock. */
MUST_USE enum status wal__failed(const struct wal *w, struct err *err);

#endif
