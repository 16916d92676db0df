#include "tablet/tablet_internal.h"

bool
request_writes(const struct request *r)
{
    for (uint32_t i = 0; i < r->op_count; i++) {
        if (op_writes(r->ops[i].kind))
            return true;
    }
    return false;
}

void
request_done(struct request *r)
{
    struct buf scratch = r->scratch;
    struct cold_read *cold = r->cold;

    r->scratch = (struct buf){ 0 };
    r->cold = NULL;
    if (r->status == ST_OK || r->way->back == NULL || !r->way->back(r)) {
        r->way->under_way--;
        r->done(r);
    }
    buf_release(&scratch);
    cold_destroy(cold);
}

/* Of a request that was sent to another loop: its tablet was held. */
static void
done_task(struct task *task)
{
    struct request *r = container_of(task, struct request, task);
    struct tablet *t = r->tablet;

    request_done(r);
    tablet_let_go(t);
}

void
request_done_at_home(struct request *r, struct loop *here)
{
    if (r->home == here) {
        request_done(r);
        return;
    }
    r->task.run = done_task;
    loop_post(r->home, &r->task);
}

/* A read of another loop that turned out to be the owner's to answer (tablet_read()) may come when this loop
 * has nothing more to do: nobody would look after its deadline. */
static void
submit_task(struct task *task)
{
    struct request *r = container_of(task, struct request, task);
    struct tablet *t = r->tablet;

    if (!t->reactor->resting) {
        tablet_submit(t, r);
        return;
    }
    r->status = ST_CLOSED;
    request_done_at_home(r, t->loop);
}

void
tablet_send(struct tablet *t, struct request *r)
{
    if (r->home == t->loop) {
        tablet_submit(t, r);
        return;
    }
    r->tablet = tablet_hold(t);
    r->task.run = submit_task;
    loop_post(t->loop, &r->task);
}
