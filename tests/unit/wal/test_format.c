/* docs/formats/log.md and the code say the same: the example in the document is made anew. */
#include "unit/example.h"
#include "unit/wal/fixture.h"

/* The bytes [begin, limit) of a file. */
static void
say_bytes(struct fix *f, const char *name, const char *what, uint64_t begin, uint64_t limit)
{
    struct buf bytes = buf_empty(SIZE_MAX / 2);
    char title[100];

    read_file(f, name, &bytes);
    snprintf(title, sizeof(title), "%s, %s", name, what);
    example_bytes(title, buf_slice(&bytes), begin, limit);
    buf_release(&bytes);
}

static const char *const first = "0000000000000001.log";
static const char *const second = "0000000000000002.log";

static void
make_example(struct fix *f)
{
    uint64_t big, seal, cut, mark;

    f->options.dir = LOG;
    tend(f);
    append_head(f, 7, "term 2, vote 3");
    append(f, "put k v");
    flush(f, true);
    big = f->wal->at;
    append_big(f, 61210, 'x');
    seal = f->wal->at;
    append(f, "put k w");
    cut = f->wal->at;
    append_cut(f, 1, 2);
    mark = f->wal->at;
    reopen(f);

    say_bytes(f, "CHAIN", "two copies", 0, file_bytes(f, "CHAIN"));
    say_bytes(f, first, "the header", 0, 64);
    say_bytes(f, first, "the end of the header", 4080, 4096);
    say_bytes(f, first, "a hard state", 4096, 4096 + 32 + 2 + 14);
    say_bytes(f, first, "an entry", 4096 + 48, big);
    say_bytes(f, first, "the large entry begins", big, big + 48);
    say_bytes(f, first, "the seal", seal, seal + SEAL_BYTES);
    say_bytes(f, second, "the header", 0, 64);
    say_bytes(f, second, "the follow record", 4096, 4096 + FOLLOW_BYTES);
    say_bytes(f, second, "the hard state again", 4096 + FOLLOW_BYTES, 4096 + FOLLOW_BYTES + 48);
    say_bytes(f, second, "an entry", 4096 + FOLLOW_BYTES + 48, cut);
    say_bytes(f, second, "a cut", cut, mark);
    say_bytes(f, second, "the mark", mark, mark + MARK_BYTES);
}

TEST(the_example_in_the_document_is_what_the_code_writes)
{
    struct fix *f = setup_plain(1, UINT64_C(0x0102030405060708), true);

    make_example(f);
    EXPECT_EXAMPLE(DOCUMENT);
    teardown(f);
}

TEST_MAIN(RUN(the_example_in_the_document_is_what_the_code_writes))
