/*
 * Writing a manifest: an edit into the current file, or a takeover by a new one.  Why in
 * this order, and the invariants M1..: manifest.c.
 */
#include <inttypes.h>

#include "base/assert.h"
#include "base/coding.h"
#include "base/log.h"

#include "lsm/manifest_internal.h"

void
manifest__check(const struct manifest *m)
{
    if (m->file == NULL)
        return;
    ASSERT(m->durable <= m->end); /* M3 */
    ASSERT(m->end - m->durable <= MANIFEST_RECORD_HEADER_BYTES);
    ASSERT(m->end <= m->file_bytes);
}

/* M5. */
static void
close_file(struct manifest *m)
{
    file_close(m->file);
    m->file = NULL;
}

/* Say that all is durable.  It costs nobody's edit when this fails, only a new file. */
static void
write_synced(struct manifest *m)
{
    uint64_t seed = manifest__seed(m->tree_id, m->number);
    struct slice bytes;
    struct err err = { 0 };

    ASSERT(m->end == m->durable);
    m->record.size = 0;
    if (manifest__record_begin(&m->record) != ST_OK) {
        close_file(m);
        return;
    }
    manifest__record_seal(&m->record, 0, seed, m->end, MANIFEST_SYNCED, m->durable);
    bytes = buf_slice(&m->record);
    if (file_write(m->file, m->end, &bytes, 1, &err) != ST_OK) {
        log_event(LOG_WARN, "lsm.manifest_write", log_str("folder", m->dir), log_err(&err));
        close_file(m);
        return;
    }
    m->end += bytes.size;
}

static enum status
encode_edit(struct manifest *m, const struct version_edit *edit, struct err *err)
{
    enum status st;

    m->record.size = 0;
    st = manifest__record_begin(&m->record);
    if (st == ST_OK)
        st = version_edit_encode(edit, &m->record);
    if (st != ST_OK)
        return err_raise(err, st, "%s: cannot encode an edit of %" PRIu32 " tables", m->dir,
                         edit->added_count + edit->removed_count);
    return ST_OK;
}

/* Does the edit that was encoded fit, with a SYNCED after it? */
static bool
fits(const struct manifest *m)
{
    return m->record.size + MANIFEST_RECORD_HEADER_BYTES <= m->file_bytes - m->end;
}

/* A table that only moves has its name already. */
static bool
names_new_table(const struct version_edit *e)
{
    for (uint32_t i = 0; i < e->added_count; i++) {
        uint32_t k = 0;

        while (k < e->removed_count && e->removed[k].number != e->added[i].file->info.number)
            k++;
        if (k == e->removed_count)
            return true;
    }
    return false;
}

/* M6. */
static enum status
sync_names(struct manifest *m, const struct version_edit *e, struct err *err)
{
    return names_new_table(e) ? env_sync_dir(m->env, m->dir, err) : ST_OK;
}

/* Something may have been written, so no status may promise the contrary (manifest.h). */
static enum status
make_uncertain(enum status st, const struct manifest *m, struct err *err)
{
    if (st == ST_NO_MEMORY || st == ST_TOO_BIG)
        return err_raise(err, ST_IO, "%s: no memory in the middle of a manifest write", m->dir);
    return st;
}

static enum status
append_edit(struct manifest *m, struct err *err)
{
    uint64_t seed = manifest__seed(m->tree_id, m->number);
    struct slice bytes = buf_slice(&m->record);
    enum status st;

    manifest__record_seal(&m->record, 0, seed, m->end, MANIFEST_EDIT, m->durable);
    st = file_write(m->file, m->end, &bytes, 1, err);
    if (st == ST_OK)
        st = file_sync(m->file, err);
    if (st != ST_OK) {
        close_file(m);
        return make_uncertain(st, m, err);
    }
    m->end += bytes.size;
    m->durable = m->end;
    write_synced(m);
    return ST_OK;
}

/* ------------------------------------------------------------------ a takeover */

/* The file's size, for a snapshot that ends at `end`. */
static uint64_t
choose_file_bytes(uint64_t end)
{
    uint64_t bytes = end * MANIFEST_FILE_PER_SNAPSHOT;

    if (bytes < MANIFEST_FILE_BYTES_MIN)
        bytes = MANIFEST_FILE_BYTES_MIN;
    if (bytes > MANIFEST_FILE_BYTES_MAX)
        bytes = MANIFEST_FILE_BYTES_MAX;
    return (bytes + MANIFEST_FILE_ALIGNMENT - 1) / MANIFEST_FILE_ALIGNMENT *
           MANIFEST_FILE_ALIGNMENT;
}

/* Fill m->record with header and snapshot of file m->number. */
static enum status
encode_snapshot(struct manifest *m, const struct version *v, const struct lsm_mark *mark,
                struct err *err)
{
    static const uint8_t no_header[MANIFEST_HEADER_BYTES];
    struct manifest_header header = { m->tree_id, m->number, 0 };
    uint64_t seed = manifest__seed(m->tree_id, m->number);
    struct version_edit e;
    enum status st = version_edit_whole(&e, v, mark);

    m->record.size = 0;
    if (st == ST_OK)
        st = buf_append(&m->record, slice_of(no_header, sizeof(no_header)));
    if (st == ST_OK)
        st = manifest__record_begin(&m->record);
    if (st == ST_OK)
        st = append_varint(&m->record, m->number_max);
    if (st == ST_OK)
        st = version_edit_encode(&e, &m->record);
    version_edit_release(&e);
    if (st != ST_OK)
        return err_raise(err, st, "%s: cannot encode a snapshot of the manifest", m->dir);

    header.file_bytes = choose_file_bytes(m->record.size);
    manifest__header_put(&header, m->record.data);
    manifest__record_seal(&m->record, MANIFEST_HEADER_BYTES, seed, MANIFEST_HEADER_BYTES,
                          MANIFEST_SNAPSHOT, 0);
    m->file_bytes = header.file_bytes;
    return ST_OK;
}

static enum status
write_temporary(struct manifest *m, const char *path, struct err *err)
{
    struct slice bytes = buf_slice(&m->record);
    struct file *f;
    enum status st =
        env_open(m->env, path, ENV_OPEN_WRITE | ENV_OPEN_CREATE | ENV_OPEN_TRUNCATE, &f, err);

    if (st != ST_OK)
        return st;
    st = file_fill(f, m->file_bytes, err);
    if (st == ST_OK)
        st = file_write(f, 0, &bytes, 1, err);
    if (st == ST_OK)
        st = file_sync(f, err);
    file_close(f);
    return st;
}

static void
remove_temporary(struct manifest *m, const char *path)
{
    struct err err = { 0 };
    enum status st = env_remove(m->env, path, &err);

    if (st != ST_OK && st != ST_NOT_FOUND)
        log_event(LOG_WARN, "lsm.manifest_remove", log_str("file", path), log_err(&err));
}

/* The new file has taken over; go on writing to it.  If it cannot be opened, that costs only
 * another new file. */
static void
open_for_edits(struct manifest *m, const char *path)
{
    struct err err = { 0 };

    if (env_open(m->env, path, ENV_OPEN_WRITE, &m->file, &err) != ST_OK) {
        log_event(LOG_WARN, "lsm.manifest_open", log_str("file", path), log_err(&err));
        m->file = NULL;
        return;
    }
    m->end = m->record.size;
    m->durable = m->end;
    write_synced(m);
}

/* M1, M2.  The order of these steps is the whole point. */
enum status
manifest__begin_file(struct manifest *m, const struct version *v, const struct lsm_mark *mark,
                     struct err *err)
{
    char temporary[LIMIT_PATH_BYTES], path[LIMIT_PATH_BYTES];
    enum status st;

    if (m->file != NULL)
        close_file(m);
    m->number++; /* M7 */
    manifest__path(m->dir, m->number, true, temporary);
    manifest__path(m->dir, m->number, false, path);

    st = encode_snapshot(m, v, mark, err);
    if (st != ST_OK)
        return st;
    st = write_temporary(m, temporary, err);
    if (st != ST_OK) {
        remove_temporary(m, temporary); /* nothing has its name, so nothing has happened */
        return st;
    }
    st = env_rename(m->env, temporary, path, err);
    if (st != ST_OK)
        remove_temporary(m, temporary);
    if (st == ST_OK)
        st = env_sync_dir(m->env, m->dir, err);
    if (st == ST_OK)
        st = manifest__remove_older(m->env, m->dir, m->number, err);
    if (st != ST_OK)
        return make_uncertain(st, m, err);
    open_for_edits(m, path);
    return ST_OK;
}

enum status
manifest_record(struct manifest *m, const struct version_edit *edit, const struct version *after,
                const struct lsm_mark *mark_after, struct err *err)
{
    enum status st;

    manifest__check(m);
    for (uint32_t i = 0; i < edit->added_count; i++) {
        uint64_t number = edit->added[i].file->info.number;

        if (number > m->number_max)
            m->number_max = number;
    }
    st = encode_edit(m, edit, err);
    if (st == ST_OK)
        st = sync_names(m, edit, err);
    if (st == ST_OK && m->file != NULL && fits(m))
        st = append_edit(m, err);
    else if (st == ST_OK)
        st = manifest__begin_file(m, after, mark_after, err);
    buf_release(&m->record);
    manifest__check(m);
    return st;
}
