#include "api/hop.h"

#include "api/session.h"

static void
run_back(struct task *task)
{
    struct hop *h = container_of(task, struct hop, task);
    struct call *c = h->call;

    c->busy = false;
    if (session_closed(c->session))
        call_finish(c);
    else
        h->back(h);
}

void
hop_back(struct hop *h)
{
    h->task.run = run_back;
    loop_post(h->call->session->reactor->loop, &h->task);
}

static void
run_there(struct task *task)
{
    struct hop *h = container_of(task, struct hop, task);

    h->there(h);
    hop_back(h);
}

static void
run_sent(struct task *task)
{
    struct hop *h = container_of(task, struct hop, task);

    h->there(h);
}

void
hop_go(struct hop *h, struct loop *loop)
{
    h->call->busy = true;
    h->task.run = run_there;
    loop_post(loop, &h->task);
}

void
hop_send(struct hop *h, struct loop *loop)
{
    h->call->busy = true;
    h->task.run = run_sent;
    loop_post(loop, &h->task);
}
