/*
 * libdistkv: the synchronous front of the engine, on its callers' threads.
 *
 *      dkv_put ──> a store_writer on the stack ──> group commit (store_write.c) ──> trees
 *      dkv_get ──> the tree, at the version that is visible now
 *
 * INVARIANTS
 *
 *   S1  Only the leader appends, flushes and applies; there is at most one.
 *   S2  Records are applied in the order of the log, and `visible` moves after
 *       a record is in all of its trees: a reader sees all of it or nothing.
 *   S3  A record is applied only once it is as durable as it asked to be.
 */
#include <stdio.h>
#include <sys/resource.h>

#include "base/assert.h"
#include "base/coding.h"
#include "base/limits.h"
#include "base/mem.h"

#include "engine/store_internal.h"
#include "env/real.h"

enum { DESCRIPTORS_PER_TABLE = 4 };

/* ------------------------------------------------------------------ reporting */

static enum dkv_status
public_status(enum status st)
{
    switch (st) {
    case ST_OK:
        return DKV_OK;
    case ST_NOT_FOUND:
        return DKV_NOT_FOUND;
    case ST_EXISTS:
        return DKV_EXISTS;
    case ST_TOO_BIG:
        return DKV_TOO_BIG;
    case ST_CORRUPT:
        return DKV_CORRUPT;
    case ST_NO_SPACE:
        return DKV_NO_SPACE;
    case ST_NO_MEMORY:
        return DKV_NO_MEMORY;
    case ST_INVALID:
    case ST_CONFLICT:
        return DKV_INVALID;
    case ST_IO:
    case ST_WOULD_BLOCK:
    case ST_BUSY:
    case ST_TIMEOUT:
    case ST_UNKNOWN:
    case ST_NOT_LEADER:
    case ST_SCATTERED:
    case ST_MOVED:
    case ST_CLOSED:
    case ST_STATUS_COUNT:
        break;
    }
    return DKV_IO;
}

enum dkv_status
store__report(enum status st, const struct err *err, struct dkv_error *error)
{
    enum dkv_status status = public_status(st);

    if (error != NULL && st != ST_OK) {
        error->status = status;
        if (st == ST_NOT_FOUND) /* no failure, and often asked for */
            memcpy(error->text, "not found", sizeof("not found"));
        else
            snprintf(error->text, sizeof(error->text), "%s",
                     err != NULL && err->text[0] != '\0' ? err->text : status_name(st));
    }
    return status;
}

enum dkv_status
store__check_key(const void *key, size_t key_size, struct dkv_error *error)
{
    struct err err;
    enum status st = ST_OK;

    if (key == NULL || key_size == 0)
        st = err_raise(&err, ST_INVALID, "an empty key");
    else if (key_size > LIMIT_KEY_BYTES)
        st = err_raise(&err, ST_TOO_BIG, "a key of %zu bytes; the limit is %d", key_size,
                       LIMIT_KEY_BYTES);
    return st == ST_OK ? DKV_OK : store__report(st, &err, error);
}

/* ------------------------------------------------------------------ families */

struct dkv_family *
store__family(struct dkv *db, struct dkv_family *family)
{
    ASSERT(family == NULL || family->db == db);
    return family != NULL ? family : db->families[1];
}

static struct dkv_family *
find_family(struct dkv *db, const char *name)
{
    struct dkv_family *found = NULL;

    lock_take(&db->lock);
    for (uint32_t i = 2; i < db->family_count && found == NULL; i++) {
        if (strcmp(db->families[i]->name, name) == 0)
            found = db->families[i];
    }
    lock_drop(&db->lock);
    return found;
}

static enum status
add_family(struct dkv *db, uint64_t id, const char *name, struct err *err)
{
    struct engine_tree *tree = engine_find_tree(db->engine, id);
    struct dkv_family *f;
    enum status st = ST_OK;

    if (db->family_count >= STORE_FAMILIES_MAX)
        return err_raise(err, ST_TOO_BIG, "more than %d families", STORE_FAMILIES_MAX);
    if (tree == NULL)
        st = engine_create_tree(db->engine, id, &tree, err);
    if (st != ST_OK)
        return st;
    f = mem_new(struct dkv_family);
    if (f == NULL)
        return err_raise(err, ST_NO_MEMORY, "out of memory for a family");
    *f = (struct dkv_family){ .db = db, .tree = tree, .lsm = engine_tree_lsm(tree), .id = id };
    snprintf(f->name, sizeof(f->name), "%s", name);
    lock_take(&db->lock);
    db->families[db->family_count] = f;
    atomic_fetch_add(&db->family_count, 1); /* after: some look without the lock */
    lock_drop(&db->lock);
    return ST_OK;
}

static void
keep_above(struct dkv *db, uint64_t id)
{
    if (db->next_id <= id)
        db->next_id = id + 1;
}

/* A creation that failed may have left a tree without a name. */
static void
keep_above_tree(void *ctx, struct engine_tree *tree)
{
    keep_above(ctx, engine_tree_id(tree));
}

static enum status
load_families(struct dkv *db, struct err *err)
{
    struct lsm_iter_options options = { 0 };
    struct lsm_iter *it = NULL;
    enum status st = lsm_iter_create(db->families[0]->lsm, &options, &it, err);

    if (st == ST_OK)
        st = lsm_iter_first(it, err);
    while (st == ST_OK) {
        char name[STORE_NAME_MAX + 1] = "";
        struct entry e;

        lsm_iter_entry(it, &e);
        if (e.key.size > STORE_NAME_MAX || e.value.size != 8) {
            st = err_raise(err, ST_CORRUPT, "the names of the families cannot be read");
            break;
        }
        memcpy(name, e.key.data, e.key.size);
        st = add_family(db, get_u64le(e.value.data), name, err);
        if (st == ST_OK)
            keep_above(db, get_u64le(e.value.data));
        if (st == ST_OK)
            st = lsm_iter_next(it, err);
    }
    lsm_iter_destroy(it);
    return st == ST_NOT_FOUND ? ST_OK : st;
}

/* The name is durable before the tree is made: a crash in between leaves an empty family.  An id is
 * used up by the attempt: a name that has it may be in the log, whatever became of its writing. */
static enum status
create_family(struct dkv *db, const char *name, struct err *err)
{
    uint8_t value[8];
    struct store_op op = {
        .tree = db->families[0]->tree,
        .entry = { .key = slice_str(name), .value = slice_of(value, 8), .type = ENTRY_VALUE },
    };
    struct entry room;
    struct store_writer w = { .ops = &op, .room = &room, .op_count = 1, .bytes = 64, .sync = true };
    uint64_t id = db->next_id++;
    enum status st;

    put_u64le(value, id);
    st = store__write(db, &w);
    if (st != ST_OK) {
        *err = w.err;
        return st;
    }
    return add_family(db, id, name, err);
}

enum dkv_status
dkv_family_open(struct dkv *db, const char *name, bool create, struct dkv_family **out,
                struct dkv_error *error)
{
    struct err err = { 0 };
    enum status st = ST_OK;

    if (name[0] == '\0' || strlen(name) > STORE_NAME_MAX) {
        return store__report(
            err_raise(&err, ST_INVALID, "a family's name has 1 to %d bytes", STORE_NAME_MAX), &err,
            error);
    }
    gate_enter(db->family_gate);
    if (find_family(db, name) == NULL)
        st = create ? create_family(db, name, &err)
                    : err_raise(&err, ST_NOT_FOUND, "there is no family \"%s\"", name);
    gate_leave(db->family_gate);
    if (st == ST_OK)
        *out = find_family(db, name);
    return store__report(st, &err, error);
}

/* ------------------------------------------------------------------ opening */

static void
engine_options_of(const char *path, const struct dkv_options *o, struct engine_options *out)
{
    static const struct dkv_options defaults = { 0 };

    if (o == NULL)
        o = &defaults;
    engine_options_default(out);
    out->dir = path;
    out->kind = ENGINE_EMBEDDED;
    out->create = !o->must_exist;
    out->must_be_new = o->must_be_new;
    if (o->memory_budget_bytes != 0)
        out->budget_bytes = o->memory_budget_bytes;
    out->block_cache_bytes = o->block_cache_bytes;
    out->record_cache_bytes = o->record_cache_bytes;
    if (o->memtable_bytes != 0)
        out->trees.memtable_bytes = o->memtable_bytes;
    if (o->log_segment_bytes != 0)
        out->segment_bytes = o->log_segment_bytes;
    if (o->level_base_bytes != 0)
        out->trees.level_base_bytes = o->level_base_bytes;
    if (o->min_free_bytes != 0)
        out->min_free_bytes = o->min_free_bytes;
    if (o->open_tables_max != 0)
        out->open_tables_max = o->open_tables_max;
    if (o->bloom_bits != 0)
        out->trees.tables.filter_bits_per_key = o->bloom_bits;
    if (o->no_bloom)
        out->trees.tables.filter_bits_per_key = 0;
    out->trees.tables.compression = (enum table_compression)o->compression;
    out->trees.last_level_compression = (enum table_compression)o->compression_last;
}

static void
release_gates(struct dkv *db)
{
    struct list *at;

    while ((at = list_pop_front(&db->gates)) != NULL) {
        struct store_gate *g = container_of(at, struct store_gate, link);

        gate_destroy(g->gate);
        mem_free(g);
    }
}

static void
part_slots(struct dkv *db)
{
    for (int i = 0; i < STORE_SLOTS; i++)
        epoch_part(engine_epoch(db->engine), &db->slots[i].slot);
}

static enum status
release(struct dkv *db, struct err *err)
{
    enum status st = ST_OK;

    if (db->engine != NULL) {
        part_slots(db);
        st = engine_close(db->engine, err);
    }
    for (uint32_t i = 0; i < db->family_count; i++)
        mem_free(db->families[i]);
    release_gates(db);
    gate_destroy(db->family_gate);
    buf_release(&db->record);
    lock_release(&db->lock);
    if (db->owns_env)
        real_env_destroy(db->env);
    mem_free(db);
    return st;
}

static enum status
open_store(struct dkv *db, const char *path, const struct dkv_options *options, struct err *err)
{
    struct engine_replay replay = { .replay = store__replay, .ctx = db };
    struct engine_options engine_options;
    struct wal_recovery report;
    enum status st;

    engine_options_of(path, options, &engine_options);
    st = engine_open(&db->engine, db->env, &engine_options, err);
    if (st != ST_OK)
        return st;
    for (int i = 0; i < STORE_SLOTS; i++)
        epoch_join(engine_epoch(db->engine), &db->slots[i].slot);
    st = engine_recover(db->engine, &replay, &report, err);
    if (st == ST_OK)
        st = add_family(db, STORE_NAMES_TREE, "", err);
    if (st == ST_OK)
        st = add_family(db, STORE_DEFAULT_TREE, "", err);
    if (st == ST_OK)
        st = load_families(db, err);
    engine_each_tree(db->engine, keep_above_tree, db);
    for (uint32_t i = 0; i < db->family_count; i++) {
        struct lsm_mark mark = lsm_flushed(db->families[i]->lsm);

        if (mark.index > db->index)
            db->index = mark.index;
        if (mark.version > db->version)
            db->version = mark.version;
    }
    atomic_store(&db->visible, db->version);
    if (st == ST_OK)
        engine_serve(db->engine);
    return st;
}

enum status
store_open_on(struct dkv **out, struct env *env, const char *path,
              const struct dkv_options *options, struct err *err)
{
    struct dkv *db = mem_new(struct dkv);
    struct err ignored;
    enum status st;

    if (db == NULL)
        return err_raise(err, ST_NO_MEMORY, "out of memory for a store");
    db->env = env;
    db->record = buf_empty(2 * (size_t)LIMIT_RECORD_BYTES);
    lock_init(&db->lock);
    list_init(&db->writers);
    list_init(&db->gates);
    st = gate_create(env, &db->family_gate);
    if (st == ST_OK)
        st = open_store(db, path, options, err);
    else
        st = err_raise(err, st, "out of memory for a store");
    if (st != ST_OK) {
        (void)release(db, &ignored);
        return st;
    }
    *out = db;
    return ST_OK;
}

/* Beside real_env_create(): what the system allows the process is the real world's.  Most of it is
 * the application's. */
static uint32_t
default_open_tables(void)
{
    struct rlimit limit;
    rlim_t share;

    if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
        return OPEN_TABLES_MIN;
    share = limit.rlim_cur / DESCRIPTORS_PER_TABLE; /* RLIM_INFINITY is the largest number */
    if (share < OPEN_TABLES_MIN)
        return OPEN_TABLES_MIN;
    return share < OPEN_TABLES_DEFAULT ? (uint32_t)share : OPEN_TABLES_DEFAULT;
}

enum dkv_status
dkv_open(struct dkv **out, const char *path, const struct dkv_options *options,
         struct dkv_error *error)
{
    struct dkv_options own = options == NULL ? (struct dkv_options){ 0 } : *options;
    struct real_env_options env_options = { 0 };
    struct err err = { 0 };
    struct env *env = NULL;
    enum status st = real_env_create(&env_options, &env, &err);

    if (own.open_tables_max == 0)
        own.open_tables_max = default_open_tables();
    if (st == ST_OK)
        st = store_open_on(out, env, path, &own, &err);
    if (st == ST_OK)
        (*out)->owns_env = true;
    else if (env != NULL)
        real_env_destroy(env);
    return store__report(st, &err, error);
}

enum dkv_status
dkv_close(struct dkv *db, struct dkv_error *error)
{
    struct err err = { 0 };

    if (db == NULL)
        return DKV_OK;
    return store__report(release(db, &err), &err, error);
}

/* ------------------------------------------------------------------ care */

enum dkv_status
dkv_sync(struct dkv *db, struct dkv_error *error)
{
    struct store_writer w = { .sync = true, .only_deletes = true };

    return store__report(store__write(db, &w), &w.err, error);
}

/* A turn of its own, in which the memtables are sealed (the owner's part). */
static enum status
seal_all(struct dkv *db, struct err *err)
{
    struct store_writer w = { .only_deletes = true, .seal = true };
    enum status st = store__write(db, &w);

    *err = w.err;
    return st;
}

enum dkv_status
dkv_flush(struct dkv *db, struct dkv_error *error)
{
    struct err err = { 0 };
    enum status st = seal_all(db, &err);

    for (uint32_t i = 0; i < db->family_count && st == ST_OK; i++)
        st = engine_tree_flush(db->families[i]->tree, &err);
    return store__report(st, &err, error);
}

enum dkv_status
dkv_compact(struct dkv *db, struct dkv_family *family, struct dkv_error *error)
{
    struct lsm_compact_report report = { 0 };
    struct err err = { 0 };
    enum status st = seal_all(db, &err);

    family = store__family(db, family);
    if (st == ST_OK)
        st = engine_tree_flush(family->tree, &err);
    if (st == ST_OK)
        st = engine_tree_compact_all(family->tree, &report, &err);
    return store__report(st, &err, error);
}
