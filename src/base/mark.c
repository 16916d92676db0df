#include "base/mark.h"

_Atomic uint64_t mark_counts[MARK_COUNT];

static const struct {
    const char *name;
    const char *text;
    uint32_t nodes;
} marks[MARK_COUNT] = {
#define MARK_ROW(name, text, nodes) [MARK_##name] = { #name, (text), (nodes) },
    MARK_LIST(MARK_ROW)
};

uint64_t
mark_count(enum mark m)
{
    return atomic_load_explicit(&mark_counts[m], memory_order_relaxed);
}

void
marks_reset(void)
{
    for (int m = 0; m < MARK_COUNT; m++)
        atomic_store_explicit(&mark_counts[m], 0, memory_order_relaxed);
}

const char *
mark_name(enum mark m)
{
    return marks[m].name;
}

const char *
mark_text(enum mark m)
{
    return marks[m].text;
}

uint32_t
mark_nodes(enum mark m)
{
    return marks[m].nodes;
}
