/*
 * kv/queue.h — the requests of a route that are here: those that wait to be sent, and those whose tablet was split.
 *
 * Both by turn, but that what has moved is in the order in which it came back until it waits again.  The requests are
 * their owners'; what they cost is counted, and bounded by the route.  On the door's loop.
 */
#ifndef KV_QUEUE_H
#define KV_QUEUE_H

#include "base/list.h"

#include "tablet/request.h"

struct queue {
    struct list waiting; /* struct request */
    uint32_t waiting_count;
    size_t waiting_bytes;
    struct list moved; /* refused, for the tablet was split, which the map does not say yet */
    uint32_t moved_count;
};

void queue_init(struct queue *q);

/* Of its operations, with keys and values: they lie in its caller's memory, as it does itself. */
size_t queue_cost_of(const struct request *r);

void queue_wait(struct queue *q, struct request *r);
struct request *queue_first(const struct queue *q); /* of those that wait; NULL: none does */
void queue_leave(struct queue *q, struct request *r);

void queue_move(struct queue *q, struct request *r);
void queue_wait_again(struct queue *q); /* all that have moved */

/* Those that wait, by turn, and then nobody waits. */
void queue_take_waiting(struct queue *q, struct list *out);
/* Those whose deadline has passed. */
void queue_take_late(struct queue *q, uint64_t now_ns, struct list *out);

uint64_t queue_count(const struct queue *q); /* of both */

#endif
