#include "sim/network.h"

static void
set_links(struct sim *world, uint32_t count, const struct action *a, bool bad)
{
    for (uint32_t to = 1; to <= count; to++) {
        struct sim_link link = sim_link_default();

        if ((a->nodes & 1u << to) == 0 || to == a->node)
            continue;
        if (bad && a->kind == FAULT_LINK) {
            link.delay_us_max = (uint32_t)a->amount;
            link.refuse = a->flag;
        }
        link.cut = bad && a->kind == FAULT_PARTITION;
        sim_net_set(world, a->node, to, &link);
        if (a->kind == FAULT_LINK || a->flag)
            sim_net_set(world, to, a->node, &link);
    }
}

static void
set_messages(struct peer_faults *f, const struct action *a, bool bad)
{
    unsigned what = bad ? a->ops : 0;

    f->drop_permille = (what & PLAN_LOSE) != 0 ? (uint32_t)a->nth : 0;
    f->repeat_permille = (what & PLAN_REPEAT) != 0 ? (uint32_t)a->nth : 0;
    f->delay_permille = (what & PLAN_DELAY) != 0 ? (uint32_t)a->nth : 0;
    f->delay_ms_max = (uint32_t)a->amount;
}

static void
set(struct sim *world, struct node *nodes, const struct action *a, bool bad)
{
    if (a->kind == FAULT_MESSAGES)
        set_messages(&nodes[a->node - 1].messages, a, bad);
    else
        set_links(world, nodes[0].setup->nodes, a, bad);
}

void
network_spoil(struct sim *world, struct node *nodes, const struct action *a)
{
    set(world, nodes, a, true);
}

void
network_heal(struct sim *world, struct node *nodes, const struct action *a)
{
    set(world, nodes, a, false);
}
