/*
 * Whether another node would be a better leader, asked of that node.
 *
 *      leader: it ails, or misses a voter,     ── ASK_FITNESS ──>  voters that could take over
 *              or another should lead          <──── FITNESS ────  how they are (fitness.h)
 *      one of them is less burdened: groups.c hands over to it
 *
 * Consensus sees to none of this.  A leader whose disk stands still keeps its followers, who hear it and
 * commit what it sends, but it can apply nothing that its own log does not have, and so answers nobody.  One that a
 * single follower does not hear keeps its majority; the follower's clients have nobody to turn to.
 *
 * A node is slow whose log has taken long for a sync, or from which it is long to most others and back: not one of
 * them is, then, but it is itself.  It stays so for a while, or leadership would come back with the next good second.
 *
 * Nothing is said while all are well.
 *
 *   F1  We hand over only to who has said within ANSWER_HOLDS_MS that it is less burdened than we are: not on
 *       a guess, and so not back and forth.
 *   F2  Who is asked misses a node sooner than who asks: of a node that has died the two do not
 *       think differently because one of them heard it a moment later.
 */
#include "base/log.h"

#include "cluster/cluster_internal.h"

enum {
    ANSWER_HOLDS_MS = 1000,
    ASK_EVERY_MS = 150,
    MISSED_MS = 800,        /* to do something about it; */
    MISSED_ANSWER_MS = 400, /* to say so (F2) */
    LOG_STANDS_MS = 500,
    SLOW_SYNC_MS = 100, /* in the mean of a second */
    SLOW_TRIP_MS = 100,
    SLOW_FOR_MS = 15000,
    SYNCS_EVERY_MS = 1000,
};

static const struct tablet_neighbour *
neighbour(const struct cluster *c, uint32_t at)
{
    return &c->options.node->neighbours.slots[at];
}

/* ------------------------------------------------------------------ ourselves */

void
consult_see_log(struct seat *s, bool awaits, uint64_t durable, uint64_t now_ns)
{
    if (!awaits || durable != s->log_durable || atomic_load(&s->log_moved_ns) == 0)
        atomic_store(&s->log_moved_ns, now_ns);
    s->log_durable = durable;
}

static bool
log_stands(const struct cluster *c, uint64_t now_ns)
{
    for (uint32_t i = 0; i < c->options.reactor_count; i++) {
        uint64_t moved_ns = atomic_load(&c->seats[i].log_moved_ns);

        if (moved_ns != 0 && moved_ns + (uint64_t)LOG_STANDS_MS * NS_PER_MS < now_ns)
            return true;
    }
    return false;
}

/* Of those whose trips are known. */
static bool
is_far_from_most(const struct cluster *c, uint64_t now_ns)
{
    uint32_t limit = atomic_load(&c->options.node->neighbours.limit);
    uint32_t known = 0;
    uint32_t far = 0;

    for (uint32_t i = 0; i < limit; i++) {
        const struct tablet_neighbour *n = neighbour(c, i);
        uint64_t trip_ns = atomic_load(&n->trip_ns);

        if (atomic_load(&n->node) == 0 || trip_ns == 0 || !neighbour_is_wanted(n, now_ns))
            continue;
        known++;
        far += trip_ns > (uint64_t)SLOW_TRIP_MS * NS_PER_MS;
    }
    return 2 * far > known;
}

/* On loop 0. */
void
consult_tick(struct cluster *c, uint64_t now_ns)
{
    struct slowness *s = &c->slowness;
    struct wal_counters log;
    uint64_t syncs, sync_ns;
    bool slow;

    if (now_ns < s->looked_ns + (uint64_t)SYNCS_EVERY_MS * NS_PER_MS)
        return;
    engine_log_count(c->engine, &log);
    syncs = log.syncs - s->syncs;
    sync_ns = log.sync_ns - s->sync_ns;
    slow = syncs > 0 && sync_ns / syncs > (uint64_t)SLOW_SYNC_MS * NS_PER_MS;
    if (slow || is_far_from_most(c, now_ns)) {
        if (atomic_load(&s->until_ns) < now_ns) {
            log_event(LOG_WARN, "cluster.node_slow",
                      log_u64("sync_ms", syncs == 0 ? 0 : sync_ns / syncs / NS_PER_MS),
                      log_str("cause", slow ? "disk" : "network"),
                      log_str("effect", "others lead what this node led"));
        }
        atomic_store(&s->until_ns, now_ns + (uint64_t)SLOW_FOR_MS * NS_PER_MS);
    }
    s->looked_ns = now_ns;
    s->syncs = log.syncs;
    s->sync_ns = log.sync_ns;
}

static void
look_at_ourselves(const struct cluster *c, uint64_t now_ns, uint64_t missed_ms, struct fitness *out)
{
    uint32_t limit = atomic_load(&c->options.node->neighbours.limit);

    *out = (struct fitness){ .ails = engine_space(c->engine) == ENGINE_SPACE_LOW ||
                                     log_stands(c, now_ns),
                             .slow = now_ns < atomic_load(&c->slowness.until_ns) };
    for (uint32_t i = 0; i < limit; i++) {
        const struct tablet_neighbour *n = neighbour(c, i);
        uint64_t node = atomic_load(&n->node);

        if (node != 0 && neighbour_is_wanted(n, now_ns) &&
            atomic_load(&n->heard_ns) + missed_ms * NS_PER_MS < now_ns)
            fitness_miss(out, node);
    }
}

void
consult_ourselves(const struct cluster *c, uint64_t now_ns, struct fitness *out)
{
    look_at_ourselves(c, now_ns, MISSED_MS, out);
}

/* ------------------------------------------------------------------ others */

/* What there is of the node; NULL: it is no neighbour.  Under the lock. */
static struct opinion *
opinion_of(struct cluster *c, uint64_t node)
{
    struct neighbours *all = &c->options.node->neighbours;
    const struct tablet_neighbour *slot = neighbours_find(all, node);
    struct opinion *o = slot == NULL ? NULL : &c->opinions[slot - all->slots];

    if (o != NULL && o->node != node)
        *o = (struct opinion){ .node = node };
    return o;
}

bool
consult_about(struct seat *s, uint64_t node, uint64_t now_ns, struct fitness *out)
{
    struct cluster *c = s->cluster;
    bool knows = false;
    bool asks = false;
    struct opinion *o;

    lock_take(&c->opinions_lock);
    o = opinion_of(c, node);
    if (o != NULL) {
        knows = o->said_ns != 0 && now_ns < o->said_ns + (uint64_t)ANSWER_HOLDS_MS * NS_PER_MS;
        asks = now_ns >= o->asked_ns + (uint64_t)ASK_EVERY_MS * NS_PER_MS;
        o->asked_ns = asks ? now_ns : o->asked_ns;
        *out = o->fitness;
    }
    lock_drop(&c->opinions_lock);
    if (asks)
        wires_send(s, node, MESSAGE_ASK_FITNESS, slice_of("", 0));
    return knows;
}

void
consult_asked(struct cluster *c, uint64_t from)
{
    struct buf out = buf_empty(CHANGE_BYTES_MAX);
    struct fitness f;

    look_at_ourselves(c, loop_now_ns(c->loop), MISSED_ANSWER_MS, &f);
    if (fitness_encode(&f, &out) == ST_OK)
        wires_send(&c->seats[0], from, MESSAGE_FITNESS, buf_slice(&out));
    buf_release(&out);
}

void
consult_answered(struct cluster *c, uint64_t from, struct slice payload)
{
    struct fitness f;
    struct opinion *o;

    if (fitness_decode(payload, &f) != ST_OK)
        return; /* of a later version: we know nothing of it */
    lock_take(&c->opinions_lock);
    o = opinion_of(c, from);
    if (o != NULL) {
        o->fitness = f;
        o->said_ns = loop_now_ns(c->loop);
    }
    lock_drop(&c->opinions_lock);
}
