/* The catalogue as bytes: docs/formats/catalogue.md and the code say the same, and nothing else is believed. */
#include "base/coding.h"
#include "base/hash.h"
#include "base/mem.h"

#include "engine/catalogue.h"
#include "simenv/simenv.h"
#include "unit/example.h"

enum { NODE = 1, STORE_BYTES_MAX = 1 << 16, HEADER_BYTES = 32 };

#define STORE UINT64_C(0x0102030405060708)

static const struct catalogue_line lines[] = {
    { .kind = CATALOGUE_TREE, .id = 7, .log = 0x5555555555555555 },
    { .kind = CATALOGUE_GONE, .id = 7 },
    { .kind = CATALOGUE_GONE, .id = 9 },
    { .kind = CATALOGUE_OATH,
      .id = 7,
      .oath = { .term = 5, .vote = 2, .log_term = 4, .log_index = 300 } },
    { .kind = CATALOGUE_OATH, .id = 9, .oath = { .term = 3 } },
};

struct shelf {
    struct sim *w;
    struct env *env;
    struct catalogue catalogue;
    struct buf bytes;
    enum status status;
};

static void
begin(struct shelf *s)
{
    *s = (struct shelf){ .w = sim_create(test_seed(1)), .bytes = buf_empty(STORE_BYTES_MAX) };
    s->env = sim_boot(s->w, NODE, 0);
    EXPECT_OK(env_make_dir(s->env, "data", NULL));
}

static void
finish(struct shelf *s)
{
    catalogue_release(&s->catalogue);
    buf_release(&s->bytes);
    sim_end(s->w, NODE);
    sim_destroy(s->w);
}

static void
store(void *ctx)
{
    struct shelf *s = ctx;

    EXPECT_OK(catalogue_copy(&(struct catalogue){ 0 }, 5, &s->catalogue));
    for (size_t i = 5; i-- > 0;)
        catalogue_put(&s->catalogue, &lines[i]);
    EXPECT_OK(catalogue_store(&s->catalogue, s->env, "data", STORE, NULL));
    catalogue_release(&s->catalogue);
}

static void
load(void *ctx)
{
    struct shelf *s = ctx;

    catalogue_release(&s->catalogue);
    s->status = catalogue_load(&s->catalogue, s->env, "data", STORE, NULL);
}

/* The bytes with a checksum that is right, on the disk and read from there. */
static enum status
load_bytes(struct shelf *s)
{
    struct slice before = slice_of(s->bytes.data, s->bytes.size - 8);

    put_u64le(s->bytes.data + before.size, hash64_seeded(before, STORE));
    EXPECT(sim_disk_write(s->w, NODE, "data/CATALOGUE", buf_slice(&s->bytes)));
    EXPECT(sim_call(s->w, NODE, load, s));
    return s->status;
}

static void
store_and_read(struct shelf *s)
{
    EXPECT(sim_call(s->w, NODE, store, s));
    EXPECT(sim_disk_read(s->w, NODE, "data/CATALOGUE", &s->bytes));
}

TEST(the_example_in_the_document_is_what_the_code_writes)
{
    struct shelf s;

    begin(&s);
    store_and_read(&s);
    example_bytes("CATALOGUE", buf_slice(&s.bytes), 0, s.bytes.size);
    EXPECT_EXAMPLE(DOCUMENT);
    finish(&s);
}

TEST(what_was_stored_is_found_again)
{
    struct shelf s;

    begin(&s);
    store_and_read(&s);
    EXPECT_OK(load_bytes(&s));
    EXPECT_U64(s.catalogue.count, 5);
    EXPECT_U64(s.catalogue.sequence, 1);
    EXPECT_U64(catalogue_find(&s.catalogue, CATALOGUE_TREE, 7)->log, 0x5555555555555555);
    EXPECT(catalogue_find(&s.catalogue, CATALOGUE_TREE, 9) == NULL);
    EXPECT(catalogue_find(&s.catalogue, CATALOGUE_GONE, 9) != NULL);
    EXPECT_U64(catalogue_find(&s.catalogue, CATALOGUE_OATH, 7)->oath.vote, 2);
    EXPECT(catalogue_has_log(&s.catalogue, 0x5555555555555555));
    EXPECT(catalogue_has_log(&s.catalogue, 9) && !catalogue_has_log(&s.catalogue, 8));
    catalogue_take(&s.catalogue, CATALOGUE_GONE, 7);
    EXPECT(!catalogue_has_log(&s.catalogue, 7));
    EXPECT_U64(s.catalogue.count, 4);
    finish(&s);
}

/* Ids alone, in the order in which the trees were made. */
TEST(a_catalogue_of_the_first_format_is_read)
{
    static const uint64_t ids[] = { 9, 7, 8 };
    struct shelf s;
    uint8_t *at;

    begin(&s);
    store_and_read(&s);
    at = s.bytes.data;
    put_u32le(at + 8, 1);
    put_u32le(at + 12, 3);
    for (size_t i = 0; i < 3; i++)
        put_u64le(at + HEADER_BYTES + 8 * i, ids[i]);
    s.bytes.size = HEADER_BYTES + sizeof(ids) + 8;
    EXPECT_OK(load_bytes(&s));
    EXPECT_U64(s.catalogue.count, 3);
    for (uint32_t i = 0; i < 3; i++) {
        EXPECT_U64(s.catalogue.lines[i].id, 7 + i);
        EXPECT_U64(s.catalogue.lines[i].log, 7 + i);
    }
    finish(&s);
}

TEST(what_no_program_of_ours_writes_is_refused)
{
    static const struct {
        size_t at;
        uint32_t value;
        enum status want;
    } changes[] = {
        { 8, 3, ST_INVALID },                  /* a newer format */
        { 12, 6, ST_CORRUPT },                 /* more lines than there are */
        { 12, UINT32_MAX, ST_CORRUPT },        /* likewise */
        { HEADER_BYTES, 4, ST_CORRUPT },       /* an unknown kind */
        { HEADER_BYTES, 0, ST_CORRUPT },       /* likewise */
        { HEADER_BYTES + 8, 0, ST_CORRUPT },   /* no id */
        { HEADER_BYTES + 56, 9, ST_CORRUPT },  /* a line twice */
        { HEADER_BYTES + 56, 10, ST_CORRUPT }, /* and out of order */
    };
    struct shelf s;

    begin(&s);
    store_and_read(&s);
    for (size_t i = 0; i < sizeof(changes) / sizeof(changes[0]); i++) {
        uint8_t *at = s.bytes.data + changes[i].at;
        uint32_t before = get_u32le(at);

        put_u32le(at, changes[i].value);
        EXPECT_ST(load_bytes(&s), changes[i].want);
        put_u32le(at, before);
    }
    EXPECT_OK(load_bytes(&s));
    EXPECT(sim_disk_flip(s.w, NODE, "data/CATALOGUE", 50, 3));
    EXPECT(sim_call(s.w, NODE, load, &s));
    EXPECT_ST(s.status, ST_CORRUPT);
    finish(&s);
}

QUIET_TEST_MAIN(RUN(the_example_in_the_document_is_what_the_code_writes),
                RUN(what_was_stored_is_found_again), RUN(a_catalogue_of_the_first_format_is_read),
                RUN(what_no_program_of_ours_writes_is_refused))
