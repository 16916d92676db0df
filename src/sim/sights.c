#include "sim/sights.h"

#include "base/mark.h"

#include "tablet/tablet.h"

void
sights_of_recovery(struct node *n)
{
    struct kv_stats stats = { 0 };

    node_stats(n, &stats);
    mark_hit_if(stats.engine.recovery.torn_bytes > 0, MARK_TORN_TAIL);
    mark_hit_if(stats.engine.recovery.rewritten_count > 0, MARK_REWRITTEN);
    mark_hit_if(stats.engine.recovery.record_count > 0, MARK_REPLAYED);
    mark_hit_if(n->life > 1 && stats.engine.recovery.clean, MARK_RECOVERED_CLEAN);
}

void
sights_of_work(struct node *n)
{
    struct kv_stats stats = { 0 };
    struct tablet_stats group = { 0 };

    if (n->state != NODE_UP || !node_responds(n))
        return;
    node_stats(n, &stats);
    if (n->state == NODE_DOWN || !sim_running(n->world, n->id))
        return; /* the call to its loop was its last */
    mark_hit_if(stats.engine.trees.flushes > 0, MARK_FLUSHED);
    mark_hit_if(stats.engine.trees.compactions > 0, MARK_COMPACTED);
    if (node_tablet(n) != NULL)
        tablet_stats(node_tablet(n), &group);
    mark_hit_if(group.snapshots > 0, MARK_SNAPSHOT);
    mark_hit_if(group.log_entries > 0, MARK_READ_FROM_LOG);
    for (int s = 0; s < ENGINE_STALL_COUNT; s++)
        mark_hit_if(stats.engine.stall_count[s] > 0, MARK_STALLED);
}
