/* Tests of checkpoints: what is in one, how long its files live, and what a decoder believes. */
#include "base/coding.h"
#include "base/hash.h"

#include "lsm/lsm_internal.h"
#include "unit/lsm/shipment.h"

TEST(a_checkpoint_is_what_the_manifest_has)
{
    struct lsm_checkpoint *c;
    struct lsm_stats stats;
    uint64_t bytes = 0;
    uint32_t level;
    struct fix f;

    fix_init(&f, 1);
    fix_open(&f);
    fix_put(&f, 1, 100);
    fix_flush(&f);
    fix_put(&f, 2, 100);
    EXPECT_OK(lsm_compact_all(f.tree, NULL, &f.err));
    fix_put(&f, 3, 100);
    fix_flush(&f);
    fix_put(&f, 4, 100);
    EXPECT_OK(lsm_checkpoint_take(f.tree, &c));
    EXPECT_U64(lsm_checkpoint_mark(c).index, 3);
    EXPECT_U64(lsm_checkpoint_mark(c).version, f.model.units[2].mark.version);
    EXPECT_U64(lsm_checkpoint_table_count(c), 2);
    stats = fix_stats(&f);
    for (uint32_t i = 0; i < LIMIT_LEVELS; i++)
        bytes += stats.bytes[i];
    EXPECT_U64(lsm_checkpoint_file_bytes(c), bytes);
    EXPECT_U64(lsm_checkpoint_table(c, 0, &level)->version_min, f.model.units[1].mark.version);
    EXPECT_U64(level, 0);
    EXPECT_U64(lsm_checkpoint_table(c, 1, &level)->version_max, f.model.units[0].mark.version);
    EXPECT(level > 0);
    lsm_checkpoint_release(c);
    fix_close(&f);
}

TEST(a_checkpoint_waits_for_a_pending_clear)
{
    struct lsm_checkpoint *c;
    struct fix f;

    fix_init(&f, 1);
    fix_open(&f);
    fix_put(&f, 1, 100);
    fix_flush(&f);
    fix_clear(&f);
    EXPECT_ST(lsm_checkpoint_take(f.tree, &c), ST_BUSY);
    fix_flush(&f);
    EXPECT_OK(lsm_checkpoint_take(f.tree, &c));
    EXPECT_U64(lsm_checkpoint_table_count(c), 0);
    EXPECT_U64(lsm_checkpoint_mark(c).index, 2);
    lsm_checkpoint_release(c);
    fix_close(&f);
}

TEST(the_files_of_a_checkpoint_stay_until_it_is_released)
{
    static struct shipment s;
    struct lsm_checkpoint *c;
    struct fix f;

    fix_init(&f, 2);
    fix_open(&f);
    for (uint32_t key = 0; key < 6; key++) {
        fix_put(&f, key, 500);
        fix_flush(&f);
    }
    EXPECT_OK(lsm_checkpoint_take(f.tree, &c));
    EXPECT_OK(lsm_compact_all(f.tree, NULL, &f.err));
    EXPECT_OK(lsm_sweep(f.tree, &f.err));
    fix_clear(&f);
    fix_flush(&f);
    EXPECT_OK(lsm_sweep(f.tree, &f.err));
    EXPECT_U64(fix_count_files(&f, ".sst"), 6);
    shipment_read(&s, c, NULL, &f); /* compares checksums */
    EXPECT_U64(s.count, 6);
    lsm_checkpoint_release(c);
    EXPECT(lsm_sweep_due(f.tree));
    EXPECT_OK(lsm_sweep(f.tree, &f.err));
    EXPECT_U64(fix_count_files(&f, ".sst"), 0);
    shipment_release(&s);
    fix_close(&f);
}

TEST(only_pieces_that_are_there_are_read)
{
    uint8_t room[16];
    struct lsm_checkpoint *c;
    char path[LIMIT_PATH_BYTES];
    uint32_t level;
    uint32_t bytes;
    struct fix f;

    fix_init(&f, 3);
    fix_open(&f);
    fix_put(&f, 1, 100);
    fix_flush(&f);
    EXPECT_OK(lsm_checkpoint_take(f.tree, &c));
    bytes = (uint32_t)lsm_checkpoint_file_bytes(c);
    {
        const struct lsm_piece wrong[] = { { 1, 1, 0 },     { UINT32_MAX, 1, 0 },
                                           { 0, 0, 0 },     { 0, 2, bytes - 1 },
                                           { 0, 1, bytes }, { 0, 16, UINT64_MAX - 3 } };

        for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
            EXPECT_ST(lsm_checkpoint_read(c, &wrong[i], room, &f.err), ST_INVALID);
    }
    table_file_path("tree", lsm_checkpoint_table(c, 0, &level)->number, path);
    EXPECT(sim_disk_truncate(f.world, NODE, path, bytes - 1));
    EXPECT_ST(lsm_checkpoint_read(c, &(struct lsm_piece){ 0, 2, bytes - 2 }, room, &f.err),
              ST_CORRUPT);
    EXPECT(strstr(f.err.text, path) != NULL);
    EXPECT_OK(lsm_checkpoint_read(c, &(struct lsm_piece){ 0, 2, 0 }, room, &f.err));
    lsm_checkpoint_release(c);
    EXPECT(sim_disk_remove(f.world, NODE, path));
    EXPECT_OK(lsm_checkpoint_take(f.tree, &c));
    EXPECT_ST(lsm_checkpoint_read(c, &(struct lsm_piece){ 0, 2, 0 }, room, &f.err), ST_CORRUPT);
    EXPECT(strstr(f.err.text, path) != NULL);
    lsm_checkpoint_release(c);
    fix_close(&f);
}

/* It is read as it is, so whoever is told that it came damaged has to look. */
TEST(a_bit_that_flips_in_a_file_is_found_by_looking_at_it)
{
    char path[LIMIT_PATH_BYTES];
    uint8_t room[4096];
    struct lsm_checkpoint *c;
    uint32_t level;
    uint64_t size;
    struct fix f;

    fix_init(&f, 9);
    fix_open(&f);
    for (uint32_t key = 0; key < 2; key++) {
        fix_put(&f, key, 300);
        fix_flush(&f);
    }
    EXPECT_OK(lsm_checkpoint_take(f.tree, &c));
    size = lsm_checkpoint_table(c, 1, &level)->file_bytes;
    EXPECT(size <= sizeof(room));
    table_file_path("tree", lsm_checkpoint_table(c, 1, &level)->number, path);
    for (uint64_t at = 0; at < size; at++) {
        EXPECT(sim_disk_flip(f.world, NODE, path, at, at % 8));
        EXPECT_OK(
            lsm_checkpoint_read(c, &(struct lsm_piece){ 1, (uint32_t)size, 0 }, room, &f.err));
        EXPECT_ST(lsm_checkpoint_verify(c, 1, &f.err), ST_CORRUPT);
        EXPECT(strstr(f.err.text, path) != NULL);
        EXPECT_OK(lsm_checkpoint_verify(c, 0, &f.err));
        EXPECT(sim_disk_flip(f.world, NODE, path, at, at % 8));
    }
    EXPECT_OK(lsm_checkpoint_verify(c, 1, &f.err));
    EXPECT(sim_disk_remove(f.world, NODE, path));
    EXPECT_ST(lsm_checkpoint_verify(c, 1, &f.err), ST_CORRUPT);
    EXPECT(strstr(f.err.text, path) != NULL);
    lsm_checkpoint_release(c);
    fix_close(&f);
}

/* ------------------------------------------------------------------ bytes from another node */

static enum status
decode(struct slice bytes)
{
    struct file_sweep sweep;
    struct version_edit e;
    uint8_t *copy = mem_alloc(bytes.size + 1); /* so that the sanitizer sees one byte too far */
    uint64_t file_bytes;
    enum status st;

    EXPECT(copy != NULL);
    memcpy(copy + 1, bytes.data, bytes.size);
    file_sweep_init(&sweep);
    st = lsm__checkpoint_decode(slice_of(copy + 1, bytes.size), &sweep, &e, &file_bytes, NULL);
    if (st == ST_OK)
        version_edit_release(&e);
    file_sweep_release(&sweep);
    mem_free(copy);
    return st;
}

static void
seal(struct buf *bytes)
{
    size_t covered = bytes->size - 8;

    put_u64le(bytes->data + covered, hash64(slice_of(bytes->data, covered)));
}

TEST(a_flipped_bit_in_an_encoded_checkpoint_is_found)
{
    struct model model = { 0 };
    struct shipment s;

    shipment_make(&s, 4, &model);
    EXPECT_OK(decode(buf_slice(&s.encoded)));
    for (size_t at = 0; at < s.encoded.size; at++) {
        s.encoded.data[at] ^= (uint8_t)(1 << (at % 8));
        EXPECT_ST(decode(buf_slice(&s.encoded)), ST_CORRUPT);
        s.encoded.data[at] ^= (uint8_t)(1 << (at % 8));
        EXPECT_ST(decode(slice_of(s.encoded.data, at)), ST_CORRUPT);
    }
    shipment_release(&s);
    model_release(&model);
}

/* A sender that lies has right checksums. */
TEST(a_hostile_checkpoint_is_refused_or_makes_sense)
{
    uint64_t refused = 0;
    struct model model = { 0 };
    struct shipment s;
    struct prng p;

    prng_init(&p, test_seed(0xc4ec));
    shipment_make(&s, 5, &model);
    for (int round = 0; round < 20000; round++) {
        struct buf bytes = buf_empty(s.encoded.size);
        uint64_t flips = 1 + prng_below(&p, 3);
        enum status st;

        EXPECT_OK(buf_append(&bytes, buf_slice(&s.encoded)));
        while (flips-- > 0)
            bytes.data[prng_below(&p, bytes.size)] ^= (uint8_t)(1 << prng_below(&p, 8));
        if (prng_chance(&p, 1, 4))
            bytes.size = 24 + prng_below(&p, bytes.size - 24);
        seal(&bytes);
        st = decode(buf_slice(&bytes));
        EXPECT(st == ST_OK || st == ST_CORRUPT || st == ST_INVALID);
        refused += st != ST_OK;
        buf_release(&bytes);
    }
    EXPECT(refused > 5000 && refused < 20000);
    shipment_release(&s);
    model_release(&model);
}

struct lie {
    const char *what;
    enum status want;
    void (*tell)(struct version_edit *e);
};

static void
tell_nothing(struct version_edit *e)
{
    (void)e;
}

static void
tell_empty_file(struct version_edit *e)
{
    e->added[0].file->info.file_bytes = 0;
}

static void
tell_endless_files(struct version_edit *e)
{
    e->added[0].file->info.file_bytes = UINT64_MAX;
}

static void
tell_later_version(struct version_edit *e)
{
    e->added[0].file->info.version_max = e->mark.version + 1;
}

static void
tell_impossible_version(struct version_edit *e)
{
    e->mark.version = VERSION_MAX + 1;
}

static void
tell_twice(struct version_edit *e)
{
    e->added[1].file->info.number = e->added[0].file->info.number;
}

static void
tell_overlap(struct version_edit *e)
{
    e->added[0].level = 2;
    e->added[1].level = 2;
}

TEST(lies_are_refused)
{
    static const struct lie lies[] = {
        { "the truth", ST_OK, tell_nothing },
        { "an empty file", ST_CORRUPT, tell_empty_file },
        { "sizes beyond 2^64", ST_CORRUPT, tell_endless_files },
        { "versions beyond the mark", ST_CORRUPT, tell_later_version },
        { "a version that cannot be", ST_CORRUPT, tell_impossible_version },
        { "a table twice", ST_CORRUPT, tell_twice },
        { "tables that overlap", ST_CORRUPT, tell_overlap },
    };

    for (size_t i = 0; i < sizeof(lies) / sizeof(lies[0]); i++) {
        struct buf bytes = buf_empty(1 << 20);
        struct version_edit e;
        struct fix f;

        fix_init(&f, 6);
        fix_open(&f);
        fix_put(&f, 1, 10);
        fix_put(&f, 3, 10);
        fix_flush(&f);
        fix_put(&f, 2, 10);
        fix_flush(&f);
        EXPECT_OK(version_edit_whole(&e, f.tree->disk_version, &f.tree->disk_mark));
        {
            /* the tree's own files are spared */
            struct buf truth = buf_empty(1 << 20);
            uint64_t file_bytes;

            EXPECT_OK(lsm__checkpoint_encode(&e, &truth));
            version_edit_release(&e);
            EXPECT_OK(
                lsm__checkpoint_decode(buf_slice(&truth), &f.tree->sweep, &e, &file_bytes, &f.err));
            buf_release(&truth);
        }
        lies[i].tell(&e);
        EXPECT_OK(lsm__checkpoint_encode(&e, &bytes));
        version_edit_release(&e);
        if (decode(buf_slice(&bytes)) != lies[i].want)
            fail_msg("%s: not %s", lies[i].what, status_name(lies[i].want));
        buf_release(&bytes);
        fix_close(&f);
    }
}

TEST(a_checkpoint_of_a_newer_release_is_refused_by_name)
{
    struct model model = { 0 };
    struct shipment s;

    shipment_make(&s, 7, &model);
    for (size_t at = 8; at <= 12; at += 4) {
        s.encoded.data[at]++;
        seal(&s.encoded);
        EXPECT_ST(decode(buf_slice(&s.encoded)), ST_INVALID);
        s.encoded.data[at]--;
    }
    s.encoded.data[12]--; /* edits without seeds never travelled */
    seal(&s.encoded);
    EXPECT_ST(decode(buf_slice(&s.encoded)), ST_INVALID);
    shipment_release(&s);
    model_release(&model);
}

TEST(encoding_that_fails_leaves_what_was)
{
    struct buf small = buf_empty(40);
    struct lsm_checkpoint *c;
    struct fix f;

    fix_init(&f, 8);
    fix_open(&f);
    fix_put(&f, 1, 100);
    fix_flush(&f);
    EXPECT_OK(buf_append(&small, slice_str("before")));
    EXPECT_OK(lsm_checkpoint_take(f.tree, &c));
    EXPECT_ST(lsm_checkpoint_encode(c, &small, &f.err), ST_TOO_BIG);
    EXPECT_SLICE(buf_slice(&small), "before");
    lsm_checkpoint_release(c);
    buf_release(&small);
    fix_close(&f);
}

QUIET_TEST_MAIN(RUN(a_checkpoint_is_what_the_manifest_has),
                RUN(a_checkpoint_waits_for_a_pending_clear),
                RUN(the_files_of_a_checkpoint_stay_until_it_is_released),
                RUN(only_pieces_that_are_there_are_read),
                RUN(a_bit_that_flips_in_a_file_is_found_by_looking_at_it),
                RUN(a_flipped_bit_in_an_encoded_checkpoint_is_found),
                RUN(a_hostile_checkpoint_is_refused_or_makes_sense), RUN(lies_are_refused),
                RUN(a_checkpoint_of_a_newer_release_is_refused_by_name),
                RUN(encoding_that_fails_leaves_what_was))
