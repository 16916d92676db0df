/*
 * tablet/clock.h — a node's time (DESIGN "Time").
 *
 * The wall clock at start, or the highest time ceiling in the log if that is
 * later; from then on advanced by the boot clock, and slewed towards the wall
 * clock by at most CLOCK_SLEW_PPM: it never jumps and never runs backwards.
 */
#ifndef TABLET_CLOCK_H
#define TABLET_CLOCK_H

#include <stdint.h>

enum { CLOCK_SLEW_PPM = 500 };

struct node_clock {
    uint64_t start_ms;        /* Unix ms at start_ns */
    uint64_t start_ns;        /* env_boot_ns() */
    uint64_t slewed_ns;       /* boot time up to which `slew_ns` was adjusted */
    _Atomic int64_t slew_ns;  /* what slewing has added so far */
    _Atomic uint64_t last_ms; /* the highest time that was told */
};

void node_clock_init(struct node_clock *c, uint64_t wall_ms, uint64_t floor_ms, uint64_t boot_ns);

/* Unix milliseconds; never less than what was told before.  Any thread. */
uint64_t node_clock_ms(struct node_clock *c, uint64_t boot_ns);

/* Compare with the wall clock; once a second or so, by one thread. */
void node_clock_slew(struct node_clock *c, uint64_t wall_ms, uint64_t boot_ns);

#endif
