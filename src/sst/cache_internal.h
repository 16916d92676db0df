/*
 * sst/cache_internal.h — what the readers of tables find in the cache besides
 * blocks: the spare decompression contexts of the node.
 */
#ifndef SST_CACHE_INTERNAL_H
#define SST_CACHE_INTERNAL_H

#include "sst/cache.h"
#include "sst/compress.h"

struct sst_zstd_pool *sst__cache_zstd(const struct cache *c);

#endif
