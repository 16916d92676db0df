#include "base/assert.h"

#include "env/real_internal.h"

/* The kernel only reads what it is given, but its structure cannot say so. */
static void *
readable(const uint8_t *bytes)
{
    union {
        const uint8_t *ours;
        void *theirs;
    } pointer = { bytes };

    return pointer.theirs;
}

int
real__parts_gather(struct parts *p, struct iovec iov[REAL_PARTS_AT_ONCE], size_t *size)
{
    size_t skip = p->done;
    int used = 0;

    *size = 0;
    for (size_t i = 0; i < p->count && used < REAL_PARTS_AT_ONCE; i++) {
        size_t left = p->at[i].size - skip;

        if (left > 0) {
            iov[used].iov_base = readable(p->at[i].data + skip);
            iov[used].iov_len = left;
            *size += left;
            used++;
        }
        skip = 0;
    }
    return used;
}

void
real__parts_advance(struct parts *p, size_t size)
{
    while (size > 0) {
        size_t left;

        ASSERT(p->count > 0); /* the kernel took no more than we gave */
        left = p->at->size - p->done;
        if (size < left) {
            p->done += size;
            return;
        }
        size -= left;
        p->at++;
        p->count--;
        p->done = 0;
    }
}
