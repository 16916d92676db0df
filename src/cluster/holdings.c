/*
 * Which replicas this node has.
 *
 *      the record names us             and there is none       one is made, but where it comes out of another
 *      the record does not, or is gone and there is one        it is dropped
 *      the record names us again       and one is set aside    it is dropped: it was to be when this node started
 *
 * Either is done once the file ATLAS says so, too.  A start that found an older one would make a replica anew that
 * was dropped, as one that was there from the beginning; and where that was the only founder, have it lead.
 *
 * A tablet of which there is no record is left alone: what this node does not know of it, it may yet learn.
 *
 *   N1  The heir of a tablet that is here and has still to be split is made by that, with the data that is here
 *       (tablet/split.c).  An empty one in its place would pass for it: what we have of it would be let go, and other members
 *       as empty as we are could go on without it.  So what is made here of an heir founds nothing, either.
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

/* A replica on its way in or out. */
struct move {
    struct list link;
    struct cluster *cluster;
    uint64_t tablet;
    bool in;
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
begin_move(struct cluster *c, uint64_t tablet, bool in)
{
    struct move *m;

    if (c->move_count >= MOVES_AT_ONCE || is_moving(c, tablet))
        return NULL;
    m = mem_new(struct move);
    if (m == NULL)
        return NULL;
    *m = (struct move){ .cluster = c, .tablet = tablet, .in = in };
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

    if (st == ST_OK && m->in && m->tablet == ATLAS_META_TABLET)
        adopt_meta(c);
    mark_hit_if(st == ST_OK, m->in ? MARK_REPLICA_MADE : MARK_REPLICA_DROPPED);
    if (st == ST_OK)
        log_event(LOG_INFO, m->in ? "cluster.replica_made" : "cluster.replica_dropped",
                  log_u64("tablet", m->tablet));
    else if (st != ST_CLOSED)
        log_event(LOG_ERROR, m->in ? "cluster.replica_not_made" : "cluster.replica_not_dropped",
                  log_u64("tablet", m->tablet), log_err(err),
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

    m->in = false;
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
    struct move *m = begin_move(c, record->id, true);
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

static void
drop_if_surplus(struct cluster *c, struct tablet *t)
{
    struct move *m;
    enum status st;

    if (!tablet_is_aside(t) && !cluster_is_surplus(c, tablet_id(t)))
        return;
    m = begin_move(c, tablet_id(t), false);
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

/* What is dropped leaves the roster later. */
static void
drop_surplus(struct cluster *c)
{
    const struct tablet_roster *all = &c->seats[0].reactor->roster;

    for (uint32_t i = 0; i < all->count; i++)
        drop_if_surplus(c, all->at[i]);
}

void
holdings_tick(struct cluster *c, uint64_t now_ns)
{
    if (c->draining || c->is_fixed ||
        (c->held_edits == c->book.edits && c->move_count == 0 && now_ns < c->holdings_at_ns))
        return;
    c->held_edits = c->book.edits;
    c->holdings_at_ns = now_ns + (uint64_t)RETRY_MS * NS_PER_MS;
    if (c->saved < c->atlas->version)
        return;
    make_missing(c);
    drop_surplus(c);
}
