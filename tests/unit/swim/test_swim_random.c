/*
 * Random lives of small clusters: nodes die, come back, pause; links are cut, one way too, slow and lossy;
 * members are forgotten and learned; thresholds change.  The harness checks every step (net.h).  Then
 * peace: everybody who lives is healthy for everybody, and everybody who is dead is down.
 */
#include "base/hash.h"

#include "unit/swim/net.h"
#include "unit/test.h"

#define NS_PER_MS UINT64_C(1000000)

enum { LIVES = 300, STEPS = 300, STEP_MS_MAX = 2000, PEACE_MS = 120000 };

static swim_id
any(struct net *n)
{
    return 1 + prng_below(&n->prng, n->node_count);
}

static bool
happens(struct net *n, uint32_t percent)
{
    return prng_chance(&n->prng, percent, 100);
}

static struct swim_timing
draw_timing(struct prng *p)
{
    struct swim_timing t = { .gossip_interval_ns = (100 + prng_below(p, 2000)) * NS_PER_MS };

    t.suspicion_threshold_ns = t.gossip_interval_ns * 2 + prng_below(p, 5000) * NS_PER_MS;
    t.down_threshold_ns = t.suspicion_threshold_ns + (1 + prng_below(p, 20000)) * NS_PER_MS;
    t.permanent_failure_threshold_ns = (1 + prng_below(p, 60000)) * NS_PER_MS;
    return t;
}

static void
configure(struct net *n, swim_id id, const struct swim_timing *timing)
{
    struct swim_event e = { .kind = SWIM_CONFIGURE, .timing = timing };

    if (n->nodes[id].swim != NULL)
        EXPECT_OK(net_event(n, id, e));
}

/* What the layer above may say; it may be refused. */
static void
tell(struct net *n, swim_id id, enum swim_event_kind kind, swim_id about)
{
    struct swim_event e = { .kind = kind, .node = about, .payload = slice_str("x") };
    enum status st = net_event(n, id, e);

    EXPECT(st == ST_OK || st == ST_EXISTS || st == ST_NOT_FOUND || about == id);
}

static void
disturb_node(struct net *n, swim_id id)
{
    swim_id other = any(n);
    struct swim_timing timing = draw_timing(&n->prng);

    if (n->nodes[id].swim == NULL) {
        if (happens(n, 20))
            net_start(n, id);
        return;
    }
    if (happens(n, 3))
        net_crash(n, id);
    else if (happens(n, 3))
        net_pause_ms(n, id, prng_below(&n->prng, 60000));
    else if (happens(n, 2))
        configure(n, id, &timing);
    else if (happens(n, 3))
        tell(n, id, SWIM_FORGET, other);
    else if (happens(n, 10))
        tell(n, id, SWIM_LEARN, other);
    else if (happens(n, 10))
        tell(n, id, SWIM_ANNOUNCE, other);
    else if (happens(n, 10))
        tell(n, id, SWIM_HEARD, other);
}

static void
disturb(struct net *n)
{
    disturb_node(n, any(n));
    if (happens(n, 5))
        net_cut(n, any(n), any(n));
    if (happens(n, 3)) {
        swim_id alone = any(n);

        for (swim_id id = 1; id <= n->node_count; id++)
            net_cut(n, alone, id);
    }
    if (happens(n, 5))
        net_heal(n);
    if (happens(n, 3))
        n->loss_permille = happens(n, 50) ? 0 : (uint32_t)prng_below(&n->prng, 400);
    if (happens(n, 3))
        n->delay_ms_max = n->delay_ms_min + (uint32_t)prng_below(&n->prng, 3000);
}

static void
find_peace(struct net *n, const struct swim_timing *timing)
{
    net_heal(n);
    n->loss_permille = 0;
    n->delay_ms_max = 5;
    for (swim_id id = 1; id <= n->node_count; id++) {
        n->nodes[id].paused_until_ns = 0;
        configure(n, id, timing);
        for (swim_id other = 1; other <= n->node_count; other++) {
            if (n->nodes[id].swim != NULL)
                tell(n, id, SWIM_LEARN, other);
        }
    }
    net_run_ms(n, PEACE_MS);
}

static void
expect_truth(struct net *n)
{
    for (swim_id a = 1; a <= n->node_count; a++) {
        for (swim_id b = 1; b <= n->node_count; b++) {
            if (a == b || n->nodes[a].swim == NULL)
                continue;
            if (n->nodes[b].swim != NULL)
                EXPECT_U64(net_state(n, a, b), SWIM_HEALTHY);
            else
                EXPECT(net_state(n, a, b) >= SWIM_DOWN);
        }
    }
}

/* How often somebody was in each state. */
struct marks {
    uint32_t times[SWIM_STATE_COUNT];
};

static void
live(uint64_t seed, struct marks *marks)
{
    struct net *n = net_create(seed, 2 + (uint32_t)(hash_u64(seed) % 9));
    struct swim_timing timing = n->timing;

    for (int s = 0; s < STEPS; s++) {
        disturb(n);
        net_run_ms(n, prng_below(&n->prng, STEP_MS_MAX));
    }
    for (int to = SWIM_SUSPICIOUS; to <= SWIM_LOST; to++)
        marks->times[to] += net_count(n, (enum swim_state)to);
    find_peace(n, &timing);
    expect_truth(n);
    net_destroy(n);
}

TEST(whatever_happens_the_invariants_hold_and_the_truth_is_found)
{
    const char *text = getenv("TEST_LIVES");
    uint32_t lives = text != NULL ? (uint32_t)strtoul(text, NULL, 0) : LIVES;
    uint64_t seed = test_seed(1);
    struct marks marks = { 0 };

    for (uint32_t i = 0; i < lives; i++)
        live(seed + i, &marks);
    for (int to = SWIM_SUSPICIOUS; to <= SWIM_LOST; to++) {
        print_message("%s %u times\n", swim_state_name((enum swim_state)to), marks.times[to]);
        EXPECT(lives < LIVES || marks.times[to] > 500);
    }
}

TEST_MAIN(RUN(whatever_happens_the_invariants_hold_and_the_truth_is_found))
