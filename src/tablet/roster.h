/*
 * tablet/roster.h — the tablets of a node, as one loop knows them: found by id.
 *
 * Each loop has a roster of its own, changed only there (or by start-up code), so that whoever looks needs no
 * lock.
 */
#ifndef TABLET_ROSTER_H
#define TABLET_ROSTER_H

#include "base/status.h"

struct tablet;

struct tablet_roster {
    struct tablet **at; /* owned; in ascending order of id */
    uint32_t count;
};

struct tablet *roster_find(const struct tablet_roster *r, uint64_t id); /* NULL: there is none */

/* It is not in there.  ST_NO_MEMORY. */
MUST_USE enum status roster_add(struct tablet_roster *r, struct tablet *t);

void roster_remove(struct tablet_roster *r, const struct tablet *t); /* it may be missing */
void roster_release(struct tablet_roster *r);

#endif
