/* Anything may happen: nodes are killed, lose power, stand still, come back; links are cut one way or
 * both, become slow, are healed.  What is heard is always in order and of the newest life; queues stay in
 * their bounds; and when all is healed, everybody talks to everybody. */
#include "unit/peer/fixture.h"

enum { SEEDS = 60, STEPS = 150, QUEUE_BYTES_MAX = 1 << 20, MB = 1 << 20 };

static uint32_t
any(struct cluster *c)
{
    return 1 + (uint32_t)prng_below(sim_prng(c->w), c->count);
}

static bool
can_run(struct cluster *c, uint32_t id)
{
    return c->members[id].up && !sim_paused(c->w, id);
}

/* ------------------------------------------------------------------ what may happen */

static void
end_life(struct cluster *c, uint32_t id)
{
    if (!c->members[id].up)
        return;
    if (prng_chance(sim_prng(c->w), 1, 2))
        sim_kill(c->w, id);
    else
        sim_crash(c->w, id);
    member_gone(c, id);
    /* What it had heard is forgotten with it. */
    memset(c->members[id].heard, 0, sizeof(c->members[id].heard));
}

static void
begin_life(struct cluster *c, uint32_t id)
{
    struct member *m = &c->members[id];

    if (m->up)
        return;
    member_start(c, id);
    for (uint32_t from = 1; from <= c->count; from++) { /* it hears the others from now on */
        m->heard[from][0].incarnation = c->members[from].lives * 100 + from;
        m->heard[from][0].next[BULK] = c->members[from].seats[0].next[id][BULK];
        m->heard[from][0].next[URGENT] = c->members[from].seats[0].next[id][URGENT];
    }
}

static void
change_link(struct cluster *c, uint32_t from, uint32_t to)
{
    struct prng *p = sim_prng(c->w);
    struct sim_link link = sim_link_default();

    link.cut = prng_chance(p, 1, 3);
    link.refuse = prng_chance(p, 1, 6);
    link.delay_us_max += (uint32_t)prng_below(p, 20000);
    link.bytes_per_s = prng_chance(p, 1, 3) ? 100000 + prng_below(p, 10 * MB) : 0;
    sim_net_set(c->w, from, to, &link);
}

static void
talk(struct cluster *c, uint32_t from, uint32_t to)
{
    struct prng *p = sim_prng(c->w);
    bool urgent = prng_chance(p, 1, 3);
    size_t most = prng_chance(p, 1, 20) ? 3 * MB : 5000;
    enum status st;

    if (!can_run(c, from))
        return;
    st = send(c, from, 0, to, NUMBER_BYTES + prng_below(p, urgent ? 200 : most), urgent);
    EXPECT(st == ST_OK || st == ST_BUSY || st == ST_CLOSED || (st == ST_NOT_FOUND && from == to));
    if (st == ST_OK)
        EXPECT(peer_queued(peer_of(c, from), to) <= QUEUE_BYTES_MAX + 4 * MB);
}

static void
step(struct cluster *c)
{
    struct prng *p = sim_prng(c->w);
    uint32_t a = any(c), b = any(c);
    uint64_t kind = prng_below(p, 100);

    if (kind < 2)
        end_life(c, a);
    else if (kind < 6)
        begin_life(c, a);
    else if (kind < 8 && c->members[a].up)
        sim_pause(c->w, a, prng_below(p, 3000));
    else if (kind < 14)
        change_link(c, a, b);
    else if (kind < 16)
        sim_drift_clock(c->w, a, (int32_t)prng_below(p, 2000) - 1000);
    else
        talk(c, a, b);
    sim_run_ms(c->w, prng_below(p, 10) == 0 ? prng_below(p, 3000) : prng_below(p, 10));
}

/* ------------------------------------------------------------------ what must hold */

static void
check(const struct cluster *c, uint64_t seed)
{
    for (uint32_t at = 1; at <= c->count; at++) {
        for (uint32_t from = 1; from <= c->count; from++) {
            const struct heard *h = &c->members[at].heard[from][0];

            if (h->overtaken + h->damaged + h->stale > 0)
                print_error(
                    "seed %llu: node %u heard of %u: %llu overtaken, %llu damaged, %llu stale\n",
                    (unsigned long long)seed, at, from, (unsigned long long)h->overtaken,
                    (unsigned long long)h->damaged, (unsigned long long)h->stale);
            EXPECT(h->overtaken + h->damaged + h->stale == 0);
        }
    }
}

static void
heal(struct cluster *c)
{
    struct sim_link usual = sim_link_default();

    for (uint32_t a = 1; a <= c->count; a++) {
        for (uint32_t b = 1; b <= c->count; b++)
            sim_net_set(c->w, a, b, &usual);
    }
    sim_run_ms(c->w, 4000); /* no pause is longer */
    for (uint32_t id = 1; id <= c->count; id++)
        begin_life(c, id);
    sim_run_ms(c->w,
               20000); /* nor is the patience of a half-open connection, or the rest of a queue */
    cluster_settle(c);
}

static void
expect_talk(struct cluster *c)
{
    for (uint32_t a = 1; a <= c->count; a++) {
        for (uint32_t b = 1; b <= c->count; b++) {
            uint64_t before = count_heard(c, b, a, BULK);

            if (a == b)
                continue;
            EXPECT_OK(send(c, a, 0, b, 2 * MB, false));
            sim_run_ms(c->w, 500);
            EXPECT_U64(count_heard(c, b, a, BULK), before + 1);
        }
    }
}

TEST(whatever_happens_order_is_kept_and_everybody_meets_again)
{
    uint64_t first = test_seed(1);
    uint64_t heard = 0, lives = 0;

    for (uint64_t seed = first; seed < first + seeds(SEEDS); seed++) {
        struct cluster *c = cluster_create(seed, 2 + (uint32_t)(seed % 3), 1);

        c->options.queue_bytes = QUEUE_BYTES_MAX;
        c->options.silence_ms = 3000;
        for (uint32_t id = 1; id <= c->count; id++)
            member_start(c, id);
        for (int i = 0; i < STEPS; i++) {
            step(c);
            check(c, seed);
        }
        heal(c);
        expect_talk(c);
        check(c, seed);
        for (uint32_t id = 1; id <= c->count; id++) {
            lives += c->members[id].lives;
            heard += count_heard(c, id, 1 + id % c->count, BULK);
        }
        cluster_destroy(c);
    }
    print_message("%llu lives, %llu messages\n", (unsigned long long)lives,
                  (unsigned long long)heard);
}

QUIET_TEST_MAIN(RUN(whatever_happens_order_is_kept_and_everybody_meets_again))
