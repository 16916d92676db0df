/*
 * The manifest: which tables a tree has had, edit by edit.
 *
 * FORMAT (manifest_frame.c, manifest_codec.c, docs/formats/manifest.md)
 *
 *      [header][SNAPSHOT][SYNCED][EDIT][SYNCED][EDIT][SYNCED] . . . zeros . . . ]
 *      0       48                                             end      file_bytes
 *
 * The size of a file is fixed when it is made, and written into its header: so a truncation is
 * seen, an edit never meets a full disk, and a sync has no size to write.  Every record carries
 * a watermark, the offset up to which the file was known to be durable when it was written.
 *
 * AN EDIT that fits into the file that this process has begun and has not closed since:
 *
 *      sync the folder                 if the edit names new tables (M6)
 *      write EDIT, sync                from here on it may be told (M4)
 *      write SYNCED                    not synced: it goes to disk by itself, or with the next
 *
 * SYNCED says what otherwise only the next edit could say: that the last edit was durable.  While
 * it is there, a flipped bit in that edit is damage, and not taken for the torn tail of a crash.
 *
 * A TAKEOVER by a new file, with the edit as part of its snapshot:
 *
 *                                                a crash after it finds
 *      sync the folder                           the old state
 *      write n+1.tmp: header, SNAPSHOT; sync     the old state, and a *.tmp
 *      rename it to n+1                          the old or the new state: n, or n and n+1
 *      sync the folder                           the new state: n and n+1
 *      remove n, sync the folder                 the new state: n+1, and perhaps n
 *      write SYNCED                              the new state
 *
 * OPENING takes the highest number.  If the file ends with SYNCED, nothing needs to be
 * written.  Otherwise the last edit is visible, but perhaps only in the page cache, so its state
 * is made durable by a takeover before anything is deleted or told.
 *
 * INVARIANTS
 *
 *   M1  A file has the name MANIFEST-n only after its header and snapshot were synced.  So
 *       whatever is wrong with those is damage, and there is never a reason to go back
 *       to an older manifest: the highest number counts, or the tree does not open.
 *   M2  No edit is told (manifest_record() gives ST_OK) before every older manifest has been
 *       removed durably.  So if the current manifest is lost, no older one stands in
 *       for it in silence: tables without a manifest are ST_CORRUPT.  (Once a sync of the folder
 *       has failed, a removed name may come back; the highest number still counts.)
 *   M3  A record's watermark is at most its own offset, and everything below it was durable
 *       when the record was written.  So damage below the watermark of an intact record was
 *       durable: ST_CORRUPT.  And damage that no watermark covers belongs to the last edit, which
 *       was not told, or to a SYNCED: it is torn, and dropped.
 *   M4  Nobody is told of an edit that was not synced.
 *   M5  A file is written by one `struct manifest` only, and never after a write or sync of
 *       it has failed: nothing is ever appended to what is torn or unknown.
 *   M6  The name of a table is durable before any record that adds it is written.
 *   M7  The number of a manifest is not used again by the same process; nor is the number of a
 *       table by anybody, while a manifest that is newer than it is there (number_max).
 *
 * Known limit (P5): after a power cut, a SYNCED that had not yet reached the disk is
 * missing, whether its file was still open or rested.  If then the last EDIT is damaged before the tree is opened again, it looks torn.  A
 * compaction's lost edit is still seen, because the tables that it removed are missing; a flush's
 * is seen by the log, which has released the entries that the older mark asks for.
 *
 * NOT HERE, ON PURPOSE
 *
 *   No reuse of a file that was closed, by the former process or by a rest: one snapshot per start,
 *   and per rest, of a tree that is written to is cheap, and appending to what was found would
 *   need its durability to be known.
 *   No deletion of tables that an edit removes: they go when the last reader is done (lsm.h).
 */
#include "lsm/manifest.h"

#include <inttypes.h>

#include "base/assert.h"
#include "base/log.h"
#include "base/mem.h"

#include "lsm/manifest_internal.h"

bool
manifest_is_open(const struct manifest *m)
{
    return m->file != NULL;
}

/* A sync would make whoever waits for a flush wait for a thousand trees' SYNCED.  Without it, that
 * record goes to disk by itself, as it does beside an open file. */
void
manifest_rest(struct manifest *m)
{
    manifest__check(m);
    file_close(m->file);
    m->file = NULL;
}

void
manifest_close(struct manifest *m)
{
    struct err err = { 0 };

    if (m == NULL)
        return;
    if (m->file != NULL && m->end > m->durable && file_sync(m->file, &err) != ST_OK)
        log_event(LOG_WARN, "lsm.manifest_close", log_str("folder", m->dir), log_err(&err));
    manifest_rest(m);
    buf_release(&m->record);
    mem_free(m->dir);
    mem_free(m);
}

static enum status
create_manifest(struct env *env, const char *dir, uint64_t tree_id, struct manifest **out,
                struct err *err)
{
    struct manifest *m;

    if (strlen(dir) + MANIFEST_NAME_BYTES_MAX > LIMIT_PATH_BYTES)
        return err_raise(err, ST_TOO_BIG, "%s: path too long", dir);
    m = mem_new(struct manifest);
    if (m == NULL)
        return err_raise(err, ST_NO_MEMORY, "%s: no memory for a manifest", dir);
    m->env = env;
    m->tree_id = tree_id;
    m->record = buf_empty(MANIFEST_FILE_BYTES_MAX - MANIFEST_FILE_ALIGNMENT);
    m->dir = mem_strdup(dir);
    if (m->dir == NULL) {
        mem_free(m);
        return err_raise(err, ST_NO_MEMORY, "%s: no memory for a manifest", dir);
    }
    *out = m;
    return ST_OK;
}

/* There is no manifest: a new tree, or none, or one that has lost it (M2). */
static enum status
begin_tree(struct manifest *m, const struct manifest_folder *folder, bool create,
           struct manifest_state *state, struct err *err)
{
    enum status st;

    if (folder->tables.size > 0)
        return err_raise(err, ST_CORRUPT, "%s: there are tables, but the manifest is missing",
                         m->dir);
    if (!create)
        return err_raise(err, ST_NOT_FOUND, "%s: no manifest", m->dir);
    st = manifest__folder_make(m->env, m->dir, err);
    if (st != ST_OK)
        return st;
    state->version = version_create();
    if (state->version == NULL)
        return err_raise(err, ST_NO_MEMORY, "%s: no memory for a version", m->dir);
    return manifest__begin_file(m, state->version, &state->mark, err);
}

static void
report_torn(const char *path, const struct manifest_state *state)
{
    if (state->torn_bytes > 0)
        log_event(LOG_WARN, "lsm.manifest_torn", log_str("file", path),
                  log_u64("offset", state->end), log_u64("bytes", state->torn_bytes));
}

static enum status
resume_tree(struct manifest *m, const struct manifest_folder *folder, struct file_sweep *sweep,
            struct manifest_state *state, struct err *err)
{
    char path[LIMIT_PATH_BYTES];
    enum status st;

    m->number = manifest__folder_newest(&folder->manifests);
    manifest__path(m->dir, m->number, false, path);
    st = manifest__recover(m->env, path, m->number, sweep, state, err);
    if (st != ST_OK)
        return st;
    if (state->header.tree_id != m->tree_id)
        return err_raise(err, ST_INVALID, "%s: of tree %016" PRIx64 ", and not of tree %016" PRIx64,
                         path, state->header.tree_id, m->tree_id);
    st = manifest__folder_check(folder, m->dir, state->version, err);
    if (st != ST_OK)
        return st;

    m->number_max = manifest__folder_newest(&folder->tables);
    if (state->number_max > m->number_max)
        m->number_max = state->number_max;
    report_torn(path, state);
    return state->proven ? ST_OK : manifest__begin_file(m, state->version, &state->mark, err);
}

static enum status
open_folder(struct manifest *m, struct manifest_folder *folder, bool create,
            struct file_sweep *sweep, struct manifest_state *state, struct err *err)
{
    enum status st = manifest__folder_read(folder, m->env, m->dir, err);

    if (st == ST_NOT_FOUND && create)
        st = ST_OK; /* an empty list */
    if (st != ST_OK)
        return st;
    if (folder->manifests.size == 0)
        st = begin_tree(m, folder, create, state, err);
    else
        st = resume_tree(m, folder, sweep, state, err);
    if (st == ST_OK)
        st = manifest__folder_clean(folder, m->env, m->dir, state->version, m->number, err);
    buf_release(&m->record);
    return st;
}

/* NOLINTBEGIN(readability-function-size): whom to open, and the four things that come of it */
enum status
manifest_open(struct manifest **out, struct env *env, const char *dir, uint64_t tree_id,
              bool create, struct file_sweep *sweep, struct version **version,
              struct lsm_mark *mark, uint64_t *number_max, struct err *err)
{
    struct manifest_folder folder = { 0 };
    struct manifest_state state = { 0 };
    struct manifest *m = NULL;
    enum status st = create_manifest(env, dir, tree_id, &m, err);

    if (st != ST_OK)
        return st;
    ASSERT(m != NULL);
    st = open_folder(m, &folder, create, sweep, &state, err);
    manifest__folder_release(&folder);
    if (st != ST_OK) {
        manifest__state_release(&state);
        manifest_close(m);
        return st;
    }
    *out = m;
    *version = state.version; /* the reference moves */
    *mark = state.mark;
    *number_max = m->number_max;
    manifest__check(m);
    return ST_OK;
}
/* NOLINTEND(readability-function-size) */

enum status
manifest_read(struct env *env, const char *dir, struct file_sweep *sweep, struct version **version,
              struct lsm_mark *mark, struct err *err)
{
    char path[LIMIT_PATH_BYTES];
    struct manifest_folder folder;
    struct manifest_state state = { 0 };
    enum status st;

    if (strlen(dir) + MANIFEST_NAME_BYTES_MAX > LIMIT_PATH_BYTES)
        return err_raise(err, ST_TOO_BIG, "%s: path too long", dir);
    st = manifest__folder_read(&folder, env, dir, err);
    if (st == ST_OK && folder.manifests.size == 0 && folder.tables.size > 0)
        st = err_raise(err, ST_CORRUPT, "%s: there are tables, but the manifest is missing", dir);
    else if (st == ST_OK && folder.manifests.size == 0)
        st = err_raise(err, ST_NOT_FOUND, "%s: no manifest", dir);
    if (st == ST_OK) {
        uint64_t number = manifest__folder_newest(&folder.manifests);

        manifest__path(dir, number, false, path);
        st = manifest__recover(env, path, number, sweep, &state, err);
    }
    manifest__folder_release(&folder);
    if (st != ST_OK)
        return st;
    *version = state.version; /* the reference moves */
    *mark = state.mark;
    return ST_OK;
}
