/*
 * Positions: XXH3, 128 bits, of fixed records.
 *
 *      tablet         't'  keyspace:u64le  hash128(begin)  hash128(limit)
 *      virtual node   'n'  node:u64le  number:u32le
 *      hash128        high:u64le  low:u64le
 *
 * Bounds are hashed first, so that no two pairs of them run together, and so that none must be
 * copied, however long.  The first byte keeps tablets and nodes apart.
 */
#include "ring/position.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/coding.h"
#include "base/hash.h"

enum {
    HASH_BYTES = 16,
    TABLET_BYTES = 1 + 8 + 2 * HASH_BYTES,
    NODE_BYTES = 1 + 8 + 4,
};

static struct ring_position
position_of(struct slice record)
{
    struct hash128 hash = hash128(record);

    return (struct ring_position){ .high = hash.high, .low = hash.low };
}

static void
put_hash(uint8_t *at, struct slice bytes)
{
    struct hash128 hash = hash128(bytes);

    put_u64le(at, hash.high);
    put_u64le(at + 8, hash.low);
}

struct ring_position
ring_position_of_tablet(uint64_t keyspace, struct slice begin, struct slice limit)
{
    uint8_t record[TABLET_BYTES] = { 't' };

    put_u64le(record + 1, keyspace);
    put_hash(record + 9, begin);
    put_hash(record + 9 + HASH_BYTES, limit);
    return position_of(slice_of(record, sizeof(record)));
}

struct ring_position
ring_position_of_node(uint64_t node, uint32_t number)
{
    uint8_t record[NODE_BYTES] = { 'n' };

    put_u64le(record + 1, node);
    put_u32le(record + 9, number);
    return position_of(slice_of(record, sizeof(record)));
}

int
ring_position_compare(struct ring_position a, struct ring_position b)
{
    if (a.high != b.high)
        return a.high < b.high ? -1 : 1;
    return (a.low > b.low) - (a.low < b.low);
}

const char *
ring_position_text(struct ring_position p, char out[RING_POSITION_TEXT_BYTES])
{
    snprintf(out, RING_POSITION_TEXT_BYTES, "%016" PRIx64 "%016" PRIx64, p.high, p.low);
    return out;
}
