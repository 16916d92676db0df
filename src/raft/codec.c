#include "raft/codec.h"

#include <string.h>

#include "base/assert.h"
#include "base/coding.h"

enum { FLAG_REJECT = 1, FLAG_FORCE = 2, FLAG_QUIESCE = 4, FLAGS_ALL = 7 };

enum { FIELDS_MAX = 5, ENTRY_BYTES_MIN = 2 };

/* The fields of a kind, in their order on the wire; the one list for both directions. */
static uint32_t
fields_of(struct raft_message *m, uint64_t *fields[FIELDS_MAX])
{
    uint32_t n = 0;

    switch (m->kind) {
    case RAFT_PREVOTE:
    case RAFT_VOTE:
        fields[n++] = &m->index;
        fields[n++] = &m->log_term;
        break;
    case RAFT_APPEND:
        fields[n++] = &m->index;
        fields[n++] = &m->log_term;
        fields[n++] = &m->commit;
        fields[n++] = &m->flow.messages;
        fields[n++] = &m->flow.bytes;
        break;
    case RAFT_APPEND_REPLY:
        fields[n++] = &m->index;
        fields[n++] = &m->hint;
        fields[n++] = &m->hint_term;
        fields[n++] = &m->flow.messages;
        fields[n++] = &m->flow.bytes;
        break;
    case RAFT_HEARTBEAT:
        fields[n++] = &m->commit;
        fields[n++] = &m->round;
        fields[n++] = &m->sent_ns;
        break;
    case RAFT_HEARTBEAT_REPLY:
        fields[n++] = &m->round;
        fields[n++] = &m->sent_ns;
        break;
    case RAFT_PREVOTE_REPLY:
    case RAFT_VOTE_REPLY:
    case RAFT_TIMEOUT_NOW:
    case RAFT_MESSAGE_KIND_COUNT:
        break;
    }
    return n;
}

static uint8_t *
put_header(uint8_t *at, const struct raft_message *m)
{
    struct raft_message copy = *m;
    uint64_t *fields[FIELDS_MAX];
    uint32_t count = fields_of(&copy, fields);

    *at++ = RAFT_CODEC_FORMAT;
    *at++ = (uint8_t)m->kind;
    *at++ = (uint8_t)((m->reject ? FLAG_REJECT : 0) | (m->force ? FLAG_FORCE : 0) |
                      (m->quiesce ? FLAG_QUIESCE : 0));
    at = put_varint(at, m->term);
    for (uint32_t i = 0; i < count; i++)
        at = put_varint(at, *fields[i]);
    if (m->kind == RAFT_APPEND)
        at = put_varint(at, m->entry_count);
    return at;
}

static raft_term
term_before(const struct raft_message *m, uint32_t entry)
{
    return entry == 0 ? m->log_term : m->entries[entry - 1].term;
}

size_t
raft_message_bytes(const struct raft_message *m)
{
    uint8_t header[2 * RAFT_HEADER_BYTES_MAX];
    size_t size = (size_t)(put_header(header, m) - header);

    ASSERT(size <= RAFT_HEADER_BYTES_MAX);
    for (uint32_t i = 0; i < m->entry_count; i++) {
        const struct raft_entry *e = &m->entries[i];

        size += varint_size(e->term - term_before(m, i)) + varint_size(e->data.size) + e->data.size;
    }
    return size;
}

void
raft_message_encode(const struct raft_message *m, uint8_t *out)
{
    uint8_t *at = put_header(out, m);

    ASSERT(m->entry_count == 0 || m->kind == RAFT_APPEND);
    for (uint32_t i = 0; i < m->entry_count; i++) {
        const struct raft_entry *e = &m->entries[i];

        at = put_varint(at, e->term - term_before(m, i));
        at = put_varint(at, e->data.size);
        if (e->data.size > 0)
            memcpy(at, e->data.data, e->data.size);
        at += e->data.size;
    }
}

/* Everything but the entries themselves. */
static enum status
read_header(struct reader *r, struct raft_message *m)
{
    uint8_t format = read_u8(r);
    uint8_t kind = read_u8(r);
    uint8_t flags = read_u8(r);
    uint64_t *fields[FIELDS_MAX];
    uint32_t count;
    uint64_t entries = 0;

    if (r->bad || format != RAFT_CODEC_FORMAT)
        return !r->bad && format > RAFT_CODEC_FORMAT ? ST_INVALID : ST_CORRUPT;
    if (kind >= RAFT_MESSAGE_KIND_COUNT || (flags & ~FLAGS_ALL) != 0)
        return ST_CORRUPT;
    *m = (struct raft_message){ .kind = (enum raft_message_kind)kind,
                                .reject = (flags & FLAG_REJECT) != 0,
                                .force = (flags & FLAG_FORCE) != 0,
                                .quiesce = (flags & FLAG_QUIESCE) != 0 };
    m->term = read_varint(r);
    count = fields_of(m, fields);
    for (uint32_t i = 0; i < count; i++)
        *fields[i] = read_varint(r);
    if (m->kind == RAFT_APPEND)
        entries = read_varint(r);
    if (r->bad || entries > reader_left(r) / ENTRY_BYTES_MIN)
        return ST_CORRUPT;
    m->entry_count = (uint32_t)entries;
    return ST_OK;
}

uint32_t
raft_message_entry_count(struct slice bytes)
{
    struct reader r = reader_of(bytes);
    struct raft_message m;

    return read_header(&r, &m) == ST_OK ? m.entry_count : 0;
}

enum status
raft_message_decode(struct slice bytes, struct raft_message *out, struct raft_entry *entries,
                    uint32_t entry_max)
{
    struct reader r = reader_of(bytes);
    struct raft_message m;
    enum status st = read_header(&r, &m);
    raft_term term;

    if (st != ST_OK)
        return st;
    if (m.entry_count > entry_max)
        return ST_TOO_BIG;
    term = m.log_term;
    for (uint32_t i = 0; i < m.entry_count; i++) {
        uint64_t more = read_varint(&r);

        if (more > UINT64_MAX - term)
            return ST_CORRUPT;
        term += more;
        entries[i] = (struct raft_entry){ .term = term, .data = read_string(&r) };
    }
    if (r.bad || reader_left(&r) != 0)
        return ST_CORRUPT;
    m.entries = entries;
    *out = m;
    return ST_OK;
}
