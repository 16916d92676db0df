/* What is known of a tablet, and kept for those who look after it. */
#include "tablet/tablet_internal.h"

version_t
tablet_version(const struct tablet *t)
{
    return lsm_visible(t->lsm);
}

void
tablet_stats(const struct tablet *t, struct tablet_stats *out)
{
    const struct tablet_counters *c = &t->stats;

    *out = (struct tablet_stats){
        .snapshots = atomic_load_explicit(&c->snapshots, memory_order_relaxed),
        .log_readings = atomic_load_explicit(&c->log_readings, memory_order_relaxed),
        .log_entries = atomic_load_explicit(&c->log_entries, memory_order_relaxed),
        .log_failures = atomic_load_explicit(&c->log_failures, memory_order_relaxed),
    };
}

uint64_t
tablet_led_since_ns(const struct tablet *t)
{
    return t->led_since_ns;
}

uint64_t
tablet_note(const struct tablet *t)
{
    return t->note;
}

void
tablet_set_note(struct tablet *t, uint64_t note)
{
    t->note = note;
}

void
tablet_each(struct tablet_reactor *r, tablet_each_fn *fn, void *ctx)
{
    list_each (at, &r->tablets)
        fn(ctx, container_of(at, struct tablet, on_reactor));
}
