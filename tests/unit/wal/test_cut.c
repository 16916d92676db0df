/* Cuts: in their place among the entries, once, and as durable as those. */
#include "unit/wal/fixture.h"

TEST(a_cut_comes_back_in_its_place_with_all_its_fields)
{
    struct fix *f = setup(1);

    append(f, "alpha");
    append(f, "beta");
    append_cut(f, 1, 1);
    append(f, "gamma");
    append_cut(f, UINT64_MAX, UINT64_MAX);
    append_cut(f, 1, 0);
    reopen(f);
    EXPECT_STR(contents(f), "alpha,beta,<1:1>,gamma,<18446744073709551615:18446744073709551615>,"
                            "<1:0>");
    EXPECT_U64(f->report.record_count, 6);
    teardown(f);
}

/* It says something of what stands before it: repeated later, it would speak of what came since. */
TEST(a_cut_is_not_repeated_where_a_segment_begins)
{
    struct fix *f = setup(2);

    tend(f);
    append_head(f, 7, "vote");
    append_cut(f, 7, 3);
    append_big(f, 60000, 'a');
    append_big(f, 60000, 'b');
    reopen(f);
    EXPECT_STR(contents(f), "[7:vote],<7:3>,#60000,[7:vote],#60000");
    teardown(f);
}

TEST(a_cut_that_no_watermark_proves_is_rewritten_in_its_place)
{
    struct fix *f = setup(3);

    append(f, "alpha");
    flush(f, true);
    append(f, "beta");
    append_cut(f, 1, 1);
    append(f, "gamma");
    flush(f, true);
    kill9(f);
    boot(f);
    open_stream(f);
    EXPECT_U64(f->report.rewritten_count, 3);
    EXPECT_STR(contents(f), "alpha,beta,<1:1>,gamma");
    crash(f); /* what the replay gave is durable (W9) */
    boot(f);
    open_stream(f);
    EXPECT_STR(contents(f), "alpha,beta,<1:1>,gamma");
    teardown(f);
}

/* Until it is durable, nothing may rely on it: the entries that it cuts may come back. */
TEST(a_power_cut_takes_only_a_cut_that_was_not_synced)
{
    unsigned lost = 0, kept = 0;

    for (uint64_t seed = 0; seed < 60; seed++) {
        struct fix *f = setup(seed);
        bool synced = seed % 2 == 0;

        append(f, "alpha");
        flush(f, true);
        append_cut(f, 1, 0);
        flush(f, synced);
        crash(f);
        boot(f);
        open_stream(f);
        if (synced || strcmp(contents(f), "alpha") != 0)
            EXPECT_STR(contents(f), "alpha,<1:0>");
        lost += strcmp(contents(f), "alpha") == 0;
        kept += !synced && strcmp(contents(f), "alpha") != 0;
        teardown(f);
    }
    EXPECT(lost > 5 && kept > 5); /* both happen */
}

/* ------------------------------------------------------------------ damage */

static const char *const small_log = "alpha,beta,<1:1>,gamma";

static struct fix *
setup_small(void)
{
    struct fix *f = setup(4);

    append(f, "alpha");
    append(f, "beta");
    flush(f, true);
    append_cut(f, 1, 1);
    flush(f, true);
    append(f, "gamma");
    return f;
}

/* Every byte of the records of a closed log: all of them were durable. */
TEST(no_damaged_byte_around_a_cut_passes_unnoticed)
{
    struct fix *f = setup_small();
    uint64_t limit = f->wal->at;
    char name[SEGMENT_NAME_BYTES];

    snprintf(name, sizeof(name), "%s", current_name(f));
    close_stream(f);
    for (uint64_t offset = SEGMENT_HEADER_BYTES; offset < limit; offset++) {
        struct wal_damage damage;

        for (unsigned bit = 0; bit < 8; bit++) {
            flip(f, name, offset, bit);
            f->contents[0] = '\0';
            EXPECT_ST(wal_verify(f->env, &f->options, NULL, &f->report, &damage, &f->err),
                      ST_CORRUPT);
            EXPECT_STR(damage.file, name);
            EXPECT(damage.offset <= offset);
            EXPECT(strncmp(contents(f), small_log, strlen(contents(f))) == 0);
            flip(f, name, offset, bit);
        }
    }
    f->contents[0] = '\0';
    open_stream(f);
    EXPECT_STR(contents(f), small_log);
    teardown(f);
}

TEST(a_cut_log_keeps_a_cut_before_the_damage_and_shows_one_beyond)
{
    for (int before = 0; before < 2; before++) {
        struct fix *f = setup_small();
        struct wal_options options = f->options;
        struct wal_damage damage;
        uint64_t offset = SEGMENT_HEADER_BYTES + 4; /* in "alpha" */
        char name[SEGMENT_NAME_BYTES];

        snprintf(name, sizeof(name), "%s", current_name(f));
        if (before)
            offset = f->wal->at - 4; /* in "gamma" */
        close_stream(f);
        flip(f, name, offset, 0);
        f->contents[0] = '\0';
        EXPECT_ST(wal_verify(f->env, &options, options.replay, &f->report, &damage, &f->err),
                  ST_CORRUPT);
        EXPECT_STR(contents(f), before ? "alpha,beta,<1:1>" : "beta,<1:1>,gamma");
        EXPECT_OK(wal_cut(f->env, &options, &damage, &f->err));
        open_stream(f);
        EXPECT_STR(contents(f), before ? "alpha,beta,<1:1>" : "");
        teardown(f);
    }
}

/* To a program that is older than cuts, a cut is what this record is to us. */
TEST(a_record_of_a_type_that_is_not_known_is_refused_without_being_called_damaged)
{
    struct fix *f = setup_small();
    struct raw_record r = { .type = RECORD_TYPE_MAX + 1, .tablet = 1, .index = 1 };
    uint64_t seed = f->wal->current->seed, at;
    struct buf bytes = buf_empty(SIZE_MAX / 2);
    struct wal_damage damage = { .offset = 0 };
    char name[SEGMENT_NAME_BYTES];

    snprintf(name, sizeof(name), "%s", current_name(f));
    append(f, "delta");
    at = f->wal->at;
    append_cut(f, 1, 1);
    close_stream(f);
    read_file(f, name, &bytes);
    r.watermark = at;
    wal__record_put(bytes.data + at, seed, at, &r);
    EXPECT(sim_disk_write(f->sim, NODE, path_of(name), buf_slice(&bytes)));
    buf_release(&bytes);
    EXPECT_ST(try_open(f), ST_INVALID);
    EXPECT(strstr(f->err.text, "newer") != NULL);
    EXPECT_ST(wal_verify(f->env, &f->options, NULL, &f->report, &damage, &f->err), ST_INVALID);
    teardown(f);
}

/* ------------------------------------------------------------------ bugs */

TEST(a_cut_with_a_body_is_a_bug)
{
    struct fix *f = setup(5);
    struct wal_record r = { .type = WAL_CUT, .tablet = 1, .index = 1, .body = slice_str("x") };

    EXPECT_ABORT(EXPECT_OK(wal_append(f->wal, &r, &f->end, &f->err)));
    teardown(f);
}

TEST_MAIN(RUN(a_cut_comes_back_in_its_place_with_all_its_fields),
          RUN(a_cut_is_not_repeated_where_a_segment_begins),
          RUN(a_cut_that_no_watermark_proves_is_rewritten_in_its_place),
          RUN(a_power_cut_takes_only_a_cut_that_was_not_synced),
          RUN(no_damaged_byte_around_a_cut_passes_unnoticed),
          RUN(a_cut_log_keeps_a_cut_before_the_damage_and_shows_one_beyond),
          RUN(a_record_of_a_type_that_is_not_known_is_refused_without_being_called_damaged),
          RUN(a_cut_with_a_body_is_a_bug))
