/*
 * cluster/split.h — how the metadata says that a tablet is split.
 *
 *      record of T                                  who sees to the next line
 *      from ....................... limit           an order
 *      from ............ at ....... limit, heir H   T's leader, with an entry of its log (tablet_split())
 *      from ............ at    H: at .. limit       the steward, when T's leader reports the next edition
 *
 * From the second line to the third T's members stay who they are: they are those of the heir.  And after it until each
 * of them that has all of T has made the heir out of it.
 *
 * Pure.
 */
#ifndef CLUSTER_SPLIT_H
#define CLUSTER_SPLIT_H

#include "cluster/report.h"

/* Where to split a tablet of a hash keyspace in two halves; false: it has one slot. */
bool split_middle(const struct tablet_record *t, uint8_t room[2], struct slice *at);

/* Can it be split there, as it is?  Not while it is being split, or moves. */
bool split_may_begin(const struct tablet_record *t, struct slice at);

/* The second line. */
struct tablet_record split_begun(const struct tablet_record *t, uint64_t heir, struct slice at);

/* Has the leader that reports done it? */
bool split_is_done(const struct tablet_record *t, const struct tablet_report *report);

/* The third line. */
void split_ended(const struct tablet_record *t, struct tablet_record *lower,
                 struct tablet_record *heir);

#endif
