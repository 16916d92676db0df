#include "sim/machine.h"

#include <string.h>

#include "base/mark.h"

#include "sim/sights.h"

enum {
    NS_PER_MS = 1000000,
    RETRY_MS = 200,        /* after a start that was refused */
    DRAIN_MS_MAX = 60000,  /* an orderly stop ends within this */
    DISK_MEMORY_MS = 5000, /* a failure of the disk may still show so long after it is whole */
};

#define CAPACITY_BYTES (UINT64_C(1) << 40)

void
machine_init(struct machine *m, struct node *node, struct crowd *crowd)
{
    *m = (struct machine){ .node = node, .crowd = crowd };
    m->up_at_ns = sim_now_ns(node->world) + setup_arrival_ms(node->setup, node->id) * NS_PER_MS;
}

static struct sim *
world(const struct machine *m)
{
    return m->node->world;
}

static uint64_t
now_ns(const struct machine *m)
{
    return sim_now_ns(world(m));
}

static uint64_t
after_ms(const struct machine *m, uint64_t ms)
{
    return now_ns(m) + ms * NS_PER_MS;
}

static bool
runs(const struct machine *m)
{
    return sim_running(world(m), m->node->id);
}

/* ------------------------------------------------------------------ ends of processes */

static void
note_death(struct machine *m, uint64_t down_ms)
{
    if (!node_notice_death(m->node))
        return;
    crowd_node_died(m->crowd, m->node);
    if (m->up_at_ns != UINT64_MAX)
        m->up_at_ns = after_ms(m, down_ms);
}

void
machine_notice_death(struct machine *m)
{
    bool starting = m->node->state == NODE_STARTING;

    if (m->node->state == NODE_DOWN || runs(m))
        return;
    mark_hit(starting ? MARK_DIED_IN_RECOVERY : MARK_DIED_IN_CALL);
    m->counts.power_cuts++;
    note_death(m, starting ? RETRY_MS : m->down_ms);
}

static void
stop(struct machine *m, uint64_t down_ms)
{
    struct node *n = m->node;

    if (n->state != NODE_UP || !node_responds(n))
        return;
    sights_of_work(n);
    if (!runs(m))
        return;
    mark_hit_if(crowd_waiting(m->crowd, n) > 0, MARK_STOPPED_CLEAN);
    m->stop_by_ns = after_ms(m, DRAIN_MS_MAX);
    m->down_ms = down_ms;
    node_begin_stop(n);
}

/* A log that has failed takes no more writes until its node is started anew (P4). */
static void
renew_if_failed(struct machine *m)
{
    if (m->node->state != NODE_UP || !runs(m) || kv_writable(m->node->kv) != ST_IO)
        return;
    mark_hit(MARK_DISK_FAILED);
    stop(m, 0);
}

/* ------------------------------------------------------------------ what befalls it */

static void
cut_power(struct machine *m, uint64_t cut_at)
{
    uint32_t id = m->node->id;

    sights_of_work(m->node);
    mark_hit_if(runs(m), MARK_POWER_CUT);
    mark_hit_if(m->killed, MARK_CUT_AFTER_KILL);
    mark_hit_if(sim_disk_unsynced(world(m), id, ".log"), MARK_CUT_UNSYNCED_LOG);
    mark_hit_if(sim_disk_unsynced(world(m), id, ".sst"), MARK_CUT_UNSYNCED_TABLE);
    mark_hit_if(sim_disk_unsynced(world(m), id, "MANIFEST"), MARK_CUT_UNSYNCED_MANIFEST);
    sim_crash(world(m), id);
    m->counts.power_cuts++;
    m->killed = false;
    m->cut_at = cut_at;
}

static void
kill_process(struct machine *m)
{
    if (!runs(m))
        return;
    sights_of_work(m->node);
    if (runs(m))
        sim_kill(world(m), m->node->id);
    m->killed = true;
    m->counts.kills++;
    mark_hit(MARK_KILLED);
}

static void
stand_still(struct machine *m, uint64_t ms)
{
    if (!runs(m))
        return;
    mark_hit_if(crowd_waiting(m->crowd, m->node) > 0, MARK_PAUSED);
    sim_pause(world(m), m->node->id, ms);
    if (m->node->alive_since_ns < after_ms(m, ms))
        m->node->alive_since_ns = after_ms(m, ms);
}

static void
spoil_disk(struct machine *m, const struct action *a)
{
    uint32_t id = m->node->id;

    if (m->disk_fails_until_ns < after_ms(m, a->for_ms + DISK_MEMORY_MS))
        m->disk_fails_until_ns = after_ms(m, a->for_ms + DISK_MEMORY_MS);
    m->failing_life = m->node->life;
    if (a->kind == FAULT_IO)
        sim_fail(world(m), id, a->ops, a->nth, a->flag, ST_IO);
    else
        sim_set_capacity(world(m), id, sim_disk_used(world(m), id) + (uint64_t)a->amount);
}

static void
die(struct machine *m, const struct action *a)
{
    m->down_ms = a->for_ms;
    if (a->kind == FAULT_DEATH) {
        sim_crash_at(world(m), m->node->id, a->ops, a->nth, a->flag);
        return;
    }
    if (a->kind == FAULT_KILL)
        kill_process(m);
    else
        cut_power(m, a->kind == FAULT_RECOVERY ? a->nth : 0);
    note_death(m, a->for_ms);
}

void
machine_suffer(struct machine *m, const struct action *a)
{
    uint32_t id = m->node->id;

    if (a->kind == FAULT_POWER || a->kind == FAULT_DEATH || a->kind == FAULT_RECOVERY ||
        a->kind == FAULT_KILL)
        die(m, a);
    if (a->kind == FAULT_RESTART)
        stop(m, a->for_ms);
    if (a->kind == FAULT_PAUSE)
        stand_still(m, a->for_ms);
    if (a->kind == FAULT_IO || a->kind == FAULT_FULL)
        spoil_disk(m, a);
    if (a->kind == FAULT_SLOW)
        sim_set_disk_latency_us(world(m), id, (uint32_t)a->amount);
    if (a->kind == FAULT_DRIFT)
        sim_drift_clock(world(m), id, (int32_t)a->amount);
    if (a->kind == FAULT_JUMP) {
        mark_hit_if(a->amount < 0, MARK_CLOCK_BACK);
        m->node->jumped_ms += a->amount;
        sim_jump_clock(world(m), id, a->amount);
    }
}

void
machine_recover(struct machine *m, const struct action *a)
{
    uint32_t id = m->node->id;

    if (a->kind == FAULT_DEATH)
        sim_crash_at(world(m), id, 0, 0, false);
    if (a->kind == FAULT_DRIFT)
        sim_drift_clock(world(m), id, 0);
    if (a->kind == FAULT_IO) {
        sim_fail(world(m), id, 0, 0, false, ST_OK);
        renew_if_failed(m);
    }
    if (a->kind == FAULT_FULL)
        sim_set_capacity(world(m), id, CAPACITY_BYTES);
    if (a->kind == FAULT_SLOW)
        sim_set_disk_latency_us(world(m), id, m->node->setup->latency_us);
}

/* ------------------------------------------------------------------ starts and stops */

static bool
disk_may_fail(const struct machine *m)
{
    return now_ns(m) < m->disk_fails_until_ns;
}

/* A log that has failed stays so until a restart (P4), long after its disk is well again. */
static bool
log_may_have_failed(const struct machine *m)
{
    return m->failing_life == m->node->life && kv_writable(m->node->kv) == ST_IO;
}

static void
begin_start(struct machine *m)
{
    uint64_t cut_at = m->cut_at;

    m->cut_at = 0;
    m->killed = false;
    node_begin_start(m->node, cut_at);
    if (disk_may_fail(m))
        m->failing_life = m->node->life;
}

static enum status
finish_start(struct machine *m, struct err *err)
{
    struct node *n = m->node;
    bool may_fail = disk_may_fail(m) || m->failing_life == n->life;
    enum status st = node_finish_start(n);

    if (disk_may_fail(m))
        m->failing_life = n->life;
    if (st == ST_OK) {
        sights_of_recovery(n);
        note_death(m, m->down_ms);
        return ST_OK;
    }
    m->up_at_ns = after_ms(m, RETRY_MS);
    mark_hit(MARK_START_REFUSED);
    if (((st == ST_IO || st == ST_NO_SPACE) && may_fail) || n->rotten)
        return ST_OK;
    return err_raise(err, ST_CORRUPT, "node %u does not start (M1): %s", n->id, n->err.text);
}

static enum status
finish_stop(struct machine *m, struct err *err)
{
    struct node *n = m->node;
    bool may_fail = disk_may_fail(m) || log_may_have_failed(m);

    if (!n->drained) {
        if (now_ns(m) < m->stop_by_ns ||
            now_ns(m) < n->alive_since_ns + DRAIN_MS_MAX * (uint64_t)NS_PER_MS)
            return ST_OK;
        return err_raise(err, ST_TIMEOUT, "node %u does not drain within %d ms", n->id,
                         DRAIN_MS_MAX);
    }
    if (!node_finish_stop(n)) {
        note_death(m, m->down_ms);
        return ST_OK;
    }
    m->counts.stops++;
    crowd_node_died(m->crowd, n);
    if (m->up_at_ns != UINT64_MAX)
        m->up_at_ns = after_ms(m, m->down_ms);
    if (n->status == ST_OK || may_fail || n->rotten)
        return ST_OK;
    return err_raise(err, ST_CORRUPT, "node %u does not close (M1): %s", n->id, n->err.text);
}

/* Whoever is not let in for its clock's sake is set right, and asks again.  A node may hear that it was removed
 * before whoever wanted it does. */
static enum status
hear_refusal(struct machine *m, struct err *err)
{
    struct node *n = m->node;

    n->removed |= n->leaves && strstr(n->err.text, "was removed from this cluster") != NULL;
    if (!n->removed && strstr(n->err.text, "its clock is") == NULL)
        return err_raise(err, ST_INVALID, "node %u is refused: %s", n->id, n->err.text);
    if (!n->removed)
        node_set_clock(n);
    stop(m, RETRY_MS);
    return ST_OK;
}

/* What was removed from the cluster is of no use any more, and its machine is given to a new node. */
static void
begin_anew(struct machine *m)
{
    struct node *n = m->node;

    if (n->state == NODE_STARTING || (n->state != NODE_DOWN && !node_responds(n)))
        return;
    cut_power(m, 0);
    note_death(m, 0);
    node_empty_disk(n);
}

enum status
machine_tend(struct machine *m, struct err *err)
{
    struct node *n = m->node;

    if (n->removed && m->up_at_ns != UINT64_MAX)
        begin_anew(m);
    if (n->refused && n->state == NODE_UP && node_responds(n))
        return hear_refusal(m, err);

    if (n->state == NODE_DOWN && m->up_at_ns <= now_ns(m))
        begin_start(m);
    if (n->state == NODE_STARTING && n->started && node_responds(n))
        return finish_start(m, err);
    if (n->state == NODE_STOPPING && node_responds(n))
        return finish_stop(m, err);
    if (m->up_at_ns == UINT64_MAX)
        stop(m, 0);
    else if (m->renews)
        renew_if_failed(m); /* it stood still when all was healed */
    return ST_OK;
}

void
machine_heal(struct machine *m)
{
    m->renews = true;
    renew_if_failed(m);
    if (m->node->setup->formed)
        node_set_clock(m->node);
    m->cut_at = m->down_ms = 0;
    if (m->node->rotten)
        m->up_at_ns = UINT64_MAX;
    else if (m->up_at_ns > now_ns(m))
        m->up_at_ns = now_ns(m);
}
