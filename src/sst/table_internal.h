/* sst/table_internal.h — an open table, and the steps of reading one, for table.c, table_iter.c
 * and verify.c. */
#ifndef SST_TABLE_INTERNAL_H
#define SST_TABLE_INTERNAL_H

#include "sst/compress.h"
#include "sst/filter.h"
#include "sst/footer.h"
#include "sst/index.h"

/* One of the blocks that are kept whole in memory, on a cache line's boundary. */
struct sst_part {
    void *memory; /* owned */
    size_t memory_bytes;
    struct slice payload; /* into `memory` */
};

struct table {
    struct file *file;             /* owned */
    const struct table_info *info; /* the opener's */
    struct cache *cache;
    struct budget *budget;
    struct sst_zstd_pool *zstd; /* the cache's */
    struct sst_footer footer;
    struct sst_part index_part;
    struct sst_index index;
    struct sst_part filter_part;
    struct filter filter; /* line_count 0 = there is none */
    size_t memory_bytes;  /* charged to the budget */
};

/* Read exactly [offset, offset + size).  ST_CORRUPT when the file ends before; with TABLE_TRY,
 * ST_WOULD_BLOCK also for what would keep a reactor busy for long. */
MUST_USE enum status sst__read_exactly(struct file *file, enum table_mode mode, uint64_t offset,
                                       void *out, size_t size, struct err *err);

/* Is this the intact block that was written at `offset` of the table?  `*kind` says how it is
 * compressed.  ST_CORRUPT. */
MUST_USE enum status sst__open_block(const struct table *t, uint64_t offset, struct slice bytes,
                                     struct slice *payload, uint8_t *kind, struct err *err);

/* Say that an intact block makes no sense; the text names file and offset.  Other statuses that
 * parsing may give pass through. */
MUST_USE enum status sst__bad_block(const struct table *t, uint64_t offset, enum status st,
                                    struct err *err);

/* The steps of opening, in this order, for a table with `file` and `info`.  Each gives
 * ST_CORRUPT, ST_IO, ST_NO_MEMORY, and the first ST_INVALID. */
MUST_USE enum status sst__load_footer(struct table *t, struct err *err);
MUST_USE enum status sst__load_index(struct table *t, struct err *err);
MUST_USE enum status sst__load_filter(struct table *t, struct err *err);
MUST_USE enum status sst__check_properties(const struct table *t, struct err *err);

/* Free what these have loaded. */
void sst__unload(struct table *t);

/* A data block from the cache, or through it from the file. */
MUST_USE enum status sst__cached_block(struct table *t, const struct sst_handle *handle,
                                       enum table_mode mode, struct cache_handle **pin,
                                       struct err *err);

#endif
