#include "kv/scan_codec.h"

#include "base/coding.h"
#include "base/limits.h"

enum { SCAN_FORMAT = 1, ENTRY_BYTES_MIN = 4 };

enum order_flag {
    FLAG_FIRST = 1,
    FLAG_LIMIT = 2,
    FLAG_AFTER = 4,
    FLAG_REVERSE = 8,
    FLAG_VALUES = 16,
    FLAG_GOES_ON = 32,
    FLAG_OVER = 64,
    FLAGS_ALL = 127,
};

enum { HARVEST_END = 1 };

static enum status
check_format(const struct reader *in, uint8_t format)
{
    if (in->bad || format == 0)
        return ST_CORRUPT;
    return format > SCAN_FORMAT ? ST_INVALID : ST_OK;
}

/* ------------------------------------------------------------------ what is asked for */

static unsigned
flags_of(const struct scan_order *o)
{
    return (o->first ? FLAG_FIRST : 0u) | (o->has_limit ? FLAG_LIMIT : 0u) |
           (o->after_from ? FLAG_AFTER : 0u) | (o->reverse ? FLAG_REVERSE : 0u) |
           (o->want_values ? FLAG_VALUES : 0u) | (o->goes_on ? FLAG_GOES_ON : 0u) |
           (o->over ? FLAG_OVER : 0u);
}

enum status
scan_order_encode(struct buf *out, const struct scan_order *o)
{
    const uint64_t numbers[] = { o->number, o->keys_max, o->examined_max, o->bytes_max };
    const struct slice strings[] = { o->from, o->limit, o->pattern, o->behind };
    enum status st = append_u8(out, SCAN_FORMAT);

    if (st == ST_OK)
        st = append_u8(out, (uint8_t)flags_of(o));
    for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]) && st == ST_OK; i++)
        st = append_varint(out, numbers[i]);
    for (size_t i = 0; i < sizeof(strings) / sizeof(strings[0]) && st == ST_OK; i++)
        st = append_string(out, strings[i]);
    return st;
}

static void
take_flags(struct reader *in, struct scan_order *out)
{
    unsigned flags = read_u8(in);

    in->bad |= flags > FLAGS_ALL;
    *out = (struct scan_order){
        .first = (flags & FLAG_FIRST) != 0,
        .over = (flags & FLAG_OVER) != 0,
        .has_limit = (flags & FLAG_LIMIT) != 0,
        .after_from = (flags & FLAG_AFTER) != 0,
        .reverse = (flags & FLAG_REVERSE) != 0,
        .want_values = (flags & FLAG_VALUES) != 0,
        .goes_on = (flags & FLAG_GOES_ON) != 0,
    };
}

enum status
scan_order_decode(struct slice bytes, struct scan_order *out)
{
    struct reader in = reader_of(bytes);
    uint8_t format = read_u8(&in);
    enum status st = check_format(&in, format);
    uint64_t keys_max;

    if (st != ST_OK)
        return st;
    take_flags(&in, out);
    out->number = read_varint(&in);
    keys_max = read_varint(&in);
    out->keys_max = (uint32_t)keys_max;
    out->examined_max = read_varint(&in);
    out->bytes_max = read_varint(&in);
    out->from = read_string(&in);
    out->limit = read_string(&in);
    out->pattern = read_string(&in);
    out->behind = read_string(&in);
    if (in.bad || reader_left(&in) != 0 || keys_max > UINT32_MAX ||
        out->from.size > LIMIT_KEY_BYTES || out->limit.size > LIMIT_KEY_BYTES ||
        out->pattern.size > LIMIT_KEY_BYTES || out->behind.size > LIMIT_KEY_BYTES)
        return ST_CORRUPT;
    return out->over || (keys_max > 0 && out->examined_max > 0) ? ST_OK : ST_CORRUPT;
}

/* ------------------------------------------------------------------ what comes */

static enum status
encode_entry(struct buf *out, const struct entry *e)
{
    enum status st = append_string(out, e->key);

    if (st == ST_OK)
        st = append_string(out, e->value);
    if (st == ST_OK)
        st = append_varint(out, e->version);
    return st == ST_OK ? append_varint(out, e->expiry_ms) : st;
}

enum status
scan_harvest_encode(struct buf *out, const struct scan_harvest *h, const struct entry *entries)
{
    enum status st = append_u8(out, SCAN_FORMAT);

    if (st == ST_OK)
        st = append_u8(out, h->end ? HARVEST_END : 0);
    if (st == ST_OK)
        st = append_varint(out, h->examined);
    if (st == ST_OK)
        st = append_string(out, h->last);
    if (st == ST_OK)
        st = append_varint(out, h->count);
    for (uint32_t i = 0; i < h->count && st == ST_OK; i++)
        st = encode_entry(out, &entries[i]);
    return st;
}

enum status
scan_harvest_decode(struct slice bytes, struct scan_harvest *out, struct slice *rest)
{
    struct reader in = reader_of(bytes);
    uint8_t format = read_u8(&in);
    enum status st = check_format(&in, format);
    unsigned flags = read_u8(&in);
    uint64_t count;

    if (st != ST_OK)
        return st;
    *out = (struct scan_harvest){ .end = flags == HARVEST_END, .examined = read_varint(&in) };
    out->last = read_string(&in);
    count = read_varint(&in);
    out->count = (uint32_t)count;
    if (in.bad || flags > HARVEST_END || out->last.size > LIMIT_KEY_BYTES ||
        count > reader_left(&in) / ENTRY_BYTES_MIN || (count == 0 && reader_left(&in) != 0))
        return ST_CORRUPT;
    *rest = read_bytes(&in, reader_left(&in));
    return ST_OK;
}

enum status
scan_entry_decode(struct slice *rest, struct entry *out)
{
    struct reader in = reader_of(*rest);

    *out = (struct entry){ .type = ENTRY_VALUE };
    out->key = read_string(&in);
    out->value = read_string(&in);
    out->version = read_varint(&in);
    out->expiry_ms = read_varint(&in);
    if (in.bad || out->key.size > LIMIT_KEY_BYTES || out->value.size > LIMIT_VALUE_BYTES)
        return ST_CORRUPT;
    *rest = read_bytes(&in, reader_left(&in));
    return ST_OK;
}
