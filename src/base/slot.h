/*
 * base/slot.h — the slot of a key, as Redis Cluster defines it.
 *
 * CRC16 (XMODEM) of the part between the first { and the next }, if there is any between them, else of the whole
 * key; modulo SLOT_COUNT.  As a bound of tablets a slot is two bytes, big-endian, so that bounds compare as slots.
 */
#ifndef BASE_SLOT_H
#define BASE_SLOT_H

#include "base/slice.h"

enum { SLOT_COUNT = 16384 };

uint32_t slot_hash(struct slice key); /* the whole checksum */
uint32_t slot_of(struct slice key);

/* `slot` is below SLOT_COUNT; the result lies in `room`. */
struct slice slot_bound(uint32_t slot, uint8_t room[2]);

/* A bound may be any bytes: what is no slot counts as `otherwise`, or as the end. */
uint32_t slot_of_bound(struct slice bound, uint32_t otherwise);

#endif
