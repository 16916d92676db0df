/* Histories by chance: of a register that is really atomic, and what becomes of them. */
#ifndef HISTORY_RANDOM_H
#define HISTORY_RANDOM_H

#include "base/prng.h"

#include "history/history.h"

/* What the values of a history are like. */
enum flavour { FLAVOUR_FEW, FLAVOUR_UNIQUE, FLAVOUR_NUMBERS, FLAVOUR_COUNTER, FLAVOUR_COUNT };

enum { DRAWN_TEXT_MAX = 24 };

struct drawn {
    struct history_op op;
    uint64_t moment; /* at which it takes effect */
    bool applied;    /* of an unknown outcome */
    char value[DRAWN_TEXT_MAX];
    char expect[DRAWN_TEXT_MAX];
};

/* Few operations on one key, in a short time, so that many overlap. */
void draw_tiny(struct prng *prng, enum flavour flavour, struct drawn *out, uint32_t count);

struct crowd {
    uint32_t client_count;
    uint32_t key_count;
    uint32_t op_count;
    uint32_t unknown_of_1000;
    enum flavour flavour;
};

/* Clients that each call, wait for the answer, and call again. */
void draw_long(struct prng *prng, const struct crowd *crowd, struct drawn *out);

/* Another answer for one operation, or another result. */
void mutate(struct prng *prng, struct drawn *drawn, uint32_t count);

/* As a history, which copies everything. */
struct history *history_of_drawn(const struct drawn *drawn, uint32_t count);

#endif
