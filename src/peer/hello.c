#include "base/coding.h"
#include "base/hash.h"

#include "peer/peer_internal.h"

enum { SIZE_AT = 8, KNOWN_FROM = 10, CHECKSUM_BYTES = 8 };

static const char magic[] = "DKVPEER\n";

void
hello__put(uint8_t out[HELLO_BYTES], const struct hello *h)
{
    memcpy(out, magic, SIZE_AT);
    put_u16le(out + SIZE_AT, HELLO_BYTES);
    put_u16le(out + 10, h->format_min);
    put_u16le(out + 12, h->format_max);
    put_u16le(out + 14, h->lane);
    memcpy(out + 16, h->self.cluster, PEER_CLUSTER_BYTES);
    put_u64le(out + 32, h->self.node);
    put_u64le(out + 40, h->self.incarnation);
    put_u64le(out + 48, h->to);
    put_u64le(out + 56, h->nonce);
    put_u64le(out + 64, hash64(slice_of(out, HELLO_BYTES - CHECKSUM_BYTES)));
}

bool
hello__is_none(struct slice begin)
{
    size_t known = begin.size < SIZE_AT ? begin.size : SIZE_AT;

    return known > 0 && memcmp(begin.data, magic, known) != 0;
}

enum status
hello__size(struct slice begin, size_t *size, struct err *err)
{
    size_t told;

    if (carrier_expect_none(begin, err) != ST_OK)
        return ST_INVALID;
    if (hello__is_none(begin))
        return err_raise(err, ST_CORRUPT, "it does not speak our protocol");
    *size = 0;
    if (begin.size < KNOWN_FROM)
        return ST_OK;
    told = get_u16le(begin.data + SIZE_AT);
    if (told < HELLO_BYTES || told > HELLO_BYTES_MAX)
        return err_raise(err, ST_CORRUPT, "a hello of %zu bytes", told);
    *size = told;
    return ST_OK;
}

enum status
hello__get(struct slice whole, struct hello *out, struct err *err)
{
    const uint8_t *at = whole.data;
    size_t checked = whole.size - CHECKSUM_BYTES;

    if (get_u64le(at + checked) != hash64(slice_of(at, checked)))
        return err_raise(err, ST_CORRUPT, "its hello is damaged");
    out->format_min = get_u16le(at + 10);
    out->format_max = get_u16le(at + 12);
    out->lane = get_u16le(at + 14);
    memcpy(out->self.cluster, at + 16, PEER_CLUSTER_BYTES);
    out->self.node = get_u64le(at + 32);
    out->self.incarnation = get_u64le(at + 40);
    out->to = get_u64le(at + 48);
    out->nonce = get_u64le(at + 56);
    return ST_OK;
}

enum status
hello__agree(const struct hello *ours, const struct hello *theirs, uint16_t *format,
             struct err *err)
{
    uint16_t highest =
        ours->format_max < theirs->format_max ? ours->format_max : theirs->format_max;
    uint16_t lowest = ours->format_min > theirs->format_min ? ours->format_min : theirs->format_min;

    if (memcmp(ours->self.cluster, theirs->self.cluster, PEER_CLUSTER_BYTES) != 0)
        return err_raise(err, ST_INVALID, "it is of another cluster");
    if (highest < lowest) {
        return err_raise(err, ST_INVALID, "it speaks formats %u to %u, and we %u to %u",
                         theirs->format_min, theirs->format_max, ours->format_min,
                         ours->format_max);
    }
    if (theirs->self.node == 0 || theirs->self.node == ours->self.node)
        return err_raise(err, ST_INVALID, "it calls itself node %016llx",
                         (unsigned long long)theirs->self.node);
    if (theirs->self.incarnation == 0 || theirs->self.incarnation > PEER_INCARNATION_MAX)
        return err_raise(err, ST_INVALID, "it has no incarnation");
    if (theirs->to != ours->self.node || (ours->to != 0 && ours->to != theirs->self.node))
        return err_raise(err, ST_INVALID, "it is node %016llx, and looks for node %016llx",
                         (unsigned long long)theirs->self.node, (unsigned long long)theirs->to);
    *format = highest;
    return ST_OK;
}
