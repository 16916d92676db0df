#include "sim/observer.h"

#include <inttypes.h>

#include "base/assert.h"
#include "base/mem.h"

#include "raft/witness.h"
#include "tablet/tablet.h"

struct observer {
    struct sim *world;
    struct node *nodes;
    uint32_t count;
    struct witness *witness;
    struct witness_view seen[NODE_CLUSTER_MAX]; /* without their runs */
    uint32_t replicas[NODE_CLUSTER_MAX]; /* counts those of each node, from one to the next */
    bool *stirred;
    enum status verdict;
    struct err err;
};

/* NULL: there is none to be seen. */
static const struct raft *
member_of(const struct node *n)
{
    struct tablet *t;

    if (n->state == NODE_DOWN || n->state == NODE_STARTING ||
        (n->state == NODE_STOPPING && n->drained) || !sim_running(n->world, n->id))
        return NULL;
    t = node_tablet(n);
    return t == NULL ? NULL : tablet_raft(t);
}

/* What has to change before a member is worth a closer look. */
static bool
same(const struct witness_view *a, const struct witness_view *b)
{
    return a->last == b->last && a->commit == b->commit && a->quorum == b->quorum &&
           a->hard.term == b->hard.term && a->hard.vote == b->hard.vote && a->role == b->role &&
           a->base == b->base && a->life == b->life && a->hard_is_durable == b->hard_is_durable &&
           a->disk_failed == b->disk_failed && a->config == b->config &&
           a->installing == b->installing && a->confirmed == b->confirmed &&
           a->checked_ns == b->checked_ns;
}

/* The core only knows what it was told. */
static enum status
check_word(const struct node *n, const struct raft *r, struct err *err)
{
    if (tablet_keeps_its_word(node_tablet(n)))
        return ST_OK;
    return err_raise(err, ST_CORRUPT,
                     "node %" PRIu32 " counts entry %" PRIu64
                     " as durable, and its log has not yet synced it",
                     n->id, raft_persisted(r));
}

/* A member's life ends with its process, and with its replica: the next one has another log.  It is not there in
 * between, if only for one look. */
static uint64_t
life_of(const struct observer *o, const struct node *n)
{
    return (uint64_t)n->life << 32 | o->replicas[n->id - 1];
}

static void
look(void *ctx, uint32_t id)
{
    struct observer *o = ctx;
    const struct node *n = &o->nodes[id - 1];
    const struct raft *r = member_of(n);
    struct witness_view *seen = &o->seen[id - 1];
    struct witness_view now;

    o->replicas[id - 1] += r == NULL;
    if (r == NULL || o->verdict != ST_OK)
        return;
    o->verdict = check_word(n, r, &o->err);
    now = raft_view(r, life_of(o, n));
    if (o->verdict != ST_OK || same(&now, seen))
        return;
    if (o->stirred != NULL && ((now.role == RAFT_LEADER && seen->role != RAFT_LEADER) ||
                               (now.installing != 0 && seen->installing == 0)))
        *o->stirred = true;
    o->verdict = witness_see(o->witness, &now, &o->err);
    *seen = now;
    seen->runs = NULL;
}

enum status
observer_create(struct observer **out, struct sim *world, struct node *nodes, uint32_t count)
{
    struct observer *o = mem_new(struct observer);

    ASSERT(count <= NODE_CLUSTER_MAX);
    if (o == NULL)
        return ST_NO_MEMORY;
    *o = (struct observer){ .world = world, .nodes = nodes, .count = count };
    o->witness = witness_create();
    if (o->witness == NULL) {
        mem_free(o);
        return ST_NO_MEMORY;
    }
    sim_watch(world, look, o);
    *out = o;
    return ST_OK;
}

void
observer_destroy(struct observer *o)
{
    if (o == NULL)
        return;
    sim_watch(o->world, NULL, NULL);
    witness_destroy(o->witness);
    mem_free(o);
}

enum status
observer_verdict(const struct observer *o, struct err *err)
{
    if (o->verdict != ST_OK)
        *err = o->err;
    return o->verdict;
}

struct node *
observer_leader(const struct observer *o)
{
    struct node *leader = NULL;
    raft_term highest = 0;

    for (uint32_t i = 0; i < o->count; i++) {
        const struct raft *r = member_of(&o->nodes[i]);

        if (r == NULL || raft_role(r) != RAFT_LEADER || raft_hard(r).term <= highest)
            continue;
        leader = &o->nodes[i];
        highest = raft_hard(r).term;
    }
    return leader;
}

raft_term
observer_term(const struct observer *o)
{
    const struct node *leader = observer_leader(o);

    return leader == NULL ? 0 : raft_hard(member_of(leader)).term;
}

const struct raft_config *
observer_members(const struct observer *o)
{
    const struct node *leader = observer_leader(o);

    return leader == NULL ? NULL : raft_config(member_of(leader));
}

const struct raft_config *
observer_settled(const struct observer *o)
{
    const struct node *leader = observer_leader(o);
    const struct raft *r = leader == NULL ? NULL : member_of(leader);

    if (r == NULL || raft_commit(r) < raft_term_first(r) || raft_commit(r) < raft_config_index(r))
        return NULL;
    return raft_config(r);
}

uint32_t
observer_installs(const struct observer *o)
{
    for (uint32_t i = 0; i < o->count; i++) {
        if (o->seen[i].installing != 0 && life_of(o, &o->nodes[i]) == o->seen[i].life &&
            member_of(&o->nodes[i]) != NULL)
            return i + 1;
    }
    return 0;
}

static enum status
describe_others(const struct observer *o, const struct raft *r, struct buf *out)
{
    static const char *const names[] = {
        [RAFT_PROBE] = "probed",
        [RAFT_REPLICATE] = "sent entries",
        [RAFT_SNAPSHOT] = "sent a snapshot",
    };
    enum status st = ST_OK;

    for (uint32_t i = 0; i < o->count && raft_role(r) == RAFT_LEADER && st == ST_OK; i++) {
        uint64_t id = node_identity(&o->nodes[i]);
        struct raft_progress_view p;

        if (id == raft_self(r) || raft_progress_of(r, id, &p) != ST_OK)
            continue;
        st = buf_printf(out, "; %" PRIu64 " is %s, match %" PRIu64 ", next %" PRIu64 "%s", id,
                        names[p.state], p.match, p.next, p.active ? "" : ", not heard");
    }
    return st;
}

static enum status
list_ids(struct buf *out, const char *what, const raft_id *ids, uint32_t count)
{
    enum status st = count == 0 ? ST_OK : buf_printf(out, "; %s", what);

    for (uint32_t i = 0; i < count && st == ST_OK; i++)
        st = buf_printf(out, " %" PRIu64, ids[i]);
    return st;
}

static enum status
describe_members(const struct raft_config *c, struct buf *out)
{
    enum status st = list_ids(out, "voters", c->voters, c->voter_count);

    if (st == ST_OK)
        st = list_ids(out, "outgoing", c->outgoing, c->outgoing_count);
    return st == ST_OK ? list_ids(out, "learners", c->learners, c->learner_count) : st;
}

enum status
observer_describe(const struct observer *o, struct buf *out)
{
    enum status st = ST_OK;

    for (uint32_t i = 0; i < o->count && st == ST_OK; i++) {
        const struct raft *r = member_of(&o->nodes[i]);

        st = buf_printf(out, "  node %" PRIu32 " ", i + 1);
        if (st == ST_OK && r == NULL)
            st = buf_printf(out, "is not to be seen");
        if (st == ST_OK && r != NULL) {
            st = buf_printf(out,
                            "is %s of term %" PRIu64 ", base %" PRIu64 ", commit %" PRIu64
                            ", durable %" PRIu64 ", last %" PRIu64 "%s",
                            raft_role_name(raft_role(r)), raft_hard(r).term, raft_base(r),
                            raft_commit(r), raft_persisted(r), raft_last(r),
                            raft_is_quiesced(r) ? ", asleep" : "");
        }
        if (st == ST_OK && r != NULL)
            st = describe_members(raft_config(r), out);
        if (st == ST_OK && r != NULL)
            st = describe_others(o, r, out);
        if (st == ST_OK)
            st = buf_printf(out, "\n");
    }
    return st;
}

void
observer_stir(struct observer *o, bool *flag)
{
    o->stirred = flag;
}

uint64_t
observer_elections(const struct observer *o)
{
    return witness_elections(o->witness);
}
