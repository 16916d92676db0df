#include "engine/loss.h"

#include <stdlib.h>

#include "base/assert.h"
#include "base/limits.h"
#include "base/mem.h"

#include "engine/body.h"
#include "engine/store_record.h"

void
loss_init(struct loss *l, enum engine_kind kind)
{
    *l = (struct loss){ .kind = kind };
}

void
loss_release(struct loss *l)
{
    for (uint32_t i = 0; i < l->tree_count; i++) {
        buf_release(&l->trees[i].first);
        buf_release(&l->trees[i].last);
    }
    mem_free(l->flushed);
}

static int
compare_flushed(const void *a, const void *b)
{
    uint64_t x = ((const struct loss_flushed *)a)->tree;
    uint64_t y = ((const struct loss_flushed *)b)->tree;

    return (x > y) - (x < y);
}

void
loss_take_flushed(struct loss *l, struct loss_flushed *flushed, uint32_t count)
{
    ASSERT(l->flushed == NULL && l->record_count == 0);
    if (count > 0)
        qsort(flushed, count, sizeof(*flushed), compare_flushed);
    l->flushed = flushed;
    l->flushed_count = count;
}

static bool
is_lost(const struct loss *l, uint64_t id, uint64_t index)
{
    const struct loss_flushed wanted = { .tree = id };
    const struct loss_flushed *found = NULL;

    if (l->flushed_count > 0)
        found = bsearch(&wanted, l->flushed, l->flushed_count, sizeof(wanted), compare_flushed);
    return found == NULL || index > found->index;
}

/* NULL: there is no room for one more. */
static struct loss_tree *
tree_of(struct loss *l, uint64_t id)
{
    for (uint32_t i = 0; i < l->tree_count; i++) {
        if (l->trees[i].id == id)
            return &l->trees[i];
    }
    if (l->tree_count == LOSS_TREES_MAX)
        return NULL;
    l->trees[l->tree_count] = (struct loss_tree){
        .id = id,
        .first = buf_empty(LIMIT_STORED_KEY_BYTES),
        .last = buf_empty(LIMIT_STORED_KEY_BYTES),
    };
    return &l->trees[l->tree_count++];
}

static void
widen(struct buf *bound, struct slice key, bool upwards)
{
    int order = slice_compare(key, buf_slice(bound));

    if (bound->size != 0 && (upwards ? order <= 0 : order >= 0))
        return;
    bound->size = 0;
    if (buf_append(bound, key) != ST_OK)
        bound->size = 0;
}

static void
note_write(struct loss *l, uint64_t id, uint64_t index, struct slice key)
{
    struct loss_tree *tree;

    if (!is_lost(l, id, index))
        return;
    tree = tree_of(l, id);
    if (tree == NULL) {
        l->further_count++;
        return;
    }
    tree->write_count++;
    widen(&tree->first, key, false);
    widen(&tree->last, key, true);
}

/* ------------------------------------------------------------------ the two kinds of records */

static enum status
note_batch(struct loss *l, const struct wal_record *record, const struct body *body)
{
    struct entry *entries = mem_new_array(struct entry, body->entry_count + (size_t)1);
    enum status st = entries == NULL ? ST_NO_MEMORY : body_entries(body, entries);

    for (uint32_t i = 0; i < body->entry_count && st == ST_OK; i++)
        note_write(l, record->tablet, record->index, entries[i].key);
    mem_free(entries);
    return st;
}

static enum status
note_body(struct loss *l, const struct wal_record *record)
{
    struct loss_tree *tree;
    struct body body;
    enum status st = body_decode(record->body, &body);

    if (st == ST_OK && body.kind == BODY_BATCH)
        return note_batch(l, record, &body);
    if (st == ST_OK && body.kind == BODY_CLEAR && is_lost(l, record->tablet, record->index)) {
        tree = tree_of(l, record->tablet);
        if (tree != NULL)
            tree->cleared = true;
    }
    return st;
}

static enum status
note_store_record(struct loss *l, const struct wal_record *record)
{
    struct store_record r;
    struct entry e;
    uint64_t id;
    enum status st = store_record_decode(record->body, &r);

    for (uint64_t i = 0; st == ST_OK && i < r.op_count; i++) {
        st = store_record_next(&r, &id, &e);
        if (st == ST_OK)
            note_write(l, id, record->index, e.key);
    }
    return st;
}

void
loss_note(struct loss *l, const struct wal_record *record)
{
    enum status st = ST_OK;

    l->record_count++;
    if (record->type == WAL_ENTRY)
        st = l->kind == ENGINE_SERVER ? note_body(l, record) : note_store_record(l, record);
    l->unread_count += st != ST_OK;
}
