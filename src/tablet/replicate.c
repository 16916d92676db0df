/*
 * A leader's entries, from the tail to its followers; and what of the tail is kept for them.
 */
#include "base/assert.h"
#include "base/log.h"

#include "tablet/tablet_internal.h"

enum { ENTRIES_PER_MESSAGE = 256 };

/* Entries of the tail, by reference, as many as the message may have. */
static uint32_t
gather(const struct tablet *t, const struct raft_append *append,
       struct raft_entry entries[ENTRIES_PER_MESSAGE], uint64_t *bytes)
{
    uint32_t count = 0;

    for (raft_index i = append->first; i <= append->last && count < ENTRIES_PER_MESSAGE; i++) {
        const struct tail_entry *e = tail_at(&t->tail, i);

        if (count > 0 && *bytes + e->bytes.size > append->bytes_max)
            break;
        entries[count++] = (struct raft_entry){ .term = e->term, .data = e->bytes };
        *bytes += e->bytes.size;
    }
    return count;
}

static enum status
send_append(struct tablet *t, const struct raft_append *append)
{
    struct raft_entry entries[ENTRIES_PER_MESSAGE];
    struct raft_message m = append->message;
    uint64_t bytes = 0;
    enum status st;

    if (append->first <= append->last) {
        m.entry_count = gather(t, append, entries, &bytes);
        m.entries = entries;
        m.flow.bytes += bytes;
    }
    st = exchange_send(t, &m);
    if (st == ST_OK)
        raft_sent(t->raft, append, append->first + m.entry_count - 1, bytes);
    return st;
}

/* ------------------------------------------------------------------ what is kept */

/* Without memory raft may not have heard of what was let go: then nothing can be sent. */
static bool
has_what_raft_has(const struct tablet *t)
{
    return raft_base(t->raft) + 1 >= t->tail.first;
}

/* What is applied stays for those who follow at the pace of the rest, and a little of it for whoever
 * leads next. */
static void
let_go(struct tablet *t)
{
    size_t most = budget_part(engine_budget(t->engine)->limit, TAIL_KEPT_SHARE, TAIL_KEPT_BYTES);
    raft_index wanted = raft_wanted_from(t->raft);

    while (
        t->tail.first <= t->applied &&
        (t->kept_bytes > most || (t->tail.first < wanted && t->kept_bytes > most / TAIL_IDLE_PART)))
        tablet__forget_first(t);
    if (has_what_raft_has(t) || t->applied_bytes > 0)
        return; /* or raft does not know yet how much is applied */
    if (tablet__step(t, (struct raft_event){ .kind = RAFT_COMPACTED, .index = t->tail.first - 1 },
                     NULL) != ST_OK)
        log_event(LOG_DEBUG, "tablet.compaction_deferred", log_u64("tablet", t->id));
}

void
tablet__replicate(struct tablet *t)
{
    struct raft_append append;

    let_go(t);
    while (has_what_raft_has(t) && raft_next_append(t->raft, &append)) {
        if (send_append(t, &append) != ST_OK)
            raft_not_sent(t->raft, &append);
    }
    shipment_begin_if_due(t);
}
