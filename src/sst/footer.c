#include "sst/footer.h"

#include <inttypes.h>

#include "base/assert.h"
#include "base/coding.h"

/* Offsets in the footer; docs/formats/table.md. */
enum {
    AT_MAGIC = 0,
    AT_FORMAT = 8,
    AT_FLAGS = 12,
    AT_SEED = 16,
    AT_DATA = 24,
    AT_FILTER = 32,
    AT_INDEX = 40,
    AT_PROPERTIES = 48,
    AT_BLOCK_COUNT = 56,
    AT_CHECKSUM = FOOTER_BYTES - 8,
};

static const uint8_t magic[8] = "DKVTABLE";

void
sst__footer_encode(const struct sst_footer *f, uint64_t seed, uint8_t out[FOOTER_BYTES])
{
    memset(out, 0, FOOTER_BYTES);
    memcpy(out + AT_MAGIC, magic, sizeof(magic));
    put_u32le(out + AT_FORMAT, TABLE_FORMAT);
    put_u64le(out + AT_SEED, seed);
    put_u64le(out + AT_DATA, f->data_bytes);
    put_u64le(out + AT_FILTER, f->filter_bytes);
    put_u64le(out + AT_INDEX, f->index_bytes);
    put_u64le(out + AT_PROPERTIES, f->properties_bytes);
    put_u64le(out + AT_BLOCK_COUNT, f->block_count);
    put_u64le(out + AT_CHECKSUM,
              hash64_seeded(slice_of(out, AT_CHECKSUM), sst__seed(seed, sst__footer_offset(f))));
}

/* Every part within the file, and all together the whole of it. */
static bool
extents_fit(const struct sst_footer *f, uint64_t offset)
{
    if (f->data_bytes > offset || f->filter_bytes > offset || f->index_bytes > offset ||
        f->properties_bytes > offset)
        return false;
    if (f->filter_bytes > INDEX_BYTES_MAX || f->index_bytes > INDEX_BYTES_MAX ||
        f->properties_bytes > BLOCK_RAW_MAX)
        return false;
    if ((f->filter_bytes > 0 && f->filter_bytes <= TRAILER_BYTES) ||
        f->index_bytes <= TRAILER_BYTES || f->properties_bytes <= TRAILER_BYTES)
        return false;
    return sst__footer_offset(f) == offset;
}

enum status
sst__footer_decode(const uint8_t bytes[FOOTER_BYTES], uint64_t seed, uint64_t offset,
                   const char *path, struct sst_footer *out, struct err *err)
{
    uint64_t checksum = hash64_seeded(slice_of(bytes, AT_CHECKSUM), sst__seed(seed, offset));
    uint32_t format = get_u32le(bytes + AT_FORMAT);
    struct sst_footer f = {
        .data_bytes = get_u64le(bytes + AT_DATA),
        .filter_bytes = get_u64le(bytes + AT_FILTER),
        .index_bytes = get_u64le(bytes + AT_INDEX),
        .properties_bytes = get_u64le(bytes + AT_PROPERTIES),
        .block_count = get_u64le(bytes + AT_BLOCK_COUNT),
    };

    if (get_u64le(bytes + AT_CHECKSUM) != checksum ||
        memcmp(bytes + AT_MAGIC, magic, sizeof(magic)) != 0) {
        return err_raise(err, ST_CORRUPT,
                         "table %s: the footer at %" PRIu64 " is damaged, or is "
                         "that of another table",
                         path, offset);
    }
    if (format != TABLE_FORMAT) {
        return err_raise(err, ST_INVALID,
                         "table %s: written in format %" PRIu32 " by a newer release; this one "
                         "reads up to format %d",
                         path, format, TABLE_FORMAT);
    }
    if (get_u64le(bytes + AT_SEED) != seed || !extents_fit(&f, offset))
        return err_raise(err, ST_CORRUPT, "table %s: the footer at %" PRIu64 " contradicts itself",
                         path, offset);
    *out = f;
    return ST_OK;
}

/* ------------------------------------------------------------------ properties */

enum status
sst__properties_append(struct buf *out, const struct table_info *info,
                       const struct table_options *options)
{
    const uint64_t numbers[] = { info->seed,           info->entry_count,   info->tombstone_count,
                                 info->expiring_count, info->raw_bytes,     info->version_min,
                                 info->version_max,    options->block_bytes };
    enum status st = ST_OK;

    for (size_t i = 0; st == ST_OK && i < sizeof(numbers) / sizeof(numbers[0]); i++)
        st = append_u64(out, numbers[i]);
    if (st == ST_OK)
        st = append_string(out, buf_slice(&info->smallest));
    if (st == ST_OK)
        st = append_string(out, buf_slice(&info->largest));
    return st;
}

bool
sst__properties_match(struct slice bytes, const struct table_info *info, const char **what)
{
    const struct {
        const char *name;
        uint64_t want;
    } numbers[] = {
        { "seed", info->seed },
        { "entry count", info->entry_count },
        { "tombstone count", info->tombstone_count },
        { "expiring count", info->expiring_count },
        { "raw bytes", info->raw_bytes },
        { "smallest version", info->version_min },
        { "largest version", info->version_max },
    };
    struct reader r = reader_of(bytes);

    for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
        *what = numbers[i].name;
        if (read_u64(&r) != numbers[i].want)
            return false;
    }
    (void)read_u64(&r); /* the aimed size of a block is told, and binds nobody */
    *what = "smallest key";
    if (!slice_equal(read_string(&r), buf_slice(&info->smallest)))
        return false;
    *what = "largest key";
    if (!slice_equal(read_string(&r), buf_slice(&info->largest)))
        return false;
    *what = "length";
    return !r.bad && reader_left(&r) == 0;
}

void
table_info_release(struct table_info *info)
{
    buf_release(&info->smallest);
    buf_release(&info->largest);
}
