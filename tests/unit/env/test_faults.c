/* Tests of what the real environment makes of failures that the system seldom has. */
#include "faults.h"

/* ------------------------------------------------------------------ files */

struct one_file {
    struct folder d;
    struct file *f;
};

static void
one_file_create(struct one_file *o)
{
    struct slice part = slice_str("0123456789");

    forget_faults();
    folder_create(&o->d);
    EXPECT_OK(env_open(o->d.env, in(&o->d, "a"), ENV_OPEN_WRITE | ENV_OPEN_CREATE, &o->f, NULL));
    EXPECT_OK(file_write(o->f, 0, &part, 1, NULL));
}

static void
one_file_destroy(struct one_file *o)
{
    forget_faults();
    file_close(o->f);
    folder_destroy(&o->d);
}

TEST(reads_go_on_after_interruptions_and_short_answers)
{
    struct one_file o;
    char out[11] = "";
    size_t got = 0;

    one_file_create(&o);
    set_fault(&faults.pread, 5, EINTR, 0);
    EXPECT_OK(file_read(o.f, 0, out, 10, &got, NULL));
    EXPECT_U64(got, 10);
    EXPECT_STR(out, "0123456789");
    EXPECT_U64(faults.pread.calls, 6);

    memset(out, 0, sizeof(out));
    set_fault(&faults.pread, 4, 0, 2);
    EXPECT_OK(file_read(o.f, 0, out, 10, &got, NULL));
    EXPECT_U64(got, 10);
    EXPECT_STR(out, "0123456789");
    EXPECT_U64(faults.pread.calls, 5); /* 2 + 2 + 2 + 2 + the rest */
    one_file_destroy(&o);
}

TEST(a_failed_read_says_where_and_leaves_the_outputs_alone)
{
    struct one_file o;
    char out[10];
    size_t got = 77;
    struct err err;

    one_file_create(&o);
    set_fault(&faults.pread, 1, EIO, 0);
    EXPECT_ST(file_read(o.f, 3, out, 10, &got, &err), ST_IO);
    EXPECT_U64(got, 77);
    EXPECT_U64(err.sys, EIO);
    EXPECT(strstr(err.text, "/a at 3") != NULL);
    set_fault(&faults.preadv2, 1, EIO, 0);
    EXPECT_ST(file_try_read(o.f, 3, out, 10, &got, &err), ST_IO);
    EXPECT_U64(got, 77);
    one_file_destroy(&o);
}

TEST(a_read_that_may_not_wait_leaves_to_a_job_what_is_not_cached_or_not_known)
{
    static const int reasons[] = { EAGAIN, EOPNOTSUPP, ENOSYS };
    struct one_file o;
    char out[11] = "";
    size_t got = 77;

    one_file_create(&o);
    for (size_t i = 0; i < sizeof(reasons) / sizeof(reasons[0]); i++) {
        set_fault(&faults.preadv2, 1, reasons[i], 0);
        EXPECT_ST(file_try_read(o.f, 0, out, 10, &got, NULL), ST_WOULD_BLOCK);
        EXPECT_U64(got, 77);
    }
    set_fault(&faults.preadv2, 1, EINTR, 0);
    EXPECT_OK(file_try_read(o.f, 0, out, 10, &got, NULL));
    EXPECT_U64(got, 10);
    set_fault(&faults.preadv2, 3, 0, 3); /* the cache held only a part, then the rest as well */
    EXPECT_OK(file_try_read(o.f, 0, out, 10, &got, NULL));
    EXPECT_U64(got, 10);
    EXPECT_STR(out, "0123456789");
    EXPECT_OK(file_try_read(o.f, 7, out, 10, &got, NULL));
    EXPECT_U64(got, 3);
    one_file_destroy(&o);
}

TEST(writes_go_on_after_interruptions_and_short_answers)
{
    struct slice parts[] = { slice_str("abc"), slice_str(""), slice_str("defgh"), slice_str("ij") };
    struct one_file o;
    char out[11] = "";
    size_t got = 0;

    one_file_create(&o);
    set_fault(&faults.pwritev, 3, EINTR, 0);
    EXPECT_OK(file_write(o.f, 0, parts, 4, NULL));
    EXPECT_U64(faults.pwritev.calls, 4);
    EXPECT_OK(file_read(o.f, 0, out, 10, &got, NULL));
    EXPECT_STR(out, "abcdefghij");

    EXPECT_OK(file_truncate(o.f, 0, NULL));
    set_fault(&faults.pwritev, 5, 0, 2); /* ab c de fg h, then the rest */
    EXPECT_OK(file_write(o.f, 0, parts, 4, NULL));
    EXPECT_U64(faults.pwritev.calls, 6);
    EXPECT_OK(file_read(o.f, 0, out, 10, &got, NULL));
    EXPECT_U64(got, 10);
    EXPECT_STR(out, "abcdefghij");
    one_file_destroy(&o);
}

TEST(a_write_that_fails_or_stands_still_ends)
{
    struct slice part = slice_str("x");
    struct one_file o;
    struct err err;

    one_file_create(&o);
    set_fault(&faults.pwritev, 1, ENOSPC, 0);
    EXPECT_ST(file_write(o.f, 0, &part, 1, &err), ST_NO_SPACE);
    set_fault(&faults.pwritev, 1, EDQUOT, 0);
    EXPECT_ST(file_write(o.f, 0, &part, 1, &err), ST_NO_SPACE);
    set_fault(&faults.pwritev, 1, EIO, 0);
    EXPECT_ST(file_write(o.f, 0, &part, 1, &err), ST_IO);
    set_fault(&faults.pwritev, 1000, 0, 0); /* "written: 0 bytes" */
    EXPECT_ST(file_write(o.f, 0, &part, 1, &err), ST_IO);
    EXPECT_U64(faults.pwritev.calls, 1);
    one_file_destroy(&o);
}

/* F2, P4. */
TEST(a_sync_is_never_tried_twice)
{
    static const int failures[] = { EIO, EINTR, ENOSPC };
    static const enum status statuses[] = { ST_IO, ST_IO, ST_NO_SPACE };
    struct one_file o;
    struct err err;

    one_file_create(&o);
    for (size_t i = 0; i < sizeof(failures) / sizeof(failures[0]); i++) {
        set_fault(&faults.fdatasync, 1, failures[i], 0);
        EXPECT_ST(file_sync(o.f, &err), statuses[i]);
        EXPECT_U64(err.sys, failures[i]);
        EXPECT_U64(faults.fdatasync.calls, 1);
    }
    EXPECT_OK(file_sync(o.f, &err));
    EXPECT_U64(faults.fdatasync.calls, 2);
    one_file_destroy(&o);
}

TEST(filling_works_where_space_cannot_be_asked_for_and_tells_a_full_disk)
{
    struct one_file o;
    uint64_t size = 0;
    struct err err;

    one_file_create(&o);
    set_fault(&faults.fallocate, 1, EOPNOTSUPP, 0);
    EXPECT_OK(file_fill(o.f, 100000, &err));
    EXPECT_OK(file_size(o.f, &size, NULL));
    EXPECT_U64(size, 100000);
    set_fault(&faults.fallocate, 3, EINTR, 0);
    set_fault(&faults.ftruncate, 3, EINTR, 0);
    EXPECT_OK(file_fill(o.f, 50000, &err));
    EXPECT_U64(faults.fallocate.calls, 4);
    EXPECT_U64(faults.ftruncate.calls, 4);
    EXPECT_OK(file_size(o.f, &size, NULL));
    EXPECT_U64(size, 50000);

    set_fault(&faults.fallocate, 1, ENOSPC, 0);
    EXPECT_ST(file_fill(o.f, 1 << 20, &err), ST_NO_SPACE);
    set_fault(&faults.fallocate, 1, EOPNOTSUPP, 0);
    set_fault(&faults.pwritev, 1, ENOSPC, 0);
    EXPECT_ST(file_fill(o.f, 1 << 20, &err), ST_NO_SPACE);
    set_fault(&faults.ftruncate, 1, EIO, 0);
    EXPECT_ST(file_fill(o.f, 10, &err), ST_IO);
    one_file_destroy(&o);
}

/* ------------------------------------------------------------------ threads */

static _Atomic uint32_t jobs_run;

static void
count_job(struct job *job)
{
    (void)job;
    atomic_fetch_add(&jobs_run, 1);
}

TEST(a_job_waits_until_the_system_has_a_thread_for_its_lane)
{
    struct job first = { .run = count_job };
    struct env *env;

    forget_faults();
    env = bare_env(0);
    atomic_store(&jobs_run, 0);
    set_fault(&faults.pthread_create, 3, EAGAIN, 0);
    env_submit(env, ENV_LANE_LOG, &first);
    WAIT_FOR(atomic_load(&jobs_run) == 1);
    EXPECT_U64(faults.pthread_create.calls, 4);
    real_env_destroy(env);
}

TEST(a_lane_with_one_thread_does_not_insist_on_a_second)
{
    enum { JOBS = 50 };
    struct job jobs[JOBS];
    struct env *env;

    forget_faults();
    env = bare_env(0);
    atomic_store(&jobs_run, 0);
    for (unsigned i = 0; i < JOBS; i++) {
        jobs[i] = (struct job){ .run = count_job };
        env_submit(env, ENV_LANE_READ, &jobs[i]);
        set_fault(&faults.pthread_create, 1000000, EAGAIN, 0);
    }
    real_env_destroy(env);
    EXPECT_U64(jobs_run, JOBS);
}

TEST(loops_that_cannot_all_start_do_not_run)
{
    struct env *env;
    struct err err;

    forget_faults();
    env = bare_env(3);
    set_fault(&faults.pthread_create, 1, EAGAIN, 0);
    EXPECT_ST(real_env_run(env, &err), ST_IO); /* loop 1 fails */
    EXPECT_U64(err.sys, EAGAIN);
    forget_faults();
    real_env_stop(env);
    EXPECT_OK(real_env_run(env, &err)); /* and later they can */
    real_env_destroy(env);
}

/* ------------------------------------------------------------------ sockets */

TEST(accepting_survives_every_error_and_goes_on)
{
    static const int errors[] = { EMFILE, ENFILE,       ENOMEM, ENOBUFS, ECONNABORTED,
                                  EINTR,  EHOSTUNREACH, EPERM,  EAGAIN,  EINVAL };
    struct echo e;

    forget_faults();
    echo_start(&e, 1);
    for (size_t i = 0; i < sizeof(errors) / sizeof(errors[0]); i++) {
        int fd;

        set_fault(&faults.accept4, 2, errors[i], 0);
        fd = client_connect(e.listener);
        client_expects_echo(fd, "still there?");
        EXPECT(atomic_load(&faults.accept4.calls) < 12); /* it did not spin */
        close(fd);
    }
    echo_end(&e);
}

/* Out of descriptors, and closed before the pause is over. */
TEST(a_listener_may_be_closed_while_it_pauses)
{
    struct echo e;
    int fd;

    forget_faults();
    echo_start(&e, 1);
    set_fault(&faults.accept4, 1000000, EMFILE, 0);
    fd = client_connect(e.listener);
    WAIT_FOR(atomic_load(&faults.accept4.calls) > 1);
    world_stop(&e.w);
    listener_close(e.listener);
    pause_ms(60); /* now it would be over */
    real_env_destroy(e.w.env);
    close(fd);
    EXPECT_U64(e.accepted, 0);
}

TEST(streams_go_on_after_interruptions_and_short_writes)
{
    struct echo e;
    int fd;

    forget_faults();
    echo_start(&e, 1);
    fd = client_connect(e.listener);
    set_fault(&faults.sendmsg, 3, EINTR, 0);
    client_expects_echo(fd, "interrupted");
    EXPECT_U64(faults.sendmsg.calls, 4);
    set_fault(&faults.sendmsg, 10, 0, 1); /* a byte at a time */
    client_expects_echo(fd, "letter by letter");
    EXPECT(atomic_load(&e.blocked) >= 10);
    set_fault(&faults.sendmsg, 3, EAGAIN, 0);
    client_expects_echo(fd, "no room yet");
    close(fd);
    echo_end(&e);
}

TEST(a_stream_that_fails_is_closed_whatever_the_reason)
{
    static const int errors[] = { ECONNRESET, EPIPE, ETIMEDOUT, EHOSTUNREACH, ENOMEM };
    struct echo e;

    forget_faults();
    echo_start(&e, 1);
    for (size_t i = 0; i < sizeof(errors) / sizeof(errors[0]); i++) {
        int fd = client_connect(e.listener);

        client_expects_echo(fd, "fine");
        set_fault(&faults.sendmsg, 1, errors[i], 0);
        client_send(fd, "x", 1);
        EXPECT(client_is_cut_off(fd));
        close(fd);
    }
    echo_end(&e);
}

/* A write that had moved some bytes says so first, and fails the next time. */
struct half_writer {
    struct stream *stream;
    enum status first, second;
    size_t written;
    _Atomic bool over;
};

static void
write_past_one_batch(void *ctx, struct loop *loop, struct stream *stream)
{
    enum { PARTS = 100 }; /* more than one call takes */
    struct half_writer *h = ctx;
    struct slice parts[PARTS];
    size_t ignored = 0;

    (void)loop;
    for (unsigned i = 0; i < PARTS; i++)
        parts[i] = slice_str("x");
    atomic_store(&faults.sendmsg.count, 0);
    h->first = stream_write(stream, parts, 1, &h->written);
    MUST(h->first == ST_OK && h->written == 1);
    set_fault(&faults.sendmsg, 1, 0, 1); /* the first call is short: no second one is made */
    h->first = stream_write(stream, parts, PARTS, &h->written);
    MUST(atomic_load(&faults.sendmsg.calls) == 1);
    set_fault(&faults.sendmsg, 1, ECONNRESET, 0);
    h->second = stream_write(stream, parts, PARTS, &ignored);
    stream_close(stream);
    atomic_store(&h->over, true);
}

TEST(bytes_that_were_taken_are_reported_before_the_failure)
{
    struct half_writer h = { 0 };
    struct echo e = { 0 };
    int fd;

    forget_faults();
    echo_start_with(&e, 1, write_past_one_batch, &h);
    fd = client_connect(e.listener);
    WAIT_FOR(atomic_load(&h.over));
    EXPECT_ST(h.first, ST_OK);
    EXPECT_U64(h.written, 1);
    EXPECT_ST(h.second, ST_CLOSED);
    close(fd);
    echo_end(&e);
}

/* Each uv_poll_start costs two system calls; an echo that always has room needs one in its life. */
TEST(watching_for_the_same_again_costs_nothing)
{
    struct echo e;
    int fd;

    forget_faults();
    echo_start(&e, 1);
    fd = client_connect(e.listener);
    client_expects_echo(fd, "once");
    set_fault(&faults.poll_start, 0, 0, 0);
    set_fault(&faults.poll_stop, 0, 0, 0);
    for (unsigned i = 0; i < 100; i++)
        client_expects_echo(fd, "again");
    EXPECT_U64(faults.poll_start.calls, 0);
    EXPECT_U64(faults.poll_stop.calls, 0);
    close(fd);
    echo_end(&e);
}

TEST_MAIN(RUN(reads_go_on_after_interruptions_and_short_answers),
          RUN(a_failed_read_says_where_and_leaves_the_outputs_alone),
          RUN(a_read_that_may_not_wait_leaves_to_a_job_what_is_not_cached_or_not_known),
          RUN(writes_go_on_after_interruptions_and_short_answers),
          RUN(a_write_that_fails_or_stands_still_ends), RUN(a_sync_is_never_tried_twice),
          RUN(filling_works_where_space_cannot_be_asked_for_and_tells_a_full_disk),
          RUN(a_job_waits_until_the_system_has_a_thread_for_its_lane),
          RUN(a_lane_with_one_thread_does_not_insist_on_a_second),
          RUN(loops_that_cannot_all_start_do_not_run),
          RUN(accepting_survives_every_error_and_goes_on),
          RUN(a_listener_may_be_closed_while_it_pauses),
          RUN(streams_go_on_after_interruptions_and_short_writes),
          RUN(a_stream_that_fails_is_closed_whatever_the_reason),
          RUN(bytes_that_were_taken_are_reported_before_the_failure),
          RUN(watching_for_the_same_again_costs_nothing))
