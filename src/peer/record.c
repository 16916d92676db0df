#include <string.h>

#include "peer/carrier_internal.h"

void
record__go_on(struct record_place *p, size_t size)
{
    while (p->count > 0 && size >= p->parts[0].size - p->at) {
        size -= p->parts[0].size - p->at;
        p->parts++;
        p->count--;
        p->at = 0;
    }
    p->at += size;
}

struct slice
record__next(const struct record_place *p, uint8_t room[RECORD_BYTES])
{
    size_t size = 0;
    size_t at = p->at;

    if (p->parts[0].size - at >= RECORD_BYTES || p->count == 1) {
        size_t left = p->parts[0].size - at;

        return slice_of(p->parts[0].data + at, left < RECORD_BYTES ? left : RECORD_BYTES);
    }
    for (size_t i = 0; i < p->count && size < RECORD_BYTES; i++) {
        size_t left = p->parts[i].size - at;
        size_t some = left < RECORD_BYTES - size ? left : RECORD_BYTES - size;

        if (some > 0)
            memcpy(room + size, p->parts[i].data + at, some);
        size += some;
        at = 0;
    }
    return slice_of(room, size);
}
