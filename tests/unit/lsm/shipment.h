/*
 * A checkpoint that has been read whole, on its way from one tree to another.
 *
 * Its memory is of no heap, so that it outlives the nodes.
 */
#ifndef UNIT_LSM_SHIPMENT_H
#define UNIT_LSM_SHIPMENT_H

#include "lsm/checkpoint.h"
#include "lsm/import.h"
#include "unit/lsm/tree_fixture.h"

enum { SHIPMENT_FILES = 64, PIECE_BYTES = 3000 };

struct shipment {
    struct lsm_mark mark;
    struct buf encoded;
    struct buf files[SHIPMENT_FILES];
    uint32_t count;
};

/* In the heap of `f`: read all of it.  Between two pieces, `meanwhile` is called (NULL: nothing). */
void shipment_read(struct shipment *s, struct lsm_checkpoint *c, void (*meanwhile)(struct fix *f),
                   struct fix *f);

/* Of the tree as it stands. */
void shipment_take(struct shipment *s, struct fix *f);
void shipment_release(struct shipment *s);

/* Several levels, tombstones, expiring and expired keys; everything is flushed. */
void shipment_make(struct shipment *s, uint64_t seed, struct model *model);

/* Begin an import of it in `f`. */
MUST_USE enum status shipment_begin(const struct shipment *s, struct fix *f,
                                    struct lsm_import **out);

/* Give the import what it wants, until it wants nothing, in pieces of random sizes up to PIECE_BYTES
 * (NULL: of PIECE_BYTES). */
MUST_USE enum status shipment_deliver(const struct shipment *s, struct lsm_import *i,
                                      struct prng *prng, struct err *err);

/* From begin to install. */
MUST_USE enum status shipment_import(const struct shipment *s, struct fix *f);

/* The model of `to` becomes that of `from`, and the tree of `to` is given what is later than its
 * mark. */
void shipment_catch_up(struct fix *to, const struct model *from);

/* A copy of the first `count` units. */
void model_copy(struct model *to, const struct model *from, uint32_t count);

#endif
