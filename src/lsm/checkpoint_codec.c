/*
 * A checkpoint as bytes; docs/formats/checkpoint.md.
 *
 *      checkpoint  :=  magic:u64  format:u32  edit-format:u32  edit  checksum:u64
 *
 * The edit makes the whole version out of an empty one (manifest_codec.c), so that one decoder says
 * what a table may be.  The numbers in it are the sender's, and only tell its tables apart.  The
 * checksum is over all that is before it.
 *
 * It comes from another node: whatever it says, decoding ends with a version that is in order, or with
 * a status.  Nothing is allocated for what is not there.
 */
#include <inttypes.h>

#include "base/assert.h"
#include "base/coding.h"
#include "base/hash.h"

#include "lsm/checkpoint.h"
#include "lsm/lsm_internal.h"

#define MAGIC UINT64_C(0x544e504b43564b44) /* reads "DKVCKPNT" */

enum {
    CHECKPOINT_FORMAT = 1, /* written by this code, and the newest that it reads */

    HEADER_BYTES = 16,
    CHECKSUM_BYTES = 8,
};

enum status
lsm__checkpoint_encode(const struct version_edit *whole, struct buf *out)
{
    size_t begin = out->size;
    enum status st = append_u64(out, MAGIC);

    ASSERT(whole->mark_set && !whole->clear && whole->removed_count == 0);
    if (st == ST_OK)
        st = append_u32(out, CHECKPOINT_FORMAT);
    if (st == ST_OK)
        st = append_u32(out, MANIFEST_FORMAT);
    if (st == ST_OK)
        st = version_edit_encode(whole, out);
    if (st != ST_OK)
        return st;
    if (out->size - begin > CHECKPOINT_BYTES_MAX - CHECKSUM_BYTES)
        return ST_TOO_BIG;
    return append_u64(out, hash64(slice_of(out->data + begin, out->size - begin)));
}

/* Sizes that can be received, which add up; and versions that the mark covers (T4). */
static bool
tables_are_sane(const struct version_edit *e, uint64_t *file_bytes)
{
    *file_bytes = 0;
    for (uint32_t i = 0; i < e->added_count; i++) {
        const struct table_info *info = &e->added[i].file->info;

        if (info->file_bytes == 0 || info->version_max > e->mark.version ||
            __builtin_add_overflow(*file_bytes, info->file_bytes, file_bytes))
            return false;
    }
    return e->mark.version <= VERSION_MAX;
}

/* V1 and V2 hold of what the edit makes. */
static enum status
check_order(const struct version_edit *e, struct err *err)
{
    struct version *empty = version_create();
    struct version *whole;
    enum status st;

    if (empty == NULL)
        return err_raise(err, ST_NO_MEMORY, "no memory for a version");
    st = version_apply(empty, e, &whole, err);
    if (st == ST_OK)
        version_unref(whole);
    version_unref(empty);
    return st;
}

static enum status
check_header(struct slice bytes, struct err *err)
{
    const uint8_t *p = bytes.data;
    size_t covered;

    if (bytes.size < HEADER_BYTES + CHECKSUM_BYTES || bytes.size > CHECKPOINT_BYTES_MAX)
        return err_raise(err, ST_CORRUPT, "no checkpoint has %zu bytes", bytes.size);
    covered = bytes.size - CHECKSUM_BYTES;
    if (get_u64le(p) != MAGIC || get_u64le(p + covered) != hash64(slice_of(p, covered)))
        return err_raise(err, ST_CORRUPT, "the checkpoint is damaged");
    if (get_u32le(p + 8) != CHECKPOINT_FORMAT || get_u32le(p + 12) < MANIFEST_FORMAT_SEEDS ||
        get_u32le(p + 12) > MANIFEST_FORMAT) {
        return err_raise(err, ST_INVALID,
                         "a checkpoint of format %" PRIu32 ", with edits of format %" PRIu32
                         ", which this program cannot read",
                         get_u32le(p + 8), get_u32le(p + 12));
    }
    return ST_OK;
}

enum status
lsm__checkpoint_decode(struct slice bytes, struct file_sweep *sweep, struct version_edit *out,
                       uint64_t *file_bytes, struct err *err)
{
    struct version_edit e;
    struct slice edit;
    enum status st = check_header(bytes, err);

    if (st != ST_OK)
        return st;
    edit = slice_of(bytes.data + HEADER_BYTES, bytes.size - HEADER_BYTES - CHECKSUM_BYTES);
    st = version_edit_decode(edit, (enum manifest_format)get_u32le(bytes.data + 12), sweep, &e);
    if (st != ST_OK)
        return err_raise(err, st, "the checkpoint has no edit that can be read: %s",
                         status_name(st));
    if (!e.mark_set || e.clear || e.removed_count > 0 || !tables_are_sane(&e, file_bytes))
        st = err_raise(err, ST_CORRUPT, "the checkpoint contradicts itself");
    if (st == ST_OK)
        st = check_order(&e, err);
    if (st != ST_OK) {
        version_edit_release(&e);
        return st;
    }
    *out = e;
    return ST_OK;
}
