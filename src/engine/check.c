#include "engine/check.h"

#include <stdarg.h>
#include <stdio.h>

#include "base/limits.h"
#include "base/mem.h"

#include "engine/body.h"
#include "engine/engine_internal.h"

enum { TEXT_MAX = 1024, KEY_TEXT_MAX = 128 };

struct checking {
    struct engine e; /* only what identity and catalogue need */
    check_fn *fn;
    void *ctx;
    enum status worst;
    uint64_t table_count;

    /* records that lie beyond the damage in the log */
    uint64_t lost_count;
    struct buf lost_first; /* keys */
    struct buf lost_last;
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
    buf_release(&from);
    buf_release(&to);
    return ST_OK; /* go on: there may be more */
}

static void
check_tree(struct checking *c, uint64_t id)
{
    char dir[LIMIT_PATH_BYTES];
    struct lsm_mark mark = { 0 };
    struct err err = { 0 };

    snprintf(dir, sizeof(dir), "%s/tree-%016llx", c->e.dir, (unsigned long long)id);
    if (lsm_inspect(c->e.env, dir, check_table, c, &mark, &err) != ST_OK)
        tell(c, CHECK_DAMAGE, "%s", err.text);
}

static uint32_t
check_trees(struct checking *c)
{
    uint64_t *ids = NULL;
    uint32_t count = 0;
    struct err err = { 0 };

    if (engine__load_catalogue(&c->e, &ids, &count, &err) != ST_OK) {
        tell(c, CHECK_DAMAGE, "%s", err.text);
        return 0;
    }
    for (uint32_t i = 0; i < count; i++)
        check_tree(c, ids[i]);
    tell(c, CHECK_NOTE, "%u trees, %llu tables", count, (unsigned long long)c->table_count);
    mem_free(ids);
    return count;
}

/* ------------------------------------------------------------------ log */

static enum status
ignore_record(void *ctx, const struct wal_record *record, wal_position at, struct err *err)
{
    (void)ctx;
    (void)record;
    (void)at;
    (void)err;
    return ST_OK;
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

/* A record after the damage that can still be read: which keys did it write? */
static enum status
note_lost(void *ctx, const struct wal_record *record, wal_position at, struct err *err)
{
    struct checking *c = ctx;
    struct entry *entries;
    struct body body;

    (void)at;
    (void)err;
    c->lost_count++;
    if (record->type != WAL_ENTRY || body_decode(record->body, &body) != ST_OK ||
        body.kind != BODY_BATCH)
        return ST_OK;
    entries = mem_new_array(struct entry, body.entry_count + (size_t)1);
    if (entries != NULL && body_entries(&body, entries) == ST_OK) {
        for (uint32_t i = 0; i < body.entry_count; i++) {
            widen(&c->lost_first, entries[i].key, false);
            widen(&c->lost_last, entries[i].key, true);
        }
    }
    mem_free(entries);
    return ST_OK;
}

static void
tell_lost(struct checking *c, enum check_finding kind)
{
    char a[KEY_TEXT_MAX], b[KEY_TEXT_MAX];

    if (c->lost_first.size == 0) {
        tell(c, kind, "%llu readable records lie beyond the damage",
             (unsigned long long)c->lost_count);
        return;
    }
    tell(c, kind, "%llu readable records lie beyond the damage; they wrote keys from %s to %s",
         (unsigned long long)c->lost_count,
         slice_printable(buf_slice(&c->lost_first), a, sizeof(a)),
         slice_printable(buf_slice(&c->lost_last), b, sizeof(b)));
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
        .replay = ignore_record,
        .replay_ctx = c,
    };
}

static void
check_log(struct checking *c, uint32_t tree_count, bool truncate)
{
    char dir[LIMIT_PATH_BYTES];
    struct wal_options options;
    struct wal_recovery report = { 0 };
    struct wal_damage damage = { 0 };
    struct err err = { 0 };
    enum status st;

    log_options(c, dir, &options);
    st = wal_verify(c->e.env, &options, note_lost, &report, &damage, &err);
    if (st == ST_NOT_FOUND && tree_count == 0)
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
    uint32_t trees;

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
    trees = check_trees(c);
    check_log(c, trees, truncate);
    return c->worst;
}

enum status
engine_check(struct env *env, const char *dir, bool truncate, check_fn *fn, void *ctx,
             struct err *err)
{
    struct checking c = {
        .fn = fn,
        .ctx = ctx,
        .lost_first = buf_empty(LIMIT_STORED_KEY_BYTES),
        .lost_last = buf_empty(LIMIT_STORED_KEY_BYTES),
    };
    char path[LIMIT_PATH_BYTES];
    struct file *lock = NULL;
    uint64_t size;
    enum status st;

    c.e.env = env;
    c.e.options.kind = ENGINE_SERVER;
    c.e.dir = mem_strdup(dir);
    if (c.e.dir == NULL)
        return err_raise(err, ST_NO_MEMORY, "out of memory");
    snprintf(path, sizeof(path), "%s/IDENTITY", dir);
    st = env_stat(env, path, &size, err);
    snprintf(path, sizeof(path), "%s/LOCK", dir);
    if (st == ST_NOT_FOUND)
        st = env_stat(env, path, &size, err); /* then the identity is lost */
    if (st == ST_NOT_FOUND)
        st = err_raise(err, ST_NOT_FOUND, "%s: there is no store", dir);
    if (st == ST_OK)
        st = env_lock(env, path, &lock, err);
    if (st == ST_EXISTS)
        st = err_raise(err, ST_EXISTS, "%s is in use; stop that process first", dir);
    if (st == ST_OK)
        st = check_all(&c, truncate, err);
    file_close(lock);
    buf_release(&c.lost_first);
    buf_release(&c.lost_last);
    mem_free(c.e.dir);
    return st;
}
