/*
 * Batches: operations in an arena, no key twice.  A later operation on a key
 * takes the place of the earlier one; a hash table of positions finds it.
 */
#include <stdlib.h>

#include "base/arena.h"
#include "base/assert.h"
#include "base/hash.h"
#include "base/limits.h"
#include "base/mem.h"

#include "engine/store_internal.h"

enum { BATCH_ARENA_BYTES = 16 << 10, BATCH_OPS_MAX = LIMIT_REQUEST_OPS };

struct dkv_batch {
    struct arena arena;
    struct store_op *ops; /* owned */
    size_t count;
    size_t capacity;
    uint32_t *slots; /* position + 1 by hash; owned; twice the capacity */
    size_t bytes;
    struct dkv *db; /* of the first family named; NULL: only the default one so far */
    bool has_put;
};

struct dkv_batch *
dkv_batch_create(void)
{
    struct dkv_batch *b = mem_new(struct dkv_batch);

    if (b != NULL)
        arena_init(&b->arena, BATCH_ARENA_BYTES);
    return b;
}

void
dkv_batch_destroy(struct dkv_batch *b)
{
    if (b == NULL)
        return;
    arena_release(&b->arena);
    mem_free(b->ops);
    mem_free(b->slots);
    mem_free(b);
}

void
dkv_batch_clear(struct dkv_batch *b)
{
    arena_reset(&b->arena);
    if (b->slots != NULL)
        memset(b->slots, 0, 2 * b->capacity * sizeof(*b->slots));
    b->count = 0;
    b->bytes = 0;
    b->has_put = false;
    b->db = NULL;
}

/* `tree` NULL stands for the default family until dkv_write() knows the store. */
static uint32_t *
slot_of(struct dkv_batch *b, const struct engine_tree *tree, struct slice key)
{
    size_t mask = 2 * b->capacity - 1;
    size_t at = (size_t)hash64_seeded(key, (uintptr_t)tree) & mask;

    while (b->slots[at] != 0) {
        const struct store_op *op = &b->ops[b->slots[at] - 1];

        if (op->tree == tree && slice_equal(op->entry.key, key))
            break;
        at = (at + 1) & mask;
    }
    return &b->slots[at];
}

static enum status
grow(struct dkv_batch *b)
{
    size_t capacity = b->capacity == 0 ? 16 : 2 * b->capacity;
    struct store_op *ops = mem_resize(b->ops, capacity * sizeof(*ops));
    uint32_t *slots;

    if (ops == NULL)
        return ST_NO_MEMORY;
    b->ops = ops;
    slots = mem_new_array(uint32_t, 2 * capacity);
    if (slots == NULL)
        return ST_NO_MEMORY;
    mem_free(b->slots);
    b->slots = slots;
    b->capacity = capacity;
    for (size_t i = 0; i < b->count; i++)
        *slot_of(b, b->ops[i].tree, b->ops[i].entry.key) = (uint32_t)i + 1;
    return ST_OK;
}

static enum status
copy_bytes(struct dkv_batch *b, struct slice from, struct slice *to)
{
    uint8_t *room = arena_alloc_bytes(&b->arena, from.size);

    if (room == NULL)
        return ST_NO_MEMORY;
    if (from.size > 0)
        memcpy(room, from.data, from.size);
    *to = slice_of(room, from.size);
    return ST_OK;
}

static enum status
add(struct dkv_batch *b, struct dkv_family *family, const struct entry *e, struct err *err)
{
    struct engine_tree *tree = family == NULL ? NULL : family->tree;
    struct store_op op = { .tree = tree, .entry = *e };
    size_t bytes = e->key.size + e->value.size + sizeof(op);
    enum status st = ST_OK;
    uint32_t *slot;

    if (family != NULL && b->db != NULL && b->db != family->db)
        return err_raise(err, ST_INVALID, "the batch names families of two stores");
    if (b->count >= BATCH_OPS_MAX || b->bytes + bytes > LIMIT_REQUEST_BYTES)
        return err_raise(err, ST_TOO_BIG, "a batch of more than %d bytes or %d operations",
                         LIMIT_REQUEST_BYTES, BATCH_OPS_MAX);
    if (b->count == b->capacity)
        st = grow(b);
    if (st == ST_OK)
        st = copy_bytes(b, e->key, &op.entry.key);
    if (st == ST_OK)
        st = copy_bytes(b, e->value, &op.entry.value);
    if (st != ST_OK)
        return err_raise(err, st, "out of memory for a batch");
    slot = slot_of(b, tree, op.entry.key);
    if (*slot == 0)
        *slot = (uint32_t)++b->count;
    b->ops[*slot - 1] = op;
    b->bytes += bytes;
    b->has_put = b->has_put || e->type == ENTRY_VALUE;
    if (family != NULL)
        b->db = family->db;
    return ST_OK;
}

static enum dkv_status
check_value(size_t value_size, struct dkv_error *error)
{
    struct err err;

    if (value_size <= LIMIT_VALUE_BYTES)
        return DKV_OK;
    return store__report(err_raise(&err, ST_TOO_BIG, "a value of %zu bytes; the limit is %d",
                                   value_size, LIMIT_VALUE_BYTES),
                         &err, error);
}

/* NOLINTBEGIN(readability-function-size): the parameters are those of distkv.h */
enum dkv_status
dkv_batch_put(struct dkv_batch *b, struct dkv_family *family, const void *key, size_t key_size,
              const void *value, size_t value_size, struct dkv_error *error)
{
    struct entry e = { .key = slice_of(key, key_size),
                       .value = slice_of(value, value_size),
                       .type = ENTRY_VALUE };
    enum dkv_status status = store__check_key(key, key_size, error);
    struct err err = { 0 };

    if (status == DKV_OK)
        status = check_value(value_size, error);
    return status == DKV_OK ? store__report(add(b, family, &e, &err), &err, error) : status;
}
/* NOLINTEND(readability-function-size) */

enum dkv_status
dkv_batch_delete(struct dkv_batch *b, struct dkv_family *family, const void *key, size_t key_size,
                 struct dkv_error *error)
{
    struct entry e = { .key = slice_of(key, key_size), .type = ENTRY_TOMBSTONE };
    enum dkv_status status = store__check_key(key, key_size, error);
    struct err err = { 0 };

    return status == DKV_OK ? store__report(add(b, family, &e, &err), &err, error) : status;
}

static bool
wants_sync(const struct dkv_write_options *options)
{
    return options == NULL || options->sync == DKV_SYNC_ALWAYS;
}

static enum dkv_status
write_one(struct dkv *db, const struct store_op *op, const struct dkv_write_options *options,
          struct dkv_error *error)
{
    struct entry room;
    struct store_writer w = {
        .ops = op,
        .room = &room,
        .op_count = 1,
        .bytes = op->entry.key.size + op->entry.value.size,
        .sync = wants_sync(options),
        .only_deletes = op->entry.type == ENTRY_TOMBSTONE,
    };
    enum status st = store__write(db, &w);

    return store__report(st, &w.err, error);
}

static int
compare_trees(const void *a, const void *b)
{
    uint64_t x = engine_tree_id(((const struct store_op *)a)->tree);
    uint64_t y = engine_tree_id(((const struct store_op *)b)->tree);

    return (x > y) - (x < y);
}

void
store__sort_ops(struct store_op *ops, size_t count)
{
    size_t same = 1;

    while (same < count && ops[same].tree == ops[0].tree)
        same++;
    if (same < count)
        qsort(ops, count, sizeof(*ops), compare_trees);
}

/* The default family's tree is filled in on a copy: the batch may be written to another store. */
static void
copy_ops(struct dkv *db, const struct dkv_batch *b, struct store_op *ops)
{
    memcpy(ops, b->ops, b->count * sizeof(*ops));
    for (size_t i = 0; i < b->count; i++) {
        if (ops[i].tree == NULL)
            ops[i].tree = store__family(db, NULL)->tree;
    }
    store__sort_ops(ops, b->count);
}

enum dkv_status
dkv_write(struct dkv *db, const struct dkv_batch *b, const struct dkv_write_options *options,
          struct dkv_error *error)
{
    struct store_writer w = {
        .op_count = b->count,
        .bytes = b->bytes,
        .sync = wants_sync(options),
        .only_deletes = !b->has_put,
    };
    struct store_op *ops;
    enum status st;

    if (b->db != NULL && b->db != db)
        return store__report(
            err_raise(&w.err, ST_INVALID, "the batch names another store's family"), &w.err, error);
    if (b->count == 0)
        return DKV_OK;
    ops = mem_new_array(struct store_op, b->count);
    w.room = mem_new_array(struct entry, b->count);
    if (ops != NULL && w.room != NULL) {
        copy_ops(db, b, ops);
        w.ops = ops;
        st = store__write(db, &w);
    } else {
        st = err_raise(&w.err, ST_NO_MEMORY, "out of memory for a batch");
    }
    mem_free(ops);
    mem_free(w.room);
    return store__report(st, &w.err, error);
}

/* NOLINTBEGIN(readability-function-size): the parameters are those of distkv.h */
enum dkv_status
dkv_put(struct dkv *db, struct dkv_family *family, const void *key, size_t key_size,
        const void *value, size_t value_size, const struct dkv_write_options *options,
        struct dkv_error *error)
{
    struct store_op op = {
        .tree = store__family(db, family)->tree,
        .entry = { .key = slice_of(key, key_size),
                   .value = slice_of(value, value_size),
                   .type = ENTRY_VALUE },
    };
    enum dkv_status status = store__check_key(key, key_size, error);

    if (status == DKV_OK)
        status = check_value(value_size, error);
    if (status != DKV_OK)
        return status;
    return write_one(db, &op, options, error);
}
/* NOLINTEND(readability-function-size) */

enum dkv_status
dkv_delete(struct dkv *db, struct dkv_family *family, const void *key, size_t key_size,
           const struct dkv_write_options *options, struct dkv_error *error)
{
    struct store_op op = {
        .tree = store__family(db, family)->tree,
        .entry = { .key = slice_of(key, key_size), .type = ENTRY_TOMBSTONE },
    };
    enum dkv_status status = store__check_key(key, key_size, error);

    return status == DKV_OK ? write_one(db, &op, options, error) : status;
}
