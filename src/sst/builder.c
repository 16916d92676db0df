/*
 * Writing a table.
 *
 *      add --> data block --> packed, checksummed --> `out` --> file, a megabyte at a time
 *                   |                                  |
 *                   '--> separator --> index           '--> checksum of the whole file
 *
 * The separator of a finished block can be short only when the first key of the
 * next is known, so one index entry is pending between two blocks.
 *
 * INVARIANTS
 *
 *   B1  written + out.size is the offset of the next block.
 *   B2  A block holds more than `block_bytes` only when it holds a single entry.
 *   B3  Nothing is told of the table before the whole file was synced.
 *   B4  The first failure is kept, and is what every later call says.
 */
#include <inttypes.h>

#include "base/assert.h"
#include "base/budget.h"
#include "base/coding.h"
#include "base/mem.h"

#include "sst/compress.h"
#include "sst/filter.h"
#include "sst/footer.h"
#include "sst/index.h"

enum {
    WRITE_BYTES = 1 << 20,
    KEEP_BYTES = 4 << 20, /* of memory, after a write */
    CHARGED_BYTES_MIN = 8 << 20,
    ENTRY_OVERHEAD = 40, /* header and restart point of an entry in a block, at most */
};

struct table_builder {
    struct env *env;
    struct file *file; /* owned */
    char *path;        /* owned */
    struct table_options options;
    enum status poison; /* B4 */
    struct sst_block_builder data;
    struct sst_block_builder index;
    struct sst_compressor *compressor; /* owned */
    struct filter_builder *filter;     /* owned; NULL = no filter */
    struct hash_stream *checksum;      /* owned; of what was written */
    struct buf out;                    /* finished blocks that are not yet written */
    uint64_t written;                  /* B1 */

    bool pending; /* a finished block's index entry is */
    struct sst_handle pending_handle;
    struct buf pending_key; /* its last entry's */
    version_t pending_version;

    size_t charged; /* to the budget */

    struct sst_footer footer;
    struct table_info info;
};

/* P6.  What a block passes through grows with the largest value; small ones are not worth a charge. */
static void
charge_for(struct table_builder *b, size_t bytes)
{
    if (b->options.budget == NULL || bytes == b->charged)
        return;
    budget_charge(b->options.budget, bytes);
    budget_return(b->options.budget, b->charged);
    b->charged = bytes;
}

static void
charge_for_blocks(struct table_builder *b)
{
    size_t bytes = b->data.values.capacity + b->data.entries.capacity + b->out.capacity;

    charge_for(b, bytes > CHARGED_BYTES_MIN ? bytes : 0);
}

static void
builder_free(struct table_builder *b)
{
    charge_for(b, 0);
    sst__block_builder_release(&b->data);
    sst__block_builder_release(&b->index);
    sst__compressor_destroy(b->compressor);
    filter_builder_destroy(b->filter);
    hash_stream_destroy(b->checksum);
    buf_release(&b->out);
    buf_release(&b->pending_key);
    table_info_release(&b->info);
    mem_free(b->path);
    mem_free(b);
}

static void
check_options(const struct table_options *o)
{
    ASSERT(o->block_bytes >= BLOCK_BYTES_MIN && o->block_bytes <= BLOCK_BYTES_MAX);
    ASSERT(o->restart_interval >= 1 && o->restart_interval <= RESTART_INTERVAL_MAX);
    ASSERT(o->compression == TABLE_PLAIN || o->compression == TABLE_LZ4 ||
           o->compression == TABLE_ZSTD);
}

/* Everything but the file; NULL when out of memory. */
static struct table_builder *
builder_new(struct env *env, const char *path, const struct table_id *id,
            const struct table_options *options)
{
    struct table_builder *b = mem_new(struct table_builder);

    if (b == NULL)
        return NULL;
    b->env = env;
    b->options = *options;
    b->out = buf_empty(2 * (size_t)INDEX_BYTES_MAX);
    b->pending_key = buf_empty(LIMIT_STORED_KEY_BYTES);
    b->info.number = id->number;
    b->info.seed = id->seed;
    b->info.version_min = VERSION_MAX;
    b->info.smallest = buf_empty(LIMIT_STORED_KEY_BYTES);
    b->info.largest = buf_empty(LIMIT_STORED_KEY_BYTES);
    sst__block_builder_init(&b->data, options->restart_interval, BLOCK_RAW_MAX);
    sst__block_builder_init(&b->index, INDEX_RESTART_INTERVAL, INDEX_BYTES_MAX - TRAILER_BYTES);
    b->path = mem_strdup(path);
    b->compressor = sst__compressor_create(options->compression);
    b->checksum = hash_stream_create(id->seed);
    if (options->filter_bits_per_key > 0)
        b->filter = filter_builder_create(options->filter_bits_per_key);
    if (b->path == NULL || b->compressor == NULL || b->checksum == NULL ||
        (options->filter_bits_per_key > 0 && b->filter == NULL)) {
        builder_free(b);
        return NULL;
    }
    return b;
}

enum status
table_builder_create(struct env *env, const char *path, const struct table_id *id,
                     const struct table_options *options, struct table_builder **out,
                     struct err *err)
{
    struct table_builder *b;
    enum status st;

    check_options(options);
    b = builder_new(env, path, id, options);
    if (b == NULL)
        return err_raise(err, ST_NO_MEMORY, "table %s: out of memory", path);
    st = env_open(env, path, ENV_OPEN_WRITE | ENV_OPEN_CREATE | ENV_OPEN_EXCLUSIVE, &b->file, err);
    if (st != ST_OK) {
        builder_free(b);
        return st;
    }
    *out = b;
    return ST_OK;
}

/* ------------------------------------------------------------------ blocks */

/* Write out what has gathered. */
static enum status
write_out(struct table_builder *b, struct err *err)
{
    struct slice bytes = buf_slice(&b->out);
    enum status st = file_write(b->file, b->written, &bytes, 1, err);

    if (st != ST_OK)
        return st;
    hash_stream_add(b->checksum, bytes);
    b->written += bytes.size;
    b->out.size = 0;
    if (b->out.capacity > KEEP_BYTES)
        buf_release(&b->out); /* it held one huge value */
    return ST_OK;
}

/* The payload that begins at `begin` in `out` is complete: add its trailer. */
static enum status
end_block(struct table_builder *b, size_t begin, enum table_compression kind,
          struct sst_handle *handle)
{
    uint64_t offset = b->written + begin;
    enum status st = append_u8(&b->out, (uint8_t)kind);
    uint64_t checksum;

    if (st != ST_OK)
        return st;
    checksum = hash64_seeded(slice_of(b->out.data + begin, b->out.size - begin),
                             sst__seed(b->info.seed, offset));
    st = append_u64(&b->out, checksum);
    *handle = (struct sst_handle){ offset, (uint32_t)(b->out.size - begin) };
    return st;
}

static enum status
finish_data_block(struct table_builder *b, struct err *err)
{
    size_t begin = b->out.size;
    enum table_compression kind;
    struct slice raw;
    enum status st = sst__block_finish(&b->data, &raw);

    ASSERT(!b->pending);
    if (st == ST_OK)
        st = sst__pack(b->compressor, raw, &b->out, &kind);
    if (st == ST_OK)
        st = end_block(b, begin, kind, &b->pending_handle);
    b->pending_key.size = 0;
    if (st == ST_OK)
        st = buf_append(&b->pending_key, buf_slice(&b->data.key));
    if (st != ST_OK)
        return err_raise(err, st, "table %s: a block cannot be made", b->path);
    b->pending = true;
    b->pending_version = b->data.version;
    b->footer.block_count++;
    sst__block_reset(&b->data);
    charge_for_blocks(b);
    st = b->out.size < WRITE_BYTES ? ST_OK : write_out(b, err);
    charge_for_blocks(b);
    return st;
}

/* The index entry of the finished block; `next` is the first entry after it, NULL at the end. */
static enum status
add_to_index(struct table_builder *b, const struct entry *next, struct err *err)
{
    struct entry last = { .key = buf_slice(&b->pending_key), .version = b->pending_version };
    struct slice key = last.key;
    version_t version = 0;
    uint8_t *room = mem_alloc(last.key.size);
    enum status st;

    if (room == NULL)
        return err_raise(err, ST_NO_MEMORY, "table %s: out of memory", b->path);
    if (next != NULL)
        sst__index_separator(&last, next, room, &key, &version);
    st = sst__index_add(&b->index, key, version, &b->pending_handle);
    mem_free(room);
    if (st != ST_OK)
        return err_raise(err, st, "table %s: the index cannot grow", b->path);
    b->pending = false;
    return ST_OK;
}

/* ------------------------------------------------------------------ adding */

static enum status
count_entry(struct table_info *info, const struct entry *e)
{
    enum status st = ST_OK;

    if (info->entry_count == 0)
        st = buf_append(&info->smallest, e->key);
    info->entry_count++;
    info->tombstone_count += e->type == ENTRY_TOMBSTONE;
    info->expiring_count += e->expiry_ms != 0;
    info->raw_bytes += e->key.size + e->value.size;
    if (e->version < info->version_min)
        info->version_min = e->version;
    if (e->version > info->version_max)
        info->version_max = e->version;
    return st;
}

static enum status
add(struct table_builder *b, const struct entry *e, struct err *err)
{
    size_t bytes = e->key.size + e->value.size + ENTRY_OVERHEAD;
    enum status st = ST_OK;

    if (e->key.size > LIMIT_STORED_KEY_BYTES || e->value.size > STORED_VALUE_BYTES_MAX)
        return err_raise(err, ST_TOO_BIG, "table %s: an entry of %zu and %zu bytes", b->path,
                         e->key.size, e->value.size);
    ASSERT(e->version <= VERSION_MAX);
    ASSERT(e->type == ENTRY_VALUE || e->value.size == 0);
    if (b->data.entry_count > 0 && sst__block_bytes(&b->data) + bytes > b->options.block_bytes)
        st = finish_data_block(b, err); /* B2 */
    if (st != ST_OK)
        return st;
    if (b->pending) {
        ASSERT(entry_compare(buf_slice(&b->pending_key), b->pending_version, e->key, e->version) <
               0);
        st = add_to_index(b, e, err);
    }
    if (st != ST_OK)
        return st;
    st = sst__block_add(&b->data, e);
    if (st == ST_OK && b->filter != NULL)
        st = filter_builder_add(b->filter, hash64(e->key));
    if (st == ST_OK)
        st = count_entry(&b->info, e);
    return st == ST_OK ? ST_OK : err_raise(err, st, "table %s: out of memory", b->path);
}

enum status
table_builder_add(struct table_builder *b, const struct entry *e, struct err *err)
{
    if (b->poison != ST_OK)
        return err_raise(err, b->poison, "table %s: an earlier step failed", b->path);
    b->poison = add(b, e, err);
    return b->poison;
}

uint64_t
table_builder_entry_count(const struct table_builder *b)
{
    return b->info.entry_count;
}

uint64_t
table_builder_file_bytes(const struct table_builder *b)
{
    return b->written + b->out.size + sst__block_bytes(&b->data) + sst__block_bytes(&b->index);
}

/* ------------------------------------------------------------------ finishing */

static enum status
write_filter(struct table_builder *b)
{
    size_t begin = b->out.size;
    struct sst_handle handle = { 0 };
    enum status st = ST_OK;

    if (b->filter == NULL)
        return ST_OK;
    st = filter_builder_finish(b->filter, &b->out);
    if (st == ST_OK && b->out.size - begin > INDEX_BYTES_MAX - TRAILER_BYTES)
        st = ST_TOO_BIG;
    if (st == ST_OK)
        st = end_block(b, begin, TABLE_PLAIN, &handle);
    b->footer.filter_bytes = handle.size;
    return st;
}

static enum status
write_index(struct table_builder *b)
{
    size_t begin = b->out.size;
    struct sst_handle handle = { 0 };
    struct slice bytes;
    enum status st = sst__block_finish(&b->index, &bytes);

    if (st == ST_OK)
        st = buf_append(&b->out, bytes);
    if (st == ST_OK)
        st = end_block(b, begin, TABLE_PLAIN, &handle);
    b->footer.index_bytes = handle.size;
    return st;
}

static enum status
write_properties(struct table_builder *b)
{
    size_t begin = b->out.size;
    struct sst_handle handle = { 0 };
    enum status st = buf_append(&b->info.largest, buf_slice(&b->pending_key));

    if (st == ST_OK)
        st = sst__properties_append(&b->out, &b->info, &b->options);
    if (st == ST_OK)
        st = end_block(b, begin, TABLE_PLAIN, &handle);
    b->footer.properties_bytes = handle.size;
    return st;
}

/* What follows the data blocks. */
static enum status
write_tail(struct table_builder *b, struct err *err)
{
    uint8_t footer[FOOTER_BYTES];
    enum status st;

    b->footer.data_bytes = b->written + b->out.size;
    st = write_filter(b);
    if (st == ST_OK)
        st = write_index(b);
    if (st == ST_OK)
        st = write_properties(b);
    if (st == ST_OK) {
        sst__footer_encode(&b->footer, b->info.seed, footer);
        ASSERT(sst__footer_offset(&b->footer) == b->written + b->out.size); /* B1 */
        st = buf_append(&b->out, slice_of(footer, sizeof(footer)));
    }
    if (st != ST_OK)
        return err_raise(err, st, "table %s: its end cannot be made", b->path);
    return write_out(b, err);
}

static enum status
finish(struct table_builder *b, struct err *err)
{
    enum status st;

    if (b->poison != ST_OK)
        return err_raise(err, b->poison, "table %s: an earlier step failed", b->path);
    ASSERT(b->data.entry_count > 0); /* the last entry added is never in a finished block */
    st = finish_data_block(b, err);
    if (st == ST_OK)
        st = add_to_index(b, NULL, err);
    if (st == ST_OK)
        st = write_tail(b, err);
    if (st == ST_OK)
        st = file_sync(b->file, err); /* B3 */
    return st;
}

enum status
table_builder_finish(struct table_builder *b, struct table_info *info, struct err *err)
{
    enum status st = finish(b, err);

    if (st != ST_OK) {
        table_builder_abandon(b);
        return st;
    }
    b->info.file_bytes = b->written;
    b->info.checksum = hash_stream_value(b->checksum);
    *info = b->info;
    b->info.smallest = buf_empty(0); /* moved out */
    b->info.largest = buf_empty(0);
    file_close(b->file);
    builder_free(b);
    return ST_OK;
}

void
table_builder_abandon(struct table_builder *b)
{
    enum status st;

    if (b == NULL)
        return;
    file_close(b->file);
    st = env_remove(b->env, b->path, NULL);
    (void)st; /* what cannot be removed is an orphan, and recovery deletes those */
    builder_free(b);
}
