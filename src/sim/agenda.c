#include "sim/agenda.h"

#include <string.h>

#include "base/assert.h"
#include "base/mem.h"

enum { NS_PER_US = 1000 };

enum status
agenda_init(struct agenda *a, uint32_t capacity)
{
    *a = (struct agenda){ .capacity = capacity };
    a->all = mem_new_array(struct appointment, (size_t)capacity + 1);
    return a->all == NULL ? ST_NO_MEMORY : ST_OK;
}

void
agenda_release(struct agenda *a)
{
    mem_free(a->all);
    *a = (struct agenda){ 0 };
}

void
agenda_add(struct agenda *a, uint64_t at_ns, const struct action *action)
{
    ASSERT(a->count < a->capacity);
    a->all[a->count++] = (struct appointment){ at_ns, *action };
}

bool
agenda_take(struct agenda *a, uint64_t now_ns, struct action *out)
{
    uint32_t at = 0;

    while (at < a->count && (a->all[at].at_ns > now_ns || a->all[at].at_ns == AGENDA_SOME_DAY))
        at++;
    if (at == a->count)
        return false;
    *out = a->all[at].action;
    a->count--;
    memmove(&a->all[at], &a->all[at + 1], (a->count - at) * sizeof(struct appointment));
    return true;
}

void
agenda_date(struct agenda *a, enum plan_event event, uint32_t node, uint64_t now_ns)
{
    for (uint32_t i = 0; i < a->count; i++) {
        struct appointment *at = &a->all[i];

        if (at->at_ns != AGENDA_SOME_DAY || at->action.awaits != event)
            continue;
        at->at_ns = now_ns + (uint64_t)at->action.after_us * NS_PER_US;
        if (at->action.node == 0)
            at->action.node = node;
    }
}

uint64_t
agenda_next_ns(const struct agenda *a)
{
    uint64_t next = AGENDA_SOME_DAY;

    for (uint32_t i = 0; i < a->count; i++) {
        if (a->all[i].at_ns < next)
            next = a->all[i].at_ns;
    }
    return next;
}
