/* P3: whatever happens to the bytes of a table, a reader gets what was written, or ST_CORRUPT.
 * Every test that harms a file also checks that the harm was noticed. */
#include "base/coding.h"
#include "base/hash.h"
#include "base/mem.h"

#include "sst/format.h"
#include "unit/sst/fixture.h"

enum { NUMBER = 5 };

static const char *const path = "t.sst";
static const struct table_iter_options cached = { TABLE_BLOCK, true };
static const struct table_iter_options bulk = { TABLE_BLOCK, false };

/* A table with several small blocks, all kinds of entries, and a copy of its bytes. */
struct victim {
    struct model model;
    struct table_info info;
    struct buf bytes;
};

static struct table_options
small_options(enum table_compression kind)
{
    return (struct table_options){
        .block_bytes = 200, .restart_interval = 3, .filter_bits_per_key = 10, .compression = kind
    };
}

static struct victim
make_victim(struct fix *f, enum table_compression kind)
{
    struct table_options options = small_options(kind);
    struct victim v = { .bytes = buf_empty(SIZE_MAX) };
    char value[60];

    memset(value, 'v', sizeof(value));
    for (version_t i = 1; i <= 24; i++) {
        char key[24];
        struct entry e = { .version = i * 3, .type = ENTRY_VALUE };

        snprintf(key, sizeof(key), "user:%02d", (int)(i * 7 % 10));
        e.key = slice_str(key);
        e.value = slice_of(value, (size_t)(i * 11 % sizeof(value)));
        e.expiry_ms = i % 5 == 0 ? 1000 + i : 0;
        if (i % 6 == 0) {
            e.type = ENTRY_TOMBSTONE;
            e.value.size = 0;
        }
        model_put(&v.model, &e);
    }
    v.info = build(f, path, NUMBER, &options, &v.model);
    EXPECT(sim_disk_read(f->sim, NODE, path, &v.bytes));
    EXPECT_U64(v.bytes.size, v.info.file_bytes);
    return v;
}

static void
release_victim(struct victim *v)
{
    table_info_release(&v->info);
    model_release(&v->model);
    buf_release(&v->bytes);
}

/* Replace the file. */
static void
write_bytes(struct fix *f, struct slice bytes)
{
    EXPECT(sim_disk_write(f->sim, NODE, path, bytes));
}

/* Where the parts of the victim's file lie, by its footer. */
static uint64_t
footer_field(const struct victim *v, size_t at)
{
    return get_u64le(v->bytes.data + v->bytes.size - FOOTER_BYTES + at);
}

static uint64_t
data_bytes(const struct victim *v)
{
    return footer_field(v, 24);
}

/* The extents of the data blocks, in order, found by their checksums. */
static size_t
find_blocks(const struct victim *v, uint64_t *offsets, size_t room)
{
    uint64_t limit = data_bytes(v);
    uint64_t begin = 0;
    size_t count = 0;

    for (uint64_t end = TRAILER_BYTES; end <= limit; end++) {
        struct slice covered = slice_of(v->bytes.data + begin, end - begin - 8);

        if (end - begin < TRAILER_BYTES ||
            get_u64le(v->bytes.data + end - 8) != hash64_seeded(covered, sst__seed(NUMBER, begin)))
            continue;
        EXPECT(count < room);
        offsets[count++] = begin;
        begin = end;
    }
    EXPECT_U64(begin, limit);
    offsets[count] = limit;
    return count;
}

/* Give a block whose bytes were changed on purpose a right checksum. */
static void
reseal(uint8_t *file, uint64_t offset, uint64_t size)
{
    uint64_t sum = hash64_seeded(slice_of(file + offset, size - 8), sst__seed(NUMBER, offset));

    put_u64le(file + offset + size - 8, sum);
}

/* Open and read all.  True when something was refused; what was not, was right. */
static bool
reading_refuses(struct fix *f, const struct victim *v)
{
    struct table *t;
    enum status st = try_open(f, path, &v->info, &t);
    bool refused;
    bool again;

    if (st == ST_CORRUPT)
        return true;
    EXPECT_OK(st);
    cache_drop_table(f->cache, NUMBER);
    refused = read_back(f, t, &v->model, &bulk, ST_CORRUPT);
    again = read_back(f, t, &v->model, &cached, ST_CORRUPT);
    EXPECT(refused == again);
    table_close(t);
    cache_drop_table(f->cache, NUMBER);
    return refused;
}

/* ------------------------------------------------------------------ flipped bits */

/* What verify tells of the damage must hold what was lost: no key outside can be unreadable. */
static void
check_range(struct fix *f, const struct victim *v, uint64_t flipped)
{
    struct buf from = buf_empty(0);
    struct buf to = buf_empty(0);
    struct table *t;

    EXPECT_ST(table_verify(f->env, path, &v->info, &from, &to, &f->err), ST_CORRUPT);
    EXPECT(strstr(f->err.text, path) != NULL);
    if (flipped >= data_bytes(v)) {
        EXPECT_U64(from.size, 0);
        EXPECT_U64(to.size, 0);
        return;
    }
    EXPECT(from.size > 0 && to.size > 0);
    t = open_table(f, path, &v->info);
    for (size_t i = 0; i < v->model.count; i++) {
        const struct entry *e = &v->model.entries[i];
        struct table_found found;
        enum status st = table_get(t, e->key, e->version, TABLE_BLOCK, &found, &f->err);

        if (st == ST_OK)
            cache_release(found.pin);
        else
            EXPECT(slice_compare(e->key, buf_slice(&from)) >= 0 &&
                   slice_compare(e->key, buf_slice(&to)) <= 0);
    }
    table_close(t);
    cache_drop_table(f->cache, NUMBER);
    buf_release(&from);
    buf_release(&to);
}

static void
flip_everywhere(enum table_compression kind)
{
    struct fix f = setup();
    struct victim v = make_victim(&f, kind);
    uint64_t at[32];

    EXPECT(find_blocks(&v, at, 31) > 3);
    EXPECT_U64(v.bytes.data[at[1] - TRAILER_BYTES], kind); /* the first block is packed so */
    EXPECT(!reading_refuses(&f, &v));
    EXPECT_OK(verify_table(&f, path, &v.info));
    for (uint64_t byte = 0; byte < v.bytes.size; byte++) {
        unsigned bit = (unsigned)byte % 8;

        EXPECT(sim_disk_flip(f.sim, NODE, path, byte, bit));
        EXPECT(reading_refuses(&f, &v));
        check_range(&f, &v, byte);
        EXPECT(sim_disk_flip(f.sim, NODE, path, byte, bit));
    }
    EXPECT(!reading_refuses(&f, &v)); /* and all is well again */
    EXPECT_OK(verify_table(&f, path, &v.info));
    release_victim(&v);
    teardown(&f);
}

TEST(table_notices_a_flipped_bit_in_any_byte)
{
    flip_everywhere(TABLE_PLAIN);
}

TEST(table_notices_a_flipped_bit_in_any_byte_under_lz4)
{
    flip_everywhere(TABLE_LZ4);
}

TEST(table_notices_a_flipped_bit_in_any_byte_under_zstd)
{
    flip_everywhere(TABLE_ZSTD);
}

TEST(table_damage_is_told_with_file_and_offset)
{
    struct fix f = setup();
    struct victim v = make_victim(&f, TABLE_PLAIN);
    struct table_found found;
    struct table *t = open_table(&f, path, &v.info);

    EXPECT(sim_disk_flip(f.sim, NODE, path, 3, 1));
    EXPECT_ST(table_get(t, v.model.entries[0].key, VERSION_MAX, TABLE_BLOCK, &found, &f.err),
              ST_CORRUPT);
    EXPECT(strstr(f.err.text, "table t.sst: the block of ") == f.err.text);
    EXPECT(strstr(f.err.text, " bytes at 0 is damaged") != NULL);
    table_close(t);
    release_victim(&v);
    teardown(&f);
}

/* ------------------------------------------------------------------ wrong lengths */

/* Cut or grown, whether or not the manifest believes the new size. */
static void
expect_refused_at_size(struct fix *f, const struct victim *v, uint64_t size)
{
    struct table_info info = v->info;
    struct table *t;

    EXPECT_ST(try_open(f, path, &info, &t), ST_CORRUPT);
    EXPECT_ST(verify_table(f, path, &info), ST_CORRUPT);
    info.file_bytes = size;
    EXPECT_ST(try_open(f, path, &info, &t), ST_CORRUPT);
    EXPECT_ST(verify_table(f, path, &info), ST_CORRUPT);
}

TEST(table_notices_a_cut_at_any_length)
{
    struct fix f = setup();
    struct victim v = make_victim(&f, TABLE_PLAIN);

    for (uint64_t size = v.bytes.size; size-- > 0;) {
        EXPECT(sim_disk_truncate(f.sim, NODE, path, size));
        expect_refused_at_size(&f, &v, size);
    }
    release_victim(&v);
    teardown(&f);
}

TEST(table_notices_bytes_that_were_added)
{
    struct fix f = setup();
    struct victim v = make_victim(&f, TABLE_PLAIN);

    for (uint64_t more = 1; more < 200; more++) {
        EXPECT(sim_disk_truncate(f.sim, NODE, path, v.bytes.size + more)); /* zeros */
        expect_refused_at_size(&f, &v, v.bytes.size + more);
    }
    release_victim(&v);
    teardown(&f);
}

/* A file that shrinks while it is open. */
TEST(table_notices_a_cut_under_its_feet)
{
    struct fix f = setup();
    struct victim v = make_victim(&f, TABLE_PLAIN);
    struct table *t = open_table(&f, path, &v.info);

    EXPECT(sim_disk_truncate(f.sim, NODE, path, data_bytes(&v) / 2));
    EXPECT(read_back(&f, t, &v.model, &cached, ST_CORRUPT));
    EXPECT(read_back(&f, t, &v.model, &bulk, ST_CORRUPT));
    EXPECT(strstr(f.err.text, " short of what it should hold") != NULL);
    table_close(t);
    release_victim(&v);
    teardown(&f);
}

TEST(table_that_is_missing_is_not_found)
{
    struct fix f = setup();
    struct victim v = make_victim(&f, TABLE_PLAIN);
    struct table *t;

    EXPECT(sim_disk_remove(f.sim, NODE, path));
    EXPECT_ST(try_open(&f, path, &v.info, &t), ST_NOT_FOUND);
    EXPECT_ST(verify_table(&f, path, &v.info), ST_NOT_FOUND);
    release_victim(&v);
    teardown(&f);
}

/* ------------------------------------------------------------------ right bytes, wrong place */

/* Twelve entries of the same size, two in a block. */
static struct victim
make_even_victim(struct fix *f, uint64_t number)
{
    struct table_options options = small_options(TABLE_PLAIN);
    struct victim v = { .bytes = buf_empty(SIZE_MAX) };
    char value[50];

    memset(value, 'v', sizeof(value));
    for (unsigned i = 0; i < 12; i++) {
        char key[16];
        struct entry e = { .version = 77, .type = ENTRY_VALUE };

        snprintf(key, sizeof(key), "k%02u", i);
        e.key = slice_str(key);
        e.value = slice_of(value, sizeof(value));
        model_put(&v.model, &e);
    }
    v.info = build(f, path, number, &options, &v.model);
    EXPECT(sim_disk_read(f->sim, NODE, path, &v.bytes));
    return v;
}

TEST(table_notices_two_blocks_that_changed_places)
{
    struct fix f = setup();
    struct victim v = make_even_victim(&f, NUMBER);
    uint64_t at[16];
    size_t count = find_blocks(&v, at, 15);
    size_t size = at[1] - at[0];
    uint8_t *copy = mem_alloc(v.bytes.size);
    uint64_t swaps = 0;

    for (size_t a = 0; a < count; a++) {
        for (size_t b = a + 1; b < count; b++) {
            if (at[a + 1] - at[a] != size || at[b + 1] - at[b] != size)
                continue;
            memcpy(copy, v.bytes.data, v.bytes.size);
            memcpy(copy + at[a], v.bytes.data + at[b], size);
            memcpy(copy + at[b], v.bytes.data + at[a], size);
            write_bytes(&f, slice_of(copy, v.bytes.size));
            EXPECT(reading_refuses(&f, &v));
            EXPECT_ST(verify_table(&f, path, &v.info), ST_CORRUPT);
            swaps++;
        }
    }
    EXPECT(swaps >= 3);
    mem_free(copy);
    release_victim(&v);
    teardown(&f);
}

/* A block that an older file left at the same place: the same offset, another table's seed. */
TEST(table_notices_a_stale_block)
{
    struct fix f = setup();
    struct victim old = make_even_victim(&f, NUMBER + 1);
    struct victim v;
    uint64_t at[16];
    uint8_t *copy;

    EXPECT_OK(env_remove(f.env, path, &f.err));
    v = make_even_victim(&f, NUMBER);
    EXPECT_U64(v.bytes.size, old.bytes.size);
    EXPECT(find_blocks(&v, at, 15) > 2);
    copy = mem_alloc(v.bytes.size);
    memcpy(copy, v.bytes.data, v.bytes.size);
    memcpy(copy + at[1], old.bytes.data + at[1], at[2] - at[1]);
    EXPECT(memcmp(copy, v.bytes.data, v.bytes.size) != 0);
    write_bytes(&f, slice_of(copy, v.bytes.size));
    EXPECT(reading_refuses(&f, &v));
    EXPECT_ST(verify_table(&f, path, &v.info), ST_CORRUPT);

    write_bytes(&f, buf_slice(&old.bytes)); /* the whole of the other file */
    EXPECT(reading_refuses(&f, &v));
    EXPECT_ST(verify_table(&f, path, &v.info), ST_CORRUPT);
    mem_free(copy);
    release_victim(&v);
    release_victim(&old);
    teardown(&f);
}

/* ------------------------------------------------------------------ a manifest that disagrees */

TEST(table_notices_a_manifest_that_means_another)
{
    struct fix f = setup();
    struct victim v = make_victim(&f, TABLE_LZ4);
    struct table_info *info = &v.info;
    uint64_t *const fields[] = { &info->seed,           &info->file_bytes,
                                 &info->entry_count,    &info->tombstone_count,
                                 &info->expiring_count, &info->raw_bytes,
                                 &info->version_min,    &info->version_max };
    struct table *t;

    for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++) {
        (*fields[i])++;
        EXPECT_ST(try_open(&f, path, info, &t), ST_CORRUPT);
        EXPECT_ST(verify_table(&f, path, info), ST_CORRUPT);
        (*fields[i])--;
    }
    info->smallest.data[0]++;
    EXPECT_ST(try_open(&f, path, info, &t), ST_CORRUPT);
    info->smallest.data[0]--;
    info->largest.size--;
    EXPECT_ST(try_open(&f, path, info, &t), ST_CORRUPT);
    info->largest.size++;
    info->checksum++;
    EXPECT_ST(verify_table(&f, path, info), ST_CORRUPT);
    EXPECT(strstr(f.err.text, "not the one that its manifest names") != NULL);
    info->checksum--;
    EXPECT_OK(verify_table(&f, path, info));
    release_victim(&v);
    teardown(&f);
}

TEST(table_of_a_newer_format_is_refused_by_name)
{
    struct fix f = setup();
    struct victim v = make_victim(&f, TABLE_PLAIN);
    uint64_t footer = v.bytes.size - FOOTER_BYTES;
    struct table *t;

    put_u32le(v.bytes.data + footer + 8, TABLE_FORMAT + 1);
    reseal(v.bytes.data, footer, FOOTER_BYTES);
    write_bytes(&f, buf_slice(&v.bytes));
    EXPECT_ST(try_open(&f, path, &v.info, &t), ST_INVALID);
    EXPECT_STR(f.err.text, "table t.sst: written in format 2 by a newer release; this one reads up "
                           "to format 1");
    EXPECT_ST(verify_table(&f, path, &v.info), ST_INVALID);
    release_victim(&v);
    teardown(&f);
}

/* ------------------------------------------------------------------ intact blocks that lie */

/* Bugs, not disks: checksums are right, but what they cover contradicts itself. */
TEST(table_verify_notices_a_filter_that_denies_a_key)
{
    struct fix f = setup();
    struct victim v = make_victim(&f, TABLE_PLAIN);
    uint64_t at = data_bytes(&v);
    uint64_t size = footer_field(&v, 32);

    memset(v.bytes.data + at, 0, 64); /* the first line */
    reseal(v.bytes.data, at, size);
    write_bytes(&f, buf_slice(&v.bytes));
    EXPECT_ST(verify_table(&f, path, &v.info), ST_CORRUPT);
    EXPECT(strstr(f.err.text, "the filter denies") != NULL);
    release_victim(&v);
    teardown(&f);
}

/* Manifest and properties agree, and are wrong together. */
TEST(table_verify_notices_counts_that_are_not_true)
{
    struct fix f = setup();
    struct victim v = make_victim(&f, TABLE_PLAIN);
    uint64_t at = data_bytes(&v) + footer_field(&v, 32) + footer_field(&v, 40);

    for (int field = 1; field < 5; field++) { /* after the seed: entries ... raw bytes */
        uint64_t *const counts[] = { NULL, &v.info.entry_count, &v.info.tombstone_count,
                                     &v.info.expiring_count, &v.info.raw_bytes };
        uint8_t *stored = v.bytes.data + at + 8 * (size_t)field;

        put_u64le(stored, ++*counts[field]);
        reseal(v.bytes.data, at, footer_field(&v, 48));
        write_bytes(&f, buf_slice(&v.bytes));
        table_close(open_table(&f, path, &v.info));
        EXPECT_ST(verify_table(&f, path, &v.info), ST_CORRUPT);
        EXPECT(strstr(f.err.text, "not those that its manifest counts") != NULL);
        put_u64le(stored, --*counts[field]);
    }
    release_victim(&v);
    teardown(&f);
}

TEST(table_verify_notices_entries_out_of_order)
{
    struct fix f = setup();
    struct victim v = make_even_victim(&f, NUMBER);
    uint64_t at[16];
    const uint8_t *second;
    uint64_t key;

    EXPECT(find_blocks(&v, at, 15) > 2);
    second = memmem(v.bytes.data + at[1], at[2] - at[1], "k02", 3);
    EXPECT(second != NULL);
    key = (uint64_t)(second - v.bytes.data);
    v.bytes.data[key + 2] = '9'; /* k09 before k03 */
    reseal(v.bytes.data, at[1], at[2] - at[1]);
    write_bytes(&f, buf_slice(&v.bytes));
    EXPECT_ST(verify_table(&f, path, &v.info), ST_CORRUPT);
    EXPECT(strstr(f.err.text, "has an entry that belongs after it") != NULL);

    v.bytes.data[key + 2] = '0'; /* k00, which the block before has */
    reseal(v.bytes.data, at[1], at[2] - at[1]);
    write_bytes(&f, buf_slice(&v.bytes));
    EXPECT_ST(verify_table(&f, path, &v.info), ST_CORRUPT);
    release_victim(&v);
    teardown(&f);
}

/* The parts after the data: every byte set to anything, with a right checksum, is refused or
 * harmless; nothing crashes.  (What it then reads may be wrong: that is not damage.) */
TEST(table_survives_a_tail_of_intact_nonsense)
{
    struct fix f = setup();
    struct victim v = make_victim(&f, TABLE_PLAIN);
    uint64_t parts[4][2] = { { data_bytes(&v), footer_field(&v, 32) } };
    struct prng p;

    prng_init(&p, test_seed(41));
    for (int i = 1; i < 3; i++) {
        parts[i][0] = parts[i - 1][0] + parts[i - 1][1];
        parts[i][1] = footer_field(&v, 32 + 8 * (size_t)i);
    }
    parts[3][0] = v.bytes.size - FOOTER_BYTES;
    parts[3][1] = FOOTER_BYTES;
    for (int round = 0; round < 3000; round++) {
        uint64_t *part = parts[prng_below(&p, 4)];
        uint64_t at = part[0] + prng_below(&p, part[1] - 8);
        uint8_t was = v.bytes.data[at];
        struct table *t;

        v.bytes.data[at] = (uint8_t)prng_next(&p);
        reseal(v.bytes.data, part[0], part[1]);
        write_bytes(&f, buf_slice(&v.bytes));
        if (try_open(&f, path, &v.info, &t) == ST_OK) {
            struct table_iter *it;

            EXPECT_OK(table_iter_create(t, &bulk, &it));
            for (enum status st = table_iter_first(it, NULL); st == ST_OK;)
                st = table_iter_next(it, NULL);
            table_iter_destroy(it);
            table_close(t);
        }
        if (v.bytes.data[at] != was)
            EXPECT(verify_table(&f, path, &v.info) != ST_OK);
        v.bytes.data[at] = was;
        reseal(v.bytes.data, part[0], part[1]);
    }
    release_victim(&v);
    teardown(&f);
}

TEST_MAIN(RUN(table_notices_a_flipped_bit_in_any_byte),
          RUN(table_notices_a_flipped_bit_in_any_byte_under_lz4),
          RUN(table_notices_a_flipped_bit_in_any_byte_under_zstd),
          RUN(table_damage_is_told_with_file_and_offset), RUN(table_notices_a_cut_at_any_length),
          RUN(table_notices_bytes_that_were_added), RUN(table_notices_a_cut_under_its_feet),
          RUN(table_that_is_missing_is_not_found),
          RUN(table_notices_two_blocks_that_changed_places), RUN(table_notices_a_stale_block),
          RUN(table_notices_a_manifest_that_means_another),
          RUN(table_of_a_newer_format_is_refused_by_name),
          RUN(table_verify_notices_a_filter_that_denies_a_key),
          RUN(table_verify_notices_counts_that_are_not_true),
          RUN(table_verify_notices_entries_out_of_order),
          RUN(table_survives_a_tail_of_intact_nonsense))
