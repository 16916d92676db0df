#include "kv/host.h"

#include "base/assert.h"
#include "base/mem.h"

#include "kv/kv_internal.h"
#include "kv/scan.h"
#include "kv/scan_codec.h"

/* A scan of another node. */
struct hosted {
    struct list link;
    struct forward *forward;
    struct host_guest guest;
    uint64_t number;
    struct kv_scan *scan;
    struct request *asked; /* the piece that is being read; NULL: none is */
    uint64_t used_ns;
};

static void
end(struct request *r, enum status st)
{
    r->status = st;
    request_done(r);
}

/* ------------------------------------------------------------------ scans */

static void
forget(struct hosted *h)
{
    ASSERT(h->asked == NULL);
    list_remove(&h->link);
    h->forward->scan_count--;
    kv_scan_close(h->scan);
    mem_free(h);
}

static struct hosted *
find(struct forward *f, const struct host_guest *guest, uint64_t number)
{
    list_each (at, &f->scans) {
        struct hosted *h = container_of(at, struct hosted, link);

        if (h->number == number && h->guest.door == guest->door &&
            h->guest.from.node == guest->from.node &&
            h->guest.from.incarnation == guest->from.incarnation)
            return h;
    }
    return NULL;
}

static enum status
open_scan(struct forward *f, const struct request *r, const struct scan_order *o,
          struct kv_scan **out)
{
    struct kv_scan_options options = { .keyspace = r->keyspace,
                                       .from = o->from,
                                       .limit = o->limit,
                                       .has_limit = o->has_limit,
                                       .after_from = o->after_from,
                                       .reverse = o->reverse,
                                       .want_values = o->want_values,
                                       .pattern = o->pattern };
    enum status st = scan__open(f->door, &options, r->only, out, NULL);

    if (st != ST_OK)
        return st;
    st = scan__pin(*out);
    if (st != ST_OK)
        kv_scan_close(*out);
    return st;
}

static enum status
begin(struct forward *f, const struct request *r, const struct host_guest *guest,
      const struct scan_order *o, struct hosted **out)
{
    struct hosted *h;
    enum status st;

    if (f->scan_count >= HOST_SCANS_MAX)
        return ST_BUSY;
    h = mem_new(struct hosted);
    if (h == NULL)
        return ST_NO_MEMORY;
    st = open_scan(f, r, o, &h->scan);
    if (st != ST_OK) {
        mem_free(h);
        return st;
    }
    h->forward = f;
    h->guest = *guest;
    h->number = o->number;
    list_push_back(&f->scans, &h->link);
    f->scan_count++;
    *out = h;
    return ST_OK;
}

/* Into the request's own memory, that it goes with it. */
static enum status
hand_over(struct request *r, const struct kv_scan_piece *piece)
{
    struct scan_harvest harvest = { .end = piece->end,
                                    .examined = piece->examined,
                                    .last = piece->last_key,
                                    .count = piece->count };
    enum status st = piece->status;

    if (st != ST_OK) {
        r->err = *piece->err;
        return st;
    }
    r->scratch = buf_empty(LIMIT_RECORD_BYTES);
    st = scan_harvest_encode(&r->scratch, &harvest, piece->entries);
    r->results[0] = (struct op_result){ .value = buf_slice(&r->scratch) };
    return st;
}

static void
piece_read(void *ctx, const struct kv_scan_piece *piece)
{
    struct hosted *h = ctx;
    struct request *r = h->asked;
    struct forward *f = h->forward;

    h->asked = NULL;
    h->used_ns = loop_now_ns(f->door->loop);
    end(r, hand_over(r, piece));
    if (f->door->draining)
        forget(h);
}

static enum status
read_piece(struct hosted *h, struct request *r, const struct scan_order *o)
{
    enum status st = ST_OK;

    if (h->asked != NULL)
        return ST_BUSY;
    kv_scan_rewind(h->scan);
    if (o->goes_on)
        st = scan__go_on_after(h->scan, o->behind);
    if (st != ST_OK)
        return st;
    h->asked = r;
    h->used_ns = loop_now_ns(h->forward->door->loop);
    kv_scan_next(h->scan, o->keys_max, o->examined_max, o->bytes_max, piece_read, h);
    return ST_OK;
}

static void
take_scan(struct forward *f, struct request *r, const struct host_guest *guest)
{
    struct scan_order o;
    struct hosted *h = NULL;
    enum status st = scan_order_decode(r->ops[0].value, &o);

    if (st == ST_OK)
        h = find(f, guest, o.number);
    if (st == ST_OK && o.over) {
        if (h != NULL && h->asked == NULL)
            forget(h);
        end(r, ST_OK);
        return;
    }
    if (st == ST_OK && h == NULL)
        st = o.first ? begin(f, r, guest, &o, &h) : ST_NOT_FOUND;
    if (st == ST_OK)
        st = read_piece(h, r, &o);
    if (st != ST_OK)
        end(r, st);
}

/* ------------------------------------------------------------------ counts and random keys */

struct hosted_job {
    struct kv_admin admin;
    struct request *asked;
};

static void
job_done(struct kv_admin *a)
{
    struct hosted_job *j = container_of(a, struct hosted_job, admin);
    struct request *r = j->asked;
    struct op_result result = { .integer = (int64_t)a->count };
    enum status st = a->status;

    if (a->kind == KV_RANDOM && st != ST_OK)
        result.code = OP_NIL;
    if (a->kind == KV_RANDOM && st == ST_NOT_FOUND)
        st = ST_OK;
    r->err = a->err;
    r->scratch = a->key; /* it goes with the request */
    result.value = buf_slice(&r->scratch);
    r->results[0] = result;
    mem_free(j);
    end(r, st);
}

static void
take_job(struct forward *f, struct request *r)
{
    struct hosted_job *j = mem_new(struct hosted_job);

    if (j == NULL) {
        end(r, ST_NO_MEMORY);
        return;
    }
    j->asked = r;
    j->admin.kind = r->kind == REQUEST_COUNT ? KV_COUNT : KV_RANDOM;
    j->admin.keyspace = r->keyspace;
    j->admin.tablet = r->only;
    j->admin.done = job_done;
    kv_admin_submit(f->door, &j->admin);
}

void
host_take(struct forward *f, struct request *r, uint64_t tablet, const struct host_guest *guest)
{
    r->only = tablet;
    if (r->kind == REQUEST_SCAN)
        take_scan(f, r, guest);
    else
        take_job(f, r);
}

/* ------------------------------------------------------------------ time, and the end */

static void
forget_since(struct forward *f, uint64_t before_ns)
{
    struct list *at = f->scans.next;

    while (at != &f->scans) {
        struct hosted *h = container_of(at, struct hosted, link);

        at = at->next;
        if (h->asked == NULL && h->used_ns <= before_ns)
            forget(h);
    }
}

void
host_tick(struct forward *f, uint64_t now_ns)
{
    if (now_ns > HOST_SCAN_NS)
        forget_since(f, now_ns - HOST_SCAN_NS);
}

void
host_close_idle(struct forward *f)
{
    forget_since(f, UINT64_MAX);
}

bool
host_is_busy(const struct forward *f)
{
    return f->scan_count > 0;
}
