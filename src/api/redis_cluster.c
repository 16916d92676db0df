/* DISTKV CLUSTER: what operators ask of the cluster, in words; the answer is JSON. */
#include <stdio.h>

#include "base/mem.h"

#include "api/api_internal.h"
#include "api/hop.h"
#include "api/redis.h"
#include "api/session.h"
#include "cluster/orders.h"

/* An order on its way to loop 0, where the cluster is, and back. */
struct cluster_call {
    struct hop hop;
    struct order order;
    struct kv *kv;
};

static void
release(struct call *c)
{
    struct cluster_call *o = c->task;

    buf_release(&o->order.answer);
    mem_free(o);
}

/* Why an order was not carried out is worth more words than the status has; TRYAGAIN: nothing was changed, and
 * the same may be asked again at once. */
static void
reply_refusal(struct call *c, const struct order *o)
{
    char text[ERR_TEXT_MAX + 16];
    const char *code = "ERR";

    if (o->status == ST_CONFLICT || o->status == ST_BUSY)
        code = "TRYAGAIN";
    else if (o->status == ST_TIMEOUT)
        code = "TIMEOUT";
    else if (o->status == ST_UNKNOWN)
        code = "UNKNOWN";
    snprintf(text, sizeof(text), "%s %s", code, o->err.text);
    call_reply_error(c, text);
}

static void
come_back(struct hop *h)
{
    struct cluster_call *o = container_of(h, struct cluster_call, hop);
    struct call *c = h->call;
    struct resp_writer w;
    size_t mark = 0;

    if (o->order.status != ST_OK) {
        reply_refusal(c, &o->order);
        return;
    }
    w = call_reply(c, o->order.answer.size + 32, &mark);
    resp_put_bulk(&w, buf_slice(&o->order.answer));
    call_replied(c, &w, mark);
    call_finish(c);
}

static void
is_answered(struct order *order)
{
    hop_back(&container_of(order, struct cluster_call, order)->hop);
}

static void
give(struct hop *h)
{
    struct cluster_call *o = container_of(h, struct cluster_call, hop);

    cluster_order(kv_cluster_of(o->kv), &o->order);
}

void
task_distkv_cluster(struct call *c, const struct slice *args, uint32_t count)
{
    struct reactor *r = c->session->reactor;
    struct cluster_call *o = mem_new(struct cluster_call);
    const struct slice *kept = call_keep_args(c, args, count);

    if (o == NULL || kept == NULL || count - 2 > ORDER_WORDS_MAX) {
        mem_free(o);
        call_reply_status(c, o == NULL || kept == NULL ? ST_NO_MEMORY : ST_TOO_BIG, NULL);
        return;
    }
    o->kv = r->api->kv;
    o->hop = (struct hop){ .call = c, .there = give, .back = come_back };
    o->order.word_count = count - 2;
    for (uint32_t i = 2; i < count; i++)
        o->order.words[i - 2] = kept[i];
    o->order.deadline_ns = session_deadline_ns(c->session);
    o->order.done = is_answered;
    c->task = o;
    c->release = release;
    hop_send(&o->hop, r->api->reactors[0].loop);
}
