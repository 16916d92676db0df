#include "engine/body.h"

#include "base/assert.h"
#include "base/coding.h"
#include "base/limits.h"

enum {
    ENTRY_BYTES_MIN = 2, /* type, and a key's length */
    HEAD_BYTES_MAX = BODY_SMALL_MAX + 2 * VARINT_BYTES_MAX + SCOPE_BYTES_MAX,
};

static bool
has_value(const struct entry *e)
{
    return e->type == ENTRY_VALUE;
}

size_t
body_batch_size(const struct body *b, const struct entry *entries, size_t count)
{
    size_t size = 2 + varint_size(b->version) + varint_size(b->lag) + varint_size(count);

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

static uint8_t *
put_start(uint8_t *at, enum body_kind kind, const struct body *b)
{
    *at++ = kind == BODY_SPLIT ? BODY_FORMAT_SPLIT : BODY_FORMAT;
    *at++ = (uint8_t)kind;
    at = put_varint(at, b->version);
    return put_varint(at, b->lag);
}

void
body_encode_batch(uint8_t *at, const struct body *b, struct entry *entries, size_t count)
{
    at = put_start(at, BODY_BATCH, b);
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

/* ------------------------------------------------------------------ memberships */

static uint8_t *
put_ids(uint8_t *at, const raft_id *ids, uint32_t count)
{
    *at++ = (uint8_t)count;
    for (uint32_t i = 0; i < count; i++)
        at = put_varint(at, ids[i]);
    return at;
}

static uint8_t *
put_config(uint8_t *at, const struct raft_config *c)
{
    at = put_ids(at, c->voters, c->voter_count);
    at = put_ids(at, c->outgoing, c->outgoing_count);
    return put_ids(at, c->learners, c->learner_count);
}

static uint32_t
read_ids(struct reader *r, raft_id *ids, uint32_t max)
{
    uint32_t count = read_u8(r);

    if (count > max)
        r->bad = true;
    for (uint32_t i = 0; i < count && !r->bad; i++)
        ids[i] = read_varint(r);
    return count;
}

static void
read_config(struct reader *r, struct raft_config *c)
{
    *c = (struct raft_config){ 0 };
    c->voter_count = read_ids(r, c->voters, RAFT_VOTERS_MAX);
    c->outgoing_count = read_ids(r, c->outgoing, RAFT_VOTERS_MAX);
    c->learner_count = read_ids(r, c->learners, RAFT_MEMBERS_MAX);
    if (!r->bad && !raft_config_is_valid(c))
        r->bad = true;
}

/* ------------------------------------------------------------------ splits */

static uint8_t *
put_split(uint8_t *at, const struct split *s)
{
    put_u64le(at, s->heir);
    at += sizeof(s->heir);
    *at++ = (uint8_t)s->kind;
    *at++ = s->at.size;
    memcpy(at, s->at.bytes, s->at.size);
    return at + s->at.size;
}

static void
read_split(struct reader *r, struct split *s)
{
    uint8_t kind;

    s->heir = read_u64(r);
    kind = read_u8(r);
    if (!scope_bound_set(&s->at, read_string(r)) || s->heir == 0 || s->at.size == 0 ||
        (kind != SCOPE_SLOTS && kind != SCOPE_KEYS))
        r->bad = true;
    else
        s->kind = (enum scope_kind)kind;
}

/* ------------------------------------------------------------------ the other kinds */

static bool
has_ceiling(enum body_kind kind)
{
    return kind == BODY_TERM || kind == BODY_CEILING;
}

size_t
body_encode_small(uint8_t *out, const struct body *b, const struct raft_config *config)
{
    uint8_t *at = put_start(out, b->kind, b);

    ASSERT(b->kind != BODY_BATCH);
    if (has_ceiling(b->kind))
        at = put_varint(at, b->ceiling_ms);
    if (b->kind == BODY_CONFIG)
        at = put_config(at, config);
    if (b->kind == BODY_SPLIT)
        at = put_split(at, &b->split);
    ASSERT(at - out <= BODY_SMALL_MAX);
    return (size_t)(at - out);
}

static void
read_batch(struct reader *r, struct body *b)
{
    uint64_t count = read_varint(r);

    if (count > reader_left(r) / ENTRY_BYTES_MIN) {
        r->bad = true;
        return;
    }
    b->entry_count = (uint32_t)count;
    b->rest = read_bytes(r, reader_left(r));
}

static void
read_config_body(struct reader *r, struct body *b)
{
    struct reader copy = *r;
    struct raft_config config;

    read_config(&copy, &config);
    r->bad |= copy.bad;
    b->rest = read_bytes(r, reader_left(r) - reader_left(&copy));
}

void
body_config(const struct body *body, struct raft_config *out)
{
    struct reader r = reader_of(body->rest);

    ASSERT(body->kind == BODY_CONFIG);
    read_config(&r, out);
    ASSERT(!r.bad);
}

bool
body_is_of_head(struct slice bytes)
{
    return bytes.size > 1 && (bytes.data[1] == BODY_CONFIG || bytes.data[1] == BODY_SPLIT);
}

enum status
body_decode(struct slice bytes, struct body *out)
{
    struct reader r = reader_of(bytes);
    struct body b = { 0 };
    uint8_t format = read_u8(&r);
    uint8_t kind = read_u8(&r);

    if (r.bad)
        return ST_CORRUPT;
    if (format != BODY_FORMAT && format != BODY_FORMAT_SPLIT)
        return ST_INVALID;
    if (kind < BODY_BATCH || kind > BODY_SPLIT ||
        (kind == BODY_SPLIT) != (format == BODY_FORMAT_SPLIT))
        return ST_CORRUPT;
    b.kind = (enum body_kind)kind;
    b.version = read_varint(&r);
    b.lag = read_varint(&r);
    if (has_ceiling(b.kind))
        b.ceiling_ms = read_varint(&r);
    if (b.kind == BODY_CONFIG)
        read_config_body(&r, &b);
    if (b.kind == BODY_BATCH)
        read_batch(&r, &b);
    if (b.kind == BODY_SPLIT)
        read_split(&r, &b.split);
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
    struct reader r = reader_of(body->rest);

    for (uint32_t i = 0; i < body->entry_count; i++) {
        read_entry(&r, body->version, &entries[i]);
        if (r.bad)
            return ST_CORRUPT;
    }
    return reader_left(&r) == 0 ? ST_OK : ST_CORRUPT;
}

static void
read_scope_of(struct reader *r, struct head *h)
{
    h->scope_index = read_varint(r);
    h->scope_version = read_varint(r);
    read_scope(r, &h->scope);
    if (h->scope_index == 0 || h->scope_version > VERSION_MAX)
        r->bad = true;
}

enum status
head_encode(const struct head *head, struct buf *out)
{
    uint8_t bytes[HEAD_BYTES_MAX];
    uint8_t *at = bytes;

    *at++ = head->scope_index == 0 ? BODY_FORMAT : BODY_FORMAT_SPLIT;
    at = put_varint(at, head->hard.term);
    at = put_varint(at, head->hard.vote);
    at = put_varint(at, head->commit);
    at = put_varint(at, head->ceiling_ms);
    at = put_varint(at, head->config_index);
    at = put_config(at, &head->config);
    if (head->scope_index != 0) {
        at = put_varint(at, head->scope_index);
        at = put_varint(at, head->scope_version);
        at = put_scope(at, &head->scope);
    }
    ASSERT(at - bytes <= HEAD_BYTES_MAX);
    return buf_append(out, slice_of(bytes, (size_t)(at - bytes)));
}

enum status
head_decode(struct slice bytes, struct head *out)
{
    struct reader r = reader_of(bytes);
    struct head h = { 0 };
    uint8_t format = read_u8(&r);

    if (r.bad || (format != BODY_FORMAT && format != BODY_FORMAT_SPLIT))
        return r.bad ? ST_CORRUPT : ST_INVALID;
    h.hard.term = read_varint(&r);
    h.hard.vote = read_varint(&r);
    h.commit = read_varint(&r);
    h.ceiling_ms = read_varint(&r);
    h.config_index = read_varint(&r);
    read_config(&r, &h.config);
    if (format == BODY_FORMAT_SPLIT)
        read_scope_of(&r, &h);
    if (r.bad || reader_left(&r) != 0)
        return ST_CORRUPT;
    *out = h;
    return ST_OK;
}
