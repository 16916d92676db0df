/*
 * The file ATLAS is the node's book, whole:
 *
 *      magic "DKVATLAS" | format:u32 = 1 | size:u32 | feed (book.h) | XXH3 of all before:u64
 *
 * It is replaced when the metadata has changed, at most once in SAVE_EVERY_MS, and at a start.  A replica is made only when
 * the file names it (holdings.c), so that a start finds with whom each was born.
 */
#include <stdio.h>

#include "base/hash.h"
#include "base/log.h"

#include "cluster/cluster_internal.h"
#include "engine/engine.h"
#include "env/whole_file.h"

enum {
    SHELF_FORMAT = 1,
    HEAD_BYTES = 16,
    TAIL_BYTES = 8,
    SHELF_BYTES_MAX = VERDICT_BYTES_MAX,
    SAVE_EVERY_MS = 200,
};

static const char magic[8] = { 'D', 'K', 'V', 'A', 'T', 'L', 'A', 'S' };
static const char name[] = "ATLAS";

static enum status
encode(const struct book *b, struct buf *out)
{
    enum status st = buf_append(out, slice_of(magic, sizeof(magic)));

    if (st == ST_OK)
        st = append_u32(out, SHELF_FORMAT);
    if (st == ST_OK)
        st = append_u32(out, 0);
    if (st == ST_OK)
        st = book_feed(b, 0, out);
    if (st != ST_OK)
        return st;
    put_u32le(out->data + 12, (uint32_t)(out->size - HEAD_BYTES));
    return append_u64(out, hash64(buf_slice(out)));
}

static enum status
decode(struct slice bytes, const char *path, struct book *b, struct err *err)
{
    size_t checked = bytes.size - TAIL_BYTES;

    if (bytes.size < HEAD_BYTES + TAIL_BYTES || memcmp(bytes.data, magic, sizeof(magic)) != 0 ||
        get_u64le(bytes.data + checked) != hash64(slice_of(bytes.data, checked)) ||
        get_u32le(bytes.data + 12) != checked - HEAD_BYTES) {
        return err_raise(err, ST_CORRUPT,
                         "%s: damaged (%zu bytes): it says what this node knew of its cluster; "
                         "without it (move it away) the node learns that anew from a member that "
                         "--join names",
                         path, bytes.size);
    }
    if (get_u32le(bytes.data + 8) > SHELF_FORMAT)
        return err_raise(err, ST_INVALID, "%s: format %u is newer than this program's %d", path,
                         get_u32le(bytes.data + 8), SHELF_FORMAT);
    return book_take(b, slice_of(bytes.data + HEAD_BYTES, checked - HEAD_BYTES), err);
}

enum status
shelf_load(struct cluster *c, struct err *err)
{
    struct buf bytes = buf_empty(SHELF_BYTES_MAX);
    char path[LIMIT_PATH_BYTES];
    enum status st;

    snprintf(path, sizeof(path), "%s/%s", engine_dir(c->engine), name);
    st = whole_file_read(c->env, path, &bytes, err);
    if (st == ST_OK)
        st = decode(buf_slice(&bytes), path, &c->book, err);
    buf_release(&bytes);
    c->saved = c->book.version;
    return st == ST_NOT_FOUND ? ST_OK : st;
}

/* ------------------------------------------------------------------ saving */

static void
save(struct job *job)
{
    struct cluster *c = container_of(job, struct cluster, save_job);
    struct err err;

    c->save_status =
        whole_file_replace(c->env, engine_dir(c->engine), name, buf_slice(&c->save_bytes), &err);
    if (c->save_status != ST_OK)
        log_event(LOG_ERROR, "cluster.not_saved", log_err(&err),
                  log_str("effect", "no replica is made here until it is; tried again"));
}

static void
end_save(struct cluster *c)
{
    buf_release(&c->save_bytes);
    if (c->save_status == ST_OK)
        c->saved = c->save_version;
}

static void
is_saved(struct job *job)
{
    struct cluster *c = container_of(job, struct cluster, save_job);

    c->saving = false;
    c->under_way--;
    end_save(c);
}

/* False: there is nothing to save, or no memory for it, and then it is tried again. */
static bool
begin_save(struct cluster *c)
{
    if (c->options.listen.port == 0)
        c->saved = c->book.version; /* nobody else is ever in it, and the metadata is here */
    if (c->saved == c->book.version)
        return false;
    c->save_bytes = buf_empty(SHELF_BYTES_MAX);
    if (encode(&c->book, &c->save_bytes) != ST_OK) {
        buf_release(&c->save_bytes);
        return false;
    }
    c->save_version = c->book.version;
    c->save_job = (struct job){ .run = save, .done = is_saved, .loop = c->loop };
    return true;
}

void
shelf_settle(struct cluster *c)
{
    if (!begin_save(c))
        return;
    save(&c->save_job);
    end_save(c);
}

void
shelf_tick(struct cluster *c, uint64_t now_ns)
{
    if (c->saving || c->draining || now_ns < c->save_at_ns || !begin_save(c))
        return;
    c->save_at_ns = now_ns + (uint64_t)SAVE_EVERY_MS * NS_PER_MS;
    c->saving = true;
    c->under_way++;
    env_submit(c->env, ENV_LANE_FLUSH, &c->save_job);
}
