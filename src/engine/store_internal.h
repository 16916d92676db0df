/* What the files of the embedded front share.  The essay is in store.c. */
#ifndef ENGINE_STORE_INTERNAL_H
#define ENGINE_STORE_INTERNAL_H

#include "distkv/distkv.h"
#include "engine/engine_internal.h"
#include "engine/store_record.h"

enum {
    STORE_FAMILIES_MAX = 1024,
    STORE_SLOTS = 64,                /* readers that may be inside the epoch at once */
    STORE_GROUP_BYTES_MAX = 1 << 20, /* of writes that one leader takes along */
};

struct dkv_family {
    struct dkv *db;
    struct engine_tree *tree;
    struct lsm *lsm;
    uint64_t id;
    char name[STORE_NAME_MAX + 1];
};

struct store_slot {
    struct epoch_slot slot;
    _Atomic bool taken;
};

/* One write of a batch, in the batch's arena. */
struct store_op {
    struct engine_tree *tree;
    struct entry entry;
};

/* A write that waits for its turn, on its caller's stack. */
struct store_writer {
    struct list link;
    const struct store_op *ops; /* no key twice; those of one tree stand together */
    struct entry *room;         /* op_count of them, for the leader */
    size_t op_count;
    size_t bytes; /* of keys and values */
    bool sync;
    bool only_deletes;
    bool seal;                      /* also seal every memtable */
    struct dkv_snapshot **snapshot; /* also take one; NULL: none */
    struct store_gate *gate;        /* where it waits; from the pool, which outlives it */
    _Atomic uint32_t turn;          /* enum store_turn */

    /* the leader's */
    enum status status;
    struct err err;
    struct lsm_mark mark;
    wal_position end; /* just past its record */
};

enum store_turn { STORE_WAITS, STORE_LEADS, STORE_DONE };

struct store_gate {
    struct list link;
    struct gate *gate;
};

struct dkv {
    struct env *env;
    bool owns_env;
    struct engine *engine;
    struct gate *family_gate; /* one creation of a family at a time */
    uint64_t next_id;         /* inside that gate: above the id of every tree and of every name */

    struct lock lock;                                /* guards what follows, up to the blank line */
    struct dkv_family *families[STORE_FAMILIES_MAX]; /* owned; 0 names, 1 default */
    _Atomic uint32_t family_count;
    struct list writers; /* waiting; the leader is not among them */
    bool led;            /* somebody leads */
    struct list gates;   /* struct store_gate, unused */

    /* the leader's */
    uint64_t index; /* of the last record */
    version_t version;
    struct buf record; /* scratch for encoding */

    _Atomic version_t visible; /* everything up to here may be read, in all families */
    struct store_slot slots[STORE_SLOTS];
};

struct dkv_snapshot {
    version_t version;
    uint32_t count;
    struct {
        struct dkv_family *family;
        struct lsm_snapshot *pin;
    } families[];
};

struct dkv_family *store__family(struct dkv *db, struct dkv_family *family);
enum dkv_status store__report(enum status st, const struct err *err, struct dkv_error *error);
enum dkv_status store__check_key(const void *key, size_t key_size, struct dkv_error *error);

/* dkv_open() on a given world: for tests. */
MUST_USE enum status store_open_on(struct dkv **out, struct env *env, const char *path,
                                   const struct dkv_options *options, struct err *err);

/* Those of one tree together, by the ids of the trees. */
void store__sort_ops(struct store_op *ops, size_t count);

/* Write with the others that wait; blocks until it is done. */
MUST_USE enum status store__write(struct dkv *db, struct store_writer *w);

/* Pin every family as of now; in the leader's turn.  ST_NO_MEMORY: `*out` is untouched. */
MUST_USE enum status store__pin_families(struct dkv *db, struct dkv_snapshot **out);

/* NULL: the family is younger than the snapshot. */
const struct lsm_snapshot *store__pin_of(const struct dkv_snapshot *s, const struct dkv_family *f);

/* One record of the log: decode, and apply to the trees that lack it. */
MUST_USE enum status store__replay(void *ctx, struct engine_tree *tree,
                                   const struct wal_record *record, wal_position at,
                                   struct err *err);

/* A slot of the epoch for this call. */
struct epoch_slot *store__enter(struct dkv *db);
void store__leave(struct dkv *db, struct epoch_slot *slot);

#endif
