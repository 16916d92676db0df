/* Every request ends by its deadline (P8); how depends on where it is (tablet.c). */
#include "tablet/tablet_internal.h"

static bool
is_late(const struct request *r, uint64_t now_ns)
{
    return !r->admin && now_ns >= r->deadline_ns;
}

/* Nothing of these was applied. */
static void
expire_list(struct tablet *t, struct list *head, uint64_t now_ns)
{
    struct list *at = head->next;

    while (at != head) {
        struct request *r = container_of(at, struct request, link);

        at = at->next;
        if (!is_late(r, now_ns))
            continue;
        list_remove(&r->link);
        if (head == &t->waiting)
            t->waiting_count--;
        cold_release(r);
        tablet__finish(t, r, ST_TIMEOUT);
    }
}

static void
expire_parked(struct tablet *t, uint64_t now_ns)
{
    struct list *at = t->parked.next;

    while (at != &t->parked) {
        struct request *r = container_of(at, struct request, link);
        uint64_t origin = r->origin;

        if (!is_late(r, now_ns)) {
            at = at->next;
            continue;
        }
        list_remove(&r->link);
        cold_release(r);
        tablet__finish(t, r, ST_TIMEOUT);
        tablet__release_behind(t, origin);
        at = t->parked.next; /* anything may have parked meanwhile */
    }
}

/* These are in the log: they may yet be applied. */
static void
expire_proposed(struct tablet *t, uint64_t now_ns)
{
    for (raft_index i = t->applied + 1; i < t->tail.limit; i++) {
        struct tail_entry *e = tail_at(&t->tail, i);
        struct request *r = e->request;

        if (r == NULL || !is_late(r, now_ns))
            continue;
        e->request = NULL;
        tablet__finish(t, r, ST_UNKNOWN);
    }
    list_each (at, &t->barriers) {
        struct barrier *b = container_of(at, struct barrier, link);
        struct request *r = b->request;

        if (r == NULL || !is_late(r, now_ns))
            continue;
        b->request = NULL;
        tablet__finish(t, r, ST_TIMEOUT);
    }
}

void
tablet__expire(struct tablet *t, uint64_t now_ns)
{
    expire_proposed(t, now_ns);
    expire_parked(t, now_ns);
    expire_list(t, &t->behind, now_ns);
    expire_list(t, &t->waiting, now_ns);
}
