/*
 * Orders about nodes.  Who goes is asked about first (withdrawal.h): nothing is changed unless every tablet stays
 * above its quorum.  Several go at once, or to nodes that would be rather full then, only when the operator says which
 * cluster is meant.
 */
#include <stdio.h>
#include <stdlib.h>

#include "cluster/orders_internal.h"
#include "cluster/withdrawal.h"

/* The nodes that one order names. */
struct party {
    const struct node_record *nodes[ORDER_WORDS_MAX];
    uint64_t ids[ORDER_WORDS_MAX];
    uint32_t count;
    bool confirmed; /* which cluster is meant */
};

/* ------------------------------------------------------------------ names */

static const struct node_record *
find_node(const struct cluster *c, struct slice word)
{
    const struct node_record *n = atlas_node_named(c->atlas, word);
    char text[24] = { 0 };
    char *end;

    if (n != NULL || word.size == 0 || word.size >= sizeof(text))
        return n;
    memcpy(text, word.data, word.size);
    n = atlas_node(c->atlas, strtoull(text, &end, 16));
    return *end == '\0' ? n : NULL;
}

/* The node that the word names; NULL: the order was refused. */
static const struct node_record *
node_of(struct order *o, uint32_t word)
{
    const struct node_record *n = find_node(o->cluster, o->words[word]);

    if (n == NULL)
        orders__refuse(o, ST_NOT_FOUND, "no node of this cluster is called %.*s",
                       (int)o->words[word].size, (const char *)o->words[word].data);
    return n;
}

/* False: the order was refused. */
static bool
join_party(struct order *o, struct party *p, uint32_t word)
{
    const struct node_record *n = node_of(o, word);

    if (n == NULL)
        return false;
    for (uint32_t i = 0; i < p->count; i++) {
        if (p->nodes[i] == n) {
            orders__refuse(o, ST_INVALID, "node %s is named twice", n->name);
            return false;
        }
    }
    p->nodes[p->count] = n;
    p->ids[p->count++] = n->id;
    return true;
}

/* "NODE..." or "NODE... confirm CLUSTER".  False: the order was refused. */
static bool
read_party(struct order *o, struct party *p)
{
    const char *name = o->cluster->atlas->cluster.name;
    bool confirmed = o->word_count >= 4 && orders__is_word(o->words[o->word_count - 2], "confirm");
    uint32_t limit = confirmed ? o->word_count - 2 : o->word_count;

    p->count = 0;
    p->confirmed = confirmed;
    if (confirmed && !slice_equal(o->words[o->word_count - 1], slice_str(name))) {
        orders__refuse(o, ST_INVALID, "this cluster is called %s, and not as was confirmed", name);
        return false;
    }
    for (uint32_t i = 1; i < limit; i++) {
        if (!join_party(o, p, i))
            return false;
    }
    if (p->count > 1 && !confirmed)
        orders__refuse(o, ST_INVALID, "%u nodes at once: say that you mean it with --confirm %s",
                       p->count, name);
    return p->count == 1 || confirmed;
}

static void
set_states(struct order *o, const struct party *p, enum node_state state)
{
    struct change *change = change_begin(o->cluster, o->cluster->atlas);
    enum status st = change == NULL ? ST_NO_MEMORY : ST_OK;

    for (uint32_t i = 0; i < p->count && st == ST_OK; i++) {
        struct record r = { .kind = RECORD_NODE, .as.node = *p->nodes[i] };

        r.as.node.state = state;
        st = change_put(change, &r);
    }
    orders__write_down(o, change, st);
}

/* ------------------------------------------------------------------ drain */

enum { HARMS_NAMED_MAX = 2, HARM_TEXT_MAX = 160 };

/* It may be only that a new leader does not know yet who has everything: then it is worth another try. */
static enum status
weight_of(const struct withdrawal_harm *harms, uint32_t count)
{
    for (uint32_t i = 0; i < count && i < HARMS_NAMED_MAX; i++) {
        if (harms[i].left + harms[i].behind < harms[i].majority)
            return ST_INVALID;
    }
    return ST_BUSY;
}

static void
refuse_harm(struct order *o, const struct withdrawal_harm *harms, uint32_t count)
{
    enum status st = weight_of(harms, count);
    char text[HARM_TEXT_MAX] = "";
    size_t at = 0;

    for (uint32_t i = 0; i < count && i < HARMS_NAMED_MAX; i++) {
        const struct atlas_keyspace *k =
            atlas_keyspace(o->cluster->atlas, harms[i].tablet->keyspace);
        int size = snprintf(text + at, sizeof(text) - at, "%s%016llx of %.20s (%u left, %u needed)",
                            i == 0 ? "" : ", ", (unsigned long long)harms[i].tablet->id,
                            k == NULL ? "?" : k->record.name, harms[i].left, harms[i].majority);

        at += (size_t)size < sizeof(text) - at ? (size_t)size : sizeof(text) - at - 1;
    }
    if (count > HARMS_NAMED_MAX) {
        orders__refuse(o, st, "%u tablets would be under their quorum: %s, and %u more", count,
                       text, count - HARMS_NAMED_MAX);
    } else {
        orders__refuse(o, st, "%u tablet%s would be under %s quorum: %s", count,
                       count == 1 ? "" : "s", count == 1 ? "its" : "their", text);
    }
}

static void
refuse_crowd(struct order *o, const struct withdrawal_crowd *crowd)
{
    orders__refuse(
        o, ST_NO_SPACE,
        "the disk of node %s would be %u %% full: it would get %llu MB more, and %d %% are "
        "the most. Add a node, or say that you mean it with --confirm %s",
        crowd->node->name, crowd->percent, (unsigned long long)(crowd->more >> 20),
        WITHDRAWAL_PERCENT_MAX, o->cluster->atlas->cluster.name);
}

/* False: the order was refused. */
static bool
may_drain(struct order *o, const struct node_record *n)
{
    if (n->state == NODE_REMOVED) {
        orders__refuse(o, ST_INVALID, "node %s was removed", n->name);
    } else if (n->state == NODE_FAILED) {
        orders__refuse(o, ST_INVALID,
                       "node %s has failed, and others are taking its place already; remove it "
                       "when nothing is left on it",
                       n->name);
    } else {
        return true;
    }
    return false;
}

static void
drain_party(struct order *o, const struct party *p)
{
    struct withdrawal_harm harms[HARMS_NAMED_MAX];
    struct withdrawal_crowd crowd;
    struct steward_view v;
    uint32_t count;

    for (uint32_t i = 0; i < p->count; i++) {
        if (!may_drain(o, p->nodes[i]))
            return;
    }
    office_view(o->cluster, &v);
    count = withdrawal_harms(&v, p->ids, p->count, harms, HARMS_NAMED_MAX);
    if (withdrawal_keepers(v.atlas, p->ids, p->count) == 0) {
        orders__refuse(o, ST_INVALID, "nobody would be left to take over what node %s has",
                       p->nodes[0]->name);
    } else if (count > 0) {
        refuse_harm(o, harms, count);
    } else if (!p->confirmed && withdrawal_crowds(&v, p->ids, p->count, &crowd)) {
        refuse_crowd(o, &crowd);
    } else {
        set_states(o, p, NODE_DRAINING);
    }
}

void
orders__drain(struct order *o)
{
    struct party p;

    if (read_party(o, &p))
        drain_party(o, &p);
}

void
orders__undrain(struct order *o)
{
    struct party p = { 0 };

    if (!join_party(o, &p, 1))
        return;
    if (p.nodes[0]->state != NODE_DRAINING) {
        orders__refuse(o, ST_INVALID, "node %s is not draining; its state is: %s", p.nodes[0]->name,
                       node_state_name(p.nodes[0]->state));
    } else {
        set_states(o, &p, NODE_MEMBER);
    }
}

/* Where its copies go is the ring's matter; the new node is there to have its share. */
void
orders__replace(struct order *o)
{
    struct party old = { 0 };
    const struct node_record *new;

    if (!join_party(o, &old, 1))
        return;
    new = node_of(o, 2);
    if (new == NULL)
        return;
    if (new == old.nodes[0]) {
        orders__refuse(o, ST_INVALID, "node %s cannot replace itself", new->name);
    } else if (new->state != NODE_MEMBER || new->weight == 0) {
        orders__refuse(o, ST_INVALID,
                       "node %s can take nothing over: its state is %s, its weight %u", new->name,
                       node_state_name(new->state), new->weight);
    } else if (watch_health(o->cluster, new->id) != HEALTH_UP) {
        orders__refuse(o, ST_INVALID, "node %s can take nothing over: it does not answer",
                       new->name);
    } else {
        drain_party(o, &old);
    }
}

/* ------------------------------------------------------------------ remove */

/* A tablet that still has a copy there; NULL: none has. */
static const struct tablet_record *
tablet_on(const struct cluster *c, uint64_t node, uint32_t *count)
{
    const struct tablet_record *first = NULL;

    *count = 0;
    for (uint32_t i = 0; i < c->atlas->tablet_count; i++) {
        if (tablet_record_member(c->atlas->tablets[i], node) == NULL)
            continue;
        first = first == NULL ? c->atlas->tablets[i] : first;
        (*count)++;
    }
    return first;
}

/* False: the order was refused. */
static bool
may_remove(struct order *o, const struct node_record *n)
{
    uint32_t count;
    const struct tablet_record *left = tablet_on(o->cluster, n->id, &count);

    if (n->state == NODE_REMOVED) {
        orders__refuse(o, ST_INVALID, "node %s was removed already", n->name);
    } else if (left != NULL) {
        orders__refuse(o, ST_INVALID,
                       "node %s still has copies of %u tablets, %016llx among them; drain it "
                       "first, and wait until it has none",
                       n->name, count, (unsigned long long)left->id);
    } else {
        return true;
    }
    return false;
}

void
orders__remove(struct order *o)
{
    struct party p;

    if (!read_party(o, &p))
        return;
    for (uint32_t i = 0; i < p.count; i++) {
        if (!may_remove(o, p.nodes[i]))
            return;
    }
    set_states(o, &p, NODE_REMOVED);
}
