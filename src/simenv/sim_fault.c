/*
 * When a node's calls fail, how long they take, and which of them is its last.
 */
#include "base/assert.h"

#include "simenv/sim_internal.h"

enum { NAME_LATENCY_NS = 20 * SIM_NS_PER_US }; /* of calls that are not reads, writes or syncs */

static unsigned
index_of(enum sim_op kind)
{
    return (unsigned)__builtin_ctz((unsigned)kind);
}

static enum status
fault_due(struct sim_fault *f, enum sim_op kind)
{
    if ((f->ops & (unsigned)kind) == 0)
        return ST_OK;
    if (f->left > 0)
        f->left--;
    if (f->left > 0)
        return ST_OK;
    if (!f->for_good)
        f->ops = 0;
    return f->st;
}

static bool
doom_due(struct sim_doom *d, enum sim_op kind)
{
    if ((d->ops & (unsigned)kind) == 0)
        return false;
    if (--d->left > 0)
        return false;
    d->ops = 0;
    return true;
}

static struct sim_op_run
count_and_check(struct sim_node *node, enum sim_op kind)
{
    struct sim_op_run op = { .node = node, .kind = kind, .fail = ST_OK };

    ASSERT(node->running);
    node->op_counts[index_of(kind)]++;
    if (doom_due(&node->doom, kind)) {
        if (!node->doom.after)
            sim__die(node, true);
        op.crash_after = true;
    }
    op.fail = fault_due(&node->fault, kind);
    return op;
}

static uint64_t
latency_ns(struct sim_node *node, enum sim_op kind)
{
    struct prng *prng = &node->world->prng;
    uint64_t ns = (uint64_t)node->latency_us * SIM_NS_PER_US;

    if (((unsigned)kind & (SIM_READ | SIM_WRITE | SIM_SYNC)) == 0)
        return prng_below(prng, NAME_LATENCY_NS);
    return ns + prng_below(prng, ns + 1);
}

struct sim_op_run
sim__op_begin(struct sim_node *node, enum sim_op kind)
{
    struct sim_op_run op = count_and_check(node, kind);

    ASSERT(!sim__in_reactor(node->world)); /* a reactor never blocks: see env/env.h */
    if (node->world->current != NULL)
        sim__fiber_sleep(node->world, latency_ns(node, kind));
    return op;
}

struct sim_op_run
sim__op_begin_try(struct sim_node *node, enum sim_op kind)
{
    struct sim_op_run op = count_and_check(node, kind);

    sim__fiber_give_way(node->world);
    return op;
}

enum status
sim__op_end(const struct sim_op_run *op, enum status st)
{
    struct sim *w = op->node->world;

    sim__trace(w, (uint64_t)op->kind, op->node->id, w->now_ns ^ (uint64_t)st);
    if (op->crash_after)
        sim__die(op->node, true);
    return st;
}

bool
sim__sync_is_ignored(const struct sim_node *node, const char *path)
{
    return node->ignored_sync != NULL && strstr(path, node->ignored_sync) != NULL;
}

/* ------------------------------------------------------------------ for tests */

void
sim_fail(struct sim *w, uint32_t id, unsigned ops, uint64_t nth, bool for_good, enum status st)
{
    ASSERT(nth == 0 || st == ST_IO || st == ST_NO_SPACE);
    ASSERT((ops & ~(unsigned)SIM_OP_ALL) == 0);
    sim__node(w, id)->fault = (struct sim_fault){ nth == 0 ? 0 : ops, nth, for_good, st };
}

void
sim_crash_at(struct sim *w, uint32_t id, unsigned ops, uint64_t nth, bool after)
{
    ASSERT((ops & ~(unsigned)SIM_OP_ALL) == 0);
    sim__node(w, id)->doom = (struct sim_doom){ nth == 0 ? 0 : ops, nth, after };
}

uint64_t
sim_op_count(const struct sim *w, uint32_t id, unsigned ops)
{
    uint64_t count = 0;

    ASSERT(id >= 1 && id <= SIM_NODES_MAX && w->nodes[id] != NULL);
    for (unsigned i = 0; i < SIM_OP_KINDS; i++) {
        if ((ops & (1u << i)) != 0)
            count += w->nodes[id]->op_counts[i];
    }
    return count;
}

void
sim_ignore_sync(struct sim *w, uint32_t id, const char *part)
{
    struct sim_node *node = sim__node(w, id);

    mem_free(node->ignored_sync);
    node->ignored_sync = part != NULL ? sim__strdup(part) : NULL;
}

void
sim_set_capacity(struct sim *w, uint32_t id, uint64_t bytes)
{
    sim__node(w, id)->disk->block_limit = bytes / SIM_BLOCK;
}

void
sim_set_disk_latency_us(struct sim *w, uint32_t id, uint32_t us)
{
    sim__node(w, id)->latency_us = us;
}

void
sim_set_cold_percent(struct sim *w, uint32_t id, uint32_t percent)
{
    ASSERT(percent <= 100);
    sim__node(w, id)->cold_percent = percent;
}
