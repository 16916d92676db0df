/* Loops, tasks and timers in virtual time. */
#include "base/list.h"

#include "unit/simenv/fixture.h"

enum { SEEDS = 60 };

struct note {
    char text[256];
};

static void
say(struct note *n, const char *word)
{
    size_t used = strlen(n->text);

    snprintf(n->text + used, sizeof(n->text) - used, "%s", word);
}

/* ------------------------------------------------------------------ tasks */

struct speaker {
    struct task task;
    struct note *note;
    const char *word;
    struct loop *again; /* post itself once more */
};

static void
speak(struct task *task)
{
    struct speaker *s = container_of(task, struct speaker, task);
    struct loop *again = s->again;

    say(s->note, s->word);
    s->again = NULL;
    if (again != NULL)
        loop_post(again, task);
}

static struct speaker
speaker(struct note *note, const char *word)
{
    return (struct speaker){ .task = { .run = speak }, .note = note, .word = word };
}

static void
after_round(void *ctx)
{
    say(ctx, "|");
}

TEST(tasks_run_in_the_order_of_posting_and_after_comes_after_them)
{
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        struct fix f = setup_loops(seed, 1);
        struct loop *loop = sim_loop(f.w, 1, 0);
        struct note note = { "" };
        struct speaker s[] = { speaker(&note, "a"), speaker(&note, "b"), speaker(&note, "c") };

        loop_set_after(loop, after_round, &note);
        s[1].again = loop;
        for (int i = 0; i < 3; i++)
            loop_post(loop, &s[i].task);
        EXPECT_STR(note.text, "");
        EXPECT(sim_settle(f.w, 100));
        EXPECT_STR(note.text, "abc|b|"); /* what a task posts is for the next round */
        sim_end(f.w, 1);
        teardown(&f);
    }
}

static void
post_from_inside(void *ctx)
{
    struct speaker *s = ctx;

    say(s->note, "(");
    loop_post(s->again, &s->task);
    s->again = NULL;
    say(s->note, ")");
}

TEST(a_visit_is_a_round_of_its_own)
{
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        struct fix f = setup_loops(seed, 2);
        struct loop *loop = sim_loop(f.w, 1, 1);
        struct note note = { "" };
        struct speaker s = speaker(&note, "a");
        uint64_t now = sim_now_ns(f.w);

        loop_set_after(loop, after_round, &note);
        s.again = loop;
        sim_on_loop(f.w, 1, 1, post_from_inside, &s);
        EXPECT_STR(note.text, "()|");
        EXPECT(sim_now_ns(f.w) - now < 1000000);
        EXPECT(sim_settle(f.w, 100));
        EXPECT_STR(note.text, "()|a|");
        teardown(&f);
    }
}

TEST(loops_know_who_they_are)
{
    struct fix f = setup_loops(1, 3);

    for (uint32_t i = 0; i < 3; i++) {
        EXPECT_U64(loop_index(sim_loop(f.w, 1, i)), i);
        EXPECT(loop_env(sim_loop(f.w, 1, i)) == f.env);
    }
    teardown(&f);
}

/* ------------------------------------------------------------------ clocks */

struct clocks {
    struct fix *f;
    struct loop *loop;
    bool same;
};

static void
look_twice(void *ctx)
{
    struct clocks *c = ctx;
    uint64_t ns = loop_now_ns(c->loop);
    uint64_t ms = loop_wall_ms(c->loop);
    uint64_t boot = 0;

    for (int i = 0; i < 100; i++) {
        uint64_t now = env_boot_ns(c->f->env);

        EXPECT(now >= boot && now >= ns);
        boot = now;
    }
    c->same = loop_now_ns(c->loop) == ns && loop_wall_ms(c->loop) == ms;
    EXPECT(boot > ns); /* reading a clock takes time */
}

TEST(a_round_has_one_time)
{
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        struct fix f = setup_loops(seed, 1);
        struct clocks c = { .f = &f, .loop = sim_loop(f.w, 1, 0) };
        uint64_t before = loop_now_ns(c.loop);

        sim_on_loop(f.w, 1, 0, look_twice, &c);
        EXPECT(c.same);
        sim_run_ms(f.w, 50);
        EXPECT(loop_now_ns(c.loop) >= before + 50000000); /* outside of rounds it is now */
        teardown(&f);
    }
}

/* ------------------------------------------------------------------ timers */

struct bell {
    struct timer *timer;
    struct loop *loop;
    int rings;
    uint64_t rang_ms;
    uint32_t again_ms;
    bool destroy;
};

static void
ring(void *ctx)
{
    struct bell *b = ctx;

    b->rings++;
    b->rang_ms = loop_wall_ms(b->loop);
    if (b->again_ms > 0)
        timer_start(b->timer, b->again_ms);
    if (b->destroy) {
        timer_destroy(b->timer);
        b->timer = NULL;
    }
}

static void
hang(struct fix *f, struct bell *b)
{
    b->loop = sim_loop(f->w, 1, 0);
    EXPECT_OK(timer_create_on(b->loop, ring, b, &b->timer));
}

TEST(a_timer_rings_once_and_never_early)
{
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        struct fix f = setup_loops(seed, 1);
        struct bell b = { 0 };
        uint64_t start;

        hang(&f, &b);
        sim_run_ms(f.w, 50);
        EXPECT_U64(b.rings, 0); /* not started */
        start = env_wall_ms(f.env);
        timer_start(b.timer, 100);
        sim_run_ms(f.w, 99);
        EXPECT_U64(b.rings, 0);
        sim_run_ms(f.w, 1000);
        EXPECT_U64(b.rings, 1);
        EXPECT(b.rang_ms >= start + 100 && b.rang_ms <= start + 102);
        timer_destroy(b.timer);
        sim_end(f.w, 1);
        teardown(&f);
    }
}

TEST(a_timer_can_be_moved_stopped_and_started_from_its_own_ring)
{
    struct fix f = setup_loops(2, 1);
    struct bell b = { 0 };

    hang(&f, &b);
    timer_start(b.timer, 100);
    sim_run_ms(f.w, 50);
    timer_start(b.timer, 100); /* moves it */
    sim_run_ms(f.w, 60);
    EXPECT_U64(b.rings, 0);
    sim_run_ms(f.w, 60);
    EXPECT_U64(b.rings, 1);
    timer_start(b.timer, 10);
    timer_stop(b.timer);
    timer_stop(b.timer);
    sim_run_ms(f.w, 50);
    EXPECT_U64(b.rings, 1);
    b.again_ms = 10;
    timer_start(b.timer, 0);
    sim_run_ms(f.w, 105);
    EXPECT(b.rings >= 9 && b.rings <= 12);
    b.again_ms = 0;
    b.destroy = true;
    sim_run_ms(f.w, 100);
    EXPECT(b.timer == NULL);
    sim_end(f.w, 1);
    teardown(&f);
}

struct pair {
    struct bell a, b;
    int rings;
};

static void
stop_the_other(void *ctx)
{
    struct pair *p = ctx;

    p->rings++;
    timer_stop(p->a.timer);
    timer_stop(p->b.timer);
}

TEST(a_timer_that_was_stopped_in_its_last_moment_does_not_ring)
{
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        struct fix f = setup_loops(seed, 1);
        struct loop *loop = sim_loop(f.w, 1, 0);
        struct pair p = { .rings = 0 };

        EXPECT_OK(timer_create_on(loop, stop_the_other, &p, &p.a.timer));
        EXPECT_OK(timer_create_on(loop, stop_the_other, &p, &p.b.timer));
        timer_start(p.a.timer, 10);
        timer_start(p.b.timer, 10);
        sim_run_ms(f.w, 100);
        EXPECT_U64(p.rings, 1);
        timer_destroy(p.a.timer);
        timer_destroy(p.b.timer);
        teardown(&f);
    }
}

TEST(a_crash_takes_timers_and_tasks)
{
    struct fix f = setup_loops(3, 1);
    struct note note = { "" };
    struct speaker s = speaker(&note, "a");
    struct bell b = { 0 };

    hang(&f, &b);
    timer_start(b.timer, 10);
    loop_post(b.loop, &s.task);
    crash_and_boot(&f);
    sim_run_ms(f.w, 100);
    EXPECT_STR(note.text, "");
    EXPECT_U64(b.rings, 0);
    sim_end(f.w, 1);
    teardown(&f);
}

static void
die_in_a_round(void *ctx)
{
    struct fix *f = ctx;

    sim_crash(f->w, 1);
    abort();
}

TEST(a_node_can_die_in_a_round)
{
    struct fix f = setup_loops(4, 1);

    sim_on_loop(f.w, 1, 0, die_in_a_round, &f);
    EXPECT(!sim_running(f.w, 1));
    f.env = sim_boot(f.w, 1, 1);
    sim_run_ms(f.w, 10);
    sim_end(f.w, 1);
    teardown(&f);
}

/* ------------------------------------------------------------------ running */

TEST(a_world_is_settled_when_only_later_timers_are_left)
{
    struct fix f = setup_loops(5, 1);
    struct bell b = { 0 };
    uint64_t now;

    hang(&f, &b);
    EXPECT(sim_settle(f.w, 0));
    timer_start(b.timer, 1000);
    now = sim_now_ns(f.w);
    EXPECT(sim_settle(f.w, 500));
    EXPECT_U64(sim_now_ns(f.w), now); /* nothing was due, no time passed */
    EXPECT_U64(b.rings, 0);
    EXPECT(sim_settle(f.w, 2000));
    EXPECT_U64(b.rings, 1);
    b.again_ms = 10; /* never done */
    timer_start(b.timer, 10);
    now = sim_now_ns(f.w);
    EXPECT(!sim_settle(f.w, 500));
    EXPECT(sim_now_ns(f.w) >= now + 500000000);
    teardown(&f);
}

static void
raise_flag(void *ctx)
{
    *(bool *)ctx = true;
}

TEST(running_until_a_flag_stops_at_the_flag)
{
    struct fix f = setup_loops(6, 1);
    struct timer *timer;
    bool flag = false;
    uint64_t now = sim_now_ns(f.w);

    EXPECT_OK(timer_create_on(sim_loop(f.w, 1, 0), raise_flag, &flag, &timer));
    timer_start(timer, 100);
    EXPECT(!sim_run_until(f.w, &flag, 50));
    EXPECT(sim_now_ns(f.w) >= now + 50000000);
    EXPECT(sim_run_until(f.w, &flag, 100000));
    EXPECT(sim_now_ns(f.w) < now + 102000000);
    EXPECT(sim_run_until(f.w, &flag, 0)); /* it is up already */
    teardown(&f);
}

/* Reactors can be overtaken in their calls, by jobs and by other reactors; but never a test. */
struct ping {
    struct task task;
    struct loop *to;
    int *inside;
    int *overtaken;
    int left;
};

static void
ping(struct task *task)
{
    struct ping *p = container_of(task, struct ping, task);
    int before;

    if (p->left-- == 0)
        return;
    before = ++*p->inside;
    loop_wall_ms(p->to);
    loop_post(p->to, task);
    *p->overtaken += *p->inside != before;
    --*p->inside;
}

TEST(rounds_of_different_loops_overlap_but_none_is_left_half_way)
{
    int overtaken = 0;

    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        struct fix f = setup_loops(seed, 4);
        struct ping p[4];
        int inside = 0;

        for (uint32_t i = 0; i < 4; i++) {
            p[i] = (struct ping){ .task = { .run = ping },
                                  .to = sim_loop(f.w, 1, i),
                                  .inside = &inside,
                                  .overtaken = &overtaken,
                                  .left = 300 };
            loop_post(p[i].to, &p[i].task);
        }
        for (int i = 0; i < 20; i++) {
            sim_run_ms(f.w, i % 2 == 0 ? 0 : 1);
            EXPECT_U64(inside, 0); /* S5 */
        }
        EXPECT(sim_settle(f.w, 10000));
        sim_end(f.w, 1);
        teardown(&f);
    }
    EXPECT(overtaken > SEEDS);
}

TEST_MAIN(RUN(tasks_run_in_the_order_of_posting_and_after_comes_after_them),
          RUN(a_visit_is_a_round_of_its_own), RUN(loops_know_who_they_are),
          RUN(a_round_has_one_time), RUN(a_timer_rings_once_and_never_early),
          RUN(a_timer_can_be_moved_stopped_and_started_from_its_own_ring),
          RUN(a_timer_that_was_stopped_in_its_last_moment_does_not_ring),
          RUN(a_crash_takes_timers_and_tasks), RUN(a_node_can_die_in_a_round),
          RUN(a_world_is_settled_when_only_later_timers_are_left),
          RUN(running_until_a_flag_stops_at_the_flag),
          RUN(rounds_of_different_loops_overlap_but_none_is_left_half_way))
