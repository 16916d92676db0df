#include "engine/store_record.h"

#include "base/limits.h"

enum { STORE_FORMAT = 1, OP_BYTES_MIN = 4, HEAD_BYTES_MAX = 32 };

enum status
store_record_begin(struct buf *out, version_t version, size_t op_count, size_t op_bytes)
{
    enum status st;

    out->size = 0;
    st = buf_reserve(out, op_bytes + op_count * 4 * VARINT_BYTES_MAX + HEAD_BYTES_MAX);
    if (st == ST_OK)
        st = append_u8(out, STORE_FORMAT);
    if (st == ST_OK)
        st = append_varint(out, version);
    return st == ST_OK ? append_varint(out, op_count) : st;
}

enum status
store_record_add(struct buf *out, uint64_t tree, const struct entry *e)
{
    enum status st = append_varint(out, tree);

    if (st == ST_OK)
        st = append_u8(out, (uint8_t)e->type);
    if (st == ST_OK)
        st = append_string(out, e->key);
    if (st == ST_OK && e->type == ENTRY_VALUE)
        st = append_string(out, e->value);
    return st;
}

enum status
store_record_decode(struct slice body, struct store_record *out)
{
    struct store_record r = { .ops = reader_of(body) };
    uint8_t format = read_u8(&r.ops);

    r.version = read_varint(&r.ops);
    r.op_count = read_varint(&r.ops);
    if (r.ops.bad || format != STORE_FORMAT || r.version > VERSION_MAX ||
        r.op_count > reader_left(&r.ops) / OP_BYTES_MIN)
        return ST_CORRUPT;
    *out = r;
    return ST_OK;
}

enum status
store_record_next(struct store_record *r, uint64_t *tree, struct entry *e)
{
    uint64_t id = read_varint(&r->ops);
    uint8_t type = read_u8(&r->ops);
    struct entry op = { .key = read_string(&r->ops), .version = r->version };

    if (type == ENTRY_VALUE)
        op.value = read_string(&r->ops);
    if (r->ops.bad || type >= ENTRY_TYPE_COUNT || op.key.size == 0 ||
        op.key.size > LIMIT_KEY_BYTES || op.value.size > LIMIT_VALUE_BYTES)
        return ST_CORRUPT;
    op.type = (enum entry_type)type;
    *tree = id;
    *e = op;
    return ST_OK;
}

enum status
store_record_end(const struct store_record *r)
{
    return reader_left(&r->ops) == 0 ? ST_OK : ST_CORRUPT;
}
