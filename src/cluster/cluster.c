/*
 * A node's part in its cluster, held together: opening, the atlas on its way to the loops, the ticks, the end.
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/assert.h"
#include "base/broken.h"
#include "base/log.h"
#include "base/mem.h"

#include "cluster/cluster_internal.h"
#include "engine/engine.h"
#include "tablet/tablet.h"

/* ------------------------------------------------------------------ looking */

const struct node_record *
cluster__ourselves(const struct cluster *c)
{
    return atlas_node(c->atlas, c->self);
}

struct node_record
cluster__as_we_are(const struct cluster *c)
{
    const struct cluster_options *o = &c->options;
    struct node_record r = { .id = c->self,
                             .state = NODE_MEMBER,
                             .weight = o->weight,
                             .peer = o->peer,
                             .client = o->client };

    snprintf(r.name, sizeof(r.name), "%s", o->name);
    snprintf(r.zone, sizeof(r.zone), "%s", o->zone);
    return r;
}

/* Nobody: a membership has a voter, and ours is to be told. */
static const uint64_t nobody = UINT64_MAX;

static void
add_voter(struct raft_config *out, uint64_t node)
{
    if (out->voter_count < RAFT_VOTERS_MAX)
        out->voters[out->voter_count++] = node;
}

/* Was the group born with this node, and has the node been in it ever since?  Whoever comes later, or again, joins
 * first, and votes only when it has what the others have: as a founder with an empty log it would believe that
 * the group is as at its birth, and if it had been alone then, lead it. */
static bool
is_founder(const struct tablet_record *record, uint64_t node)
{
    const struct tablet_member *m = tablet_record_member(record, node);

    return m != NULL && m->role == MEMBER_VOTER;
}

void
cluster__founders_of(const struct tablet_record *record, uint64_t self, struct raft_config *out)
{
    bool founds = is_founder(record, self) && (record->parent == 0 || BROKEN(HEIR_EMPTY)); /* N1 */

    *out = (struct raft_config){ 0 };
    for (uint32_t i = 0; i < record->founder_count; i++) {
        if (record->founders[i] != self || founds)
            add_voter(out, record->founders[i]);
    }
    if (out->voter_count == 0)
        add_voter(out, nobody);
    qsort(out->voters, out->voter_count, sizeof(out->voters[0]), record_compare_ids);
}

void
cluster_founders(const struct cluster *c, uint64_t tablet, struct raft_config *out)
{
    struct record_key key = { RECORD_TABLET, tablet };
    const struct page *page = book_find(&c->book, &key);
    struct record r;

    *out = (struct raft_config){ .voter_count = 1, .voters = { nobody } };
    if (c->book.version == 0)
        out->voters[0] = c->self; /* it was never of a cluster that others are in */
    else if (page != NULL && record_decode(&key, page->value, &r, NULL) == ST_OK)
        cluster__founders_of(&r.as.tablet, c->self, out);
}

const struct atlas *
cluster_atlas(const struct cluster *c)
{
    return c->atlas;
}

const struct atlas *
cluster_atlas_of(const struct cluster *c, uint32_t loop_index)
{
    return c->seats[loop_index].atlas;
}

/* ------------------------------------------------------------------ the atlas and the loops */

static void
seat_take(struct seat *s, const struct atlas *now)
{
    const struct atlas *old = s->atlas;
    const struct cluster_options *o = &s->cluster->options;

    s->atlas = now;
    wires_redraw(s, now, old);
    o->redrawn(o->ctx, s->index, now, old);
    atlas_unref(old);
}

static void
on_redrawn(struct task *task)
{
    struct seat *s = container_of(task, struct seat, atlas_task);
    const struct atlas *now;

    atomic_store(&s->atlas_posted, false);
    now = atomic_exchange(&s->next_atlas, NULL);
    if (now != NULL)
        seat_take(s, now);
}

/* The newest is enough. */
static void
tell_seat(struct seat *s, const struct atlas *now)
{
    atlas_unref(atomic_exchange(&s->next_atlas, atlas_ref(now)));
    s->atlas_task.run = on_redrawn;
    if (!atomic_exchange(&s->atlas_posted, true))
        loop_post(s->reactor->loop, &s->atlas_task);
}

void
cluster__redraw(struct cluster *c)
{
    const struct atlas *now = atlas_create(&c->book);

    c->redraw_due = now == NULL;
    if (now == NULL)
        return; /* cluster_tick() comes back */
    atlas_unref(c->atlas);
    c->atlas = now;
    for (uint32_t i = 0; i < c->options.reactor_count; i++)
        tell_seat(&c->seats[i], now);
}

/* ------------------------------------------------------------------ opening */

static enum status
make_seats(struct cluster *c)
{
    c->peers = mem_new_array(struct peer *, c->options.reactor_count);
    if (c->peers == NULL)
        return ST_NO_MEMORY;
    c->seats = mem_new_array(struct seat, c->options.reactor_count);
    if (c->seats == NULL)
        return ST_NO_MEMORY;
    for (uint32_t i = 0; i < c->options.reactor_count; i++) {
        struct seat *s = &c->seats[i];

        s->cluster = c;
        s->index = i;
        s->reactor = c->options.reactors[i];
        atomic_init(&s->next_atlas, NULL);
        atomic_init(&s->atlas_posted, false);
        list_init(&s->guests);
    }
    return ST_OK;
}

/* Before the loops run, each has the first one at once. */
static enum status
draw_first(struct cluster *c)
{
    const struct atlas *first = atlas_create(&c->book);

    if (first == NULL)
        return ST_NO_MEMORY;
    atlas_unref(c->atlas);
    c->atlas = first;
    for (uint32_t i = 0; i < c->options.reactor_count; i++) {
        atlas_unref(c->seats[i].atlas);
        c->seats[i].atlas = atlas_ref(first);
    }
    return ST_OK;
}

static const struct cluster_pace default_pace = {
    .gossip_ms = 1000, .suspicion_ms = 5000, .down_ms = 30000, .failure_ms = 600000
};

static void
set_pace(struct cluster *c, const struct cluster_pace *pace)
{
    atomic_store(&c->pace.gossip_ms, pace->gossip_ms);
    atomic_store(&c->pace.suspicion_ms, pace->suspicion_ms);
    atomic_store(&c->pace.down_ms, pace->down_ms);
    atomic_store(&c->pace.failure_ms, pace->failure_ms);
}

void
cluster_set_pace(struct cluster *c, const struct cluster_pace *pace)
{
    set_pace(c, pace);
    atomic_store(&c->pace.changed, true);
}

enum status
cluster_open(struct cluster **out, const struct cluster_options *options, struct err *err)
{
    struct cluster *c = mem_new(struct cluster);
    enum status st;

    if (c == NULL)
        return err_raise(err, ST_NO_MEMORY, "out of memory for the cluster");
    c->options = *options;
    set_pace(c, options->pace.gossip_ms == 0 ? &default_pace : &options->pace);
    c->engine = options->engine;
    c->env = engine_env(options->engine);
    c->loop = options->reactors[0]->loop;
    c->self = engine_identity(options->engine)->node;
    c->is_fixed = options->fixed != NULL;
    lock_init(&c->opinions_lock);
    list_init(&c->moves);
    list_init(&c->orders);
    incarnation_begin(c);
    env_random(c->env, &c->order_id, sizeof(c->order_id));
    st = make_seats(c);
    if (st == ST_OK)
        st =
            options->fixed == NULL ? shelf_load(c, err) : book_take(&c->book, *options->fixed, err);
    c->options.fixed = NULL;
    if (st == ST_OK)
        st = draw_first(c);
    if (st == ST_OK)
        st = office_create(c);
    if (st == ST_OK)
        st = watch_create(c);
    if (st == ST_OK)
        st = damages_create(c);
    if (st == ST_OK)
        st = scrub_create(c);
    if (st == ST_OK)
        *out = c;
    else
        cluster_close(c);
    return st == ST_NO_MEMORY ? err_raise(err, st, "out of memory for the cluster") : st;
}

static bool
is_of_none(const struct cluster *c)
{
    return cluster_id_is_none(engine_identity(c->engine)->cluster);
}

/* All of it, or nothing: a book that had a part would not be what the metadata was at any moment. */
static enum status
read_tree(struct cluster *c, struct err *err)
{
    struct buf feed = buf_empty(VERDICT_BYTES_MAX);
    struct book tree = { 0 };
    enum status st = feed_from_tree(c->meta, &tree, err);

    if (st == ST_OK)
        st = book_feed(&tree, 0, &feed);
    if (st == ST_OK && tree.version > 0)
        st = book_take(&c->book, buf_slice(&feed), err);
    book_release(&tree);
    buf_release(&feed);
    return st;
}

/* Then what this node knew of it when it ended will do, until they tell it more. */
static bool
others_have_metadata(const struct cluster *c)
{
    struct record_key key = { RECORD_TABLET, ATLAS_META_TABLET };
    const struct page *page = book_find(&c->book, &key);
    struct record r;

    return page != NULL && record_decode(&key, page->value, &r, NULL) == ST_OK &&
           r.as.tablet.member_count > 1;
}

/* A store that was to join a cluster, or has, begins none: there are others. */
static bool
is_founder_of_cluster(const struct cluster *c)
{
    return !is_of_none(c) && !engine_identity(c->engine)->joined;
}

static enum status
found(struct cluster *c, struct err *err)
{
    enum status st = found_cluster(c, err);

    if (st == ST_OK)
        st = read_tree(c, err);
    if (st == ST_OK && c->book.version == 0) /* they are in the log, and could not be applied */
        st = err_raise(err, ST_NO_MEMORY, "out of memory for the metadata");
    return st;
}

static enum status
read_metadata(struct cluster *c, struct err *err)
{
    enum status st = read_tree(c, err);

    if (st == ST_CORRUPT && others_have_metadata(c)) {
        tablet_tell_damage(c->meta, err);
        return ST_OK;
    }
    if (st == ST_OK && c->book.version == 0 && is_founder_of_cluster(c))
        st = found(c, err);
    return st;
}

enum status
cluster_begin(struct cluster *c, struct tablet *meta, struct err *err)
{
    enum status st = ST_OK;

    c->meta = meta;
    if (meta != NULL) {
        st = read_metadata(c, err);
        tablet_observe(meta, feed_applied, c);
    }
    if (st == ST_OK && draw_first(c) != ST_OK)
        st = err_raise(err, ST_NO_MEMORY, "out of memory for the cluster");
    if (st == ST_OK && !c->is_fixed)
        shelf_settle(c);
    return st;
}

bool
cluster_may_make(const struct cluster *c)
{
    return c->is_fixed || c->saved >= c->atlas->version;
}

enum status
cluster_connect(struct cluster *c, struct err *err)
{
    enum status st;

    if (is_of_none(c) || c->options.listen.port == 0)
        return ST_OK;
    st = wires_open(c, err);
    for (uint32_t i = 0; i < c->options.reactor_count && st == ST_OK; i++)
        wires_redraw(&c->seats[i], c->atlas, NULL);
    return st;
}

uint32_t
cluster_loop_of(const struct cluster *c, uint64_t tablet)
{
    return tablet == ATLAS_META_TABLET ? 0 : (uint32_t)(tablet % c->options.reactor_count);
}

bool
cluster_knows_nobody(const struct cluster *c)
{
    return !c->is_fixed && c->book.version == 0 && c->options.join.port == 0;
}

bool
cluster_begins_here(const struct cluster *c)
{
    return cluster_knows_nobody(c) && is_founder_of_cluster(c);
}

uint64_t
cluster_incarnation(const struct cluster *c)
{
    return c->incarnation;
}

bool
cluster_is_fixed(const struct cluster *c)
{
    return c->is_fixed;
}

void
cluster__adopted(struct cluster *c)
{
    wires_open_running(c);
}

/* ------------------------------------------------------------------ running */

static void
tick_first(struct cluster *c, uint64_t now_ns)
{
    if (c->redraw_due)
        cluster__redraw(c);
    entry_tick(c, now_ns);
    shelf_tick(c, now_ns);
    feed_tick(c, now_ns);
    holdings_tick(c, now_ns);
    watch_tick(c, now_ns);
    confirm_tick(c, now_ns);
    consult_tick(c, now_ns);
    office_tick(c, now_ns);
    orders_tick(c, now_ns, false);
    recover_tick(c, now_ns);
    scrub_tick(c, now_ns);
}

void
cluster_tick(struct cluster *c, uint32_t loop_index)
{
    struct seat *s = &c->seats[loop_index];
    uint64_t now_ns = loop_now_ns(s->reactor->loop);

    admission_seat_tick(s, now_ns);
    if (c->is_fixed)
        return; /* nobody sees to anything */
    groups_tick(s, now_ns);
    if (loop_index == 0)
        tick_first(c, now_ns);
}

void
cluster_drain(struct cluster *c)
{
    c->draining = true;
    entry_end(c);
    orders_tick(c, 0, true);
    recover_drain(c);
}

bool
cluster_idle(const struct cluster *c)
{
    return c->under_way == 0;
}

void
cluster_close(struct cluster *c)
{
    if (c == NULL)
        return;
    wires_close(c);
    entry_end(c);
    admission_close(c);
    office_destroy(c);
    watch_destroy(c);
    damages_destroy(c);
    scrub_destroy(c);
    for (uint32_t i = 0; c->seats != NULL && i < c->options.reactor_count; i++) {
        atlas_unref(atomic_exchange(&c->seats[i].next_atlas, NULL));
        atlas_unref(c->seats[i].atlas);
    }
    atlas_unref(c->atlas);
    buf_release(&c->save_bytes);
    buf_release(&c->read_bytes);
    book_release(&c->book);
    lock_release(&c->opinions_lock);
    mem_free(c->peers);
    mem_free(c->seats);
    mem_free(c);
}
