#include "tablet/dedup.h"

#include "base/assert.h"
#include "base/coding.h"
#include "base/limits.h"

enum { DEDUP_FORMAT = 1 };

/* Stored; values are for ever. */
enum outcome { OUTCOME_DONE = 0, OUTCOME_CONFLICT = 1, OUTCOME_NOT_KEPT = 2, OUTCOME_COUNT };

enum parts {
    PART_OLD_MISSING = 1 << 0,
    PART_TOMBSTONE = 1 << 1,
    PART_OWN_VERSION = 1 << 2,
    PART_VERSION = 1 << 3,
    PART_INTEGER = 1 << 4,
    PART_EXPIRY = 1 << 5,
    PART_VALUE = 1 << 6,
    PART_UNKNOWN = 1 << 7,
};

bool
dedup_concerns(const struct request *r)
{
    return r->client_id != 0 && request_writes(r);
}

enum status
dedup_check(const struct request *r, struct err *err)
{
    if (r->sequence == 0)
        return err_raise(err, ST_INVALID, "the writes of a client are numbered from 1");
    for (uint32_t i = 0; i < r->op_count; i++) {
        if (r->ops[i].kind == OP_CLEAR) {
            return err_raise(err, ST_INVALID,
                             "a clear cannot have a client's identity: it wipes what would be kept "
                             "of it");
        }
    }
    return ST_OK;
}

struct slice
dedup_key(const struct request *r, uint8_t room[DEDUP_KEY_BYTES])
{
    uint64_t id = __builtin_bswap64(r->client_id);

    memcpy(room, &id, sizeof(id));
    return slice_of(room, sizeof(id));
}

/* ------------------------------------------------------------------ encoding */

static unsigned
parts_of(const struct op_result *result, version_t version)
{
    unsigned parts = 0;

    if (result->old_missing)
        parts |= PART_OLD_MISSING;
    if (result->was_tombstone)
        parts |= PART_TOMBSTONE;
    if (result->version != 0)
        parts |= result->version == version ? PART_OWN_VERSION : PART_VERSION;
    if (result->integer != 0)
        parts |= PART_INTEGER;
    if (result->expiry_ms != 0)
        parts |= PART_EXPIRY;
    if (result->value.size > 0)
        parts |= PART_VALUE;
    return parts;
}

static size_t
result_size(const struct op_result *result, version_t version)
{
    unsigned parts = parts_of(result, version);
    size_t size = 2;

    if ((parts & PART_VERSION) != 0)
        size += varint_size(result->version);
    if ((parts & PART_INTEGER) != 0)
        size += varint_size((uint64_t)result->integer);
    if ((parts & PART_EXPIRY) != 0)
        size += varint_size(result->expiry_ms);
    if ((parts & PART_VALUE) != 0)
        size += varint_size(result->value.size) + result->value.size;
    return size;
}

static uint8_t *
put_result(uint8_t *at, const struct op_result *result, version_t version)
{
    unsigned parts = parts_of(result, version);

    *at++ = (uint8_t)result->code;
    *at++ = (uint8_t)parts;
    if ((parts & PART_VERSION) != 0)
        at = put_varint(at, result->version);
    if ((parts & PART_INTEGER) != 0)
        at = put_varint(at, (uint64_t)result->integer);
    if ((parts & PART_EXPIRY) != 0)
        at = put_varint(at, result->expiry_ms);
    if ((parts & PART_VALUE) == 0)
        return at;
    at = put_varint(at, result->value.size);
    memcpy(at, result->value.data, result->value.size);
    return at + result->value.size;
}

/* Of all results; beyond LIMIT_DEDUP_BYTES it is not said how far. */
static size_t
results_size(const struct request *r, version_t version)
{
    size_t size = 0;

    for (uint32_t i = 0; i < r->op_count && size <= LIMIT_DEDUP_BYTES; i++)
        size += result_size(&r->results[i], version);
    return size;
}

static enum outcome
outcome_of(const struct request *r, version_t version)
{
    ASSERT(r->answer == ST_OK || r->answer == ST_CONFLICT);
    if (r->answer == ST_CONFLICT)
        return OUTCOME_CONFLICT;
    return results_size(r, version) <= LIMIT_DEDUP_BYTES ? OUTCOME_DONE : OUTCOME_NOT_KEPT;
}

size_t
dedup_record_size(const struct request *r, version_t version)
{
    size_t size = 2 + varint_size(r->sequence) + varint_size(r->op_count);

    return outcome_of(r, version) == OUTCOME_DONE ? size + results_size(r, version) : size;
}

void
dedup_encode(uint8_t *at, const struct request *r, version_t version)
{
    enum outcome outcome = outcome_of(r, version);

    *at++ = DEDUP_FORMAT;
    at = put_varint(at, r->sequence);
    *at++ = (uint8_t)outcome;
    at = put_varint(at, r->op_count);
    for (uint32_t i = 0; i < r->op_count && outcome == OUTCOME_DONE; i++)
        at = put_result(at, &r->results[i], version);
}

/* ------------------------------------------------------------------ decoding */

static void
read_result(struct reader *in, version_t version, struct op_result *out)
{
    uint8_t code = read_u8(in);
    unsigned parts = read_u8(in);

    *out = (struct op_result){ .code = OP_NIL };
    if (code >= OP_CODE_COUNT || (parts & PART_UNKNOWN) != 0) {
        in->bad = true;
        return;
    }
    out->code = (enum op_code)code;
    out->old_missing = (parts & PART_OLD_MISSING) != 0;
    out->was_tombstone = (parts & PART_TOMBSTONE) != 0;
    if ((parts & PART_OWN_VERSION) != 0)
        out->version = version;
    if ((parts & PART_VERSION) != 0)
        out->version = read_varint(in);
    if ((parts & PART_INTEGER) != 0)
        out->integer = (int64_t)read_varint(in);
    if ((parts & PART_EXPIRY) != 0)
        out->expiry_ms = read_varint(in);
    if ((parts & PART_VALUE) != 0)
        out->value = read_string(in);
}

static enum status
read_results(struct reader *in, version_t version, struct request *r)
{
    for (uint32_t i = 0; i < r->op_count && !in->bad; i++)
        read_result(in, version, &r->results[i]);
    return in->bad || reader_left(in) != 0 ? ST_CORRUPT : ST_OK;
}

/* The record is of this very write. */
static enum status
answer_as_before(struct reader *in, enum outcome outcome, version_t version, struct request *r)
{
    switch (outcome) {
    case OUTCOME_DONE:
        r->answer = ST_OK;
        return read_results(in, version, r);
    case OUTCOME_CONFLICT:
        r->answer = ST_CONFLICT;
        break;
    case OUTCOME_NOT_KEPT:
        r->answer = err_raise(&r->err, ST_EXISTS,
                              "write %llu of this client was carried out before, and its results "
                              "were too large to keep",
                              (unsigned long long)r->sequence);
        break;
    case OUTCOME_COUNT:
        break;
    }
    return reader_left(in) == 0 ? ST_OK : ST_CORRUPT;
}

static enum status
cannot_read(struct request *r)
{
    return err_raise(&r->err, ST_CORRUPT,
                     "what is kept of the writes of client %016llx cannot be read",
                     (unsigned long long)r->client_id);
}

enum status
dedup_recall(struct slice record, version_t version, struct request *r, bool *repeated)
{
    struct reader in = reader_of(record);
    uint8_t format = read_u8(&in);
    uint64_t sequence = read_varint(&in);
    uint8_t outcome = read_u8(&in);
    uint64_t count = read_varint(&in);
    enum status st = ST_OK;

    if (record.size > 0 && format > DEDUP_FORMAT) {
        return err_raise(&r->err, ST_INVALID,
                         "the record of a client's write has format %u, which is newer than this "
                         "program's %d",
                         format, DEDUP_FORMAT);
    }
    if (in.bad || format == 0 || sequence == 0 || outcome >= OUTCOME_COUNT)
        return cannot_read(r);
    *repeated = sequence >= r->sequence;
    if (sequence > r->sequence) {
        r->answer = err_raise(&r->err, ST_INVALID,
                              "write %llu of this client comes after its write %llu: whether it "
                              "was carried out is no longer known",
                              (unsigned long long)r->sequence, (unsigned long long)sequence);
    } else if (sequence == r->sequence && count != r->op_count) {
        r->answer = err_raise(&r->err, ST_INVALID, "write %llu of this client was another request",
                              (unsigned long long)r->sequence);
    } else if (sequence == r->sequence) {
        st = answer_as_before(&in, (enum outcome)outcome, version, r);
    }
    return st == ST_OK ? ST_OK : cannot_read(r);
}
