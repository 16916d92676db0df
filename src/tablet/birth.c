/*
 * A tablet is made, is held, and ends.
 *
 * How one comes and goes while the loops run, step by step: lifetime.c.
 */
#include "base/assert.h"
#include "base/mem.h"

#include "tablet/tablet_internal.h"

enum { EVALUATION_ARENA_BYTES = 64 << 10 };

static void
init_lists(struct tablet *t)
{
    list_init(&t->on_reactor);
    list_init(&t->on_marked);
    list_init(&t->on_awaiting);
    list_init(&t->passed);
    list_init(&t->catchups);
    list_init(&t->barriers);
    list_init(&t->waiting);
    list_init(&t->parked);
    list_init(&t->behind);
}

struct tablet *
tablet__make(struct tablet_reactor *reactor, struct engine_tree *tree,
             const struct raft_config *founders)
{
    struct tablet *t = mem_new(struct tablet);

    if (t == NULL)
        return NULL;
    t->reactor = reactor;
    t->engine = reactor->node->engine;
    t->tree = tree;
    t->lsm = engine_tree_lsm(tree);
    t->id = engine_tree_id(tree);
    t->loop = reactor->loop;
    t->head.config = *founders;
    t->head.hard.term = lsm_flushed(t->lsm).term;
    t->applied = lsm_flushed(t->lsm).index;
    t->applied_term = lsm_flushed(t->lsm).term;
    t->version = lsm_flushed(t->lsm).version;
    tail_init(&t->tail, t->applied + 1);
    t->given = t->unsynced = t->applied + 1;
    atomic_init(&t->floor_ms, 0);
    atomic_init(&t->ceiling_ms, 0);
    atomic_init(&t->ceiling_stuck, false);
    atomic_init(&t->reads_until_ns, 0);
    atomic_init(&t->holds, 0);
    atomic_init(&t->edition, 0);
    overlay_init(&t->overlay);
    init_lists(t);
    arena_init(&t->arena, EVALUATION_ARENA_BYTES);
    /* Small uncommitted results are not charged to the budget; so they are few where it is small. */
    t->pending_bytes_max =
        budget_part(engine_budget(t->engine)->limit, PENDING_SHARE, PENDING_BYTES_MAX);
    list_push_back(&reactor->tablets, &t->on_reactor);
    return t;
}

void
tablet__destroy(struct tablet *t)
{
    struct list orphans;

    ASSERT(t->request_count == 0 && atomic_load(&t->holds) == 0);
    catchup_destroy(t);
    shipment_destroy(t);
    staging_destroy(t);
    split_destroy(t);
    places_release(&t->places);
    tablet__forget_passed(t);
    list_remove(&t->on_reactor);
    list_remove(&t->on_marked);
    list_remove(&t->on_awaiting);
    tablet__abandon_proposed(t, &orphans); /* ceilings that nobody waits for */
    ASSERT(list_empty(&orphans));
    while (t->tail.first < t->tail.limit)
        tablet__forget(t, tail_pop_first(&t->tail));
    tail_release(&t->tail);
    mem_free(t->own_room);
    raft_destroy(t->raft);
    overlay_release(&t->overlay);
    arena_release(&t->arena);
    mem_free(t);
}

static void
leave_rosters(struct tablet *t)
{
    for (struct tablet_reactor *r = t->reactor->node->first; r != NULL; r = r->next)
        roster_remove(&r->roster, t);
}

struct tablet *
tablet_create(struct tablet_reactor *reactor, struct engine_tree *tree,
              const struct raft_config *founders)
{
    struct tablet *t = tablet__make(reactor, tree, founders);

    if (t == NULL)
        return NULL;
    for (struct tablet_reactor *r = reactor->node->first; r != NULL; r = r->next) {
        if (roster_add(&r->roster, t) != ST_OK) {
            tablet_destroy(t);
            return NULL;
        }
    }
    return t;
}

void
tablet_destroy(struct tablet *t)
{
    if (t == NULL)
        return;
    leave_rosters(t);
    tablet__destroy(t);
}

/* ------------------------------------------------------------------ being held */

struct tablet *
tablet_hold(struct tablet *t)
{
    atomic_fetch_add(&t->holds, 1);
    return t;
}

void
tablet_let_go(struct tablet *t)
{
    uint32_t before = atomic_fetch_sub(&t->holds, 1);

    ASSERT(before > 0);
}

/* ------------------------------------------------------------------ leaving */

static void
refuse_list(struct tablet *t, struct list *head)
{
    struct list *at;

    while ((at = list_pop_front(head)) != NULL) {
        struct request *r = container_of(at, struct request, link);

        cold_release(r);
        tablet__finish(t, r, ST_NOT_LEADER);
    }
}

void
tablet__leave(struct tablet *t)
{
    struct list orphans;

    t->leaves = true;
    list_remove(&t->on_reactor);
    atomic_store(&t->reads_until_ns, 0);
    tablet__abandon_proposed(t, &orphans);
    tablet__answer_orphans(t, &orphans);
    refuse_list(t, &t->parked);
    refuse_list(t, &t->behind);
    refuse_list(t, &t->waiting);
    t->waiting_count = 0;
    if (t->raft != NULL) {
        shipment_give_up(t);
        staging_give_up(t);
    }
}

/* ------------------------------------------------------------------ looking */

uint64_t
tablet_id(const struct tablet *t)
{
    return t->id;
}

struct loop *
tablet_loop(const struct tablet *t)
{
    return t->loop;
}

bool
tablet_is_aside(const struct tablet *t)
{
    return t->aside;
}

struct lsm *
tablet_lsm(const struct tablet *t)
{
    return t->lsm;
}

bool
tablet_idle(const struct tablet *t)
{
    return t->request_count == 0 && t->job_count == 0;
}
