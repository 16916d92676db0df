/*
 * wire/decimal.h — decimal text to and from 64-bit integers, as the Redis
 * protocol and its commands understand them.
 */
#ifndef WIRE_DECIMAL_H
#define WIRE_DECIMAL_H

#include <stdbool.h>
#include <stdint.h>

#include "base/slice.h"

enum { DECIMAL_BYTES = 20 }; /* "-9223372036854775808" */

/* Strict: an optional minus, no leading zeros, no plus, no spaces, within 64 bits. */
bool decimal_parse_i64(struct slice text, int64_t *value);

/* As above, without a sign. */
bool decimal_parse_u64(struct slice text, uint64_t *value);

/* Writes at most DECIMAL_BYTES bytes, without a terminator; returns how many. */
size_t decimal_format_i64(int64_t value, char out[DECIMAL_BYTES]);
size_t decimal_format_u64(uint64_t value, char out[DECIMAL_BYTES]);

#endif
