/*
 * Name changes on their way to the medium.
 *
 *      changes   [ a: - -> I1 ] [ a: I1 -> -, b: - -> I1 ] [ a: - -> I2 ]
 *                   create a            rename a b            create a
 *                oldest                                       newest
 *
 * A change is visible at once and durable later: when its folder is synced, or
 * when a power cut happens to find it written.  D3 makes a rename one change;
 * D4 lets what survives take with it all earlier changes of the same names,
 * and a moved folder all earlier moves of folders, so that no file is lost or
 * doubled, and no folder ends up inside itself, by surviving half a history.
 */
#include "base/assert.h"

#include "simenv/sim_disk.h"

struct sim_change {
    struct list link; /* in disk->changes */
    struct sim_half halves[2];
    bool moves_dir;
    bool lost;     /* its folder's sync has failed: no sync will make it durable (D2) */
    bool selected; /* to become durable now */
};

static struct sim_change *
change_of(struct list *link)
{
    return container_of(link, struct sim_change, link);
}

/* ------------------------------------------------------------------ life */

static void
hold_half(struct sim_half *half)
{
    if (half->entry == NULL)
        return;
    half->entry->pending++;
    sim__inode_ref(half->entry->dir); /* the entry lives in it */
    if (half->to != NULL)
        sim__inode_ref(half->to);
}

static void
drop_half(struct sim_half *half)
{
    struct sim_entry *entry = half->entry;
    struct sim_inode *dir;

    if (entry == NULL)
        return;
    dir = entry->dir;
    half->entry = NULL;
    if (half->to != NULL)
        sim__inode_unref(half->to);
    entry->pending--;
    sim__entry_drop_if_empty(entry);
    sim__inode_unref(dir);
}

static void
forget(struct sim_change *c)
{
    list_remove(&c->link);
    drop_half(&c->halves[0]);
    drop_half(&c->halves[1]);
    mem_free(c);
}

void
sim__change_add(struct sim_disk *d, const struct sim_half halves[2])
{
    struct sim_change *c = sim__alloc(sizeof(*c));

    for (int i = 0; i < 2; i++) {
        c->halves[i] = halves[i];
        hold_half(&c->halves[i]);
    }
    /* A move takes an inode from one name to the other. */
    c->moves_dir = halves[1].entry != NULL && halves[1].to != NULL && halves[1].to->is_dir;
    list_push_back(&d->changes, &c->link);
    for (int i = 0; i < 2; i++) {
        if (halves[i].entry != NULL)
            sim__entry_set_now(halves[i].entry, halves[i].to);
    }
}

void
sim__change_forget_all(struct sim_disk *d)
{
    while (!list_empty(&d->changes))
        forget(change_of(d->changes.next));
}

void
sim__change_void(struct sim_disk *d, struct sim_entry *entry)
{
    for (struct list *at = d->changes.next, *next; at != &d->changes; at = next) {
        struct sim_change *c = change_of(at);

        next = at->next;
        for (int i = 0; i < 2; i++) {
            if (c->halves[i].entry == entry)
                drop_half(&c->halves[i]);
        }
        if (c->halves[0].entry == NULL && c->halves[1].entry == NULL)
            forget(c);
    }
}

/* ------------------------------------------------------------------ becoming durable */

static bool
concerns(const struct sim_change *c, const struct sim_inode *dir)
{
    for (int i = 0; i < 2; i++) {
        if (c->halves[i].entry != NULL && c->halves[i].entry->dir == dir)
            return true;
    }
    return false;
}

static bool
touches_marked(const struct sim_change *c, uint64_t mark)
{
    for (int i = 0; i < 2; i++) {
        if (c->halves[i].entry != NULL && c->halves[i].entry->mark == mark)
            return true;
    }
    return false;
}

/* D4, from the newest to the oldest: the names of what is selected are marked, and an earlier
 * change of a marked name is selected, too. */
static void
close_selection(struct sim_disk *d)
{
    uint64_t mark = ++d->mark;
    bool moves_dir = false;

    for (struct list *at = d->changes.prev; at != &d->changes; at = at->prev) {
        struct sim_change *c = change_of(at);

        if (touches_marked(c, mark) || (c->moves_dir && moves_dir))
            c->selected = true;
        if (!c->selected)
            continue;
        moves_dir |= c->moves_dir;
        for (int i = 0; i < 2; i++) {
            if (c->halves[i].entry != NULL)
                c->halves[i].entry->mark = mark;
        }
    }
}

/* From the oldest to the newest, so that the newest of a name wins. */
static void
settle_selected(struct sim_disk *d)
{
    close_selection(d);
    for (struct list *at = d->changes.next, *next; at != &d->changes; at = next) {
        struct sim_change *c = change_of(at);

        next = at->next;
        if (!c->selected)
            continue;
        for (int i = 0; i < 2; i++) {
            if (c->halves[i].entry != NULL)
                sim__entry_set_durable(c->halves[i].entry, c->halves[i].to);
        }
        forget(c);
    }
}

void
sim__change_sync(struct sim_disk *d, const struct sim_inode *dir)
{
    list_each (link, &d->changes) {
        struct sim_change *c = change_of(link);

        c->selected = !c->lost && concerns(c, dir);
    }
    settle_selected(d);
}

void
sim__change_fail_sync(struct sim_disk *d, const struct sim_inode *dir)
{
    list_each (link, &d->changes) {
        struct sim_change *c = change_of(link);

        c->lost |= concerns(c, dir);
    }
}

bool
sim__survives(struct prng *prng, uint32_t percent)
{
    return prng_below(prng, 100) < percent;
}

void
sim__change_power_cut(struct sim_disk *d, uint32_t percent, struct prng *prng)
{
    list_each (link, &d->changes) {
        struct sim_change *c = change_of(link);
        bool survives = sim__survives(prng, percent);

        c->selected = survives && !c->lost;
    }
    settle_selected(d);
    sim__change_forget_all(d);
}
