/*
 * kv/scatter.h — a request whose keys lie in several tablets, and which need not be one: it is asked in parts.
 *
 * Reads, deletions, and a clear of all there is.  Each part is as a request of its own: between them others
 * may write.  When a part fails, others may have been carried out: then the whole is ST_UNKNOWN, unless
 * nothing was written.
 */
#ifndef KV_SCATTER_H
#define KV_SCATTER_H

#include "tablet/request.h"

struct kv_door;

/* Takes the request, which the door has entered.  ST_SCATTERED: it has to be one. */
void scatter(struct kv_door *door, struct request *r);

#endif
