/*
 * How trees come and go.
 *
 *      create    folder ──> CATALOGUE names it ──> found
 *      drop      CATALOGUE names it no more, and has the oath ──> not found ──> nobody uses it ──> folder removed
 *
 * A crash leaves a folder without a name, never a name without a folder (N2).  Such a folder goes at the
 * next start, or before a tree of its id is made, when the catalogue on the disk is known not to name it.
 *
 * A name in the log (N8) is gone, and must be known as gone, until no segment has it.
 */
#include "base/assert.h"
#include "base/limits.h"
#include "base/log.h"
#include "base/mem.h"

#include "engine/engine_internal.h"

/* ------------------------------------------------------------------ the catalogue */

enum status
engine__settle_catalogue(struct engine *e, struct err *err)
{
    enum status st = catalogue_store(&e->catalogue, e->env, e->dir, e->identity.store, err);

    e->catalogue_unsure = st != ST_OK;
    return st;
}

static void
forget_gone(const struct engine *e, struct catalogue *c)
{
    wal_position before = atomic_load(&e->log_gone_before);
    uint32_t kept = 0;

    for (uint32_t i = 0; i < c->count; i++) {
        if (c->lines[i].kind != CATALOGUE_GONE || c->lines[i].end > before)
            c->lines[kept++] = c->lines[i];
    }
    c->count = kept;
}

/* Takes what was changed, and puts it into the place of ours if it can be made durable. */
static enum status
commit(struct engine *e, struct catalogue *changed, struct err *err)
{
    enum status st;

    forget_gone(e, changed);
    st = catalogue_store(changed, e->env, e->dir, e->identity.store, err);
    e->catalogue_unsure = st != ST_OK;
    if (st != ST_OK) {
        catalogue_release(changed);
        return st;
    }
    catalogue_release(&e->catalogue);
    e->catalogue = *changed;
    return ST_OK;
}

/* What makes room must not fail for want of it. */
static enum status
commit_dropping(struct engine *e, const struct catalogue *changed, struct err *err)
{
    struct catalogue copy = { 0 };
    enum status st = ST_NO_SPACE;

    do {
        st = catalogue_copy(changed, 0, &copy);
        if (st != ST_OK)
            return err_raise(err, st, "%s/CATALOGUE: out of memory", e->dir);
        st = commit(e, &copy, err);
    } while (st == ST_NO_SPACE && engine__spend_reserve(e));
    return st;
}

static enum status
copy_catalogue(const struct engine *e, uint32_t more, struct catalogue *out, struct err *err)
{
    enum status st = catalogue_copy(&e->catalogue, more, out);

    if (st == ST_TOO_BIG)
        return err_raise(err, st, "%s: more than %d trees", e->dir, CATALOGUE_LINES_MAX);
    return st == ST_OK ? ST_OK : err_raise(err, st, "%s: out of memory", e->dir);
}

void
engine__note_gone(struct engine *e, const bool *met)
{
    struct catalogue *c = &e->catalogue;
    uint32_t kept = 0;

    for (uint32_t i = 0; i < c->count; i++) {
        struct catalogue_line line = c->lines[i];

        if (line.kind == CATALOGUE_GONE) {
            wal_forget(e->log, line.id); /* the replay has brought its last hard state back */
            line.end = wal_end(e->log);
        }
        if (line.kind != CATALOGUE_GONE || met[i])
            c->lines[kept++] = line;
    }
    c->count = kept;
}

/* ------------------------------------------------------------------ opening */

static enum status
open_tree(struct engine *e, const struct catalogue_line *line, bool create,
          struct engine_tree **out, struct err *err)
{
    const struct catalogue_line *oath = catalogue_find(&e->catalogue, CATALOGUE_OATH, line->id);
    struct engine_tree *tree = mem_new(struct engine_tree);
    char dir[LIMIT_PATH_BYTES];
    enum status st;

    if (tree == NULL)
        return err_raise(err, ST_NO_MEMORY, "%s: out of memory", e->dir);
    tree->engine = e;
    tree->id = line->id;
    tree->log = line->log;
    if (oath != NULL)
        tree->oath = oath->oath;
    atomic_init(&tree->active_floor, NO_FLOOR);
    if (e->log != NULL)
        atomic_init(&tree->applied, wal_end(e->log)); /* its entries come after it (N1) */
    engine__tree_path(e, line->id, dir);
    st = lsm_open(&tree->lsm, &e->shared, line->id, dir, &e->options.trees, create, err);
    if (st == ST_NOT_FOUND)
        st = err_raise(err, ST_CORRUPT, "%s: missing, though the catalogue names it", dir);
    if (st != ST_OK) {
        mem_free(tree);
        return st;
    }
    *out = tree;
    return ST_OK;
}

static void
close_tree(struct engine_tree *tree)
{
    ASSERT(tree->users == 0); /* N9 */
    lsm_close(tree->lsm);
    mem_free(tree->floors);
    mem_free(tree);
}

/* In order of id, beside those that there are. */
static void
insert_tree(struct engine *e, struct engine_tree *tree)
{
    uint32_t at = e->tree_count;

    for (; at > 0 && e->trees[at - 1]->id > tree->id; at--)
        e->trees[at] = e->trees[at - 1];
    e->trees[at] = tree;
    e->tree_count++;
}

/* Room for so many trees. */
static enum status
grow_trees(struct engine *e, uint32_t count, struct err *err)
{
    struct engine_tree **grown = mem_new_array(struct engine_tree *, count + (size_t)1);
    struct engine_tree **old;

    if (grown == NULL)
        return err_raise(err, ST_NO_MEMORY, "%s: out of memory", e->dir);
    lock_take(&e->lock);
    if (e->tree_count > 0)
        memcpy(grown, e->trees, e->tree_count * sizeof(struct engine_tree *));
    old = e->trees;
    e->trees = grown;
    lock_drop(&e->lock);
    mem_free(old);
    return ST_OK;
}

enum status
engine__open_trees(struct engine *e, struct err *err)
{
    struct catalogue *c = &e->catalogue;
    struct engine_tree *tree = NULL;
    enum status st = catalogue_load(c, e->env, e->dir, e->identity.store, err);

    if (st == ST_OK)
        st = grow_trees(e, c->count, err);
    for (uint32_t i = 0; i < c->count && c->lines[i].kind == CATALOGUE_TREE && st == ST_OK; i++) {
        st = open_tree(e, &c->lines[i], false, &tree, err);
        if (st == ST_OK)
            insert_tree(e, tree);
    }
    return st;
}

void
engine__close_trees(struct engine *e)
{
    for (uint32_t i = 0; i < e->tree_count; i++)
        close_tree(e->trees[i]);
    mem_free(e->trees);
    e->trees = NULL;
    e->tree_count = 0;
    catalogue_release(&e->catalogue);
}

/* ------------------------------------------------------------------ creating */

/* N8.  Its id, mostly. */
static uint64_t
name_in_log(const struct engine *e, uint64_t id)
{
    uint64_t name = id;

    while (name == 0 || catalogue_has_log(&e->catalogue, name))
        env_random(e->env, &name, sizeof(name));
    return name;
}

/* What a crash, a failure or a drop has left of the folder must not come into the new tree. */
static enum status
clear_place(struct engine *e, uint64_t id, struct err *err)
{
    enum status st = e->catalogue_unsure ? engine__settle_catalogue(e, err) : ST_OK;

    return st == ST_OK ? engine__remove_folder(e, id, err) : st;
}

static enum status
create_tree(struct engine *e, const struct catalogue_line *line, const struct seedling *p,
            struct engine_tree **out, struct err *err)
{
    struct catalogue changed = { 0 };
    struct engine_tree *tree = NULL;
    enum status st = copy_catalogue(e, 1, &changed, err);

    if (st != ST_OK)
        return st;
    catalogue_put(&changed, line);
    st = grow_trees(e, e->tree_count + 1, err);
    if (st == ST_OK)
        st = clear_place(e, line->id, err);
    if (st == ST_OK)
        st = open_tree(e, line, true, &tree, err);
    if (st == ST_OK && p->parent != NULL) {
        ASSERT(tree != NULL);
        st = engine__plant(p, tree->lsm, err);
    }
    if (st == ST_OK)
        st = env_sync_dir(e->env, e->dir, err);
    if (st != ST_OK)
        catalogue_release(&changed);
    else
        st = commit(e, &changed, err);
    if (st != ST_OK && tree != NULL)
        close_tree(tree); /* the folder stays: the catalogue on the disk may name it */
    if (st == ST_OK)
        *out = tree;
    return st;
}

static enum status
may_create(struct engine *e, uint64_t id, struct err *err)
{
    if (atomic_load(&e->ending))
        return err_raise(err, ST_CLOSED, "shutting down");
    if (id == 0 || engine_find_tree(e, id) != NULL)
        return err_raise(err, ST_EXISTS, "%s: tree %016llx is there already", e->dir,
                         (unsigned long long)id);
    return ST_OK;
}

static void
publish(struct engine *e, struct engine_tree *tree)
{
    ASSERT(tree != NULL);
    lock_take(&e->lock);
    insert_tree(e, tree);
    lock_drop(&e->lock);
    if (atomic_load(&e->ending))
        lsm_stop_jobs(tree->lsm); /* engine_begin_close() may have come too early to find it */
}

/* Whom it promised something is in the catalogue. */
static bool
is_known(const struct engine *e, uint64_t id)
{
    return catalogue_find(&e->catalogue, CATALOGUE_TREE, id) != NULL ||
           catalogue_find(&e->catalogue, CATALOGUE_OATH, id) != NULL;
}

static enum status
make_tree(struct engine *e, uint64_t id, const struct seedling *p, struct engine_tree **out,
          struct err *err)
{
    struct catalogue_line line = { .kind = CATALOGUE_TREE, .id = id };
    struct engine_tree *tree = NULL;
    enum status st;

    gate_enter(e->catalogue_gate);
    line.log = name_in_log(e, id);
    st = may_create(e, id, err);
    if (st == ST_OK && p->parent != NULL && is_known(e, id))
        st = err_raise(err, ST_EXISTS, "%s: tree %016llx has been there", e->dir,
                       (unsigned long long)id);
    if (st == ST_OK)
        st = create_tree(e, &line, p, &tree, err);
    if (st == ST_OK) {
        publish(e, tree);
        *out = tree;
    }
    gate_leave(e->catalogue_gate);
    return st;
}

enum status
engine_create_tree(struct engine *e, uint64_t id, struct engine_tree **out, struct err *err)
{
    return make_tree(e, id, &(struct seedling){ 0 }, out, err);
}

enum status
engine_plant_tree(struct engine_tree *parent, uint64_t id, const struct lsm_mark *mark,
                  struct engine_tree **out, struct err *err)
{
    enum status st = engine_tree_flush(parent, err);

    return st == ST_OK
               ? make_tree(parent->engine, id, &(struct seedling){ parent, *mark }, out, err)
               : st;
}

/* ------------------------------------------------------------------ dropping */

static void
remove_tree(struct engine *e, struct engine_tree *tree)
{
    uint32_t at = 0;

    lock_take(&e->lock);
    while (e->trees[at] != tree)
        at++;
    e->tree_count--;
    memmove(&e->trees[at], &e->trees[at + 1], (e->tree_count - at) * sizeof(struct engine_tree *));
    atomic_store(&tree->dropped, true);
    lock_drop(&e->lock);
}

static bool
is_used(struct engine_tree *tree)
{
    struct engine *e = tree->engine;
    bool used;

    lock_take(&e->lock);
    used = tree->users > 0;
    lock_drop(&e->lock);
    return used;
}

/* Under its name the log will have no more. */
static void
silence(struct engine *e, const struct engine_tree *tree)
{
    wal_forget(e->log, tree->log); /* after: a crash before finds the tree, and its promises */
    catalogue_find(&e->catalogue, CATALOGUE_GONE, tree->log)->end = wal_end(e->log);
}

/* N9 */
static void
await_users(struct engine_tree *tree)
{
    struct gate *idle = tree->engine->idle;

    lsm_stop_jobs(tree->lsm);
    gate_enter(idle);
    while (is_used(tree))
        gate_wait(idle);
    gate_leave(idle);
}

static enum status
strike_out(struct engine *e, const struct engine_tree *tree, const struct engine_oath *oath,
           struct err *err)
{
    const struct catalogue_line gone = { .kind = CATALOGUE_GONE,
                                         .id = tree->log,
                                         .end = UINT64_MAX };
    const struct catalogue_line sworn = { .kind = CATALOGUE_OATH, .id = tree->id, .oath = *oath };
    struct catalogue changed = { 0 };
    enum status st = copy_catalogue(e, 1, &changed, err);

    if (st != ST_OK)
        return st;
    catalogue_take(&changed, CATALOGUE_TREE, tree->id);
    catalogue_put(&changed, &gone);
    if (oath->term > 0)
        catalogue_put(&changed, &sworn);
    st = commit_dropping(e, &changed, err);
    catalogue_release(&changed);
    return st;
}

static enum status
drop_tree(struct engine *e, struct engine_tree *tree, const struct engine_oath *oath,
          struct err *err)
{
    uint64_t id = tree->id;
    enum status st = strike_out(e, tree, oath, err);

    if (st != ST_OK)
        return st;
    silence(e, tree);
    remove_tree(e, tree);
    await_users(tree);
    close_tree(tree);
    engine__remove_nameless(e, id);
    return ST_OK;
}

enum status
engine_drop_tree(struct engine *e, uint64_t id, const struct engine_oath *oath, struct err *err)
{
    struct engine_tree *tree;
    enum status st;

    gate_enter(e->catalogue_gate);
    tree = engine_find_tree(e, id);
    st = tree != NULL ? drop_tree(e, tree, oath, err)
                      : err_raise(err, ST_NOT_FOUND, "%s: there is no tree %016llx", e->dir,
                                  (unsigned long long)id);
    gate_leave(e->catalogue_gate);
    if (st == ST_OK)
        engine__schedule(e); /* a job may have ended with the tree; and it may have held the log */
    return st;
}

enum status
engine_forget_oaths(struct engine *e, bool (*is_over)(const void *ctx, uint64_t id),
                    const void *ctx, struct err *err)
{
    struct catalogue changed = { 0 };
    enum status st;

    gate_enter(e->catalogue_gate);
    st = copy_catalogue(e, 0, &changed, err);
    for (uint32_t i = 0; st == ST_OK && i < e->catalogue.count; i++) {
        const struct catalogue_line *line = &e->catalogue.lines[i];

        if (line->kind == CATALOGUE_OATH && is_over(ctx, line->id))
            catalogue_take(&changed, CATALOGUE_OATH, line->id);
    }
    if (st == ST_OK && changed.count < e->catalogue.count)
        st = commit_dropping(e, &changed, err);
    catalogue_release(&changed);
    gate_leave(e->catalogue_gate);
    return st;
}
