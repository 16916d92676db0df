/*
 * Copies that are damaged, and how they are replaced.
 *
 *      whoever has one     a read, a compaction, a shipment or the scrub met damage in its tables: DAMAGES to
 *                          every member of the metadata's group, again and again, as long as its record has it
 *      the steward         the copy leaves its group, is forgotten, and its node joins anew: steps like any others
 *                          (step.h, S5)
 *
 *      DAMAGES    { tablet:varint basis:varint }*       the version of the record by which it is one
 *
 * Why not just take another member's snapshot in place of the tree: the log of a copy may hold entries that it has
 * acknowledged and that no snapshot has yet, and what it has promised stands beside them.  They are intact, and stay,
 * until the group has committed a membership without this member; only then the copy is dropped, tables, log
 * and promises, and what comes in its place has never promised anything and votes when it has caught up.
 *
 * What was said of a copy that is not there any more is not believed: the record has changed since.
 */
#include "base/log.h"
#include "base/mem.h"

#include "cluster/cluster_internal.h"
#include "tablet/tablet.h"

enum { DAMAGES_BYTES_MAX = 16 << 10, DAMAGES_MAX = 1024, DAMAGE_KEPT_MS = 5000 };

struct heard {
    struct steward_damage damage;
    uint64_t heard_ns;
};

struct damages {
    struct heard at[DAMAGES_MAX];
    uint32_t count;
    struct steward_damage view[DAMAGES_MAX];
};

enum status
damages_create(struct cluster *c)
{
    c->damages = mem_new(struct damages);
    return c->damages == NULL ? ST_NO_MEMORY : ST_OK;
}

void
damages_destroy(struct cluster *c)
{
    mem_free(c->damages);
    c->damages = NULL;
}

/* ------------------------------------------------------------------ telling */

void
damages_add(const struct tablet *t, const struct tablet_record *record, uint64_t self,
            struct buf *out)
{
    const struct tablet_member *m =
        record == NULL || !tablet_is_damaged(t) ? NULL : tablet_record_member(record, self);
    size_t begin = out->size;

    if (m == NULL || m->role == MEMBER_LEAVING)
        return;
    if (append_varint(out, record->id) != ST_OK || append_varint(out, record->version) != ST_OK)
        out->size = begin; /* the next time */
}

struct buf
damages_room(void)
{
    return buf_empty(DAMAGES_BYTES_MAX);
}

/* ------------------------------------------------------------------ hearing */

static struct heard *
find(struct damages *d, uint64_t tablet, uint64_t node)
{
    for (uint32_t i = 0; i < d->count; i++) {
        if (d->at[i].damage.tablet == tablet && d->at[i].damage.node == node)
            return &d->at[i];
    }
    return NULL;
}

static void
keep(struct damages *d, const struct steward_damage *said, uint64_t now_ns)
{
    struct heard *h = find(d, said->tablet, said->node);

    if (h == NULL && d->count < DAMAGES_MAX) {
        h = &d->at[d->count++];
        log_event(LOG_ERROR, "cluster.copy_damaged", log_u64("tablet", said->tablet),
                  log_u64("node", said->node),
                  log_str("effect", "it is replaced, when the others can go on without it"));
    }
    if (h != NULL)
        *h = (struct heard){ *said, now_ns };
}

void
damages_heard(struct cluster *c, uint64_t from, struct slice payload)
{
    struct reader r = reader_of(payload);

    while (reader_left(&r) > 0) {
        struct steward_damage said = { .node = from };

        said.tablet = read_varint(&r);
        said.basis = read_varint(&r);
        if (r.bad)
            return;
        if (atlas_tablet(c->atlas, said.tablet) != NULL)
            keep(c->damages, &said, loop_now_ns(c->loop));
    }
}

void
damages_view(struct cluster *c, struct steward_view *out)
{
    struct damages *d = c->damages;
    uint64_t now_ns = loop_now_ns(c->loop);
    uint32_t kept = 0;

    for (uint32_t i = 0; i < d->count; i++) {
        if (now_ns < d->at[i].heard_ns + (uint64_t)DAMAGE_KEPT_MS * NS_PER_MS)
            d->at[kept++] = d->at[i];
    }
    d->count = kept;
    for (uint32_t i = 0; i < kept; i++)
        d->view[i] = d->at[i].damage;
    out->damages = d->view;
    out->damage_count = kept;
}
