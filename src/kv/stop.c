/*
 * A node's end: nothing new is taken, leadership is handed over, what is under way is finished, then all is
 * released.
 *
 *      kv_drain ──> loop 0: the cluster's part ends ──> each loop: its requests, tablets, messages ──> drained
 */
#include "base/assert.h"
#include "base/mem.h"

#include "kv/forward.h"
#include "kv/kv_internal.h"

static void
call_drained(struct task *task)
{
    struct kv *kv = container_of(task, struct kv, drained_task);

    kv->drained(kv->drained_ctx);
}

/* Nothing that came through this door is unfinished, and no job reads for a tablet of its loop.
 * What other doors sent here is counted there. */
static bool
is_drained(const struct kv_door *door)
{
    const struct kv *kv = door->kv;

    if (loop_index(door->loop) == 0 && !cluster_idle(kv->cluster))
        return false;
    return door->under_way == 0 && door->way.under_way == 0 &&
           (door->forward == NULL || forward_idle(door->forward)) &&
           tablet_reactor_idle(&door->reactor);
}

void
kv__check_drained(struct kv_door *door)
{
    struct kv *kv = door->kv;

    if (!door->draining || door->drained || !is_drained(door))
        return;
    door->drained = true;
    tablet_reactor_rest(&door->reactor);
    if (atomic_fetch_sub(&kv->drains_left, 1) == 1) {
        kv->drained_task.run = call_drained;
        loop_post(kv->doors[0].loop, &kv->drained_task);
    }
}

static void
begin_drain(struct task *task)
{
    struct kv_door *door = container_of(task, struct kv_door, drain_task);

    door->draining = true;
    if (loop_index(door->loop) == 0)
        cluster_drain(door->kv->cluster);
    tablet_reactor_drain(&door->reactor);
    if (door->forward != NULL)
        forward_drain(door->forward);
    kv__check_drained(door);
}

void
kv_drain(struct kv *kv, void (*drained)(void *ctx), void *ctx)
{
    ASSERT(!atomic_load(&kv->closing));
    atomic_store(&kv->closing, true);
    engine_begin_close(kv->engine); /* a compaction of minutes must not hold up the end */
    kv->drained = drained;
    kv->drained_ctx = ctx;
    atomic_store(&kv->drains_left, kv->door_count);
    for (uint32_t i = 0; i < kv->door_count; i++) {
        kv->doors[i].drain_task.run = begin_drain;
        loop_post(kv->doors[i].loop, &kv->doors[i].drain_task);
    }
}

void
kv__destroy(struct kv *kv)
{
    cluster_close(kv->cluster);
    while (kv->door_count > 0 && kv->doors[0].reactor.roster.count > 0)
        tablet_destroy(kv->doors[0].reactor.roster.at[0]);
    for (uint32_t i = 0; i < kv->door_count; i++) {
        map_release(&kv->doors[i].map);
        forward_destroy(kv->doors[i].forward);
        timer_destroy(kv->doors[i].tick);
        timer_destroy(kv->doors[i].handover);
        tablet_reactor_release(&kv->doors[i].reactor);
    }
    tablet_node_release(&kv->node);
    mem_free(kv->doors);
    mem_free(kv->reactors);
    lock_release(&kv->lock);
    mem_free(kv);
}

enum status
kv_close(struct kv *kv, struct err *err)
{
    struct engine *engine = kv->engine;

    engine_quiesce(engine);
    kv__destroy(kv);
    return engine_close(engine, err);
}
