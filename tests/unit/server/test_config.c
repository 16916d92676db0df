/* Tests of server/config.c and config_file.c: where a setting comes from, and what is said when it cannot be had. */
#include "base/mem.h"

#include "server/config.h"
#include "unit/test.h"

struct fix {
    char path[64]; /* of an INI file */
    struct config config;
    struct err err;
};

static struct fix
setup(const char *text)
{
    const char *tmp = getenv("TMPDIR");
    struct fix f = { 0 };
    int fd;

    snprintf(f.path, sizeof(f.path), "%s/dkv-config-XXXXXX", tmp != NULL ? tmp : "/tmp");
    fd = mkstemp(f.path);
    EXPECT(fd >= 0);
    EXPECT_U64(write(fd, text, strlen(text)), strlen(text));
    EXPECT(close(fd) == 0);
    EXPECT_OK(config_init(&f.config, &f.err));
    return f;
}

static void
teardown(struct fix *f)
{
    config_release(&f->config);
    EXPECT(unlink(f->path) == 0);
}

static enum status
load(struct fix *f)
{
    char flag[] = "--config";
    char *argv[] = { flag, f->path };

    return config_load(&f->config, 2, argv, &f->err);
}

TEST(config_takes_a_variable_over_the_file_and_the_file_over_the_default)
{
    struct fix f = setup("memory-budget = 1gb\nl0-trigger = 7\n");

    EXPECT(setenv("DISTKV_MEMORY_BUDGET", "2GB", 1) == 0);
    EXPECT_OK(load(&f));
    EXPECT(unsetenv("DISTKV_MEMORY_BUDGET") == 0);
    EXPECT_U64(f.config.memory_budget, UINT64_C(2) << 30);
    EXPECT_U64(f.config.l0_trigger, 7);
    EXPECT_U64(f.config.bloom_bits, 10);
    teardown(&f);
}

/* What is wrong in the file, told with the file's name and the number of its first wrong line. */
static void
expect_refusal(const char *text, const char *reason)
{
    struct fix f = setup(text);
    char want[ERR_TEXT_MAX];

    snprintf(want, sizeof(want), "%s%s", f.path, reason);
    EXPECT(load(&f) != ST_OK);
    EXPECT_STR(f.err.text, want);
    teardown(&f);
}

TEST(config_names_the_first_wrong_line_of_the_file)
{
    expect_refusal("port = 7000\n\n[distkv]\nbogus = 1\n", ":4: unknown setting \"bogus\"");
    expect_refusal("nonsense\nbogus = 1\n", ":1: not a line of the form name = value");
    expect_refusal("bogus = 1\nnonsense\n", ":1: unknown setting \"bogus\"");
    expect_refusal("nonsense", ":1: not a line of the form name = value");
    expect_refusal("[other]\nport = 1\n", ":2: unknown section [other]");
}

/* The parser would have taken its beginning for the line, and the rest for another one. */
TEST(config_refuses_a_line_that_the_parser_would_cut)
{
    char text[512];
    int size = snprintf(text, sizeof(text), "port = 7000\nnode-name = ");

    memset(text + size, 'x', 200);
    memcpy(text + size + 200, "\nport = 7001\n", sizeof("\nport = 7001\n"));
    expect_refusal(text, ":2: longer than 198 bytes, or not text");
}

/* The longest, with an end of line and without. */
TEST(config_takes_a_line_of_198_bytes)
{
    static const char *const ends[] = { "", "\n", "\nport = 7000\n" };
    char password[188], text[256];

    memset(password, 'x', sizeof(password) - 1);
    password[sizeof(password) - 1] = '\0';
    for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++) {
        struct fix f;

        snprintf(text, sizeof(text), "password = %s%s", password, ends[i]);
        f = setup(text);
        EXPECT_OK(load(&f));
        EXPECT_STR(f.config.password, password);
        teardown(&f);
    }
}

/* The text of that failure once had no place in it, and what was printed instead was "(null)". */
TEST(config_names_the_line_for_whose_text_there_is_no_memory)
{
    struct fix f = setup("port = 7000\ndata-dir = elsewhere\n");
    struct mem_heap heap = { .fail_at = 1 };
    struct mem_heap *outer = mem_heap_enter(&heap);
    char want[128];
    enum status st = load(&f);

    mem_heap_enter(outer);
    snprintf(want, sizeof(want), "%s:2: data-dir: out of memory", f.path);
    EXPECT_ST(st, ST_NO_MEMORY);
    EXPECT_STR(f.err.text, want);
    EXPECT_STR(f.config.data_dir, "distkv-data"); /* untouched */
    teardown(&f);
}

static void
look_for_password(void *ctx, const char *name, const char *value)
{
    char *shown = ctx;

    if (strcmp(name, "password") == 0)
        snprintf(shown, 16, "%s", value);
}

TEST(config_shows_that_there_is_a_password_and_not_which)
{
    struct fix f = setup("password = secret\n");
    char shown[16] = "?";

    config_each(&f.config, look_for_password, shown);
    EXPECT_STR(shown, "");
    EXPECT_OK(load(&f));
    config_each(&f.config, look_for_password, shown);
    EXPECT_STR(shown, "(set)");
    EXPECT_STR(f.config.password, "secret");
    teardown(&f);
}

TEST_MAIN(RUN(config_takes_a_variable_over_the_file_and_the_file_over_the_default),
          RUN(config_names_the_first_wrong_line_of_the_file),
          RUN(config_refuses_a_line_that_the_parser_would_cut),
          RUN(config_takes_a_line_of_198_bytes),
          RUN(config_names_the_line_for_whose_text_there_is_no_memory),
          RUN(config_shows_that_there_is_a_password_and_not_which))
