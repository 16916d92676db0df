#include "tablet/number.h"

#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/assert.h"

enum { FLOAT_TEXT_MAX = 5 << 10 }; /* as Redis */

bool
number_parse_i64(struct slice text, int64_t *out)
{
    size_t at = 0;
    bool negative = text.size > 0 && text.data[0] == '-';
    uint64_t v = 0;
    uint64_t limit = negative ? (uint64_t)INT64_MAX + 1 : (uint64_t)INT64_MAX;

    if (negative)
        at = 1;
    if (at == text.size)
        return false;
    if (text.data[at] == '0') { /* only "0" itself begins with one */
        *out = 0;
        return text.size == 1;
    }
    for (; at < text.size; at++) {
        unsigned digit = text.data[at] - (unsigned)'0';

        if (digit > 9 || v > (limit - digit) / 10)
            return false;
        v = v * 10 + digit;
    }
    *out = negative ? (int64_t)(0 - v) : (int64_t)v;
    return true;
}

size_t
number_format_i64(int64_t v, char *out)
{
    char digits[20];
    uint64_t rest = v < 0 ? 0 - (uint64_t)v : (uint64_t)v;
    size_t count = 0;
    size_t at = 0;

    do {
        digits[count++] = (char)('0' + rest % 10);
        rest /= 10;
    } while (rest > 0);
    if (v < 0)
        out[at++] = '-';
    while (count > 0)
        out[at++] = digits[--count];
    return at;
}

bool
number_parse_float(struct slice text, long double *out)
{
    char copy[FLOAT_TEXT_MAX];
    char *end;
    long double v;

    if (text.size == 0 || text.size >= sizeof(copy) || isspace(text.data[0]))
        return false;
    memcpy(copy, text.data, text.size);
    copy[text.size] = '\0';
    errno = 0;
    v = strtold(copy, &end);
    if (end != copy + text.size || isnan(v))
        return false;
    if (errno == ERANGE && (v == HUGE_VALL || v == -HUGE_VALL || v == 0))
        return false;
    *out = v;
    return true;
}

size_t
number_format_float(long double v, char out[NUMBER_TEXT_MAX])
{
    int size = snprintf(out, NUMBER_TEXT_MAX, "%.17Lf", v);

    ASSERT(size > 0 && size < NUMBER_TEXT_MAX);
    if (memchr(out, '.', (size_t)size) != NULL) {
        while (out[size - 1] == '0')
            size--;
        if (out[size - 1] == '.')
            size--;
    }
    if (size == 2 && out[0] == '-' && out[1] == '0') {
        out[0] = '0';
        size = 1;
    }
    return (size_t)size;
}
