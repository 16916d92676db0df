/*
 * From a data directory to a node that serves.
 *
 *      what it knew of its cluster ──> its replicas (replicas.c) ──> other nodes ──> doors
 */
#include <stdio.h>

#include "base/assert.h"
#include "base/log.h"
#include "base/mem.h"

#include "kv/forward.h"
#include "kv/kv_internal.h"

/* ------------------------------------------------------------------ doors */

static enum status
open_doors(struct kv *kv, const struct kv_options *options, struct err *err)
{
    kv->doors = mem_new_array(struct kv_door, options->loop_count);
    kv->reactors = mem_new_array(struct tablet_reactor *, options->loop_count);
    if (kv->doors == NULL || kv->reactors == NULL)
        return err_raise(err, ST_NO_MEMORY, "out of memory for the reactors' doors");
    for (uint32_t i = 0; i < options->loop_count; i++) {
        struct kv_door *door = &kv->doors[i];

        door->kv = kv;
        door->loop = options->loops[i];
        map_init(&door->map, door);
        tablet_reactor_init(&door->reactor, &kv->node, door->loop);
        kv->reactors[i] = &door->reactor;
        kv->door_count++;
        if (timer_create_on(door->loop, kv__on_tick, door, &door->tick) != ST_OK)
            return err_raise(err, ST_NO_MEMORY, "out of memory for the reactors' timers");
    }
    return ST_OK;
}

static enum status
begin_to_forward(struct kv *kv, struct err *err)
{
    enum status st = ST_OK;

    for (uint32_t i = 0; i < kv->door_count && st == ST_OK; i++) {
        st = forward_create(&kv->doors[i].forward, &kv->doors[i], err);
        if (st == ST_OK)
            kv__forward_from(&kv->doors[i]);
    }
    return st;
}

static enum status
draw_places(struct kv *kv, struct err *err)
{
    for (uint32_t i = 0; i < kv->door_count; i++) {
        map_redraw(&kv->doors[i].map, cluster_atlas(kv->cluster));
        if (kv->doors[i].map.stale)
            return err_raise(err, ST_NO_MEMORY, "out of memory for the keyspaces");
    }
    return ST_OK;
}

static void
start_doors(struct kv *kv)
{
    for (uint32_t i = 0; i < kv->door_count; i++) {
        struct kv_door *door = &kv->doors[i];

        tablet_reactor_listen(&door->reactor);
        timer_start(door->tick, TABLET_TICK_MS);
    }
}

/* ------------------------------------------------------------------ the cluster */

static void
submit_for_cluster(void *ctx, struct request *r)
{
    struct kv *kv = ctx;

    kv_submit(&kv->doors[0], r);
}

static void
redrawn(void *ctx, uint32_t loop_index, const struct atlas *now, const struct atlas *old)
{
    struct kv *kv = ctx;

    (void)old;
    map_redraw(&kv->doors[loop_index].map, now);
}

static void
refused(void *ctx, const struct err *err)
{
    struct kv *kv = ctx;

    if (kv->member.refused != NULL)
        kv->member.refused(kv->member.ctx, err);
}

static void
set_address(struct node_address *a, const char *host, uint16_t port)
{
    snprintf(a->host, sizeof(a->host), "%s", host == NULL ? "" : host);
    a->port = port;
}

static enum status
open_cluster(struct kv *kv, const struct kv_options *options, struct err *err)
{
    struct cluster_options o = { .engine = kv->engine,
                                 .node = &kv->node,
                                 .reactors = kv->reactors,
                                 .reactor_count = kv->door_count,
                                 .cluster_name = "distkv",
                                 .name = kv->node_name,
                                 .zone = "",
                                 .weight = KV_WEIGHT,
                                 .submit = submit_for_cluster,
                                 .redrawn = redrawn,
                                 .refused = refused,
                                 .ctx = kv };
    struct buf feed = { 0 };
    struct slice fixed;
    enum status st = ST_OK;

    if (options->cluster != NULL) {
        const struct kv_node *self = kv__fixed_self(kv, options->cluster);

        st = kv__fixed_feed(kv, options->cluster, &feed, err);
        fixed = buf_slice(&feed);
        o.fixed = &fixed;
        if (st == ST_OK)
            set_address(&o.listen, self->host, self->port);
    } else if (options->member != NULL) {
        const struct kv_member *m = options->member;

        o.pace = m->pace;
        o.cluster_name = m->cluster_name;
        o.zone = m->zone;
        o.weight = m->weight;
        set_address(&o.listen, m->listen.host, m->listen.port);
        set_address(&o.peer, m->peer.host, m->peer.port);
        set_address(&o.client, m->client.host, m->client.port);
        set_address(&o.join, m->join.host, m->join.port);
    }
    if (st == ST_OK)
        st = cluster_open(&kv->cluster, &o, err);
    buf_release(&feed);
    return st;
}

static void
take_options(struct kv *kv, struct engine *engine, const struct kv_options *options)
{
    kv->engine = engine;
    lock_init(&kv->lock);
    list_init(&kv->heavy.waiting);
    list_init(&kv->light.waiting);
    snprintf(kv->node_name, sizeof(kv->node_name), "%s", options->node_name);
    tablet_node_init(&kv->node);
    kv->node.engine = engine;
    kv->node.clock = &kv->clock;
    kv->node.id = engine_identity(engine)->node;
    kv->forwards = true;
    if (options->cluster != NULL) {
        kv->node.lease_percent = options->cluster->lease_percent;
        kv->node.faults = options->cluster->faults;
        kv->forwards = options->cluster->forward;
    } else if (options->member != NULL) {
        kv->member = *options->member;
        kv->node.lease_percent = options->member->lease_percent;
        kv->node.faults = options->member->faults;
        kv->node.carrier = options->member->carrier;
    }
}

static enum status
open_all(struct kv *kv, const struct kv_options *options, struct wal_recovery *report,
         struct err *err)
{
    enum status st = open_doors(kv, options, err);

    if (st == ST_OK)
        st = open_cluster(kv, options, err);
    if (st == ST_OK)
        st = kv__recover(kv, report, err);
    if (st == ST_OK)
        st = kv__start_replicas(kv, err);
    if (st == ST_OK && kv->forwards)
        st = begin_to_forward(kv, err);
    if (st == ST_OK)
        st = cluster_connect(kv->cluster, err);
    return st == ST_OK ? draw_places(kv, err) : st;
}

enum status
kv_open(struct kv **out, struct engine *engine, const struct kv_options *options, struct err *err)
{
    struct kv *kv = mem_new(struct kv);
    struct wal_recovery report = { 0 };
    enum status st;

    ASSERT(options->loop_count > 0);
    if (kv == NULL) {
        (void)engine_close(engine, NULL);
        return err_raise(err, ST_NO_MEMORY, "out of memory");
    }
    take_options(kv, engine, options);
    st = open_all(kv, options, &report, err);
    if (st != ST_OK) {
        struct err ignored;

        engine_quiesce(engine);
        kv__destroy(kv);
        (void)engine_close(engine, &ignored);
        return st;
    }
    engine_serve(engine);
    start_doors(kv);
    kv__log_recovery(kv, &report);
    *out = kv;
    return ST_OK;
}
