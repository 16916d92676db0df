/*
 * unit/kv/scene.h — a group, and a member that has missed what it did.
 *
 * What was written is noise, so that it fills tables of some 64 KB each (nodes.c), half a dozen.
 */
#ifndef UNIT_KV_SCENE_H
#define UNIT_KV_SCENE_H

#include "raft/raft.h"
#include "unit/kv/nodes.h"
#include "unit/test.h"

enum { SCENE_KEYS = 400 };

struct scene {
    struct nodes n;
    uint32_t leader;
    uint32_t away;        /* who has missed it, and is still down */
    raft_index committed; /* at the leader, when it was last looked at */
};

/* So many nodes, all of them members.  With a reserve the log still has all of it; without, only the leader's
 * tables have. */
void scene_begin(struct scene *s, uint64_t seed, uint32_t count, uint64_t reserve_bytes);
void scene_end(struct scene *s);

/* Other values for the same keys. */
void scene_put_noise(struct scene *s);

/* Has the node all that was committed at `leader`, whoever leads now?  scene_await(): false when it has not by
 * then. */
bool scene_has_caught_up(struct scene *s, uint32_t node);
bool scene_await(struct scene *s, uint32_t node, uint32_t limit_ms);

/* Until so many files of a snapshot have come to `away`, or begun to. */
void scene_await_tables(struct scene *s, uint32_t wanted);

#endif
