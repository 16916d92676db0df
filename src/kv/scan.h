/* What scan.c, scan_far.c and host.c share: one scan, that reads here or at another node. */
#ifndef KV_SCAN_H
#define KV_SCAN_H

#include "base/arena.h"

#include "kv/kv.h"

/* A scan that another node reads for us. */
struct scan_far {
    uint64_t node;   /* 0: it reads here */
    uint64_t number; /* of the scan, at that node */
    bool begun;      /* the node has, or may have, a snapshot for it */
    bool is_first;   /* the piece that was asked for last */
    struct request request;
    struct op op;
    struct op_result result;
    struct buf order; /* the operation's value */
    struct task task;
};

struct kv_scan {
    struct kv_door *door;
    uint64_t tablet;
    struct kv_snapshot snapshot;    /* without a pin: no piece has been read here */
    struct request ask;             /* of the first piece */
    struct kv_scan_options options; /* its slices lie in `bounds`, the keys as they are stored */
    struct buf bounds;

    struct buf resume; /* stored key where the next piece begins */
    bool resume_after; /* just past it */
    bool ended;

    struct job job;
    bool busy;
    bool closed; /* while busy: to be freed when that is over */
    kv_scan_fn *fn;
    void *ctx;
    uint32_t keys_max;
    uint64_t examined_max;
    size_t bytes_max;
    uint64_t now_ms;

    struct arena arena; /* of the piece */
    struct entry *entries;
    uint32_t capacity;
    size_t bytes;
    struct kv_scan_piece piece;
    struct scan_far far;
    struct merge *merge; /* owned; of several tablets; NULL: it is of one */
};

/* ------------------------------------------------------------------ scan.c */

/* As kv_scan_open(), of one tablet. */
MUST_USE enum status scan__open(struct kv_door *door, const struct kv_scan_options *options,
                                uint64_t tablet, struct kv_scan **out, struct err *err);

/* Who leads, and may what was committed so far be read there?  Then the first piece. */
void scan__ask(struct kv_scan *s);

/* A copy of the entry, whose key is the user's, to the end of the piece.  ST_NO_MEMORY. */
MUST_USE enum status scan__keep(struct kv_scan *s, const struct entry *e);

/* Where the next piece begins: just past this user's key.  ST_NO_MEMORY. */
MUST_USE enum status scan__go_on_after(struct kv_scan *s, struct slice key);

/* The user's key that was looked at last; empty: none was. */
struct slice scan__last_key(const struct kv_scan *s);

/* From now on it reads what is committed here. */
MUST_USE enum status scan__pin(struct kv_scan *s);

/* The piece, or why there is none, is told: the caller may call the scan again, or close it. */
void scan__tell(struct kv_scan *s);
void scan__free(struct kv_scan *s);

/* A piece is refused: told by a job, and so not too early. */
void scan__refuse(struct kv_scan *s, enum status st);

/* ------------------------------------------------------------------ scan_far.c */

/* The leader is another node: the scan is read there. */
void scan__begin_far(struct kv_scan *s, uint64_t node);
void scan__next_far(struct kv_scan *s);
/* The scan is over: its node is told, then it is freed. */
void scan__end_far(struct kv_scan *s);

/* ------------------------------------------------------------------ scan_merge.c */

struct site;
struct merge;

/* The scan is of these tablets.  ST_NO_MEMORY. */
MUST_USE enum status merge__open(struct kv_scan *whole, const struct kv_scan_options *options,
                                 struct site *const *sites, uint32_t count, struct err *err);
void merge__next(struct merge *m);
void merge__rewind(struct merge *m);

/* The whole is closed in the midst of a piece.  True: it can be freed now; false: when its task has run. */
bool merge__give_up(struct merge *m);
void merge__close(struct merge *m); /* NULL is allowed */

#endif
