/*
 * What is empty or zero is not written, and a reader refuses it when it is: so each request has one
 * form.  Signed numbers are folded (0, -1, 1, -2 ..) so that small ones are short.
 *
 * The counts come first, that whoever reads can make room at once; neither can be larger than the bytes
 * that follow allow.
 */
#include "tablet/request_codec.h"

#include "base/coding.h"
#include "base/limits.h"

enum { FLAG_ORDERED = 1, FLAG_ADMIN = 2, FLAG_IDENTITY = 4, FLAGS_ALL = 7 };

enum op_part {
    OP_KEY2 = 1,
    OP_VALUE = 2,
    OP_NUMBER = 4,
    OP_NUMBER2 = 8,
    OP_EXPIRY = 16,
    OP_PARTS_ALL = 31,
};

enum result_part {
    RESULT_OLD_MISSING = 1,
    RESULT_TOMBSTONE = 2,
    RESULT_VERSION = 4,
    RESULT_INTEGER = 8,
    RESULT_EXPIRY = 16,
    RESULT_VALUE = 32,
    RESULT_PARTS_ALL = 63,
};

enum { OP_FLAGS_LIMIT = 2 * OPF_HAS_EXPIRY, PRECONDITION_BYTES_MIN = 2 };

/* ------------------------------------------------------------------ writing */

/* Without a place to write it only counts. */
struct pen {
    uint8_t *at;
    size_t size;
};

static struct pen
pen_at(uint8_t *at)
{
    return (struct pen){ at, 0 };
}

static void
write_u8(struct pen *p, unsigned v)
{
    if (p->at != NULL)
        p->at[p->size] = (uint8_t)v;
    p->size++;
}

static void
write_varint(struct pen *p, uint64_t v)
{
    if (p->at != NULL)
        (void)put_varint(p->at + p->size, v);
    p->size += varint_size(v);
}

static void
write_u64(struct pen *p, uint64_t v)
{
    if (p->at != NULL)
        put_u64le(p->at + p->size, v);
    p->size += sizeof(v);
}

static void
write_string(struct pen *p, struct slice s)
{
    write_varint(p, s.size);
    if (p->at != NULL && s.size > 0)
        memcpy(p->at + p->size, s.data, s.size);
    p->size += s.size;
}

static uint64_t
fold(int64_t v)
{
    return ((uint64_t)v << 1) ^ (v < 0 ? UINT64_MAX : 0);
}

static int64_t
unfold(uint64_t v)
{
    return (int64_t)((v >> 1) ^ ((v & 1) != 0 ? UINT64_MAX : 0));
}

/* ------------------------------------------------------------------ reading */

/* It was said to be there, so it is not zero. */
static uint64_t
read_nonzero(struct reader *in)
{
    uint64_t v = read_varint(in);

    in->bad |= v == 0;
    return v;
}

static struct slice
read_nonempty(struct reader *in, size_t max)
{
    struct slice s = read_string(in);

    in->bad |= s.size == 0 || s.size > max;
    return s;
}

static unsigned
read_below(struct reader *in, unsigned limit)
{
    unsigned v = read_u8(in);

    in->bad |= v >= limit;
    return v;
}

static enum status
read_format(struct reader *in)
{
    uint8_t format = read_u8(in);

    if (in->bad || format == 0)
        return ST_CORRUPT;
    return format > REQUEST_CODEC_FORMAT ? ST_INVALID : ST_OK;
}

static enum status
read_all(const struct reader *in)
{
    return in->bad || reader_left(in) != 0 ? ST_CORRUPT : ST_OK;
}

/* ------------------------------------------------------------------ operations */

static unsigned
op_parts(const struct op *op)
{
    return (op->key2.size > 0 ? OP_KEY2 : 0u) | (op->value.size > 0 ? OP_VALUE : 0u) |
           (op->number != 0 ? OP_NUMBER : 0u) | (op->number2 != 0 ? OP_NUMBER2 : 0u) |
           (op->expiry_ms != 0 ? OP_EXPIRY : 0u);
}

static void
write_op(struct pen *p, const struct op *op)
{
    unsigned parts = op_parts(op);

    write_u8(p, op->kind);
    write_u8(p, op->flags);
    write_u8(p, parts);
    write_string(p, op->key);
    if ((parts & OP_KEY2) != 0)
        write_string(p, op->key2);
    if ((parts & OP_VALUE) != 0)
        write_string(p, op->value);
    if ((parts & OP_NUMBER) != 0)
        write_varint(p, fold(op->number));
    if ((parts & OP_NUMBER2) != 0)
        write_varint(p, fold(op->number2));
    if ((parts & OP_EXPIRY) != 0)
        write_varint(p, op->expiry_ms);
}

static void
read_op(struct reader *in, struct op *op)
{
    unsigned parts;

    *op = (struct op){ .kind = (enum op_kind)read_below(in, OP_KIND_COUNT) };
    op->flags = read_below(in, OP_FLAGS_LIMIT);
    parts = read_below(in, OP_PARTS_ALL + 1);
    op->key = read_string(in);
    in->bad |= op->key.size > LIMIT_KEY_BYTES;
    if ((parts & OP_KEY2) != 0)
        op->key2 = read_nonempty(in, LIMIT_KEY_BYTES);
    if ((parts & OP_VALUE) != 0)
        op->value = read_nonempty(in, LIMIT_VALUE_BYTES);
    if ((parts & OP_NUMBER) != 0)
        op->number = unfold(read_nonzero(in));
    if ((parts & OP_NUMBER2) != 0)
        op->number2 = unfold(read_nonzero(in));
    if ((parts & OP_EXPIRY) != 0)
        op->expiry_ms = read_nonzero(in);
}

/* ------------------------------------------------------------------ requests */

size_t
request_encode(uint8_t *at, const struct request *r, const struct request_envelope *e)
{
    bool identity = r->client_id != 0;
    struct pen p = pen_at(at);

    write_u8(&p, REQUEST_CODEC_FORMAT);
    write_varint(&p, r->op_count);
    write_varint(&p, r->precondition_count);
    write_u8(&p, (r->ordered ? FLAG_ORDERED : 0u) | (r->admin ? FLAG_ADMIN : 0u) |
                     (identity ? FLAG_IDENTITY : 0u));
    write_u8(&p, r->durability);
    write_u8(&p, r->kind);
    write_varint(&p, r->keyspace);
    write_u64(&p, e->tablet);
    write_varint(&p, r->edition);
    write_varint(&p, r->term);
    write_varint(&p, e->left_us < REQUEST_LEFT_US_MAX ? e->left_us : REQUEST_LEFT_US_MAX);
    write_varint(&p, r->origin);
    write_varint(&p, r->result_bytes_max);
    if (identity) {
        write_varint(&p, r->client_id);
        write_varint(&p, r->sequence);
    }
    for (uint32_t i = 0; i < r->precondition_count; i++) {
        write_string(&p, r->preconditions[i].key);
        write_varint(&p, r->preconditions[i].version);
    }
    for (uint32_t i = 0; i < r->op_count; i++)
        write_op(&p, &r->ops[i]);
    return p.size;
}

static enum status
read_sizes(struct reader *in, struct request_sizes *out)
{
    enum status st = read_format(in);
    uint64_t ops = read_varint(in);
    uint64_t preconditions = read_varint(in);

    if (st != ST_OK)
        return st;
    if (in->bad || ops > LIMIT_REQUEST_OPS || preconditions > LIMIT_REQUEST_OPS ||
        ops * REQUEST_OP_BYTES_MIN + preconditions * PRECONDITION_BYTES_MIN > reader_left(in))
        return ST_CORRUPT;
    *out = (struct request_sizes){ (uint32_t)ops, (uint32_t)preconditions };
    return ST_OK;
}

enum status
request_measure(struct slice bytes, struct request_sizes *out)
{
    struct reader in = reader_of(bytes);

    return read_sizes(&in, out);
}

static void
read_head(struct reader *in, struct request *r, struct request_envelope *e)
{
    unsigned flags = read_below(in, FLAGS_ALL + 1);
    uint64_t keyspace;

    r->ordered = (flags & FLAG_ORDERED) != 0;
    r->admin = (flags & FLAG_ADMIN) != 0;
    r->durability = (enum durability)read_below(in, DURABILITY_COUNT);
    r->kind = (enum request_kind)read_below(in, REQUEST_KINDS);
    keyspace = read_varint(in);
    r->keyspace = (uint32_t)keyspace;
    e->tablet = read_u64(in);
    r->edition = read_varint(in);
    r->term = read_varint(in);
    e->left_us = read_varint(in);
    r->origin = read_varint(in);
    r->result_bytes_max = read_varint(in);
    in->bad |= keyspace > UINT32_MAX || e->left_us > REQUEST_LEFT_US_MAX;
    if ((flags & FLAG_IDENTITY) != 0) {
        r->client_id = read_nonzero(in);
        r->sequence = read_varint(in);
    }
}

enum status
request_decode(struct slice bytes, struct request *r, struct op *ops,
               struct precondition *preconditions, struct request_envelope *e)
{
    struct reader in = reader_of(bytes);
    struct request_sizes sizes;
    enum status st = read_sizes(&in, &sizes);

    if (st != ST_OK)
        return st;
    *r = (struct request){ .ops = ops,
                           .op_count = sizes.ops,
                           .preconditions = preconditions,
                           .precondition_count = sizes.preconditions };
    read_head(&in, r, e);
    for (uint32_t i = 0; i < sizes.preconditions && !in.bad; i++) {
        preconditions[i].key = read_string(&in);
        preconditions[i].version = read_varint(&in);
        in.bad |= preconditions[i].key.size > LIMIT_KEY_BYTES;
    }
    for (uint32_t i = 0; i < sizes.ops && !in.bad; i++)
        read_op(&in, &ops[i]);
    return read_all(&in);
}

/* ------------------------------------------------------------------ answers */

static unsigned
result_parts(const struct op_result *result)
{
    return (result->old_missing ? RESULT_OLD_MISSING : 0u) |
           (result->was_tombstone ? RESULT_TOMBSTONE : 0u) |
           (result->version != 0 ? RESULT_VERSION : 0u) |
           (result->integer != 0 ? RESULT_INTEGER : 0u) |
           (result->expiry_ms != 0 ? RESULT_EXPIRY : 0u) |
           (result->value.size > 0 ? RESULT_VALUE : 0u);
}

static void
write_result(struct pen *p, const struct op_result *result)
{
    unsigned parts = result_parts(result);

    write_u8(p, result->code);
    write_u8(p, parts);
    if ((parts & RESULT_VERSION) != 0)
        write_varint(p, result->version);
    if ((parts & RESULT_INTEGER) != 0)
        write_varint(p, fold(result->integer));
    if ((parts & RESULT_EXPIRY) != 0)
        write_varint(p, result->expiry_ms);
    if ((parts & RESULT_VALUE) != 0)
        write_string(p, result->value);
}

static void
read_result(struct reader *in, struct op_result *result)
{
    enum op_code code = (enum op_code)read_below(in, OP_CODE_COUNT);
    unsigned parts = read_below(in, RESULT_PARTS_ALL + 1);

    *result = (struct op_result){ .code = code,
                                  .old_missing = (parts & RESULT_OLD_MISSING) != 0,
                                  .was_tombstone = (parts & RESULT_TOMBSTONE) != 0 };
    if ((parts & RESULT_VERSION) != 0)
        result->version = read_nonzero(in);
    if ((parts & RESULT_INTEGER) != 0)
        result->integer = unfold(read_nonzero(in));
    if ((parts & RESULT_EXPIRY) != 0)
        result->expiry_ms = read_nonzero(in);
    if ((parts & RESULT_VALUE) != 0)
        result->value = read_nonempty(in, LIMIT_RECORD_BYTES); /* a piece of a scan is one value */
}

size_t
answer_encode(uint8_t *at, const struct request *r)
{
    bool failed = r->status != ST_OK;
    struct pen p = pen_at(at);

    write_u8(&p, REQUEST_CODEC_FORMAT);
    write_u8(&p, r->status);
    write_varint(&p, failed ? r->leader : 0);
    write_varint(&p, failed ? r->leader_term : 0);
    write_string(&p, failed ? slice_str(r->err.text) : (struct slice){ 0 });
    for (uint32_t i = 0; i < r->op_count && !failed; i++)
        write_result(&p, &r->results[i]);
    return p.size;
}

static void
tell_err(struct request *r, enum status st, struct slice text)
{
    r->err.text[0] = '\0';
    if (text.size > 0)
        st = err_raise(&r->err, st, "%.*s", (int)text.size, (const char *)text.data);
    r->err.code = st;
}

enum status
answer_decode(struct slice bytes, struct request *r)
{
    struct reader in = reader_of(bytes);
    enum status st = read_format(&in);
    enum status status = (enum status)read_below(&in, ST_STATUS_COUNT);
    uint64_t leader = read_varint(&in);
    uint64_t term = read_varint(&in);
    struct slice text = read_string(&in);

    if (st != ST_OK)
        return st;
    in.bad |= text.size >= ERR_TEXT_MAX ||
              (text.size > 0 && memchr(text.data, '\0', text.size) != NULL) ||
              (status == ST_OK && (leader != 0 || term != 0 || text.size > 0));
    for (uint32_t i = 0; i < r->op_count && status == ST_OK && !in.bad; i++)
        read_result(&in, &r->results[i]);
    st = read_all(&in);
    if (st != ST_OK)
        return st;
    r->status = status;
    r->leader = leader;
    r->leader_term = term;
    tell_err(r, status, text);
    return ST_OK;
}
