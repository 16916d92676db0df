/*
 * A leader's entries, to its followers: from the tail, or from the log when it is the only one that has
 * them still (catchup.c); and what of the tail is kept for them.
 */
#include "base/assert.h"
#include "base/log.h"
#include "base/mark.h"

#include "tablet/tablet_internal.h"

bool
outgoing_add(struct outgoing *out, const struct raft_entry *e, uint64_t bytes_max)
{
    if (out->count == OUTGOING_MAX || (out->count > 0 && out->bytes + e->data.size > bytes_max))
        return false;
    out->entries[out->count++] = *e;
    out->bytes += e->data.size;
    return true;
}

static void
gather_from_tail(const struct tablet *t, const struct raft_append *append, struct outgoing *out)
{
    for (raft_index i = append->first; i <= append->last; i++) {
        const struct tail_entry *e = tail_at(&t->tail, i);
        struct raft_entry entry = { .term = e->term, .data = e->bytes };

        if (!outgoing_add(out, &entry, append->bytes_max))
            return;
    }
}

/* By reference, as many as the message may have. */
static enum status
gather(struct tablet *t, const struct raft_append *append, struct outgoing *out)
{
    if (append->first > append->last)
        return ST_OK;
    if (append->first < t->tail.first)
        return catchup_gather(t, append, out);
    gather_from_tail(t, append, out);
    return ST_OK;
}

static enum status
send_append(struct tablet *t, const struct raft_append *append)
{
    struct raft_message m = append->message;
    struct outgoing out;
    enum status st;

    out.count = 0;
    out.bytes = 0;
    st = gather(t, append, &out);
    if (st != ST_OK)
        return st;
    m.entry_count = out.count;
    m.entries = out.entries;
    m.flow.bytes += out.bytes;
    st = exchange_send(t, &m);
    if (st == ST_OK)
        raft_sent(t->raft, append, append->first + out.count - 1, out.bytes);
    return st;
}

/* ------------------------------------------------------------------ what is kept */

/* The first entry that can be sent, from the log or from the tail. */
static raft_index
sendable_from(const struct tablet *t)
{
    const struct places *p = &t->places;

    if (p->count == 0 || p->limit < t->tail.first || p->at[0].index > t->tail.first)
        return t->tail.first;
    return p->at[0].index;
}

/* Without memory raft may not have heard of what was let go: then nothing can be sent. */
static bool
has_what_raft_has(const struct tablet *t)
{
    return raft_base(t->raft) + 1 >= sendable_from(t);
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
    mark_hit_if(t->shipment != NULL, MARK_RELEASED_IN_SHIPMENT);
    if (tablet__step(t,
                     (struct raft_event){ .kind = RAFT_COMPACTED, .index = sendable_from(t) - 1 },
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
