/* Tests of base/log.h.  The sink of most tests keeps what it is given in `caught`; the clock
 * stands still. */
#include <errno.h>
#include <float.h>
#include <jansson.h>
#include <locale.h>
#include <math.h>
#include <pthread.h>
#include <stdatomic.h>

#include "base/limits.h"
#include "base/log.h"
#include "base/prng.h"

#include "unit/test.h"

#define STAMP "2026-11-20T17:31:55.123Z"
#define HEAD  "ts=" STAMP " level=info event=t.e"

static struct {
    char bytes[2 * LIMIT_LOG_LINE_BYTES];
    size_t size;
    int writes;
} caught;

static void
catch_line(void *ctx, struct slice line)
{
    EXPECT(ctx == &caught);
    assert_in_range(line.size, 1, LIMIT_LOG_LINE_BYTES); /* L2 */
    memcpy(caught.bytes, line.data, line.size);
    caught.bytes[line.size] = '\0';
    caught.size = line.size;
    caught.writes++;
}

static uint64_t
stopped_clock(void *ctx)
{
    EXPECT(ctx == &caught);
    return UINT64_C(1795195915123);
}

static void
setup(enum log_format format)
{
    struct log_sink sink = { LOG_INFO, format, catch_line, stopped_clock, &caught };

    memset(&caught, 0, sizeof(caught));
    log_set_sink(&sink);
}

/* The line as the JSON parser reads it; L1. */
static json_t *
parsed(void)
{
    json_error_t error;
    json_t *json =
        json_loadb(caught.bytes, caught.size, JSON_ALLOW_NUL | JSON_REJECT_DUPLICATES, &error);

    if (json == NULL)
        print_error("%s, in: %s\n", error.text, caught.bytes);
    assert_non_null(json);
    EXPECT(memchr(caught.bytes, '\n', caught.size) == caught.bytes + caught.size - 1);
    return json;
}

static struct slice
member(json_t *json, const char *name)
{
    json_t *value = json_object_get(json, name);

    EXPECT(json_is_string(value));
    return slice_of(json_string_value(value), json_string_length(value));
}

TEST(logfmt_line_has_time_level_event_and_typed_fields)
{
    setup(LOG_LOGFMT);
    log_event(LOG_WARN, "wal.torn_tail", log_str("file", "data/1.wal"), log_u64("bytes", 512),
              log_f64("share", 0.25));
    EXPECT_STR(caught.bytes, "ts=" STAMP " level=warn event=wal.torn_tail file=data/1.wal "
                             "bytes=512 share=0.25\n");
    log_write(LOG_INFO, "t.e", NULL, 0);
    EXPECT_STR(caught.bytes, HEAD "\n");
    EXPECT_U64(caught.writes, 2);
}

TEST(json_line_has_time_level_event_and_typed_fields)
{
    setup(LOG_JSON);
    log_event(LOG_EMERGENCY, "disk.full", log_str("path", "a \"b\""), log_u64("free", UINT64_MAX),
              log_f64("share", -0.5));
    EXPECT_STR(caught.bytes,
               "{\"ts\":\"" STAMP "\",\"level\":\"emergency\",\"event\":\"disk.full\","
               "\"path\":\"a \\\"b\\\"\",\"free\":18446744073709551615,"
               "\"share\":-0.5}\n");
    log_write(LOG_INFO, "t.e", NULL, 0);
    EXPECT_STR(caught.bytes, "{\"ts\":\"" STAMP "\",\"level\":\"info\",\"event\":\"t.e\"}\n");
}

TEST(logfmt_quotes_what_a_reader_could_take_apart)
{
    static const struct {
        const char *value;
        const char *shown;
    } cases[] = {
        { "plain-text/1.0_(x)", "plain-text/1.0_(x)" },
        { "", "\"\"" },
        { "two words", "\"two words\"" },
        { "a=b", "\"a=b\"" },
        { "say \"x\"", "\"say \\\"x\\\"\"" },
        { "c:\\d", "\"c:\\\\d\"" },
        { "one\ntwo\r\n\tthree", "\"one\\ntwo\\r\\n\\tthree\"" },
        { "\x1b[2J\x7f", "\"\\u001b[2J\\u007f\"" },
        { "gr\xc3\xbc\xc3\x9f dich", "\"gr\xc3\xbc\xc3\x9f dich\"" },
        { "\xf0\x9f\x90\x98", "\"\xf0\x9f\x90\x98\"" },
        { "\xc2\x9b"
          "2J",
          "\"\\u009b2J\"" }, /* a terminal's control, in UTF-8 */
        { "a\xe2\x80\xa8"
          "b",
          "\"a\\u2028b\"" }, /* a line end, to some readers */
        { "key\xff\x00", "\"key\\u00ff\"" },
    };

    setup(LOG_LOGFMT);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char want[200];

        snprintf(want, sizeof(want), HEAD " v=%s\n", cases[i].shown);
        log_event(LOG_INFO, "t.e", log_str("v", cases[i].value));
        EXPECT_STR(caught.bytes, want);
    }
    log_event(LOG_INFO, "t.e", log_str("v", NULL));
    EXPECT_STR(caught.bytes, HEAD " v=\"\"\n");
    log_event(LOG_INFO, "t.e", log_slice("v", slice_of("a\0b", 3)));
    EXPECT_STR(caught.bytes, HEAD " v=\"a\\u0000b\"\n");
}

TEST(bytes_that_are_not_utf8_become_escapes)
{
    static const struct {
        const char *bytes;
        const char *shown;
    } cases[] = {
        { "\x80", "\\u0080" },                                  /* a continuation of nothing */
        { "\xc3", "\\u00c3" },                                  /* cut */
        { "\xe2\x82", "\\u00e2\\u0082" },                       /* cut */
        { "\xc3(", "\\u00c3(" },                                /* not continued */
        { "\xe2\x82\xc3\xbc", "\\u00e2\\u0082\xc3\xbc" },       /* in step again after it */
        { "\xc0\x80", "\\u00c0\\u0080" },                       /* NUL, too long */
        { "\xc1\xbf", "\\u00c1\\u00bf" },                       /* DEL, too long */
        { "\xe0\x9f\xbf", "\\u00e0\\u009f\\u00bf" },            /* U+07FF, too long */
        { "\xf0\x8f\xbf\xbf", "\\u00f0\\u008f\\u00bf\\u00bf" }, /* U+FFFF, too long */
        { "\xed\xa0\x80", "\\u00ed\\u00a0\\u0080" },            /* a surrogate */
        { "\xed\xbf\xbf", "\\u00ed\\u00bf\\u00bf" },            /* a surrogate */
        { "\xf4\x90\x80\x80", "\\u00f4\\u0090\\u0080\\u0080" }, /* beyond U+10FFFF */
        { "\xf5\x80\x80\x80", "\\u00f5\\u0080\\u0080\\u0080" },
        { "\xff\xfe", "\\u00ff\\u00fe" },
        { "\xed\x9f\xbf", "\xed\x9f\xbf" },         /* the last before the surrogates */
        { "\xee\x80\x80", "\xee\x80\x80" },         /* the first after them */
        { "\xf4\x8f\xbf\xbf", "\xf4\x8f\xbf\xbf" }, /* U+10FFFF */
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char want[200];

        setup(LOG_LOGFMT);
        snprintf(want, sizeof(want), HEAD " v=\"%s\"\n", cases[i].shown);
        log_event(LOG_INFO, "t.e", log_str("v", cases[i].bytes));
        EXPECT_STR(caught.bytes, want);

        setup(LOG_JSON);
        snprintf(want, sizeof(want), ",\"v\":\"%s\"}\n", cases[i].shown);
        log_event(LOG_INFO, "t.e", log_str("v", cases[i].bytes));
        assert_non_null(strstr(caught.bytes, want));
        json_decref(parsed());
    }
}

/* Every character that there is, in pieces: what is UTF-8 reads back as it was. */
TEST(json_gives_back_every_character)
{
    enum { PIECE = 100 };

    setup(LOG_JSON);
    for (uint32_t code = 0; code < 0x110000; code += PIECE) {
        uint8_t text[4 * PIECE];
        size_t size = 0;
        json_t *json;

        for (uint32_t c = code; c < code + PIECE && c < 0x110000; c++) {
            if (c >= 0xd800 && c < 0xe000)
                continue;
            if (c < 0x80) {
                text[size++] = (uint8_t)c;
                continue;
            }
            if (c < 0x800) {
                text[size++] = (uint8_t)(0xc0 | c >> 6);
            } else if (c < 0x10000) {
                text[size++] = (uint8_t)(0xe0 | c >> 12);
                text[size++] = (uint8_t)(0x80 | (c >> 6 & 0x3f));
            } else {
                text[size++] = (uint8_t)(0xf0 | c >> 18);
                text[size++] = (uint8_t)(0x80 | (c >> 12 & 0x3f));
                text[size++] = (uint8_t)(0x80 | (c >> 6 & 0x3f));
            }
            text[size++] = (uint8_t)(0x80 | (c & 0x3f));
        }
        log_event(LOG_INFO, "t.e", log_slice("v", slice_of(text, size)));
        json = parsed();
        EXPECT(slice_equal(member(json, "v"), slice_of(text, size)));
        json_decref(json);
    }
}

/* In a block of exactly its size, so that the sanitizer sees a read of one too many. */
TEST(any_bytes_make_one_valid_line)
{
    struct prng prng;

    prng_init(&prng, test_seed(16));
    for (int round = 0; round < 10000; round++) {
        size_t size = (size_t)prng_below(&prng, round % 10 == 0 ? 6000 : 40);
        uint8_t *bytes = malloc(size == 0 ? 1 : size);
        bool high = prng_chance(&prng, 1, 2);

        for (size_t i = 0; i < size; i++)
            bytes[i] = (uint8_t)(prng_next(&prng) | (high && prng_chance(&prng, 3, 4) ? 0x80 : 0));
        setup(LOG_JSON);
        log_event(LOG_INFO, "t.e", log_slice("a", slice_of(bytes, size)),
                  log_slice("b", slice_of(bytes, size)), log_u64("n", size));
        json_decref(parsed());
        setup(LOG_LOGFMT);
        log_event(LOG_INFO, "t.e", log_slice("a", slice_of(bytes, size)), log_u64("n", size));
        EXPECT(strchr(caught.bytes, '\n') == caught.bytes + caught.size - 1);
        free(bytes);
    }
}

TEST(names_are_identifiers_whatever_is_passed)
{
    setup(LOG_LOGFMT);
    log_event(LOG_INFO, "t.e", log_u64("a b=\"c\n", 1), log_u64("x.y-z_9", 2));
    EXPECT_STR(caught.bytes, HEAD " a_b__c_=1 x.y-z_9=2\n");
    setup(LOG_JSON);
    log_event(LOG_INFO, "an \"event\"\n", log_u64("a\"\xff", 1));
    assert_non_null(strstr(caught.bytes, "\"event\":\"an \\\"event\\\"\\n\",\"a__\":1}\n"));
    json_decref(parsed());
}

TEST(numbers_are_as_short_as_is_exact)
{
    static const struct {
        double value;
        const char *shown;
    } cases[] = {
        { 0, "0" },
        { 1, "1" },
        { 0.1, "0.1" },
        { -2.5, "-2.5" },
        { 1e100, "1e+100" },
        { 5e-324, "4.94065645841247e-324" },
        { 1.0 / 3, "0.3333333333333333" },
        { 123456789, "123456789" },
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char want[200];

        setup(LOG_LOGFMT);
        snprintf(want, sizeof(want), HEAD " v=%s\n", cases[i].shown);
        log_event(LOG_INFO, "t.e", log_f64("v", cases[i].value));
        EXPECT_STR(caught.bytes, want);
    }
}

TEST(numbers_that_are_none_are_null_in_json)
{
    setup(LOG_JSON);
    log_event(LOG_INFO, "t.e", log_f64("a", (double)NAN), log_f64("b", (double)INFINITY));
    assert_non_null(strstr(caught.bytes, ",\"a\":null,\"b\":null}\n"));
    json_decref(parsed());
    setup(LOG_LOGFMT);
    log_event(LOG_INFO, "t.e", log_f64("a", (double)NAN), log_f64("b", (double)INFINITY),
              log_f64("c", -(double)INFINITY));
    EXPECT_STR(caught.bytes, HEAD " a=nan b=inf c=-inf\n");
}

TEST(json_gives_back_every_number)
{
    struct prng prng;

    prng_init(&prng, test_seed(17));
    setup(LOG_JSON);
    for (int round = 0; round < 20000; round++) {
        uint64_t bits = prng_next(&prng);
        double value, got;
        json_t *json;

        memcpy(&value, &bits, sizeof(value));
        if (!isfinite(value))
            continue;
        log_event(LOG_INFO, "t.e", log_f64("v", value), log_u64("n", bits >> 1));
        json = parsed();
        got = json_number_value(json_object_get(json, "v"));
        assert_memory_equal(&got, &value, sizeof(value));
        EXPECT_U64(json_integer_value(json_object_get(json, "n")), bits >> 1);
        json_decref(json);
    }
}

TEST(numbers_have_a_point_in_every_locale)
{
    if (setlocale(LC_NUMERIC, "de_DE.UTF-8") == NULL)
        print_message("no German locale here: only that the C locale is right is tested\n");
    setup(LOG_LOGFMT);
    log_event(LOG_INFO, "t.e", log_f64("v", 0.5));
    setlocale(LC_NUMERIC, "C");
    EXPECT_STR(caught.bytes, HEAD " v=0.5\n");
}

/* L3.  A long key must not hide the error that comes after it. */
TEST(long_value_is_cut_and_what_follows_it_is_not)
{
    static char noise[10000];

    memset(noise, 'x', sizeof(noise) - 1);
    setup(LOG_LOGFMT);
    log_event(LOG_INFO, "t.e", log_str("key", noise), log_str("error", "no such thing"));
    assert_non_null(strstr(caught.bytes, "xxx...\" error=\"no such thing\" truncated=true\n"));
    setup(LOG_JSON);
    log_event(LOG_INFO, "t.e", log_str("key", noise), log_str("error", "no such thing"));
    assert_non_null(
        strstr(caught.bytes, "xxx...\",\"error\":\"no such thing\",\"truncated\":true}\n"));
    json_decref(parsed());
    log_event(LOG_INFO, noise, log_str("error", "no such thing"));
    json_decref(parsed());
}

/* One byte more each time, over all lengths at which something has to go: nothing is ever cut in
 * the middle, everything that is missing is marked, and what is not marked is whole. */
TEST(line_is_cut_between_units_at_every_length)
{
    enum { FIELDS = 6 };
    static const char *const fillers[] = { "x", "\"", "\x01", "\xf0\x9f\x90\x98" };
    static char text[4000];

    for (size_t size = 0; size < 1100; size++) {
        const char *filler = fillers[size % 4];
        struct log_field fields[FIELDS];
        json_t *json;
        bool whole = true;

        text[0] = '\0';
        for (size_t at = 0; at < size && at + 5 < sizeof(text); at += strlen(filler))
            strcpy(text + at, filler);
        for (size_t i = 0; i < FIELDS; i++)
            fields[i] = log_str((const char *[FIELDS]){ "a", "b", "c", "d", "e", "f" }[i], text);

        setup(LOG_JSON);
        log_write(LOG_INFO, "t.e", fields, FIELDS);
        json = parsed();
        for (size_t i = 0; i < FIELDS; i++) {
            json_t *value = json_object_get(json, fields[i].name);

            whole = whole && value != NULL && strcmp(json_string_value(value), text) == 0;
            if (value != NULL && strcmp(json_string_value(value), text) != 0)
                EXPECT_STR(json_string_value(value) + json_string_length(value) - 3, "...");
        }
        EXPECT(json_is_true(json_object_get(json, "truncated")) == !whole);
        json_decref(json);

        setup(LOG_LOGFMT);
        log_write(LOG_INFO, "t.e", fields, FIELDS);
        EXPECT(strchr(caught.bytes, '\n') == caught.bytes + caught.size - 1);
    }
}

TEST(too_many_fields_are_left_out_and_that_is_said)
{
    enum { FIELDS = 300, HEAD_FIELDS = 3 };
    static char names[FIELDS][8];
    static struct log_field fields[FIELDS];
    bool any_left_out = false;

    for (size_t count = 0; count < FIELDS; count++) {
        json_t *json;
        bool left_out;

        setup(LOG_JSON);
        log_write(LOG_INFO, "t.e", fields, count);
        json = parsed();
        left_out = json_is_true(json_object_get(json, "truncated"));
        EXPECT(left_out == (json_object_size(json) - left_out < HEAD_FIELDS + count));
        any_left_out = any_left_out || left_out;
        json_decref(json);

        snprintf(names[count], sizeof(names[count]), "n%zu", count);
        fields[count] = log_u64(names[count], INT64_MAX);
    }
    EXPECT(any_left_out);
}

TEST(silent_levels_write_nothing)
{
    struct log_sink sink = { LOG_WARN, LOG_LOGFMT, catch_line, stopped_clock, &caught };

    setup(LOG_LOGFMT);
    log_write(LOG_DEBUG, "t.e", NULL, 0);
    EXPECT_U64(caught.writes, 0);
    log_write(LOG_INFO, "t.e", NULL, 0);
    EXPECT_U64(caught.writes, 1);
    log_set_sink(&sink);
    log_write(LOG_INFO, "t.e", NULL, 0);
    EXPECT_U64(caught.writes, 1);
    log_write(LOG_ERROR, "t.e", NULL, 0);
    EXPECT_U64(caught.writes, 2);
    sink.level = LOG_OFF;
    log_set_sink(&sink);
    log_write(LOG_EMERGENCY, "t.e", NULL, 0);
    EXPECT_U64(caught.writes, 2);
    EXPECT_ABORT(log_write(LOG_OFF, "t.e", NULL, 0));
}

TEST(level_is_read_from_its_word)
{
    enum log_level level = LOG_OFF;

    EXPECT(log_level_parse("debug", &level) && level == LOG_DEBUG);
    EXPECT(log_level_parse("info", &level) && level == LOG_INFO);
    EXPECT(log_level_parse("warn", &level) && level == LOG_WARN);
    EXPECT(log_level_parse("error", &level) && level == LOG_ERROR);
    EXPECT(log_level_parse("off", &level) && level == LOG_OFF);
    level = LOG_INFO;
    EXPECT(!log_level_parse("", &level));
    EXPECT(!log_level_parse("Info", &level));
    EXPECT(!log_level_parse("infos", &level));
    EXPECT(!log_level_parse("emergency", &level)); /* nobody may silence the errors below it */
    EXPECT(level == LOG_INFO);
}

TEST(time_is_rfc_3339)
{
    char out[LOG_TIME_BYTES];

    EXPECT_STR(log_time(0, out), "1970-01-01T00:00:00.000Z");
    EXPECT_STR(log_time(UINT64_C(951782400001), out), "2000-02-29T00:00:00.001Z");
    EXPECT_STR(log_time(UINT64_C(1735689599999), out), "2024-12-31T23:59:59.999Z");
    EXPECT_STR(log_time(UINT64_C(1735689600000), out), "2025-01-01T00:00:00.000Z");
    EXPECT_STR(log_time(UINT64_C(4107542400000), out), "2100-03-01T00:00:00.000Z");
    EXPECT_STR(log_time(UINT64_C(253402300799999), out), "9999-12-31T23:59:59.999Z");
    EXPECT_STR(log_time(UINT64_MAX, out), "9999-12-31T23:59:59.999Z");
}

TEST(err_is_a_field)
{
    struct err err;

    setup(LOG_LOGFMT);
    EXPECT_ST(err_raise_sys(&err, ST_IO, ENOSPC, "write 1.wal"), ST_IO);
    log_event(LOG_ERROR, "wal.failed", log_err(&err));
    EXPECT_STR(caught.bytes, "ts=" STAMP " level=error event=wal.failed "
                             "error=\"write 1.wal: No space left on device\"\n");
}

static void
spoil_errno(void *ctx, struct slice line)
{
    catch_line(ctx, line);
    errno = EBADF;
}

TEST(logging_leaves_errno_alone)
{
    struct log_sink sink = { LOG_INFO, LOG_LOGFMT, spoil_errno, stopped_clock, &caught };

    memset(&caught, 0, sizeof(caught));
    log_set_sink(&sink);
    errno = ENOSPC;
    log_write(LOG_INFO, "t.e", NULL, 0);
    EXPECT_U64(errno, ENOSPC);
    EXPECT_U64(caught.writes, 1);
}

/* A sink may log, and may change the sink: no lock is held around it. */
static void
log_again(void *ctx, struct slice line)
{
    setup(LOG_LOGFMT);
    log_write(LOG_WARN, "nested", NULL, 0);
    (void)ctx;
    (void)line;
}

TEST(sink_may_log_itself)
{
    struct log_sink sink = { LOG_INFO, LOG_LOGFMT, log_again, stopped_clock, &caught };

    log_set_sink(&sink);
    log_write(LOG_INFO, "t.e", NULL, 0);
    EXPECT_STR(caught.bytes, "ts=" STAMP " level=warn event=nested\n");
}

enum { THREADS = 4, LINES = 500 };

static void *
log_lines(void *ctx)
{
    char noise[3000];

    memset(noise, *(const char *)ctx, sizeof(noise));
    for (uint64_t i = 0; i < LINES; i++) {
        log_event(LOG_INFO, "t.e", log_slice("a", slice_of(noise, (size_t)(i * 7 % 1000))),
                  log_slice("b", slice_of(noise, 900)), log_u64("n", i));
    }
    return NULL;
}

/* Reads the pipe to its end; each line must be of one thread. */
struct collector {
    FILE *from;
    int lines;
    int mixed;
};

static void *
collect(void *ctx)
{
    struct collector *c = ctx;
    char line[2 * LIMIT_LOG_LINE_BYTES];

    while (fgets(line, sizeof(line), c->from) != NULL) {
        char of = strstr(line, " b=")[3];

        c->lines++;
        c->mixed += strncmp(line, "ts=2", 4) != 0 || line[strlen(line) - 1] != '\n';
        for (char other = 'p'; other < 'p' + THREADS; other++)
            c->mixed += other != of && strchr(strstr(line, " b="), other) != NULL;
    }
    return NULL;
}

/* The default sink, on a pipe: lines of several threads do not mix, even while the sink changes. */
TEST(default_sink_writes_whole_lines_to_standard_error)
{
    static char letters[THREADS] = "pqrs";
    int saved = dup(STDERR_FILENO);
    struct collector c = { 0 };
    pthread_t threads[THREADS];
    pthread_t reader;
    int ends[2];

    EXPECT_U64(pipe(ends), 0);
    EXPECT(dup2(ends[1], STDERR_FILENO) >= 0);
    close(ends[1]);
    c.from = fdopen(ends[0], "r");
    EXPECT_U64(pthread_create(&reader, NULL, collect, &c), 0);
    log_set_sink(NULL);
    for (int i = 0; i < THREADS; i++)
        EXPECT_U64(pthread_create(&threads[i], NULL, log_lines, &letters[i]), 0);
    for (int i = 0; i < 1000; i++)
        log_set_sink(&(struct log_sink){ .level = LOG_INFO, .format = LOG_LOGFMT });
    for (int i = 0; i < THREADS; i++)
        EXPECT_U64(pthread_join(threads[i], NULL), 0);
    EXPECT(dup2(saved, STDERR_FILENO) >= 0); /* closes the pipe: the reader ends */
    close(saved);
    EXPECT_U64(pthread_join(reader, NULL), 0);
    fclose(c.from);
    EXPECT_U64(c.lines, THREADS * LINES);
    EXPECT_U64(c.mixed, 0);
}

TEST_MAIN(RUN(logfmt_line_has_time_level_event_and_typed_fields),
          RUN(json_line_has_time_level_event_and_typed_fields),
          RUN(logfmt_quotes_what_a_reader_could_take_apart),
          RUN(bytes_that_are_not_utf8_become_escapes), RUN(json_gives_back_every_character),
          RUN(any_bytes_make_one_valid_line), RUN(names_are_identifiers_whatever_is_passed),
          RUN(numbers_are_as_short_as_is_exact), RUN(numbers_that_are_none_are_null_in_json),
          RUN(json_gives_back_every_number), RUN(numbers_have_a_point_in_every_locale),
          RUN(long_value_is_cut_and_what_follows_it_is_not),
          RUN(line_is_cut_between_units_at_every_length),
          RUN(too_many_fields_are_left_out_and_that_is_said), RUN(silent_levels_write_nothing),
          RUN(level_is_read_from_its_word), RUN(time_is_rfc_3339), RUN(err_is_a_field),
          RUN(logging_leaves_errno_alone), RUN(sink_may_log_itself),
          RUN(default_sink_writes_whole_lines_to_standard_error))
