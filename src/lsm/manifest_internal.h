/*
 * manifest_internal.h — what the files of the manifest share.
 *
 *      manifest.c          essay and invariants; opening
 *      manifest_write.c    recording an edit; taking over
 *      manifest_frame.c    header and records as bytes
 *      manifest_codec.c    an edit as bytes
 *      manifest_recover.c  from the bytes of a file to a version
 *      manifest_folder.c   the names in the tree's folder
 */
#ifndef LSM_MANIFEST_INTERNAL_H
#define LSM_MANIFEST_INTERNAL_H

#include "lsm/manifest.h"

enum {
    MANIFEST_HEADER_FORMAT = 1,
    MANIFEST_HEADER_BYTES = 48,
    MANIFEST_RECORD_HEADER_BYTES = 24,

    /* A file's size is fixed when it is made: room for edits beside the snapshot, so that a
     * takeover is paid for by many edits. */
    MANIFEST_FILE_BYTES_MIN = 64 << 10,
    MANIFEST_FILE_PER_SNAPSHOT = 4,
    MANIFEST_FILE_ALIGNMENT = 4096,

    /* Beyond the folder's path: a slash, the longest of our names, and a terminator. */
    MANIFEST_NAME_BYTES_MAX = 64,
};

/* Of one file, which is read whole: sixteen thousand tables whose keys are all of the greatest
 * length.  A snapshot beyond it is ST_TOO_BIG. */
#define MANIFEST_FILE_BYTES_MAX (UINT64_C(2) << 30)

/* ------------------------------------------------------------------ manifest_frame.c */

struct manifest_header {
    uint64_t tree_id;
    uint64_t number;
    uint64_t file_bytes;
};

/* Stored as one byte; values are for ever. */
enum manifest_record_type {
    MANIFEST_SNAPSHOT = 1, /* number_max:varint, then an edit that makes the whole version */
    MANIFEST_EDIT = 2,
    MANIFEST_SYNCED = 3, /* empty: everything before it is durable */
};

struct manifest_frame {
    uint8_t type; /* enum manifest_record_type, or one that a newer program knows */
    uint8_t format;
    uint64_t watermark;
    uint64_t begin;
    uint64_t limit;
    struct slice payload; /* borrowed from the image */
};

/* What every record's checksum is seeded with, together with its offset. */
uint64_t manifest__seed(uint64_t tree_id, uint64_t number);

void manifest__header_put(const struct manifest_header *h, uint8_t out[MANIFEST_HEADER_BYTES]);

/* ST_CORRUPT; ST_INVALID: a newer format. */
MUST_USE enum status manifest__header_get(struct slice image, const char *path,
                                          struct manifest_header *out, struct err *err);

/* Append room for a record's header; the payload follows, and then the seal. */
MUST_USE enum status manifest__record_begin(struct buf *out);

/* Fill in the header that begins at `begin` of `out`, for a record at offset `at` of the file. */
void manifest__record_seal(struct buf *out, size_t begin, uint64_t seed, uint64_t at,
                           enum manifest_record_type type, uint64_t watermark);

/* Is there a whole, intact record at `at`?  If so, describe it. */
bool manifest__record_get(struct slice image, uint64_t at, uint64_t seed,
                          struct manifest_frame *out);

/* ------------------------------------------------------------------ manifest_recover.c */

/* What a manifest says. */
struct manifest_state {
    struct manifest_header header;
    struct version *version; /* a reference; NULL in an empty state */
    struct lsm_mark mark;
    uint64_t number_max; /* highest table number that it knows of */
    uint64_t end;        /* offset just past the last intact record */
    uint64_t torn_bytes; /* beyond it, up to the last one that is not zero */
    bool proven;         /* nothing is torn, and the last record says that all is durable */
};

void manifest__state_release(struct manifest_state *s);

/* Read the file at `path`, which the folder calls number `number`.  ST_CORRUPT, ST_INVALID, and
 * what env says; `*out` is then untouched. */
MUST_USE enum status manifest__recover(struct env *env, const char *path, uint64_t number,
                                       struct file_sweep *sweep, struct manifest_state *out,
                                       struct err *err);

/* The same from bytes in memory; for fuzzing, too. */
MUST_USE enum status manifest__replay(struct slice image, const char *path, uint64_t number,
                                      struct file_sweep *sweep, struct manifest_state *out,
                                      struct err *err);

/* ------------------------------------------------------------------ manifest_folder.c */

/* The names in a tree's folder that are ours. */
struct manifest_folder {
    struct buf manifests;   /* numbers, u64le, ascending */
    struct buf tables;      /* numbers, u64le, ascending */
    struct buf temporaries; /* names that end in .tmp, each with its terminator */
    enum status st;         /* of gathering them */
};

/* "<dir>/MANIFEST-<number as 16 hex digits>", with ".tmp" while it is being written. */
void manifest__path(const char *dir, uint64_t number, bool temporary, char *out);

/* ST_NOT_FOUND: there is no such folder.  The caller releases it in any case. */
MUST_USE enum status manifest__folder_read(struct manifest_folder *f, struct env *env,
                                           const char *dir, struct err *err);
void manifest__folder_release(struct manifest_folder *f);

/* The highest number of a list; 0 when it is empty. */
uint64_t manifest__folder_newest(const struct buf *numbers);

/* Make the folder, if it is missing, and its name durable. */
MUST_USE enum status manifest__folder_make(struct env *env, const char *dir, struct err *err);

/* ST_CORRUPT when a table of the version is not there. */
MUST_USE enum status manifest__folder_check(const struct manifest_folder *f, const char *dir,
                                            const struct version *v, struct err *err);

/* Delete every table that is not in `v`, every manifest but number `current`, and what is
 * temporary. */
MUST_USE enum status manifest__folder_clean(const struct manifest_folder *f, struct env *env,
                                            const char *dir, const struct version *v,
                                            uint64_t current, struct err *err);

/* Delete every manifest older than number `current`, durably. */
MUST_USE enum status manifest__remove_older(struct env *env, const char *dir, uint64_t current,
                                            struct err *err);

/* ------------------------------------------------------------------ manifest_write.c */

struct manifest {
    struct env *env;
    char *dir; /* owned */
    uint64_t tree_id;
    uint64_t number;     /* of the newest file, also if it failed (M7) */
    uint64_t number_max; /* highest table number seen */
    struct file *file;   /* owned; NULL: the next edit begins a new file (M5) */
    uint64_t file_bytes;
    uint64_t durable;  /* everything before this offset of the file was synced */
    uint64_t end;      /* where the next record goes: at `durable`, or past a SYNCED */
    struct buf record; /* what is being written; kept for its memory */
};

void manifest__check(const struct manifest *m);

/* Begin a new file with a snapshot of this state; when it has taken over, everything is
 * durable and older files are gone.  On failure the next edit tries again with another number. */
MUST_USE enum status manifest__begin_file(struct manifest *m, const struct version *v,
                                          const struct lsm_mark *mark, struct err *err);

#endif
