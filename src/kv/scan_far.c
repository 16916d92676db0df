/*
 * A scan whose tablet another node leads.  That node has said just now that whatever was committed before can be
 * read there: it takes the snapshot with the first piece, and keeps it under our number of the scan.
 *
 * Each order says where its piece begins, so the node need not remember; but without the snapshot there is
 * nothing to go on with, and the scan ends with ST_BUSY: to begin again may succeed.  As long as nothing was read we do
 * that ourselves: the node may have stopped, or lost its leadership, since it was asked.
 */
#include "base/assert.h"
#include "base/mem.h"

#include "kv/forward.h"
#include "kv/kv_internal.h"
#include "kv/scan.h"
#include "kv/scan_codec.h"

enum { PIECE_MS_MAX = 30000, FAREWELL_MS_MAX = 1000, ORDER_BYTES_MAX = 4 * LIMIT_KEY_BYTES + 256 };

#define NS_PER_MS UINT64_C(1000000)

static struct slice
users(struct slice stored)
{
    return slice_of(stored.data + 1, stored.size - 1);
}

static enum status
write_order(struct kv_scan *s, bool over)
{
    const struct kv_scan_options *o = &s->options;
    struct scan_order order = { .number = s->far.number, .over = over };

    s->far.order.size = 0;
    if (over)
        return scan_order_encode(&s->far.order, &order);
    order = (struct scan_order){
        .number = s->far.number,
        .first = !s->far.begun,
        .has_limit = o->has_limit,
        .after_from = o->after_from,
        .reverse = o->reverse,
        .want_values = o->want_values,
        .goes_on = s->resume.size > 0,
        .from = users(o->from),
        .limit = o->has_limit ? users(o->limit) : (struct slice){ 0 },
        .pattern = o->pattern,
        .behind = scan__last_key(s),
        .keys_max = s->keys_max,
        .examined_max = s->examined_max,
        .bytes_max = s->bytes_max,
    };
    return scan_order_encode(&s->far.order, &order);
}

static void
send(struct kv_scan *s, uint32_t ms_max, void (*done)(struct request *r))
{
    struct scan_far *far = &s->far;

    far->op = (struct op){ .kind = OP_GET, .value = buf_slice(&far->order) };
    far->request = (struct request){ .kind = REQUEST_SCAN,
                                     .ops = &far->op,
                                     .op_count = 1,
                                     .results = &far->result,
                                     .deadline_ns = loop_now_ns(s->door->loop) + ms_max * NS_PER_MS,
                                     .done = done };
    forward_ask(s->door->forward, map_find(&s->door->map, s->tablet), &far->request, far->node);
}

/* ------------------------------------------------------------------ pieces */

/* Copies: what came dies when this returns. */
static enum status
take(struct kv_scan *s, struct slice bytes)
{
    struct scan_harvest h;
    struct slice rest;
    enum status st = scan_harvest_decode(bytes, &h, &rest);

    for (uint32_t i = 0; st == ST_OK && i < h.count; i++) {
        struct entry e;

        st = scan_entry_decode(&rest, &e);
        if (st == ST_OK)
            st = scan__keep(s, &e);
    }
    if (st == ST_OK && rest.size > 0 && h.count > 0)
        st = ST_CORRUPT;
    if (st == ST_OK && h.last.size > 0)
        st = scan__go_on_after(s, h.last);
    if (st != ST_OK)
        return st;
    s->ended = h.end;
    s->piece.examined = h.examined;
    s->piece.end = h.end;
    s->piece.entries = s->entries;
    s->piece.last_key = scan__last_key(s);
    return ST_OK;
}

static void
told(struct task *task)
{
    struct scan_far *far = container_of(task, struct scan_far, task);

    scan__tell(container_of(far, struct kv_scan, far));
}

/* Whoever is gone, drains, or has forgotten the scan, says so in several ways. */
static enum status
status_of(const struct request *r)
{
    return r->status == ST_UNKNOWN || r->status == ST_NOT_LEADER || r->status == ST_NOT_FOUND
               ? ST_BUSY
               : r->status;
}

static bool
may_begin_anew(const struct kv_scan *s, const struct request *r)
{
    return s->far.is_first && r->status != ST_BUSY && status_of(r) == ST_BUSY && !s->closed &&
           loop_now_ns(s->door->loop) < s->options.deadline_ns;
}

static void
begin_anew(struct task *task)
{
    struct scan_far *far = container_of(task, struct scan_far, task);
    struct kv_scan *s = container_of(far, struct kv_scan, far);

    buf_release(&far->order);
    far->begun = false;
    scan__ask(s);
}

static void
came(struct request *r)
{
    struct scan_far *far = container_of(r, struct scan_far, request);
    struct kv_scan *s = container_of(far, struct kv_scan, far);

    if (may_begin_anew(s, r)) {
        far->task.run = begin_anew;
        loop_post(s->door->loop, &far->task);
        return;
    }
    s->piece.status = status_of(r);
    s->ask.err = r->err;
    if (r->status == ST_OK)
        s->piece.status = take(s, far->result.value);
    if (s->piece.status == ST_BUSY && r->err.text[0] == '\0')
        s->piece.status = err_raise(&s->ask.err, ST_BUSY, "the node that read the scan is gone");
    far->task.run = told; /* not before kv_scan_next() returns */
    loop_post(s->door->loop, &far->task);
}

void
scan__next_far(struct kv_scan *s)
{
    enum status st = write_order(s, false);

    s->far.is_first = !s->far.begun;
    s->far.begun = true;
    if (st != ST_OK)
        scan__refuse(s, st);
    else
        send(s, PIECE_MS_MAX, came);
}

void
scan__begin_far(struct kv_scan *s, uint64_t node)
{
    s->far.node = node;
    s->far.number = ++s->door->forward->scan_number;
    s->far.order = buf_empty(ORDER_BYTES_MAX);
    scan__next_far(s);
}

/* ------------------------------------------------------------------ the end */

static void
parted(struct request *r)
{
    struct scan_far *far = container_of(r, struct scan_far, request);
    struct kv_scan *s = container_of(far, struct kv_scan, far);

    s->door->under_way--;
    scan__free(s);
}

/* Should it get lost, the node forgets the scan by itself. */
void
scan__end_far(struct kv_scan *s)
{
    ASSERT(s->closed && !s->busy);
    s->far.begun = false;
    if (write_order(s, true) != ST_OK) {
        scan__free(s);
        return;
    }
    s->door->under_way++;
    send(s, FAREWELL_MS_MAX, parted);
}
