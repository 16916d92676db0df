/*
 * A tablet leaves a part of its keys to another, which it makes.
 *
 *      leader     tablet_split() ──SPLIT──> log, as any entry
 *      everyone   committed ──> apply stops ──> seal, flush, plant the heir's tree (a job) ──> the heir begins
 *                                                        ──> its head is durable ──> ours is narrower ──> apply goes on
 *
 * The heir's group is born where the entry is: its members are those of that point, and its log begins after it, on each of
 * them with the same base. A member that comes to our group later, or that got a snapshot of it from beyond the entry,
 * never makes the heir: it gets the heir's own snapshot, like any member that lacks its log.
 *
 * INVARIANTS
 *
 *   X1  Who leads evaluates nothing that concerns what it has proposed to leave, and no loop reads at all, from the
 *       proposal until that is applied or abandoned: the heir may live elsewhere as soon as the entry is committed.
 *   X2  Our files reach to the entry before, and no further, while the heir's tree is planted: nothing is applied, and
 *       what a job of ours installs instead makes the planting fail.
 *   X3  The heir is made once: its tree, or its oath, tells a replay that it has been there. Its membership is durable
 *       before ours is narrower, and so before our files can reach beyond the entry; till then the replay gives it again.
 *   X4  A scope only narrows. Its version is that of the entry: who reads at an earlier one sees what was ours.
 */
#include "base/assert.h"
#include "base/broken.h"
#include "base/log.h"
#include "base/mark.h"
#include "base/mem.h"

#include "tablet/lifetime.h"
#include "tablet/tablet_internal.h"

#define AGAIN_NS (500 * UINT64_C(1000000))

struct planting {
    struct tablet *tablet; /* held while `busy` */
    struct tablet_birth birth;
    struct task task;
    uint64_t heir;
    bool busy;
    bool planted;
    uint64_t again_ns; /* after a failure */
    enum status status;
};

/* ------------------------------------------------------------------ the scope */

/* lsm_has_fn; what is no user's key belongs to both halves. */
static bool
has_stored(const void *scope, struct slice stored)
{
    return stored.data[0] != KEY_USER ||
           scope_has(scope, slice_of(stored.data + 1, stored.size - 1));
}

static enum status
narrow(struct tablet *t, const struct scope *scope, version_t since)
{
    enum status st = lsm_narrow(t->lsm, has_stored, scope, sizeof(*scope), since);

    if (st == ST_OK)
        atomic_store(&t->edition, scope->edition);
    return st;
}

enum status
split_take_scope(struct tablet *t, const struct head *head)
{
    enum status st = ST_OK;

    if (head->scope_index <= t->head.scope_index)
        return ST_OK;
    st = narrow(t, &head->scope, head->scope_version); /* X4 */
    if (st != ST_OK)
        return st;
    t->head.scope = head->scope;
    t->head.scope_index = head->scope_index;
    t->head.scope_version = head->scope_version;
    return ST_OK;
}

enum status
tablet__bear(struct tablet *t, const struct head *head)
{
    enum status st = split_take_scope(t, head);

    if (st != ST_OK)
        return st;
    t->head.config = head->config;
    t->head.config_index = head->config_index;
    t->head.ceiling_ms = head->ceiling_ms;
    return ST_OK;
}

uint64_t
tablet_edition(const struct tablet *t)
{
    return atomic_load(&t->edition);
}

const struct scope *
tablet_scope(const struct tablet *t)
{
    return &t->head.scope;
}

/* ------------------------------------------------------------------ what may be asked */

static bool
is_about_all(const struct request *r)
{
    return r->op_count == 0 || r->ops[0].kind == OP_CLEAR;
}

static bool
has_all_keys(const struct scope *s, const struct request *r)
{
    for (uint32_t i = 0; i < r->precondition_count; i++) {
        if (!scope_has(s, r->preconditions[i].key))
            return false;
    }
    for (uint32_t i = 0; i < r->op_count; i++) {
        const struct op *op = &r->ops[i];

        if (!scope_has(s, op->key) || (op->kind == OP_COPY && !scope_has(s, op->key2)))
            return false;
    }
    return true;
}

enum status
split_admits(const struct tablet *t, const struct request *r)
{
    bool is_known = r->edition == t->head.scope.edition;

    if (is_known && t->split_proposed == 0)
        return ST_OK;
    if (!is_known && !BROKEN(ANSWER_FOR_HEIR) &&
        (is_about_all(r) || !has_all_keys(&t->head.scope, r)))
        return ST_MOVED;
    if (t->split_proposed == 0 || BROKEN(ANSWER_IN_SPLIT) ||
        (!is_about_all(r) && has_all_keys(t->split_leaves, r)))
        return ST_OK;
    return ST_BUSY; /* X1 */
}

/* ------------------------------------------------------------------ proposing */

/* ST_OK: it is in the log, and `leaves` is the tablet's. */
static enum status
begin_split(struct tablet *t, const struct split *split, struct scope *leaves)
{
    struct scope heir;
    enum status st;

    if (!scope_split(&t->head.scope, split->kind, &split->at, leaves, &heir))
        return ST_INVALID;
    if (!t->split_prepared) { /* so that there is little to flush while all wait */
        t->split_prepared = engine_tree_seal(t->tree) == ST_OK;
        return ST_BUSY;
    }
    st = tablet__propose_split(t, split);
    if (st != ST_OK)
        return st;
    t->split_prepared = false;
    t->split_proposed = raft_last(t->raft);
    t->split_leaves = leaves;
    tablet__publish_reads(t); /* X1 */
    tablet__mark(t);
    return ST_OK;
}

enum status
tablet_split(struct tablet *t, const struct split *split)
{
    struct scope *leaves;
    enum status st;

    if (!tablet__leads(t) || t->leaves)
        return ST_NOT_LEADER;
    if (t->split_proposed != 0 || raft_config(t->raft)->outgoing_count > 0 ||
        raft_config_index(t->raft) > t->applied)
        return ST_BUSY;
    leaves = mem_new(struct scope);
    if (leaves == NULL)
        return ST_NO_MEMORY;
    st = begin_split(t, split, leaves);
    if (st != ST_OK)
        mem_free(leaves);
    return st;
}

void
split_abandon(struct tablet *t)
{
    t->split_proposed = 0;
    mem_free(t->split_leaves);
    t->split_leaves = NULL;
}

void
split_destroy(struct tablet *t)
{
    ASSERT(t->planting == NULL || !t->planting->busy);
    mem_free(t->planting);
    t->planting = NULL;
}

/* ------------------------------------------------------------------ planting */

/* On our loop. */
static void
is_planted(struct task *task)
{
    struct planting *p = container_of(task, struct planting, task);
    struct tablet *t = p->tablet;

    p->busy = false;
    p->planted = p->status == ST_OK || p->status == ST_EXISTS; /* X3 */
    p->again_ns = tablet__boot_ns(t) + AGAIN_NS;
    tablet_let_go(t);
    if (t->leaves)
        return;
    t->sleeps = false;
    tablet__apply_committed(t);
    tablet__mark(t);
}

static void
planted(void *ctx, enum status st, const struct err *err)
{
    struct planting *p = ctx;

    if (st != ST_OK && st != ST_EXISTS && st != ST_CLOSED)
        log_event(LOG_ERROR, "tablet.heir_not_made", log_u64("tablet", p->tablet->id),
                  log_u64("heir", p->heir), log_err(err), log_str("effect", "it is tried again"));
    p->status = st;
    p->task.run = is_planted;
    loop_post(p->tablet->loop, &p->task);
}

/* On loop 0. */
static void
plant(struct task *task)
{
    struct planting *p = container_of(task, struct planting, task);
    struct tablet_spec spec = { .id = p->heir,
                                .loop = loop_index(p->tablet->loop),
                                .founders = &p->birth.head.config,
                                .birth = &p->birth };
    struct err err = { .code = ST_BUSY };
    enum status st = tablet_node_add(p->tablet->reactor->node, &spec, planted, p);

    if (st != ST_OK)
        planted(p, st, &err);
}

/* What the heir begins with. */
static void
compose_birth(const struct tablet *t, const struct tail_entry *e, const struct scope *scope,
              struct tablet_birth *out)
{
    *out = (struct tablet_birth){ .parent = t->tree,
                                  .mark = { e->index, e->term, e->body.version },
                                  .head = t->head };
    out->head.hard = (struct raft_hard){ 0 };
    out->head.commit = 0;
    out->head.scope = *scope;
    out->head.scope_index = e->index;
    out->head.scope_version = e->body.version;
}

static void
begin_planting(struct tablet *t, const struct tail_entry *e, const struct scope *scope)
{
    struct planting *p = t->planting;

    if (p == NULL)
        p = t->planting = mem_new(struct planting);
    if (p == NULL || p->busy || tablet__boot_ns(t) < p->again_ns || t->installing ||
        engine_tree_seal(t->tree) != ST_OK)
        return;
    p->tablet = tablet_hold(t);
    p->heir = e->body.split.heir;
    p->busy = true;
    p->planted = false;
    compose_birth(t, e, scope, &p->birth);
    p->task.run = plant;
    loop_post(t->reactor->node->first->loop, &p->task);
}

/* ------------------------------------------------------------------ applying */

static bool
has_planted(const struct tablet *t, uint64_t heir)
{
    return t->planting != NULL && t->planting->planted && t->planting->heir == heir;
}

/* The log is told at once: our files may reach beyond the entry from now on. */
static enum status
leave(struct tablet *t, const struct tail_entry *e, const struct scope *leaves)
{
    struct head head = t->head;
    enum status st;

    head.scope = *leaves;
    head.scope_index = e->index;
    head.scope_version = e->body.version;
    st = split_take_scope(t, &head);
    if (st != ST_OK)
        return st;
    mark_hit(MARK_SPLIT);
    mark_hit_if(!has_planted(t, e->body.split.heir), MARK_HEIR_THERE_ALREADY);
    log_event(LOG_INFO, "tablet.split", log_u64("tablet", t->id),
              log_u64("heir", e->body.split.heir), log_u64("index", e->index));
    return ST_OK;
}

/* The heir's tree is in the catalogue as soon as it is whole; while we make it, it is not yet begun. */
static bool
is_made(const struct tablet *t, uint64_t heir)
{
    if (t->planting != NULL && t->planting->busy)
        return false;
    return has_planted(t, heir) || engine_find_tree(t->engine, heir) != NULL;
}

enum status
split_apply(struct tablet *t, const struct tail_entry *e)
{
    struct scope leaves, heir;
    enum status st = ST_OK;

    if (e->index > t->head.scope_index) {
        if (!scope_split(&t->head.scope, e->body.split.kind, &e->body.split.at, &leaves, &heir))
            return ST_OK; /* it was said twice */
        if (!is_made(t, e->body.split.heir)) {
            if (t->raft != NULL && t->serves)
                begin_planting(t, e, &heir);
            return ST_BUSY;
        }
        st = leave(t, e, &leaves);
        if (st != ST_OK)
            return st;
    }
    t->head_owed = true;
    st = t->raft == NULL ? ST_OK : tablet__give(t, NULL);
    if (st != ST_OK)
        return ST_BUSY;
    split_destroy(t);
    if (e->index == t->split_proposed)
        split_abandon(t); /* it is no proposal any more */
    return ST_OK;
}

enum status
split_passed(struct tablet *t, const struct passed *p)
{
    struct scope leaves, rest;
    struct head head = t->head;

    if (p->index <= t->head.scope_index ||
        !scope_split(&t->head.scope, p->split.kind, &p->split.at, &leaves, &rest))
        return ST_OK;
    head.scope = leaves;
    head.scope_index = p->index;
    head.scope_version = p->version;
    return split_take_scope(t, &head);
}

/* What the log has before the entry, and is not applied, or was passed over: the membership as of there, ... */
static void
config_before(const struct tablet *t, raft_index index, struct head *head)
{
    list_each (at, &t->passed) {
        const struct passed *p = container_of(at, struct passed, link);

        if (p->kind == BODY_CONFIG && p->index > head->config_index && p->index < index) {
            head->config = p->config;
            head->config_index = p->index;
        }
    }
    for (raft_index i = t->tail.first; i < index; i++) {
        const struct tail_entry *e = tail_at(&t->tail, i);

        if (e->body.kind == BODY_CONFIG && e->index > head->config_index) {
            body_config(&e->body, &head->config);
            head->config_index = e->index;
        }
    }
}

static void
split_off(struct scope *scope, const struct split *split)
{
    struct scope leaves, rest;

    if (scope_split(scope, split->kind, &split->at, &leaves, &rest))
        *scope = leaves;
}

/* ... and the scope. */
static struct scope
scope_before(const struct tablet *t, raft_index index)
{
    struct scope scope = t->head.scope;

    list_each (at, &t->passed) {
        const struct passed *p = container_of(at, struct passed, link);

        if (p->kind == BODY_SPLIT && p->index > t->head.scope_index && p->index < index)
            split_off(&scope, &p->split);
    }
    for (raft_index i = t->tail.first; i < index; i++) {
        const struct tail_entry *e = tail_at(&t->tail, i);

        if (e->body.kind == BODY_SPLIT && e->index > t->head.scope_index)
            split_off(&scope, &e->body.split);
    }
    return scope;
}

enum status
split_met(struct tablet *t, const struct tail_entry *e)
{
    struct tablet *heir = tablet_reactor_find(t->reactor, e->body.split.heir);
    struct scope scope = scope_before(t, e->index);
    struct tablet_birth birth;
    struct scope leaves, rest;

    if (heir == NULL || heir->applied != e->index || heir->head.scope_index != 0 ||
        !scope_split(&scope, e->body.split.kind, &e->body.split.at, &leaves, &rest))
        return ST_OK;
    mark_hit(MARK_HEIR_BORN_AGAIN);
    compose_birth(t, e, &rest, &birth);
    config_before(t, e->index, &birth.head);
    return tablet__bear(heir, &birth.head); /* X3 */
}
