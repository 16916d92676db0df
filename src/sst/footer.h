/*
 * sst/footer.h — the two parts of a table's file that say what the rest is.
 *
 *      footer      the last FOOTER_BYTES bytes: format and extents.  Its size, and the
 *                  places of magic, format and checksum, are the same in every format
 *      properties  a block: what table_info says of the table
 */
#ifndef SST_FOOTER_H
#define SST_FOOTER_H

#include "sst/format.h"
#include "sst/table.h"

/* Extents of the file's parts, with their trailers, in the file's order. */
struct sst_footer {
    uint64_t data_bytes;
    uint64_t filter_bytes; /* 0 = no filter */
    uint64_t index_bytes;
    uint64_t properties_bytes;
    uint64_t block_count; /* data blocks */
};

static inline uint64_t
sst__filter_offset(const struct sst_footer *f)
{
    return f->data_bytes;
}

static inline uint64_t
sst__index_offset(const struct sst_footer *f)
{
    return f->data_bytes + f->filter_bytes;
}

static inline uint64_t
sst__properties_offset(const struct sst_footer *f)
{
    return f->data_bytes + f->filter_bytes + f->index_bytes;
}

static inline uint64_t
sst__footer_offset(const struct sst_footer *f)
{
    return sst__properties_offset(f) + f->properties_bytes;
}

void sst__footer_encode(const struct sst_footer *f, uint64_t seed, uint8_t out[FOOTER_BYTES]);

/* `offset` is where the bytes stood.  ST_CORRUPT, and ST_INVALID for an intact footer of
 * a newer format; `path` is for the text. */
MUST_USE enum status sst__footer_decode(const uint8_t bytes[FOOTER_BYTES], uint64_t seed,
                                        uint64_t offset, const char *path, struct sst_footer *out,
                                        struct err *err);

/* The size and the checksum of the file are not part of its properties. */
MUST_USE enum status sst__properties_append(struct buf *out, const struct table_info *info,
                                            const struct table_options *options);

/* Do the bytes say the same as `info`?  If not, `*what` is the name of the first difference. */
MUST_USE bool sst__properties_match(struct slice bytes, const struct table_info *info,
                                    const char **what);

#endif
