/* The pure parts of the command line: words, records, base64, figures. */
#include <errno.h>
#include <fcntl.h>

#include "base/prng.h"

#include "api/command.h"
#include "cli/base64.h"
#include "cli/records.h"
#include "cli/run.h"
#include "cli/show.h"
#include "cli/words.h"
#include "unit/test.h"

TEST(put_takes_the_rest_of_the_line_verbatim)
{
    struct words w;

    words_init(&w);
    EXPECT_OK(words_split(&w, slice_str("PUT user:1  {\"name\": \"Al'ice\"} ")));
    EXPECT_U64(w.count, 3);
    EXPECT_SLICE(w.word[1], "user:1");
    EXPECT_SLICE(w.word[2], " {\"name\": \"Al'ice\"} ");
    EXPECT_OK(words_split(&w, slice_str("put k")));
    EXPECT_U64(w.count, 2);
    words_release(&w);
}

TEST(other_commands_are_split_as_redis_cli_does)
{
    struct words w;

    words_init(&w);
    EXPECT_OK(words_split(&w, slice_str("  SET \"a key\" 'it\\'s' \"\\x41\" ")));
    EXPECT_U64(w.count, 4);
    EXPECT_SLICE(w.word[1], "a key");
    EXPECT_SLICE(w.word[2], "it's");
    EXPECT_SLICE(w.word[3], "A");
    EXPECT_ST(words_split(&w, slice_str("SET \"open")), ST_INVALID);
    EXPECT_OK(words_split(&w, slice_str("   ")));
    EXPECT_U64(w.count, 0);
    words_release(&w);
}

TEST(base64_of_any_bytes_comes_back)
{
    struct buf text = buf_empty(4096);
    struct buf back = buf_empty(4096);
    uint8_t bytes[100];
    struct prng p;

    prng_init(&p, test_seed(3));
    for (size_t size = 0; size < sizeof(bytes); size++) {
        text.size = 0;
        back.size = 0;
        for (size_t i = 0; i < size; i++)
            bytes[i] = (uint8_t)prng_next(&p);
        EXPECT_OK(base64_encode(slice_of(bytes, size), &text));
        EXPECT_OK(base64_decode(buf_slice(&text), &back));
        EXPECT(slice_equal(buf_slice(&back), slice_of(bytes, size)));
    }
    EXPECT_ST(base64_decode(slice_str("abc"), &back), ST_INVALID);
    EXPECT_ST(base64_decode(slice_str("ab=c"), &back), ST_INVALID);
    EXPECT_ST(base64_decode(slice_str("a b="), &back), ST_INVALID);
    buf_release(&text);
    buf_release(&back);
}

static void
round_trip(enum record_format format)
{
    static const char *const texts[] = { "plain",           "",
                                         "with,comma",      "quote\"d",
                                         "two\nlines",      "\r\n",
                                         "\xff\x00 binary", "{\"name\":\"Alice\"}" };
    FILE *file = tmpfile();
    struct record_reader *reader = NULL;
    struct record r;
    struct err err;

    assert_non_null(file);
    EXPECT_OK(record_write_header(file, format));
    for (size_t i = 1; i < sizeof(texts) / sizeof(texts[0]); i++)
        EXPECT_OK(record_write(file, format, slice_str(texts[i - 1]), slice_str(texts[i]),
                               i % 2 == 0 ? 1767225600000 + i : 0));
    rewind(file);
    record_init(&r);
    EXPECT_OK(record_reader_create(&reader, file, format));
    for (size_t i = 1; i < sizeof(texts) / sizeof(texts[0]); i++) {
        EXPECT_OK(record_read(reader, &r, &err));
        EXPECT_SLICE(buf_slice(&r.key), texts[i - 1]);
        EXPECT_SLICE(buf_slice(&r.value), texts[i]);
        EXPECT_U64(r.expires_ms, i % 2 == 0 ? 1767225600000 + i : 0);
    }
    EXPECT_ST(record_read(reader, &r, &err), ST_NOT_FOUND);
    record_reader_destroy(reader);
    record_release(&r);
    fclose(file);
}

TEST(records_survive_json_lines)
{
    round_trip(RECORD_JSONL);
}

TEST(records_survive_csv)
{
    round_trip(RECORD_CSV);
}

/* So many records, then the end (fault NULL) or this fault. */
static void
expect_fault(enum record_format format, const char *text, int records, const char *fault)
{
    FILE *file = tmpfile();
    struct record_reader *reader = NULL;
    struct record r;
    struct err err;

    assert_non_null(file);
    fputs(text, file);
    rewind(file);
    record_init(&r);
    EXPECT_OK(record_reader_create(&reader, file, format));
    for (int i = 0; i < records; i++)
        EXPECT_OK(record_read(reader, &r, &err));
    if (fault == NULL) {
        EXPECT_ST(record_read(reader, &r, &err), ST_NOT_FOUND);
    } else {
        EXPECT_ST(record_read(reader, &r, &err), ST_INVALID);
        if (strncmp(err.text, fault, strlen(fault)) != 0)
            fail_msg("%s: got \"%s\", expected \"%s\"", text, err.text, fault);
    }
    record_reader_destroy(reader);
    record_release(&r);
    fclose(file);
}

TEST(a_bad_record_is_named_by_its_line)
{
    const char *record = "{\"key\":\"a\",\"value\":\"1\"}\n";
    char text[256];

    snprintf(text, sizeof(text), "%s\n{\"key\":\"b\"}\n", record);
    expect_fault(RECORD_JSONL, text, 1, "line 3: \"value\", or \"value_base64\", is missing");
    snprintf(text, sizeof(text), "%s[1]\n", record);
    expect_fault(RECORD_JSONL, text, 1, "line 2: not an object");
    snprintf(text, sizeof(text), "%s{\"key\":\"b\",\"value\":\"2\"", record);
    expect_fault(RECORD_JSONL, text, 1, "line 2: '}' expected");
    expect_fault(RECORD_JSONL, "{\"key\":1,\"value\":\"2\"}", 0, "line 1: \"key\", or");
    expect_fault(RECORD_JSONL, "{\"key\":\"k\",\"value_base64\":\"#\"}", 0,
                 "line 1: \"value_base64\" is not base64");
    expect_fault(RECORD_JSONL, "[{\"key\":\"k\",\"value\":\"v\"}]", 0,
                 "line 1: an array begins here");

    expect_fault(RECORD_CSV, "key,value\na,1\nb\nc,1\n", 1, "line 3: a key alone");
    expect_fault(RECORD_CSV, "key,value\na,\"1\n2\"\nb,2,x\n", 1, "line 4: the third column");
    expect_fault(RECORD_CSV, "key,value,expires_ms\na,1,-5\n", 0, "line 2: the third column");
    expect_fault(RECORD_CSV, "key,value,expires_ms\na,1,5,6\n", 0, "line 2: more than three");
    expect_fault(RECORD_CSV, "key,value\na,\"1\n", 0, "line 2: quotes that do not close");
    expect_fault(RECORD_CSV, "key,value\na,\"1\"2\n", 0, "line 2: quotes that do not close");
    expect_fault(RECORD_CSV, "value,key\n1,a\n", 0, "line 1: the columns are key, value");
    expect_fault(RECORD_CSV, "VALUE,1\na,1\n", 0, "line 1: the columns are key, value");
}

TEST(what_other_programs_write_around_records_is_passed_over)
{
    expect_fault(RECORD_JSONL, "\xef\xbb\xbf{\"key\":\"a\",\"value\":\"1\"}\r\n\r\n", 1, NULL);
    expect_fault(RECORD_CSV, "\xef\xbb\xbfkey,value\r\na,1\r\n\r\nb,2\r\n\r\n", 2, NULL);
    expect_fault(RECORD_CSV, "\xef\xbd\x8b,1\n", 1, NULL); /* a letter that begins like the mark */
    expect_fault(RECORD_CSV, "a,1\nkey,2\nvalue,3\n", 3, NULL); /* no line names the columns */
    expect_fault(RECORD_CSV, "Key,1\na,1\n", 1, NULL);
    expect_fault(RECORD_CSV, "key,value\nkey,1\nvalue,2\n", 2, NULL);
    expect_fault(RECORD_CSV, "", 0, NULL);
    expect_fault(RECORD_JSONL, "", 0, NULL);
}

/* So many records, then a read that fails: a pipe that has no more for now, and may not be awaited. */
static void
expect_cut(enum record_format format, const char *text, int records)
{
    struct record_reader *reader = NULL;
    struct record r;
    struct err err;
    FILE *file;
    int ends[2];

    EXPECT(pipe2(ends, O_NONBLOCK) == 0);
    EXPECT_U64(write(ends[1], text, strlen(text)), strlen(text));
    file = fdopen(ends[0], "r");
    assert_non_null(file);
    record_init(&r);
    EXPECT_OK(record_reader_create(&reader, file, format));
    for (int i = 0; i < records; i++)
        EXPECT_OK(record_read(reader, &r, &err));
    if (record_read(reader, &r, &err) != ST_IO)
        fail_msg("\"%s\" and a failed read are taken for a record, or for its end", text);
    record_reader_destroy(reader);
    record_release(&r);
    fclose(file);
    close(ends[1]);
}

TEST(what_stands_before_a_failed_read_is_no_record)
{
    static const char *const csv[] = { "k2",       "k2,",        "k2,complete-val", "k2,\"v",
                                       "k2,\"v\"", "k2,\"v\"\r", "k2,v,",           "k2,v,17" };
    static const char *const jsonl[] = { "{\"key\":\"b\",\"val", "{\"key\":\"b\",\"value\":\"2\"}",
                                         " " };
    char text[128];

    for (size_t i = 0; i < sizeof(csv) / sizeof(csv[0]); i++) {
        snprintf(text, sizeof(text), "key,value\nk1,v1\n%s", csv[i]);
        expect_cut(RECORD_CSV, text, 1);
        expect_cut(RECORD_CSV, csv[i], 0);
    }
    for (size_t i = 0; i < sizeof(jsonl) / sizeof(jsonl[0]); i++) {
        snprintf(text, sizeof(text), "{\"key\":\"a\",\"value\":\"1\"}\n%s", jsonl[i]);
        expect_cut(RECORD_JSONL, text, 1);
        expect_cut(RECORD_JSONL, jsonl[i], 0);
    }
    expect_cut(RECORD_CSV, "", 0);
    expect_cut(RECORD_JSONL, "", 0);
}

/* At the beginning, too, it must not be read again: that would wait for what Ctrl-C has ended. */
static ssize_t
fail_once(void *ctx, char *out, size_t size)
{
    static const char record[] = "{\"key\":\"a\",\"value\":\"1\"}\n";
    int *reads = ctx;

    assert_true(size > sizeof(record));
    errno = EINTR;
    if ((*reads)++ == 0)
        return -1;
    memcpy(out, record, sizeof(record) - 1);
    return sizeof(record) - 1;
}

TEST(a_reader_reads_no_more_when_its_first_read_has_failed)
{
    for (int format = RECORD_JSONL; format <= RECORD_CSV; format++) {
        int reads = 0;
        FILE *file = fopencookie(&reads, "r", (cookie_io_functions_t){ .read = fail_once });
        struct record_reader *reader = NULL;
        struct record r;
        struct err err;

        assert_non_null(file);
        record_init(&r);
        EXPECT_OK(record_reader_create(&reader, file, (enum record_format)format));
        EXPECT_ST(record_read(reader, &r, &err), ST_IO);
        EXPECT_U64(reads, 1);
        record_reader_destroy(reader);
        record_release(&r);
        fclose(file);
    }
}

TEST(every_command_of_the_server_has_help_and_completion)
{
    for (uint32_t i = 0; i < command_table_count; i++) {
        if (command_help_of(slice_str(command_table[i].name)) == NULL)
            fail_msg("there is no help on %s", command_table[i].name);
    }
}

TEST(figures_are_readable)
{
    char text[SHOW_MAX];

    EXPECT_STR(show_count(0, text), "0");
    EXPECT_STR(show_count(999, text), "999");
    EXPECT_STR(show_count(1234567, text), "1,234,567");
    EXPECT_STR(show_bytes(512, text), "512 B");
    EXPECT_STR(show_bytes(1536, text), "1.5 KB");
}

TEST_MAIN(RUN(put_takes_the_rest_of_the_line_verbatim),
          RUN(other_commands_are_split_as_redis_cli_does), RUN(base64_of_any_bytes_comes_back),
          RUN(records_survive_json_lines), RUN(records_survive_csv),
          RUN(a_bad_record_is_named_by_its_line),
          RUN(what_other_programs_write_around_records_is_passed_over),
          RUN(what_stands_before_a_failed_read_is_no_record),
          RUN(a_reader_reads_no_more_when_its_first_read_has_failed),
          RUN(every_command_of_the_server_has_help_and_completion), RUN(figures_are_readable))
