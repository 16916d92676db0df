#include "unit/raft/swarm.h"

#include "unit/test.h"

/* Small windows and slow networks make it long to catch up; to elect takes no such excuse. */
enum { ELECT_MS = 10000, CONVERGE_MS = 300000, BUSY_MS = 5000 };

/* Chances in 100,000 for each millisecond. */
struct plan {
    uint32_t propose;
    uint32_t read;
    uint32_t crash;
    uint32_t
        crash_voting; /* while a vote or a term is on its way to the disk, or has just got there */
    uint32_t start;
    uint32_t pause;
    uint32_t cut;
    uint32_t cut_one_way;
    uint32_t heal;
    uint32_t compact;
    uint32_t change;
    uint32_t transfer;
    uint32_t campaign;
    uint32_t unreachable;
    uint32_t fail_disk;
    uint32_t clock;
    uint32_t slow;
};

struct life {
    struct group *g;
    struct plan plan;
    struct swarm_marks *marks;
};

/* Each fault is switched off in a third of all lives, and else has any chance up to the most; in some
 * up to ten times that. */
static uint32_t
draw(struct prng *p, uint32_t most)
{
    if (prng_chance(p, 1, 8))
        most *= 10;
    return prng_chance(p, 1, 3) ? 0 : (uint32_t)prng_below(p, most) + 1;
}

static struct plan
draw_plan(struct prng *p)
{
    return (struct plan){
        .propose = 2000 + (uint32_t)prng_below(p, 60000),
        .read = draw(p, 20000),
        .crash = draw(p, 300),
        .crash_voting = draw(p, 20000),
        .start = 200 + (uint32_t)prng_below(p, 2000),
        .pause = draw(p, 100),
        .cut = draw(p, 300),
        .cut_one_way = draw(p, 300),
        .heal = 100 + (uint32_t)prng_below(p, 600),
        .compact = draw(p, 500),
        .change = draw(p, 500),
        .transfer = draw(p, 300),
        .campaign = draw(p, 500),
        .unreachable = draw(p, 200),
        .fail_disk = draw(p, 20),
        .clock = draw(p, 50),
        .slow = draw(p, 100),
    };
}

static bool
happens(struct life *l, uint32_t chance)
{
    return prng_below(&l->g->prng, 100000) < chance;
}

static struct node *
any_node(struct life *l)
{
    return &l->g->nodes[prng_below(&l->g->prng, l->g->node_count)];
}

/* Mostly the leader, sometimes one who only thinks so. */
static struct node *
any_leader(struct life *l)
{
    struct node *n = group_leader(l->g);

    for (int tries = 0; tries < 3; tries++) {
        struct node *other = any_node(l);

        if (other->up && raft_role(other->raft) == RAFT_LEADER)
            return other;
    }
    return n;
}

static bool
is_down_for_good(const struct node *n)
{
    return n->up && n->disk_failed;
}

static bool
is_voting(const struct node *n)
{
    return raft_role(n->raft) == RAFT_CANDIDATE || raft_leader(n->raft) == 0 ||
           (n->gift_count > 0 && n->gifts[0].hard_changed);
}

static void
crash_or_start(struct life *l)
{
    struct node *n = any_node(l);

    if (n->up && happens(l, l->plan.crash))
        group_crash(l->g, n);
    n = any_node(l);
    if (n->up && is_voting(n) && happens(l, l->plan.crash_voting)) {
        group_crash(l->g, n);
        if (prng_chance(&l->g->prng, 1, 2))
            group_start(l->g, n); /* as if nothing had been */
    }
    n = any_node(l);
    if (!n->up && happens(l, l->plan.start))
        group_start(l->g, n);
    if (is_down_for_good(n) && happens(l, l->plan.start))
        group_crash(l->g, n); /* to come back with a new disk's worth of luck */
}

static void
cut_or_heal(struct life *l)
{
    struct group *g = l->g;
    uint32_t a = (uint32_t)prng_below(&g->prng, g->node_count) + 1;
    uint32_t b = (uint32_t)prng_below(&g->prng, g->node_count) + 1;

    if (happens(l, l->plan.cut)) {
        raft_id inside[GROUP_NODES_MAX];
        uint32_t count = 0;

        for (raft_id id = 1; id <= g->node_count; id++) {
            if (prng_chance(&g->prng, 1, 2))
                inside[count++] = id;
        }
        group_isolate(g, inside, count, true);
    }
    if (happens(l, l->plan.cut_one_way))
        g->cut[a][b] = true;
    if (happens(l, l->plan.slow))
        g->slow_ns[a][b] = prng_below(&g->prng, SLOW_MS_MAX) * 1000000;
    if (happens(l, l->plan.heal))
        group_heal(g);
}

/* A membership at random: often one voter more or less, sometimes anything. */
static void
change(struct life *l)
{
    struct group *g = l->g;
    struct node *n = any_leader(l);
    struct raft_config target = { 0 };
    uint32_t keep = 20 + (uint32_t)prng_below(&g->prng, 75);

    if (n == NULL)
        return;
    for (raft_id id = 1; id <= g->node_count; id++) {
        bool votes = raft_config_votes(raft_config(n->raft), id);

        if (!prng_chance(&g->prng, keep, 100))
            votes = !votes;
        if (votes)
            target.voters[target.voter_count++] = id;
        else if (prng_chance(&g->prng, 1, 3))
            target.learners[target.learner_count++] = id;
    }
    if (group_change(g, n, &target) == ST_OK)
        l->marks->joint_changes += raft_config(n->raft)->outgoing_count > 0;
}

/* What a driver says of a node that has restarted: its members do not lead any more. */
static void
tell_of_restarts(struct group *g)
{
    for (uint32_t i = 0; i < g->node_count; i++) {
        struct node *n = &g->nodes[i];
        raft_id leader = n->up ? raft_leader(n->raft) : 0;
        const struct node *l = leader == 0 ? NULL : group_node(g, leader);

        if (l != NULL && (!l->up || raft_role(l->raft) != RAFT_LEADER))
            (void)group_step(g, n, (struct raft_event){ .kind = RAFT_SILENT, .node = leader });
    }
}

/* One stands, or several at once. */
static void
campaign(struct life *l)
{
    bool several = prng_chance(&l->g->prng, 1, 2);

    for (uint32_t i = 0; i < l->g->node_count; i++) {
        struct node *n = &l->g->nodes[i];

        if (n->up && prng_chance(&l->g->prng, 1, several ? 2 : l->g->node_count))
            (void)group_step(l->g, n, (struct raft_event){ .kind = RAFT_CAMPAIGN });
    }
}

static void
disturb(struct life *l)
{
    struct group *g = l->g;
    struct node *n = any_node(l);

    crash_or_start(l);
    cut_or_heal(l);
    if (happens(l, l->plan.pause))
        any_node(l)->paused_until_ns = g->now_ns + prng_below(&g->prng, 2000) * 1000000;
    if (happens(l, l->plan.change))
        change(l);
    if (n->up && happens(l, l->plan.compact))
        group_compact(g, n);
    if (happens(l, l->plan.campaign))
        campaign(l);
    if (n->up && happens(l, l->plan.unreachable))
        (void)group_step(g, n,
                         (struct raft_event){ .kind = RAFT_UNREACHABLE, .node = any_node(l)->id });
    if (happens(l, l->plan.unreachable))
        tell_of_restarts(g);
    if (n->up && !n->disk_failed && happens(l, l->plan.fail_disk)) {
        l->marks->disk_failures++;
        group_fail_disk(g, n);
    }
    if (happens(l, l->plan.clock))
        n->clock_ppm = (int32_t)prng_below(&g->prng, 2001) - 1000;
}

static void
use(struct life *l)
{
    struct node *n = any_leader(l);

    if (n == NULL || l->g->committed_last > GROUP_LOG_MAX / 2)
        return;
    if (happens(l, l->plan.propose))
        (void)group_propose(l->g, n);
    if (happens(l, l->plan.read))
        (void)group_read(l->g, n);
    if (happens(l, l->plan.transfer))
        l->marks->transfers +=
            group_step(l->g, n, (struct raft_event){ .kind = RAFT_TRANSFER }) == ST_OK;
}

/* ------------------------------------------------------------------ peace */

static bool
all_agree(struct group *g)
{
    struct node *leader = group_leader(g);
    const struct raft_config *c = leader == NULL ? NULL : raft_config(leader->raft);

    if (c == NULL || c->outgoing_count > 0 || leader->applied != raft_last(leader->raft))
        return false;
    for (uint32_t i = 0; i < g->node_count; i++) {
        const struct node *n = &g->nodes[i];

        if (raft_config_has(c, n->id) &&
            (n->applied != leader->applied || n->digest != leader->digest))
            return false;
    }
    return true;
}

static void
find_peace(struct life *l)
{
    struct group *g = l->g;
    uint32_t leaderless_ms = 0;
    uint64_t writes;

    group_heal(g);
    memset(g->slow_ns, 0, sizeof(g->slow_ns));
    g->loss_percent = 0;
    for (uint32_t i = 0; i < g->node_count; i++) {
        struct node *n = &g->nodes[i];

        n->paused_until_ns = 0;
        if (is_down_for_good(n))
            group_crash(g, n);
        if (!n->up)
            group_start(g, n);
    }
    tell_of_restarts(g);
    writes = g->writes_acked;
    for (uint32_t ms = 0; ms < CONVERGE_MS; ms += 10) {
        struct node *leader = group_leader(g);

        leaderless_ms = leader == NULL ? leaderless_ms + 10 : 0;
        if (leaderless_ms >= ELECT_MS)
            group_violation(g, "no leader for long, and nothing disturbs");
        if (leader != NULL && ms % 1000 == 0 && g->writes_acked == writes)
            (void)group_propose(g, leader); /* what a deposed leader took may be lost */
        if (g->writes_acked > writes && all_agree(g))
            return;
        group_run_ms(g, 10);
    }
    group_violation(g, "no agreement long after the last fault");
}

/* However busy it is, what was proposed is committed in time. */
static void
work_hard(struct life *l)
{
    struct group *g = l->g;
    uint64_t writes = g->writes_acked;

    for (uint32_t ms = 0; ms < BUSY_MS; ms++) {
        struct node *leader = group_leader(g);

        if (leader != NULL)
            (void)group_propose(g, leader);
        group_run_ms(g, 1);
    }
    if (g->writes_acked < writes + 10)
        group_violation(g, "of %d ms of proposals, %llu were committed", BUSY_MS,
                        (unsigned long long)(g->writes_acked - writes));
    find_peace(l);
}

/* Left alone, it falls asleep, and the dead of night harms nobody. */
static void
sleep_a_while(struct life *l)
{
    struct group *g = l->g;

    group_run_ms(g, 2000);
    for (uint32_t i = 0; i < g->node_count; i++)
        l->marks->sleeps += raft_is_quiesced(g->nodes[i].raft);
    group_run_ms(g, 2000);
}

void
swarm_run(uint64_t seed, uint32_t seconds, struct swarm_marks *marks)
{
    struct life l = { .marks = marks };
    struct raft_options options;
    struct prng p;
    uint32_t nodes;
    uint32_t voters;
    bool is_storm;

    prng_init(&p, seed ^ 0x5eed);
    is_storm = prng_chance(&p, 1, 6);
    raft_options_default(&options);
    nodes = 3 + (uint32_t)prng_below(&p, 5);
    options.lease_percent = prng_chance(&p, 1, 2) ? 90 : 0;
    options.window_messages = 1 + (uint32_t)prng_below(&p, 20);
    options.window_bytes = 1000 + prng_below(&p, 10000);
    options.message_bytes = 1000 + prng_below(&p, 5000);
    options.uncommitted_bytes_max = 1000 + prng_below(&p, 100000);
    if (prng_chance(&p, 1, 3)) { /* an entry at a time */
        options.message_bytes = 100;
        options.uncommitted_bytes_max = 1500;
    }
    options.term_run_max = 2 + (uint32_t)prng_below(&p, 20);
    voters = 1 + (uint32_t)prng_below(&p, nodes);
    if (is_storm) { /* hardly anything but elections, where one vote decides */
        nodes = voters = 3;
        options.lease_percent = 0;
    }
    l.g = group_create(seed, nodes, voters, &options);
    l.g->delay_ns = 1000000 * (1 + prng_below(&p, prng_chance(&p, 1, 4) ? 100 : 5));
    l.g->disk_ns = 1000000 * (1 + prng_below(&p, prng_chance(&p, 1, 4) ? 100 : 5));
    l.g->install_ns = 1000000 * (1 + prng_below(&p, prng_chance(&p, 1, 2) ? 3000 : 10));
    l.g->loss_percent = draw(&p, 9);
    l.g->repeat_percent = draw(&p, 9);
    l.plan = draw_plan(&p);
    if (is_storm) {
        l.plan.campaign = 1000 + (uint32_t)prng_below(&p, 5000);
        l.plan.crash_voting = 1000 + (uint32_t)prng_below(&p, 20000);
        l.g->delay_ns = 20000000;
        l.g->disk_ns = 1000000 * (1 + prng_below(&p, 100));
    }

    for (uint32_t ms = 0; ms < seconds * 1000; ms++) {
        disturb(&l);
        use(&l);
        group_run_ms(l.g, 1);
    }
    find_peace(&l);
    work_hard(&l);
    sleep_a_while(&l);
    find_peace(&l);

    marks->steps += l.g->step;
    marks->writes += l.g->writes_acked;
    marks->reads += l.g->reads_served;
    marks->lease_reads += l.g->lease_reads;
    marks->elections += l.g->elections;
    marks->crashes += l.g->crashes;
    marks->installs += l.g->installs;
    marks->changes += l.g->changes;
    marks->truncations += l.g->truncations;
    group_destroy(l.g);
}
