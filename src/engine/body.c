#include "engine/body.h"

#include "base/assert.h"
#include "base/coding.h"
#include "base/limits.h"

enum { ENTRY_BYTES_MIN = 2 }; /* type, and a key's length */

static bool
has_value(const struct entry *e)
{
    return e->type == ENTRY_VALUE;
}

size_t
body_batch_size(version_t version, const struct entry *entries, size_t count)
{
    size_t size = 2 + varint_size(version) + varint_size(count);

    for (size_t i = 0; i < count; i++) {
        const struct entry *e = &entries[i];

        size += 1 + varint_size(e->key.size) + e->key.size;
        if (e->expiry_ms != 0)
            size += varint_size(e->expiry_ms);
        if (has_value(e))
            size += varint_size(e->value.size) + e->value.size;
    }
    return size;
}

static uint8_t *
put_slice(uint8_t *at, struct slice *s)
{
    at = put_varint(at, s->size);
    if (s->size > 0)
        memcpy(at, s->data, s->size);
    s->data = at;
    return at + s->size;
}

void
body_encode_batch(uint8_t *at, version_t version, struct entry *entries, size_t count)
{
    *at++ = BODY_FORMAT;
    *at++ = BODY_BATCH;
    at = put_varint(at, version);
    at = put_varint(at, count);
    for (size_t i = 0; i < count; i++) {
        struct entry *e = &entries[i];

        *at++ = (uint8_t)(e->type | (e->expiry_ms != 0 ? BODY_HAS_EXPIRY : 0));
        at = put_slice(at, &e->key);
        if (e->expiry_ms != 0)
            at = put_varint(at, e->expiry_ms);
        if (has_value(e))
            at = put_slice(at, &e->value);
    }
}

size_t
body_encode_small(uint8_t *out, enum body_kind kind, version_t version, uint64_t ceiling_ms)
{
    uint8_t *at = out;

    ASSERT(kind != BODY_BATCH);
    *at++ = BODY_FORMAT;
    *at++ = (uint8_t)kind;
    at = put_varint(at, version);
    if (kind == BODY_CEILING)
        at = put_varint(at, ceiling_ms);
    ASSERT(at - out <= BODY_SMALL_MAX);
    return (size_t)(at - out);
}

enum status
body_decode(struct slice bytes, struct body *out)
{
    struct reader r = reader_of(bytes);
    struct body b = { 0 };
    uint8_t format = read_u8(&r);
    uint8_t kind = read_u8(&r);
    uint64_t count = 0;

    if (r.bad)
        return ST_CORRUPT;
    if (format != BODY_FORMAT || kind < BODY_BATCH || kind > BODY_CLEAR)
        return format > BODY_FORMAT ? ST_INVALID : ST_CORRUPT;
    b.kind = (enum body_kind)kind;
    b.version = read_varint(&r);
    if (b.kind == BODY_CEILING)
        b.ceiling_ms = read_varint(&r);
    if (b.kind == BODY_BATCH) {
        count = read_varint(&r);
        if (count > reader_left(&r) / ENTRY_BYTES_MIN)
            return ST_CORRUPT;
        b.entry_count = (uint32_t)count;
        b.entries = read_bytes(&r, reader_left(&r));
    }
    if (r.bad || reader_left(&r) != 0 || b.version > VERSION_MAX)
        return ST_CORRUPT;
    *out = b;
    return ST_OK;
}

static void
read_entry(struct reader *r, version_t version, struct entry *e)
{
    uint8_t type = read_u8(r);

    *e = (struct entry){ .version = version };
    if ((type & ~BODY_HAS_EXPIRY) >= ENTRY_TYPE_COUNT) {
        r->bad = true;
        return;
    }
    e->type = (enum entry_type)(type & ~BODY_HAS_EXPIRY);
    e->key = read_string(r);
    if ((type & BODY_HAS_EXPIRY) != 0)
        e->expiry_ms = read_varint(r);
    if (has_value(e))
        e->value = read_string(r);
    if (e->key.size == 0 || e->key.size > LIMIT_STORED_KEY_BYTES ||
        e->value.size > LIMIT_VALUE_BYTES)
        r->bad = true;
}

enum status
body_entries(const struct body *body, struct entry *entries)
{
    struct reader r = reader_of(body->entries);

    for (uint32_t i = 0; i < body->entry_count; i++) {
        read_entry(&r, body->version, &entries[i]);
        if (r.bad)
            return ST_CORRUPT;
    }
    return reader_left(&r) == 0 ? ST_OK : ST_CORRUPT;
}

enum status
head_encode(const struct head *head, struct buf *out)
{
    enum status st;

    ASSERT(head->member_count <= BODY_MEMBERS_MAX);
    st = append_u8(out, BODY_FORMAT);
    if (st == ST_OK)
        st = append_varint(out, head->term);
    if (st == ST_OK)
        st = append_varint(out, head->vote);
    if (st == ST_OK)
        st = append_varint(out, head->ceiling_ms);
    if (st == ST_OK)
        st = append_varint(out, head->member_count);
    for (uint32_t i = 0; i < head->member_count && st == ST_OK; i++)
        st = append_varint(out, head->members[i]);
    return st;
}

enum status
head_decode(struct slice bytes, struct head *out)
{
    struct reader r = reader_of(bytes);
    struct head h = { 0 };
    uint8_t format = read_u8(&r);
    uint64_t count;

    if (r.bad || format != BODY_FORMAT)
        return format > BODY_FORMAT ? ST_INVALID : ST_CORRUPT;
    h.term = read_varint(&r);
    h.vote = read_varint(&r);
    h.ceiling_ms = read_varint(&r);
    count = read_varint(&r);
    if (r.bad || count > BODY_MEMBERS_MAX)
        return ST_CORRUPT;
    h.member_count = (uint32_t)count;
    for (uint32_t i = 0; i < h.member_count; i++)
        h.members[i] = read_varint(&r);
    if (r.bad || reader_left(&r) != 0)
        return ST_CORRUPT;
    *out = h;
    return ST_OK;
}
