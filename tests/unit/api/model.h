/*
 * What a Redis server would say: a naive model of the commands on strings, one
 * client's keys at a time.
 */
#ifndef API_MODEL_H
#define API_MODEL_H

#include "base/prng.h"
#include "base/slice.h"

enum { MODEL_KEYS = 8, MODEL_VALUE_MAX = 8 << 20 };

struct model {
    char prefix[16]; /* of the keys, so that clients do not meet */
    bool exists[MODEL_KEYS];
    struct buf values[MODEL_KEYS];
    struct prng *prng;
    uint32_t large_percent; /* of the values that are set */
};

void model_init(struct model *m, struct prng *prng, uint32_t number);
void model_release(struct model *m);

/* Append one random command to `request`, and what must be replied to `reply`. */
void model_step(struct model *m, struct buf *request, struct buf *reply);

#endif
