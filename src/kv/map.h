/*
 * kv/map.h — keyspaces and tablets as one door sees them: where a key belongs, and the route there.
 *
 * Drawn from the door's atlas, and drawn anew when that changes.  A site outlives the drawing: what is
 * under way on its route comes back to it.  One that no atlas names any more goes when nothing does.
 *
 * On the door's loop.
 */
#ifndef KV_MAP_H
#define KV_MAP_H

#include "cluster/atlas.h"
#include "tablet/tablet.h"

struct kv_door;
struct route;

/* One tablet. */
struct site {
    uint64_t tablet;
    uint32_t keyspace;
    const struct tablet_record *record; /* in the drawing's atlas; NULL: it is gone */
    uint64_t edition;                   /* of the record when it was last drawn */
    bool drawn;                         /* it was there at the last drawing */
    struct route *route;                /* NULL: it was not needed yet */
};

/* One keyspace. */
struct space {
    const struct atlas_keyspace *keyspace; /* in the drawing's atlas */
    struct site **sites;                   /* by `from` */
};

struct map {
    struct kv_door *door;
    const struct atlas *atlas; /* a reference */
    struct space *spaces;      /* owned; as atlas->keyspaces */
    struct site **by_from;     /* owned; the spaces' */
    struct site **all;         /* owned; by tablet */
    uint32_t count;
    bool stale; /* there was no memory for the newest atlas */
};

void map_init(struct map *p, struct kv_door *door);
void map_release(struct map *p); /* nothing is under way */

/* The atlas is the newest.  Without memory the drawing stays as it was, and is `stale`. */
void map_redraw(struct map *p, const struct atlas *now);

/* NULL: there is no such keyspace. */
const struct space *map_space(const struct map *p, uint32_t keyspace);

/* Which of the keyspace's tablets has the key; NULL: it has none. */
struct site *space_site(const struct space *s, struct slice key);

/* The one site of all keys of the request.  ST_SCATTERED: they have several, or it is about all there are. */
MUST_USE enum status space_site_of(const struct space *s, const struct request *r,
                                   struct site **out);

/* NULL: it is not known here. */
struct site *map_find(const struct map *p, uint64_t tablet);

/* This node's replica; NULL: it has none. */
struct tablet *map_tablet(const struct map *p, const struct site *site);

/* Let go of places that are gone, and of which nothing is under way. */
void map_tick(struct map *p);

#endif
