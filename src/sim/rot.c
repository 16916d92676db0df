#include "sim/rot.h"

#include <stdio.h>
#include <string.h>

#include "base/hash.h"
#include "base/mark.h"

enum { PATH_BYTES = 256 };

/* The table with the lowest draw: each is as likely as the next. */
struct pick {
    uint64_t dice;
    uint64_t lowest;
    uint64_t size;
    char path[PATH_BYTES];
};

static void
consider(void *ctx, const char *path, uint64_t size)
{
    struct pick *p = ctx;
    uint64_t drawn = hash_u64(p->dice ^ hash64(slice_str(path)));
    size_t length = strlen(path);

    if (size == 0 || length < 4 || length >= PATH_BYTES || strcmp(path + length - 4, ".sst") != 0)
        return;
    if (p->path[0] != '\0' && drawn >= p->lowest)
        return;
    p->lowest = drawn;
    p->size = size;
    snprintf(p->path, sizeof(p->path), "%s", path);
}

static bool
flip_bit(const struct node *n, uint64_t dice)
{
    struct pick pick = { .dice = dice };

    sim_disk_each(n->world, n->id, consider, &pick);
    return pick.path[0] != '\0' && sim_disk_flip(n->world, n->id, pick.path,
                                                 hash_u64(dice) % pick.size, (unsigned)dice % 8);
}

static bool
may_rot(const struct node *n, const struct node *nodes, const struct orders *orders)
{
    const struct raft_config *members = orders_members(orders);
    uint32_t rotten = 1;

    if (members == NULL || members->outgoing_count > 0 || members->learner_count > 0)
        return false;
    for (uint32_t i = 0; i < n->setup->nodes; i++)
        rotten += nodes[i].rotten && &nodes[i] != n;
    return 2 * rotten < members->voter_count;
}

void
rot_strike(struct node *n, struct node *nodes, struct orders *orders, uint64_t dice)
{
    if (!may_rot(n, nodes, orders) || !flip_bit(n, dice))
        return;
    n->rotten = true;
    orders->members_stay = true;
    mark_hit(MARK_ROT);
}
