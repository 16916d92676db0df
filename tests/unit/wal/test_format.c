/* docs/formats/log.md and the code say the same: the example in the document is made anew. */
#include "unit/wal/fixture.h"

enum { DUMP_MAX = 1 << 16 };

static char dump[DUMP_MAX];

static void PRINTF_LIKE(1, 2) say(const char *fmt, ...)
{
    size_t used = strlen(dump);
    va_list args;

    va_start(args, fmt);
    vsnprintf(dump + used, sizeof(dump) - used, fmt, args);
    va_end(args);
}

static void
say_line(const struct buf *bytes, uint64_t offset, uint64_t limit)
{
    say("%06llx ", (unsigned long long)offset);
    for (uint64_t i = 0; i < 16; i++) {
        if (offset + i < limit)
            say(" %02x", bytes->data[offset + i]);
        else
            say("   ");
    }
    say("  ");
    for (uint64_t i = offset; i < offset + 16 && i < limit; i++)
        say("%c", bytes->data[i] >= 0x20 && bytes->data[i] < 0x7f ? bytes->data[i] : '.');
    say("\n");
}

/* The bytes [begin, limit) of a file. */
static void
say_bytes(struct fix *f, const char *name, const char *what, uint64_t begin, uint64_t limit)
{
    struct buf bytes = buf_empty(SIZE_MAX / 2);

    read_file(f, name, &bytes);
    say("%s%s, %s\n", dump[0] == '\0' ? "" : "\n", name, what);
    for (uint64_t at = begin; at < limit; at += 16)
        say_line(&bytes, at, at + 16 < limit ? at + 16 : limit);
    buf_release(&bytes);
}

/* The document's only block between lines of three backquotes. */
static void
read_example(char *out)
{
    FILE *file = fopen(DOCUMENT, "r");
    char line[2000];
    bool inside = false;
    size_t used = 0;

    assert_non_null(file);
    out[0] = '\0';
    while (fgets(line, sizeof(line), file) != NULL) {
        if (strncmp(line, "```", 3) == 0)
            inside = !inside;
        else if (inside)
            used += (size_t)snprintf(out + used, DUMP_MAX - used, "%s", line);
    }
    fclose(file);
}

static const char *const first = "0000000000000001.log";
static const char *const second = "0000000000000002.log";

static void
make_example(struct fix *f)
{
    uint64_t big, seal, mark;

    f->options.dir = LOG;
    tend(f);
    append_head(f, 7, "term 2, vote 3");
    append(f, "put k v");
    flush(f, true);
    big = f->wal->at;
    append_big(f, 61210, 'x');
    seal = f->wal->at;
    append(f, "put k w");
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
    say_bytes(f, second, "an entry", 4096 + FOLLOW_BYTES + 48, mark);
    say_bytes(f, second, "the mark", mark, mark + MARK_BYTES);
}

TEST(the_example_in_the_document_is_what_the_code_writes)
{
    static char example[DUMP_MAX];
    struct fix *f = setup_plain(1, UINT64_C(0x0102030405060708), true);

    make_example(f);
    read_example(example);
    if (strcmp(example, dump) != 0)
        fprintf(stderr, "%s should have:\n%s", DOCUMENT, dump);
    EXPECT(strcmp(example, dump) == 0);
    teardown(f);
}

TEST_MAIN(RUN(the_example_in_the_document_is_what_the_code_writes))
