#include "cluster/withdrawal.h"

static bool
is_among(const uint64_t *nodes, uint32_t count, uint64_t node)
{
    for (uint32_t i = 0; i < count; i++) {
        if (nodes[i] == node)
            return true;
    }
    return false;
}

/* The nodes that are asked about. */
struct party {
    const uint64_t *nodes;
    uint32_t count;
};

static bool
keeps(const struct party *p, const struct node_record *n)
{
    return n->state == NODE_MEMBER && n->weight > 0 && !is_among(p->nodes, p->count, n->id);
}

uint32_t
withdrawal_keepers(const struct atlas *a, const uint64_t *going, uint32_t going_count)
{
    struct party p = { going, going_count };
    uint32_t count = 0;

    for (uint32_t i = 0; i < a->node_count; i++)
        count += keeps(&p, &a->nodes[i]);
    return count;
}

static bool
has_any(const struct party *p, const struct tablet_record *t)
{
    for (uint32_t i = 0; i < p->count; i++) {
        if (tablet_record_member(t, p->nodes[i]) != NULL)
            return true;
    }
    return false;
}

/* Who is a member, and is not said to have caught up, may have everything in a moment, but also never. */
static void
count_left(const struct steward_view *v, const struct party *p, struct withdrawal_harm *harm)
{
    const struct tablet_report *r = steward_report_of(v, harm->tablet->id);

    for (uint32_t i = 0; i < v->atlas->node_count; i++) {
        const struct node_record *n = &v->atlas->nodes[i];
        const struct report_member *said = r == NULL ? NULL : report_member(r, n->id);
        bool has_all = said != NULL && said->caught_up;

        if (!keeps(p, n) || v->health(v->ctx, n->id) != HEALTH_UP)
            continue;
        if (has_all || tablet_record_member(harm->tablet, n->id) == NULL)
            harm->left++;
        else
            harm->behind++;
    }
}

static uint32_t
count_voters(const struct tablet_record *t)
{
    uint32_t voters = 0;

    for (uint32_t i = 0; i < t->member_count; i++)
        voters += t->members[i].role == MEMBER_VOTER;
    return voters;
}

uint32_t
withdrawal_harms(const struct steward_view *v, const uint64_t *going, uint32_t going_count,
                 struct withdrawal_harm *out, uint32_t max)
{
    struct party p = { going, going_count };
    uint32_t count = 0;

    for (uint32_t i = 0; i < v->atlas->tablet_count; i++) {
        struct withdrawal_harm harm = { .tablet = v->atlas->tablets[i] };

        if (!has_any(&p, harm.tablet))
            continue;
        count_left(v, &p, &harm);
        harm.majority = count_voters(harm.tablet) / 2 + 1;
        if (harm.left >= harm.majority)
            continue;
        if (count < max)
            out[count] = harm;
        count++;
    }
    return count;
}

/* ------------------------------------------------------------------ room */

/* Bytes of the copies that would have to be made of it elsewhere: as many as go, but where there are
 * not so many nodes that have none. */
static uint64_t
bytes_to_make(const struct steward_view *v, const struct party *p, const struct tablet_record *t)
{
    const struct tablet_report *r = steward_report_of(v, t->id);
    uint32_t go = 0;
    uint32_t free = 0;

    for (uint32_t i = 0; i < p->count; i++)
        go += tablet_record_member(t, p->nodes[i]) != NULL;
    for (uint32_t i = 0; i < v->atlas->node_count; i++) {
        const struct node_record *n = &v->atlas->nodes[i];

        free += keeps(p, n) && tablet_record_member(t, n->id) == NULL;
    }
    return r == NULL ? 0 : r->bytes * (go < free ? go : free);
}

static uint32_t
weight_of_keepers(const struct atlas *a, const struct party *p)
{
    uint32_t weight = 0;

    for (uint32_t i = 0; i < a->node_count; i++)
        weight += keeps(p, &a->nodes[i]) ? a->nodes[i].weight : 0;
    return weight;
}

bool
withdrawal_crowds(const struct steward_view *v, const uint64_t *going, uint32_t going_count,
                  struct withdrawal_crowd *out)
{
    struct party p = { going, going_count };
    uint32_t weight = weight_of_keepers(v->atlas, &p);
    uint64_t bytes = 0;

    *out = (struct withdrawal_crowd){ 0 };
    for (uint32_t i = 0; i < v->atlas->tablet_count; i++)
        bytes += bytes_to_make(v, &p, v->atlas->tablets[i]);
    for (uint32_t i = 0; i < v->room_count && weight > 0; i++) {
        const struct steward_room *room = &v->rooms[i];
        const struct node_record *n = atlas_node(v->atlas, room->node);
        uint64_t more, percent;

        if (n == NULL || !keeps(&p, n))
            continue;
        more = bytes / weight * n->weight + bytes % weight * n->weight / weight;
        percent = (room->total_bytes - room->free_bytes + more) / (room->total_bytes / 100 + 1);
        if (more > 0 && percent > WITHDRAWAL_PERCENT_MAX && percent > out->percent)
            *out = (struct withdrawal_crowd){ n, (uint32_t)percent, more };
    }
    return out->node != NULL;
}
