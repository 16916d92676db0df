#include "history/utf8.h"

/* How many bytes follow the first one, and where the second must lie; the others are 80..BF. */
struct lead {
    uint8_t first, last;
    uint8_t followers;
    uint8_t low, high;
};

static const struct lead leads[] = {
    { 0x00, 0x7f, 0, 0x80, 0xbf }, { 0xc2, 0xdf, 1, 0x80, 0xbf }, { 0xe0, 0xe0, 2, 0xa0, 0xbf },
    { 0xe1, 0xec, 2, 0x80, 0xbf }, { 0xed, 0xed, 2, 0x80, 0x9f }, { 0xee, 0xef, 2, 0x80, 0xbf },
    { 0xf0, 0xf0, 3, 0x90, 0xbf }, { 0xf1, 0xf3, 3, 0x80, 0xbf }, { 0xf4, 0xf4, 3, 0x80, 0x8f },
};

static const struct lead *
lead_of(uint8_t byte)
{
    for (size_t i = 0; i < sizeof(leads) / sizeof(leads[0]); i++) {
        if (byte >= leads[i].first && byte <= leads[i].last)
            return &leads[i];
    }
    return NULL;
}

bool
utf8_is_valid(struct slice s)
{
    size_t at = 0;

    while (at < s.size) {
        const struct lead *lead = lead_of(s.data[at++]);

        if (lead == NULL || lead->followers > s.size - at)
            return false;
        for (size_t i = 0; i < lead->followers; i++, at++) {
            uint8_t low = i == 0 ? lead->low : 0x80;
            uint8_t high = i == 0 ? lead->high : 0xbf;

            if (s.data[at] < low || s.data[at] > high)
                return false;
        }
    }
    return true;
}
