#include "oracle/hunt.h"

#include <time.h>

#include "oracle/handlers.h"

/* So many cases of one ground, then of the other: about the same time for each. */
static const uint32_t batch[HUNT_GROUND_COUNT] = { [HUNT_HANDLERS] = 400, [HUNT_GROUPS] = 10 };

const char *
hunt_ground_name(enum hunt_ground ground)
{
    return ground == HUNT_HANDLERS ? "handlers" : "groups";
}

static void
run_batch(struct hunt *h, struct peer *p, enum hunt_ground ground)
{
    for (uint32_t i = 0; i < batch[ground] && h->why == NULL; i++) {
        uint64_t seed = h->seed + h->cases[ground]++;

        h->where = ground;
        h->failed_seed = seed;
        if (ground == HUNT_HANDLERS)
            h->why = handlers_run(p, seed, &h->steps[ground], h->report);
        else
            h->why = groups_run(p, seed, &h->steps[ground], &h->marks, h->report);
    }
}

static uint64_t
now_ms(void)
{
    struct timespec t;

    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

void
hunt_run(struct hunt *h)
{
    uint64_t end_ms = now_ms() + (uint64_t)h->seconds * 1000;
    struct peer p;

    peer_open(&p, h->program);
    do {
        for (int ground = 0; ground < HUNT_GROUND_COUNT && h->why == NULL; ground++) {
            if (h->only[ground])
                run_batch(h, &p, (enum hunt_ground)ground);
        }
    } while (h->why == NULL && now_ms() < end_ms);
    peer_close(&p);
}
