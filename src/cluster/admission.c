/*
 * How others become members (entry.c is the other side).
 *
 *      heard on any loop ──> judged on loop 0 ──(a change of the metadata)──> answered on its loop
 *
 * A petition may be repeated as often as one likes: whoever is a member as it asks to be is welcome.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/log.h"
#include "base/mark.h"
#include "base/mem.h"

#include "cluster/cluster_internal.h"
#include "engine/engine.h"
#include "ring/ring.h"

enum {
    CLOCKS_APART_MS_MAX = 10000, /* beyond: a node is not let in */
    GUESTS_MAX = 64,             /* of a loop at a time */
};

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

/* Why it cannot be let in: NULL when it can. */
static const char *
objection(const struct cluster *c, const struct petition *p, char text[VERDICT_TEXT_MAX])
{
    const struct engine_identity *us = engine_identity(c->engine);
    const struct node_record *known = atlas_node(c->atlas, p->node.id);
    const struct node_record *namesake = atlas_node_named(c->atlas, slice_str(p->node.name));
    int64_t apart_ms = (int64_t)(p->wall_ms - env_wall_ms(c->env));

    if (!cluster_id_is_none(p->cluster) && memcmp(p->cluster, us->cluster, CLUSTER_ID_BYTES) != 0) {
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
    } else if (known == NULL && atlas_count_nodes(c->atlas) >= TABLET_NODES_MAX) {
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
    else if (cluster_id_is_none(g->petition.cluster))
        say(g, VERDICT_TOLD, "%s", "");
    else if (known != NULL && node_record_says_same(known, &g->petition.node))
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
admission_stranger(struct seat *s, struct stream *stream, struct slice begin)
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
admission_seat_tick(struct seat *s, uint64_t now_ns)
{
    struct list *at = s->guests.next;

    while (at != &s->guests) {
        struct dialog *d = container_of(at, struct dialog, link);

        at = at->next;
        if (!d->heard || d->out.size > 0)
            dialog_due(d, now_ns);
    }
}

void
admission_close(struct cluster *c)
{
    for (uint32_t i = 0; c->seats != NULL && i < c->options.reactor_count; i++) {
        struct list *at;

        while ((at = list_pop_front(&c->seats[i].guests)) != NULL)
            guest_free(container_of(at, struct dialog, link)->ctx);
    }
}
