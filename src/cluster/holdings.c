/*
 * Which replicas this node has.
 *
 *      the record names us             and there is none       one is made, but where it comes out of another
 *      the record does not, or is gone and there is one        it is dropped
 *      the record names us again       and one is set aside    it is taken up: it was to be dropped when we started
 *
 * Either is done once the file ATLAS says so, too.  A start that found an older one would make a replica anew that
 * was dropped, as one that was there from the beginning; and where that was the only founder, have it lead.
 *
 * A tablet of which there is no record is left alone: what this node does not know of it, it may yet learn.
 *
 *   N1  The heir of a tablet that is here and has still to be split is made by that, with the data that is here
 *       (tablet/split.c).  An empty one in its place would pass for it: what we have of it would be let go, and other members
 *       as empty as we are could go on without it.  So what is made here of an heir founds nothing, either.
 *   N2  A replica is dropped only when the metadata, read since this node heard of it, has no later word: who
 *       is a member again meanwhile has acknowledged things that others rely on.  What an old file ATLAS says is reason
 *       enough to be quiet, and not to forget.
 */
#include "base/assert.h"
#include "base/broken.h"
#include "base/log.h"
#include "base/mark.h"
#include "base/mem.h"

#include "cluster/cluster_internal.h"
#include "tablet/lifetime.h"
#include "tablet/tablet.h"

enum { MOVES_AT_ONCE = 16, RETRY_MS = 500 };

enum move_kind { MOVE_IN, MOVE_OUT, MOVE_RESUMED };

/* A replica on its way. */
struct move {
    struct list link;
    struct cluster *cluster;
    uint64_t tablet;
    enum move_kind kind;
};

static const struct {
    const char *done;
    const char *failed;
} events[] = {
    [MOVE_IN] = { "cluster.replica_made", "cluster.replica_not_made" },
    [MOVE_OUT] = { "cluster.replica_dropped", "cluster.replica_not_dropped" },
    [MOVE_RESUMED] = { "cluster.replica_resumed", "cluster.replica_not_resumed" },
};

static bool
is_moving(const struct cluster *c, uint64_t tablet)
{
    list_each (at, &c->moves) {
        if (container_of(at, struct move, link)->tablet == tablet)
            return true;
    }
    return false;
}

static struct move *
begin_move(struct cluster *c, uint64_t tablet, enum move_kind kind)
{
    struct move *m;

    if (c->move_count >= MOVES_AT_ONCE || is_moving(c, tablet))
        return NULL;
    m = mem_new(struct move);
    if (m == NULL)
        return NULL;
    *m = (struct move){ .cluster = c, .tablet = tablet, .kind = kind };
    list_push_back(&c->moves, &m->link);
    c->move_count++;
    c->under_way++;
    return m;
}

static void
adopt_meta(struct cluster *c)
{
    c->meta = tablet_reactor_find(c->seats[0].reactor, ATLAS_META_TABLET);
    ASSERT(c->meta != NULL);
    tablet_observe(c->meta, feed_applied, c);
    c->unread = true;
}

static void
is_moved(void *ctx, enum status st, const struct err *err)
{
    struct move *m = ctx;
    struct cluster *c = m->cluster;

    if (st == ST_OK && m->kind != MOVE_OUT && m->tablet == ATLAS_META_TABLET)
        adopt_meta(c);
    mark_hit_if(st == ST_OK, m->kind == MOVE_OUT ? MARK_REPLICA_DROPPED : MARK_REPLICA_MADE);
    if (st == ST_OK)
        log_event(LOG_INFO, events[m->kind].done, log_u64("tablet", m->tablet));
    else if (st != ST_CLOSED)
        log_event(LOG_ERROR, events[m->kind].failed, log_u64("tablet", m->tablet), log_err(err),
                  log_str("effect", "it is tried again"));
    list_remove(&m->link);
    c->move_count--;
    c->under_way--;
    c->held_edits = st == ST_OK ? 0 : c->held_edits;
    mem_free(m);
}

/* It was not begun. */
static void
give_up(struct move *m, enum status st)
{
    struct err err;

    is_moved(m, err_raise(&err, st, "it cannot be begun (%s)", status_name(st)), &err);
}

/* What a drop has left behind that failed is in the way. */
static void
drop_remains(struct cluster *c, struct move *m)
{
    enum status st;

    m->kind = MOVE_OUT;
    st = tablet_node_drop(c->options.node, m->tablet, is_moved, m);
    if (st != ST_OK)
        give_up(m, st);
}

static void
make(struct cluster *c, const struct tablet_record *record)
{
    struct raft_config founders;
    struct tablet_spec spec = { .id = record->id,
                                .loop = cluster_loop_of(c, record->id),
                                .founders = &founders };
    struct move *m = begin_move(c, record->id, MOVE_IN);
    enum status st;

    if (m == NULL)
        return;
    cluster__founders_of(record, c->self, &founders);
    st = tablet_node_add(c->options.node, &spec, is_moved, m);
    if (st == ST_EXISTS)
        drop_remains(c, m);
    else if (st != ST_OK)
        give_up(m, st);
}

bool
cluster_awaits_split(const struct cluster *c, const struct tablet_record *record)
{
    const struct tablet_record *parent = atlas_tablet(c->atlas, record->parent);
    const struct tablet *t = NULL;

    while (parent != NULL && tablet_record_member(parent, c->self) != NULL &&
           (t = tablet_reactor_find(c->seats[0].reactor, parent->id)) == NULL)
        parent = atlas_tablet(c->atlas, parent->parent); /* it may await its own */
    return t != NULL && tablet_edition(t) < parent->edition && !BROKEN(HEIR_EMPTY);
}

static void
make_missing(struct cluster *c)
{
    for (uint32_t i = 0; i < c->atlas->tablet_count; i++) {
        const struct tablet_record *record = c->atlas->tablets[i];

        if (tablet_record_member(record, c->self) != NULL &&
            tablet_reactor_find(c->seats[0].reactor, record->id) == NULL &&
            !cluster_awaits_split(c, record))
            make(c, record);
    }
}

/* False: nothing is known of it. */
static bool
look_up(const struct cluster *c, uint64_t tablet, struct record *out)
{
    struct record_key key = { RECORD_TABLET, tablet };
    const struct page *page = book_find(&c->book, &key);

    return page != NULL && record_decode(&key, page->value, out, NULL) == ST_OK;
}

bool
cluster_is_gone(const struct cluster *c, uint64_t tablet)
{
    struct record r;

    return look_up(c, tablet, &r) && r.as.tablet.state == TABLET_GONE;
}

bool
cluster_is_surplus(const struct cluster *c, uint64_t tablet)
{
    struct record r;

    if (c->is_fixed || !look_up(c, tablet, &r))
        return false;
    return r.as.tablet.state == TABLET_GONE || tablet_record_member(&r.as.tablet, c->self) == NULL;
}

/* N2 */
static bool
is_confirmed(struct cluster *c)
{
    if (confirm_is_since(&c->seats[0], c->heard_ns))
        return true;
    confirm_want(&c->seats[0]);
    return false;
}

static void
drop_if_surplus(struct cluster *c, struct tablet *t)
{
    struct move *m;
    enum status st;

    if (!cluster_is_surplus(c, tablet_id(t)) || !is_confirmed(c))
        return;
    m = begin_move(c, tablet_id(t), MOVE_OUT);
    if (m == NULL)
        return;
    if (t == c->meta) {
        tablet_observe(t, NULL, NULL);
        c->meta = NULL;
    }
    st = tablet_node_drop(c->options.node, m->tablet, is_moved, m);
    if (st != ST_OK)
        give_up(m, st);
}

static void
resume_if_wanted(struct cluster *c, const struct tablet *t)
{
    struct move *m;
    enum status st;

    if (!tablet_is_aside(t) || cluster_is_surplus(c, tablet_id(t)))
        return;
    m = begin_move(c, tablet_id(t), MOVE_RESUMED);
    if (m == NULL)
        return;
    st = tablet_node_resume(c->options.node, m->tablet, is_moved, m);
    if (st != ST_OK)
        give_up(m, st);
}

/* What is dropped leaves the roster later. */
static void
look_at_ours(struct cluster *c)
{
    const struct tablet_roster *all = &c->seats[0].reactor->roster;

    for (uint32_t i = 0; i < all->count; i++) {
        resume_if_wanted(c, all->at[i]);
        drop_if_surplus(c, all->at[i]);
    }
}

void
holdings_tick(struct cluster *c, uint64_t now_ns)
{
    if (c->draining || c->is_fixed ||
        (c->held_edits == c->book.edits && c->move_count == 0 && now_ns < c->holdings_at_ns))
        return;
    if (c->heard_edits != c->book.edits)
        c->heard_ns = now_ns;
    c->heard_edits = c->held_edits = c->book.edits;
    c->holdings_at_ns = now_ns + (uint64_t)RETRY_MS * NS_PER_MS;
    if (!cluster_may_make(c))
        return;
    make_missing(c);
    look_at_ours(c);
}
