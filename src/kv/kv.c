/* The node's coordinator: its heartbeat, and what is to be known of it.  Requests are in submit.c. */
#include "base/assert.h"

#include "kv/forward.h"
#include "kv/kv_internal.h"

enum { SLEW_EVERY_NS = 1000000000 };

/* ------------------------------------------------------------------ the doors' heartbeats */

static void
slew_if_due(struct kv *kv, uint64_t now_ns)
{
    if (now_ns - kv->slewed_ns < SLEW_EVERY_NS)
        return;
    kv->slewed_ns = now_ns;
    node_clock_slew(&kv->clock, env_wall_ms(engine_env(kv->engine)), now_ns);
}

static void
tend_places(struct kv_door *door)
{
    if (door->map.stale)
        map_redraw(&door->map, cluster_atlas_of(door->kv->cluster, loop_index(door->loop)));
    map_tick(&door->map);
}

void
kv__on_tick(void *ctx)
{
    struct kv_door *door = ctx;

    if (door->drained)
        return; /* it was due already */
    tablet_reactor_tick(&door->reactor);
    if (door->forward != NULL)
        forward_tick(door->forward, loop_now_ns(door->loop));
    cluster_tick(door->kv->cluster, loop_index(door->loop));
    tend_places(door);
    if (loop_index(door->loop) == 0)
        slew_if_due(door->kv, env_boot_ns(engine_env(door->kv->engine)));
    kv__check_drained(door);
    if (!door->drained)
        timer_start(door->tick, TABLET_TICK_MS);
}

/* ------------------------------------------------------------------ what there is */

enum status
kv_database(struct kv_door *door, uint64_t number, uint32_t *keyspace)
{
    if (number >= LIMIT_DATABASES || map_space(&door->map, (uint32_t)number) == NULL)
        return ST_NOT_FOUND;
    *keyspace = (uint32_t)number;
    return ST_OK;
}

enum status
kv_keyspace_named(struct kv_door *door, struct slice name, uint32_t *keyspace)
{
    const struct atlas_keyspace *k =
        door->map.atlas == NULL ? NULL : atlas_keyspace_named(door->map.atlas, name);

    if (k == NULL || k->record.id == ATLAS_META_KEYSPACE)
        return ST_NOT_FOUND;
    *keyspace = k->record.id;
    return ST_OK;
}

uint64_t
kv_tablet_number(struct kv_door *door, uint32_t keyspace, uint32_t number)
{
    const struct space *s = map_space(&door->map, keyspace);

    return s == NULL || number >= s->keyspace->tablet_count ? 0 : s->sites[number]->tablet;
}

uint64_t
kv_now_ms(struct kv_door *door, uint32_t keyspace)
{
    (void)keyspace;
    return node_clock_ms(&door->kv->clock, loop_now_ns(door->loop));
}

struct tablet *
kv__first_tablet(const struct kv_door *door, uint32_t keyspace)
{
    const struct space *s = map_space(&door->map, keyspace);

    return s == NULL || s->keyspace->tablet_count == 0 ? NULL : map_tablet(&door->map, s->sites[0]);
}

struct tablet *
kv_tablet(struct kv *kv, uint32_t keyspace)
{
    return kv__first_tablet(&kv->doors[0], keyspace);
}

struct tablet *
kv_tablet_with(struct kv *kv, uint64_t id)
{
    return tablet_reactor_find(&kv->doors[0].reactor, id);
}

const struct tablet_roster *
kv_tablets(struct kv *kv)
{
    return &kv->doors[0].reactor.roster;
}

/* ------------------------------------------------------------------ figures */

struct kv_door *
kv_door_of(struct kv *kv, uint32_t loop_index)
{
    ASSERT(loop_index < kv->door_count);
    return &kv->doors[loop_index];
}

struct budget *
kv_budget(struct kv *kv)
{
    return engine_budget(kv->engine);
}

static uint64_t
keys_estimate(const struct lsm *tree)
{
    struct lsm_stats s = { 0 };

    lsm_stats(tree, &s);
    return s.entries > 2 * s.tombstones ? s.entries - 2 * s.tombstones : 0;
}

uint64_t
kv_keys_estimate(struct kv_door *door, uint32_t keyspace)
{
    const struct space *s = map_space(&door->map, keyspace);
    uint64_t sum = 0;

    for (uint32_t i = 0; s != NULL && i < s->keyspace->tablet_count; i++) {
        const struct tablet *t = map_tablet(&door->map, s->sites[i]);

        sum += t == NULL ? 0 : keys_estimate(tablet_lsm(t));
    }
    return sum;
}

static void
add_estimate(void *ctx, struct engine_tree *tree)
{
    uint64_t *sum = ctx;

    if (engine_tree_id(tree) != ATLAS_META_TABLET)
        *sum += keys_estimate(engine_tree_lsm(tree));
}

void
kv_stats(struct kv *kv, struct kv_stats *out)
{
    *out = (struct kv_stats){ 0 };
    for (uint32_t i = 0; i < kv->door_count; i++) {
        out->puts += atomic_load(&kv->doors[i].counters.puts);
        out->gets += atomic_load(&kv->doors[i].counters.gets);
        out->deletes += atomic_load(&kv->doors[i].counters.deletes);
    }
    engine_each_tree(kv->engine, add_estimate, &out->keys_estimate);
    engine_stats(kv->engine, &out->engine);
}

enum status
kv_writable(const struct kv *kv)
{
    if (engine_log_health(kv->engine) != ST_OK)
        return ST_IO;
    return engine_space(kv->engine) == ENGINE_SPACE_LOW ? ST_NO_SPACE : ST_OK;
}

const char *
kv_node_name(const struct kv *kv)
{
    return kv->node_name;
}

uint64_t
kv_node_id(const struct kv *kv)
{
    return engine_identity(kv->engine)->node;
}

struct cluster *
kv_cluster_of(struct kv *kv)
{
    return kv->cluster;
}

/* ------------------------------------------------------------------ settings */

void
kv_set_pace(struct kv *kv, const struct cluster_pace *pace)
{
    cluster_set_pace(kv->cluster, pace);
}

void
kv_set_streaming(struct kv *kv, uint64_t bytes_per_second)
{
    tablet_node_set_streaming(&kv->node, bytes_per_second);
}

void
kv_set_leases(struct kv *kv, bool used)
{
    tablet_node_set_leases(&kv->node, used);
}
