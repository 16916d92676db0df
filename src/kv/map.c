#include "kv/map.h"

#include <stdlib.h>

#include "base/assert.h"
#include "base/mem.h"

#include "kv/forward.h"
#include "kv/kv_internal.h"
#include "kv/route.h"

void
map_init(struct map *p, struct kv_door *door)
{
    *p = (struct map){ .door = door };
}

void
map_release(struct map *p)
{
    for (uint32_t i = 0; i < p->count; i++) {
        route_destroy(p->all[i]->route);
        mem_free(p->all[i]);
    }
    mem_free(p->spaces);
    mem_free(p->by_from);
    mem_free(p->all);
    atlas_unref(p->atlas);
    *p = (struct map){ .door = p->door };
}

/* ------------------------------------------------------------------ looking */

/* Ids are mostly without a gap: then the first guess is right. */
const struct space *
map_space(const struct map *p, uint32_t keyspace)
{
    uint32_t low = 0;
    uint32_t high = p->atlas == NULL ? 0 : p->atlas->keyspace_count;

    if (keyspace < high && p->spaces[keyspace].keyspace->record.id == keyspace)
        return &p->spaces[keyspace];
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;

        if (p->spaces[middle].keyspace->record.id < keyspace)
            low = middle + 1;
        else
            high = middle;
    }
    return p->atlas != NULL && low < p->atlas->keyspace_count &&
                   p->spaces[low].keyspace->record.id == keyspace
               ? &p->spaces[low]
               : NULL;
}

struct site *
space_site(const struct space *s, struct slice key)
{
    if (s->keyspace->tablet_count <= 1)
        return s->keyspace->tablet_count == 0 ? NULL : s->sites[0];
    return s->sites[atlas_tablet_number(s->keyspace, key)];
}

/* False: the key has another place than those before. */
static bool
agrees(const struct space *s, struct slice key, struct site **all)
{
    struct site *site = space_site(s, key);

    if (*all == NULL)
        *all = site;
    return *all == site;
}

enum status
space_site_of(const struct space *s, const struct request *r, struct site **out)
{
    struct site *site = NULL;

    for (uint32_t i = 0; i < r->precondition_count; i++) {
        if (!agrees(s, r->preconditions[i].key, &site))
            return ST_SCATTERED;
    }
    for (uint32_t i = 0; i < r->op_count; i++) {
        const struct op *op = &r->ops[i];

        if (op->kind == OP_CLEAR || !agrees(s, op->key, &site) ||
            (op->kind == OP_COPY && !agrees(s, op->key2, &site)))
            return ST_SCATTERED;
    }
    if (site == NULL)
        return ST_SCATTERED;
    *out = site;
    return ST_OK;
}

static uint32_t
number_of(const struct map *p, uint64_t tablet)
{
    uint32_t low = 0;
    uint32_t high = p->count;

    while (low < high) {
        uint32_t middle = low + (high - low) / 2;

        if (p->all[middle]->tablet < tablet)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

struct site *
map_find(const struct map *p, uint64_t tablet)
{
    uint32_t at = number_of(p, tablet);

    return at < p->count && p->all[at]->tablet == tablet ? p->all[at] : NULL;
}

struct tablet *
map_tablet(const struct map *p, const struct site *site)
{
    return tablet_reactor_find(&p->door->reactor, site->tablet);
}

/* ------------------------------------------------------------------ drawing */

/* What the next drawing is made of; nothing of the present one has changed. */
struct sketch {
    struct space *spaces;
    struct site **by_from;
    struct site **all; /* those that there are, and new ones */
    uint32_t count;
    uint32_t fresh; /* of these, at the end while it is made */
};

static void
sketch_release(struct sketch *k)
{
    for (uint32_t i = 0; i < k->fresh; i++)
        mem_free(k->all[k->count - 1 - i]);
    mem_free(k->spaces);
    mem_free(k->by_from);
    mem_free(k->all);
}

static bool
add_missing(const struct map *p, const struct atlas *now, struct sketch *k)
{
    for (uint32_t i = 0; i < now->tablet_count; i++) {
        struct site *fresh;

        if (map_find(p, now->tablets[i]->id) != NULL)
            continue;
        fresh = mem_new(struct site);
        if (fresh == NULL)
            return false;
        fresh->tablet = now->tablets[i]->id;
        fresh->keyspace = now->tablets[i]->keyspace;
        k->all[k->count++] = fresh;
        k->fresh++;
    }
    return true;
}

static bool
sketch_make(const struct map *p, const struct atlas *now, struct sketch *k)
{
    *k = (struct sketch){ 0 };
    k->spaces = mem_new_array(struct space, now->keyspace_count + (size_t)1);
    k->by_from = mem_new_array(struct site *, now->tablet_count + (size_t)1);
    k->all = mem_new_array(struct site *, p->count + (size_t)now->tablet_count + 1);
    if (k->spaces == NULL || k->by_from == NULL || k->all == NULL)
        return false;
    if (p->count > 0)
        memcpy(k->all, p->all, p->count * sizeof(struct site *));
    k->count = p->count;
    return add_missing(p, now, k);
}

static int
compare_places(const void *a, const void *b)
{
    uint64_t x = (*(struct site *const *)a)->tablet;
    uint64_t y = (*(struct site *const *)b)->tablet;

    return (x > y) - (x < y);
}

static void
point_to_records(struct map *p)
{
    struct site **at = p->by_from;

    for (uint32_t i = 0; i < p->count; i++)
        p->all[i]->record = atlas_tablet(p->atlas, p->all[i]->tablet);
    for (uint32_t i = 0; i < p->atlas->keyspace_count; i++) {
        const struct atlas_keyspace *k = &p->atlas->keyspaces[i];

        p->spaces[i] = (struct space){ .keyspace = k, .sites = at };
        for (uint32_t t = 0; t < k->tablet_count; t++)
            *at++ = map_find(p, k->tablets[t]->id);
    }
}

/* ------------------------------------------------------------------ splits */

/* What was under way when the new tablets were not known: on the route of the one that they came out of. */
static struct route *
elder_of(const struct map *p, const struct site *site)
{
    while (site != NULL && !site->drawn && site->record != NULL)
        site = site->record->parent == 0 ? NULL : map_find(p, site->record->parent);
    return site == NULL || !site->drawn ? NULL : site->route;
}

/* Without memory for a route the requests that need it are refused, too. */
static void
follow_elder(struct map *p, struct site *site)
{
    struct route *elder = elder_of(p, site);
    struct route *route;

    if (elder == NULL || route_is_idle(elder))
        return;
    route = forward_route(p->door->forward, site);
    if (route != NULL)
        route_follow(route, elder);
}

/* The new ones wait before anything is looked for anew. */
static void
share_out(struct map *p)
{
    for (uint32_t i = 0; i < p->count; i++) {
        if (!p->all[i]->drawn && p->all[i]->record != NULL)
            follow_elder(p, p->all[i]);
    }
    for (uint32_t i = 0; i < p->count; i++) {
        struct site *site = p->all[i];
        uint64_t edition = site->record == NULL ? UINT64_MAX : site->record->edition;
        bool changed = site->drawn && site->edition != edition;

        site->drawn = true;
        site->edition = edition;
        if (changed && site->route != NULL)
            route_redrawn(site->route);
    }
}

/* ------------------------------------------------------------------ the next drawing */

void
map_redraw(struct map *p, const struct atlas *now)
{
    struct sketch k;

    p->stale = !sketch_make(p, now, &k);
    if (p->stale) {
        sketch_release(&k);
        return;
    }
    atlas_ref(now);
    atlas_unref(p->atlas);
    mem_free(p->spaces);
    mem_free(p->by_from);
    mem_free(p->all);
    p->atlas = now;
    p->spaces = k.spaces;
    p->by_from = k.by_from;
    p->all = k.all;
    p->count = k.count;
    qsort(p->all, p->count, sizeof(void *), compare_places);
    point_to_records(p);
    share_out(p);
}

void
map_tick(struct map *p)
{
    uint32_t kept = 0;

    for (uint32_t i = 0; i < p->count; i++) {
        struct site *site = p->all[i];

        if (site->record == NULL && (site->route == NULL || route_is_idle(site->route))) {
            route_destroy(site->route);
            mem_free(site);
        } else {
            p->all[kept++] = site;
        }
    }
    p->count = kept;
}
