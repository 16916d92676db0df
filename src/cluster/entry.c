/*
 * How this node becomes a member, and stays one as it is (admission.c is the other side).
 *
 *      no record of us, or another one than we are      ── petition ──> any member
 *        TOLD      a new store takes on the cluster's id, and asks again as one of it
 *        WELCOME   the feed goes into the book
 *        LATER     asked again, somebody else perhaps
 *        REFUSED   for good
 */
#include "base/log.h"

#include "cluster/cluster_internal.h"
#include "engine/engine.h"

enum {
    PETITION_EVERY_MS = 500,
    PETITION_FROM_ALONE_EVERY_MS = 10000,
    ISOLATED_MS =
        5000, /* of everybody's silence; whoever hears nobody is the last to believe it (swim/) */
};

static void
is_adopted(struct job *job)
{
    struct cluster *c = container_of(job, struct cluster, adopt_job);

    c->under_way--;
    c->adopting = false;
    c->petition_at_ns = 0;
    if (c->adopt_status == ST_OK)
        cluster__adopted(c);
}

static void
adopt(struct job *job)
{
    struct cluster *c = container_of(job, struct cluster, adopt_job);
    struct err err;

    c->adopt_status = engine_adopt(c->engine, c->adopted, &err);
    if (c->adopt_status != ST_OK)
        log_event(LOG_ERROR, "cluster.not_adopted", log_err(&err));
}

static void
begin_to_adopt(struct cluster *c, const struct verdict *v)
{
    memcpy(c->adopted, v->cluster, CLUSTER_ID_BYTES);
    c->adopting = true;
    c->under_way++;
    c->adopt_job = (struct job){ .run = adopt, .done = is_adopted, .loop = c->loop };
    env_submit(c->env, ENV_LANE_FLUSH, &c->adopt_job);
}

static void
be_refused(struct cluster *c, struct slice text)
{
    struct err err;

    c->is_refused = true;
    if (err_raise(&err, ST_INVALID, "the cluster does not let this node in: %.*s", (int)text.size,
                  (const char *)text.data) != ST_OK)
        c->options.refused(c->options.ctx, &err);
}

static void
hear_verdict(struct cluster *c, const struct verdict *v)
{
    switch (v->kind) {
    case VERDICT_TOLD:
        begin_to_adopt(c, v);
        break;
    case VERDICT_WELCOME:
        feed_came(c, v->feed);
        break;
    case VERDICT_REFUSED:
        be_refused(c, v->text);
        break;
    case VERDICT_LATER:
        log_event(LOG_INFO, "cluster.entry_later", log_slice("reason", v->text));
        break;
    }
}

static void
on_verdict(struct dialog *d, enum status st, struct slice body, const struct err *err)
{
    struct cluster *c = d->ctx;
    struct verdict v;
    struct err unread;

    if (st == ST_OK) {
        st = verdict_decode(body, &v, &unread);
        err = &unread;
    }
    if (st == ST_OK)
        hear_verdict(c, &v);
    else if (refrain_tells(&c->petition_failures, loop_now_ns(c->loop), slice_str(err->text))) {
        log_event(LOG_WARN, "cluster.petition_failed", log_err(err),
                  log_str("effect", "tried again, with another member if one is known"),
                  log_u64("untold", refrain_untold(&c->petition_failures)));
    }
    dialog_end(d);
    c->petition = NULL;
    c->under_way--;
}

/* Any member that we know of, and whom --join names, in turn. */
static const struct node_address *
whom_to_ask(struct cluster *c)
{
    uint32_t known = c->atlas->node_count;
    bool named = c->options.join.port != 0;
    uint32_t at;

    if (known + named == 0)
        return NULL;
    at = c->petition_turn++ % (known + named);
    if (at == known)
        return &c->options.join;
    if (c->atlas->nodes[at].id == c->self || c->atlas->nodes[at].state == NODE_REMOVED)
        return named ? &c->options.join : NULL;
    return &c->atlas->nodes[at].peer;
}

static void
is_renamed(void *ctx, enum status st, const struct err *err)
{
    (void)ctx;
    (void)err;
    if (st != ST_OK)
        log_event(LOG_DEBUG, "cluster.own_record_deferred", log_str("status", status_name(st)));
}

/* Who is alone has nobody to ask. */
static void
change_own_record(struct cluster *c)
{
    struct record r = { .kind = RECORD_NODE, .as.node = cluster__as_we_are(c) };
    struct change *change = change_begin(c, c->atlas);

    r.as.node.state = cluster__ourselves(c)->state;
    r.as.node.joined_ms = cluster__ourselves(c)->joined_ms;
    if (change == NULL || change_put(change, &r) != ST_OK)
        change_drop(change);
    else
        change_commit(change, is_renamed, c);
}

static void
petition(struct cluster *c)
{
    const struct node_address *to = whom_to_ask(c);
    struct petition p = { .wall_ms = env_wall_ms(c->env), .node = cluster__as_we_are(c) };
    struct buf parcel = buf_empty(PETITION_BYTES_MAX + PARCEL_HEAD_BYTES + PARCEL_TAIL_BYTES);

    memcpy(p.cluster, engine_identity(c->engine)->cluster, CLUSTER_ID_BYTES);
    if (to != NULL && petition_encode(&p, &parcel) == ST_OK)
        c->petition = dialog_call(c->loop, c->options.node->carrier, to, &parcel, on_verdict, c);
    c->under_way += c->petition != NULL;
    buf_release(&parcel);
}

static bool
is_as_known(const struct cluster *c)
{
    const struct node_record *known = cluster__ourselves(c);
    struct node_record now = cluster__as_we_are(c);

    return known != NULL && node_record_says_same(known, &now);
}

/* Nobody is heard: they may have removed us, and who is removed is not spoken to any more.  A petition is
 * answered all the same. */
static bool
is_isolated(const struct cluster *c)
{
    uint32_t others = 0;

    for (uint32_t i = 0; i < c->atlas->node_count; i++) {
        const struct node_record *n = &c->atlas->nodes[i];

        if (n->id == c->self || n->state == NODE_REMOVED)
            continue;
        if (survey_silent_ms(c, n->id) < ISOLATED_MS)
            return false;
        others++;
    }
    return others > 0;
}

/* A store that is a cluster of one already, and is told to join somebody: they say that this cannot be, and so
 * the operator hears of it. */
static bool
asks_from_alone(const struct cluster *c)
{
    const struct node_record *us = cluster__ourselves(c);

    return us != NULL && is_as_known(c) && atlas_count_nodes(c->atlas) == 1 &&
           c->options.join.port != 0 && !node_address_equal(&us->peer, &c->options.join);
}

void
entry_tick(struct cluster *c, uint64_t now_ns)
{
    bool from_alone = asks_from_alone(c);

    if (c->petition != NULL)
        dialog_due(c->petition, now_ns);
    if (c->draining || c->is_refused || c->adopting || c->petition != NULL ||
        now_ns < c->petition_at_ns || (is_as_known(c) && !from_alone && !is_isolated(c)))
        return;
    c->petition_at_ns =
        now_ns +
        (uint64_t)(from_alone ? PETITION_FROM_ALONE_EVERY_MS : PETITION_EVERY_MS) * NS_PER_MS;
    if (!from_alone && cluster__ourselves(c) != NULL && atlas_count_nodes(c->atlas) == 1)
        change_own_record(c);
    else
        petition(c);
}

void
entry_end(struct cluster *c)
{
    if (c->petition == NULL)
        return;
    dialog_end(c->petition);
    c->petition = NULL;
    c->under_way--;
}
