/*
 * cluster/atlas.h — the cluster as one can look into it: nodes, keyspaces, tablets, at one version.
 *
 * Immutable, and so readable by all threads; whoever keeps one across rounds of its loop holds a
 * reference.  Made from a book when that has changed.
 *
 * Of the nodes it has all, also those that were removed; of keyspaces and tablets only what lives.
 */
#ifndef CLUSTER_ATLAS_H
#define CLUSTER_ATLAS_H

#include "base/slot.h"

#include "cluster/book.h"

enum { ATLAS_META_TABLET = 1 };

/* The keyspace of the metadata itself. */
#define ATLAS_META_KEYSPACE UINT32_MAX

struct atlas_keyspace {
    struct keyspace_record record;
    const struct tablet_record **tablets; /* by `from` */
    uint32_t tablet_count;
};

struct atlas {
    version_t version;
    struct cluster_record cluster;
    const struct node_record *nodes; /* by id */
    uint32_t node_count;
    const struct atlas_keyspace *keyspaces; /* by id; that of the metadata is the last */
    uint32_t keyspace_count;
    const struct tablet_record **tablets; /* by id */
    uint32_t tablet_count;
};

/* One reference, the caller's.  NULL when out of memory. */
struct atlas *atlas_create(const struct book *b);

const struct atlas *atlas_ref(const struct atlas *a);
void atlas_unref(const struct atlas *a); /* NULL is allowed */

const struct node_record *atlas_node(const struct atlas *a, uint64_t id); /* NULL: there is none */
const struct node_record *atlas_node_named(const struct atlas *a, struct slice name);
uint32_t atlas_count_nodes(const struct atlas *a); /* that were not removed */
const struct tablet_record *atlas_tablet(const struct atlas *a, uint64_t id);
const struct atlas_keyspace *atlas_keyspace(const struct atlas *a, uint32_t id);
const struct atlas_keyspace *atlas_keyspace_named(const struct atlas *a, struct slice name);

/* Which of the keyspace's tablets has the key, by its number or as its record.  Where they leave a hole, the one
 * before it, or the first.  A keyspace without tablets has no number, and the record is NULL. */
uint32_t atlas_tablet_number(const struct atlas_keyspace *k, struct slice key);
const struct tablet_record *atlas_tablet_of(const struct atlas_keyspace *k, struct slice key);

/* The slots of a tablet of a hash keyspace: [*begin, *limit), within SLOT_COUNT whatever its bounds. */
void atlas_slots_of(const struct tablet_record *t, uint32_t *begin, uint32_t *limit);

#endif
