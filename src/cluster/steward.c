#include "cluster/steward.h"

#include <stdlib.h>

#include "base/assert.h"
#include "base/mem.h"

#include "cluster/split.h"

/* A plan being made. */
struct planning {
    const struct steward_view *view;
    struct plan *plan;
    struct tally *tally; /* of each node of the atlas */
    uint64_t *splitting; /* tablets of which somebody has still to make the heir, ascending */
    uint32_t splitting_count;
};

struct tally {
    uint32_t joins; /* replicas that it is getting */
    uint32_t leads; /* tablets that it should lead */
};

/* ------------------------------------------------------------------ looking */

static int
compare_report(const void *key, const void *at)
{
    uint64_t tablet = *(const uint64_t *)key;
    const struct tablet_report *r = at;

    return (tablet > r->tablet) - (tablet < r->tablet);
}

const struct steward_room *
steward_room_of(const struct steward_view *v, uint64_t node)
{
    for (uint32_t i = 0; i < v->room_count; i++) {
        if (v->rooms[i].node == node)
            return &v->rooms[i];
    }
    return NULL;
}

const struct tablet_report *
steward_report_of(const struct steward_view *v, uint64_t tablet)
{
    if (v->report_count == 0)
        return NULL;
    return bsearch(&tablet, v->reports, v->report_count, sizeof(v->reports[0]), compare_report);
}

bool
steward_is_damaged(const struct steward_view *v, const struct tablet_record *t, uint64_t node)
{
    for (uint32_t i = 0; i < v->damage_count; i++) {
        const struct steward_damage *d = &v->damages[i];

        if (d->tablet == t->id && d->node == node && d->basis >= t->version)
            return true;
    }
    return false;
}

/* 0: none of them is. */
static uint64_t
damaged_member(const struct steward_view *v, const struct tablet_record *t)
{
    for (uint32_t i = 0; i < t->member_count && v->damage_count > 0; i++) {
        if (steward_is_damaged(v, t, t->members[i].node))
            return t->members[i].node;
    }
    return 0;
}

static enum node_health
health_of(const struct steward_view *v, uint64_t node)
{
    return v->health(v->ctx, node);
}

static bool
is_up(const void *ctx, uint64_t node)
{
    return health_of(ctx, node) == HEALTH_UP;
}

/* NULL: the atlas does not know it. */
static struct tally *
tally_of(const struct planning *p, uint64_t node)
{
    const struct node_record *n = atlas_node(p->view->atlas, node);

    return n == NULL ? NULL : &p->tally[n - p->view->atlas->nodes];
}

static bool
is_full(const struct planning *p)
{
    return p->plan->count == PLAN_RECORDS_MAX;
}

static void
write_tablet(struct planning *p, const struct tablet_record *t)
{
    ASSERT(!is_full(p));
    p->plan->records[p->plan->count++] = (struct record){ .kind = RECORD_TABLET, .as.tablet = *t };
}

/* ------------------------------------------------------------------ nodes */

/* Others take the place of who is lost; who comes back before it was removed is a member as before. */
static void
plan_nodes(struct planning *p)
{
    const struct atlas *a = p->view->atlas;

    for (uint32_t i = 0; i < a->node_count && !is_full(p); i++) {
        struct record r = { .kind = RECORD_NODE, .as.node = a->nodes[i] };
        enum node_health health = health_of(p->view, a->nodes[i].id);

        if (a->nodes[i].state == NODE_FAILED && health == HEALTH_UP)
            r.as.node.state = NODE_MEMBER;
        else if ((a->nodes[i].state == NODE_MEMBER || a->nodes[i].state == NODE_DRAINING) &&
                 health == HEALTH_LOST)
            r.as.node.state = NODE_FAILED;
        else
            continue;
        p->plan->records[p->plan->count++] = r;
    }
}

/* ------------------------------------------------------------------ tablets */

uint32_t
steward_copies(const struct steward_view *v, const struct tablet_record *t)
{
    const struct tablet_report *r = steward_report_of(v, t->id);
    uint32_t copies = 0;

    for (uint32_t i = 0; r != NULL && i < r->member_count; i++)
        copies += r->members[i].caught_up && is_up(v, r->members[i].node) &&
                  !steward_is_damaged(v, t, r->members[i].node);
    return copies;
}

static int
compare_needs(const void *a, const void *b)
{
    const struct steward_need *x = a;
    const struct steward_need *y = b;

    if (x->copies != y->copies)
        return x->copies < y->copies ? -1 : 1;
    return (x->tablet->id > y->tablet->id) - (x->tablet->id < y->tablet->id);
}

/* Who is getting a replica, and has not caught up yet. */
static void
count_joins(struct planning *p)
{
    const struct atlas *a = p->view->atlas;

    for (uint32_t i = 0; i < a->tablet_count; i++) {
        const struct tablet_record *t = a->tablets[i];
        const struct tablet_report *r = steward_report_of(p->view, t->id);

        for (uint32_t m = 0; m < t->member_count; m++) {
            struct tally *tally = tally_of(p, t->members[m].node);
            const struct report_member *said =
                r == NULL ? NULL : report_member(r, t->members[m].node);

            if (t->members[m].role == MEMBER_JOINING && tally != NULL &&
                (said == NULL || !said->caught_up))
                tally->joins++;
        }
    }
}

static bool
may_join(const struct planning *p, const struct tablet_record *t, const struct step_options *o)
{
    for (uint32_t i = 0; i < o->wanted_count; i++) {
        const struct tally *tally = tally_of(p, o->wanted[i]);

        if (tablet_record_member(t, o->wanted[i]) == NULL && tally != NULL &&
            tally->joins >= p->view->joins_max)
            return false;
    }
    return true;
}

/* A copy that was damaged, and is forgotten, is dropped when its node has heard so; joined anew at once, it would
 * never hear it.  What the node has said of it is kept for longer than that takes. */
static bool
awaits_drop(const struct planning *p, const struct tablet_record *t)
{
    for (uint32_t i = 0; i < p->view->damage_count; i++) {
        const struct steward_damage *d = &p->view->damages[i];

        if (d->tablet == t->id && tablet_record_member(t, d->node) == NULL)
            return true;
    }
    return false;
}

static void
count_new_joins(struct planning *p, const struct tablet_record *before,
                const struct tablet_record *after)
{
    for (uint32_t i = 0; i < after->member_count; i++) {
        struct tally *tally = tally_of(p, after->members[i].node);

        if (tablet_record_member(before, after->members[i].node) == NULL && tally != NULL)
            tally->joins++;
    }
}

/* What was said with an older record in mind does not answer this one. */
static const struct tablet_report *
answer_to(const struct steward_view *v, const struct tablet_record *t)
{
    const struct tablet_report *r = steward_report_of(v, t->id);

    return r != NULL && r->basis >= t->version ? r : NULL;
}

/* While it is split, its members are to stay (split.h). */
static void
plan_split(struct planning *p, const struct tablet_record *t)
{
    struct tablet_record lower, heir;

    if (!split_is_done(t, steward_report_of(p->view, t->id)) ||
        p->plan->count + 2 > PLAN_RECORDS_MAX)
        return;
    split_ended(t, &lower, &heir);
    write_tablet(p, &lower);
    write_tablet(p, &heir);
}

static void
plan_tablet(struct planning *p, const struct tablet_record *t)
{
    uint64_t wanted[CLUSTER_REPLICAS_MAX];
    struct step_options o = { .wanted = wanted, .is_up = is_up, .ctx = p->view };
    struct tablet_record next;

    if (t->heir != 0) {
        plan_split(p, t);
        return;
    }
    o.wanted_count = placement_of(p->view->placement, t, wanted);
    if (o.wanted_count == 0)
        return;
    o.voters = step_voters(o.wanted_count);
    o.may_join = may_join(p, t, &o) && !awaits_drop(p, t);
    o.damaged = damaged_member(p->view, t);
    if (step_next(t, answer_to(p->view, t), &o, &next) == STEP_NONE)
        return;
    count_new_joins(p, t, &next);
    write_tablet(p, &next);
}

/* Of a keyspace that was dropped there may be more tablets than went with it in one change. */
static void
plan_remains(struct planning *p)
{
    const struct atlas *a = p->view->atlas;

    for (uint32_t i = 0; i < a->tablet_count && !is_full(p); i++) {
        struct tablet_record gone = *a->tablets[i];

        if (atlas_keyspace(a, gone.keyspace) != NULL)
            continue;
        gone.state = TABLET_GONE;
        gone.member_count = 0;
        write_tablet(p, &gone);
    }
}

/* Does a member of the parent have all of it, and not yet the heir?  It makes that out of what it has. */
static bool
is_being_made(const struct steward_view *v, const struct tablet_record *heir)
{
    const struct tablet_record *parent = atlas_tablet(v->atlas, heir->parent);
    const struct tablet_report *has = steward_report_of(v, heir->parent);
    const struct tablet_report *made = steward_report_of(v, heir->id);

    for (uint32_t i = 0; parent != NULL && has != NULL && i < has->member_count; i++) {
        uint64_t node = has->members[i].node;
        const struct report_member *said = made == NULL ? NULL : report_member(made, node);

        if (has->members[i].caught_up && tablet_record_member(parent, node) != NULL &&
            tablet_record_member(heir, node) != NULL && is_up(v, node) &&
            !steward_is_damaged(v, parent, node) && (said == NULL || !said->caught_up))
            return true;
    }
    return false;
}

static enum status
find_splitting(struct planning *p)
{
    const struct atlas *a = p->view->atlas;

    p->splitting = mem_new_array(uint64_t, a->tablet_count + (size_t)1);
    if (p->splitting == NULL)
        return ST_NO_MEMORY;
    for (uint32_t i = 0; i < a->tablet_count; i++) {
        if (a->tablets[i]->parent != 0 && is_being_made(p->view, a->tablets[i]))
            p->splitting[p->splitting_count++] = a->tablets[i]->parent;
    }
    qsort(p->splitting, p->splitting_count, sizeof(p->splitting[0]), record_compare_ids);
    return ST_OK;
}

static bool
is_splitting(const struct planning *p, const struct tablet_record *t)
{
    return p->splitting_count > 0 && bsearch(&t->id, p->splitting, p->splitting_count,
                                             sizeof(p->splitting[0]), record_compare_ids) != NULL;
}

/* Those with fewest copies first. */
static enum status
plan_tablets(struct planning *p)
{
    const struct atlas *a = p->view->atlas;
    struct steward_need *needs = mem_new_array(struct steward_need, a->tablet_count + (size_t)1);

    if (needs == NULL || find_splitting(p) != ST_OK) {
        mem_free(needs);
        return ST_NO_MEMORY;
    }
    for (uint32_t i = 0; i < a->tablet_count; i++)
        needs[i] =
            (struct steward_need){ a->tablets[i], steward_copies(p->view, a->tablets[i]), 0 };
    qsort(needs, a->tablet_count, sizeof(needs[0]), compare_needs);
    for (uint32_t i = 0; i < a->tablet_count && !is_full(p); i++)
        if (!is_splitting(p, needs[i].tablet))
            plan_tablet(p, needs[i].tablet);
    mem_free(needs);
    return ST_OK;
}

/* ------------------------------------------------------------------ leaders */

static bool
may_lead(const struct planning *p, const struct tablet_record *t, uint64_t node)
{
    const struct node_record *n = atlas_node(p->view->atlas, node);
    const struct tablet_member *m = tablet_record_member(t, node);

    return n != NULL && n->state == NODE_MEMBER && m != NULL && m->role == MEMBER_VOTER &&
           is_up(p->view, node) && !steward_is_damaged(p->view, t, node);
}

/* As many for each node as for any other, counted over those that lead anything. */
static uint32_t
fair_share(const struct planning *p)
{
    const struct atlas *a = p->view->atlas;
    uint32_t nodes = 0;

    for (uint32_t i = 0; i < a->node_count; i++)
        nodes += a->nodes[i].state == NODE_MEMBER && a->nodes[i].weight > 0 &&
                 is_up(p->view, a->nodes[i].id);
    return nodes == 0 ? a->tablet_count : (a->tablet_count + nodes - 1) / nodes;
}

/* The voter that leads least; 0: nobody can. */
static uint64_t
least_busy(const struct planning *p, const struct tablet_record *t)
{
    uint64_t best = 0;

    for (uint32_t i = 0; i < t->member_count; i++) {
        uint64_t node = t->members[i].node;

        if (may_lead(p, t, node) &&
            (best == 0 || tally_of(p, node)->leads < tally_of(p, best)->leads))
            best = node;
    }
    return best;
}

/* Whoever is to lead goes on to, unless it has more than its share. */
static void
plan_leaders(struct planning *p)
{
    const struct atlas *a = p->view->atlas;
    uint32_t share = fair_share(p);

    for (uint32_t i = 0; i < a->tablet_count && !is_full(p); i++) {
        struct tablet_record next = *a->tablets[i];
        bool stays = may_lead(p, &next, next.leader) && tally_of(p, next.leader)->leads < share;

        if (!stays)
            next.leader = least_busy(p, &next);
        if (next.leader != 0)
            tally_of(p, next.leader)->leads++;
        if (next.leader != a->tablets[i]->leader)
            write_tablet(p, &next);
    }
}

enum status
steward_plan(const struct steward_view *view, struct plan *out)
{
    struct planning p = { .view = view, .plan = out };
    enum status st;

    out->count = 0;
    p.tally = mem_new_array(struct tally, view->atlas->node_count + (size_t)1);
    if (p.tally == NULL)
        return ST_NO_MEMORY;
    plan_nodes(&p);
    if (out->count == 0)
        plan_remains(&p);
    count_joins(&p);
    st = out->count == 0 ? plan_tablets(&p) : ST_OK;
    if (st == ST_OK && out->count == 0)
        plan_leaders(&p); /* one thing at a time: a record is in a plan once */
    mem_free(p.splitting);
    mem_free(p.tally);
    return st;
}
