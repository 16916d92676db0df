/* Damage to files (P3, P5): noticed, named with file and offset, never mistaken for a crash; and
 * what `distkv check` makes of it. */
#include "base/hash.h"

#include "unit/wal/fixture.h"

/* The name of the n-th segment of the log, oldest first; borrowed until the next call. */
static const char *
segment_name(const struct fix *f, unsigned n)
{
    static char name[SEGMENT_NAME_BYTES];
    struct list *at = f->wal->chain.next;

    while (n-- > 0)
        at = at->next;
    wal__segment_name(container_of(at, struct segment, link)->sequence, name);
    return name;
}

/* A stream of every kind of segment, closed: cut by a recovery, sealed, open; and a spare.
 *      "head,alpha" (cut) -> "[head],beta,#58000" (sealed) -> "[head],#5000,gamma" (open) */
static struct fix *
setup_sample(void)
{
    struct fix *f = setup(1);

    append_head(f, 7, "head");
    append(f, "alpha");
    flush(f, true);
    append(f, "beta");
    flush(f, true);
    kill9(f);
    boot(f);
    open_stream(f);
    tend(f);
    append_big(f, 58000, 'x');
    flush(f, true);
    append_big(f, 5000, 'y');
    flush(f, true);
    tend(f);
    append(f, "gamma");
    reopen(f);
    EXPECT_STR(contents(f), "[7:head],alpha,[7:head],beta,#58000,[7:head],#5000,gamma");
    EXPECT_U64(f->report.segment_count, 3);
    return f;
}

/* Of all bytes of all files. */
static void
add_hash(void *ctx, const char *path, uint64_t size)
{
    struct fix *f = ((void **)ctx)[0];
    uint64_t *hash = ((void **)ctx)[1];
    struct buf bytes = buf_empty(SIZE_MAX / 2);

    EXPECT(sim_disk_read(f->sim, NODE, path, &bytes));
    *hash = hash_u64(*hash ^ hash64(buf_slice(&bytes)) ^ hash64(slice_str(path)) ^ size);
    buf_release(&bytes);
}

static uint64_t
disk_hash(struct fix *f)
{
    struct mem_heap *heap = mem_heap_enter(NULL);
    uint64_t hash = 0;
    void *ctx[2] = { f, &hash };

    sim_disk_each(f->sim, NODE, add_hash, ctx);
    mem_heap_enter(heap);
    return hash;
}

/* ------------------------------------------------------------------ any bit, any file */

/* A stream on a disk that is to be damaged, and what it should say. */
struct sample {
    struct fix *f;
    const char *want;
    char file[64]; /* being damaged */
    uint64_t offset;
    unsigned corrupt, exact; /* outcomes so far */
};

/* Either exactly the data, or damage in the right file, at or before the offset. */
static void
check_verify(struct sample *s)
{
    struct fix *f = s->f;
    struct wal_damage damage = { { 0 }, 0, { 0 } };
    enum status st;

    f->contents[0] = '\0';
    st = wal_verify(f->env, &f->options, NULL, &f->report, &damage, &f->err);
    if (st == ST_OK) {
        if (strcmp(contents(f), s->want) != 0)
            print_error("%s at %llu\n", s->file, (unsigned long long)s->offset);
        EXPECT_STR(contents(f), s->want);
        s->exact++;
        return;
    }
    if (st != ST_CORRUPT || strcmp(damage.file, s->file) != 0 || damage.offset > s->offset)
        print_error("%s at %llu: %s\n", s->file, (unsigned long long)s->offset, f->err.text);
    EXPECT_ST(st, ST_CORRUPT);
    EXPECT_STR(damage.file, s->file);
    EXPECT(damage.offset <= s->offset);
    EXPECT(strstr(f->err.text, damage.file) == f->err.text);
    s->corrupt++;
}

static bool
worth_a_flip(uint64_t offset, uint64_t used)
{
    if (offset < 64 || (offset >= SEGMENT_HEADER_BYTES - 8 && offset < SEGMENT_HEADER_BYTES + 400))
        return true;
    if (offset < SEGMENT_HEADER_BYTES)
        return offset % 32 == 0;
    if (offset + 300 > used && offset < used + 100)
        return true;
    return offset % 61 == 0;
}

/* Where the last non-zero byte is. */
static uint64_t
used_bytes(struct fix *f, const char *path)
{
    struct buf bytes = buf_empty(SIZE_MAX / 2);
    size_t used;

    EXPECT(sim_disk_read(f->sim, NODE, path, &bytes));
    used = bytes.size;
    while (used > 0 && bytes.data[used - 1] == 0)
        used--;
    buf_release(&bytes);
    return used;
}

static void
flip_everywhere(void *ctx, const char *path, uint64_t size)
{
    struct sample *s = ctx;
    uint64_t used = used_bytes(s->f, path);
    const char *slash = strrchr(path, '/');

    snprintf(s->file, sizeof(s->file), "%s", slash == NULL ? path : slash + 1);
    for (uint64_t offset = 0; offset < size; offset++) {
        unsigned bit = (unsigned)offset % 8;

        if (!worth_a_flip(offset, used))
            continue;
        s->offset = offset;
        EXPECT(sim_disk_flip(s->f->sim, NODE, path, offset, bit));
        check_verify(s);
        EXPECT(sim_disk_flip(s->f->sim, NODE, path, offset, bit));
    }
}

TEST(any_flipped_bit_is_harmless_or_named)
{
    struct fix *f = setup_sample();
    struct sample s = { .f = f, .want = "" };
    char want[200];

    snprintf(want, sizeof(want), "%s", contents(f));
    s.want = want;
    close_stream(f);
    sim_disk_each(f->sim, NODE, flip_everywhere, &s);
    EXPECT(s.corrupt > 1000); /* it did take place */
    EXPECT(s.exact > 100);    /* spares and free space */
    teardown(f);
}

static void
cut_everywhere(void *ctx, const char *path, uint64_t size)
{
    struct sample *s = ctx;
    const uint64_t lengths[] = { 0, 1, 40, 4095, 4096, 4097, size / 2, size - 1, size + 1 };
    const char *slash = strrchr(path, '/');
    struct buf bytes = buf_empty(SIZE_MAX / 2);

    snprintf(s->file, sizeof(s->file), "%s", slash == NULL ? path : slash + 1);
    s->offset = size;
    EXPECT(sim_disk_read(s->f->sim, NODE, path, &bytes));
    for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
        EXPECT(sim_disk_truncate(s->f->sim, NODE, path, lengths[i]));
        check_verify(s);
        EXPECT(sim_disk_write(s->f->sim, NODE, path, buf_slice(&bytes)));
    }
    EXPECT(sim_disk_remove(s->f->sim, NODE, path));
    check_verify(s);
    EXPECT(sim_disk_write(s->f->sim, NODE, path, buf_slice(&bytes)));
    check_verify(s);
    buf_release(&bytes);
}

TEST(any_file_cut_short_or_removed_is_harmless_or_named)
{
    struct fix *f = setup_sample();
    struct sample s = { .f = f };
    char want[200];

    snprintf(want, sizeof(want), "%s", contents(f));
    s.want = want;
    close_stream(f);
    sim_disk_each(f->sim, NODE, cut_everywhere, &s);
    EXPECT_U64(s.corrupt, 4 * 10);   /* CHAIN and three segments, whatever was done to them */
    EXPECT_U64(s.exact, 5 + 10 + 0); /* put back, five times; and the spare */
    teardown(f);
}

/* The open end of a stream that was not closed: what no watermark proves may look torn (P5). */
TEST(damage_to_an_unclosed_stream_costs_at_most_what_is_unproven)
{
    struct fix *f = setup(2);
    uint64_t proven, end;
    char name[SEGMENT_NAME_BYTES];

    append(f, "alpha");
    flush(f, true);
    proven = f->wal->at;
    append(f, "beta");
    flush(f, true);
    append(f, "gamma"); /* knows that beta is durable */
    proven = f->wal->at - 34 - 5;
    flush(f, true);
    end = f->wal->at;
    snprintf(name, sizeof(name), "%s", current_name(f));
    wal_abandon(f->wal);
    f->wal = NULL;
    for (uint64_t offset = SEGMENT_HEADER_BYTES; offset < end; offset++) {
        struct wal_damage damage;
        enum status st;

        flip(f, name, offset, offset % 8);
        f->contents[0] = '\0';
        st = wal_verify(f->env, &f->options, NULL, &f->report, &damage, &f->err);
        EXPECT_ST(st, offset < proven ? ST_CORRUPT : ST_OK);
        if (st == ST_OK) {
            EXPECT_STR(contents(f), "alpha,beta");
            EXPECT(!f->report.clean);
        }
        flip(f, name, offset, offset % 8);
    }
    teardown(f);
}

/* As after a power cut in which the disk kept the beginning of the last write. */
TEST(a_cut_at_every_byte_leaves_the_records_before_it)
{
    static const char *const prefixes[] = { "alpha", "alpha,beta", "alpha,beta,gamma" };
    struct fix *f = setup(3);
    struct buf bytes = buf_empty(SIZE_MAX / 2);
    uint64_t ends[4], begin, at;

    append(f, "alpha");
    flush(f, true);
    begin = ends[0] = f->wal->at;
    append(f, "beta");
    ends[1] = f->wal->at;
    append(f, "gamma");
    ends[2] = f->wal->at;
    flush(f, false);
    wal_abandon(f->wal);
    f->wal = NULL;
    EXPECT(sim_disk_read(f->sim, NODE, path_of("0000000000000001.log"), &bytes));
    for (at = ends[2];; at--) {
        unsigned whole = at >= ends[2] ? 2 : at >= ends[1] ? 1 : 0;
        struct wal_damage damage;

        EXPECT(sim_disk_write(f->sim, NODE, path_of("0000000000000001.log"), buf_slice(&bytes)));
        f->contents[0] = '\0';
        EXPECT_OK(wal_verify(f->env, &f->options, NULL, &f->report, &damage, &f->err));
        EXPECT_STR(contents(f), prefixes[whole]);
        EXPECT_U64(f->report.torn_offset, ends[whole]);
        EXPECT(at < ends[whole] + RECORD_HEADER_BYTES || f->report.torn_bytes > 0);
        EXPECT(at != ends[whole] || f->report.torn_bytes == 0);
        if (at == begin)
            break;
        bytes.data[at - 1] = 0;
    }
    buf_release(&bytes);
    teardown(f);
}

/* ------------------------------------------------------------------ what proves damage */

TEST(damage_leaves_every_file_as_it_was)
{
    struct fix *f = setup_sample();
    uint64_t before;

    flip(f, segment_name(f, 1), 10000, 2);
    close_stream(f);
    before = disk_hash(f);
    for (int i = 0; i < 2; i++) {
        EXPECT_ST(try_open(f), ST_CORRUPT);
        EXPECT(f->wal == NULL);
        EXPECT_U64(disk_hash(f), before);
    }
    end(f); /* nothing stays open */
    teardown(f);
}

/* A segment that is sealed, and followed by another, but CHAIN does not know that yet: the damage
 * is in its last batch, so that nothing in the segment itself proves it. */
static struct fix *
setup_last_batch(uint64_t *at)
{
    struct fix *f = setup(4);

    tend(f);
    append_big(f, 50000, 'a');
    flush(f, true);
    *at = f->wal->at;
    append_big(f, 10000, 'b');
    append_big(f, 10000, 'c'); /* in the next segment */
    flush(f, true);
    wal_abandon(f->wal);
    f->wal = NULL;
    return f;
}

TEST(the_segment_that_follows_proves_damage_in_the_last_batch_before_it)
{
    uint64_t at;
    struct fix *f = setup_last_batch(&at);

    flip(f, "0000000000000001.log", at + 100, 0);
    EXPECT_ST(try_open(f), ST_CORRUPT);
    EXPECT_STR(f->err.text, "0000000000000001.log at 54130: was durable before "
                            "0000000000000002.log was begun, and does not check out (log /log)");
    teardown(f);
}

TEST(a_damaged_seal_is_proved_by_the_segment_that_follows)
{
    uint64_t at;
    struct fix *f = setup_last_batch(&at);

    flip(f, "0000000000000001.log", at + 34 + 10000 + 8, 0);
    EXPECT_ST(try_open(f), ST_CORRUPT);
    EXPECT(strstr(f->err.text, "0000000000000001.log at 64164") == f->err.text);
    teardown(f);
}

TEST(a_missing_successor_is_damage)
{
    uint64_t at;
    struct fix *f = setup_last_batch(&at);

    EXPECT(sim_disk_remove(f->sim, NODE, path_of("0000000000000002.log")));
    EXPECT_ST(try_open(f), ST_CORRUPT);
    EXPECT_STR(f->err.text, "0000000000000002.log at 0: the segment is missing (log /log)");
    teardown(f);
}

TEST(a_successor_of_another_incarnation_is_damage)
{
    struct segment_header h = { STORE_ID, 2, 12345, SEGMENT };
    uint8_t header[SEGMENT_HEADER_BYTES];
    struct buf bytes = buf_empty(SIZE_MAX / 2);
    uint64_t at;
    struct fix *f = setup_last_batch(&at);

    wal__header_put(header, &h);
    EXPECT(sim_disk_read(f->sim, NODE, path_of("0000000000000002.log"), &bytes));
    memcpy(bytes.data, header, sizeof(header));
    EXPECT(sim_disk_write(f->sim, NODE, path_of("0000000000000002.log"), buf_slice(&bytes)));
    buf_release(&bytes);
    EXPECT_ST(try_open(f), ST_CORRUPT);
    EXPECT(strstr(f->err.text, "0000000000000002.log at 0: the segment is of another incarnation"));
    teardown(f);
}

TEST(a_damaged_follow_record_is_proved_by_later_watermarks)
{
    uint64_t at;
    struct fix *f = setup(5);

    tend(f);
    append_big(f, 60000, 'a');
    append_big(f, 10000, 'b');
    flush(f, true);
    at = f->wal->at;
    append(f, "later");
    flush(f, true);
    wal_abandon(f->wal);
    f->wal = NULL;
    flip(f, "0000000000000002.log", SEGMENT_HEADER_BYTES + 3, 0);
    EXPECT_ST(try_open(f), ST_CORRUPT);
    EXPECT(strstr(f->err.text, "0000000000000002.log at 4096: was durable") == f->err.text);
    EXPECT(at > SEGMENT_HEADER_BYTES);
    teardown(f);
}

TEST(a_stream_without_its_chain_is_damaged_as_long_as_there_are_records)
{
    struct fix *f = setup(6);

    f->options.create = true;
    append(f, "alpha");
    close_stream(f);
    EXPECT(sim_disk_remove(f->sim, NODE, path_of("CHAIN")));
    EXPECT_ST(try_open(f), ST_CORRUPT);
    EXPECT_STR(f->err.text, "CHAIN at 0: missing, and there are records (log /log)");
    f->options.create = false;
    EXPECT_ST(try_open(f), ST_CORRUPT);
    teardown(f);
}

/* What a crash of wal_open() leaves behind, and whatever else lies about, is no hindrance. */
TEST(leftovers_never_break_opening)
{
    struct fix *f = setup(7);

    append(f, "alpha");
    close_stream(f);
    EXPECT(sim_disk_write(f->sim, NODE, path_of("00000000000000aa.log"), slice_str("half")));
    EXPECT(sim_disk_write(f->sim, NODE, path_of("00000000000000ab.log"), slice_str("")));
    EXPECT(sim_disk_write(f->sim, NODE, path_of("CHAIN.tmp"), slice_str("draft")));
    EXPECT(sim_disk_write(f->sim, NODE, path_of("ffffffffffffffff.log"), slice_str("?")));
    EXPECT(sim_disk_write(f->sim, NODE, path_of("notes.txt"), slice_str("?")));
    open_stream(f);
    EXPECT_STR(contents(f), "alpha");
    EXPECT(f->report.clean);
    tend(f);
    EXPECT_STR(names(f), "0000000000000001.log,00000000000000ac.log,CHAIN,ffffffffffffffff.log,"
                         "notes.txt");
    teardown(f);
}

TEST(a_stream_of_a_later_release_is_refused_without_being_called_damaged)
{
    struct fix *f = setup(8);
    struct buf bytes = buf_empty(SIZE_MAX / 2);

    append(f, "alpha");
    close_stream(f);
    EXPECT(sim_disk_read(f->sim, NODE, path_of("0000000000000001.log"), &bytes));
    bytes.data[8] = LOG_FORMAT + 1;
    put_checksum(bytes.data, SEGMENT_HEADER_BYTES);
    EXPECT(sim_disk_write(f->sim, NODE, path_of("0000000000000001.log"), buf_slice(&bytes)));
    EXPECT_ST(try_open(f), ST_INVALID);
    bytes.size = 0;
    EXPECT(sim_disk_read(f->sim, NODE, path_of("CHAIN"), &bytes));
    bytes.data[8] = LOG_FORMAT + 1;
    put_checksum(bytes.data, bytes.size / 2);
    memcpy(bytes.data + bytes.size / 2, bytes.data, bytes.size / 2);
    EXPECT(sim_disk_write(f->sim, NODE, path_of("CHAIN"), buf_slice(&bytes)));
    EXPECT_ST(try_open(f), ST_INVALID);
    EXPECT(strstr(f->err.text, "newer") != NULL);
    buf_release(&bytes);
    teardown(f);
}

/* ------------------------------------------------------------------ wal_verify */

static enum status
show_beyond(void *ctx, const struct wal_record *record, wal_position at, struct err *err)
{
    struct fix *f = ctx;
    size_t used = strlen(f->contents);

    (void)at;
    (void)err;
    snprintf(f->contents + used, sizeof(f->contents) - used, "%s%.*s%s", used == 0 ? "" : ",",
             record->body.size > 10 ? 1 : (int)record->body.size, (const char *)record->body.data,
             record->body.size > 10 ? "..." : "");
    return ST_OK;
}

static enum status
pass_by(void *ctx, const struct wal_record *record, wal_position at, struct err *err)
{
    (void)ctx;
    (void)record;
    (void)at;
    (void)err;
    return ST_OK;
}

/* What can still be read beyond the damage. */
static const char *
beyond(struct fix *f, struct wal_damage *damage)
{
    struct wal_options options = f->options;

    options.replay = pass_by;
    f->contents[0] = '\0';
    EXPECT_ST(wal_verify(f->env, &options, show_beyond, &f->report, damage, &f->err), ST_CORRUPT);
    return contents(f);
}

TEST(verifying_changes_nothing_and_reports_as_opening_does)
{
    struct fix *f = setup_sample();
    struct wal_recovery opened = f->report;
    struct wal_damage damage;
    uint64_t before;

    close_stream(f);
    before = disk_hash(f);
    f->contents[0] = '\0';
    EXPECT_OK(wal_verify(f->env, &f->options, show_beyond, &f->report, &damage, &f->err));
    EXPECT_STR(contents(f), "[7:head],alpha,[7:head],beta,#58000,[7:head],#5000,gamma");
    EXPECT(memcmp(&opened, &f->report, sizeof(opened)) == 0);
    EXPECT(f->report.clean);
    EXPECT_U64(disk_hash(f), before);
    teardown(f);
}

TEST(what_lies_beyond_the_damage_can_still_be_read)
{
    struct fix *f = setup_sample();
    struct wal_damage damage;
    char middle[SEGMENT_NAME_BYTES];

    snprintf(middle, sizeof(middle), "%s", segment_name(f, 1));
    close_stream(f);
    flip(f, middle, SEGMENT_HEADER_BYTES + 3, 0); /* the hard state at its beginning */
    EXPECT_STR(beyond(f, &damage), "beta,x...,head,y...,gamma");
    EXPECT_STR(damage.file, middle);
    EXPECT_U64(damage.offset, SEGMENT_HEADER_BYTES);
    flip(f, middle, SEGMENT_HEADER_BYTES + 3, 0);

    flip(f, middle, 50, 0); /* its header */
    EXPECT_STR(beyond(f, &damage), "head,beta,x...,head,y...,gamma");
    EXPECT_U64(damage.offset, 0);
    flip(f, middle, 50, 0);

    EXPECT(sim_disk_remove(f->sim, NODE, path_of("CHAIN")));
    EXPECT_STR(beyond(f, &damage), "head,alpha,beta,head,beta,x...,head,y...,gamma");
    EXPECT_STR(damage.file, "CHAIN");
    teardown(f);
}

/* ------------------------------------------------------------------ wal_cut */

static void
cut_and_expect(struct fix *f, const char *want)
{
    struct wal_damage damage;

    beyond(f, &damage);
    EXPECT_OK(wal_cut(f->env, &f->options, &damage, &f->err));
    open_stream(f);
    EXPECT_STR(contents(f), want);
    append(f, "new");
    close_stream(f);
    crash(f);
    boot(f);
    open_stream(f);
    EXPECT_STR(contents(f) + strlen(contents(f)) - 3, "new");
    close_stream(f);
}

TEST(a_cut_keeps_everything_before_the_damage_and_puts_the_rest_aside)
{
    struct fix *f = setup_sample();
    char middle[SEGMENT_NAME_BYTES], last[SEGMENT_NAME_BYTES], aside[100];
    struct buf bytes = buf_empty(SIZE_MAX / 2), copy = buf_empty(SIZE_MAX / 2);

    snprintf(middle, sizeof(middle), "%s", segment_name(f, 1));
    snprintf(last, sizeof(last), "%s", segment_name(f, 2));
    close_stream(f);
    flip(f, middle, 20000, 0); /* inside #58000 */
    read_file(f, middle, &bytes);
    cut_and_expect(f, "[7:head],alpha,[7:head],beta,[7:head]");

    snprintf(aside, sizeof(aside), "aside-1/%s", middle);
    read_file(f, aside, &copy);
    EXPECT(slice_equal(buf_slice(&bytes), buf_slice(&copy)));
    snprintf(aside, sizeof(aside), "aside-1/%s", last);
    EXPECT_U64(file_bytes(f, aside), SEGMENT);
    EXPECT(file_bytes(f, "aside-1/CHAIN") > 0);
    buf_release(&bytes);
    buf_release(&copy);
    teardown(f);
}

TEST(a_cut_at_a_header_or_a_missing_segment_keeps_the_segments_before_it)
{
    for (int missing = 0; missing < 2; missing++) {
        struct fix *f = setup_sample();
        char name[SEGMENT_NAME_BYTES];

        snprintf(name, sizeof(name), "%s", segment_name(f, 2));
        close_stream(f);
        if (missing)
            EXPECT(sim_disk_remove(f->sim, NODE, path_of(name)));
        else
            flip(f, name, 50, 0);
        cut_and_expect(f, "[7:head],alpha,[7:head],beta,#58000,[7:head]");
        teardown(f);
    }
}

TEST(a_cut_at_the_first_header_leaves_an_empty_stream)
{
    struct fix *f = setup_sample();
    char name[SEGMENT_NAME_BYTES];

    snprintf(name, sizeof(name), "%s", segment_name(f, 0));
    close_stream(f);
    flip(f, name, 50, 0);
    cut_and_expect(f, "");
    teardown(f);
}

TEST(a_cut_of_half_a_chain_loses_nothing)
{
    for (uint64_t offset = 3; offset < 200; offset += 100) {
        struct fix *f = setup_sample();

        close_stream(f);
        flip(f, "CHAIN", offset, 0);
        cut_and_expect(f, "[7:head],alpha,[7:head],beta,#58000,[7:head],#5000,gamma");
        EXPECT(file_bytes(f, "aside-1/CHAIN") > 0);
        teardown(f);
    }
}

TEST(a_cut_of_a_lost_chain_puts_everything_aside)
{
    struct fix *f = setup_sample();
    char name[SEGMENT_NAME_BYTES], aside[100];

    snprintf(name, sizeof(name), "%s", segment_name(f, 1));
    close_stream(f);
    EXPECT(sim_disk_remove(f->sim, NODE, path_of("CHAIN")));
    cut_and_expect(f, "");
    snprintf(aside, sizeof(aside), "aside-1/%s", name);
    EXPECT_U64(file_bytes(f, aside), SEGMENT);
    teardown(f);
}

/* The second cut finds another damage: its evidence does not overwrite that of the first. */
TEST(each_cut_has_a_folder_of_its_own)
{
    struct fix *f = setup_sample();
    char first[SEGMENT_NAME_BYTES], middle[SEGMENT_NAME_BYTES];

    snprintf(first, sizeof(first), "%s", segment_name(f, 0));
    snprintf(middle, sizeof(middle), "%s", segment_name(f, 1));
    close_stream(f);
    flip(f, middle, 20000, 0);
    cut_and_expect(f, "[7:head],alpha,[7:head],beta,[7:head]");
    flip(f, first, SEGMENT_HEADER_BYTES + 50, 0);
    cut_and_expect(f, "[7:head],[7:head]");
    EXPECT(file_bytes(f, "aside-1/CHAIN") > 0);
    EXPECT(file_bytes(f, "aside-2/CHAIN") > 0);
    teardown(f);
}

TEST(a_cut_where_there_is_nothing_to_cut_is_invalid)
{
    struct fix *f = setup_sample();
    struct wal_damage damage = { "0000000000000099.log", 5000, "" };
    uint64_t before;

    close_stream(f);
    before = disk_hash(f);
    EXPECT_ST(wal_cut(f->env, &f->options, &damage, &f->err), ST_INVALID);
    snprintf(damage.file, sizeof(damage.file), "CHAIN");
    EXPECT_ST(wal_cut(f->env, &f->options, &damage, &f->err), ST_INVALID);
    EXPECT_U64(disk_hash(f), before);
    teardown(f);
}

/* Cut, lose power, and look whether the evidence of the damage is still there. */
static bool
evidence_survives(uint64_t seed, const char *ignored)
{
    struct fix *f = setup_sample();
    struct buf bytes = buf_empty(SIZE_MAX / 2), copy = buf_empty(SIZE_MAX / 2);
    struct wal_damage damage;
    bool same;

    for (uint64_t i = 0; i < seed; i++)
        prng_next(sim_prng(f->sim));
    flip(f, "0000000000000002.log", 20000, 0);
    close_stream(f);
    read_file(f, "0000000000000002.log", &bytes);
    beyond(f, &damage);
    sim_ignore_sync(f->sim, NODE, ignored);
    EXPECT_OK(wal_cut(f->env, &f->options, &damage, &f->err));
    sim_ignore_sync(f->sim, NODE, NULL);
    crash(f);
    same = sim_disk_read(f->sim, NODE, path_of("aside-1/0000000000000002.log"), &copy) &&
           slice_equal(buf_slice(&bytes), buf_slice(&copy)) &&
           sim_disk_read(f->sim, NODE, path_of("aside-1/0000000000000003.log"), &copy);
    buf_release(&bytes);
    buf_release(&copy);
    teardown(f);
    return same;
}

TEST(what_was_put_aside_survives_a_power_cut_because_it_is_synced)
{
    unsigned lost = 0;

    for (uint64_t seed = 0; seed < 60; seed++) {
        EXPECT(evidence_survives(seed, NULL));
        lost += !evidence_survives(seed, "/aside-1");
    }
    EXPECT(lost > 10);
}

struct cutting {
    struct fix *f;
    struct wal_damage damage;
    enum status st;
};

static void
run_cut(void *ctx)
{
    struct cutting *c = ctx;

    c->st = wal_cut(c->f->env, &c->f->options, &c->damage, &c->f->err);
}

/* Before and after every call: what was before the damage is there, and the evidence is too. */
TEST(a_crash_while_cutting_leaves_a_stream_that_can_be_cut_again)
{
    struct fix *f = setup_sample();
    struct sim_disk_image *image;
    struct cutting c = { .f = f };
    unsigned crashes = 0;
    bool finished = false;

    flip(f, segment_name(f, 1), 20000, 0);
    close_stream(f);
    beyond(f, &c.damage);
    end(f);
    image = sim_disk_save(f->sim, NODE);
    for (uint64_t nth = 1; !finished; nth++) {
        enum status st;

        sim_disk_load(f->sim, NODE, image);
        boot(f);
        sim_crash_at(f->sim, NODE, SIM_OP_ALL, (nth + 1) / 2, nth % 2 == 0);
        mem_heap_enter(NULL);
        finished = sim_call(f->sim, NODE, run_cut, &c);
        sim_crash_at(f->sim, NODE, 0, 0, false);
        if (finished) {
            EXPECT_OK(c.st);
            sim_crash(f->sim, NODE);
        }
        boot(f);
        st = try_open(f);
        if (st == ST_CORRUPT) {
            struct wal_damage again;

            crashes++;
            beyond(f, &again);
            EXPECT_STR(again.file, c.damage.file);
            EXPECT_U64(again.offset, c.damage.offset);
            EXPECT_OK(wal_cut(f->env, &f->options, &again, &f->err));
            st = try_open(f);
        }
        EXPECT_OK(st);
        EXPECT(strstr(contents(f), "[7:head],alpha,[7:head],beta,[7:head]") == contents(f));
        EXPECT(strstr(names(f), "/0000000000000002.log") != NULL);
        EXPECT(strstr(names(f), "/0000000000000003.log") != NULL);
        close_stream(f);
        end(f);
    }
    EXPECT(crashes > 20);
    sim_disk_image_free(image);
    teardown(f);
}

TEST_MAIN(RUN(any_flipped_bit_is_harmless_or_named),
          RUN(any_file_cut_short_or_removed_is_harmless_or_named),
          RUN(damage_to_an_unclosed_stream_costs_at_most_what_is_unproven),
          RUN(a_cut_at_every_byte_leaves_the_records_before_it),
          RUN(damage_leaves_every_file_as_it_was),
          RUN(the_segment_that_follows_proves_damage_in_the_last_batch_before_it),
          RUN(a_damaged_seal_is_proved_by_the_segment_that_follows),
          RUN(a_missing_successor_is_damage), RUN(a_successor_of_another_incarnation_is_damage),
          RUN(a_damaged_follow_record_is_proved_by_later_watermarks),
          RUN(a_stream_without_its_chain_is_damaged_as_long_as_there_are_records),
          RUN(leftovers_never_break_opening),
          RUN(a_stream_of_a_later_release_is_refused_without_being_called_damaged),
          RUN(verifying_changes_nothing_and_reports_as_opening_does),
          RUN(what_lies_beyond_the_damage_can_still_be_read),
          RUN(a_cut_keeps_everything_before_the_damage_and_puts_the_rest_aside),
          RUN(a_cut_at_a_header_or_a_missing_segment_keeps_the_segments_before_it),
          RUN(a_cut_at_the_first_header_leaves_an_empty_stream),
          RUN(a_cut_of_half_a_chain_loses_nothing),
          RUN(a_cut_of_a_lost_chain_puts_everything_aside), RUN(each_cut_has_a_folder_of_its_own),
          RUN(a_cut_where_there_is_nothing_to_cut_is_invalid),
          RUN(what_was_put_aside_survives_a_power_cut_because_it_is_synced),
          RUN(a_crash_while_cutting_leaves_a_stream_that_can_be_cut_again))
