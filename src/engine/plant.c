/*
 * A tree out of another, in one data directory: the same files, under second names.
 */
#include "engine/engine_internal.h"
#include "lsm/import.h"

static enum status
import(const struct seedling *s, const struct lsm_checkpoint *c, struct lsm *into, struct err *err)
{
    struct buf encoded = buf_empty(CHECKPOINT_BYTES_MAX);
    struct lsm_import *i = NULL;
    enum status st = lsm_checkpoint_encode(c, &encoded, err);

    if (st == ST_OK)
        st = lsm_import_begin(into, buf_slice(&encoded), &i, err);
    if (st == ST_OK)
        st = lsm_import_link(i, c, &s->mark, err);
    if (st == ST_OK)
        st = lsm_import_finish(i, err);
    buf_release(&encoded);
    if (st == ST_OK)
        return lsm_import_install(i, err);
    lsm_import_abort(i);
    return st;
}

enum status
engine__plant(const struct seedling *s, struct lsm *into, struct err *err)
{
    uint64_t id = engine_tree_id(s->parent);
    struct lsm_checkpoint *c;
    uint64_t index;
    enum status st = lsm_checkpoint_take(engine_tree_lsm(s->parent), &c);

    if (st != ST_OK)
        return err_raise(err, st, "tree %016llx: it cannot be copied (%s)", (unsigned long long)id,
                         status_name(st));
    index = lsm_checkpoint_mark(c).index;
    if (index + 1 == s->mark.index) {
        st = import(s, c, into, err);
    } else {
        st = err_raise(err, ST_BUSY, "tree %016llx: its files reach to entry %llu, not to %llu",
                       (unsigned long long)id, (unsigned long long)index,
                       (unsigned long long)s->mark.index - 1);
    }
    lsm_checkpoint_release(c);
    return st;
}
