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
