/*
 * The faults at work.
 *
 *   H1  Each action that lasts is undone by the same list, in the order of time; what is undone
 *       late (a later action of its kind on the same node) is whole all the sooner.
 *   H2  What awaits an election waits for one that is after its time (an install likewise); it is begun in
 *       the order of the plan, and never twice.
 */
#include "sim/havoc.h"

#include "base/assert.h"
#include "base/mark.h"
#include "base/mem.h"

#include "sim/agenda.h"
#include "sim/machine.h"
#include "sim/network.h"
#include "sim/orders.h"
#include "sim/rot.h"

enum { NS_PER_MS = 1000000 };

struct havoc {
    struct havoc_options options;
    uint64_t begun_ns;
    uint32_t next;       /* action to begin */
    struct agenda undos; /* of those begun */
    struct agenda awaiting;
    struct orders orders;
    raft_term term;    /* the last one that somebody was seen to lead in */
    uint32_t installs; /* who had a snapshot to install when it was last looked; 0: nobody */
    struct machine machines[NODE_CLUSTER_MAX + 1];
    bool ended;
};

enum status
havoc_create(struct havoc **out, const struct havoc_options *options)
{
    struct havoc *h = mem_new(struct havoc);

    ASSERT(options->setup->nodes <= NODE_CLUSTER_MAX);
    if (h == NULL)
        return ST_NO_MEMORY;
    h->options = *options;
    h->begun_ns = sim_now_ns(options->world);
    h->orders.observer = options->observer;
    h->orders.nodes = options->nodes;
    for (uint32_t i = 0; i < options->setup->nodes; i++)
        machine_init(&h->machines[i + 1], &options->nodes[i], options->crowd);
    if (agenda_init(&h->undos, options->plan->count) != ST_OK ||
        agenda_init(&h->awaiting, options->plan->count) != ST_OK) {
        havoc_destroy(h);
        return ST_NO_MEMORY;
    }
    *out = h;
    return ST_OK;
}

void
havoc_destroy(struct havoc *h)
{
    if (h == NULL)
        return;
    agenda_release(&h->awaiting);
    agenda_release(&h->undos);
    mem_free(h);
}

static uint64_t
now_ns(const struct havoc *h)
{
    return sim_now_ns(h->options.world);
}

static uint64_t
after_ms(const struct havoc *h, uint64_t ms)
{
    return now_ns(h) + ms * NS_PER_MS;
}

/* ------------------------------------------------------------------ actions */

static void
wish(struct havoc *h, struct clerk_wish w)
{
    clerk_wish(h->options.clerk, &w);
}

/* Each has a keyspace of its own, which is not the clients'. */
static uint64_t
space_of(const struct action *a)
{
    return a->at_ms + 1;
}

/* Nobody replaces itself. */
static void
begin_drain(struct havoc *h, const struct action *a)
{
    uint32_t other = a->nodes == 0 ? 0 : (uint32_t)__builtin_ctz(a->nodes);

    if (other == 0 || other == a->node)
        wish(h, (struct clerk_wish){ .verb = CLERK_DRAIN, .node = a->node });
    else
        wish(h, (struct clerk_wish){ .verb = CLERK_REPLACE, .node = a->node, .other = other });
}

static void
begin_order(struct havoc *h, const struct action *a)
{
    struct clerk_wish w = { .count = (uint32_t)a->amount, .dice = a->nth };

    if (a->kind == FAULT_DRAIN) {
        begin_drain(h, a);
        return;
    }
    w.space = a->kind == FAULT_SPACE ? space_of(a) : CLERK_SPACE_OF_CLIENTS;
    w.verb = a->kind == FAULT_SPACE   ? CLERK_CREATE
             : a->kind == FAULT_SPLIT ? CLERK_SPLIT
                                      : CLERK_ALTER;
    wish(h, w);
    if (a->kind != FAULT_SPACE || !a->flag)
        return;
    w.verb = CLERK_SPLIT;
    w.count *= 2;
    wish(h, w);
}

static void
end_order(struct havoc *h, const struct action *a)
{
    bool removes = a->flag && !h->ended;

    if (a->kind == FAULT_DRAIN) {
        wish(h, (struct clerk_wish){ .verb = removes ? CLERK_REMOVE : CLERK_UNDRAIN,
                                     .node = a->node });
    } else if (a->kind == FAULT_SPACE) {
        wish(h, (struct clerk_wish){ .verb = CLERK_DROP, .space = space_of(a) });
    } else if (a->kind == FAULT_COPIES) {
        wish(h, (struct clerk_wish){ .verb = CLERK_ALTER, .count = CLERK_COPIES });
    } else {
        wish(h, (struct clerk_wish){ .verb = CLERK_LOOK, .dice = a->nth });
    }
}

static void
carry_out(struct havoc *h, const struct action *a)
{
    struct node *nodes = h->options.nodes;

    if (fault_is_of_network(a->kind))
        network_spoil(h->options.world, nodes, a);
    else if (a->kind == FAULT_MEMBERS || a->kind == FAULT_TRANSFER)
        orders_give(&h->orders, a);
    else if (fault_is_of_cluster(a->kind))
        begin_order(h, a);
    else if (a->kind == FAULT_ROT)
        rot_strike(&nodes[a->node - 1], nodes, &h->orders, a->nth);
    else
        machine_suffer(&h->machines[a->node], a);
}

static void
begin(struct havoc *h, struct action *a)
{
    if (a->node == 0)
        a->node = orders_leader(&h->orders);
    carry_out(h, a);
    agenda_add(&h->undos, after_ms(h, a->for_ms), a);
}

static void
undo(struct havoc *h, const struct action *a)
{
    if (fault_is_of_network(a->kind))
        network_heal(h->options.world, h->options.nodes, a);
    else if (fault_is_of_cluster(a->kind))
        end_order(h, a);
    else
        machine_recover(&h->machines[a->node], a);
}

static void
notice_deaths(struct havoc *h)
{
    for (uint32_t i = 1; i <= h->options.setup->nodes; i++)
        machine_notice_death(&h->machines[i]);
}

/* ------------------------------------------------------------------ whom to join */

/* 0: nobody is up who could let others in. */
static uint32_t
any_member(const struct havoc *h)
{
    for (uint32_t i = 0; i < h->options.setup->nodes; i++) {
        if (node_is_member(&h->options.nodes[i]))
            return i + 1;
    }
    return 0;
}

/* Whom a node was told to join may have been removed since, and wait to be let in itself: then it is told to
 * join another one, for which it has to start anew. */
static void
find_whom_to_join(struct havoc *h, uint32_t id)
{
    struct node *n = &h->options.nodes[id - 1];
    struct action anew = { .kind = FAULT_RESTART, .node = id };
    uint32_t member;

    if (!h->options.setup->formed || node_is_member(n) ||
        h->options.nodes[n->join - 1].state != NODE_UP ||
        node_is_member(&h->options.nodes[n->join - 1]))
        return;
    member = any_member(h);
    if (member == 0)
        return;
    n->join = member;
    machine_suffer(&h->machines[id], &anew);
}

/* ------------------------------------------------------------------ in time */

/* What is to be undone up to `now_ns`. */
static void
undo_until(struct havoc *h, uint64_t now_ns)
{
    struct action a;

    while (agenda_take(&h->undos, now_ns, &a))
        undo(h, &a);
}

/* Whoever leads in a term that nobody was seen to lead in before has just become leader. */
static void
begin_awaiting(struct havoc *h)
{
    raft_term term = observer_term(h->options.observer);
    uint32_t installs = observer_installs(h->options.observer);
    struct action a;

    mark_hit_if(term > h->term && crowd_is_waiting(h->options.crowd), MARK_ELECTED_UNDER_LOAD);
    if (term > h->term)
        agenda_date(&h->awaiting, PLAN_ELECTION, orders_leader(&h->orders), now_ns(h));
    if (installs != 0 && installs != h->installs)
        agenda_date(&h->awaiting, PLAN_INSTALL, installs, now_ns(h));
    h->term = term > h->term ? term : h->term;
    h->installs = installs;
    while (agenda_take(&h->awaiting, now_ns(h), &a)) {
        mark_hit(a.awaits == PLAN_ELECTION ? MARK_NEW_LEADER : MARK_IN_INSTALL);
        begin(h, &a);
    }
}

static void
begin_planned(struct havoc *h)
{
    const struct plan *plan = h->options.plan;

    while (h->next < plan->count &&
           h->begun_ns + plan->actions[h->next].at_ms * NS_PER_MS <= now_ns(h)) {
        struct action a = plan->actions[h->next];

        if (picks_has(h->options.only, h->next)) {
            if (a.awaits != PLAN_NO_EVENT)
                agenda_add(&h->awaiting, AGENDA_SOME_DAY, &a);
            else
                begin(h, &a);
        }
        h->next++;
    }
}

enum status
havoc_tend(struct havoc *h, struct err *err)
{
    enum status st = ST_OK;

    notice_deaths(h);
    undo_until(h, now_ns(h));
    if (!h->ended) {
        begin_awaiting(h);
        begin_planned(h);
    }
    for (uint32_t i = 1; i <= h->options.setup->nodes && st == ST_OK; i++) {
        find_whom_to_join(h, i);
        st = machine_tend(&h->machines[i], err);
        undo_until(h, now_ns(h)); /* an end takes time, and another disk may be well again */
    }
    notice_deaths(h);
    if (h->options.clerk != NULL)
        clerk_tend(h->options.clerk);
    return st;
}

static uint64_t
earlier(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

uint64_t
havoc_next_ns(const struct havoc *h)
{
    uint64_t next = agenda_next_ns(&h->undos);

    if (h->ended)
        return next;
    if (h->next < h->options.plan->count)
        next = earlier(next, h->begun_ns + h->options.plan->actions[h->next].at_ms * NS_PER_MS);
    return earlier(next, agenda_next_ns(&h->awaiting));
}

void
havoc_end(struct havoc *h)
{
    h->ended = true;
    undo_until(h, UINT64_MAX);
    for (uint32_t i = 1; i <= h->options.setup->nodes; i++)
        machine_heal(&h->machines[i]);
}

void
havoc_stop_all(struct havoc *h)
{
    for (uint32_t i = 1; i <= h->options.setup->nodes; i++)
        h->machines[i].up_at_ns = UINT64_MAX;
}

static bool
all_are(const struct havoc *h, enum node_phase state)
{
    for (uint32_t i = 0; i < h->options.setup->nodes; i++) {
        const struct node *n = &h->options.nodes[i];

        if (n->state != (n->rotten ? NODE_DOWN : state))
            return false;
    }
    return true;
}

bool
havoc_all_up(const struct havoc *h)
{
    return all_are(h, NODE_UP);
}

bool
havoc_all_down(const struct havoc *h)
{
    return all_are(h, NODE_DOWN);
}

void
havoc_count(const struct havoc *h, struct machine_counts *out)
{
    *out = (struct machine_counts){ 0 };
    for (uint32_t i = 1; i <= h->options.setup->nodes; i++) {
        const struct machine_counts *c = &h->machines[i].counts;

        out->power_cuts += c->power_cuts;
        out->kills += c->kills;
        out->stops += c->stops;
    }
}
