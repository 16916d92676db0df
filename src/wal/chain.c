/*
 * CHAIN, the root of a stream: which segments are the log, oldest first.
 *
 * The file holds the same bytes twice.  No crash can tear it, as it is only
 * ever replaced whole: one damaged copy means a damaged disk, and is refused
 * like any other damage.  But then the second copy lets `distkv check` mend
 * it, where otherwise a single bit would cost the whole log.
 */
#include "base/assert.h"
#include "base/coding.h"
#include "base/hash.h"
#include "base/mem.h"

#include "env/whole_file.h"
#include "wal/wal_internal.h"

/* "DKVCHAI\n" */
#define CHAIN_MAGIC UINT64_C(0x0a49414843564b44)

enum {
    AT_MAGIC = 0,
    AT_FORMAT = 8,
    AT_COUNT = 12,
    AT_STORE_ID = 16,
    AT_ENTRIES = 24,
    ENTRY_BYTES = 24,
    CHECKSUM_BYTES = 8,
    CHAIN_BYTES_MAX = 2 * (AT_ENTRIES + ENTRY_BYTES * CHAIN_SEGMENTS_MAX + CHECKSUM_BYTES),
};

void
wal__chain_release(struct chain *c)
{
    mem_free(c->entries);
    *c = (struct chain){ 0 };
}

static size_t
copy_bytes(uint64_t count)
{
    return AT_ENTRIES + ENTRY_BYTES * (size_t)count + CHECKSUM_BYTES;
}

size_t
wal__chain_bytes(uint32_t count)
{
    return 2 * copy_bytes(count);
}

void
wal__chain_put(uint8_t *out, const struct chain *c)
{
    size_t size = copy_bytes(c->count);

    put_u64le(out + AT_MAGIC, CHAIN_MAGIC);
    put_u32le(out + AT_FORMAT, LOG_FORMAT);
    put_u32le(out + AT_COUNT, c->count);
    put_u64le(out + AT_STORE_ID, c->store_id);
    for (uint32_t i = 0; i < c->count; i++) {
        uint8_t *at = out + AT_ENTRIES + (size_t)ENTRY_BYTES * i;

        put_u64le(at, c->entries[i].sequence);
        put_u64le(at + 8, c->entries[i].incarnation);
        put_u64le(at + 16, c->entries[i].limit);
    }
    put_u64le(out + size - CHECKSUM_BYTES, hash64(slice_of(out, size - CHECKSUM_BYTES)));
    memcpy(out + size, out, size);
}

/* Is this one copy, whole and sensible? */
static enum parse
check_copy(struct slice copy)
{
    uint32_t count;

    if (copy.size < copy_bytes(1) || get_u64le(copy.data + AT_MAGIC) != CHAIN_MAGIC)
        return PARSE_NONE;
    if (get_u64le(copy.data + copy.size - CHECKSUM_BYTES) !=
        hash64(slice_of(copy.data, copy.size - CHECKSUM_BYTES)))
        return PARSE_NONE;
    if (get_u32le(copy.data + AT_FORMAT) > LOG_FORMAT)
        return PARSE_NEWER;
    count = get_u32le(copy.data + AT_COUNT);
    if (count == 0 || count > CHAIN_SEGMENTS_MAX || copy.size != copy_bytes(count))
        return PARSE_NONE;
    for (uint32_t i = 0; i < count; i++) {
        const uint8_t *entry = copy.data + AT_ENTRIES + (size_t)ENTRY_BYTES * i;
        uint64_t limit = get_u64le(entry + 16);

        if (get_u64le(entry) == 0 || (i + 1 == count) != (limit == 0))
            return PARSE_NONE;
        if (limit != 0 && (limit < SEGMENT_HEADER_BYTES || limit > INT64_MAX))
            return PARSE_NONE;
    }
    return PARSE_OK;
}

static enum status
decode_copy(struct slice copy, struct chain *out)
{
    uint32_t count = get_u32le(copy.data + AT_COUNT);
    struct chain_entry *entries = mem_new_array(struct chain_entry, count);

    if (entries == NULL)
        return ST_NO_MEMORY;
    for (uint32_t i = 0; i < count; i++) {
        const uint8_t *at = copy.data + AT_ENTRIES + (size_t)ENTRY_BYTES * i;

        entries[i] = (struct chain_entry){ get_u64le(at), get_u64le(at + 8), get_u64le(at + 16) };
    }
    *out = (struct chain){ get_u64le(copy.data + AT_STORE_ID), entries, count };
    return ST_OK;
}

enum status
wal__chain_get(struct slice file, struct chain *out, struct chain_found *found)
{
    size_t half = file.size / 2;
    struct slice first = slice_of(file.data, half);
    struct slice second = slice_of(half == 0 ? NULL : file.data + half, half);
    enum parse first_parse = check_copy(first);
    enum parse second_parse = check_copy(second);

    *found = (struct chain_found){ .parse = PARSE_NONE };
    found->damaged = first_parse == PARSE_NONE || !slice_equal(first, second) || file.size % 2 != 0;
    found->damaged_at = first_parse == PARSE_NONE ? 0 : half;
    if (first_parse == PARSE_NEWER || second_parse == PARSE_NEWER) {
        found->parse = PARSE_NEWER;
        return ST_OK;
    }
    if (first_parse == PARSE_NONE && second_parse == PARSE_NONE)
        return ST_OK;
    found->parse = PARSE_OK;
    return decode_copy(first_parse == PARSE_OK ? first : second, out);
}

enum status
wal__chain_read(const struct place *p, struct chain *out, struct chain_found *found,
                struct err *err)
{
    char path[LIMIT_PATH_BYTES];
    struct buf bytes = buf_empty(CHAIN_BYTES_MAX);
    enum status st;

    wal__path(p, "CHAIN", path);
    st = whole_file_read(p->env, path, &bytes, err);
    if (st == ST_OK || st == ST_TOO_BIG) { /* damaged: an empty file does not check out either */
        st = wal__chain_get(buf_slice(&bytes), out, found);
        if (st != ST_OK)
            st = err_raise(err, st, "log %s: out of memory", p->dir);
    }
    buf_release(&bytes);
    return st;
}

enum status
wal__chain_replace(const struct place *p, const struct chain *c, struct err *err)
{
    size_t size = wal__chain_bytes(c->count);
    uint8_t *bytes = mem_alloc(size);
    enum status st;

    ASSERT(c->count > 0 && c->count <= CHAIN_SEGMENTS_MAX);
    ASSERT(c->entries[c->count - 1].limit == 0);
    if (bytes == NULL)
        return err_raise(err, ST_NO_MEMORY, "log %s: out of memory", p->dir);
    wal__chain_put(bytes, c);
    st = whole_file_replace(p->env, p->dir, "CHAIN", slice_of(bytes, size), err);
    mem_free(bytes);
    return st;
}

enum status
wal__chain_write(const struct place *p, const struct list *segments, struct err *err)
{
    struct chain c = { .store_id = p->store_id };
    enum status st;
    size_t count = 0;

    list_each (at, segments)
        count++;
    if (count > CHAIN_SEGMENTS_MAX)
        return err_raise(err, ST_TOO_BIG, "log %s: %zu segments", p->dir, count);
    c.entries = mem_new_array(struct chain_entry, count);
    if (c.entries == NULL)
        return err_raise(err, ST_NO_MEMORY, "log %s: out of memory", p->dir);
    list_each (at, segments) {
        const struct segment *s = container_of(at, struct segment, link);

        c.entries[c.count++] = (struct chain_entry){ s->sequence, s->incarnation, s->limit };
    }
    c.entries[c.count - 1].limit = 0;
    st = wal__chain_replace(p, &c, err);
    wal__chain_release(&c);
    return st;
}
