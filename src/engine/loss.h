/*
 * engine/loss.h — what the readable records beyond damage in the log wrote, and no table has: for
 * each tree, how many keys, and between which bounds.  For `distkv check`; nothing here is trusted.
 */
#ifndef ENGINE_LOSS_H
#define ENGINE_LOSS_H

#include "engine/engine.h"

enum { LOSS_TREES_MAX = 256 }; /* with losses; those of further trees are counted together */

struct loss_tree {
    uint64_t id;
    uint64_t write_count; /* puts and deletes */
    bool cleared;         /* FLUSHALL or FLUSHDB is among what is lost */
    struct buf first;     /* keys, as stored; empty: none */
    struct buf last;
};

/* Entries up to this index are in the tree's tables: they are not lost. */
struct loss_flushed {
    uint64_t tree;
    uint64_t index;
};

struct loss {
    enum engine_kind kind; /* whose records they are */
    uint64_t record_count;
    uint64_t unread_count;        /* of them: intact, but not what this program writes */
    struct loss_flushed *flushed; /* owned; ascending by tree */
    uint32_t flushed_count;
    struct loss_tree trees[LOSS_TREES_MAX];
    uint32_t tree_count;
    uint64_t further_count; /* lost writes to trees that had no room */
};

void loss_init(struct loss *l, enum engine_kind kind);
void loss_release(struct loss *l);

/* Before the first record, once: what the trees' tables hold.  Takes the array, of mem_alloc, in
 * any order; of a tree that is not in it, every write is lost. */
void loss_take_flushed(struct loss *l, struct loss_flushed *flushed, uint32_t count);

void loss_note(struct loss *l, const struct wal_record *record);

#endif
