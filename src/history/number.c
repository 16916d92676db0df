#include "history/number.h"

#include <inttypes.h>
#include <stdio.h>

struct slice
number_print(int64_t number, char room[NUMBER_ROOM])
{
    int size = snprintf(room, NUMBER_ROOM, "%" PRId64, number);

    return slice_of(room, (size_t)size);
}

/* What is printed again as it was is the one form. */
bool
number_parse(struct slice text, int64_t *out)
{
    bool negative = text.size > 0 && text.data[0] == '-';
    char room[NUMBER_ROOM];
    int64_t number = 0;

    if (text.size == 0 || text.size >= NUMBER_ROOM)
        return false;
    for (size_t i = negative ? 1 : 0; i < text.size; i++) {
        int digit = text.data[i] - '0';

        if (digit < 0 || digit > 9 || __builtin_mul_overflow(number, 10, &number) ||
            __builtin_add_overflow(number, negative ? -digit : digit, &number))
            return false;
    }
    if (!slice_equal(number_print(number, room), text))
        return false;
    *out = number;
    return true;
}
