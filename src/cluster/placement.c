#include "cluster/placement.h"

#include <stdio.h>

#include "base/hash.h"
#include "base/mem.h"

struct placement {
    const struct atlas *atlas;
};

struct placement *
placement_create(const struct atlas *a)
{
    struct placement *p = mem_new(struct placement);

    if (p != NULL)
        p->atlas = a;
    return p;
}

void
placement_destroy(struct placement *p)
{
    mem_free(p);
}

static uint64_t
score(const struct tablet_record *t, uint64_t node)
{
    return hash_u64(t->id ^ hash_u64(node));
}

static bool
votes(const struct tablet_record *t, uint64_t node)
{
    const struct tablet_member *m = tablet_record_member(t, node);

    return m != NULL && m->role == MEMBER_VOTER;
}

uint32_t
placement_of_new(const struct placement *p, const struct tablet_record *t, uint32_t replicas,
                 uint64_t out[CLUSTER_REPLICAS_MAX])
{
    uint32_t count = 0;

    for (uint32_t i = 0; i < p->atlas->node_count; i++) {
        const struct node_record *n = &p->atlas->nodes[i];
        uint32_t at = count;

        if (n->state != NODE_MEMBER || n->weight == 0)
            continue;
        while (at > 0 && score(t, out[at - 1]) < score(t, n->id))
            at--;
        if (at == replicas)
            continue;
        if (count < replicas)
            count++;
        for (uint32_t j = count - 1; j > at; j--)
            out[j] = out[j - 1];
        out[at] = n->id;
    }
    return count;
}

uint32_t
placement_of(const struct placement *p, const struct tablet_record *t,
             uint64_t out[CLUSTER_REPLICAS_MAX])
{
    const struct atlas_keyspace *k = atlas_keyspace(p->atlas, t->keyspace);
    uint32_t count = k == NULL ? 0 : placement_of_new(p, t, k->record.replicas, out);
    uint32_t voters = 0;

    for (uint32_t i = 0; i < count; i++) {
        uint64_t node = out[i];

        if (!votes(t, node))
            continue;
        for (uint32_t j = i; j > voters; j--)
            out[j] = out[j - 1];
        out[voters++] = node;
    }
    return count;
}

const char *
placement_position(const struct tablet_record *t, char out[PLACEMENT_POSITION_BYTES])
{
    snprintf(out, PLACEMENT_POSITION_BYTES, "%016llx%016llx", (unsigned long long)hash_u64(t->id),
             (unsigned long long)t->id);
    return out;
}
