/*
 * Tests of the directed tests: each mistake of base/broken.h is put back, and each directed test is run
 * with it; the first that fails is named.  Needs a build with DISTKV_MUTANTS.
 *
 *      test_raft_directed_mutants [NAME...]
 */
#include "base/broken.h"

#include "unit/raft/suites.h"

enum { TEST_LIMIT_S = 30 };

static bool
fails(const struct CMUnitTest *test, enum broken what)
{
    pid_t child = test_fork_quietly();
    int how = 0;

    if (child == 0) {
        if (dup2(open("/dev/null", O_WRONLY | O_CLOEXEC), STDOUT_FILENO) < 0)
            _exit(0);
        alarm(TEST_LIMIT_S);
        broken_now = what;
        test->test_func(NULL); /* outside of a run, what fails ends the process */
        _exit(0);
    }
    EXPECT(child > 0 && waitpid(child, &how, 0) == child);
    return !WIFEXITED(how) || WEXITSTATUS(how) != 0;
}

/* How many tests see it. */
static uint32_t
hunt(enum broken what)
{
    const char *first = what == BROKEN_NOTHING ? "-" : "NOT SEEN";
    uint32_t count = 0;

    for (size_t i = 0; i < SUITE_COUNT; i++) {
        for (size_t j = 0; j < suites[i]->test_count; j++) {
            if (!fails(&suites[i]->tests[j], what))
                continue;
            if (count++ == 0)
                first = suites[i]->tests[j].name;
        }
    }
    printf("%-24s %3u  %s\n", broken_name(what), count, first);
    fflush(stdout);
    return count;
}

int
main(int argc, char **argv)
{
    int missed = 0;

    if (hunt(BROKEN_NOTHING) != 0) {
        printf("a test fails although nothing is broken\n");
        return 1;
    }
    for (int i = 1; i < argc; i++)
        missed += hunt(broken_find(argv[i])) == 0;
    for (int what = BROKEN_NOTHING + 1; argc == 1 && what < BROKEN_RAFT_LIMIT; what++)
        missed += hunt((enum broken)what) == 0;
    return missed > 0;
}
