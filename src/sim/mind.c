#include "sim/mind.h"

#include "base/hash.h"

enum { LIFE_MS_MIN = 50, LIFE_MS_SPREAD = 3000 };
enum { PATIENCE_MS_MIN = 300, PATIENCE_MS_SPREAD = 4000 };

void
mind_init(struct mind *m, const struct setup *setup, uint32_t client)
{
    *m = (struct mind){ .setup = setup, .client = client, .finale = client };
    prng_init(&m->prng, hash_u64(setup->seed + (uint64_t)client * 0x9e3779b9));
}

static enum history_verb
draw_verb(struct prng *p, const struct workload *w)
{
    uint32_t weights[HISTORY_VERB_COUNT] = {
        [HISTORY_GET] = w->gets,  [HISTORY_PUT] = w->puts,   [HISTORY_DELETE] = w->deletes,
        [HISTORY_CAS] = w->cases, [HISTORY_INCR] = w->incrs,
    };
    uint32_t sum = w->gets + w->puts + w->deletes + w->cases + w->incrs;
    uint64_t at = prng_below(p, sum);
    int verb = 0;

    while (at >= weights[verb])
        at -= weights[verb++];
    return (enum history_verb)verb;
}

static void
draw_value(struct mind *m, struct errand_want *want)
{
    const struct workload *w = m->setup->workload;
    uint32_t spread = w->value_max - w->value_min;

    want->number = ++m->number;
    want->value_size = w->value_min + (size_t)prng_below(&m->prng, spread + 1);
}

/* A compare-and-set needs something to compare with; who has seen nothing looks first. */
static void
draw_want(struct mind *m, bool reads, struct errand_want *want)
{
    const struct workload *w = m->setup->workload;

    want->verb = reads || m->client < m->setup->readers ? HISTORY_GET : draw_verb(&m->prng, w);
    want->counter =
        want->verb == HISTORY_INCR ||
        (want->verb == HISTORY_GET && prng_below(&m->prng, w->keys + w->counters) >= w->keys);
    want->key = (uint32_t)prng_below(&m->prng, want->counter ? w->counters : w->keys);
    if (want->verb == HISTORY_INCR)
        want->number = 1 + prng_below(&m->prng, 3);
    if (want->verb == HISTORY_CAS && !m->has_seen)
        want->verb = HISTORY_GET;
    if (want->verb == HISTORY_PUT || want->verb == HISTORY_CAS)
        draw_value(m, want);
    if (want->verb == HISTORY_PUT && prng_chance(&m->prng, w->fades, 100))
        want->life_ms = LIFE_MS_MIN + (uint32_t)prng_below(&m->prng, LIFE_MS_SPREAD);
    if (want->verb != HISTORY_CAS)
        return;
    want->key = m->seen_key;
    want->version = m->seen_version;
    memcpy(want->expect, m->seen, sizeof(want->expect));
    m->has_seen = false;
}

/* Registers first, then counters, each client every so manieth. */
static void
want_for_finale(struct mind *m, struct errand_want *want)
{
    const struct workload *w = m->setup->workload;

    if (!m->wrote_finale) {
        want->verb = HISTORY_PUT;
        want->key = m->client % w->keys;
        draw_value(m, want);
        return;
    }
    want->verb = HISTORY_GET;
    want->counter = m->finale >= w->keys;
    want->key = want->counter ? m->finale - w->keys : m->finale;
}

void
mind_choose(struct mind *m, bool finale, bool reads, struct errand_want *out)
{
    *out = (struct errand_want){ 0 };
    if (finale)
        want_for_finale(m, out);
    else
        draw_want(m, reads, out);
    if (m->setup->retries && out->verb != HISTORY_GET)
        out->sequence = ++m->sequence;
}

/* Some give up so soon that they are elsewhere while a leader that is cut off still leads. */
uint64_t
mind_patience_ms(struct mind *m)
{
    if (prng_chance(&m->prng, 1, 4))
        return PATIENCE_MS_MIN / 10 + prng_below(&m->prng, PATIENCE_MS_MIN);
    return PATIENCE_MS_MIN + prng_below(&m->prng, PATIENCE_MS_SPREAD);
}

void
mind_saw(struct mind *m, const struct errand *call)
{
    if (call->want.verb != HISTORY_GET || call->want.counter)
        return;
    m->has_seen = true;
    m->seen_key = call->want.key;
    m->seen_version = call->result.code == OP_DONE ? call->result.version : 0;
    memcpy(m->seen, call->seen, sizeof(m->seen));
}

void
mind_got_on(struct mind *m)
{
    if (m->wrote_finale)
        m->finale += m->setup->callers;
    m->wrote_finale = true;
}

bool
mind_is_done(const struct mind *m)
{
    const struct workload *w = m->setup->workload;

    return m->wrote_finale && m->finale >= w->keys + w->counters;
}
