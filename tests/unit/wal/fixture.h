/*
 * unit/wal/fixture.h — a stream on a simulated disk, and its contents as text.
 *
 * The stream lives in LOG on node 1.  What wal_open() replays is shown by
 * contents(): "alpha,[7:vote],beta,<7:1>", hard states in brackets with their tablet, cuts with
 * the index after which they cut.
 * Long bodies are shown as their size: "#20000".
 */
#ifndef UNIT_WAL_FIXTURE_H
#define UNIT_WAL_FIXTURE_H

#include "base/mem.h"

#include "simenv/simenv.h"
#include "unit/test.h"
#include "unit/wal/shim.h"
#include "wal/wal.h"
#include "wal/wal_internal.h"

#define LOG_NAME "log"
#define LOG      "/" LOG_NAME
#define STORE_ID UINT64_C(0x5702e1d)

enum { NODE = 1, SEGMENT = 64 << 10, CONTENTS_MAX = 1 << 16 };

struct fix {
    struct sim *sim;
    struct shim shim;
    struct env *env;
    struct wal *wal;
    struct wal_options options;
    struct wal_recovery report;
    struct err err;
    wal_position end;    /* of the last append */
    uint64_t next_index; /* of the next entry */
    bool plain;
    char contents[CONTENTS_MAX];
    wal_position first_at; /* of the first record replayed */
    wal_position last_at;  /* of the last */
};

/* A fresh disk, and a stream on it that is created and open. */
struct fix *setup(uint64_t seed);

/* With `plain`, what is random comes from the shim: see there. */
struct fix *setup_plain(uint64_t seed, uint64_t store_id, bool plain);

/* Ends the node as a clean process would, which finds leaks, and frees everything. */
void teardown(struct fix *f);

/* The process begins and ends; in between its heap is the current one. */
void boot(struct fix *f);
void end(struct fix *f);   /* cleanly: the stream is closed */
void kill9(struct fix *f); /* what was written stays readable, synced or not */
void crash(struct fix *f); /* power cut */

enum status try_open(struct fix *f);
void open_stream(struct fix *f);
void close_stream(struct fix *f);

/* close, end, boot, open */
void reopen(struct fix *f);

const char *contents(const struct fix *f);

/* An entry of tablet 1; a hard state; a cut. */
enum status try_append(struct fix *f, const char *body);
void append(struct fix *f, const char *body);
void append_head(struct fix *f, uint64_t tablet, const char *body);
void append_cut(struct fix *f, uint64_t tablet, uint64_t index);

/* An entry with a body of `size` bytes, made of `fill`. */
enum status try_append_big(struct fix *f, size_t size, char fill);
void append_big(struct fix *f, size_t size, char fill);

void flush(struct fix *f, bool sync);
void tend(struct fix *f);

/* Names in the folder: "CHAIN,0000000000000001.log". */
const char *names(struct fix *f);
uint64_t file_bytes(struct fix *f, const char *name);
void read_file(struct fix *f, const char *name, struct buf *out); /* of no heap */

/* The name of the segment that is being written; borrowed until the next call. */
const char *current_name(const struct fix *f);

/* "<LOG>/<name>" */
const char *path_of(const char *name);
void flip(struct fix *f, const char *name, uint64_t offset, unsigned bit);

/* Make the last 8 of these bytes the checksum of those before, as headers and CHAIN have it. */
void put_checksum(uint8_t *bytes, size_t size);

#endif
