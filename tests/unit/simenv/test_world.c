/* The world as a whole: the same seed, the same run; nodes that begin and end; clocks. */
#include <time.h>

#include "base/list.h"
#include "base/mem.h"

#include "unit/simenv/fixture.h"

/* ------------------------------------------------------------------ a busy node */

/* Jobs that write and sync, a timer that submits them, a gate that they share, a server that
 * echoes: everything that draws from the seed. */
struct busy {
    struct env *env;
    struct loop *loop;
    struct timer *timer;
    struct gate *gate;
    struct listener *listener;
    struct file *file;
    struct stream *stream;
    struct writer {
        struct job job;
        struct busy *busy;
        bool running;
    } writers[3];
    uint64_t writes;
    uint64_t echoed;
};

static void
write_and_sync(struct job *job)
{
    struct writer *w = container_of(job, struct writer, job);
    struct busy *b = w->busy;
    char text[32];
    struct slice part;

    gate_enter(b->gate);
    snprintf(text, sizeof(text), "%llu at %llu\n", (unsigned long long)b->writes,
             (unsigned long long)env_boot_ns(b->env));
    part = slice_str(text);
    EXPECT_OK(file_write(b->file, b->writes++ * 600, &part, 1, NULL));
    gate_leave(b->gate);
    EXPECT_OK(file_sync(b->file, NULL));
}

static void
written(struct job *job)
{
    container_of(job, struct writer, job)->running = false;
}

static void
tick(void *ctx)
{
    struct busy *b = ctx;

    for (int i = 0; i < 3; i++) {
        struct writer *w = &b->writers[i];

        if (w->running)
            continue;
        w->running = true;
        w->busy = b;
        w->job = (struct job){ .run = write_and_sync, .done = written, .loop = b->loop };
        env_submit(b->env, i == 0 ? ENV_LANE_LOG : ENV_LANE_READ, &w->job);
    }
    timer_start(b->timer, 3);
}

static void
echo(void *ctx, unsigned events)
{
    struct busy *b = ctx;
    uint8_t bytes[200];
    struct slice part;
    size_t got, written_bytes;

    (void)events;
    if (stream_read(b->stream, bytes, sizeof(bytes), &got) != ST_OK)
        return;
    part = slice_of(bytes, got);
    if (stream_write(b->stream, &part, 1, &written_bytes) == ST_OK)
        b->echoed += written_bytes;
}

static void
take_stream(void *ctx, struct loop *loop, struct stream *stream)
{
    struct busy *b = ctx;

    (void)loop;
    b->stream = stream;
    stream_watch(stream, STREAM_READABLE, echo, b);
}

static void
start_busy(void *ctx)
{
    struct busy *b = ctx;

    EXPECT_OK(gate_create(b->env, &b->gate));
    EXPECT_OK(env_open(b->env, "log", ENV_OPEN_WRITE | ENV_OPEN_CREATE, &b->file, NULL));
    EXPECT_OK(env_listen(b->env, "127.0.0.1", 7000, take_stream, b, &b->listener, NULL));
    EXPECT_OK(timer_create_on(b->loop, tick, b, &b->timer));
    timer_start(b->timer, 1);
}

/* A minute in the life of a world; its trace. */
static uint64_t
live(uint64_t seed, struct buf *disk)
{
    struct fix f = setup_loops(seed, 1);
    uint64_t trace;

    for (int life = 0; life < 3; life++) {
        struct busy *b;
        struct mem_heap *outer = mem_heap_enter(sim_heap(f.w, 1));
        struct sim_client *c;

        b = mem_new(struct busy);
        mem_heap_enter(outer);
        b->env = f.env;
        b->loop = sim_loop(f.w, 1, 0);
        EXPECT(sim_call(f.w, 1, start_busy, b));
        c = sim_connect(f.w, 1, 7000);
        sim_client_send(c, slice_str("something to be echoed"));
        sim_run_ms(f.w, 40);
        EXPECT(b->writes > 10 && b->echoed > 0);
        sim_client_close(c);
        crash_and_boot(&f);
    }
    EXPECT(!exists(&f, "log") || sim_disk_read(f.w, 1, "log", disk));
    trace = sim_trace_hash(f.w);
    teardown(&f);
    return trace;
}

TEST(the_same_seed_gives_the_same_run)
{
    uint64_t first = 0;

    for (uint64_t seed = 0; seed < 20; seed++) {
        struct buf a = buf_empty(1 << 20), b = buf_empty(1 << 20);
        void *shift = malloc(1000 * (seed + 1)); /* addresses must not matter */
        uint64_t trace = live(seed, &a);

        free(shift);
        EXPECT_U64(live(seed, &b), trace);
        EXPECT(slice_equal(buf_slice(&a), buf_slice(&b)));
        EXPECT(trace != first);
        first = trace;
        buf_release(&a);
        buf_release(&b);
    }
}

/* ------------------------------------------------------------------ nodes */

struct call {
    struct fix *f;
    void *block;
    uint64_t ms;
};

static void
allocate(void *ctx)
{
    struct call *c = ctx;

    c->block = mem_alloc(100);
    env_sleep_ms(c->f->env, 20);
    c->ms = env_wall_ms(c->f->env);
}

static void
give_back(void *ctx)
{
    struct call *c = ctx;

    mem_free(c->block);
}

TEST(a_call_runs_on_the_nodes_heap_and_the_world_goes_on_beside_it)
{
    struct fix f = setup_loops(1, 1);
    struct call c = { .f = &f };
    uint64_t before = env_wall_ms(f.env);

    EXPECT(sim_call(f.w, 1, allocate, &c));
    EXPECT(c.ms >= before + 20);
    EXPECT_U64(sim_heap(f.w, 1)->block_count, 1);
    EXPECT_U64(sim_heap(f.w, 1)->byte_count, 100);
    EXPECT(sim_call(f.w, 1, give_back, &c));
    EXPECT_U64(sim_heap(f.w, 1)->block_count, 0);
    sim_on_loop(f.w, 1, 0, give_back, &(struct call){ 0 });
    sim_end(f.w, 1);
    teardown(&f);
}

TEST(nodes_have_disks_heaps_and_clocks_of_their_own)
{
    struct fix f = setup(2);
    struct fix g = { f.w, sim_boot(f.w, SIM_NODES_MAX, 0), 0 };
    struct call c = { .f = &f };

    put_file(&f, "a", "one", true);
    expect_names(&g, "/", "");
    EXPECT(sim_call(f.w, 1, allocate, &c));
    EXPECT_U64(sim_heap(f.w, SIM_NODES_MAX)->block_count, 0);
    EXPECT(env_boot_ns(f.env) / 1000000 != env_boot_ns(g.env) / 1000000);
    EXPECT(sim_running(f.w, 1) && !sim_running(f.w, 2));
    sim_crash(f.w, 1);
    EXPECT(!sim_running(f.w, 1) && sim_running(f.w, SIM_NODES_MAX));
    teardown(&f);
}

TEST(the_world_begins_with_2026_and_clocks_can_jump)
{
    struct fix f = setup(3);
    uint64_t boot, wall = env_wall_ms(f.env);

    EXPECT_U64(wall, UINT64_C(1767225600000));
    sim_run_ms(f.w, 1500);
    EXPECT_U64(env_wall_ms(f.env), wall + 1500);
    boot = env_boot_ns(f.env);
    sim_jump_clock(f.w, 1, -5000);
    EXPECT_U64(env_wall_ms(f.env), wall - 3500);
    EXPECT_U64(env_boot_ns(f.env), boot); /* it goes on as if nothing had happened */
    crash_and_boot(&f);
    EXPECT_U64(env_wall_ms(f.env), wall - 3500); /* the machine's clock stays wrong */
    EXPECT(env_boot_ns(f.env) != boot);          /* but it was switched on anew */
    teardown(&f);
}

TEST(a_kill_does_not_restart_the_machine)
{
    struct fix f = setup(4);
    uint64_t boot = env_boot_ns(f.env);

    sim_kill(f.w, 1);
    sim_run_ms(f.w, 10);
    f.env = sim_boot(f.w, 1, 0);
    EXPECT_U64(env_boot_ns(f.env), boot + 10000000);
    teardown(&f);
}

TEST(sleeping_outside_of_a_fiber_sets_the_clock)
{
    struct fix f = setup(10);
    uint64_t wall = env_wall_ms(f.env);

    env_sleep_ms(f.env, 100);
    EXPECT(env_wall_ms(f.env) - wall >= 100 && env_wall_ms(f.env) - wall <= 101);
    teardown(&f);
}

TEST(random_bytes_come_from_the_seed)
{
    uint8_t out[3][13];

    for (int i = 0; i < 3; i++) {
        struct fix f = setup(i == 2 ? 6 : 5);

        env_random(f.env, out[i], sizeof(out[i]));
        teardown(&f);
    }
    EXPECT(memcmp(out[0], out[1], sizeof(out[0])) == 0);
    EXPECT(memcmp(out[0], out[2], sizeof(out[0])) != 0);
}

static void
write_often(void *ctx)
{
    struct call *c = ctx;
    struct file *file = create_file(c->f, "a");

    for (int i = 0; i < 100; i++)
        write_at(file, 0, "x");
    file_close(file);
}

TEST(the_disk_takes_its_time_in_a_fiber_and_none_outside)
{
    static const uint32_t latencies_us[] = { 0, 50, 1000 };

    for (int i = 0; i < 3; i++) {
        struct fix f = setup(7);
        struct call c = { .f = &f };
        uint64_t us = latencies_us[i];
        uint64_t start = sim_now_ns(f.w);

        sim_set_disk_latency_us(f.w, 1, latencies_us[i]);
        EXPECT(sim_call(f.w, 1, write_often, &c));
        EXPECT(sim_now_ns(f.w) - start >= 100 * us * 1000);
        EXPECT(sim_now_ns(f.w) - start <= 200 * us * 1000 + 100000);
        start = sim_now_ns(f.w);
        write_often(&c);
        EXPECT_U64(sim_now_ns(f.w), start);
        sim_end(f.w, 1);
        teardown(&f);
    }
}

/* ------------------------------------------------------------------ leaks */

static void
end(struct fix *f)
{
    sim_end(f->w, 1);
}

static void
nothing(void *ctx)
{
    (void)ctx;
}

static void
no_job(struct job *self)
{
    (void)self;
}

static void
no_task(struct task *self)
{
    (void)self;
}

static void
no_accept(void *ctx, struct loop *loop, struct stream *stream)
{
    *(struct stream **)ctx = stream;
    (void)loop;
}

TEST(a_clean_end_leaves_nothing_open)
{
    struct fix f = setup_loops(8, 1);
    struct loop *loop = sim_loop(f.w, 1, 0);
    struct file *file = create_file(&f, "a");
    struct gate *gate;
    struct timer *timer;
    struct listener *listener;
    struct stream *stream = NULL;
    struct job job = { .run = no_job };
    struct task task = { .run = no_task };
    struct call c = { .f = &f };

    EXPECT(asserts(end, &f));
    file_close(file);
    EXPECT(!asserts(end, &f));

    EXPECT_OK(gate_create(f.env, &gate));
    EXPECT(asserts(end, &f));
    gate_destroy(gate);

    EXPECT_OK(timer_create_on(loop, nothing, NULL, &timer));
    EXPECT(asserts(end, &f));
    timer_destroy(timer);

    EXPECT_OK(env_listen(f.env, "127.0.0.1", 1, no_accept, &stream, &listener, NULL));
    EXPECT(asserts(end, &f));
    sim_connect(f.w, 1, 1);
    EXPECT(sim_settle(f.w, 100));
    listener_close(listener);
    EXPECT(asserts(end, &f));
    stream_close(stream);

    env_submit(f.env, ENV_LANE_LOG, &job);
    EXPECT(asserts(end, &f));
    EXPECT(sim_settle(f.w, 100));

    loop_post(loop, &task);
    EXPECT(asserts(end, &f));
    EXPECT(sim_settle(f.w, 100));

    EXPECT(sim_call(f.w, 1, allocate, &c));
    EXPECT(asserts(end, &f));
    EXPECT(sim_call(f.w, 1, give_back, &c));

    EXPECT(!asserts(end, &f));
    sim_end(f.w, 1);
    EXPECT(!sim_running(f.w, 1));
    teardown(&f);
}

/* ------------------------------------------------------------------ speed */

static void
append_and_sync(void *ctx)
{
    struct call *c = ctx;
    struct file *file = create_file(c->f, "log");

    for (uint64_t i = 0; i < 20; i++) {
        write_at(file, i * 30, "thirty bytes of a small record");
        EXPECT_OK(file_sync(file, NULL));
    }
    file_close(file);
}

/* Tests of higher floors make a world for each call that can fail. */
TEST(worlds_are_cheap)
{
    enum { COUNT = 2000 };
    clock_t start = clock();
    double seconds;

    for (uint64_t n = 0; n < COUNT; n++) {
        struct fix f = setup(n);
        struct call c = { .f = &f };

        sim_crash_at(f.w, 1, SIM_OP_ALL, n % 45 + 1, false);
        EXPECT(sim_call(f.w, 1, append_and_sync, &c) == (n % 45 >= 41));
        sim_crash(f.w, 1);
        teardown(&f);
    }
    seconds = (double)(clock() - start) / CLOCKS_PER_SEC;
    print_message("%d worlds with 41 calls each in %.2f s of CPU\n", COUNT, seconds);
    EXPECT(seconds < 20);
}

TEST_MAIN(RUN(the_same_seed_gives_the_same_run),
          RUN(a_call_runs_on_the_nodes_heap_and_the_world_goes_on_beside_it),
          RUN(nodes_have_disks_heaps_and_clocks_of_their_own),
          RUN(the_world_begins_with_2026_and_clocks_can_jump),
          RUN(a_kill_does_not_restart_the_machine), RUN(sleeping_outside_of_a_fiber_sets_the_clock),
          RUN(random_bytes_come_from_the_seed),
          RUN(the_disk_takes_its_time_in_a_fiber_and_none_outside),
          RUN(a_clean_end_leaves_nothing_open), RUN(worlds_are_cheap))
