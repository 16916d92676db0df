/*
 * INVARIANTS
 *
 *   M1  What a share has been charged, the node's budget has been charged.
 *   M2  Nobody is granted room past somebody who waits for the same kind on the same
 *       reactor, so that a large request is not starved by the small ones there.
 *       (What is charged by room_take() is small, or exists already.)  Lines of
 *       different reactors do not know of each other: one may be served past another
 *       again and again, but nobody waits in it beyond its deadline, and then whoever
 *       holds much without moving is closed (close_holders() of reactor.c).
 *   M3  A share is at least twice the largest value, whatever the budget, so
 *       that any one request can be served when nothing else is under way.
 *       So pools give back what is free in them while somebody waits.
 *   M4  `waiting` is the number of all that are in the lines.
 */
#include "api/room.h"

#include "base/assert.h"
#include "base/limits.h"

enum {
    /* A request that is under way is in memory up to three times: as it came, as an entry on its
     * way to the log, and in the log's buffer.  So requests get a sixth of the budget, which is
     * half of it in the end; memtables have the other half. */
    REQUESTS_OF_BUDGET = 6,
    REPLIES_OF_BUDGET = 4,
    SHARE_BYTES_MIN = 2 * LIMIT_VALUE_BYTES + (2 << 20),
};

void
room_shares_init(struct room_shares *shares, struct budget *budget)
{
    const size_t limits[ROOM_KIND_COUNT] = {
        [ROOM_REQUEST] = budget->limit / REQUESTS_OF_BUDGET,
        [ROOM_REPLY] = budget->limit / REPLIES_OF_BUDGET,
    };

    shares->budget = budget;
    for (int kind = 0; kind < ROOM_KIND_COUNT; kind++) {
        budget_init(&shares->share[kind],
                    limits[kind] > SHARE_BYTES_MIN ? limits[kind] : SHARE_BYTES_MIN);
        atomic_init(&shares->missed[kind], 0);
        atomic_init(&shares->waiting[kind], 0);
    }
}

void
room_init(struct room *room, struct room_shares *shares)
{
    *room = (struct room){ .shares = shares };
    for (int kind = 0; kind < ROOM_KIND_COUNT; kind++)
        list_init(&room->waiting[kind]);
}

bool
room_was_missed(struct room *room, enum room_kind kind)
{
    uint64_t missed = atomic_load(&room->shares->missed[kind]);
    bool news = missed != room->seen[kind];

    room->seen[kind] = missed;
    return news;
}

static bool
charge(struct room *room, enum room_kind kind, size_t bytes)
{
    struct room_shares *shares = room->shares;

    if (!budget_try_charge(&shares->share[kind], bytes))
        return false;
    if (budget_try_charge(shares->budget, bytes))
        return true;
    budget_return(&shares->share[kind], bytes);
    return false;
}

bool
room_try(struct room *room, enum room_kind kind, size_t bytes)
{
    return list_empty(&room->waiting[kind]) && charge(room, kind, bytes); /* M2 */
}

bool
room_is_ample(const struct room *room, enum room_kind kind, size_t bytes)
{
    const struct budget *share = &room->shares->share[kind];

    return budget_used(share) + bytes <= share->limit / 2;
}

void
room_take(struct room *room, enum room_kind kind, size_t bytes)
{
    budget_charge(&room->shares->share[kind], bytes);
    budget_charge(room->shares->budget, bytes);
}

void
room_give(struct room *room, enum room_kind kind, size_t bytes)
{
    if (bytes == 0)
        return; /* most calls hold nothing, and the counters are shared */
    budget_return(&room->shares->share[kind], bytes);
    budget_return(room->shares->budget, bytes);
}

void
room_wait_init(struct room_wait *wait, void (*over)(struct room_wait *self, bool granted))
{
    *wait = (struct room_wait){ .over = over };
    list_init(&wait->link);
}

void
room_await(struct room *room, enum room_kind kind, struct room_wait *wait, size_t bytes,
           uint64_t deadline_ns)
{
    ASSERT(list_empty(&wait->link));
    wait->bytes = bytes;
    wait->deadline_ns = deadline_ns;
    wait->shares = room->shares;
    wait->kind = kind;
    list_push_back(&room->waiting[kind], &wait->link);
    atomic_fetch_add(&room->shares->waiting[kind], 1); /* M4 */
}

bool
room_is_wanted(const struct room *room, enum room_kind kind)
{
    return atomic_load_explicit(&room->shares->waiting[kind], memory_order_relaxed) > 0;
}

static void
uncount(struct room_wait *wait)
{
    uint32_t before = atomic_fetch_sub(&wait->shares->waiting[wait->kind], 1);

    ASSERT(before > 0); /* M4 */
}

static void
leave_line(struct room_wait *wait)
{
    uncount(wait);
    list_remove(&wait->link);
}

bool
room_waits(const struct room_wait *wait)
{
    return !list_empty(&wait->link);
}

void
room_wait_cancel(struct room_wait *wait)
{
    if (room_waits(wait))
        leave_line(wait);
}

bool
room_busy(const struct room *room)
{
    for (int kind = 0; kind < ROOM_KIND_COUNT; kind++) {
        if (!list_empty(&room->waiting[kind]))
            return true;
    }
    return false;
}

static void
grant(struct room *room, enum room_kind kind)
{
    struct list *head = &room->waiting[kind];

    while (!list_empty(head)) {
        struct room_wait *wait = container_of(head->next, struct room_wait, link);

        if (!charge(room, kind, wait->bytes))
            return;
        leave_line(wait);
        wait->over(wait, true);
    }
}

static void
expire(struct room *room, enum room_kind kind, uint64_t now_ns)
{
    struct list late;
    struct list *at = room->waiting[kind].next;

    list_init(&late);
    while (at != &room->waiting[kind]) {
        struct room_wait *wait = container_of(at, struct room_wait, link);

        at = at->next;
        if (now_ns < wait->deadline_ns)
            continue;
        list_remove(&wait->link);
        list_push_back(&late, &wait->link);
        atomic_fetch_add(&room->shares->missed[kind], 1);
    }
    while ((at = list_pop_front(&late)) != NULL) {
        struct room_wait *wait = container_of(at, struct room_wait, link);

        uncount(wait);
        wait->over(wait, false);
    }
}

void
room_poll(struct room *room, uint64_t now_ns)
{
    for (int kind = 0; kind < ROOM_KIND_COUNT; kind++) {
        grant(room, (enum room_kind)kind);
        expire(room, (enum room_kind)kind, now_ns);
    }
}
