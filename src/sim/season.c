#include "sim/season.h"

#include "base/hash.h"

enum { PHASE_MS = 5000 };

void
season_init(struct season *s, const struct setup *setup)
{
    *s = (struct season){ .setup = setup };
}

void
season_turn(struct season *s, uint64_t since_ms)
{
    uint64_t drawn;

    if (since_ms / PHASE_MS == s->phase)
        return;
    s->phase = since_ms / PHASE_MS;
    drawn = hash_u64(s->setup->seed ^ hash_u64(s->phase));
    s->sundered = s->setup->sunders && drawn % 2 != 0 ? s->led : 0;
}

uint32_t
season_rate(const struct season *s)
{
    const struct setup *setup = s->setup;

    return setup->rate != 0 ? setup->rate
                            : setup->workload->rates[hash_u64(setup->seed ^ ~s->phase) & 3];
}

bool
season_leaves_behind(const struct season *s, uint32_t client)
{
    return s->sundered != 0 && !s->over && (hash_u64(s->phase) >> client & 1) != 0;
}

bool
season_reaches(const struct season *s, uint32_t client, uint32_t node_id)
{
    return s->sundered == 0 || s->over ||
           (node_id == s->sundered) == season_leaves_behind(s, client);
}
