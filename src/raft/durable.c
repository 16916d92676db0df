/*
 * What is durable, by tickets (R2).
 *
 * An index alone would not do: entry 7 may be given to the log, be cut off, and be given again with
 * other contents, and the report "7 is durable" may mean the first.  So each gift to the log has a ticket, and
 * cutting off lowers what the earlier tickets stand for.
 */
#include "base/assert.h"

#include "raft/raft_internal.h"

uint64_t
raft__durable_ticket(struct raft_durable *d)
{
    return ++d->ticket;
}

static struct raft_unsynced *
unsynced(struct raft_durable *d, uint32_t i)
{
    return &d->ring[(d->first + i) % RAFT_UNSYNCED_MAX];
}

void
raft__durable_add(struct raft_durable *d, uint64_t ticket, raft_index last, struct raft_flow flow)
{
    if (d->count < RAFT_UNSYNCED_MAX)
        d->count++;
    *unsynced(d, d->count - 1) =
        (struct raft_unsynced){ .ticket = ticket, .last = last, .flow = flow };
}

void
raft__durable_truncate(struct raft_durable *d, raft_index from)
{
    if (d->persisted >= from)
        d->persisted = from - 1;
    if (BROKEN(PERSISTED_BY_INDEX))
        return;
    for (uint32_t i = 0; i < d->count; i++) {
        if (unsynced(d, i)->last >= from)
            unsynced(d, i)->last = from - 1;
    }
}

void
raft__durable_forget_flow(struct raft_durable *d)
{
    d->flow = (struct raft_flow){ 0 };
    for (uint32_t i = 0; i < d->count; i++)
        unsynced(d, i)->flow = d->flow;
}

void
raft__durable_done(struct raft_durable *d, uint64_t ticket)
{
    ASSERT(ticket <= d->ticket);
    if (ticket > d->done)
        d->done = ticket;
    while (d->count > 0 && unsynced(d, 0)->ticket <= ticket) {
        if (unsynced(d, 0)->last > d->persisted)
            d->persisted = unsynced(d, 0)->last;
        d->flow = unsynced(d, 0)->flow;
        d->first = (d->first + 1) % RAFT_UNSYNCED_MAX;
        d->count--;
    }
}
