/*
 * history/number.h — the decimal form of a 64-bit integer, of which there is one only.
 *
 * Not wire/decimal.h, on purpose: what judges the store shares no code with it.
 */
#ifndef HISTORY_NUMBER_H
#define HISTORY_NUMBER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/slice.h"

enum { NUMBER_ROOM = 24 }; /* "-9223372036854775808", and a terminator */

/* No blanks, no '+', no leading zeros, no "-0". */
bool number_parse(struct slice text, int64_t *out);

/* The result lies in `room`. */
struct slice number_print(int64_t number, char room[NUMBER_ROOM]);

#endif
