/*
 * tablet/lifetime.h — tablets that come and go while the node runs.
 *
 * Each step is taken where it belongs: trees by jobs, the tablet on the loop that owns it, and every loop adds
 * it to its own roster, or takes it out.  Everything here is called on loop 0; `done` is called there, too,
 * never before the call has returned.  A change under way keeps the node from being idle.
 */
#ifndef TABLET_LIFETIME_H
#define TABLET_LIFETIME_H

#include "engine/body.h"
#include "tablet/reactor.h"

typedef void tablet_changed_fn(void *ctx, enum status st,
                               const struct err *err); /* `err` is borrowed */

/* Of a tablet that comes out of another, which applies nothing meanwhile. */
struct tablet_birth {
    struct engine_tree *parent; /* sealed; its tables are the new one's, too */
    struct lsm_mark mark;       /* the next after what the parent has applied */
    struct head head;           /* membership, ceiling and scope */
};

struct tablet_spec {
    uint64_t id;
    uint32_t loop; /* that is to own it */
    const struct raft_config
        *founders; /* copied; the members with which the group was born, perhaps without us */
    const struct tablet_birth *birth; /* until `done`; NULL: of none, its tree is empty */
};

/* A tablet with an empty tree, or one that comes out of another: then its membership and scope are durable,
 * too, when `done` is called, and ST_EXISTS also says that there has been one (engine_plant_tree()).  After `done` with ST_OK it is in the roster of every loop, and takes part in
 * its group: a group of one is served as soon as its log is durable, others when they have a leader; a replica
 * that is no member waits to be told of its group.  After a failure there is nothing, unless the tree could not
 * be dropped either: then tablet_node_drop() is due.
 *
 * ST_OK: begun.  ST_EXISTS: it is there, or was not dropped; ST_BUSY: a change of it is under way; ST_CLOSED: the
 * engine closes; ST_NO_MEMORY.  `done` gets these, too, and those of engine_create_tree(). */
MUST_USE enum status tablet_node_add(struct tablet_node *n, const struct tablet_spec *spec,
                                     tablet_changed_fn *done, void *ctx);

/* The tablet's end.  Loop by loop it leaves the rosters; what its owner has still to answer is refused
 * (ST_NOT_LEADER), or of unknown outcome (ST_UNKNOWN); when no job works for it and nobody holds it, its tree is
 * dropped, with what it had promised as the oath.  After a failure (those of engine_drop_tree()) the tablet is
 * gone, and its tree is not: to be asked again.
 *
 * ST_OK: begun.  ST_NOT_FOUND: there is neither; ST_BUSY, ST_CLOSED, ST_NO_MEMORY: as above. */
MUST_USE enum status tablet_node_drop(struct tablet_node *n, uint64_t id, tablet_changed_fn *done,
                                      void *ctx);

/* One that was set aside takes part in its group again, with all that it has: as if its node had only now been
 * started.  After a failure (ST_NO_MEMORY) it is aside as before.
 *
 * ST_OK: begun.  ST_NOT_FOUND: there is none, or it is not aside; ST_BUSY, ST_CLOSED, ST_NO_MEMORY: as above. */
MUST_USE enum status tablet_node_resume(struct tablet_node *n, uint64_t id, tablet_changed_fn *done,
                                        void *ctx);

#endif
