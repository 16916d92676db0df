/* Tests of server/config.c: where a setting comes from, and what is said when it cannot be had. */
#include "base/mem.h"

#include "server/config.h"
#include "unit/test.h"

struct fix {
    char path[32]; /* of an INI file */
    struct config config;
    struct err err;
};

static struct fix
setup(const char *text)
{
    struct fix f = { .path = "config-XXXXXX" };
    int fd = mkstemp(f.path);

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

/* The text of that failure once had no place in it, and what was printed instead was "(null)". */
TEST(config_names_the_line_for_whose_text_there_is_no_memory)
{
    struct fix f = setup("port = 7000\ndata-dir = elsewhere\n");
    struct mem_heap heap = { .fail_at = 1 };
    struct mem_heap *outer = mem_heap_enter(&heap);
    char want[80];
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
          RUN(config_names_the_line_for_whose_text_there_is_no_memory),
          RUN(config_shows_that_there_is_a_password_and_not_which))
