/*
 * unit/test.h — cmocka in the words of this project.
 *
 *      TEST(wal_replays_what_was_appended_in_order) { ... EXPECT_U64(got, 3); }
 *      TEST_MAIN(RUN(wal_replays_what_was_appended_in_order))
 */
#ifndef UNIT_TEST_H
#define UNIT_TEST_H

#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>

/* clang-format off: cmocka.h needs what stands above it. */
#include <cmocka.h>
/* clang-format on */

#include "base/log.h"
#include "base/slice.h"
#include "base/status.h"

#define TEST(name) static void name(void **state __attribute__((unused)))
#define RUN(name)  cmocka_unit_test(name)
#define TEST_MAIN(...)                               \
 int main(void)                                      \
 {                                                   \
  const struct CMUnitTest tests[] = { __VA_ARGS__ }; \
  return cmocka_run_group_tests(tests, NULL, NULL);  \
 }

/* The same without the log, for tests that provoke much of it. */
#define QUIET_TEST_MAIN(...)                              \
 int main(void)                                           \
 {                                                        \
  const struct CMUnitTest tests[] = { __VA_ARGS__ };      \
  return cmocka_run_group_tests(tests, test_quiet, NULL); \
 }

#define EXPECT(x)               assert_true(x)
#define EXPECT_U64(got, want)   assert_int_equal((uint64_t)(got), (uint64_t)(want))
#define EXPECT_STR(got, want)   assert_string_equal(got, want)
#define EXPECT_OK(x)            test_expect_status((x), ST_OK, #x, __FILE__, __LINE__)
#define EXPECT_ST(x, want)      test_expect_status((x), (want), #x, __FILE__, __LINE__)
#define EXPECT_SLICE(got, text) test_expect_slice((got), slice_str(text), __FILE__, __LINE__)

static inline int
test_quiet(void **state)
{
    static const struct log_sink nowhere = { .level = LOG_OFF };

    (void)state;
    log_set_sink(&nowhere);
    return 0;
}

/* The statement is a bug, and ends the process by an ASSERT.  It runs in a child: nothing that it
 * changes is seen here. */
#define EXPECT_ABORT(statement)                                  \
 do {                                                            \
  pid_t test_child = test_fork_quietly();                        \
                                                                 \
  if (test_child == 0) {                                         \
   statement;                                                    \
   _exit(0);                                                     \
  }                                                              \
  test_expect_abort(test_child, #statement, __FILE__, __LINE__); \
 } while (0)

/* As fork(); the child is silent and leaves no core file. */
static inline pid_t
test_fork_quietly(void)
{
    pid_t child;

    fflush(NULL);
    child = fork();
    if (child == 0) {
        int nowhere = open("/dev/null", O_WRONLY | O_CLOEXEC);
        struct rlimit none = { 0, 0 };

        if (nowhere < 0 || dup2(nowhere, STDERR_FILENO) < 0 || setrlimit(RLIMIT_CORE, &none) != 0)
            _exit(0);
    }
    return child;
}

static inline void
test_expect_abort(pid_t child, const char *what, const char *file, int line)
{
    int how = 0;

    if (child > 0 && waitpid(child, &how, 0) == child && WIFSIGNALED(how) &&
        WTERMSIG(how) == SIGABRT)
        return;
    print_error("%s: did not abort\n", what);
    _fail(file, line);
}

static inline void
test_expect_status(enum status got, enum status want, const char *what, const char *file, int line)
{
    if (got == want)
        return;
    print_error("%s: %s, expected %s\n", what, status_name(got), status_name(want));
    _fail(file, line);
}

static inline void
test_expect_slice(struct slice got, struct slice want, const char *file, int line)
{
    char a[200], b[200];

    if (slice_equal(got, want))
        return;
    print_error("\"%s\", expected \"%s\"\n", slice_printable(got, a, sizeof(a)),
                slice_printable(want, b, sizeof(b)));
    _fail(file, line);
}

/* A seed for a random test: from TEST_SEED, or the given one; printed, so that a failure replays. */
static inline uint64_t
test_seed(uint64_t fallback)
{
    const char *text = getenv("TEST_SEED");
    uint64_t seed = text != NULL ? strtoull(text, NULL, 0) : fallback;

    print_message("seed: TEST_SEED=%llu\n", (unsigned long long)seed);
    return seed;
}

#endif
