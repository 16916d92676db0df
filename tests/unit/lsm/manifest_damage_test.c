/* Tests of lsm/manifest.h on a disk that spoils what was durable (P3, P5): after any single flipped
 * bit, truncation or loss of a file, the tree opens exactly as it was, or says ST_CORRUPT with
 * file and offset and touches nothing. */
#include "base/log.h"
#include "base/prng.h"

#include "lsm/manifest_internal.h"
#include "manifest_fixture.h"
#include "unit/test.h"

enum { STEPS = 4 }; /* of the script: one manifest, four edits, two tables left */

struct fix {
    struct run r;
    char path[LIMIT_PATH_BYTES]; /* of the manifest */
    struct buf image;            /* its bytes, intact */
    uint64_t last_edit;          /* offsets of the last EDIT, the SYNCED after it, */
    uint64_t last_synced;
    uint64_t end; /* and the zeros after that */
    struct script_state want;
    struct sim_disk_image *disk; /* intact */
};

static void
find_records(struct fix *f)
{
    struct manifest_frame frame;
    uint64_t at = MANIFEST_HEADER_BYTES;
    uint64_t seed = manifest__seed(SCRIPT_TREE, 1);

    while (manifest__record_get(buf_slice(&f->image), at, seed, &frame)) {
        if (frame.type == MANIFEST_EDIT)
            f->last_edit = at;
        if (frame.type == MANIFEST_SYNCED)
            f->last_synced = at;
        at = frame.limit;
    }
    f->end = at;
    EXPECT(f->last_edit > MANIFEST_HEADER_BYTES && f->last_synced > f->last_edit);
    EXPECT_U64(f->end, f->last_synced + MANIFEST_RECORD_HEADER_BYTES);
}

static void
look(struct fix *f, struct script_state *found)
{
    run_boot(&f->r);
    EXPECT(run_look(&f->r, false, found));
    sim_end(f->r.w, SCRIPT_NODE);
}

/* So many steps of the script. */
static void
setup_steps(struct fix *f, int steps)
{
    *f = (struct fix){ .image = buf_empty(1 << 20) };
    run_build(&f->r, 1, steps);
    sim_crash(f->r.w, SCRIPT_NODE); /* closing has made all of it durable */
    look(f, &f->want);              /* deleted tables may have come back: once more */
    run_current_manifest(&f->r, f->path);
    EXPECT(sim_disk_read(f->r.w, SCRIPT_NODE, f->path, &f->image));
    find_records(f);
    f->want = script_expected(steps);
    f->disk = sim_disk_save(f->r.w, SCRIPT_NODE);
}

static void
setup(struct fix *f)
{
    setup_steps(f, STEPS);
}

static void
restore(struct fix *f)
{
    sim_disk_load(f->r.w, SCRIPT_NODE, f->disk);
}

static void
teardown(struct fix *f)
{
    sim_disk_image_free(f->disk);
    buf_release(&f->image);
    run_destroy(&f->r);
}

static void
expect_exact(struct fix *f)
{
    struct script_state found;

    look(f, &found);
    if (f->r.st != ST_OK)
        print_error("%s\n", f->r.err.text);
    EXPECT_OK(f->r.st);
    EXPECT_STR(found.text, f->want.text);
}

/* ST_CORRUPT that names the file, both by opening and by reading; and no file is gone. */
static void
expect_corrupt(struct fix *f, const char *file)
{
    struct script_state found;
    int files = run_count_files(&f->r, SCRIPT_DIR);

    look(f, &found);
    EXPECT_ST(f->r.st, ST_CORRUPT);
    EXPECT(strstr(f->r.err.text, file) != NULL);
    EXPECT_U64(run_count_files(&f->r, SCRIPT_DIR), files);
}

static enum status
read_state(struct fix *f, struct script_state *found)
{
    run_boot(&f->r);
    run_read(&f->r, found);
    sim_end(f->r.w, SCRIPT_NODE);
    return f->r.st;
}

/* ------------------------------------------------------------------ bits */

static void
expect_flip(struct fix *f, uint64_t at, unsigned bit)
{
    struct script_state found;
    enum status st;

    EXPECT(sim_disk_flip(f->r.w, SCRIPT_NODE, f->path, at, bit));
    st = read_state(f, &found);
    if (at < f->last_synced)
        EXPECT_ST(st, ST_CORRUPT);
    else
        EXPECT(st == ST_OK && strcmp(found.text, f->want.text) == 0);
    EXPECT(sim_disk_flip(f->r.w, SCRIPT_NODE, f->path, at, bit));
}

TEST(any_flipped_bit_is_found_by_reading)
{
    struct fix f;

    setup(&f);
    for (uint64_t at = 0; at < f.end; at++) {
        for (unsigned bit = 0; bit < 8; bit++)
            expect_flip(&f, at, bit);
    }
    for (uint64_t at = f.end; at < f.image.size; at += 61)
        expect_flip(&f, at, at % 8);
    teardown(&f);
}

TEST(any_flipped_byte_is_found_by_opening)
{
    struct fix f;

    setup(&f);
    for (uint64_t at = 0; at < f.image.size; at += at < f.end + 8 ? 1 : 4001) {
        restore(&f);
        EXPECT(sim_disk_flip(f.r.w, SCRIPT_NODE, f.path, at, at % 8));
        if (at < f.last_synced)
            expect_corrupt(&f, f.path);
        else
            expect_exact(&f);
    }
    teardown(&f);
}

TEST(the_report_names_the_offset_of_the_record)
{
    struct script_state found;
    struct fix f;
    char want[LIMIT_PATH_BYTES + 100];

    setup(&f);
    EXPECT(sim_disk_flip(f.r.w, SCRIPT_NODE, f.path, f.last_edit + 5, 3));
    EXPECT_ST(read_state(&f, &found), ST_CORRUPT);
    snprintf(want, sizeof(want), "%s: the record at %llu was durable and is damaged", f.path,
             (unsigned long long)f.last_edit);
    EXPECT_STR(f.r.err.text, want);
    teardown(&f);
}

/* A sector that reads as zeros. */
TEST(a_lost_sector_is_found)
{
    struct fix f;

    setup(&f);
    for (uint64_t at = 0; at < f.last_synced; at += SIM_SECTOR) {
        struct buf bytes = buf_empty(1 << 20);

        restore(&f);
        EXPECT_OK(buf_append(&bytes, buf_slice(&f.image)));
        memset(bytes.data + at, 0, SIM_SECTOR);
        EXPECT(sim_disk_write(f.r.w, SCRIPT_NODE, f.path, buf_slice(&bytes)));
        /* The one that has the last edit to its end, and all that is after it, is no proof. */
        if (at + SIM_SECTOR < f.end || at == 0)
            expect_corrupt(&f, f.path);
        buf_release(&bytes);
    }
    teardown(&f);
}

TEST(random_damage_never_gives_a_state_that_never_was)
{
    struct script_state found;
    uint64_t corrupt = 0;
    struct prng p;
    struct fix f;

    prng_init(&p, test_seed(0xdada));
    setup(&f);
    for (int round = 0; round < 2000; round++) {
        struct buf bytes = buf_empty(1 << 20);
        uint64_t at = prng_below(&p, f.end + 50);
        uint64_t size = 1 + prng_below(&p, 100);
        bool was = false;

        EXPECT_OK(buf_append(&bytes, buf_slice(&f.image)));
        for (uint64_t i = at; i < at + size; i++)
            bytes.data[i] = prng_chance(&p, 1, 2) ? (uint8_t)prng_next(&p) : 0;
        EXPECT(sim_disk_write(f.r.w, SCRIPT_NODE, f.path, buf_slice(&bytes)));
        buf_release(&bytes);
        if (read_state(&f, &found) == ST_CORRUPT) {
            corrupt++;
            continue;
        }
        EXPECT_OK(f.r.st);
        for (int steps = 0; steps <= STEPS; steps++) {
            struct script_state want = script_expected(steps);

            was = was || strcmp(want.text, found.text) == 0;
        }
        EXPECT(was);
    }
    EXPECT(corrupt > 500);
    teardown(&f);
}

/* ------------------------------------------------------------------ lengths and files */

TEST(a_truncated_manifest_is_found_at_any_length)
{
    struct fix f;

    setup(&f);
    for (uint64_t size = 0; size < f.image.size; size += size < f.end + 8 ? 1 : 997) {
        restore(&f);
        EXPECT(sim_disk_truncate(f.r.w, SCRIPT_NODE, f.path, size));
        expect_corrupt(&f, f.path);
    }
    restore(&f);
    EXPECT(sim_disk_truncate(f.r.w, SCRIPT_NODE, f.path, f.image.size + 1));
    expect_corrupt(&f, f.path);
    teardown(&f);
}

TEST(a_missing_table_is_reported_with_its_keys)
{
    struct script_state found;
    struct fix f;

    setup(&f);
    EXPECT(sim_disk_remove(f.r.w, SCRIPT_NODE, SCRIPT_DIR "/0000000000000003.sst"));
    look(&f, &found);
    EXPECT_ST(f.r.st, ST_CORRUPT);
    EXPECT_STR(f.r.err.text, SCRIPT_DIR "/0000000000000003.sst: missing; it is in level 1 with "
                                        "keys \"a\" to \"k\"");
    EXPECT_U64(run_count_files(&f.r, ".sst"), 1);

    restore(&f);
    EXPECT(sim_disk_remove(f.r.w, SCRIPT_NODE, SCRIPT_DIR "/0000000000000004.sst"));
    expect_corrupt(&f, SCRIPT_DIR "/0000000000000004.sst");
    teardown(&f);
}

TEST(a_missing_manifest_is_no_new_tree)
{
    struct script_state found;
    struct fix f;

    setup(&f);
    EXPECT(sim_disk_remove(f.r.w, SCRIPT_NODE, f.path));
    expect_corrupt(&f, SCRIPT_DIR);
    EXPECT_ST(read_state(&f, &found), ST_CORRUPT);
    run_boot(&f.r);
    EXPECT(run_look(&f.r, true, &found));
    EXPECT_ST(f.r.st, ST_CORRUPT);
    EXPECT_U64(run_count_files(&f.r, ".sst"), 2);
    sim_end(f.r.w, SCRIPT_NODE);
    teardown(&f);
}

/* M1: the highest number counts, or nothing. */
TEST(an_older_manifest_never_stands_in_for_a_damaged_one)
{
    struct buf newer = buf_empty(1 << 20);
    struct fix f;
    char path[LIMIT_PATH_BYTES];
    struct run r;

    setup(&f);
    run_build(&r, 1, 6); /* has taken over: number 2 */
    run_current_manifest(&r, path);
    EXPECT_STR(path, SCRIPT_DIR "/MANIFEST-0000000000000002");
    EXPECT(sim_disk_read(r.w, SCRIPT_NODE, path, &newer));
    newer.data[MANIFEST_HEADER_BYTES + 30] ^= 1;
    EXPECT(sim_disk_write(f.r.w, SCRIPT_NODE, path, buf_slice(&newer)));
    expect_corrupt(&f, path);

    EXPECT(sim_disk_write(f.r.w, SCRIPT_NODE, path, slice_str("")));
    expect_corrupt(&f, path);
    buf_release(&newer);
    run_destroy(&r);
    teardown(&f);
}

TEST(an_older_manifest_beside_an_intact_one_is_deleted)
{
    struct script_state found;
    struct fix f;
    struct run r;

    setup(&f);
    run_build(&r, 1, 6);
    EXPECT(sim_disk_write(r.w, SCRIPT_NODE, f.path, buf_slice(&f.image)));
    EXPECT_U64(run_count_files(&r, "MANIFEST-"), 2);
    run_boot(&r);
    EXPECT(run_look(&r, false, &found));
    EXPECT_OK(r.st);
    EXPECT_STR(found.text, script_expected(6).text);
    EXPECT_U64(run_count_files(&r, "MANIFEST-"), 1);
    sim_end(r.w, SCRIPT_NODE);
    run_destroy(&r);
    teardown(&f);
}

TEST(a_manifest_under_another_number_is_refused)
{
    struct fix f;

    setup(&f);
    EXPECT(sim_disk_write(f.r.w, SCRIPT_NODE, SCRIPT_DIR "/MANIFEST-0000000000000005",
                          buf_slice(&f.image)));
    expect_corrupt(&f, SCRIPT_DIR "/MANIFEST-0000000000000005");
    EXPECT_STR(f.r.err.text, SCRIPT_DIR "/MANIFEST-0000000000000005: its header at 0 says that it "
                                        "is number 1");
    teardown(&f);
}

/* A record is bound to its place: a stale or misdirected write does not pass. */
TEST(a_record_at_another_offset_is_no_record)
{
    struct buf bytes = buf_empty(1 << 20);
    struct fix f;

    setup(&f);
    EXPECT_OK(buf_append(&bytes, buf_slice(&f.image)));
    memmove(bytes.data + f.end, bytes.data + f.last_edit, f.end - f.last_edit);
    EXPECT(sim_disk_write(f.r.w, SCRIPT_NODE, f.path, buf_slice(&bytes)));
    expect_exact(&f);
    buf_release(&bytes);
    teardown(&f);
}

/* ------------------------------------------------------------------ torn tails */

static char logged[1000];

static void
keep_line(void *ctx, struct slice line)
{
    (void)ctx;
    snprintf(logged, sizeof(logged), "%.*s", (int)line.size, (const char *)line.data);
}

/* The tail is cut and said; the tree is as before the edit that was not finished. */
TEST(a_torn_tail_is_cut_and_said)
{
    struct log_sink sink = { .level = LOG_WARN, .write = keep_line };
    struct buf bytes = buf_empty(1 << 20);
    struct script_state found;
    struct fix f;
    char want[LIMIT_PATH_BYTES + 100];

    setup(&f);
    EXPECT_OK(buf_append(&bytes, buf_slice(&f.image)));
    memset(bytes.data + f.end + 40, 'x', 60);
    EXPECT(sim_disk_write(f.r.w, SCRIPT_NODE, f.path, buf_slice(&bytes)));
    buf_release(&bytes);
    log_set_sink(&sink);
    expect_exact(&f);
    snprintf(want, sizeof(want), "event=lsm.manifest_torn file=%s offset=%llu bytes=100", f.path,
             (unsigned long long)f.end);
    EXPECT(strstr(logged, want) != NULL);

    logged[0] = '\0';
    look(&f, &found); /* a new file has taken over */
    EXPECT_OK(f.r.st);
    EXPECT_STR(logged, "");
    teardown(&f);
}

/* The limit that the essay states, so that nobody is surprised: without the SYNCED, which a power
 * cut may keep from the disk, damage to the last edit looks like a torn tail... */
TEST(damage_to_a_last_edit_without_its_proof_is_taken_for_a_torn_tail)
{
    struct buf bytes = buf_empty(1 << 20);
    struct script_state found;
    struct fix f;

    setup(&f);
    EXPECT_OK(buf_append(&bytes, buf_slice(&f.image)));
    memset(bytes.data + f.last_synced, 0, MANIFEST_RECORD_HEADER_BYTES);
    EXPECT(sim_disk_write(f.r.w, SCRIPT_NODE, f.path, buf_slice(&bytes)));
    expect_exact(&f);

    restore(&f);
    bytes.data[f.last_edit + 3] ^= 1;
    EXPECT(sim_disk_write(f.r.w, SCRIPT_NODE, f.path, buf_slice(&bytes)));
    look(&f, &found);
    EXPECT_OK(f.r.st);
    EXPECT_STR(found.text, script_expected(STEPS - 1).text);
    buf_release(&bytes);
    teardown(&f);
}

/* ...unless the edit has removed tables: their files are gone. */
TEST(a_lost_compaction_is_found_by_the_tables_that_are_missing)
{
    struct buf bytes = buf_empty(1 << 20);
    struct fix f;

    setup_steps(&f, 3);
    EXPECT_OK(buf_append(&bytes, buf_slice(&f.image)));
    memset(bytes.data + f.last_edit, 0, f.end - f.last_edit);
    EXPECT(sim_disk_write(f.r.w, SCRIPT_NODE, f.path, buf_slice(&bytes)));
    expect_corrupt(&f, SCRIPT_DIR "/0000000000000002.sst");
    buf_release(&bytes);
    teardown(&f);
}

TEST_MAIN(RUN(any_flipped_bit_is_found_by_reading), RUN(any_flipped_byte_is_found_by_opening),
          RUN(the_report_names_the_offset_of_the_record), RUN(a_lost_sector_is_found),
          RUN(random_damage_never_gives_a_state_that_never_was),
          RUN(a_truncated_manifest_is_found_at_any_length),
          RUN(a_missing_table_is_reported_with_its_keys), RUN(a_missing_manifest_is_no_new_tree),
          RUN(an_older_manifest_never_stands_in_for_a_damaged_one),
          RUN(an_older_manifest_beside_an_intact_one_is_deleted),
          RUN(a_manifest_under_another_number_is_refused),
          RUN(a_record_at_another_offset_is_no_record), RUN(a_torn_tail_is_cut_and_said),
          RUN(damage_to_a_last_edit_without_its_proof_is_taken_for_a_torn_tail),
          RUN(a_lost_compaction_is_found_by_the_tables_that_are_missing))
