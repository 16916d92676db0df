/*
 * The faults at work.
 *
 *   H1  A node that does not start, or does not close, without a fault of its disk is a violation.
 *   H2  Each action that lasts is undone by the same list, in the order of time; what is undone
 *       late (a later action of its kind on the same node) is whole all the sooner.
 *   H3  What awaits an election waits for one that is after its time (an install likewise); it is begun in the order of the
 *       plan, and never twice.
 */
#include "sim/havoc.h"

#include "base/assert.h"
#include "base/log.h"
#include "base/mark.h"
#include "base/mem.h"

#include "sim/agenda.h"
#include "sim/network.h"
#include "sim/orders.h"
#include "sim/rot.h"
#include "sim/sights.h"

enum {
    NS_PER_MS = 1000000,
    RETRY_MS = 200,        /* after a start that was refused */
    DRAIN_MS_MAX = 60000,  /* an orderly stop ends within this */
    DISK_MEMORY_MS = 5000, /* a failure of the disk may still show so long after it is whole */
};

#define CAPACITY_BYTES (UINT64_C(1) << 40)

/* What the plan does to one machine. */
struct machine {
    uint64_t up_at_ns; /* it is to run from then on; UINT64_MAX: not any more */
    uint64_t stop_by_ns;
    uint64_t down_ms; /* how long it stays down, should it die in a call */
    uint64_t cut_at;  /* of the next start */
    uint64_t disk_fails_until_ns;
    uint32_t failing_life; /* the last process that has seen it fail */
    bool killed;           /* and nothing ran since */
};

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
    struct havoc_counts counts;
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

/* ------------------------------------------------------------------ ends of processes */

static void
cut_power(struct havoc *h, struct node *n)
{
    struct sim *w = h->options.world;
    struct machine *m = &h->machines[n->id];

    sights_of_work(n);
    mark_hit_if(sim_running(w, n->id), MARK_POWER_CUT);
    mark_hit_if(m->killed, MARK_CUT_AFTER_KILL);
    mark_hit_if(sim_disk_unsynced(w, n->id, ".log"), MARK_CUT_UNSYNCED_LOG);
    mark_hit_if(sim_disk_unsynced(w, n->id, ".sst"), MARK_CUT_UNSYNCED_TABLE);
    mark_hit_if(sim_disk_unsynced(w, n->id, "MANIFEST"), MARK_CUT_UNSYNCED_MANIFEST);
    sim_crash(w, n->id);
    h->counts.power_cuts++;
}

static void
note_death(struct havoc *h, struct node *n, uint64_t down_ms)
{
    struct machine *m = &h->machines[n->id];

    if (!node_notice_death(n))
        return;
    crowd_node_died(h->options.crowd, n);
    if (m->up_at_ns != UINT64_MAX)
        m->up_at_ns = after_ms(h, down_ms);
}

static void
stop_node(struct havoc *h, struct node *n, uint64_t down_ms)
{
    struct machine *m = &h->machines[n->id];

    if (n->state != NODE_UP || !node_responds(n))
        return;
    sights_of_work(n);
    if (!sim_running(h->options.world, n->id))
        return;
    mark_hit_if(crowd_waiting(h->options.crowd, n) > 0, MARK_STOPPED_CLEAN);
    m->stop_by_ns = after_ms(h, DRAIN_MS_MAX);
    m->down_ms = down_ms;
    node_begin_stop(n);
}

/* ------------------------------------------------------------------ actions */

static void
begin_disk(struct havoc *h, const struct action *a)
{
    struct sim *w = h->options.world;
    struct machine *m = &h->machines[a->node];

    if (a->kind == FAULT_SLOW) {
        sim_set_disk_latency_us(w, a->node, (uint32_t)a->amount);
        return;
    }
    if (m->disk_fails_until_ns < after_ms(h, a->for_ms + DISK_MEMORY_MS))
        m->disk_fails_until_ns = after_ms(h, a->for_ms + DISK_MEMORY_MS);
    m->failing_life = h->options.nodes[a->node - 1].life;
    if (a->kind == FAULT_IO) {
        sim_fail(w, a->node, a->ops, a->nth, a->flag, ST_IO);
    } else {
        sim_set_capacity(w, a->node, sim_disk_used(w, a->node) + (uint64_t)a->amount);
    }
}

static void
begin_clock(struct havoc *h, const struct action *a)
{
    if (a->kind == FAULT_DRIFT) {
        sim_drift_clock(h->options.world, a->node, (int32_t)a->amount);
        return;
    }
    mark_hit_if(a->amount < 0, MARK_CLOCK_BACK);
    sim_jump_clock(h->options.world, a->node, a->amount);
}

static void
begin_death(struct havoc *h, struct node *n, const struct action *a)
{
    struct machine *m = &h->machines[a->node];

    m->down_ms = a->for_ms;
    if (a->kind == FAULT_DEATH) {
        sim_crash_at(h->options.world, a->node, a->ops, a->nth, a->flag);
        return;
    }
    if (a->kind == FAULT_KILL) {
        if (!sim_running(h->options.world, n->id))
            return;
        sights_of_work(n);
        if (sim_running(h->options.world, n->id))
            sim_kill(h->options.world, n->id);
        m->killed = true;
        h->counts.kills++;
        mark_hit(MARK_KILLED);
    } else {
        m->cut_at = a->kind == FAULT_RECOVERY ? a->nth : 0;
        cut_power(h, n);
        m->killed = false;
    }
    note_death(h, n, a->for_ms);
}

static void
pause_node(struct havoc *h, struct node *n, uint64_t ms)
{
    if (!sim_running(h->options.world, n->id))
        return;
    mark_hit_if(crowd_waiting(h->options.crowd, n) > 0, MARK_PAUSED);
    sim_pause(h->options.world, n->id, ms);
    if (n->alive_since_ns < after_ms(h, ms))
        n->alive_since_ns = after_ms(h, ms);
}

static void
carry_out(struct havoc *h, const struct action *a)
{
    struct node *n = &h->options.nodes[a->node - 1];

    switch (a->kind) {
    case FAULT_POWER:
    case FAULT_DEATH:
    case FAULT_RECOVERY:
    case FAULT_KILL:
        begin_death(h, n, a);
        break;
    case FAULT_RESTART:
        stop_node(h, n, a->for_ms);
        break;
    case FAULT_PAUSE:
        pause_node(h, n, a->for_ms);
        break;
    case FAULT_JUMP:
    case FAULT_DRIFT:
        begin_clock(h, a);
        break;
    case FAULT_IO:
    case FAULT_FULL:
    case FAULT_SLOW:
        begin_disk(h, a);
        break;
    case FAULT_PARTITION:
    case FAULT_LINK:
    case FAULT_MESSAGES:
        network_spoil(h->options.world, h->options.nodes, a);
        break;
    case FAULT_ROT:
        rot_strike(n, h->options.nodes, &h->orders, a->nth);
        break;
    case FAULT_MEMBERS:
    case FAULT_TRANSFER:
        orders_give(&h->orders, a);
        break;
    case FAULT_ECHO:
    case FAULT_COUNT:
        break;
    }
}

static void
begin(struct havoc *h, struct action *a)
{
    if (a->node == 0)
        a->node = orders_leader(&h->orders);
    carry_out(h, a);
    agenda_add(&h->undos, after_ms(h, a->for_ms), a);
}

/* A log that has failed takes no more writes until its node is started anew (P4). */
static void
renew_if_failed(struct havoc *h, struct node *n)
{
    if (n->state != NODE_UP || !sim_running(h->options.world, n->id) || kv_writable(n->kv) != ST_IO)
        return;
    mark_hit(MARK_DISK_FAILED);
    stop_node(h, n, 0);
}

static void
undo(struct havoc *h, const struct action *a)
{
    struct sim *w = h->options.world;

    if (a->kind == FAULT_DEATH)
        sim_crash_at(w, a->node, 0, 0, false);
    if (a->kind == FAULT_DRIFT)
        sim_drift_clock(w, a->node, 0);
    if (a->kind == FAULT_IO) {
        sim_fail(w, a->node, 0, 0, false, ST_OK);
        renew_if_failed(h, &h->options.nodes[a->node - 1]);
    }
    if (a->kind == FAULT_FULL)
        sim_set_capacity(w, a->node, CAPACITY_BYTES);
    if (a->kind == FAULT_SLOW)
        sim_set_disk_latency_us(w, a->node, h->options.setup->latency_us);
    if (a->kind == FAULT_PARTITION || a->kind == FAULT_LINK || a->kind == FAULT_MESSAGES)
        network_heal(w, h->options.nodes, a);
}

/* ------------------------------------------------------------------ nodes */

static bool
disk_may_fail(const struct havoc *h, const struct node *n)
{
    return now_ns(h) < h->machines[n->id].disk_fails_until_ns;
}

/* A log that has failed stays so until a restart (P4), long after its disk is well again. */
static bool
log_may_have_failed(const struct havoc *h, const struct node *n)
{
    return h->machines[n->id].failing_life == n->life && kv_writable(n->kv) == ST_IO;
}

static void
begin_start(struct havoc *h, struct node *n)
{
    struct machine *m = &h->machines[n->id];
    uint64_t cut_at = m->cut_at;

    m->cut_at = 0;
    m->killed = false;
    node_begin_start(n, cut_at);
    if (disk_may_fail(h, n))
        m->failing_life = n->life;
}

static enum status
finish_start(struct havoc *h, struct node *n, struct err *err)
{
    struct machine *m = &h->machines[n->id];
    bool may_fail = disk_may_fail(h, n) || m->failing_life == n->life;
    enum status st = node_finish_start(n);

    if (disk_may_fail(h, n))
        m->failing_life = n->life;
    if (st == ST_OK) {
        sights_of_recovery(n);
        note_death(h, n, m->down_ms);
        return ST_OK;
    }
    m->up_at_ns = after_ms(h, RETRY_MS);
    mark_hit(MARK_START_REFUSED);
    if (((st == ST_IO || st == ST_NO_SPACE) && may_fail) || n->rotten)
        return ST_OK;
    return err_raise(err, ST_CORRUPT, "node %u does not start (H1): %s", n->id, n->err.text);
}

static enum status
finish_stop(struct havoc *h, struct node *n, struct err *err)
{
    struct machine *m = &h->machines[n->id];
    bool may_fail = disk_may_fail(h, n) || log_may_have_failed(h, n);

    if (!n->drained) {
        if (now_ns(h) < m->stop_by_ns ||
            now_ns(h) < n->alive_since_ns + DRAIN_MS_MAX * UINT64_C(1000000))
            return ST_OK;
        return err_raise(err, ST_TIMEOUT, "node %u does not drain within %d ms", n->id,
                         DRAIN_MS_MAX);
    }
    if (!node_finish_stop(n)) {
        note_death(h, n, m->down_ms);
        return ST_OK;
    }
    h->counts.stops++;
    crowd_node_died(h->options.crowd, n);
    if (m->up_at_ns != UINT64_MAX)
        m->up_at_ns = after_ms(h, m->down_ms);
    if (n->status == ST_OK || may_fail || n->rotten)
        return ST_OK;
    return err_raise(err, ST_CORRUPT, "node %u does not close (H1): %s", n->id, n->err.text);
}

/* Whoever died in a call to its disk, while others ran, started or ended: before anybody judges what it
 * owes. */
static void
notice_deaths(struct havoc *h)
{
    for (uint32_t i = 0; i < h->options.setup->nodes; i++) {
        struct node *n = &h->options.nodes[i];
        bool starting = n->state == NODE_STARTING;

        if (n->state == NODE_DOWN || sim_running(h->options.world, n->id))
            continue;
        mark_hit(starting ? MARK_DIED_IN_RECOVERY : MARK_DIED_IN_CALL);
        h->counts.power_cuts++;
        note_death(h, n, starting ? RETRY_MS : h->machines[n->id].down_ms);
    }
}

static enum status
tend_node(struct havoc *h, struct node *n, struct err *err)
{
    struct machine *m = &h->machines[n->id];

    if (n->state == NODE_DOWN && m->up_at_ns <= now_ns(h))
        begin_start(h, n);
    if (n->state == NODE_STARTING && n->started && node_responds(n))
        return finish_start(h, n, err);
    if (n->state == NODE_STOPPING && node_responds(n))
        return finish_stop(h, n, err);
    if (m->up_at_ns == UINT64_MAX)
        stop_node(h, n, 0);
    else if (h->ended)
        renew_if_failed(h, n); /* it stood still when all was healed */
    return ST_OK;
}

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
    for (uint32_t i = 0; i < h->options.setup->nodes && st == ST_OK; i++) {
        st = tend_node(h, &h->options.nodes[i], err);
        undo_until(h, now_ns(h)); /* an end takes time, and another disk may be well again */
    }
    notice_deaths(h);
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
    for (uint32_t i = 0; i < h->options.setup->nodes; i++) {
        struct machine *m = &h->machines[i + 1];

        renew_if_failed(h, &h->options.nodes[i]);
        m->cut_at = m->down_ms = 0;
        if (h->options.nodes[i].rotten)
            m->up_at_ns = UINT64_MAX;
        else if (m->up_at_ns > now_ns(h))
            m->up_at_ns = now_ns(h);
    }
}

void
havoc_stop_all(struct havoc *h)
{
    for (uint32_t i = 0; i < h->options.setup->nodes; i++)
        h->machines[i + 1].up_at_ns = UINT64_MAX;
}

static bool
all_are(const struct havoc *h, enum node_state state)
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
havoc_count(const struct havoc *h, struct havoc_counts *out)
{
    *out = h->counts;
}
