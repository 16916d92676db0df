#include "sim/picks.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"

bool
picks_has(const struct picks *p, uint32_t index)
{
    ASSERT(index < PLAN_ACTIONS_MAX);
    return !p->some || (p->words[index / 64] >> index % 64 & 1) != 0;
}

void
picks_set(struct picks *p, uint32_t index, bool wanted)
{
    uint64_t bit = UINT64_C(1) << index % 64;

    ASSERT(p->some && index < PLAN_ACTIONS_MAX);
    if (wanted)
        p->words[index / 64] |= bit;
    else
        p->words[index / 64] &= ~bit;
}

static bool
parse_index(const char **at, uint32_t *out)
{
    char *end;
    unsigned long value;

    if (**at < '0' || **at > '9')
        return false;
    value = strtoul(*at, &end, 10);
    *at = end;
    *out = (uint32_t)value;
    return value < PLAN_ACTIONS_MAX;
}

bool
picks_parse(const char *text, struct picks *p)
{
    *p = (struct picks){ .some = true };
    if (strcmp(text, "none") == 0)
        return true;
    for (;;) {
        uint32_t first, last;

        if (!parse_index(&text, &first))
            return false;
        last = first;
        if (*text == '-' && (text++, !parse_index(&text, &last)))
            return false;
        for (uint32_t i = first; i <= last; i++)
            picks_set(p, i, true);
        if (*text == '\0')
            return true;
        if (*text++ != ',')
            return false;
    }
}

enum status
picks_print(const struct picks *p, struct buf *out)
{
    const char *before = "";
    enum status st = ST_OK;

    ASSERT(p->some);
    for (uint32_t i = 0; i < PLAN_ACTIONS_MAX && st == ST_OK; i++) {
        uint32_t last = i;

        if (!picks_has(p, i))
            continue;
        while (last + 1 < PLAN_ACTIONS_MAX && picks_has(p, last + 1))
            last++;
        st = last > i ? buf_printf(out, "%s%" PRIu32 "-%" PRIu32, before, i, last)
                      : buf_printf(out, "%s%" PRIu32, before, i);
        before = ",";
        i = last;
    }
    return st == ST_OK && before[0] == '\0' ? buf_printf(out, "none") : st;
}
