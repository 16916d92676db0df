/*
 * A tablet that comes and goes under requests of all loops.  On the real world; the thread sanitizer judges.
 */
#include <pthread.h>

#include "env/real.h"
#include "unit/tablet/hall.h"
#include "unit/test.h"

enum {
    T = 70,
    ROUNDS = 60,
    CALLS = 4,
    SERVED_MS = 3,
    WAITS_MAX = 1000,
    DEADLINE_MS = 3000,
    NS_PER_MS = 1000000
};

struct caller {
    struct request request;
    struct op op;
    struct op_result result;
    struct hall_loop *at;
    struct task task;
    uint32_t count;
    bool busy;
};

struct show {
    struct hall hall; /* of no world, and without nodes */
    struct hall_site site;
    struct env *env;
    struct loop *loops[HALL_LOOPS];
    struct stage {
        struct hall_loop *at;
        struct caller callers[CALLS];
        struct task kick;
        struct task drain;
    } stages[HALL_LOOPS];
    struct task begin;
    struct timer *timer;
    uint32_t round;
    uint32_t waits;
    _Atomic uint32_t wrong; /* answers that cannot be */
    _Atomic uint32_t served;
    char folder[64];
};

static struct show *
show_of(const struct hall_loop *l)
{
    return container_of(l->site, struct show, site);
}

/* ------------------------------------------------------------------ requests */

static void
answered(struct request *r)
{
    struct caller *c = container_of(r, struct caller, request);
    struct show *s = show_of(c->at);

    atomic_fetch_add(&s->served, r->status == ST_OK);
    if (r->status != ST_OK && r->status != ST_NOT_LEADER && r->status != ST_UNKNOWN)
        atomic_fetch_add(&s->wrong, 1);
    if (r->status == ST_OK && tablet_id(r->tablet) != T)
        atomic_fetch_add(&s->wrong, 1);
    loop_post(c->at->loop, &c->task);
}

/* Again and again, as long as the loop knows the tablet. */
static void
call(struct task *task)
{
    struct caller *c = container_of(task, struct caller, task);
    struct tablet *t = tablet_reactor_find(&c->at->reactor, T);
    bool writes = c->count++ % 2 == 0;

    c->busy = t != NULL && !c->at->draining;
    if (!c->busy)
        return;
    c->op = (struct op){ .kind = writes ? OP_PUT : OP_GET,
                         .key = slice_str("key"),
                         .value = slice_str("value") };
    c->request = (struct request){
        .ops = &c->op,
        .op_count = 1,
        .results = &c->result,
        .origin = (uint64_t)(uintptr_t)c,
        .durability = DURABILITY_NEVER,
        .deadline_ns = loop_now_ns(c->at->loop) + (uint64_t)DEADLINE_MS * NS_PER_MS,
        .result_bytes_max = 1 << 20,
        .home = c->at->loop,
        .way = &c->at->way,
        .done = answered,
    };
    c->at->way.under_way++;
    if (writes || !tablet_read(t, &c->at->reactor.reader, &c->request))
        tablet_send(t, &c->request);
}

static void
kick(struct task *task)
{
    struct stage *stage = container_of(task, struct stage, kick);

    for (uint32_t i = 0; i < CALLS; i++) {
        if (!stage->callers[i].busy)
            call(&stage->callers[i].task);
    }
}

/* ------------------------------------------------------------------ the driver, on loop 0 */

static void next_round(struct show *s);

static void
gone(void *ctx, enum status st, const struct err *err)
{
    struct show *s = ctx;

    (void)err;
    if (st != ST_OK)
        atomic_fetch_add(&s->wrong, 1);
    next_round(s);
}

static void
drop(void *ctx)
{
    struct show *s = ctx;

    if (atomic_load(&s->served) == 0 && ++s->waits < WAITS_MAX)
        timer_start(s->timer, SERVED_MS); /* a slow disk: its first term is not yet durable */
    else if (tablet_node_drop(&s->site.node, T, gone, s) != ST_OK)
        atomic_fetch_add(&s->wrong, 1);
}

static void
come(void *ctx, enum status st, const struct err *err)
{
    struct show *s = ctx;

    (void)err;
    if (st != ST_OK)
        atomic_fetch_add(&s->wrong, 1);
    for (uint32_t i = 0; i < HALL_LOOPS; i++)
        loop_post(s->loops[i], &s->stages[i].kick);
    timer_start(s->timer, SERVED_MS);
}

static void
next_round(struct show *s)
{
    struct tablet_spec spec = { .id = T,
                                .loop = s->round % HALL_LOOPS,
                                .founders = &s->hall.founders };

    if (s->round++ == ROUNDS) {
        for (uint32_t i = 0; i < HALL_LOOPS; i++)
            loop_post(s->loops[i], &s->stages[i].drain);
    } else if (tablet_node_add(&s->site.node, &spec, come, s) != ST_OK) {
        atomic_fetch_add(&s->wrong, 1);
    }
}

static void
begin(struct task *task)
{
    next_round(container_of(task, struct show, begin));
}

static void
stop(struct hall_site *site)
{
    real_env_stop(container_of(site, struct show, site)->env);
}

static void
drain(struct task *task)
{
    hall_site_drain(container_of(task, struct stage, drain)->at);
}

/* ------------------------------------------------------------------ the whole */

static void
set_stages(struct show *s)
{
    for (uint32_t i = 0; i < HALL_LOOPS; i++) {
        struct stage *stage = &s->stages[i];

        stage->at = &s->site.loops[i];
        stage->kick.run = kick;
        stage->drain.run = drain;
        for (uint32_t k = 0; k < CALLS; k++) {
            stage->callers[k].at = stage->at;
            stage->callers[k].task.run = call;
        }
    }
}

static struct show *
open_show(void)
{
    struct show *s = calloc(1, sizeof(*s));
    struct real_env_options options = { .loop_count = HALL_LOOPS };
    const char *tmp = getenv("TMPDIR");
    struct err err;

    assert_non_null(s);
    snprintf(s->folder, sizeof(s->folder), "%s/dkv-lifetime-XXXXXX", tmp != NULL ? tmp : "/tmp");
    assert_non_null(mkdtemp(s->folder));
    EXPECT_OK(real_env_create(&options, &s->env, &err));
    for (uint32_t i = 0; i < HALL_LOOPS; i++)
        s->loops[i] = real_env_loop(s->env, i);
    s->hall.founders = hall_config(1);
    s->site.hall = &s->hall;
    s->site.id = 1;
    s->site.on_closed = stop;
    hall_site_open(&s->site, s->loops, s->folder);
    set_stages(s);
    EXPECT_OK(timer_create_on(s->loops[0], drop, s, &s->timer));
    s->begin.run = begin;
    return s;
}

static void
close_show(struct show *s)
{
    char command[128];

    timer_destroy(s->timer);
    hall_site_close(&s->site);
    real_env_destroy(s->env);
    snprintf(command, sizeof(command), "rm -rf '%s'", s->folder);
    EXPECT(system(command) == 0); /* NOLINT(cert-env33-c): a folder of our own making */
    free(s);
}

TEST(a_tablet_comes_and_goes_under_requests_of_all_loops)
{
    struct show *s = open_show();
    struct err err;

    loop_post(s->loops[0], &s->begin);
    EXPECT_OK(real_env_run(s->env, &err));
    EXPECT_U64(s->wrong, 0);
    EXPECT(s->served > 0);
    print_message("%u requests served\n", (unsigned)s->served);
    close_show(s);
}

QUIET_TEST_MAIN(RUN(a_tablet_comes_and_goes_under_requests_of_all_loops))
