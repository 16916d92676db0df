/*
 * How a node becomes a member, and how it is let in.
 *
 *      ours    no record of us, or another one than we are      ── petition ──> any member
 *                TOLD      a new store takes on the cluster's id, and asks again as one of it
 *                WELCOME   the feed goes into the book
 *                LATER     asked again, somebody else perhaps
 *                REFUSED   for good
 *
 *      theirs  heard on any loop ──> judged on loop 0 ──(a change of the metadata)──> answered on its loop
 *
 * A petition may be repeated as often as one likes: whoever is a member as it asks to be is welcome.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/assert.h"
#include "base/log.h"
#include "base/mark.h"
#include "base/mem.h"

#include "cluster/cluster_internal.h"
#include "engine/engine.h"
#include "ring/ring.h"

enum {
    PETITION_EVERY_MS = 500,
    PETITION_FROM_ALONE_EVERY_MS = 10000,
    ISOLATED_MS =
        5000, /* of everybody's silence; whoever hears nobody is the last to believe it (swim/) */
    CLOCKS_APART_MS_MAX = 10000, /* beyond: a node is not let in */
    GUESTS_MAX = 64,             /* of a loop at a time */
};

/* ------------------------------------------------------------------ who is let in */

/* Somebody who wants to be of the cluster. */
struct guest {
    struct seat *seat;
    struct dialog *dialog; /* NULL: it has hung up */
    struct petition petition;
    struct task task; /* to loop 0, and back */
    struct verdict verdict;
    char text[VERDICT_TEXT_MAX];
    struct buf reply;
};

static void
guest_free(struct guest *g)
{
    dialog_end(g->dialog);
    buf_release(&g->reply);
    mem_free(g);
}

static void
answer_on_its_loop(struct task *task)
{
    struct guest *g = container_of(task, struct guest, task);

    if (g->dialog == NULL || g->reply.size == 0)
        guest_free(g);
    else
        dialog_reply(g->dialog, &g->reply);
}

/* On loop 0. */
static void
send_back(struct guest *g)
{
    struct cluster *c = g->seat->cluster;
    struct buf feed = buf_empty(VERDICT_BYTES_MAX);
    enum status st = ST_OK;

    memcpy(g->verdict.cluster, engine_identity(c->engine)->cluster, CLUSTER_ID_BYTES);
    g->verdict.text = slice_str(g->text);
    if (g->verdict.kind == VERDICT_WELCOME)
        st = book_feed(&c->book, 0, &feed);
    g->verdict.feed = buf_slice(&feed);
    g->reply = buf_empty(VERDICT_BYTES_MAX);
    if (st == ST_OK)
        st = verdict_encode(&g->verdict, &g->reply);
    if (st != ST_OK)
        buf_release(&g->reply); /* it hangs up, and is asked again */
    buf_release(&feed);
    c->under_way--;
    g->task.run = answer_on_its_loop;
    loop_post(g->seat->reactor->loop, &g->task);
}

static void PRINTF_LIKE(3, 4) say(struct guest *g, enum verdict_kind kind, const char *fmt, ...)
{
    va_list args;

    g->verdict.kind = kind;
    va_start(args, fmt);
    vsnprintf(g->text, sizeof(g->text), fmt, args);
    va_end(args);
    mark_hit_if(kind == VERDICT_REFUSED, MARK_NODE_REFUSED);
    if (kind == VERDICT_REFUSED)
        log_event(LOG_WARN, "cluster.entry_refused", log_u64("node", g->petition.node.id),
                  log_str("name", g->petition.node.name), log_str("reason", g->text));
    send_back(g);
}

static void
is_entered(void *ctx, enum status st, const struct err *err)
{
    struct guest *g = ctx;

    (void)err;
    mark_hit_if(st == ST_OK, MARK_NODE_ENTERED);
    if (st == ST_OK) {
        log_event(LOG_INFO, "cluster.entered", log_u64("node", g->petition.node.id),
                  log_str("name", g->petition.node.name));
        say(g, VERDICT_WELCOME, "%s", "");
    } else {
        say(g, VERDICT_LATER, "the cluster's metadata could not be changed (%s)", status_name(st));
    }
}

static bool
is_of_none(const uint8_t cluster[CLUSTER_ID_BYTES])
{
    static const uint8_t none[CLUSTER_ID_BYTES];

    return memcmp(cluster, none, CLUSTER_ID_BYTES) == 0;
}

static bool
same_address(const struct node_address *a, const struct node_address *b)
{
    return strcmp(a->host, b->host) == 0 && a->port == b->port;
}

/* What a node says of itself; its state is the cluster's to say. */
static bool
says_the_same(const struct node_record *a, const struct node_record *b)
{
    return strcmp(a->name, b->name) == 0 && strcmp(a->zone, b->zone) == 0 &&
           a->weight == b->weight && same_address(&a->peer, &b->peer) &&
           same_address(&a->client, &b->client);
}

static uint32_t
count_nodes(const struct atlas *a)
{
    uint32_t count = 0;

    for (uint32_t i = 0; i < a->node_count; i++)
        count += a->nodes[i].state != NODE_REMOVED;
    return count;
}

/* Why it cannot be let in: NULL when it can. */
static const char *
objection(const struct cluster *c, const struct petition *p, char text[VERDICT_TEXT_MAX])
{
    const struct engine_identity *us = engine_identity(c->engine);
    const struct node_record *known = atlas_node(c->atlas, p->node.id);
    const struct node_record *namesake = atlas_node_named(c->atlas, slice_str(p->node.name));
    int64_t apart_ms = (int64_t)(p->wall_ms - env_wall_ms(c->env));

    if (!is_of_none(p->cluster) && memcmp(p->cluster, us->cluster, CLUSTER_ID_BYTES) != 0) {
        snprintf(text, VERDICT_TEXT_MAX,
                 "its data directory belongs to another cluster; start it without --join, or with "
                 "an empty data directory");
    } else if (known != NULL && known->state == NODE_REMOVED) {
        snprintf(text, VERDICT_TEXT_MAX,
                 "node %016llx was removed from this cluster, and stays out; with an empty data "
                 "directory it joins as a new node",
                 (unsigned long long)p->node.id);
    } else if (known == NULL &&
               (apart_ms > CLOCKS_APART_MS_MAX || apart_ms < -CLOCKS_APART_MS_MAX)) {
        snprintf(text, VERDICT_TEXT_MAX,
                 "its clock is %lld.%03lld s %s ours, and at most %d s are allowed; set it first",
                 (long long)llabs(apart_ms) / 1000, (long long)llabs(apart_ms) % 1000,
                 apart_ms > 0 ? "ahead of" : "behind", CLOCKS_APART_MS_MAX / 1000);
    } else if (p->node.id == c->self) {
        snprintf(text, VERDICT_TEXT_MAX, "it is the node that it asks; --join names another one");
    } else if (namesake != NULL && namesake->id != p->node.id) {
        snprintf(text, VERDICT_TEXT_MAX,
                 "another node of this cluster has the name %s; choose one with --node-name",
                 p->node.name);
    } else if (p->node.weight != 0 &&
               (p->node.weight < RING_WEIGHT_MIN || p->node.weight > RING_WEIGHT_MAX)) {
        snprintf(text, VERDICT_TEXT_MAX, "its weight is %u, and is to be 0, or %d to %d",
                 p->node.weight, RING_WEIGHT_MIN, RING_WEIGHT_MAX);
    } else if (p->node.name[0] == '\0' || p->node.peer.port == 0 || p->node.peer.host[0] == '\0') {
        snprintf(text, VERDICT_TEXT_MAX, "it says neither its name nor where it can be called");
    } else if (known == NULL && count_nodes(c->atlas) >= TABLET_NODES_MAX) {
        snprintf(text, VERDICT_TEXT_MAX, "the cluster has %d nodes, and can have no more",
                 TABLET_NODES_MAX);
    } else {
        return NULL;
    }
    return text;
}

/* Its record as it is to be. */
static struct node_record
record_of(const struct cluster *c, const struct petition *p)
{
    const struct node_record *known = atlas_node(c->atlas, p->node.id);
    struct node_record r = p->node;

    r.state = known == NULL ? NODE_MEMBER : known->state;
    r.joined_ms = known == NULL ? env_wall_ms(c->env) : known->joined_ms;
    return r;
}

static void
let_in(struct cluster *c, struct guest *g)
{
    struct record r = { .kind = RECORD_NODE, .as.node = record_of(c, &g->petition) };
    struct change *change = change_begin(c, c->atlas);

    if (change == NULL || change_put(change, &r) != ST_OK) {
        change_drop(change);
        say(g, VERDICT_LATER, "out of memory");
        return;
    }
    change_commit(change, is_entered, g);
}

/* On loop 0. */
static void
judge(struct task *task)
{
    struct guest *g = container_of(task, struct guest, task);
    struct cluster *c = g->seat->cluster;
    const struct node_record *known = atlas_node(c->atlas, g->petition.node.id);
    char text[VERDICT_TEXT_MAX];

    c->under_way++;
    if (c->draining || cluster__ourselves(c) == NULL)
        say(g, VERDICT_LATER, "the node that was asked is no member itself just now");
    else if (objection(c, &g->petition, text) != NULL)
        say(g, VERDICT_REFUSED, "%s", text);
    else if (is_of_none(g->petition.cluster))
        say(g, VERDICT_TOLD, "%s", "");
    else if (known != NULL && says_the_same(known, &g->petition.node))
        say(g, VERDICT_WELCOME, "%s", "");
    else
        let_in(c, g);
}

/* A dialog has been heard, has been answered, or has failed. */
static void
on_guest(struct dialog *d, enum status st, struct slice body, const struct err *err)
{
    struct guest *g = d->ctx;
    struct err unread;

    (void)err;
    if (st == ST_OK && !d->over)
        st = petition_decode(body, &g->petition, &unread);
    if (st == ST_OK && !d->over) {
        g->task.run = judge;
        loop_post(g->seat->cluster->loop, &g->task);
        return;
    }
    if (st != ST_OK && !d->over)
        log_event(LOG_WARN, "cluster.petition_unread", log_err(&unread));
    guest_free(g); /* nothing of it is on another loop: it waits for no answer now */
}

void
entry_stranger(struct seat *s, struct stream *stream, struct slice begin)
{
    struct guest *g = mem_new(struct guest);
    uint32_t count = 0;

    list_each (at, &s->guests)
        count++;
    if (g == NULL || count >= GUESTS_MAX) {
        mem_free(g);
        stream_close(stream);
        return;
    }
    g->seat = s;
    g->dialog = dialog_answer(s->reactor->loop, stream, begin, on_guest, g);
    if (g->dialog == NULL)
        mem_free(g);
    else
        list_push_back(&s->guests, &g->dialog->link);
}

/* A guest that is being judged waits for as long as that takes. */
void
entry_seat_tick(struct seat *s, uint64_t now_ns)
{
    struct list *at = s->guests.next;

    while (at != &s->guests) {
        struct dialog *d = container_of(at, struct dialog, link);

        at = at->next;
        if (!d->heard || d->out.size > 0)
            dialog_due(d, now_ns);
    }
}

/* ------------------------------------------------------------------ our own petition */

static void
is_adopted(struct job *job)
{
    struct cluster *c = container_of(job, struct cluster, adopt_job);

    c->under_way--;
    c->adopting = false;
    c->petition_at_ns = 0;
    if (c->adopt_status == ST_OK)
        cluster__adopted(c);
}

static void
adopt(struct job *job)
{
    struct cluster *c = container_of(job, struct cluster, adopt_job);
    struct err err;

    c->adopt_status = engine_adopt(c->engine, c->adopted, &err);
    if (c->adopt_status != ST_OK)
        log_event(LOG_ERROR, "cluster.not_adopted", log_err(&err));
}

static void
begin_to_adopt(struct cluster *c, const struct verdict *v)
{
    memcpy(c->adopted, v->cluster, CLUSTER_ID_BYTES);
    c->adopting = true;
    c->under_way++;
    c->adopt_job = (struct job){ .run = adopt, .done = is_adopted, .loop = c->loop };
    env_submit(c->env, ENV_LANE_FLUSH, &c->adopt_job);
}

static void
be_refused(struct cluster *c, struct slice text)
{
    struct err err;

    c->is_refused = true;
    if (err_raise(&err, ST_INVALID, "the cluster does not let this node in: %.*s", (int)text.size,
                  (const char *)text.data) != ST_OK)
        c->options.refused(c->options.ctx, &err);
}

static void
hear_verdict(struct cluster *c, const struct verdict *v)
{
    switch (v->kind) {
    case VERDICT_TOLD:
        begin_to_adopt(c, v);
        break;
    case VERDICT_WELCOME:
        feed_came(c, v->feed);
        break;
    case VERDICT_REFUSED:
        be_refused(c, v->text);
        break;
    case VERDICT_LATER:
        log_event(LOG_INFO, "cluster.entry_later", log_slice("reason", v->text));
        break;
    }
}

static void
on_verdict(struct dialog *d, enum status st, struct slice body, const struct err *err)
{
    struct cluster *c = d->ctx;
    struct verdict v;
    struct err unread;

    if (st == ST_OK) {
        st = verdict_decode(body, &v, &unread);
        err = &unread;
    }
    if (st == ST_OK)
        hear_verdict(c, &v);
    else if (refrain_tells(&c->petition_failures, loop_now_ns(c->loop), slice_str(err->text))) {
        log_event(LOG_WARN, "cluster.petition_failed", log_err(err),
                  log_str("effect", "tried again, with another member if one is known"),
                  log_u64("untold", refrain_untold(&c->petition_failures)));
    }
    dialog_end(d);
    c->petition = NULL;
    c->under_way--;
}

/* Any member that we know of, and whom --join names, in turn. */
static const struct node_address *
whom_to_ask(struct cluster *c)
{
    uint32_t known = c->atlas->node_count;
    bool named = c->options.join.port != 0;
    uint32_t at;

    if (known + named == 0)
        return NULL;
    at = c->petition_turn++ % (known + named);
    if (at == known)
        return &c->options.join;
    if (c->atlas->nodes[at].id == c->self || c->atlas->nodes[at].state == NODE_REMOVED)
        return named ? &c->options.join : NULL;
    return &c->atlas->nodes[at].peer;
}

static void
is_renamed(void *ctx, enum status st, const struct err *err)
{
    (void)ctx;
    (void)err;
    if (st != ST_OK)
        log_event(LOG_DEBUG, "cluster.own_record_deferred", log_str("status", status_name(st)));
}

/* Who is alone has nobody to ask. */
static void
change_own_record(struct cluster *c)
{
    struct record r = { .kind = RECORD_NODE, .as.node = cluster__as_we_are(c) };
    struct change *change = change_begin(c, c->atlas);

    r.as.node.state = cluster__ourselves(c)->state;
    r.as.node.joined_ms = cluster__ourselves(c)->joined_ms;
    if (change == NULL || change_put(change, &r) != ST_OK)
        change_drop(change);
    else
        change_commit(change, is_renamed, c);
}

static void
petition(struct cluster *c)
{
    const struct node_address *to = whom_to_ask(c);
    struct petition p = { .wall_ms = env_wall_ms(c->env), .node = cluster__as_we_are(c) };
    struct buf parcel = buf_empty(PETITION_BYTES_MAX + PARCEL_HEAD_BYTES + PARCEL_TAIL_BYTES);

    memcpy(p.cluster, engine_identity(c->engine)->cluster, CLUSTER_ID_BYTES);
    if (to != NULL && petition_encode(&p, &parcel) == ST_OK)
        c->petition = dialog_call(c->loop, c->options.node->carrier, to, &parcel, on_verdict, c);
    c->under_way += c->petition != NULL;
    buf_release(&parcel);
}

static bool
is_as_known(const struct cluster *c)
{
    const struct node_record *known = cluster__ourselves(c);
    struct node_record now = cluster__as_we_are(c);

    return known != NULL && says_the_same(known, &now);
}

/* Nobody is heard: they may have removed us, and who is removed is not spoken to any more.  A petition is
 * answered all the same. */
static bool
is_isolated(const struct cluster *c)
{
    uint32_t others = 0;

    for (uint32_t i = 0; i < c->atlas->node_count; i++) {
        const struct node_record *n = &c->atlas->nodes[i];

        if (n->id == c->self || n->state == NODE_REMOVED)
            continue;
        if (survey_silent_ms(c, n->id) < ISOLATED_MS)
            return false;
        others++;
    }
    return others > 0;
}

/* A store that is a cluster of one already, and is told to join somebody: they say that this cannot be, and so
 * the operator hears of it. */
static bool
asks_from_alone(const struct cluster *c)
{
    const struct node_record *us = cluster__ourselves(c);

    return us != NULL && is_as_known(c) && count_nodes(c->atlas) == 1 &&
           c->options.join.port != 0 && !same_address(&us->peer, &c->options.join);
}

void
entry_tick(struct cluster *c, uint64_t now_ns)
{
    bool from_alone = asks_from_alone(c);

    if (c->petition != NULL)
        dialog_due(c->petition, now_ns);
    if (c->draining || c->is_refused || c->adopting || c->petition != NULL ||
        now_ns < c->petition_at_ns || (is_as_known(c) && !from_alone && !is_isolated(c)))
        return;
    c->petition_at_ns =
        now_ns +
        (uint64_t)(from_alone ? PETITION_FROM_ALONE_EVERY_MS : PETITION_EVERY_MS) * NS_PER_MS;
    if (!from_alone && cluster__ourselves(c) != NULL && count_nodes(c->atlas) == 1)
        change_own_record(c);
    else
        petition(c);
}

void
entry_drain(struct cluster *c)
{
    if (c->petition == NULL)
        return;
    dialog_end(c->petition);
    c->petition = NULL;
    c->under_way--;
}

void
entry_close(struct cluster *c)
{
    dialog_end(c->petition);
    c->petition = NULL;
    for (uint32_t i = 0; c->seats != NULL && i < c->options.reactor_count; i++) {
        struct list *at;

        while ((at = list_pop_front(&c->seats[i].guests)) != NULL)
            guest_free(container_of(at, struct dialog, link)->ctx);
    }
}
