/*
 * A store under measurement: DistKV or RocksDB behind the same five verbs.
 *
 * A failure of any of them ends the program with a message: a measurement of a
 * store that fails is worth nothing.
 */
#ifndef BENCH_ENGINE_OPPONENT_H
#define BENCH_ENGINE_OPPONENT_H

#include <stdbool.h>

#include "base/slice.h"

struct opponent_options {
    const char *dir;    /* made when it is missing */
    size_t cache_bytes; /* block and record cache together */
    bool filter;        /* 10 bits for each key */
    bool lz4;           /* on all levels; else plain */
    bool stock;         /* RocksDB only: its own defaults, but for the size of its cache */
};

enum { MEMTABLE_BYTES = 64 << 20 };

struct opponent {
    const char *name;
    void *(*open)(const struct opponent_options *options);
    void (*close)(void *store);
    /* Returns when the operating system has it; with `sync`, when the disk has. */
    void (*put)(void *store, struct slice key, struct slice value, bool sync);
    /* True: found, and its first bytes were looked at. */
    bool (*get)(void *store, struct slice key);
    void (*flush)(void *store);
    /* Is a flush or a compaction running, or due? */
    bool (*is_busy)(void *store);
};

extern const struct opponent opponent_distkv;
extern const struct opponent opponent_rocksdb;

const char *rocksdb_version(void);

#endif
