#include "api/admin.h"

#include "base/mem.h"

#include "api/api_internal.h"

/* ------------------------------------------------------------------ how far it is */

/* By keys, as far as they are known when it begins. */
static void
weigh(struct admin *a)
{
    struct kv_door *door = a->call->session->reactor->door;

    for (uint32_t i = 0; i < LIMIT_DATABASES; i++) {
        uint32_t keyspace;

        a->weights[i] = 1;
        if (kv_database(door, i, &keyspace) == ST_OK)
            a->weights[i] += kv_keys_estimate(door, keyspace);
        a->weight_total += a->weights[i];
    }
}

static void
show_step(struct admin *a)
{
    struct api *api = a->call->session->reactor->api;
    uint64_t before = a->weight_done * API_PERMILLE / a->weight_total;
    uint64_t share = a->weights[a->database] * API_PERMILLE / a->weight_total;

    a->weight_done += a->weights[a->database];
    ASSERT(before + share <= API_PERMILLE);
    atomic_store(&api->compact_step, (uint64_t)a->admin.keyspace << 32 | before << 16 | share);
}

bool
api_compact_progress(struct session *s, uint32_t *permille)
{
    struct api *a = s->reactor->api;
    uint64_t step = atomic_load(&a->compact_step);
    uint64_t here = kv_compact_permille(s->reactor->door, (uint32_t)(step >> 32));

    *permille = (uint32_t)((step >> 16 & UINT16_MAX) + (step & UINT16_MAX) * here / API_PERMILLE);
    if (atomic_load(&a->compacts) > 0)
        return true;
    *permille = 0;
    return false;
}

/* ------------------------------------------------------------------ the jobs */

static void
release(struct call *c)
{
    struct admin *a = c->task;

    if (a->every)
        atomic_fetch_sub(&c->session->reactor->api->compacts, 1);
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
    if (a->every)
        show_step(a);
    a->call->busy = true;
    kv_admin_submit(a->call->session->reactor->door, &a->admin);
}

static void ask_next(struct admin *a);

/* One tablet after the other, round the ring of them; a key is enough.  False: that was all. */
static bool
reads_on(struct admin *a)
{
    if (a->admin.kind == KV_RANDOM && a->admin.status == ST_OK)
        return false;
    if (--a->left == 0)
        return false;
    buf_release(&a->admin.key);
    ask_next(a);
    return true;
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
    a->count += self->count;
    if (a->reads && reads_on(a))
        return;
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

static void
asked(struct call *c)
{
    struct admin *a = c->task;

    a->admin.tablet = c->request.only;
    a->admin.node = c->request.elsewhere;
    if (c->request.status == ST_OK)
        submit(a);
    else
        call_reply_status(c, c->request.status, &c->request.err);
}

/* A tablet that came in the meantime is not asked; one that went has handed its keys on. */
static void
ask_next(struct admin *a)
{
    struct call *c = a->call;
    struct kv_door *door = c->session->reactor->door;
    uint64_t tablet = kv_tablet_number(door, c->keyspace, a->tablet);

    if (tablet == 0)
        tablet = kv_tablet_number(door, c->keyspace, a->tablet = 0);
    a->tablet++;
    c->request.only = tablet;
    c->request.deadline_ns = 0;
    c->finish = asked;
    call_submit(c, NULL, NULL, 0, 0);
}

static uint32_t
count_tablets(struct call *c)
{
    uint32_t count = 0;

    while (kv_tablet_number(c->session->reactor->door, c->keyspace, count) != 0)
        count++;
    return count;
}

void
admin_read(struct call *c, enum kv_admin_kind kind, void (*done)(struct admin *a))
{
    struct admin *a = create(c, kind, done);
    uint32_t count = count_tablets(c);
    uint32_t first = 0;

    if (a == NULL)
        return;
    if (count > 1 && kind == KV_RANDOM)
        env_random(c->session->reactor->api->env, &first, sizeof(first));
    a->reads = true;
    a->left = count == 0 ? 1 : count;
    a->tablet = count == 0 ? 0 : first % count;
    ask_next(a);
}

void
admin_compact_every(struct call *c, void (*done)(struct admin *a))
{
    struct admin *a = create(c, KV_COMPACT, done);

    if (a == NULL)
        return;
    a->every = true;
    atomic_fetch_add(&c->session->reactor->api->compacts, 1);
    weigh(a);
    if (kv_database(c->session->reactor->door, 0, &a->admin.keyspace) == ST_OK)
        submit(a);
    else
        call_reply_status(c, ST_CLOSED, NULL);
}
