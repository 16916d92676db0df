#include "api/admin.h"

#include "base/limits.h"
#include "base/mem.h"

#include "api/session.h"

static void
release(struct call *c)
{
    struct admin *a = c->task;

    buf_release(&a->admin.key);
    mem_free(a);
}

static void
add_report(struct admin *a)
{
    const struct lsm_compact_report *one = &a->admin.compact;

    a->sum.tables_in += one->tables_in;
    a->sum.tables_out += one->tables_out;
    a->sum.keys_removed += one->keys_removed;
    a->sum.bytes_reclaimed += one->bytes_reclaimed;
    a->seconds += a->admin.seconds;
}

static void
submit(struct admin *a)
{
    a->call->busy = true;
    kv_admin_submit(a->call->session->reactor->door, &a->admin);
}

static void
step_done(struct kv_admin *self)
{
    struct admin *a = container_of(self, struct admin, admin);
    struct call *c = a->call;
    bool failed = self->status != ST_OK && self->status != ST_NOT_FOUND;

    c->busy = false;
    if (session_closed(c->session)) {
        call_finish(c);
        return;
    }
    if (failed) {
        call_reply_status(c, self->status, &self->err);
        return;
    }
    add_report(a);
    if (a->every && ++a->database < LIMIT_DATABASES &&
        kv_database(c->session->reactor->door, a->database, &self->keyspace) == ST_OK) {
        submit(a);
        return;
    }
    a->done(a);
}

static struct admin *
create(struct call *c, enum kv_admin_kind kind, void (*done)(struct admin *a))
{
    struct admin *a = mem_new(struct admin);

    if (a == NULL) {
        call_reply_status(c, ST_NO_MEMORY, NULL);
        return NULL;
    }
    a->call = c;
    a->done = done;
    a->admin.kind = kind;
    a->admin.keyspace = c->keyspace;
    a->admin.done = step_done;
    c->task = a;
    c->release = release;
    return a;
}

void
admin_begin(struct call *c, enum kv_admin_kind kind, void (*done)(struct admin *a))
{
    struct admin *a = create(c, kind, done);

    if (a != NULL)
        submit(a);
}

void
admin_begin_every(struct call *c, enum kv_admin_kind kind, void (*done)(struct admin *a))
{
    struct admin *a = create(c, kind, done);

    if (a == NULL)
        return;
    a->every = true;
    if (kv_database(c->session->reactor->door, 0, &a->admin.keyspace) == ST_OK)
        submit(a);
    else
        call_reply_status(c, ST_CLOSED, NULL);
}
