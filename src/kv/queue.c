#include "kv/queue.h"

void
queue_init(struct queue *q)
{
    *q = (struct queue){ 0 };
    list_init(&q->waiting);
    list_init(&q->moved);
}

size_t
queue_cost_of(const struct request *r)
{
    size_t bytes = 0;

    for (uint32_t i = 0; i < r->op_count; i++) {
        const struct op *op = &r->ops[i];

        bytes += sizeof(*op) + op->key.size + op->key2.size + op->value.size;
    }
    return bytes;
}

/* Mostly it is the last. */
void
queue_wait(struct queue *q, struct request *r)
{
    struct list *at = q->waiting.prev;

    while (at != &q->waiting && container_of(at, struct request, link)->turn > r->turn)
        at = at->prev;
    list_push_front(at, &r->link);
    q->waiting_count++;
    q->waiting_bytes += queue_cost_of(r);
}

struct request *
queue_first(const struct queue *q)
{
    return list_empty(&q->waiting) ? NULL : container_of(q->waiting.next, struct request, link);
}

void
queue_leave(struct queue *q, struct request *r)
{
    list_remove(&r->link);
    q->waiting_count--;
    q->waiting_bytes -= queue_cost_of(r);
}

void
queue_move(struct queue *q, struct request *r)
{
    list_push_back(&q->moved, &r->link);
    q->moved_count++;
}

void
queue_wait_again(struct queue *q)
{
    struct list *at;

    while ((at = list_pop_front(&q->moved)) != NULL) {
        q->moved_count--;
        queue_wait(q, container_of(at, struct request, link));
    }
}

void
queue_take_waiting(struct queue *q, struct list *out)
{
    struct request *r;

    while ((r = queue_first(q)) != NULL) {
        queue_leave(q, r);
        list_push_back(out, &r->link);
    }
}

void
queue_take_late(struct queue *q, uint64_t now_ns, struct list *out)
{
    struct list *at = q->moved.next;

    while (at != &q->moved) {
        struct request *r = container_of(at, struct request, link);

        at = at->next;
        if (now_ns < r->deadline_ns)
            continue;
        list_remove(&r->link);
        q->moved_count--;
        list_push_back(out, &r->link);
    }
    at = q->waiting.next;
    while (at != &q->waiting) {
        struct request *r = container_of(at, struct request, link);

        at = at->next;
        if (now_ns < r->deadline_ns)
            continue;
        queue_leave(q, r);
        list_push_back(out, &r->link);
    }
}

uint64_t
queue_count(const struct queue *q)
{
    return q->waiting_count + (uint64_t)q->moved_count;
}
