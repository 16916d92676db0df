/* Spares that only a start may take (W11): on a full disk a stream opens again and again, and there
 * is no more of it on the disk than before. */
#include "fixture.h"

static void
add_size(void *ctx, const char *path, uint64_t size)
{
    (void)path;
    *(uint64_t *)ctx += (size + 4095) / 4096 * 4096;
}

/* Only CHAIN can be written anew: others see to that (src/engine/start.c). */
static void
fill_disk(struct fix *f)
{
    uint64_t used = 0;

    sim_disk_each(f->sim, NODE, add_size, &used);
    sim_set_capacity(f->sim, NODE, used + 4096);
}

static struct fix *
setup_serving(uint64_t seed, uint32_t kept)
{
    struct fix *f = setup(seed);

    close_stream(f);
    f->options.spare_count = 1 + kept;
    f->options.kept_count = kept;
    open_stream(f);
    tend(f);
    wal_serve(f->wal);
    return f;
}

static void
start_again(struct fix *f)
{
    kill9(f);
    boot(f);
    open_stream(f);
}

static uint32_t
file_count(struct fix *f)
{
    uint32_t count = 1;

    for (const char *at = names(f); (at = strchr(at, ',')) != NULL; at++)
        count++;
    return count;
}

TEST(the_kept_spares_are_not_for_those_who_append)
{
    struct fix *f = setup_serving(1, 1);

    append_big(f, 60000, 'a');
    append_big(f, 60000, 'b');
    flush(f, true);
    EXPECT_ST(try_append_big(f, 60000, 'c'), ST_BUSY);
    append(f, "what still fits");
    fill_disk(f);
    EXPECT_ST(wal_tend(f->wal, &f->err), ST_NO_SPACE);
    EXPECT_ST(try_append_big(f, 60000, 'c'), ST_NO_SPACE);
    append(f, "this, too");
    flush(f, true);
    start_again(f);
    EXPECT_STR(contents(f), "#60000,#60000,what still fits,this, too");
    teardown(f);
}

TEST(a_start_may_take_them_and_then_nothing_is_appended_until_they_are_there_again)
{
    struct fix *f = setup_serving(2, 1);

    append_big(f, 60000, 'a');
    append_big(f, 60000, 'b');
    flush(f, true);
    append(f, "proves them");
    flush(f, true);
    fill_disk(f);
    start_again(f);
    EXPECT_U64(f->wal->ready_count, 0);
    append(f, "of the start");
    wal_serve(f->wal);
    EXPECT_ST(wal_tend(f->wal, &f->err), ST_NO_SPACE);
    EXPECT_ST(try_append(f, "of a client"), ST_NO_SPACE);
    sim_set_capacity(f->sim, NODE, 64 << 20);
    tend(f);
    append(f, "of a client");
    flush(f, true);
    reopen(f);
    EXPECT_STR(contents(f), "#60000,#60000,proves them,of the start,of a client");
    teardown(f);
}

TEST(starts_on_a_full_disk_give_back_the_segment_that_they_take)
{
    enum { STARTS = 30 };
    struct fix *f = setup_serving(3, 2);
    uint32_t before;

    append_head(f, 7, "vote");
    append_big(f, 60000, 'a');
    append(f, "alpha");
    flush(f, true);
    before = file_count(f) - 1; /* without the spare that is for whoever appends */
    sim_set_capacity(f->sim, NODE, 0);
    (void)try_append_big(f, 60000, 'b'); /* which may take it */
    flush(f, true);
    for (int i = 0; i < STARTS; i++) {
        enum status st;

        fill_disk(f);
        start_again(f);
        st = wal_tend(f->wal, &f->err);
        EXPECT(st == ST_OK || st == ST_NO_SPACE);
        append_head(f, 7, "again"); /* of the start, which is not over */
        append(f, "n");
        flush(f, i % 2 == 0);
        EXPECT(file_count(f) <= before + 1);
    }
    reopen(f);
    EXPECT(strstr(contents(f), "alpha") != NULL);
    EXPECT(f->next_index > STARTS);
    teardown(f);
}

/* The hard states are those of the moment that the records come from. */
TEST(a_segment_that_is_copied_whole_keeps_its_order)
{
    struct fix *f = setup_serving(4, 2);

    append_head(f, 7, "first");
    append(f, "alpha");
    append_head(f, 7, "second");
    append_head(f, 8, "other");
    append(f, "beta");
    flush(f, true);
    append(f, "gamma");
    flush(f, true);
    EXPECT_OK(wal_close(f->wal, &f->err));
    f->wal = NULL;
    f->options.spare_count = 4;
    f->options.kept_count = 3; /* more than there are: all is copied */
    open_stream(f);
    append(f, "delta");
    flush(f, false);
    start_again(f);
    EXPECT_STR(contents(f), "[7:first],alpha,[7:second],[8:other],beta,gamma,delta");
    start_again(f);
    EXPECT_STR(contents(f), "[7:first],alpha,[7:second],[8:other],beta,gamma,delta");
    EXPECT_U64(f->report.segment_count, 1);
    teardown(f);
}

TEST_MAIN(RUN(the_kept_spares_are_not_for_those_who_append),
          RUN(a_start_may_take_them_and_then_nothing_is_appended_until_they_are_there_again),
          RUN(starts_on_a_full_disk_give_back_the_segment_that_they_take),
          RUN(a_segment_that_is_copied_whole_keeps_its_order))
