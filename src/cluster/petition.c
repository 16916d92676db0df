#include "cluster/petition.h"

#include "base/hash.h"

enum { PETITION_FORMAT = 1, MAGIC_BYTES = 8 };

static const char magic[] = "DKVENTER";

/* ------------------------------------------------------------------ parcels */

bool
cluster_id_is_none(const uint8_t id[CLUSTER_ID_BYTES])
{
    static const uint8_t none[CLUSTER_ID_BYTES];

    return memcmp(id, none, CLUSTER_ID_BYTES) == 0;
}

static enum status
begin_parcel(struct buf *out)
{
    enum status st = buf_append(out, slice_of(magic, MAGIC_BYTES));

    return st == ST_OK ? append_u32(out, 0) : st;
}

/* The size is known now.  A parcel that failed leaves nothing behind. */
static enum status
end_parcel(struct buf *out, size_t begin, enum status st)
{
    if (st == ST_OK) {
        put_u32le(out->data + begin + MAGIC_BYTES,
                  (uint32_t)(out->size - begin - PARCEL_HEAD_BYTES));
        st = append_u64(out, hash64(slice_of(out->data + begin, out->size - begin)));
    }
    if (st != ST_OK)
        out->size = begin;
    return st;
}

enum status
parcel_open(struct slice bytes, size_t body_max, size_t *size, struct slice *body, struct err *err)
{
    size_t known = bytes.size < MAGIC_BYTES ? bytes.size : MAGIC_BYTES;
    size_t told, checked;

    *size = 0;
    if (known > 0 && memcmp(bytes.data, magic, known) != 0)
        return err_raise(err, ST_CORRUPT, "it does not speak our protocol");
    if (bytes.size < PARCEL_HEAD_BYTES)
        return ST_OK;
    told = get_u32le(bytes.data + MAGIC_BYTES);
    if (told > body_max)
        return err_raise(err, ST_CORRUPT, "a message of %zu bytes, of at most %zu", told, body_max);
    checked = PARCEL_HEAD_BYTES + told;
    if (bytes.size < checked + PARCEL_TAIL_BYTES)
        return ST_OK;
    if (get_u64le(bytes.data + checked) != hash64(slice_of(bytes.data, checked)))
        return err_raise(err, ST_CORRUPT, "its message is damaged");
    *size = checked + PARCEL_TAIL_BYTES;
    *body = slice_of(bytes.data + PARCEL_HEAD_BYTES, told);
    return ST_OK;
}

/* ------------------------------------------------------------------ petitions */

static enum status
append_record(struct buf *out, const struct node_record *node)
{
    struct record r = { .kind = RECORD_NODE, .as.node = *node };
    struct buf value = buf_empty(RECORD_VALUE_BYTES_MAX);
    enum status st = record_encode(&r, &value);

    if (st == ST_OK)
        st = append_string(out, buf_slice(&value));
    buf_release(&value);
    return st;
}

enum status
petition_encode(const struct petition *p, struct buf *out)
{
    size_t begin = out->size;
    enum status st = begin_parcel(out);

    if (st == ST_OK)
        st = append_u8(out, PETITION_FORMAT);
    if (st == ST_OK)
        st = buf_append(out, slice_of(p->cluster, CLUSTER_ID_BYTES));
    if (st == ST_OK)
        st = append_u64(out, p->node.id);
    if (st == ST_OK)
        st = append_u64(out, p->wall_ms);
    if (st == ST_OK)
        st = append_record(out, &p->node);
    return end_parcel(out, begin, st);
}

static enum status
check_format(struct reader *r, struct err *err)
{
    uint8_t format = read_u8(r);

    if (!r->bad && format > PETITION_FORMAT)
        return err_raise(err, ST_INVALID, "it speaks format %u, and this program %d", format,
                         PETITION_FORMAT);
    if (format == 0)
        return err_raise(err, ST_CORRUPT, "it does not say which format it speaks");
    return ST_OK;
}

enum status
petition_decode(struct slice body, struct petition *out, struct err *err)
{
    struct reader r = reader_of(body);
    enum status st = check_format(&r, err);
    struct record_key key = { .kind = RECORD_NODE };
    struct record record;
    struct slice cluster, value;

    if (st != ST_OK)
        return st;
    cluster = read_bytes(&r, CLUSTER_ID_BYTES);
    key.id = read_u64(&r);
    out->wall_ms = read_u64(&r);
    value = read_string(&r);
    if (r.bad || reader_left(&r) != 0)
        return err_raise(err, ST_CORRUPT, "its petition cannot be read");
    st = record_decode(&key, value, &record, err);
    if (st != ST_OK)
        return st;
    memcpy(out->cluster, cluster.data, CLUSTER_ID_BYTES);
    out->node = record.as.node;
    return ST_OK;
}

/* ------------------------------------------------------------------ verdicts */

enum status
verdict_encode(const struct verdict *v, struct buf *out)
{
    size_t begin = out->size;
    enum status st = begin_parcel(out);

    if (st == ST_OK)
        st = append_u8(out, PETITION_FORMAT);
    if (st == ST_OK)
        st = append_u8(out, (uint8_t)v->kind);
    if (st == ST_OK)
        st = buf_append(out, slice_of(v->cluster, CLUSTER_ID_BYTES));
    if (st == ST_OK)
        st = append_string(out, v->text);
    if (st == ST_OK)
        st = append_string(out, v->feed);
    return end_parcel(out, begin, st);
}

enum status
verdict_decode(struct slice body, struct verdict *out, struct err *err)
{
    struct reader r = reader_of(body);
    enum status st = check_format(&r, err);
    struct slice cluster;
    uint8_t kind;

    if (st != ST_OK)
        return st;
    kind = read_u8(&r);
    cluster = read_bytes(&r, CLUSTER_ID_BYTES);
    out->text = read_string(&r);
    out->feed = read_string(&r);
    if (r.bad || reader_left(&r) != 0 || kind < VERDICT_TOLD || kind > VERDICT_REFUSED ||
        out->text.size > VERDICT_TEXT_MAX)
        return err_raise(err, ST_CORRUPT, "its verdict cannot be read");
    out->kind = (enum verdict_kind)kind;
    memcpy(out->cluster, cluster.data, CLUSTER_ID_BYTES);
    return ST_OK;
}
