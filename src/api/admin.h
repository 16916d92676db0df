/*
 * api/admin.h — administrative jobs on behalf of a call: one, or one per database.
 */
#ifndef API_ADMIN_H
#define API_ADMIN_H

#include "base/limits.h"

#include "api/call.h"

struct admin {
    struct kv_admin admin;
    struct call *call;
    bool reads;        /* of every tablet, one after the other */
    uint32_t tablet;   /* the number of the next of them */
    uint32_t left;     /* and how many there are to come */
    uint64_t count;    /* of those before */
    uint32_t database; /* of the running step, when it is one per database */
    bool every;
    uint64_t weights[LIMIT_DATABASES]; /* of each database in the whole, when it is every one */
    uint64_t weight_done;
    uint64_t weight_total;
    struct lsm_compact_report sum;
    double seconds;
    void (*done)(struct admin *a);
};

/* On the database that is selected.  `done` is called when it ended well (or found nothing), and
 * finishes the call; a failure is replied here. */
void admin_begin(struct call *c, enum kv_admin_kind kind, void (*done)(struct admin *a));

/* The same for a kind that reads, KV_COUNT or KV_RANDOM: of all that is committed (kv.h). */
void admin_read(struct call *c, enum kv_admin_kind kind, void (*done)(struct admin *a));

/* KV_COMPACT on every database, one after the other; reports are summed. */
void admin_compact_every(struct call *c, void (*done)(struct admin *a));

#endif
