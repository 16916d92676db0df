#include "oracle/differ.h"

#include <inttypes.h>
#include <stdio.h>

static const char *const names[DIFFER_COUNT] = {
#define DIFFERENCE_NAME(name, text) [DIFFER_##name] = #name,
    DIFFERENCE_LIST(DIFFERENCE_NAME)
#undef DIFFERENCE_NAME
};

static const char *const texts[DIFFER_COUNT] = {
#define DIFFERENCE_TEXT(name, text) [DIFFER_##name] = (text),
    DIFFERENCE_LIST(DIFFERENCE_TEXT)
#undef DIFFERENCE_TEXT
};

static uint64_t counts[DIFFER_COUNT];

void
differ_count(enum difference what)
{
    counts[what]++;
}

void
differ_print(void)
{
    for (int i = 0; i < DIFFER_COUNT; i++)
        printf("%10" PRIu64 "  %-26s %s\n", counts[i], names[i], texts[i]);
}
