/*
 * What a tree should hold, the naive way: the whole history of units, searched
 * from its end.  It is also the log that a tree does not have: after a crash the
 * test applies again what is later than lsm_flushed().
 *
 * Its memory is of no heap, so that it outlives the crash of a node.
 */
#ifndef UNIT_LSM_TREE_MODEL_H
#define UNIT_LSM_TREE_MODEL_H

#include "base/entry.h"
#include "base/prng.h"

#include "lsm/lsm.h"

enum {
    MODEL_KEYS = 64,
    MODEL_KEY_BYTES = 40,
    MODEL_WRITES = 6,         /* at most, in one unit */
    MODEL_VALUE_BYTES = 9000, /* at most: more than two blocks */
};

struct model_write {
    uint32_t key;
    enum entry_type type;
    uint32_t value_bytes;
    uint64_t expiry_ms;
};

struct model_unit {
    struct lsm_mark mark; /* its version is that of the writes, too */
    bool clear;
    uint32_t count;
    struct model_write writes[MODEL_WRITES];
};

struct model {
    struct model_unit *units; /* owned, oldest first */
    uint32_t count;
    uint32_t capacity;
    uint64_t now_ms; /* the committed time */
};

/* What a read should find: version 0 is nothing. */
struct model_found {
    version_t version;
    struct model_write write;
};

void model_init(struct model *m);
void model_release(struct model *m);

/* The next unit, with the next index and a greater version; filled by the caller. */
struct model_unit *model_add(struct model *m, bool clear);
void model_write(struct model_unit *u, uint32_t key, uint32_t value_bytes, uint64_t expiry_ms);
void model_delete(struct model_unit *u, uint32_t key);

/* One to MODEL_WRITES random writes to different keys; some expire, some are deletes. */
void model_add_random(struct model *m, struct prng *prng);

struct model_found model_find(const struct model *m, uint32_t key, version_t snapshot);
bool model_is_alive(const struct model *m, const struct model_found *found);

version_t model_last_version(const struct model *m);

/* Keys are in byte order of their numbers, and share prefixes. */
struct slice model_key(uint32_t key, char out[MODEL_KEY_BYTES]);

/* The bytes of a value follow from key and version. */
struct slice model_value(const struct model_found *found, uint8_t out[MODEL_VALUE_BYTES]);

/* `values` has room for MODEL_WRITES values, `keys` for as many keys. */
void model_entries(const struct model_unit *u, struct entry *out,
                   char keys[MODEL_WRITES][MODEL_KEY_BYTES],
                   uint8_t values[MODEL_WRITES][MODEL_VALUE_BYTES]);

#endif
