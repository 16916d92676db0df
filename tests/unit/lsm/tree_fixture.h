/*
 * A tree in a simulated node, and the model beside it.
 *
 * Most tests run on the test's own stack, as start-up code of the node and with
 * its heap; so every allocation is counted, and fix_end() finds what leaked.
 */
#ifndef UNIT_LSM_TREE_FIXTURE_H
#define UNIT_LSM_TREE_FIXTURE_H

#include "base/epoch.h"
#include "base/mem.h"

#include "lsm/lsm.h"
#include "lsm/readers.h"
#include "lsm/record_cache.h"
#include "simenv/simenv.h"
#include "unit/lsm/tree_model.h"
#include "unit/test.h"

enum { NODE = 1, TREE_ID = 7 };

struct fix {
    struct sim *world;
    struct mem_heap *outer; /* to go back to, while the node's heap is entered */
    struct env *env;
    uint64_t store_id; /* of the next fix_open() */
    struct epoch epoch;
    struct epoch_slot slot;
    struct budget budget;
    _Atomic uint64_t next_number;
    _Atomic uint32_t manifests_open;
    struct lsm_shared shared;
    struct lsm_options options;
    struct lsm *tree;
    struct model model;
    struct err err;
};

/* A world, a node, no tree yet; small tables, so that little data makes several levels. */
void fix_init(struct fix *f, uint64_t seed);

/* Close everything, and end the node: fails the test when something leaked. */
void fix_end(struct fix *f);

/* Start a process on the node: caches and epoch.  The heap is not entered. */
void fix_boot(struct fix *f);

/* In the node's heap from here, and back. */
void fix_enter(struct fix *f);
void fix_leave(struct fix *f);

/* In the heap: open (the folder "tree") and apply again what the files do not have. */
MUST_USE enum status fix_try_start(struct fix *f); /* caches, too */
MUST_USE enum status fix_try_open(struct fix *f);
void fix_open(struct fix *f);
void fix_close(struct fix *f);
void fix_stop(struct fix *f); /* what fix_try_start() has made */
void fix_reopen(struct fix *f);

/* Give the tree one unit of the model. */
MUST_USE enum status fix_try_apply(struct fix *f, const struct model_unit *u);
void fix_apply(struct fix *f, const struct model_unit *u);

/* The last unit of the model, which was just added. */
void fix_apply_last(struct fix *f);

/* In one call: a unit with one write or delete. */
void fix_put(struct fix *f, uint32_t key, uint32_t value_bytes);
void fix_delete(struct fix *f, uint32_t key);
void fix_clear(struct fix *f);
void fix_pass_time(struct fix *f, uint64_t ms); /* says a unit without writes */

/* Switch, then flush until nothing is due. */
void fix_flush(struct fix *f);

/* Until nothing is due. */
void fix_compact(struct fix *f);
struct lsm_stats fix_stats(struct fix *f);

/* Do lsm_get() and lsm_try_get() find what the model does? */
void fix_check_key(struct fix *f, uint32_t key, version_t snapshot);
void fix_check_keys(struct fix *f, version_t snapshot);

/* Does an iterator, at a snapshot or now, in both directions and with turns? */
void fix_check_iter(struct fix *f, const struct lsm_snapshot *snapshot, struct prng *prng);

/* All of it, as of now. */
void fix_check(struct fix *f);

/* Files in the tree's folder whose names end like this. */
uint32_t fix_count_files(struct fix *f, const char *ending);

#endif
