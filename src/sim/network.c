#include "sim/network.h"

/* A slow link can be cut, too, and is as slow as before when it is whole again. */
static void
set_way(struct sim *world, uint32_t from, uint32_t to, const struct action *a, bool bad)
{
    struct sim_link usual = sim_link_default();
    struct sim_link link = sim_net_get(world, from, to);

    if (a->kind == FAULT_PARTITION) {
        link.cut = bad;
    } else {
        link.delay_us_min = bad ? (uint32_t)a->amount / 2 : usual.delay_us_min;
        link.delay_us_max = bad ? (uint32_t)a->amount : usual.delay_us_max;
        link.refuse = bad && a->flag;
    }
    sim_net_set(world, from, to, &link);
}

static void
set_links(struct sim *world, uint32_t count, const struct action *a, bool bad)
{
    for (uint32_t other = 1; other <= count; other++) {
        if ((a->nodes & 1u << other) == 0 || other == a->node)
            continue;
        if ((a->ops & PLAN_FROM) != 0)
            set_way(world, a->node, other, a, bad);
        if ((a->ops & PLAN_TO) != 0)
            set_way(world, other, a->node, a, bad);
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
