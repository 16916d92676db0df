/* Tests of server/descriptors.c: what a node gets of the descriptors that it wants. */
#include <sys/resource.h>
#include <unistd.h>

#include "base/limits.h"
#include "base/log.h"

#include "server/descriptors.h"
#include "server/server.h"
#include "unit/test.h"

enum { CONNECTIONS = 10000, TABLES = 1000 };

static const struct descriptors wanted = { CONNECTIONS, TABLES };

TEST(no_more_is_shared_out_than_there_is)
{
    EXPECT_U64(descriptors_min(2), 128);
    for (uint32_t reactors = 1; reactors <= LIMIT_REACTORS; reactors++) {
        uint64_t own = 13 + 4 * (uint64_t)reactors; /* counted on an empty node */

        for (uint64_t limit = descriptors_min(reactors); limit < 3 * CONNECTIONS; limit += 37) {
            struct descriptors got = descriptors_share(limit, reactors, &wanted);

            /* A manifest for eight tables; a compaction, a flush, segments to come. */
            EXPECT(own + got.connections + got.tables + got.tables / 8 + 20 <= limit);
            EXPECT(got.connections >= 40 && got.connections <= CONNECTIONS);
            EXPECT(got.tables >= 20 && got.tables <= TABLES);
        }
    }
}

TEST(who_has_plenty_gets_what_it_wants)
{
    struct descriptors got = descriptors_share(CONNECTIONS + TABLES + 256, 2, &wanted);

    EXPECT_U64(got.connections, CONNECTIONS);
    EXPECT_U64(got.tables, TABLES);
    got = descriptors_share(CONNECTIONS, 2, &wanted);
    EXPECT_U64(got.tables, TABLES); /* connections give way first, up to a half */
    EXPECT_U64(got.connections, CONNECTIONS - TABLES - 256);
}

/* ------------------------------------------------------------------ a server */

struct fix {
    char folder[64];
    struct config config;
    struct err err;
};

static void
set(struct fix *f, const char *name, const char *value)
{
    EXPECT_OK(config_set(&f->config, slice_str(name), slice_str(value), "test", &f->err));
}

static void
setup(struct fix *f)
{
    const char *tmp = getenv("TMPDIR");

    snprintf(f->folder, sizeof(f->folder), "%s/dkv-server-XXXXXX", tmp != NULL ? tmp : "/tmp");
    assert_non_null(mkdtemp(f->folder));
    EXPECT_OK(config_init(&f->config, &f->err));
    set(f, "data-dir", f->folder);
    set(f, "port", "0");
    set(f, "threads", "2");
    set(f, "log-level", "error");
    set(f, "min-free-bytes", "1mb");
    set(f, "log-segment", "1mb");
    set(f, "max-connections", "5000");
}

static void
teardown(struct fix *f)
{
    char command[128];

    config_release(&f->config);
    snprintf(command, sizeof(command), "rm -rf '%s'", f->folder);
    EXPECT(system(command) == 0); /* NOLINT(cert-env33-c): a folder of our own making */
}

static void
limit_descriptors(rlim_t now, rlim_t most)
{
    EXPECT(setrlimit(RLIMIT_NOFILE, &(struct rlimit){ now, most }) == 0);
}

/* A reload compares it with what it reads. */
TEST(few_descriptors_do_not_change_the_configuration)
{
    struct server *s = NULL;
    struct rlimit limit;
    struct fix f;

    setup(&f);
    limit_descriptors(150, 200);
    EXPECT_OK(server_open(&s, &f.config, 0, NULL, false, &f.err));
    EXPECT(getrlimit(RLIMIT_NOFILE, &limit) == 0);
    EXPECT_U64(limit.rlim_cur, 200);
    EXPECT_U64(f.config.connections_max, 5000);
    EXPECT_U64(f.config.open_tables, 1000);
    EXPECT_OK(server_close(s, &f.err));
    teardown(&f);
}

TEST(too_few_descriptors_are_refused)
{
    struct server *s = NULL;
    struct fix f;

    setup(&f);
    limit_descriptors(127, 127);
    EXPECT_ST(server_open(&s, &f.config, 0, NULL, false, &f.err), ST_INVALID);
    EXPECT_STR(f.err.text, "the limit of open files is 127, and 128 is the least; see ulimit -n");
    teardown(&f);
}

/* The limits of the process do not go up again. */
QUIET_TEST_MAIN(RUN(no_more_is_shared_out_than_there_is), RUN(who_has_plenty_gets_what_it_wants),
                RUN(few_descriptors_do_not_change_the_configuration),
                RUN(too_few_descriptors_are_refused))
