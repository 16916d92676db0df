#include "engine/check.h"

#include <stdarg.h>
#include <stdio.h>

#include "base/limits.h"
#include "base/mem.h"

#include "engine/engine_internal.h"
#include "engine/loss.h"
#include "engine/store_internal.h"
#include "engine/store_record.h"

enum { TEXT_MAX = 1024, KEY_TEXT_MAX = 128, TREE_TEXT_MAX = 192, NAMES_CACHE_BYTES = 1 << 20 };

struct checking {
    struct engine e; /* only what the identity needs */
    struct catalogue catalogue;
    check_fn *fn;
    void *ctx;
    enum status worst;
    uint64_t table_count;
    uint64_t tree; /* whose tables are being read */

    struct loss loss; /* what lies beyond the damage in the log */

    /* an embedded store's families, each once, as far as they were met */
    struct family_name {
        uint64_t tree;
        char name[STORE_NAME_MAX + 1];
    } names[STORE_FAMILIES_MAX];
    uint32_t name_count;
};

static void tell(struct checking *c, enum check_finding kind, const char *fmt, ...)
    PRINTF_LIKE(3, 4);

static void
tell(struct checking *c, enum check_finding kind, const char *fmt, ...)
{
    char text[TEXT_MAX];
    va_list args;

    va_start(args, fmt);
    vsnprintf(text, sizeof(text), fmt, args);
    va_end(args);
    if (kind == CHECK_DAMAGE)
        c->worst = ST_CORRUPT;
    c->fn(c->ctx, kind, text);
}

/* ------------------------------------------------------------------ families */

/* NULL: not met yet. */
static const char *
name_of(const struct checking *c, uint64_t tree)
{
    for (uint32_t i = 0; i < c->name_count; i++) {
        if (c->names[i].tree == tree)
            return c->names[i].name;
    }
    return NULL;
}

/* A name is in the log, and in a table as well. */
static void
note_name(struct checking *c, const struct entry *e)
{
    struct family_name *n;
    uint64_t tree;

    if (e->type != ENTRY_VALUE || e->value.size != sizeof(tree) || e->key.size > STORE_NAME_MAX)
        return;
    tree = get_u64le(e->value.data);
    if (name_of(c, tree) != NULL || c->name_count == STORE_FAMILIES_MAX)
        return;
    n = &c->names[c->name_count];
    n->tree = tree;
    memcpy(n->name, e->key.data, e->key.size);
    n->name[e->key.size] = '\0';
    c->name_count++;
}

/* These two are in no list of names. */
static void
note_own_trees(struct checking *c)
{
    if (c->e.identity.kind != ENGINE_EMBEDDED)
        return;
    c->names[0] = (struct family_name){ STORE_NAMES_TREE, "names of families" };
    c->names[1] = (struct family_name){ STORE_DEFAULT_TREE, "default family" };
    c->name_count = 2;
}

static bool
holds_names(const struct checking *c, uint64_t tree)
{
    return c->e.identity.kind == ENGINE_EMBEDDED && tree == STORE_NAMES_TREE;
}

static void
note_names_in_log(struct checking *c, const struct wal_record *record)
{
    struct store_record r;
    struct entry e;
    uint64_t tree;
    enum status st;

    if (c->e.identity.kind != ENGINE_EMBEDDED || record->type != WAL_ENTRY)
        return;
    st = store_record_decode(record->body, &r);
    for (uint64_t i = 0; st == ST_OK && i < r.op_count; i++) {
        st = store_record_next(&r, &tree, &e);
        if (st == ST_OK && holds_names(c, tree))
            note_name(c, &e);
    }
}

/* For a message only: what cannot be read now, has been or will be told elsewhere. */
static void
note_names_in_table(struct checking *c, const struct table_info *info, const char *path)
{
    struct table_iter_options options = { TABLE_BLOCK, false };
    struct cache *cache = cache_create(NAMES_CACHE_BYTES, NULL);
    struct table_iter *it = NULL;
    struct table *table = NULL;
    struct err ignored;
    struct entry e;
    enum status st = cache == NULL ? ST_NO_MEMORY : ST_OK;

    if (st == ST_OK)
        st = table_open(c->e.env, path, info, cache, NULL, &table, &ignored);
    if (st == ST_OK)
        st = table_iter_create(table, &options, &it);
    if (st == ST_OK)
        st = table_iter_first(it, &ignored);
    for (; st == ST_OK; st = table_iter_next(it, &ignored)) {
        table_iter_entry(it, &e);
        note_name(c, &e);
    }
    table_iter_destroy(it);
    table_close(table);
    cache_destroy(cache);
}

/* "tree 0000000000000003 (red)". */
static const char *
tree_text(const struct checking *c, uint64_t id, char out[TREE_TEXT_MAX])
{
    const char *name = name_of(c, id);
    char text[KEY_TEXT_MAX];

    snprintf(out, TREE_TEXT_MAX, "tree %016llx", (unsigned long long)id);
    if (name != NULL)
        snprintf(out, TREE_TEXT_MAX, "tree %016llx (%s)", (unsigned long long)id,
                 slice_printable(slice_str(name), text, sizeof(text)));
    return out;
}

/* ------------------------------------------------------------------ trees */

static void
tell_table_damage(struct checking *c, const struct err *err, const struct buf *from,
                  const struct buf *to)
{
    char a[KEY_TEXT_MAX], b[KEY_TEXT_MAX];

    if (from->size == 0 && to->size == 0) {
        tell(c, CHECK_DAMAGE, "%s", err->text);
        return;
    }
    tell(c, CHECK_DAMAGE, "%s; keys from %s to %s", err->text,
         slice_printable(buf_slice(from), a, sizeof(a)),
         slice_printable(buf_slice(to), b, sizeof(b)));
}

static enum status
check_table(void *ctx, uint32_t level, const struct table_info *info, const char *path,
            struct err *err)
{
    struct checking *c = ctx;
    struct buf from = buf_empty(LIMIT_STORED_KEY_BYTES);
    struct buf to = buf_empty(LIMIT_STORED_KEY_BYTES);
    enum status st = table_verify(c->e.env, path, info, &from, &to, err);

    (void)level;
    c->table_count++;
    if (st != ST_OK)
        tell_table_damage(c, err, &from, &to);
    else if (holds_names(c, c->tree))
        note_names_in_table(c, info, path);
    buf_release(&from);
    buf_release(&to);
    return ST_OK; /* go on: there may be more */
}

/* Up to which log entry the tree's tables have everything. */
static uint64_t
check_tree(struct checking *c, uint64_t id)
{
    char dir[LIMIT_PATH_BYTES];
    struct lsm_mark mark = { 0 };
    struct err err = { 0 };

    snprintf(dir, sizeof(dir), "%s/tree-%016llx", c->e.dir, (unsigned long long)id);
    c->tree = id;
    if (lsm_inspect(c->e.env, dir, check_table, c, &mark, &err) != ST_OK)
        tell(c, CHECK_DAMAGE, "%s", err.text);
    return mark.index;
}

/* Returns how much the catalogue says. */
static uint32_t
check_trees(struct checking *c)
{
    const struct catalogue *all = &c->catalogue;
    struct loss_flushed *flushed;
    uint32_t count = 0;
    struct err err = { 0 };

    if (catalogue_load(&c->catalogue, c->e.env, c->e.dir, c->e.identity.store, &err) != ST_OK) {
        tell(c, CHECK_DAMAGE, "%s", err.text);
        return 0;
    }
    flushed = mem_new_array(struct loss_flushed, all->count + (size_t)1);
    for (; count < all->count && all->lines[count].kind == CATALOGUE_TREE; count++) {
        uint64_t id = all->lines[count].id;
        uint64_t index = check_tree(c, id);

        if (flushed != NULL)
            flushed[count] = (struct loss_flushed){ id, index };
    }
    tell(c, CHECK_NOTE, "%u trees, %llu tables", count, (unsigned long long)c->table_count);
    if (flushed != NULL)
        loss_take_flushed(&c->loss, flushed, count);
    else
        tell(c, CHECK_NOTE, "out of memory: what tables have may be told to be lost, too");
    return all->count;
}

/* ------------------------------------------------------------------ log */

static enum status
note_intact(void *ctx, const struct wal_record *record, wal_position at, struct err *err)
{
    (void)at;
    (void)err;
    note_names_in_log(ctx, record);
    return ST_OK;
}

/* The tree whose name in the log this is; without one the name itself. */
static uint64_t
tree_of_name(const struct checking *c, uint64_t log)
{
    for (uint32_t i = 0; i < c->catalogue.count; i++) {
        const struct catalogue_line *line = &c->catalogue.lines[i];

        if (line->kind == CATALOGUE_TREE && line->log == log)
            return line->id;
    }
    return log;
}

/* A record after the damage that can still be read.  Of a tree that was dropped nothing can be lost. */
static enum status
note_lost(void *ctx, const struct wal_record *record, wal_position at, struct err *err)
{
    struct checking *c = ctx;
    struct wal_record renamed = *record;

    (void)at;
    (void)err;
    if (catalogue_find(&c->catalogue, CATALOGUE_GONE, record->tablet) != NULL)
        return ST_OK;
    renamed.tablet = tree_of_name(c, record->tablet);
    note_names_in_log(c, record);
    loss_note(&c->loss, &renamed);
    return ST_OK;
}

static void
tell_lost_tree(struct checking *c, enum check_finding kind, const struct loss_tree *t)
{
    char a[KEY_TEXT_MAX], b[KEY_TEXT_MAX], tree[TREE_TEXT_MAX];
    const char *cleared = t->cleared ? "; it was emptied there, too" : "";

    tree_text(c, t->id, tree);
    if (t->write_count == 0 && t->cleared) {
        tell(c, kind, "beyond the damage: %s was emptied", tree);
    } else if (t->write_count > 0) {
        tell(c, kind, "beyond the damage: %llu writes to %s, of keys from %s to %s%s",
             (unsigned long long)t->write_count, tree,
             slice_printable(buf_slice(&t->first), a, sizeof(a)),
             slice_printable(buf_slice(&t->last), b, sizeof(b)), cleared);
    }
}

static void
tell_lost(struct checking *c, enum check_finding kind)
{
    const struct loss *l = &c->loss;

    tell(c, kind, "%llu readable records lie beyond the damage",
         (unsigned long long)l->record_count);
    for (uint32_t i = 0; i < l->tree_count; i++)
        tell_lost_tree(c, kind, &l->trees[i]);
    if (l->further_count > 0)
        tell(c, kind, "beyond the damage: %llu writes to further trees",
             (unsigned long long)l->further_count);
    if (l->unread_count > 0)
        tell(c, kind, "beyond the damage: %llu records are not what this program writes",
             (unsigned long long)l->unread_count);
}

static void
log_options(struct checking *c, char *dir, struct wal_options *options)
{
    snprintf(dir, LIMIT_PATH_BYTES, "%s/log-0", c->e.dir);
    *options = (struct wal_options){
        .dir = dir,
        .store_id = c->e.identity.store,
        .segment_bytes = 64 << 20,
        .gather_bytes_max = 1 << 20,
        .spare_count = 1,
        .replay = note_intact,
        .replay_ctx = c,
    };
}

static void
check_log(struct checking *c, uint32_t line_count, bool truncate)
{
    char dir[LIMIT_PATH_BYTES];
    struct wal_options options;
    struct wal_recovery report = { 0 };
    struct wal_damage damage = { 0 };
    struct err err = { 0 };
    enum status st;

    log_options(c, dir, &options);
    st = wal_verify(c->e.env, &options, note_lost, &report, &damage, &err);
    if (st == ST_NOT_FOUND && line_count == 0)
        return; /* the creation of the store was cut short: there is nothing yet */
    if (st == ST_OK) {
        tell(c, CHECK_NOTE, "log: %llu records in %llu segments, %s",
             (unsigned long long)report.record_count, (unsigned long long)report.segment_count,
             report.clean ? "closed clean" : "not closed (a crash); it will be recovered");
        return;
    }
    if (st != ST_CORRUPT || damage.file[0] == '\0') {
        tell(c, CHECK_DAMAGE, "%s", err.text);
        return;
    }
    if (!truncate) {
        tell(c, CHECK_DAMAGE, "%s/%s: offset %llu: %s", dir, damage.file,
             (unsigned long long)damage.offset, damage.text);
        tell_lost(c, CHECK_DAMAGE);
        return;
    }
    st = wal_cut(c->e.env, &options, &damage, &err);
    if (st != ST_OK) {
        tell(c, CHECK_DAMAGE, "%s", err.text);
        return;
    }
    tell(c, CHECK_CUT, "%s/%s: cut at offset %llu (%s); the rest was moved aside", dir, damage.file,
         (unsigned long long)damage.offset, damage.text);
    tell_lost(c, CHECK_CUT);
}

/* ------------------------------------------------------------------ the whole */

static enum status
check_all(struct checking *c, bool truncate, struct err *err)
{
    bool exists = false;
    enum status st = engine__load_identity(&c->e, &exists, err);
    uint32_t lines;

    if (st == ST_INVALID) { /* the other kind of store is checked just the same */
        c->e.options.kind = ENGINE_EMBEDDED;
        st = engine__load_identity(&c->e, &exists, err);
    }
    if (st == ST_CORRUPT || (st == ST_OK && !exists)) {
        tell(c, CHECK_DAMAGE, "%s", exists ? err->text : "IDENTITY: missing");
        return ST_CORRUPT;
    }
    if (st != ST_OK)
        return st;
    tell(c, CHECK_NOTE, "%s: node %016llx, %s", c->e.dir, (unsigned long long)c->e.identity.node,
         c->e.identity.kind == ENGINE_SERVER ? "a server's data directory" : "an embedded store");
    loss_init(&c->loss, c->e.identity.kind);
    note_own_trees(c);
    lines = check_trees(c);
    check_log(c, lines, truncate);
    return c->worst;
}

/* Is there a store, or what is left of one? */
static enum status
find_store(struct env *env, const char *dir, struct err *err)
{
    char path[LIMIT_PATH_BYTES];
    uint64_t size;
    enum status st;

    snprintf(path, sizeof(path), "%s/IDENTITY", dir);
    st = env_stat(env, path, &size, err);
    snprintf(path, sizeof(path), "%s/LOCK", dir);
    if (st == ST_NOT_FOUND)
        st = env_stat(env, path, &size, err); /* then the identity is lost */
    return st == ST_NOT_FOUND ? err_raise(err, ST_NOT_FOUND, "%s: there is no store", dir) : st;
}

static enum status
lock_store(struct env *env, const char *dir, struct file **lock, struct err *err)
{
    char path[LIMIT_PATH_BYTES];
    enum status st;

    snprintf(path, sizeof(path), "%s/LOCK", dir);
    st = env_lock(env, path, lock, err);
    return st == ST_EXISTS ? err_raise(err, ST_EXISTS, "%s is in use; stop that process first", dir)
                           : st;
}

enum status
engine_check(struct env *env, const char *dir, bool truncate, check_fn *fn, void *ctx,
             struct err *err)
{
    struct checking *c = mem_new(struct checking);
    struct file *lock = NULL;
    enum status st = ST_OK;

    if (c == NULL)
        return err_raise(err, ST_NO_MEMORY, "out of memory");
    c->fn = fn;
    c->ctx = ctx;
    c->e.env = env;
    c->e.options.kind = ENGINE_SERVER;
    c->e.dir = mem_strdup(dir);
    if (c->e.dir == NULL)
        st = err_raise(err, ST_NO_MEMORY, "out of memory");
    if (st == ST_OK)
        st = find_store(env, dir, err);
    if (st == ST_OK)
        st = lock_store(env, dir, &lock, err);
    if (st == ST_OK)
        st = check_all(c, truncate, err);
    file_close(lock);
    loss_release(&c->loss);
    catalogue_release(&c->catalogue);
    mem_free(c->e.dir);
    mem_free(c);
    return st;
}
