/* Jobs, lanes and gates in virtual time: in order, interleaved at calls to env, and gone without a
 * trace when their node crashes. */
#include "base/list.h"

#include "unit/simenv/fixture.h"

enum { SEEDS = 60 };

struct note {
    char text[256]; /* what happened, in order */
};

/* A job that says when it begins and ends, and calls env in between. */
struct talker {
    struct job job;
    struct fix *f;
    struct note *note;
    char name;
    uint32_t sleep_ms;
    bool done;
};

static void
say(struct note *n, char c)
{
    size_t used = strlen(n->text);

    if (used + 1 < sizeof(n->text))
        n->text[used] = c;
}

static void
talk(struct job *job)
{
    struct talker *t = container_of(job, struct talker, job);

    say(t->note, t->name);
    env_sleep_ms(t->f->env, t->sleep_ms);
    say(t->note, (char)(t->name - 'a' + 'A'));
}

static void
talk_done(struct job *job)
{
    struct talker *t = container_of(job, struct talker, job);

    t->done = true;
    say(t->note, '.');
}

static struct talker
talker(struct fix *f, struct note *note, char name, uint32_t sleep_ms)
{
    struct talker t = { .f = f, .note = note, .name = name, .sleep_ms = sleep_ms };

    t.job.run = talk;
    return t;
}

TEST(a_lane_with_one_worker_runs_jobs_in_order)
{
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        struct fix f = setup(seed);
        struct note note = { "" };
        struct talker t[3] = { talker(&f, &note, 'a', 30), talker(&f, &note, 'b', 1),
                               talker(&f, &note, 'c', 20) };

        for (int i = 0; i < 3; i++)
            env_submit(f.env, ENV_LANE_LOG, &t[i].job);
        EXPECT_STR(note.text, ""); /* it only runs when the world does */
        EXPECT(sim_settle(f.w, 1000));
        EXPECT_STR(note.text, "aAbBcC");
        sim_end(f.w, 1);
        teardown(&f);
    }
}

TEST(the_lane_for_reads_has_four_workers)
{
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        struct fix f = setup(seed);
        struct note note = { "" };
        struct talker t[6];

        for (int i = 0; i < 6; i++) {
            t[i] = talker(&f, &note, (char)('a' + i), i == 5 ? 1 : 10 + (uint32_t)(6 - i) * 5);
            env_submit(f.env, ENV_LANE_READ, &t[i].job);
        }
        EXPECT(sim_settle(f.w, 1000));
        EXPECT_STR(note.text, "abcdDeCfFBAE"); /* begun in order, ended as they may */
        teardown(&f);
    }
}

TEST(lanes_do_not_wait_for_one_another)
{
    struct fix f = setup(1);
    struct note note = { "" };
    struct talker t[3] = { talker(&f, &note, 'a', 300), talker(&f, &note, 'b', 200),
                           talker(&f, &note, 'c', 100) };

    env_submit(f.env, ENV_LANE_LOG, &t[0].job);
    env_submit(f.env, ENV_LANE_FLUSH, &t[1].job);
    env_submit(f.env, ENV_LANE_COMPACT, &t[2].job);
    EXPECT(sim_settle(f.w, 1000));
    EXPECT_STR(note.text + 3, "CBA");
    teardown(&f);
}

TEST(done_runs_on_the_loop_after_the_job)
{
    struct fix f = setup_loops(2, 2);
    struct note note = { "" };
    struct talker t = talker(&f, &note, 'a', 5);

    t.job.done = talk_done;
    t.job.loop = sim_loop(f.w, 1, 1);
    env_submit(f.env, ENV_LANE_FLUSH, &t.job);
    EXPECT(sim_run_until(f.w, &t.done, 1000));
    EXPECT_STR(note.text, "aA.");
    sim_end(f.w, 1);
    teardown(&f);
}

/* ------------------------------------------------------------------ crashes */

struct victim {
    struct job job;
    struct env *env;
    int progress;
};

static void
write_a_lot(struct job *job)
{
    struct victim *v = container_of(job, struct victim, job);
    struct slice part = slice_str("some bytes");
    struct file *file;
    struct file *lock;

    EXPECT_OK(env_lock(v->env, "LOCK", &lock, NULL));
    EXPECT_OK(env_open(v->env, "a", ENV_OPEN_WRITE | ENV_OPEN_CREATE, &file, NULL));
    for (int i = 0; i < 1000; i++) {
        EXPECT(mem_alloc(100) != NULL);
        EXPECT_OK(file_write(file, (uint64_t)i * 100, &part, 1, NULL));
        v->progress++;
    }
}

/* The frames of a dead job go, and so does its memory; its stack is used again. */
TEST(a_crash_in_the_middle_of_a_job_leaves_nothing_of_it)
{
    struct fix f = setup(3);

    for (int life = 0; life < 50; life++) {
        struct victim v = { .job = { .run = write_a_lot }, .env = f.env };

        env_submit(f.env, ENV_LANE_LOG, &v.job);
        sim_run_ms(f.w, 1 + (uint64_t)life);
        EXPECT(v.progress > 0 && v.progress < 1000);
        EXPECT_U64(sim_heap(f.w, 1)->block_count, v.progress + 1);
        if (life % 2 == 0)
            sim_crash(f.w, 1);
        else
            sim_kill(f.w, 1);
        EXPECT_U64(sim_heap(f.w, 1)->block_count, 0);
        f.env = sim_boot(f.w, 1, 0);
    }
    sim_end(f.w, 1);
    teardown(&f);
}

static void
crash_myself(struct job *job)
{
    struct victim *v = container_of(job, struct victim, job);
    struct file *file;

    EXPECT_OK(env_open(v->env, "a", ENV_OPEN_WRITE | ENV_OPEN_CREATE, &file, NULL));
    v->progress = 1;
    file_close(file);
    EXPECT_OK(env_make_dir(v->env, "d", NULL));
    v->progress = 2;
}

TEST(a_job_can_die_of_its_own_call)
{
    struct fix f = setup(4);
    struct victim v = { .job = { .run = crash_myself }, .env = f.env };
    struct victim later = v;

    sim_crash_at(f.w, 1, SIM_MAKE_DIR, 1, true);
    env_submit(f.env, ENV_LANE_LOG, &v.job);
    env_submit(f.env, ENV_LANE_LOG, &later.job);
    sim_run_ms(f.w, 100);
    EXPECT(!sim_running(f.w, 1));
    EXPECT_U64(v.progress, 1);
    EXPECT_U64(later.progress, 0); /* what was queued is gone, too */
    teardown(&f);
}

static void
crash_the_node(void *ctx)
{
    struct fix *f = ctx;

    sim_crash(f->w, 1);
    abort(); /* it does not come back */
}

static void
kill_the_node(void *ctx)
{
    struct fix *f = ctx;

    sim_kill(f->w, 1);
    abort();
}

static void
crash_the_other_node(void *ctx)
{
    struct fix *f = ctx;

    sim_crash(f->w, 2);
    EXPECT(!sim_running(f->w, 2));
}

TEST(a_node_may_be_crashed_by_code_that_runs_on_one)
{
    struct fix f = setup(5);
    struct victim v = { .job = { .run = write_a_lot }, .env = sim_boot(f.w, 2, 0) };

    env_submit(v.env, ENV_LANE_LOG, &v.job);
    sim_run_ms(f.w, 10);
    EXPECT(sim_call(f.w, 1, crash_the_other_node, &f));
    EXPECT_U64(sim_heap(f.w, 2)->block_count, 0);
    EXPECT(!sim_call(f.w, 1, crash_the_node, &f));
    f.env = sim_boot(f.w, 1, 0);
    EXPECT(!sim_call(f.w, 1, kill_the_node, &f));
    EXPECT(!sim_running(f.w, 1));
    teardown(&f);
}

static void
sleep_a_while(void *ctx)
{
    struct fix *f = ctx;

    env_sleep_ms(f->env, 100);
}

TEST(a_call_can_go_on_beside_the_world)
{
    struct fix f = setup(5);
    bool finished = true;

    sim_begin_call(f.w, 1, sleep_a_while, &f, &finished);
    EXPECT(!finished);
    sim_run_ms(f.w, 50);
    EXPECT(!finished);
    EXPECT(sim_run_until(f.w, &finished, 100));
    sim_begin_call(f.w, 1, sleep_a_while, &f, &finished);
    sim_crash(f.w, 1);
    sim_run_ms(f.w, 1000);
    EXPECT(!finished);
    f.env = sim_boot(f.w, 1, 0);
    teardown(&f);
}

/* ------------------------------------------------------------------ gates */

struct room {
    struct fix *f;
    struct gate *gate;
    int inside;
    int visits;
    bool open;
    int passed;
};

struct visitor {
    struct job job;
    struct room *room;
};

static void
visit(struct job *job)
{
    struct room *r = container_of(job, struct visitor, job)->room;

    for (int i = 0; i < 20; i++) {
        gate_enter(r->gate);
        EXPECT_U64(r->inside++, 0);
        env_boot_ns(r->f->env); /* others may run now */
        env_sleep_ms(r->f->env, 1);
        r->visits++;
        EXPECT_U64(--r->inside, 0);
        gate_leave(r->gate);
    }
}

TEST(a_gate_lets_one_in_at_a_time)
{
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        struct fix f = setup(seed);
        struct room r = { .f = &f };
        struct visitor v[6];

        EXPECT_OK(gate_create(f.env, &r.gate));
        for (int i = 0; i < 6; i++) {
            v[i] = (struct visitor){ .job = { .run = visit }, .room = &r };
            env_submit(f.env, i < 4 ? ENV_LANE_READ : ENV_LANE_LOG, &v[i].job);
        }
        EXPECT(sim_settle(f.w, 10000));
        EXPECT_U64(r.visits, 120);
        gate_enter(r.gate); /* start-up code may, when nobody is inside */
        gate_leave(r.gate);
        gate_destroy(r.gate);
        sim_end(f.w, 1);
        teardown(&f);
    }
}

static void
wait_until_open(struct job *job)
{
    struct room *r = container_of(job, struct visitor, job)->room;

    gate_enter(r->gate);
    while (!r->open)
        gate_wait(r->gate);
    EXPECT_U64(r->inside++, 0); /* whoever comes back is inside */
    env_boot_ns(r->f->env);
    r->inside--;
    r->passed++;
    gate_leave(r->gate);
}

static void
open_room(void *ctx)
{
    struct room *r = ctx;

    r->open = true;
    gate_wake(r->gate); /* reactors may */
}

TEST(a_wake_reaches_all_who_wait)
{
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        struct fix f = setup_loops(seed, 1);
        struct room r = { .f = &f };
        struct visitor v[4];

        EXPECT_OK(gate_create(f.env, &r.gate));
        for (int i = 0; i < 4; i++) {
            v[i] = (struct visitor){ .job = { .run = wait_until_open }, .room = &r };
            env_submit(f.env, ENV_LANE_READ, &v[i].job);
        }
        sim_run_ms(f.w, 100); /* some have woken early by now, and gone on waiting */
        EXPECT_U64(r.passed, 0);
        sim_on_loop(f.w, 1, 0, open_room, &r);
        EXPECT(sim_settle(f.w, 100));
        EXPECT_U64(r.passed, 4);
        gate_destroy(r.gate);
        sim_end(f.w, 1);
        teardown(&f);
    }
}

TEST(a_crash_takes_gates_and_those_who_wait)
{
    struct fix f = setup(6);
    struct room r = { .f = &f };
    struct visitor v[4];

    for (int life = 0; life < 10; life++) {
        EXPECT_OK(gate_create(f.env, &r.gate));
        for (int i = 0; i < 4; i++) {
            v[i] =
                (struct visitor){ .job = { .run = i < 2 ? wait_until_open : visit }, .room = &r };
            env_submit(f.env, ENV_LANE_READ, &v[i].job);
        }
        sim_run_ms(f.w, 10);
        crash_and_boot(&f);
        r.inside = 0;
    }
    teardown(&f);
}

/* ------------------------------------------------------------------ bugs */

static void
wait_for_ever(void *ctx)
{
    struct room *r = ctx;

    gate_enter(r->gate);
    gate_wait(r->gate);
    gate_wait(r->gate);
    gate_wait(r->gate);
}

static void
call_and_wait_for_ever(struct fix *f)
{
    struct room r = { .f = f };

    EXPECT_OK(gate_create(f->env, &r.gate));
    if (sim_call(f->w, 1, wait_for_ever, &r))
        exit(0);
}

static void
leave_without_entering(struct fix *f)
{
    struct gate *gate;

    EXPECT_OK(gate_create(f->env, &gate));
    gate_leave(gate);
}

static void
write_in_reactor(void *ctx)
{
    struct fix *f = ctx;

    write_at(create_file(f, "a"), 0, "x");
}

static void
write_on_loop(struct fix *f)
{
    sim_on_loop(f->w, 1, 0, write_in_reactor, f);
}

TEST(bugs_of_node_code_end_the_test)
{
    struct fix f = setup_loops(7, 1);

    EXPECT(asserts(call_and_wait_for_ever, &f));
    EXPECT(asserts(leave_without_entering, &f));
    EXPECT(asserts(write_on_loop, &f)); /* a reactor never blocks */
    teardown(&f);
}

TEST_MAIN(RUN(a_lane_with_one_worker_runs_jobs_in_order), RUN(the_lane_for_reads_has_four_workers),
          RUN(lanes_do_not_wait_for_one_another), RUN(done_runs_on_the_loop_after_the_job),
          RUN(a_crash_in_the_middle_of_a_job_leaves_nothing_of_it),
          RUN(a_job_can_die_of_its_own_call), RUN(a_node_may_be_crashed_by_code_that_runs_on_one),
          RUN(a_call_can_go_on_beside_the_world), RUN(a_gate_lets_one_in_at_a_time),
          RUN(a_wake_reaches_all_who_wait), RUN(a_crash_takes_gates_and_those_who_wait),
          RUN(bugs_of_node_code_end_the_test))
