#include "peer/peer_internal.h"

enum { PERMILLE = 1000 };

unsigned
faults__copies(struct peer *p)
{
    const struct peer_faults *f = p->options.faults;

    if (f == NULL)
        return 1;
    if (f->drop_permille > 0 && prng_chance(&p->fault_dice, f->drop_permille, PERMILLE))
        return 0;
    if (f->repeat_permille > 0 && prng_chance(&p->fault_dice, f->repeat_permille, PERMILLE))
        return 2;
    return 1;
}

uint64_t
faults__due_ns(struct peer *p)
{
    const struct peer_faults *f = p->options.faults;
    uint64_t most_ns;

    if (f == NULL || f->delay_permille == 0 ||
        !prng_chance(&p->fault_dice, f->delay_permille, PERMILLE))
        return 0;
    most_ns = (uint64_t)f->delay_ms_max * NS_PER_MS;
    return loop_now_ns(p->loop) + 1 + prng_below(&p->fault_dice, most_ns + 1);
}
