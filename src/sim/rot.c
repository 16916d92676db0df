#include "sim/rot.h"

#include <stdio.h>
#include <string.h>

#include "base/hash.h"

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

bool
rot_table(struct sim *world, uint32_t node, uint64_t dice)
{
    struct pick pick = { .dice = dice };

    sim_disk_each(world, node, consider, &pick);
    return pick.path[0] != '\0' &&
           sim_disk_flip(world, node, pick.path, hash_u64(dice) % pick.size, (unsigned)dice % 8);
}
