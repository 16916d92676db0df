/*
 * Before a planned stop: whatever this node leads is led by others, so that nobody waits for an election.
 *
 *      others are told ──> each loop: its leaderships are handed over, again and again
 *        ──> none is left that another member could take, or HANDOVER_MS are over ──> done
 *
 * The node goes on serving meanwhile: requests follow the leaders.
 */
#include "base/assert.h"

#include "kv/kv_internal.h"
#include "raft/raft.h"

enum { HANDOVER_MS = 1500, TRY_MS = 20, NS_PER_MS = 1000000 };

struct count {
    struct kv_door *door;
    uint32_t left;
};

static bool
has_other_voters(const struct raft_config *c)
{
    return c->voter_count > 1;
}

static void
hand_over(void *ctx, struct tablet *t)
{
    struct count *count = ctx;
    const struct raft *r = tablet_raft(t);

    if (r == NULL || raft_role(r) != RAFT_LEADER || !has_other_voters(raft_config(r)))
        return;
    count->left++;
    if (tablet_transfer(t, 0) != ST_OK)
        return; /* the next time */
}

static void
tell_done(struct task *task)
{
    struct kv *kv = container_of(task, struct kv, drained_task);

    kv->handed_over(kv->drained_ctx);
}

static void
door_is_done(struct kv_door *door)
{
    struct kv *kv = door->kv;

    timer_destroy(door->handover);
    door->handover = NULL;
    if (atomic_fetch_sub(&kv->drains_left, 1) == 1) {
        kv->drained_task.run = tell_done;
        loop_post(kv->doors[0].loop, &kv->drained_task);
    }
}

static void
try_again(void *ctx)
{
    struct kv_door *door = ctx;
    struct count count = { .door = door };

    tablet_each(&door->reactor, hand_over, &count);
    if (count.left == 0 || loop_now_ns(door->loop) >= door->handover_until_ns)
        door_is_done(door);
    else
        timer_start(door->handover, TRY_MS);
}

static void
begin(struct task *task)
{
    struct kv_door *door = container_of(task, struct kv_door, drain_task);

    door->handover_until_ns = loop_now_ns(door->loop) + (uint64_t)HANDOVER_MS * NS_PER_MS;
    if (loop_index(door->loop) == 0)
        cluster_depart(door->kv->cluster);
    if (timer_create_on(door->loop, try_again, door, &door->handover) != ST_OK)
        door_is_done(door);
    else
        try_again(door);
}

void
kv_hand_over(struct kv *kv, void (*done)(void *ctx), void *ctx)
{
    ASSERT(!atomic_load(&kv->closing));
    kv->handed_over = done;
    kv->drained_ctx = ctx;
    atomic_store(&kv->drains_left, kv->door_count);
    for (uint32_t i = 0; i < kv->door_count; i++) {
        kv->doors[i].drain_task.run = begin;
        loop_post(kv->doors[i].loop, &kv->doors[i].drain_task);
    }
}
