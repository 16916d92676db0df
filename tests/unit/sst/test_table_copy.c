/* Tests of a table that is copied, byte for byte, to where it has another number. */
#include "base/hash.h"

#include "unit/sst/fixture.h"

static const struct table_iter_options cached = { TABLE_BLOCK, true };

static void
copy(struct fix *f, const char *from, const char *to)
{
    struct buf bytes = buf_empty(CACHE_BYTES);

    EXPECT(sim_disk_read(f->sim, NODE, from, &bytes));
    EXPECT(sim_disk_write(f->sim, NODE, to, buf_slice(&bytes)));
    buf_release(&bytes);
}

TEST(table_is_read_under_another_number)
{
    struct fix f = setup();
    struct table_options options = default_options();
    struct table *original, *copied;
    struct table_info info, there;
    struct model m;
    struct prng p;

    prng_init(&p, 81);
    m = random_model(&p, 300, 1000, 20, 100);
    info = build(&f, "9.sst", 9, &options, &m);
    copy(&f, "9.sst", "4.sst");
    there = info;
    there.number = 4;
    original = open_table(&f, "9.sst", &info);
    copied = open_table(&f, "4.sst", &there);
    EXPECT(!read_back(&f, original, &m, &cached, ST_OK));
    EXPECT(!read_back(&f, copied, &m, &cached, ST_OK));
    EXPECT_OK(verify_table(&f, "4.sst", &there));
    table_close(original);
    table_close(copied);
    cache_drop_table(f.cache, 9);
    cache_drop_table(f.cache, 4);
    table_info_release(&info);
    model_release(&m);
    teardown(&f);
}

/* Two data directories give out the same numbers, and their tables may have the same sizes. */
TEST(table_of_the_same_number_and_another_seed_is_refused)
{
    struct fix f = setup();
    struct table_options options = default_options();
    struct table_info here, foreign;
    struct table *t;
    struct model m;
    struct prng p;

    prng_init(&p, 82);
    m = random_model(&p, 50, 1000, 20, 100);
    here = build(&f, "here.sst", 9, &options, &m);
    foreign = build(&f, "foreign.sst", 10, &options, &m);
    foreign.number = here.number;
    EXPECT_U64(here.file_bytes, foreign.file_bytes);
    EXPECT(here.checksum != foreign.checksum);
    EXPECT_ST(try_open(&f, "foreign.sst", &here, &t), ST_CORRUPT);
    EXPECT_ST(verify_table(&f, "foreign.sst", &here), ST_CORRUPT);
    EXPECT_OK(verify_table(&f, "foreign.sst", &foreign));
    table_info_release(&here);
    table_info_release(&foreign);
    model_release(&m);
    teardown(&f);
}

TEST_MAIN(RUN(table_is_read_under_another_number),
          RUN(table_of_the_same_number_and_another_seed_is_refused))
