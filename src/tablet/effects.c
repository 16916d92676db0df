/*
 * The effects of a step of raft, carried out: entries into the tail, or out of it again; the hard state
 * and what the log lacks into the log; messages to the others.
 *
 * Memory that a step may need is there before it, so a step that raft has taken is carried out whole.
 * What the log has no room for is owed (drive.c).  Whoever is to be answered is so at the very end: who is
 * answered may submit again.
 */
#include "base/assert.h"
#include "base/log.h"
#include "base/mem.h"

#include "tablet/tablet_internal.h"

/* The first entry of our term renews the ceiling: nothing is served before it is committed. */
static struct body
own_body(struct tablet *t)
{
    const struct raft_effects *fx = &t->reactor->effects;
    uint64_t now_ms = node_clock_ms(t->reactor->node->clock, tablet__boot_ns(t));
    struct body body = {
        .kind = fx->own.kind == RAFT_CONFIG ? BODY_CONFIG : BODY_TERM,
        .version = version_next(t->version, tablet_now_ms(t, tablet__boot_ns(t))),
        .lag = fx->append_first - raft_commit(t->raft),
    };

    if (fx->own.kind != RAFT_CONFIG)
        body.ceiling_ms =
            (now_ms > t->head.ceiling_ms ? now_ms : t->head.ceiling_ms) + CEILING_AHEAD_MS;
    return body;
}

/* An entry of raft's own cannot be refused: its room is there before the step. */
static enum status
make_ready(struct tablet *t)
{
    if (t->own_room == NULL)
        t->own_room = tail_entry_small();
    return t->own_room == NULL ? ST_NO_MEMORY : tail_reserve(&t->tail, 1);
}

static struct tail_entry *
take_own(struct tablet *t)
{
    struct body body = own_body(t);
    struct tail_entry *e = t->own_room;

    t->own_room = NULL;
    tail_entry_set(e, &body, t->reactor->effects.own.config);
    e->index = t->reactor->effects.append_first;
    e->term = t->reactor->effects.own.term;
    return e;
}

/* What the log has of these is superseded by what it will get. */
static void
cut_tail(struct tablet *t, raft_index from, struct list *orphans)
{
    ASSERT(from > t->applied);
    while (t->tail.limit > from) {
        struct tail_entry *e = tail_pop_last(&t->tail);

        if (e->index < t->given)
            engine_tree_dropped(t->tree);
        if (e->request != NULL) { /* nobody will ever commit it */
            e->request->status = ST_NOT_LEADER;
            list_push_front(orphans, &e->request->link);
        }
        tablet__forget(t, e);
    }
    places_cut(&t->places, from); /* B7 */
    if (t->given > from)
        t->given = from;
    if (t->unsynced > from)
        t->unsynced = from;
}

static void
take_entries(struct tablet *t, struct incoming *in, struct list *orphans)
{
    const struct raft_effects *fx = &t->reactor->effects;
    bool own = raft_role(t->raft) == RAFT_LEADER;

    mark_hit_if(fx->truncate_from != 0, MARK_ENTRIES_CUT);
    if (fx->truncate_from != 0)
        cut_tail(t, fx->truncate_from, orphans);
    for (raft_index i = fx->append_first; i <= fx->append_last; i++) {
        struct tail_entry *e = own ? take_own(t) : incoming_take(in, i);

        e->ticket = fx->ticket;
        tablet__keep(t, e);
        if (e->body.version > t->version)
            t->version = e->body.version;
    }
    if (fx->hard_changed) {
        t->head_owed = true;
        t->head_ticket = fx->ticket;
    }
}

static void
log_role(const struct tablet *t, enum raft_role before)
{
    enum raft_role now = raft_role(t->raft);

    if (t->alone || (before == RAFT_LEADER) == (now == RAFT_LEADER))
        return;
    mark_hit_if(before == RAFT_LEADER && t->request_count > 0, MARK_DEPOSED);
    log_event(LOG_INFO, now == RAFT_LEADER ? "tablet.leads" : "tablet.leads_no_more",
              log_u64("tablet", t->id), log_u64("node", t->reactor->node->id),
              log_u64("term", raft_hard(t->raft).term));
}

enum status
tablet__step(struct tablet *t, struct raft_event event, struct incoming *in)
{
    enum raft_role before = raft_role(t->raft);
    struct raft_effects *fx = &t->reactor->effects;
    enum status st = make_ready(t);
    struct list orphans;

    event.now_ns = tablet__boot_ns(t);
    t->sleeps = false;
    if (st == ST_OK)
        st = raft_step(t->raft, &event, fx);
    if (st != ST_OK)
        return st;
    t->install_due = fx->install;
    list_init(&orphans);
    if (before == RAFT_LEADER && raft_role(t->raft) != RAFT_LEADER)
        tablet__step_down(t, &orphans); /* before any of it is cut off */
    take_entries(t, in, &orphans);
    if (raft_config_index(t->raft) != t->config_seen)
        tablet__config_moved(t);
    if (fx->wants_room && raft_grow(&t->raft) != ST_OK)
        log_event(LOG_DEBUG, "tablet.terms_crowded", log_u64("tablet", t->id));
    if (tablet__give(t, NULL) != ST_OK)
        log_event(LOG_DEBUG, "tablet.log_deferred", log_u64("tablet", t->id));
    exchange_send_all(t);
    tablet__publish_reads(t);
    log_role(t, before);
    if (before != RAFT_LEADER && raft_role(t->raft) == RAFT_LEADER)
        t->led_since_ns = event.now_ns;
    if (!t->alone)
        tablet__mark(t);
    if (raft_is_quiesced(t->raft)) {
        mem_free(t->own_room); /* there may be thousands that sleep */
        t->own_room = NULL;
    }
    tablet__answer_orphans(t, &orphans);
    return ST_OK;
}
