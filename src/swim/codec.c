#include "swim/codec.h"

#include <string.h>

#include "base/assert.h"
#include "base/coding.h"

enum { SAYS_ALIVE, SAYS_ACCUSED };

enum { FIELDS_MAX = 2 };

_Static_assert(8 + 9 + 1 + 5 + 1 + SWIM_ACCUSERS_MAX * 8 <= SWIM_UPDATE_BYTES_MAX,
               "the longer kind of update decides");

/* The fields of a kind, in their order on the wire; the one list for both directions. */
static uint32_t
fields_of(struct swim_message *m, swim_id *fields[FIELDS_MAX])
{
    uint32_t n = 0;

    if (m->kind != SWIM_PING)
        fields[n++] = &m->subject;
    if (m->kind != SWIM_PING_REQ)
        fields[n++] = &m->origin;
    return n;
}

static uint8_t *
put_id(uint8_t *at, swim_id id)
{
    put_u64le(at, id);
    return at + sizeof(id);
}

static uint8_t *
put_update(uint8_t *at, const struct swim_update *u)
{
    at = put_id(at, u->id);
    at = put_varint(at, u->incarnation);
    *at++ = u->accused ? SAYS_ACCUSED : SAYS_ALIVE;
    if (u->accused) {
        at = put_varint(at, u->age_ms);
        *at++ = (uint8_t)u->accuser_count;
        for (uint32_t i = 0; i < u->accuser_count; i++)
            at = put_id(at, u->accusers[i]);
        return at;
    }
    at = put_varint(at, u->payload.sequence);
    at = put_varint(at, u->payload.size);
    memcpy(at, u->payload.bytes, u->payload.size);
    return at + u->payload.size;
}

size_t
swim_message_encode(const struct swim_message *m, uint8_t out[SWIM_MESSAGE_BYTES_MAX])
{
    struct swim_message copy = *m;
    swim_id *fields[FIELDS_MAX];
    uint32_t count = fields_of(&copy, fields);
    uint8_t *at = out;

    *at++ = SWIM_CODEC_FORMAT;
    *at++ = (uint8_t)m->kind;
    at = put_varint(at, m->probe);
    for (uint32_t i = 0; i < count; i++)
        at = put_id(at, *fields[i]);
    *at++ = (uint8_t)m->update_count;
    for (uint32_t i = 0; i < m->update_count; i++)
        at = put_update(at, &m->updates[i]);
    ASSERT(at - out <= SWIM_MESSAGE_BYTES_MAX);
    return (size_t)(at - out);
}

/* False: nobody. */
static bool
read_id(struct reader *r, swim_id *out)
{
    *out = read_u64(r);
    return *out != 0;
}

static bool
read_accusation(struct reader *r, struct swim_update *u)
{
    uint64_t age_ms = read_varint(r);

    u->accused = true;
    u->age_ms = (uint32_t)age_ms;
    u->accuser_count = read_u8(r);
    if (age_ms > UINT32_MAX || u->accuser_count == 0 || u->accuser_count > SWIM_ACCUSERS_MAX)
        return false;
    for (uint32_t i = 0; i < u->accuser_count; i++) {
        if (!read_id(r, &u->accusers[i]))
            return false;
    }
    return true;
}

static bool
read_alive(struct reader *r, struct swim_update *u)
{
    struct slice payload;

    u->payload.sequence = read_varint(r);
    payload = read_string(r);
    if (r->bad || u->payload.sequence > SWIM_INCARNATION_MAX || payload.size > SWIM_PAYLOAD_BYTES)
        return false;
    u->payload.size = (uint32_t)payload.size;
    if (payload.size > 0)
        memcpy(u->payload.bytes, payload.data, payload.size);
    return true;
}

static bool
read_update(struct reader *r, struct swim_update *u)
{
    uint8_t says;

    memset(u, 0, sizeof(*u));
    if (!read_id(r, &u->id))
        return false;
    u->incarnation = read_varint(r);
    says = read_u8(r);
    if (u->incarnation > SWIM_INCARNATION_MAX || says > SAYS_ACCUSED)
        return false;
    return says == SAYS_ACCUSED ? read_accusation(r, u) : read_alive(r, u);
}

enum status
swim_message_decode(struct slice bytes, struct swim_message *out)
{
    struct reader r = reader_of(bytes);
    uint8_t format = read_u8(&r);
    uint8_t kind = read_u8(&r);
    swim_id *fields[FIELDS_MAX];
    struct swim_message m;
    uint32_t count;

    if (r.bad || format != SWIM_CODEC_FORMAT)
        return !r.bad && format > SWIM_CODEC_FORMAT ? ST_INVALID : ST_CORRUPT;
    if (kind >= SWIM_MESSAGE_KIND_COUNT)
        return ST_CORRUPT;
    memset(&m, 0, sizeof(m));
    m.kind = (enum swim_message_kind)kind;
    m.probe = read_varint(&r);
    count = fields_of(&m, fields);
    for (uint32_t i = 0; i < count; i++) {
        if (!read_id(&r, fields[i]))
            return ST_CORRUPT;
    }
    m.update_count = read_u8(&r);
    if (m.update_count > SWIM_UPDATES_MAX)
        return ST_CORRUPT;
    for (uint32_t i = 0; i < m.update_count; i++) {
        if (!read_update(&r, &m.updates[i]))
            return ST_CORRUPT;
    }
    if (r.bad || reader_left(&r) != 0)
        return ST_CORRUPT;
    *out = m;
    return ST_OK;
}
