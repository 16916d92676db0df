/*
 * cluster/steward.h — what the metadata should say next, as far as the present can be seen.
 *
 *      atlas, reports, who is up  ──steward_plan()──>  records to be written, together
 *
 * It is run on the node that leads the metadata, again and again; each plan is a few steps, and what is not done yet is
 * in the next.  The order of urgency: nodes, then tablets with fewest copies, then who leads.
 *
 * Pure, but for memory.
 */
#ifndef CLUSTER_STEWARD_H
#define CLUSTER_STEWARD_H

#include "cluster/placement.h"
#include "cluster/step.h"

enum { PLAN_RECORDS_MAX = 64 };

/* How a node is, as its cluster sees it. */
enum node_health {
    HEALTH_UP,
    HEALTH_SUSPICIOUS,
    HEALTH_DOWN,
    HEALTH_LOST, /* down for permanent_failure_threshold */
};

/* A copy whose tables are damaged, as its node has said. */
struct steward_damage {
    uint64_t tablet;
    uint64_t node;
    version_t basis; /* of the record by which it was the copy that it spoke of */
};

/* The disk of a node, as it has said. */
struct steward_room {
    uint64_t node;
    uint64_t free_bytes;
    uint64_t total_bytes; /* not 0 */
};

struct steward_view {
    const struct atlas *atlas;
    const struct placement *placement;
    const struct tablet_report *reports; /* by tablet */
    uint32_t report_count;
    const struct steward_damage *damages;
    uint32_t damage_count;
    const struct steward_room *rooms;
    uint32_t room_count;
    enum node_health (*health)(const void *ctx, uint64_t node);
    const void *ctx;
    uint32_t joins_max; /* replicas that one node may be getting at a time */
};

struct plan {
    struct record records[PLAN_RECORDS_MAX];
    uint32_t count;
};

/* ST_NO_MEMORY. */
MUST_USE enum status steward_plan(const struct steward_view *view, struct plan *out);

/* NULL: nobody has said anything of it. */
const struct tablet_report *steward_report_of(const struct steward_view *view, uint64_t tablet);

/* NULL: it has said nothing of it. */
const struct steward_room *steward_room_of(const struct steward_view *view, uint64_t node);

/* ------------------------------------------------------------------ looking */

/* What an operator wants to know. */
struct steward_outlook {
    uint32_t tablets;
    uint32_t under_replicated; /* fewer copies that have caught up than are wanted */
    uint32_t copies_min;       /* of the one with fewest */
    uint32_t leaderless;       /* tablets of which nobody has reported lately */
    uint32_t moving;           /* not where they should be */
    uint32_t damaged;          /* copies, that are to be replaced */
    uint64_t bytes_left;
};
void steward_look_out(const struct steward_view *view, struct steward_outlook *out);

/* Is the copy of the tablet that the node has now damaged? */
bool steward_is_damaged(const struct steward_view *view, const struct tablet_record *t,
                        uint64_t node);

/* Copies on nodes that are up, which have caught up and are not damaged. */
uint32_t steward_copies(const struct steward_view *view, const struct tablet_record *t);

/* Are its members those that the placement wants? */
bool steward_is_placed(const struct steward_view *view, const struct tablet_record *t);

/* To those who should have it, and have it not. */
uint64_t steward_bytes_to_move(const struct steward_view *view, const struct tablet_record *t);

/* Tablets with fewer copies than are wanted, fewest first; how many, at most `max`. */
struct steward_need {
    const struct tablet_record *tablet;
    uint32_t copies;
    uint32_t wanted;
};
uint32_t steward_worst(const struct steward_view *view, struct steward_need *out, uint32_t max);

#endif
