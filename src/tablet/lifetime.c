/*
 * How a tablet comes and goes: one change, carried from loop to loop.
 *
 *      loop 0        a job          the owner       each loop        the owner        a job        loop 0
 *      add   ──> tree is made ──> tablet is made ──> roster ──> begins ──────────────────────────> done
 *                                        │             │ no memory  │
 *                                        └──────> v <──┴────────────┘
 *      (out of another: its head is made durable before)
 *      drop  ───────────────────────────────> each loop ──> leaves, waits ──> tree is dropped ──> done
 *                                             forgets it
 *      resume ────────────────────────────────────────────> begins ─────────────────────────────> done
 *
 * INVARIANTS
 *
 *   Z1  A loop finds a tablet from when it is in its roster, and hands over what is the owner's by posting. The
 *       change is posted from loop to loop after that, and to the owner last: so whatever a loop had posted is
 *       there before the owner lets go of the tablet.
 *   Z2  Whoever keeps the tablet across rounds holds it (tablet_hold()): the requests of other loops, until they
 *       are answered at home; reads by a job; and those above who say so.  It is destroyed when nobody does.
 *   Z3  A tablet that leaves takes no part in anything: it hears nobody, so that the promises which its tree is
 *       dropped with are all that it has ever made.
 *   Z4  No change is begun when the engine closes, and each counts until it is done: so no loop rests before.
 */
#include "tablet/lifetime.h"

#include "base/assert.h"
#include "base/log.h"
#include "base/mem.h"

#include "tablet/tablet_internal.h"

struct tablet_change {
    struct list link;    /* of the node's changes, or of its remains */
    struct list leaving; /* of the owner's, while it waits for the tablet to be free */
    struct task task;
    struct job job;
    struct tablet_node *node;
    uint64_t id;
    struct tablet_reactor *at; /* whose turn it is */
    struct tablet_reactor *owner;
    struct raft_config founders;
    const struct tablet_birth *birth; /* NULL: of none */
    struct engine_tree *tree;
    struct tablet *tablet; /* NULL: not made, or gone */
    struct engine_oath oath;
    enum status status;
    struct err err;
    tablet_changed_fn *done;
    void *ctx;
};

static void
post(struct tablet_change *c, struct tablet_reactor *to, void (*run)(struct task *task))
{
    c->at = to;
    c->task.run = run;
    loop_post(to->loop, &c->task);
}

static struct tablet_change *
change_of(struct task *task)
{
    return container_of(task, struct tablet_change, task);
}

static void
submit(struct tablet_change *c, struct tablet_reactor *then, void (*run)(struct job *job),
       void (*done)(struct job *job))
{
    c->job = (struct job){ .run = run, .done = done, .loop = then->loop };
    env_submit(loop_env(then->loop), ENV_LANE_READ, &c->job);
}

static void
fail(struct tablet_change *c, enum status st, const char *what)
{
    c->status = err_raise(&c->err, st, "tablet %016llx: %s (%s)", (unsigned long long)c->id, what,
                          status_name(st));
}

/* ------------------------------------------------------------------ the end of a change */

/* On loop 0.  What has a tree that could not be dropped remains. */
static void
end(struct tablet_change *c)
{
    struct tablet_change said = *c;
    struct tablet_node *n = c->node;

    list_remove(&c->link);
    atomic_fetch_sub(&n->change_count, 1);
    if (c->tree != NULL && c->status != ST_OK)
        list_push_back(&n->remains, &c->link);
    else
        mem_free(c);
    said.done(said.ctx, said.status, &said.err);
}

static void
end_task(struct task *task)
{
    end(change_of(task));
}

static void
dropped(struct job *job)
{
    end(container_of(job, struct tablet_change, job));
}

/* The failure that is told is the first one. */
static void
drop_tree(struct job *job)
{
    struct tablet_change *c = container_of(job, struct tablet_change, job);
    struct err err;
    enum status st = engine_drop_tree(c->node->engine, c->id, &c->oath, &err);

    if (st == ST_OK) {
        c->tree = NULL;
    } else if (c->status == ST_OK) {
        c->status = st;
        c->err = err;
    } else {
        log_event(LOG_ERROR, "tablet.tree_left", log_u64("tablet", c->id), log_err(&err));
    }
}

/* ------------------------------------------------------------------ going */

/* On the owner's loop, at each tick until it is so. */
static bool
is_free(const struct tablet *t)
{
    return tablet_idle(t) && t->shipment == NULL && t->staging == NULL &&
           atomic_load(&t->holds) == 0;
}

static void
leave(struct tablet_change *c)
{
    struct tablet *t = c->tablet;

    list_remove(&c->leaving);
    c->tablet = NULL;
    c->oath = tablet__oath(t);
    tablet__destroy(t);
    submit(c, c->node->first, drop_tree, dropped);
}

void
lifetime_tick(struct tablet_reactor *r)
{
    struct list *at = r->leaving.next;

    while (at != &r->leaving) {
        struct tablet_change *c = container_of(at, struct tablet_change, leaving);

        at = at->next;
        if (is_free(c->tablet))
            leave(c);
    }
}

/* Z1: what other loops have posted is here. */
static void
begin_to_leave(struct task *task)
{
    struct tablet_change *c = change_of(task);

    tablet__leave(c->tablet);
    list_push_back(&c->owner->leaving, &c->leaving);
    lifetime_tick(c->owner);
}

static void
forget(struct task *task)
{
    struct tablet_change *c = change_of(task);

    roster_remove(&c->at->roster, c->tablet);
    if (c->at->next != NULL)
        post(c, c->at->next, forget);
    else
        post(c, c->owner, begin_to_leave);
}

static void
begin_to_go(struct tablet_change *c)
{
    post(c, c->node->first, forget);
}

/* ------------------------------------------------------------------ coming */

/* What the log was given of the new tablet; a failure is the log's own, and told by that. */
static void
sync_log(struct job *job)
{
    struct tablet_change *c = container_of(job, struct tablet_change, job);

    c->status = engine_sync(c->node->engine, &c->err);
}

static void
synced(struct job *job)
{
    struct tablet_change *c = container_of(job, struct tablet_change, job);

    c->tree = NULL; /* the tablet is there, whatever became of the log */
    end(c);
}

static void
begin_to_serve(struct task *task)
{
    struct tablet_change *c = change_of(task);

    c->status = tablet_begin(c->tablet, &c->err);
    if (c->status != ST_OK)
        begin_to_go(c);
    else if (c->birth != NULL)
        submit(c, c->node->first, sync_log, synced);
    else
        post(c, c->node->first, end_task);
}

static void
enrol(struct task *task)
{
    struct tablet_change *c = change_of(task);

    if (roster_add(&c->at->roster, c->tablet) != ST_OK) {
        fail(c, ST_NO_MEMORY, "it is not found by all loops");
        begin_to_go(c);
        return;
    }
    if (c->at->next != NULL)
        post(c, c->at->next, enrol);
    else
        post(c, c->owner, begin_to_serve);
}

static void
created(struct job *job)
{
    struct tablet_change *c = container_of(job, struct tablet_change, job);

    if (c->status != ST_OK) {
        post(c, c->node->first, end_task);
        return;
    }
    c->tablet = tablet__make(c->owner, c->tree, &c->founders);
    if (c->tablet != NULL && c->birth != NULL &&
        tablet__bear(c->tablet, &c->birth->head) != ST_OK) {
        tablet__destroy(c->tablet);
        c->tablet = NULL;
    }
    if (c->tablet != NULL) {
        post(c, c->node->first, enrol);
        return;
    }
    fail(c, ST_NO_MEMORY, "it is not made");
    c->oath = engine_tree_oath(c->tree);
    submit(c, c->node->first, drop_tree, dropped);
}

static void
create_tree(struct job *job)
{
    struct tablet_change *c = container_of(job, struct tablet_change, job);

    if (c->birth != NULL)
        c->status = engine_plant_tree(c->birth->parent, c->id, &c->birth->mark, &c->tree, &c->err);
    else
        c->status = engine_create_tree(c->node->engine, c->id, &c->tree, &c->err);
}

/* ------------------------------------------------------------------ from outside */

static struct tablet_change *
find(struct list *changes, uint64_t id)
{
    list_each (at, changes) {
        struct tablet_change *c = container_of(at, struct tablet_change, link);

        if (c->id == id)
            return c;
    }
    return NULL;
}

/* Z4 */
static enum status
may_begin(struct tablet_node *n, uint64_t id)
{
    if (engine_is_closing(n->engine))
        return ST_CLOSED;
    return find(&n->changes, id) != NULL ? ST_BUSY : ST_OK;
}

static void
begin(struct tablet_change *c, tablet_changed_fn *done, void *ctx)
{
    c->done = done;
    c->ctx = ctx;
    list_push_back(&c->node->changes, &c->link);
    atomic_fetch_add(&c->node->change_count, 1);
}

static struct tablet_change *
new_change(struct tablet_node *n, uint64_t id)
{
    struct tablet_change *c = mem_new(struct tablet_change);

    if (c == NULL)
        return NULL;
    c->node = n;
    c->id = id;
    list_init(&c->link);
    list_init(&c->leaving);
    return c;
}

static struct tablet_reactor *
reactor_of(struct tablet_node *n, uint32_t loop)
{
    struct tablet_reactor *r = n->first;

    while (loop_index(r->loop) != loop)
        r = r->next;
    return r;
}

enum status
tablet_node_add(struct tablet_node *n, const struct tablet_spec *spec, tablet_changed_fn *done,
                void *ctx)
{
    enum status st = may_begin(n, spec->id);
    struct tablet_change *c;

    if (st != ST_OK)
        return st;
    if (tablet_reactor_find(n->first, spec->id) != NULL || find(&n->remains, spec->id) != NULL)
        return ST_EXISTS;
    c = new_change(n, spec->id);
    if (c == NULL)
        return ST_NO_MEMORY;
    c->owner = reactor_of(n, spec->loop);
    c->founders = *spec->founders;
    c->birth = spec->birth;
    begin(c, done, ctx);
    submit(c, c->owner, create_tree, created);
    return ST_OK;
}

/* What is left of a change that failed goes on where that ended. */
static void
drop_remains(struct tablet_change *c, tablet_changed_fn *done, void *ctx)
{
    list_remove(&c->link);
    c->status = ST_OK;
    begin(c, done, ctx);
    submit(c, c->node->first, drop_tree, dropped);
}

enum status
tablet_node_drop(struct tablet_node *n, uint64_t id, tablet_changed_fn *done, void *ctx)
{
    struct tablet *t = tablet_reactor_find(n->first, id);
    enum status st = may_begin(n, id);
    struct tablet_change *c;

    if (st != ST_OK)
        return st;
    c = find(&n->remains, id);
    if (c != NULL) {
        drop_remains(c, done, ctx);
        return ST_OK;
    }
    if (t == NULL)
        return ST_NOT_FOUND;
    c = new_change(n, id);
    if (c == NULL)
        return ST_NO_MEMORY;
    c->tablet = t;
    c->tree = t->tree;
    c->owner = t->reactor;
    begin(c, done, ctx);
    begin_to_go(c);
    return ST_OK;
}

static void
is_resumed(struct task *task)
{
    struct tablet_change *c = change_of(task);

    c->tablet->aside = c->status != ST_OK;
    end(c);
}

static void
resume(struct task *task)
{
    struct tablet_change *c = change_of(task);

    c->status = tablet_begin(c->tablet, &c->err);
    post(c, c->node->first, is_resumed);
}

enum status
tablet_node_resume(struct tablet_node *n, uint64_t id, tablet_changed_fn *done, void *ctx)
{
    struct tablet *t = tablet_reactor_find(n->first, id);
    enum status st = may_begin(n, id);
    struct tablet_change *c;

    if (st != ST_OK)
        return st;
    if (t == NULL || !t->aside)
        return ST_NOT_FOUND;
    c = new_change(n, id);
    if (c == NULL)
        return ST_NO_MEMORY;
    c->tablet = t;
    begin(c, done, ctx);
    post(c, t->reactor, resume);
    return ST_OK;
}

void
lifetime_release(struct tablet_node *n)
{
    struct list *at;

    ASSERT(list_empty(&n->changes)); /* Z4 */
    while ((at = list_pop_front(&n->remains)) != NULL)
        mem_free(container_of(at, struct tablet_change, link));
}
