/*
 * The ring (ring/) applied to an atlas: all its tablets at once, so that no node is overfull.
 *
 * A tablet's position follows from its lower bound alone: of the two halves of a split one stays where it is.
 */
#include "cluster/placement.h"

#include <stdlib.h>

#include "base/hash.h"
#include "base/mem.h"

#include "ring/place.h"

struct row {
    uint64_t tablet;
    uint32_t replicas;
    uint64_t holders[CLUSTER_REPLICAS_MAX]; /* zeros at the end */
};

struct placement {
    struct ring *ring;
    struct row *rows; /* owned; by tablet */
    uint32_t count;
};

static uint64_t
zone_of(const struct node_record *n)
{
    uint64_t zone = n->zone[0] == '\0' ? 0 : hash64(slice_str(n->zone));

    return zone == 0 && n->zone[0] != '\0' ? 1 : zone;
}

static enum status
make_ring(const struct atlas *a, struct ring **out)
{
    struct ring_node *nodes = mem_new_array(struct ring_node, a->node_count + (size_t)1);
    uint32_t count = 0;
    enum status st = ST_NO_MEMORY;

    for (uint32_t i = 0; nodes != NULL && i < a->node_count; i++) {
        const struct node_record *n = &a->nodes[i];

        if (n->state == NODE_MEMBER && n->weight > 0)
            nodes[count++] = (struct ring_node){ n->id, zone_of(n), n->weight };
    }
    if (nodes != NULL)
        st = count == 0 ? ST_NOT_FOUND : ring_create(out, nodes, count, NULL);
    mem_free(nodes);
    return st;
}

static struct ring_position
position_of(const struct tablet_record *t)
{
    return ring_position_of_tablet(t->keyspace, t->from, (struct slice){ 0 });
}

/* A tablet of a keyspace that was dropped is on its way out. */
static uint32_t
replicas_of(const struct atlas *a, const struct tablet_record *t)
{
    const struct atlas_keyspace *k = atlas_keyspace(a, t->keyspace);

    return k == NULL ? 0 : k->record.replicas;
}

static enum status
place(struct placement *p, const struct atlas *a, struct ring_tablet *tablets, uint64_t *holders)
{
    struct ring_bound bound = { CLUSTER_REPLICAS_MAX, RING_SLACK_PERMILLE };
    enum status st;

    for (uint32_t i = 0; i < a->tablet_count; i++) {
        const struct tablet_record *t = a->tablets[i];
        uint32_t replicas = replicas_of(a, t);

        if (replicas == 0)
            continue;
        p->rows[p->count] = (struct row){ .tablet = t->id, .replicas = replicas };
        tablets[p->count++] =
            (struct ring_tablet){ .position = position_of(t), .size = 1, .replicas = replicas };
    }
    st = ring_place(p->ring, tablets, p->count, &bound, holders);
    for (uint32_t i = 0; i < p->count && st == ST_OK; i++)
        memcpy(p->rows[i].holders, &holders[(size_t)i * CLUSTER_REPLICAS_MAX],
               sizeof(p->rows[i].holders));
    return st;
}

static enum status
place_all(struct placement *p, const struct atlas *a)
{
    size_t count = a->tablet_count + (size_t)1;
    struct ring_tablet *tablets = mem_new_array(struct ring_tablet, count);
    uint64_t *holders = mem_new_array(uint64_t, count * CLUSTER_REPLICAS_MAX);
    enum status st = ST_NO_MEMORY;

    p->rows = mem_new_array(struct row, count);
    if (tablets != NULL && holders != NULL && p->rows != NULL)
        st = place(p, a, tablets, holders);
    mem_free(tablets);
    mem_free(holders);
    return st;
}

struct placement *
placement_create(const struct atlas *a)
{
    struct placement *p = mem_new(struct placement);
    enum status st = p == NULL ? ST_NO_MEMORY : make_ring(a, &p->ring);

    if (st == ST_OK)
        st = place_all(p, a);
    if (st == ST_OK)
        return p;
    placement_destroy(p);
    return NULL;
}

void
placement_destroy(struct placement *p)
{
    if (p == NULL)
        return;
    mem_free(p->rows);
    ring_destroy(p->ring);
    mem_free(p);
}

/* ------------------------------------------------------------------ looking */

static int
compare_row(const void *key, const void *at)
{
    uint64_t tablet = *(const uint64_t *)key;
    const struct row *row = at;

    return (tablet > row->tablet) - (tablet < row->tablet);
}

static bool
votes(const struct tablet_record *t, uint64_t node)
{
    const struct tablet_member *m = tablet_record_member(t, node);

    return m != NULL && m->role == MEMBER_VOTER;
}

/* Where not all will vote, those who do already go on. */
static void
put_voters_first(const struct tablet_record *t, uint64_t *nodes, uint32_t count)
{
    uint32_t voters = 0;

    for (uint32_t i = 0; i < count; i++) {
        uint64_t node = nodes[i];

        if (!votes(t, node))
            continue;
        for (uint32_t j = i; j > voters; j--)
            nodes[j] = nodes[j - 1];
        nodes[voters++] = node;
    }
}

uint32_t
placement_of(const struct placement *p, const struct tablet_record *t,
             uint64_t out[CLUSTER_REPLICAS_MAX])
{
    const struct row *row = bsearch(&t->id, p->rows, p->count, sizeof(*row), compare_row);
    uint32_t count = 0;

    while (row != NULL && count < row->replicas && row->holders[count] != 0) {
        out[count] = row->holders[count];
        count++;
    }
    put_voters_first(t, out, count);
    return count;
}

uint32_t
placement_of_new(const struct placement *p, const struct tablet_record *t, uint32_t replicas,
                 uint64_t out[CLUSTER_REPLICAS_MAX])
{
    struct ring_choice choices[CLUSTER_REPLICAS_MAX];
    uint32_t count = ring_prefer(p->ring, position_of(t), replicas, choices);

    for (uint32_t i = 0; i < count; i++)
        out[i] = choices[i].node;
    return count;
}

const char *
placement_position(const struct tablet_record *t, char out[PLACEMENT_POSITION_BYTES])
{
    return ring_position_text(position_of(t), out);
}
