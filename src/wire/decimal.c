#include "wire/decimal.h"

bool
decimal_parse_u64(struct slice text, uint64_t *value)
{
    uint64_t v = 0;

    if (text.size == 0 || text.size > DECIMAL_BYTES)
        return false;
    if (text.data[0] == '0' && text.size > 1)
        return false;
    for (size_t i = 0; i < text.size; i++) {
        unsigned digit = (unsigned)text.data[i] - '0';

        if (digit > 9)
            return false;
        if (__builtin_mul_overflow(v, 10, &v) || __builtin_add_overflow(v, digit, &v))
            return false;
    }
    *value = v;
    return true;
}

bool
decimal_parse_i64(struct slice text, int64_t *value)
{
    bool negative = text.size > 0 && text.data[0] == '-';
    uint64_t magnitude;

    if (negative)
        text = slice_of(text.data + 1, text.size - 1);
    if (!decimal_parse_u64(text, &magnitude))
        return false;
    if (!negative) {
        if (magnitude > INT64_MAX)
            return false;
        *value = (int64_t)magnitude;
        return true;
    }
    if (magnitude == 0 || magnitude > (uint64_t)INT64_MAX + 1)
        return false; /* "-0" is no integer of Redis */
    *value = (int64_t)(0 - magnitude);
    return true;
}

static size_t
format(uint64_t value, char *out)
{
    char reversed[DECIMAL_BYTES];
    size_t size = 0;

    do {
        reversed[size++] = (char)('0' + value % 10);
        value /= 10;
    } while (value != 0);
    for (size_t i = 0; i < size; i++)
        out[i] = reversed[size - 1 - i];
    return size;
}

size_t
decimal_format_u64(uint64_t value, char out[DECIMAL_BYTES])
{
    return format(value, out);
}

size_t
decimal_format_i64(int64_t value, char out[DECIMAL_BYTES])
{
    if (value >= 0)
        return format((uint64_t)value, out);
    out[0] = '-';
    return 1 + format(0 - (uint64_t)value, out + 1);
}
