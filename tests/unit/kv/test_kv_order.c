/* The order within a connection (B1), and the end of a node's life: cases in which
 * something is still under way when something else would like to be done. */
#include "kv_fixture.h"
#include "unit/test.h"

struct scene {
    struct kvfix f;
    struct kv_admin admin;
    bool admin_done;
    struct call *first;
    struct call *second;
    struct call *late;
    void (*first_done)(struct request *r);
};

static struct scene *scene; /* for `done`, which has no context */

static void
fill(struct scene *s, int count, const char *value)
{
    char key[32];

    for (int i = 0; i < count; i++) {
        snprintf(key, sizeof(key), "k%05d", i);
        EXPECT_OK(fix_put(&s->f, key, value));
    }
}

static void
on_admin(struct kv_admin *a)
{
    container_of(a, struct scene, admin)->admin_done = true;
}

static void
submit_admin(void *ctx)
{
    struct scene *s = ctx;

    s->admin.done = on_admin;
    kv_admin_submit(kv_door_of(s->f.kv, 0), &s->admin);
}

static void
administer(struct scene *s, enum kv_admin_kind kind)
{
    s->admin = (struct kv_admin){ .kind = kind };
    s->admin_done = false;
    sim_on_loop(s->f.w, FIX_NODE, 0, submit_admin, s);
}

static void
save(struct scene *s)
{
    administer(s, KV_SAVE);
    EXPECT(sim_run_until(s->f.w, &s->admin_done, FIX_PATIENCE_MS));
    EXPECT_OK(s->admin.status);
}

static struct scene *
begin(uint64_t seed)
{
    struct scene *s = calloc(1, sizeof(*s));

    kvfix_create(&s->f, seed);
    EXPECT_OK(kvfix_open(&s->f));
    scene = s;
    return s;
}

static void
end(struct scene *s)
{
    kvfix_close(&s->f);
    kvfix_destroy(&s->f);
    free(s);
}

TEST(a_node_closes_while_a_count_is_under_way)
{
    struct scene *s = begin(7);
    bool never = false;

    fill(s, 2000, "0123456789012345678901234567890123456789");
    save(s);
    sim_set_disk_latency_us(s->f.w, FIX_NODE, 20000);
    administer(s, KV_COUNT);
    EXPECT(!sim_run_until(s->f.w, &never, 30));
    EXPECT(!s->admin_done);
    kvfix_close(&s->f);
    EXPECT(s->admin_done); /* answered, if only that the node is closing */
    kvfix_destroy(&s->f);
    free(s);
}

/* The deadline passed, the job still reads: it must not meet a tablet that is gone. */
TEST(a_node_closes_while_a_given_up_read_is_under_way)
{
    struct scene *s = begin(7);
    struct call *c;

    fill(s, 600, "1");
    save(s);
    kvfix_close(&s->f);
    EXPECT_OK(kvfix_open(&s->f));
    sim_set_cold_percent(s->f.w, FIX_NODE, 100);
    sim_set_disk_latency_us(s->f.w, FIX_NODE, 20000000); /* longer than any deadline */
    c = call_new(&s->f, 0);
    call_op(c, OP_INCR, "k00300")->number = 1;
    call_send(c);
    EXPECT_ST(call_wait(c), ST_TIMEOUT);
    free(c);
    sim_set_disk_latency_us(s->f.w, FIX_NODE, 1000); /* what has begun still takes its time */
    end(s);
}

static void
submit(struct call *c, uint32_t loop)
{
    c->request.origin = 77;
    c->request.deadline_ns = UINT64_MAX;
    kv_submit(kv_door_of(scene->f.kv, loop), &c->request);
}

static void
first_done(struct request *r)
{
    scene->first_done(r);
    submit(scene->late, scene->first->loop);
}

static void
submit_two(void *ctx)
{
    struct scene *s = ctx;

    submit(s->first, s->first->loop);
    submit(s->second, s->first->loop);
}

/* The first waits for the disk, the second behind it; what the first's `done` submits is later. */
static void
submit_from_done(uint32_t loop)
{
    struct scene *s = begin(7 + loop);

    fill(s, 300, "1");
    save(s);
    kvfix_close(&s->f);
    EXPECT_OK(kvfix_open(&s->f));
    EXPECT_OK(fix_put(&s->f, "z", "0"));
    s->first = call_new(&s->f, loop);
    s->second = call_new(&s->f, loop);
    s->late = call_new(&s->f, loop);
    call_op(s->first, OP_GET, "k00200");
    s->first->request.ordered = true;
    s->first_done = s->first->request.done;
    s->first->request.done = first_done;
    call_value(s->second, call_op(s->second, OP_PUT, "z"), "two");
    call_value(s->late, call_op(s->late, OP_PUT, "z"), "three");
    sim_set_cold_percent(s->f.w, FIX_NODE, 100);
    sim_on_loop(s->f.w, FIX_NODE, loop, submit_two, s);
    EXPECT_OK(call_wait(s->second));
    EXPECT_OK(call_wait(s->late));
    EXPECT(s->second->results[0].version < s->late->results[0].version);
    EXPECT_STR(fix_get(&s->f, "z"), "three");
    free(s->first);
    free(s->second);
    free(s->late);
    end(s);
}

TEST(what_done_submits_comes_after_what_waited_behind)
{
    submit_from_done(0);
    submit_from_done(1);
}

TEST_MAIN(RUN(a_node_closes_while_a_count_is_under_way),
          RUN(a_node_closes_while_a_given_up_read_is_under_way),
          RUN(what_done_submits_comes_after_what_waited_behind))
