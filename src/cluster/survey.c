/*
 * What a node that is left has, told to whoever asks, and an imposed membership, carried out.
 *
 *      SURVEY     id:varint
 *      SURVEYED   id:varint  version:varint  count:varint { node:varint silent_ms:varint }*  remnant*
 *      IMPOSE     tablet:varint term:varint last:varint last_term:varint
 *                 count:varint { left:varint }*  count:varint { learner:varint }*
 *
 *      asked on loop 0 ──> loop 0, 1, ... each adds its tablets ──> loop 0, which answers
 */
#include "base/log.h"
#include "base/mem.h"

#include "cluster/cluster_internal.h"
#include "tablet/tablet.h"

uint64_t
survey_silent_ms(const struct cluster *c, uint64_t node)
{
    const struct tablet_neighbour *n = neighbours_find(&c->options.node->neighbours, node);
    uint64_t now_ns = loop_now_ns(c->loop);
    uint64_t heard_ns;

    if (node == c->self)
        return 0;
    if (n == NULL)
        return UINT64_MAX;
    heard_ns = atomic_load(&n->heard_ns);
    return now_ns < heard_ns ? 0 : (now_ns - heard_ns) / NS_PER_MS;
}

/* ------------------------------------------------------------------ a survey */

/* On its way round the loops. */
struct tour {
    struct task task;
    struct cluster *cluster;
    uint64_t from; /* who asks */
    uint32_t seat; /* where it is */
    struct buf answer;
    enum status status;
};

static void
add_replica(void *ctx, struct tablet *t)
{
    struct tour *tour = ctx;
    const struct tablet_record *record =
        atlas_tablet(tour->cluster->seats[tour->seat].atlas, tablet_id(t));
    struct remnant m;

    if (tablet_raft(t) == NULL || record == NULL ||
        tablet_record_member(record, tour->cluster->self) == NULL || tour->status != ST_OK)
        return;
    remnant_of(tablet_raft(t), tablet_id(t), &m);
    tour->status = remnant_encode(&m, &tour->answer);
}

static void
end_tour(struct task *task)
{
    struct tour *tour = container_of(task, struct tour, task);
    struct cluster *c = tour->cluster;

    c->under_way--;
    if (tour->status != ST_OK)
        log_event(LOG_ERROR, "cluster.survey_failed", log_str("status", status_name(tour->status)));
    else if (tour->from == c->self)
        recover_told(c, c->self, buf_slice(&tour->answer));
    else
        wires_send(&c->seats[0], tour->from, MESSAGE_SURVEYED, buf_slice(&tour->answer));
    buf_release(&tour->answer);
    mem_free(tour);
}

static void
visit(struct task *task)
{
    struct tour *tour = container_of(task, struct tour, task);
    struct cluster *c = tour->cluster;

    tablet_each(c->seats[tour->seat].reactor, add_replica, tour);
    if (++tour->seat == c->options.reactor_count)
        tour->task.run = end_tour;
    loop_post(tour->seat == c->options.reactor_count ? c->loop : c->seats[tour->seat].reactor->loop,
              &tour->task);
}

/* For how long each of the others was silent. */
static enum status
add_silences(const struct cluster *c, struct buf *out)
{
    enum status st = append_varint(out, c->atlas->node_count);

    for (uint32_t i = 0; i < c->atlas->node_count && st == ST_OK; i++) {
        st = append_varint(out, c->atlas->nodes[i].id);
        if (st == ST_OK)
            st = append_varint(out, survey_silent_ms(c, c->atlas->nodes[i].id));
    }
    return st;
}

void
survey_asked(struct cluster *c, uint64_t from, struct slice payload)
{
    struct reader r = reader_of(payload);
    uint64_t id = read_varint(&r);
    struct tour *tour = r.bad ? NULL : mem_new(struct tour);

    if (tour == NULL)
        return;
    *tour = (struct tour){
        .task.run = visit, .cluster = c, .from = from, .answer = buf_empty(SURVEY_BYTES_MAX)
    };
    tour->status = append_varint(&tour->answer, id);
    if (tour->status == ST_OK)
        tour->status = append_varint(&tour->answer, c->book.version);
    if (tour->status == ST_OK)
        tour->status = add_silences(c, &tour->answer);
    c->under_way++;
    loop_post(c->seats[0].reactor->loop, &tour->task);
}

/* ------------------------------------------------------------------ an order */

struct imposition {
    struct task task;
    struct cluster *cluster;
    uint64_t tablet;
    raft_term term;
    raft_index last;
    raft_term last_term;
    uint64_t left_nodes[TABLET_NODES_MAX + 1];
    struct left left;
    struct raft_config config;
    const char *objection; /* NULL: it was begun */
};

static bool
read_ids(struct reader *r, uint64_t *ids, uint32_t *count, uint32_t max)
{
    uint64_t n = read_varint(r);

    for (uint32_t i = 0; i < n && i < max; i++)
        ids[i] = read_varint(r);
    *count = (uint32_t)n;
    return !r->bad && n <= max;
}

static bool
read_imposition(struct slice payload, struct imposition *m)
{
    struct reader r = reader_of(payload);

    m->tablet = read_varint(&r);
    m->term = read_varint(&r);
    m->last = read_varint(&r);
    m->last_term = read_varint(&r);
    m->left.nodes = m->left_nodes;
    return read_ids(&r, m->left_nodes, &m->left.count, TABLET_NODES_MAX + 1) &&
           read_ids(&r, m->config.learners, &m->config.learner_count, RAFT_MEMBERS_MAX);
}

enum status
survey_encode_imposition(const struct remnant *chosen, raft_term term, const struct left *left,
                         const struct left *learners, struct buf *out)
{
    const struct left *lists[] = { left, learners };
    const uint64_t numbers[] = { chosen->tablet, term, chosen->last, remnant_last_term(chosen) };
    enum status st = ST_OK;

    for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]) && st == ST_OK; i++)
        st = append_varint(out, numbers[i]);
    for (size_t l = 0; l < 2 && st == ST_OK; l++) {
        st = append_varint(out, lists[l]->count);
        for (uint32_t i = 0; i < lists[l]->count && st == ST_OK; i++)
            st = append_varint(out, lists[l]->nodes[i]);
    }
    return st;
}

/* What the one that ordered it has seen must still be so: it was a moment ago, and elsewhere. */
static const char *
objection(const struct imposition *m, const struct tablet *t)
{
    const struct raft *r = t == NULL ? NULL : tablet_raft(t);
    raft_term last_term = 0;

    if (r == NULL)
        return "the tablet is not here";
    if (raft_role(r) == RAFT_LEADER)
        return "this node leads it";
    if (raft_last(r) > 0 && left_elects(&m->left, raft_config(r)))
        return "a majority of its voters is left";
    if (raft_last(r) != m->last || raft_term_at(r, m->last, &last_term) != ST_OK ||
        last_term != m->last_term)
        return "its log has changed";
    return NULL;
}

static void
imposition_is_over(struct task *task)
{
    struct imposition *m = container_of(task, struct imposition, task);

    m->cluster->under_way--;
    if (m->objection == NULL) {
        log_event(LOG_WARN, "cluster.membership_imposed", log_u64("tablet", m->tablet),
                  log_u64("term", m->term), log_u64("after_entry", m->last),
                  log_u64("of_term", m->last_term),
                  log_str("effect", "what only other nodes had is lost"));
    } else {
        log_event(LOG_ERROR, "cluster.membership_not_imposed", log_u64("tablet", m->tablet),
                  log_str("reason", m->objection));
    }
    mem_free(m);
}

static void
impose(struct task *task)
{
    struct imposition *m = container_of(task, struct imposition, task);
    struct cluster *c = m->cluster;
    struct tablet *t =
        tablet_reactor_find(c->seats[cluster_loop_of(c, m->tablet)].reactor, m->tablet);

    m->config.voters[0] = c->self;
    m->config.voter_count = 1;
    m->objection = objection(m, t);
    if (m->objection == NULL && tablet_impose(t, m->term, &m->config) != ST_OK)
        m->objection = "it cannot be just now";
    task->run = imposition_is_over;
    loop_post(c->loop, task);
}

/* A voter that is not left, by whoever ordered this, and that we hear. */
static bool
hears_the_lost(const struct cluster *c, const struct imposition *m)
{
    for (uint32_t i = 0; i < c->atlas->node_count; i++) {
        uint64_t node = c->atlas->nodes[i].id;

        if (!left_has(&m->left, node) && survey_silent_ms(c, node) < SURVEY_SILENCE_MS)
            return true;
    }
    return false;
}

void
survey_imposed(struct cluster *c, struct slice payload)
{
    struct imposition *m = mem_new(struct imposition);

    if (m == NULL)
        return; /* it is ordered again */
    m->cluster = c;
    c->under_way++;
    if (!read_imposition(payload, m))
        m->objection = "the order cannot be read";
    else if (hears_the_lost(c, m))
        m->objection = "a node that is said to be lost was just heard";
    m->task.run = m->objection == NULL ? impose : imposition_is_over;
    loop_post(m->objection == NULL ? c->seats[cluster_loop_of(c, m->tablet)].reactor->loop
                                   : c->loop,
              &m->task);
}
