/*
 * The metadata that goes on may be older than what its readers know.
 *
 *      tree of the chosen one      ... 40 41            all that is left of the metadata's log
 *      book of a node that is left ... 40 41 42 43      it was fed by one of those who are gone
 *
 * A change is made on the condition that the metadata is as the book says, so none could be made any more.  What the
 * books have is what was committed, so it is written again, before anything else.  With more than one change
 * can have, the first makes the metadata newer than the book was: what was still to be written is remembered
 * (`since`, `limit`), and if this node ends in the middle, the rest is only in the books; there it counts as ever,
 * and is in the metadata again when it is next changed.
 */
#include "cluster/recover_internal.h"

static version_t
book_version(const struct cluster *c)
{
    struct record_key key = { .kind = RECORD_CLUSTER };
    const struct page *page = book_find(&c->book, &key);

    return page == NULL ? 0 : page->version;
}

/* ST_BUSY: it was not read since it was asked. */
static enum status
find_out(struct recover *v)
{
    struct cluster *c = v->cluster;
    struct recover_restoring *r = &v->restoring;

    if (r->asked_ns == 0)
        r->asked_ns = loop_now_ns(c->loop);
    if (atomic_load(&c->confirm.begun_ns) <= r->asked_ns) {
        confirm_want(&c->seats[0]);
        return ST_BUSY;
    }
    r->asked_ns = 0;
    r->on = atomic_load(&c->confirm.version);
    if (r->on > book_version(c))
        return ST_BUSY; /* the book is being fed */
    if (r->limit == 0) {
        r->since = r->on;
        r->limit = book_version(c);
    }
    return ST_OK;
}

static bool
has_more(const struct recover *v)
{
    const struct book *b = &v->cluster->book;

    for (uint32_t i = 0; i < b->count; i++) {
        if (b->pages[i].key.kind != RECORD_CLUSTER && b->pages[i].version > v->restoring.since &&
            b->pages[i].version <= v->restoring.limit)
            return true;
    }
    return false;
}

enum status
recover__restore(struct recover *v, struct change **out)
{
    struct recover_restoring *r = &v->restoring;
    enum status st = find_out(v);

    *out = NULL;
    if (st != ST_OK)
        return st;
    if (r->on == book_version(v->cluster) && !has_more(v))
        return ST_OK;
    *out = change_restore(v->cluster, r->on, r->since, r->limit);
    return *out == NULL ? ST_NO_MEMORY : ST_OK;
}
