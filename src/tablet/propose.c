/*
 * From results to entries of the log.
 *
 * Entries are committed in the order of the log: one of class `interval` behind one of class
 * `always` waits for its fsync.
 */
#include "base/limits.h"
#include "base/mem.h"

#include "tablet/tablet_internal.h"

static uint64_t
next_lag(const struct tablet *t)
{
    return raft_last(t->raft) + 1 - raft_commit(t->raft);
}

enum status
tablet__propose_batch(struct unit *u, struct err *err)
{
    struct tablet *t = u->t;
    struct body body = { .kind = BODY_BATCH, .version = u->version, .lag = next_lag(t) };
    size_t body_bytes = body_batch_size(&body, u->writes, u->write_count);
    struct tail_entry *e;
    enum status st;

    if (body_bytes > LIMIT_RECORD_BYTES)
        return err_raise(err, ST_TOO_BIG, "the results of one request are %zu bytes, limit %d",
                         body_bytes, LIMIT_RECORD_BYTES);
    st = overlay_reserve(&t->overlay, u->write_count);
    e = st == ST_OK ? tail_entry_of_batch(&body, body_bytes, u->writes, u->write_count) : NULL;
    if (e == NULL)
        return ST_NO_MEMORY;
    e->durability = u->r->durability;
    e->request = u->r;
    st = tablet__append_proposed(t, e, err);
    if (st != ST_OK) {
        mem_free(e);
        return st;
    }
    for (uint32_t i = 0; i < e->write_count; i++)
        overlay_put(&t->overlay, &e->nodes[i]);
    return ST_OK;
}

/* ST_OK: it is in the tail. */
static enum status
propose(struct tablet *t, const struct body *body, struct request *r, struct err *err)
{
    struct tail_entry *e = tail_entry_small();
    enum status st;

    if (e == NULL)
        return ST_NO_MEMORY;
    tail_entry_set(e, body, NULL);
    e->durability = r != NULL ? r->durability : DURABILITY_ALWAYS;
    e->request = r;
    st = tablet__append_proposed(t, e, err);
    if (st != ST_OK)
        mem_free(e);
    return st;
}

static struct body
next_body(struct tablet *t, enum body_kind kind)
{
    return (struct body){ .kind = kind,
                          .version = version_next(t->version, tablet_now_ms(t, tablet__boot_ns(t))),
                          .lag = next_lag(t) };
}

enum status
tablet__propose_small(struct tablet *t, enum body_kind kind, uint64_t ceiling_ms, struct request *r,
                      struct err *err)
{
    struct body body = next_body(t, kind);
    enum status st;

    body.ceiling_ms = ceiling_ms;
    st = propose(t, &body, r, err);
    if (st == ST_OK && kind == BODY_CLEAR) {
        overlay_clear(&t->overlay);
        t->clears_pending++;
    }
    return st;
}

enum status
tablet__propose_split(struct tablet *t, const struct split *split)
{
    struct body body = next_body(t, BODY_SPLIT);

    body.split = *split;
    return propose(t, &body, NULL, NULL);
}

enum status
tablet__propose_barrier(struct tablet *t, struct request *r)
{
    struct barrier *b = mem_new(struct barrier);

    if (b == NULL)
        return ST_NO_MEMORY;
    *b = (struct barrier){ .request = r, .index = raft_last(t->raft) };
    if (!t->alone && !tablet__holds_lease(t) && !BROKEN(READ_UNCONFIRMED)) {
        b->round = raft_round(t->raft) + 1; /* one that is under way began too early */
        t->wants_round = true;
        tablet__mark(t);
    }
    list_push_back(&t->barriers, &b->link);
    return ST_OK;
}
