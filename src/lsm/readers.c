/*
 * Open tables: who may still be using one, and which goes when there are too many.
 *
 *      closed --hold--> open --detach--> leaving --epoch, last hold--> unused --a job--> closed
 *                       in the ring      no file leads to it           in `unused`
 *
 * INVARIANTS
 *
 *   O1  A reader is closed when its file no longer leads to it, whoever was inside the epoch at
 *       that time has left, and nobody holds it: the file itself has a hold, which a detached
 *       reader gives up through the epoch.
 *   O2  It is closed by job code.  Whoever lets go of it last may be a reactor, which only puts it
 *       on the list.
 *   O3  `open_count` counts every reader from before its file is opened until after it was
 *       closed; it is not raised beyond `open_max` as long as there is one that nobody holds.
 *       Those that leave are waited for by nobody: for a moment, there may be more.
 *   O4  `f->reader` (for the epoch) and `f->open` (for holds, under the lock) change together.
 *
 * The price is paid by those who block anyway: a hold takes the lock twice.  Whoever is inside the
 * epoch pays for a load; and once per turn of the hand, for a store that says that the table is
 * used.
 */
#include "lsm/readers.h"

#include <errno.h>

#include "base/assert.h"
#include "base/mem.h"

struct reader {
    struct epoch_retired retired;
    struct list link; /* in the ring, or in `unused` */
    struct readers *all;
    struct table *table;     /* owned */
    struct table_file *file; /* whose it is; NULL: detached */
    uint32_t holds;          /* under the lock */
};

struct readers {
    struct epoch *epoch;
    uint32_t open_max;

    struct lock lock;    /* guards what follows, and the holds */
    struct list ring;    /* struct reader, attached; the hand is at its front */
    struct list unused;  /* struct reader, to be closed */
    uint32_t open_count; /* O3 */
    uint64_t closed;     /* how many were, ever */
};

/* For a reactor to leave the epoch: it does not wait while it is inside. */
enum { WAITS_MAX = 20, WAIT_MS = 1 };

struct readers *
readers_create(struct epoch *epoch, uint32_t open_max)
{
    struct readers *all = mem_new(struct readers);

    ASSERT(open_max > 0);
    if (all == NULL)
        return NULL;
    all->epoch = epoch;
    all->open_max = open_max;
    lock_init(&all->lock);
    list_init(&all->ring);
    list_init(&all->unused);
    return all;
}

void
readers_destroy(struct readers *all)
{
    if (all == NULL)
        return;
    epoch_reclaim(all->epoch);
    readers_close(all);
    ASSERT(all->open_count == 0);
    lock_release(&all->lock);
    mem_free(all);
}

uint32_t
readers_open_count(struct readers *all)
{
    uint32_t count;

    lock_take(&all->lock);
    count = all->open_count;
    lock_drop(&all->lock);
    return count;
}

struct table *
reader_table(const struct reader *r)
{
    return r->table;
}

/* ------------------------------------------------------------------ closing */

static struct reader *
pop_unused(struct readers *all)
{
    struct list *at;

    lock_take(&all->lock);
    at = list_pop_front(&all->unused);
    lock_drop(&all->lock);
    return at == NULL ? NULL : container_of(at, struct reader, link);
}

static void
close_reader(struct reader *r)
{
    struct readers *all = r->all;

    table_close(r->table);
    mem_free(r);
    lock_take(&all->lock);
    ASSERT(all->open_count > 0);
    all->open_count--;
    all->closed++;
    lock_drop(&all->lock);
}

void
readers_close(struct readers *all)
{
    struct reader *r;

    while ((r = pop_unused(all)) != NULL)
        close_reader(r);
}

void
readers_let_go(struct reader *r)
{
    struct readers *all = r->all;

    lock_take(&all->lock);
    ASSERT(r->holds > 0);
    if (--r->holds == 0) {
        ASSERT(r->file == NULL); /* O1 */
        list_push_back(&all->unused, &r->link);
    }
    lock_drop(&all->lock);
}

/* O4; the lock is held.  The file's own hold is left to the caller. */
static void
take_from_file(struct reader *r)
{
    atomic_store(&r->file->reader, NULL); /* before the epoch is asked who is inside */
    r->file->open = NULL;
    r->file = NULL;
    list_remove(&r->link);
}

static void
readers_have_left(struct epoch_retired *self)
{
    readers_let_go(container_of(self, struct reader, retired));
}

void
readers_detach(struct readers *all, struct table_file *f)
{
    struct reader *r;

    lock_take(&all->lock);
    r = f->open;
    if (r != NULL)
        take_from_file(r);
    lock_drop(&all->lock);
    if (r != NULL)
        epoch_retire(all->epoch, &r->retired, readers_have_left);
}

void
readers_forget(struct table_file *f)
{
    struct readers *all = f->readers;
    struct reader *r;

    if (all == NULL)
        return;
    lock_take(&all->lock); /* nobody else has the file, but the hand may be at its reader */
    r = f->open;
    if (r != NULL) {
        ASSERT(r->holds == 1);
        take_from_file(r);
    }
    lock_drop(&all->lock);
    if (r != NULL)
        close_reader(r);
}

/* ------------------------------------------------------------------ room for one more */

bool
readers_is_out_of_descriptors(enum status st, const struct err *err)
{
    return st == ST_IO && (err->sys == EMFILE || err->sys == ENFILE);
}

/* The hand goes on: who was used since it came by is spared once.  The lock is held.  NULL: all
 * are held. */
static struct reader *
find_victim(struct readers *all)
{
    for (uint64_t steps = 2 * (uint64_t)all->open_count; steps > 0; steps--) {
        struct list *at = list_pop_front(&all->ring);
        struct reader *r;

        if (at == NULL)
            return NULL;
        r = container_of(at, struct reader, link);
        list_push_back(&all->ring, &r->link);
        if (r->holds > 1)
            continue;
        if (!atomic_load_explicit(&r->file->used, memory_order_relaxed))
            return r;
        atomic_store_explicit(&r->file->used, false, memory_order_relaxed);
    }
    return NULL;
}

/* False: none that could go. */
static bool
detach_one(struct readers *all)
{
    struct reader *r;

    lock_take(&all->lock);
    r = find_victim(all);
    if (r != NULL)
        take_from_file(r);
    lock_drop(&all->lock);
    if (r != NULL)
        epoch_retire(all->epoch, &r->retired, readers_have_left);
    return r != NULL;
}

/* Count one more (O3).  True: that was possible without another's going. */
static bool
claim(struct readers *all, bool in_any_case)
{
    bool fits;

    lock_take(&all->lock);
    fits = all->open_count < all->open_max;
    if (fits || in_any_case)
        all->open_count++;
    lock_drop(&all->lock);
    return fits;
}

static void
make_room(struct readers *all)
{
    if (claim(all, false))
        return;
    (void)detach_one(all);
    readers_close(all); /* also what left before */
    (void)claim(all, true);
}

static void
give_up_room(struct readers *all)
{
    lock_take(&all->lock);
    all->open_count--;
    lock_drop(&all->lock);
}

static uint64_t
closed_count(struct readers *all)
{
    uint64_t count;

    lock_take(&all->lock);
    count = all->closed;
    lock_drop(&all->lock);
    return count;
}

/* Half of them, at once: whoever else needs descriptors does not ask us.  Who is inside the epoch
 * holds up all of them, and is waited for. */
bool
readers_free_descriptors(struct readers *all, struct env *env)
{
    uint64_t closed_before = closed_count(all);
    uint32_t wanted = readers_open_count(all) / 2 + 1;
    bool any = false;

    while (wanted-- > 0 && detach_one(all))
        any = true;
    readers_close(all);
    for (int i = 0; any && i < WAITS_MAX && closed_count(all) == closed_before; i++) {
        env_sleep_ms(env, WAIT_MS);
        epoch_reclaim(all->epoch);
        readers_close(all);
    }
    return closed_count(all) != closed_before;
}

/* ------------------------------------------------------------------ opening */

static struct reader *
hold_open(struct readers *all, struct table_file *f)
{
    struct reader *r;

    lock_take(&all->lock);
    r = f->open;
    if (r != NULL)
        r->holds++;
    lock_drop(&all->lock);
    return r;
}

static enum status
open_table(struct table_file *f, const struct lsm_shared *shared, const char *dir,
           struct table **out, struct err *err)
{
    char path[LIMIT_PATH_BYTES];
    struct err why = { 0 };
    enum status st;

    table_file_path(dir, f->info.number, path);
    st = table_open(shared->env, path, &f->info, shared->blocks, shared->budget, out, &why);
    if (readers_is_out_of_descriptors(st, &why) &&
        readers_free_descriptors(shared->readers, shared->env))
        st = table_open(shared->env, path, &f->info, shared->blocks, shared->budget, out, &why);
    if (st != ST_OK && err != NULL)
        *err = why;
    return st;
}

/* Attach it, with a hold for the file and one for the caller; if another was faster, that one is
 * held, and `fresh` is unused. */
static struct reader *
attach(struct readers *all, struct table_file *f, struct reader *fresh)
{
    struct reader *r;

    lock_take(&all->lock);
    r = f->open;
    if (r == NULL) {
        r = fresh;
        r->file = f;
        r->holds = 1;
        f->open = r;
        f->readers = all;
        atomic_store_explicit(&f->used, true, memory_order_relaxed);
        atomic_store(&f->reader, r->table);
        list_push_back(&all->ring, &r->link);
    } else {
        list_push_back(&all->unused, &fresh->link);
    }
    r->holds++;
    lock_drop(&all->lock);
    return r;
}

enum status
readers_hold(struct table_file *f, const struct lsm_shared *shared, const char *dir,
             struct reader **out, struct err *err)
{
    struct readers *all = shared->readers;
    struct reader *r = hold_open(all, f);
    enum status st;

    if (r != NULL) {
        *out = r;
        return ST_OK;
    }
    r = mem_new(struct reader);
    if (r == NULL)
        return err_raise(err, ST_NO_MEMORY, "%s: no memory for a table's reader", dir);
    r->all = all;
    make_room(all);
    st = open_table(f, shared, dir, &r->table, err);
    if (st != ST_OK) {
        give_up_room(all);
        mem_free(r);
        return st;
    }
    *out = attach(all, f, r);
    readers_close(all);
    return ST_OK;
}
