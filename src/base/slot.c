#include "base/slot.h"

#include <string.h>

#include "base/assert.h"

/* CRC-16/XMODEM: polynomial 0x1021, no reflection, from 0; four bits at a time. */
static uint16_t
crc16(struct slice s)
{
    static const uint16_t steps[16] = { 0x0000, 0x1021, 0x2042, 0x3063, 0x4084, 0x50a5,
                                        0x60c6, 0x70e7, 0x8108, 0x9129, 0xa14a, 0xb16b,
                                        0xc18c, 0xd1ad, 0xe1ce, 0xf1ef };
    uint32_t crc = 0;

    for (size_t i = 0; i < s.size; i++) {
        crc = (crc << 4 ^ steps[(crc >> 12 ^ (uint32_t)s.data[i] >> 4) & 15]) & 0xffff;
        crc = (crc << 4 ^ steps[(crc >> 12 ^ (uint32_t)s.data[i]) & 15]) & 0xffff;
    }
    return (uint16_t)crc;
}

static struct slice
hash_tag(struct slice key)
{
    const uint8_t *open = key.size == 0 ? NULL : memchr(key.data, '{', key.size);
    size_t left = open == NULL ? 0 : (size_t)(key.data + key.size - open - 1);
    const uint8_t *close = left == 0 ? NULL : memchr(open + 1, '}', left);

    if (close == NULL || close == open + 1)
        return key;
    return slice_of(open + 1, (size_t)(close - open - 1));
}

uint32_t
slot_hash(struct slice key)
{
    return crc16(hash_tag(key));
}

uint32_t
slot_of(struct slice key)
{
    return slot_hash(key) % SLOT_COUNT;
}

struct slice
slot_bound(uint32_t slot, uint8_t room[2])
{
    ASSERT(slot < SLOT_COUNT);
    room[0] = (uint8_t)(slot >> 8);
    room[1] = (uint8_t)slot;
    return slice_of(room, 2);
}

uint32_t
slot_of_bound(struct slice bound, uint32_t otherwise)
{
    uint32_t slot;

    if (bound.size != 2)
        return otherwise;
    slot = (uint32_t)bound.data[0] << 8 | bound.data[1];
    return slot < SLOT_COUNT ? slot : SLOT_COUNT;
}
