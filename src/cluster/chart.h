/* cluster/chart.h — the cluster as JSON, for operators and their scripts.  On loop 0. */
#ifndef CLUSTER_CHART_H
#define CLUSTER_CHART_H

#include "cluster/cluster.h"

/* Each appends one line of JSON.  ST_NO_MEMORY, ST_TOO_BIG. */

/* {"change": N}: after a change of the metadata. */
MUST_USE enum status chart_done(struct cluster *c, struct buf *out);

MUST_USE enum status chart_status(struct cluster *c, struct buf *out);
MUST_USE enum status chart_nodes(struct cluster *c, struct buf *out);
MUST_USE enum status chart_keyspaces(struct cluster *c, struct buf *out);

/* Of one keyspace, or (NULL) of all. */
MUST_USE enum status chart_tablets(struct cluster *c, const struct atlas_keyspace *k,
                                   struct buf *out);

/* Where each tablet of a keyspace should live, or the one that has the key. */
MUST_USE enum status chart_ring(struct cluster *c, const struct atlas_keyspace *k,
                                const struct slice *key, struct buf *out);

/* What is on its way to where it should be, and what that takes. */
MUST_USE enum status chart_moves(struct cluster *c, struct buf *out);

#endif
