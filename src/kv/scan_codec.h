/*
 * kv/scan_codec.h — a piece of a scan that is asked for at another node, and the piece, as bytes.  Pure.
 *
 * Format: docs/formats/request.md.  Decoding gives ST_CORRUPT for what no program of ours writes, ST_INVALID for what
 * a newer one does.
 */
#ifndef KV_SCAN_CODEC_H
#define KV_SCAN_CODEC_H

#include "base/entry.h"
#include "base/slice.h"

/* Keys are the user's; slices are borrowed. */
struct scan_order {
    uint64_t number;
    bool first; /* the snapshot is taken now */
    bool over;  /* no piece is wanted any more */
    bool has_limit;
    bool after_from;
    bool reverse;
    bool want_values;
    bool goes_on; /* behind `behind`; else from the beginning */
    struct slice from;
    struct slice limit;
    struct slice pattern;
    struct slice behind;
    uint32_t keys_max;
    uint64_t examined_max;
    uint64_t bytes_max;
};

MUST_USE enum status scan_order_encode(struct buf *out, const struct scan_order *o);
MUST_USE enum status scan_order_decode(struct slice bytes, struct scan_order *out);

struct scan_harvest {
    bool end;
    uint64_t examined;
    struct slice last;
    uint32_t count;
};

/* All of a piece into an empty buf. */
MUST_USE enum status scan_harvest_encode(struct buf *out, const struct scan_harvest *h,
                                         const struct entry *entries);

/* What is said of the entries; then one by one, as often as `count` says.  `rest` is where the next begins, and
 * is empty behind the last. */
MUST_USE enum status scan_harvest_decode(struct slice bytes, struct scan_harvest *out,
                                         struct slice *rest);
MUST_USE enum status scan_entry_decode(struct slice *rest, struct entry *out);

#endif
