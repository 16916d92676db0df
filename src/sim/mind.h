/*
 * sim/mind.h — what one client wants next, and what it remembers for that.
 *
 * In the finale it writes once, and then reads its share of all keys.
 */
#ifndef SIM_MIND_H
#define SIM_MIND_H

#include "base/prng.h"

#include "sim/errand.h"

struct mind {
    const struct setup *setup;
    uint32_t client;
    struct prng prng;
    uint64_t number;   /* of its last value */
    uint64_t sequence; /* of its last write with an identity */

    /* What it saw last of a register: what its next compare-and-set expects. */
    bool has_seen;
    uint32_t seen_key;
    version_t seen_version;
    char seen[VALUE_NAME_MAX];

    uint32_t finale; /* what it has still to read: registers, then counters */
    bool wrote_finale;
};

void mind_init(struct mind *m, const struct setup *setup, uint32_t client);
/* How long it waits for an answer. */
uint64_t mind_patience_ms(struct mind *m);

/* `reads`: nothing else now. */
void mind_choose(struct mind *m, bool finale, bool reads, struct errand_want *out);

/* It was answered; and with that, one step of its finale is done. */
void mind_saw(struct mind *m, const struct errand *call);
void mind_got_on(struct mind *m);
bool mind_is_done(const struct mind *m); /* with its finale */

#endif
