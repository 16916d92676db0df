/*
 * An edit as bytes.
 *
 *      edit     :=  flags:u8  [mark]  count:varint added*  count:varint removed*
 *      mark     :=  index:varint  term:varint  version:varint            when flags has MARK
 *      added    :=  level:u8  number:varint  [seed:u64]  file_bytes:varint  checksum:u64
 *                   entries:varint  tombstones:varint  expiring:varint  raw_bytes:varint
 *                   version_min:varint  version_max:varint
 *                   smallest:string  largest:string
 *      removed  :=  level:u8  number:varint
 *      string   :=  size:varint  byte[size]
 *
 * The seed is there since format 2.  Before it, a table's seed was its number.
 *
 * There is one encoding of each edit: varints are in their shortest form, and nothing may
 * follow.  What a decoder accepts of the newest format, the encoder gives back byte for byte.
 */
#include "base/assert.h"
#include "base/coding.h"
#include "base/mem.h"

#include "lsm/manifest.h"

enum {
    EDIT_CLEAR = 1,
    EDIT_MARK = 2,
    EDIT_FLAGS = EDIT_CLEAR | EDIT_MARK,

    /* Of the numbers of an added table: eight varints, a level, a seed and a checksum. */
    ADDED_NUMBERS_MAX = 8 * VARINT_BYTES_MAX + 1 + 2 * 8,
    ADDED_BYTES_MIN = 19, /* of the oldest format */
    REMOVED_BYTES_MIN = 2,
};

/* What holds of every table that a builder has finished. */
static bool
info_is_sane(const struct table_info *info)
{
    return info->number > 0 && info->entry_count > 0 &&
           info->tombstone_count <= info->entry_count &&
           info->expiring_count <= info->entry_count && info->version_min <= info->version_max &&
           info->smallest.size <= LIMIT_STORED_KEY_BYTES &&
           info->largest.size <= LIMIT_STORED_KEY_BYTES &&
           slice_compare(buf_slice(&info->smallest), buf_slice(&info->largest)) <= 0;
}

static enum status
encode_added(const struct edit_added *added, struct buf *out)
{
    const struct table_info *info = &added->file->info;
    enum status st = buf_reserve(out, ADDED_NUMBERS_MAX);
    uint8_t *at;

    ASSERT(added->level < LIMIT_LEVELS);
    ASSERT(info_is_sane(info));
    if (st != ST_OK)
        return st;

    at = out->data + out->size;
    *at++ = (uint8_t)added->level;
    at = put_varint(at, info->number);
    put_u64le(at, info->seed);
    at = put_varint(at + sizeof(uint64_t), info->file_bytes);
    put_u64le(at, info->checksum);
    at = put_varint(at + sizeof(uint64_t), info->entry_count);
    at = put_varint(at, info->tombstone_count);
    at = put_varint(at, info->expiring_count);
    at = put_varint(at, info->raw_bytes);
    at = put_varint(at, info->version_min);
    at = put_varint(at, info->version_max);
    out->size = (size_t)(at - out->data);

    st = append_string(out, buf_slice(&info->smallest));
    if (st == ST_OK)
        st = append_string(out, buf_slice(&info->largest));
    return st;
}

static enum status
encode_mark(const struct lsm_mark *mark, struct buf *out)
{
    enum status st = append_varint(out, mark->index);

    if (st == ST_OK)
        st = append_varint(out, mark->term);
    if (st == ST_OK)
        st = append_varint(out, mark->version);
    return st;
}

static enum status
encode_removed(const struct edit_removed *removed, struct buf *out)
{
    enum status st = append_u8(out, (uint8_t)removed->level);

    ASSERT(removed->level < LIMIT_LEVELS);
    return st == ST_OK ? append_varint(out, removed->number) : st;
}

enum status
version_edit_encode(const struct version_edit *e, struct buf *out)
{
    unsigned flags = (e->clear ? EDIT_CLEAR : 0) | (e->mark_set ? EDIT_MARK : 0);
    enum status st = append_u8(out, (uint8_t)flags);

    if (st == ST_OK && e->mark_set)
        st = encode_mark(&e->mark, out);
    if (st == ST_OK)
        st = append_varint(out, e->added_count);
    for (uint32_t i = 0; st == ST_OK && i < e->added_count; i++)
        st = encode_added(&e->added[i], out);
    if (st == ST_OK)
        st = append_varint(out, e->removed_count);
    for (uint32_t i = 0; st == ST_OK && i < e->removed_count; i++)
        st = encode_removed(&e->removed[i], out);
    return st;
}

static enum status
own_key(struct slice key, struct buf *out)
{
    *out = buf_empty(LIMIT_STORED_KEY_BYTES);
    return buf_append(out, key);
}

/* Copies the keys only when all of it is there.  `*info` is released by the caller, always. */
static enum status
decode_info(struct reader *r, enum manifest_format format, struct table_info *info)
{
    struct slice smallest, largest;
    enum status st;

    info->number = read_varint(r);
    info->seed = format >= MANIFEST_FORMAT_SEEDS ? read_u64(r) : info->number;
    info->file_bytes = read_varint(r);
    info->checksum = read_u64(r);
    info->entry_count = read_varint(r);
    info->tombstone_count = read_varint(r);
    info->expiring_count = read_varint(r);
    info->raw_bytes = read_varint(r);
    info->version_min = read_varint(r);
    info->version_max = read_varint(r);
    smallest = read_string(r);
    largest = read_string(r);
    if (r->bad || smallest.size > LIMIT_STORED_KEY_BYTES || largest.size > LIMIT_STORED_KEY_BYTES)
        return ST_CORRUPT;

    st = own_key(smallest, &info->smallest);
    if (st == ST_OK)
        st = own_key(largest, &info->largest);
    if (st != ST_OK)
        return st;
    return info_is_sane(info) ? ST_OK : ST_CORRUPT;
}

static enum status
decode_added(struct reader *r, enum manifest_format format, struct file_sweep *sweep,
             struct version_edit *e)
{
    struct table_info info = { 0 };
    uint32_t level = read_u8(r);
    struct table_file *file = NULL;
    enum status st = level < LIMIT_LEVELS ? decode_info(r, format, &info) : ST_CORRUPT;

    if (st == ST_OK) {
        file = table_file_create(&info, sweep);
        st = file == NULL ? ST_NO_MEMORY : version_edit_add(e, level, file);
    }
    if (file != NULL)
        table_file_unref(file); /* the edit holds its own reference */
    table_info_release(&info);
    return st;
}

/* A count that what is left can hold, or the reader is bad. */
static uint64_t
read_count(struct reader *r, size_t item_bytes_min)
{
    uint64_t count = read_varint(r);

    if (count > reader_left(r) / item_bytes_min)
        r->bad = true;
    return r->bad ? 0 : count;
}

static enum status
decode_tables(struct reader *r, enum manifest_format format, struct file_sweep *sweep,
              struct version_edit *e)
{
    uint64_t count = read_count(r, ADDED_BYTES_MIN);
    enum status st = ST_OK;

    for (uint64_t i = 0; st == ST_OK && i < count; i++)
        st = decode_added(r, format, sweep, e);
    if (st != ST_OK)
        return st;

    count = read_count(r, REMOVED_BYTES_MIN);
    for (uint64_t i = 0; st == ST_OK && i < count; i++) {
        uint32_t level = read_u8(r);
        uint64_t number = read_varint(r);

        st = level < LIMIT_LEVELS ? version_edit_remove(e, level, number) : ST_CORRUPT;
    }
    return st;
}

enum status
version_edit_decode(struct slice bytes, enum manifest_format format, struct file_sweep *sweep,
                    struct version_edit *out)
{
    struct reader r = reader_of(bytes);
    unsigned flags = read_u8(&r);
    struct version_edit e;
    enum status st;

    ASSERT(format >= MANIFEST_FORMAT_OLDEST && format <= MANIFEST_FORMAT);
    version_edit_init(&e);
    e.clear = (flags & EDIT_CLEAR) != 0;
    e.mark_set = (flags & EDIT_MARK) != 0;
    if (e.mark_set) {
        e.mark.index = read_varint(&r);
        e.mark.term = read_varint(&r);
        e.mark.version = read_varint(&r);
    }
    st = decode_tables(&r, format, sweep, &e);
    if (st == ST_OK && (r.bad || reader_left(&r) > 0 || (flags & ~(unsigned)EDIT_FLAGS) != 0))
        st = ST_CORRUPT;
    if (st != ST_OK) {
        version_edit_release(&e);
        return st;
    }
    *out = e;
    return ST_OK;
}
