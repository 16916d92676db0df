/*
 * INVARIANT C1  node_clock_ms() never decreases.  A slew backwards is at most
 * CLOCK_SLEW_PPM millionths of the boot time that has passed, but it comes all
 * at once; so the highest time that was told is kept, and told again.
 */
#include "tablet/clock.h"

#include <stdatomic.h>

#include "base/assert.h"

enum { NS_PER_MS = 1000000 };

void
node_clock_init(struct node_clock *c, uint64_t wall_ms, uint64_t floor_ms, uint64_t boot_ns)
{
    c->start_ms = wall_ms > floor_ms ? wall_ms : floor_ms;
    c->start_ns = boot_ns;
    c->slewed_ns = boot_ns;
    atomic_init(&c->slew_ns, 0);
    atomic_init(&c->last_ms, c->start_ms);
}

static int64_t
elapsed_ns(const struct node_clock *c, uint64_t boot_ns)
{
    ASSERT(boot_ns >= c->start_ns);
    return (int64_t)(boot_ns - c->start_ns) + c->slew_ns;
}

uint64_t
node_clock_ms(struct node_clock *c, uint64_t boot_ns)
{
    uint64_t now_ms = c->start_ms + (uint64_t)(elapsed_ns(c, boot_ns) / NS_PER_MS);
    uint64_t last_ms = atomic_load_explicit(&c->last_ms, memory_order_relaxed);

    while (now_ms > last_ms) {
        if (atomic_compare_exchange_weak_explicit(&c->last_ms, &last_ms, now_ms,
                                                  memory_order_relaxed, memory_order_relaxed))
            return now_ms;
    }
    return last_ms; /* C1 */
}

void
node_clock_slew(struct node_clock *c, uint64_t wall_ms, uint64_t boot_ns)
{
    int64_t passed = (int64_t)(boot_ns - c->slewed_ns);
    int64_t most = passed / (1000000 / CLOCK_SLEW_PPM);
    int64_t behind_ms = (int64_t)(wall_ms - node_clock_ms(c, boot_ns));
    int64_t step;

    if (behind_ms > most / NS_PER_MS + 1)
        step = most;
    else if (behind_ms < -(most / NS_PER_MS + 1))
        step = -most;
    else
        step = 0; /* within a millisecond or so: good enough */
    c->slew_ns += step;
    c->slewed_ns = boot_ns;
}
