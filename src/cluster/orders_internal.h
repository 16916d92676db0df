/* What the files of orders share.  Each orders__x() below carries out the order of that name, and ends it. */
#ifndef CLUSTER_ORDERS_INTERNAL_H
#define CLUSTER_ORDERS_INTERNAL_H

#include "cluster/cluster_internal.h"
#include "cluster/orders.h"

bool orders__is_word(struct slice word, const char *text);

/* The ends of an order: one of the three, once. */
void orders__finish(struct order *o, enum status st);
void orders__refuse(struct order *o, enum status st, const char *fmt, ...) PRINTF_LIKE(3, 4);
/* Takes the change (NULL: there was no memory), which `st` says is whole. */
void orders__write_down(struct order *o, struct change *change, enum status st);

/* The keyspace that the word names; NULL: the order was refused. */
const struct atlas_keyspace *orders__keyspace_of(struct order *o, uint32_t word);

/* order_nodes.c */
void orders__drain(struct order *o);
void orders__undrain(struct order *o);
void orders__remove(struct order *o);
void orders__replace(struct order *o);

/* order_keyspaces.c */
void orders__keyspace_create(struct order *o);
void orders__keyspace_alter(struct order *o);
void orders__keyspace_drop(struct order *o);

/* order_splits.c */
void orders__keyspace_split(struct order *o);

/* One that no tablet has, or has had. */
uint64_t orders__new_tablet_id(struct cluster *c);
bool orders__parse_count(struct slice word, uint32_t least, uint32_t most, uint32_t *out);

/* recover.c */
void orders__recover(struct order *o);

#endif
