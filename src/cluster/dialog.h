/*
 * cluster/dialog.h — one parcel there, one parcel back, over a connection of its own.
 *
 *      who asks       dialog_call ────── petition ─────>  dialog_answer       who is asked
 *                      `done` <───────── verdict ───────  dialog_reply
 *
 * One end of such a dialog, on one loop.  Whoever keeps it asks dialog_due() now and then, and ends
 * it: a dialog that has come to its end says so once, and stays until it is ended.
 *
 * Depends on: base, env, peer.
 */
#ifndef CLUSTER_DIALOG_H
#define CLUSTER_DIALOG_H

#include "base/list.h"

#include "cluster/petition.h"
#include "env/env.h"
#include "peer/carrier.h"

enum { DIALOG_MS = 5000 }; /* for the whole of it */

/* ST_OK: the other's parcel has come, whose body is borrowed; or all of ours is written, and the body is empty
 * (who is asked).  Otherwise why there is none.  Called once for each parcel, last of what happens. */
struct dialog;
typedef void dialog_fn(struct dialog *d, enum status st, struct slice body, const struct err *err);

struct dialog {
    struct list link; /* the caller's */
    struct loop *loop;
    struct carrier *carrier; /* of `stream`, when it is to be made; NULL: as it is */
    struct stream *stream;
    struct connector *connector;
    dialog_fn *fn;
    void *ctx;
    struct buf in;
    struct buf out;
    size_t written;
    size_t in_body_max;
    uint64_t deadline_ns;
    bool asks;
    bool heard;
    bool over;
};

/* Begin to ask: `parcel` is taken.  NULL when out of memory, or the address is none; then the parcel stays
 * the caller's. */
struct dialog *dialog_call(struct loop *loop, struct carrier *carrier,
                           const struct node_address *to, struct buf *parcel, dialog_fn *fn,
                           void *ctx);

/* Begin to listen to who has connected and has said `begin` so far.  The stream is taken, whatever
 * happens. */
struct dialog *dialog_answer(struct loop *loop, struct stream *stream, struct slice begin,
                             dialog_fn *fn, void *ctx);

/* Send the answer, which is taken. */
void dialog_reply(struct dialog *d, struct buf *parcel);

/* Time has passed; may call `fn` with ST_TIMEOUT. */
void dialog_due(struct dialog *d, uint64_t now_ns);

/* No callback comes after this; from within `fn`, too.  NULL is allowed. */
void dialog_end(struct dialog *d);

#endif
