/*
 * tablet/number.h — numbers as Redis writes and reads them.  Pure.
 */
#ifndef TABLET_NUMBER_H
#define TABLET_NUMBER_H

#include "base/slice.h"

enum { NUMBER_TEXT_MAX = 5200 }; /* the longest plain decimal of a long double, and room */

/* A 64-bit integer in its one canonical form: no blanks, no '+', no leading zeros, no "-0". */
bool number_parse_i64(struct slice text, int64_t *out);

/* Returns the length; `out` has at least 21 bytes. */
size_t number_format_i64(int64_t v, char *out);

/* A decimal or hexadecimal floating-point number, or infinity, with nothing around it; not NaN. */
bool number_parse_float(struct slice text, long double *out);

/* Plain decimal, up to 17 digits after the point, trailing zeros cut. Returns the length. */
size_t number_format_float(long double v, char out[NUMBER_TEXT_MAX]);

#endif
