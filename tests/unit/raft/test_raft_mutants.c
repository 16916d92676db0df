/*
 * Tests of the tests: each mistake of base/broken.h that concerns consensus is put back, and some random
 * life must end in a violation, an ASSERT, or no end at all.  Needs a build with DISTKV_MUTANTS.
 *
 *      test_raft_mutants [lives] [NAME...]
 */
#include <time.h>

#include "base/broken.h"

#include "unit/raft/swarm.h"
#include "unit/test.h"

enum { SECONDS = 20, LIVES = 3000, LIFE_LIMIT_S = 60 };

/* What became of one life with the mistake. */
enum fate { UNHARMED, VIOLATION, ASSERTION, NO_END };

static enum fate
live(enum broken what, uint64_t seed, uint64_t *steps)
{
    int how = 0;
    int fds[2];
    pid_t child;

    EXPECT(pipe(fds) == 0);
    child = test_fork_quietly();
    if (child == 0) {
        struct swarm_marks marks = { 0 };

        if (dup2(open("/dev/null", O_WRONLY), STDOUT_FILENO) < 0)
            _exit(0);
        alarm(LIFE_LIMIT_S);
        broken_now = what;
        swarm_run(seed, SECONDS, &marks);
        (void)!write(fds[1], &marks.steps, sizeof(marks.steps));
        _exit(0);
    }
    close(fds[1]);
    if (read(fds[0], steps, sizeof(*steps)) != sizeof(*steps))
        *steps = 0;
    close(fds[0]);
    EXPECT(waitpid(child, &how, 0) == child);
    if (WIFEXITED(how))
        return WEXITSTATUS(how) == GROUP_VIOLATION ? VIOLATION : UNHARMED;
    return WTERMSIG(how) == SIGALRM ? NO_END : ASSERTION;
}

static bool
is_caught(enum broken what, uint32_t lives)
{
    static const char *const words[] = { "", "violation", "assertion", "no end" };
    uint64_t steps_in_all = 0;

    for (uint32_t seed = 1; seed <= lives; seed++) {
        uint64_t steps = 0;
        enum fate fate = live(what, seed, &steps);

        steps_in_all += steps;
        if (fate == UNHARMED)
            continue;
        printf("%-24s seed %4u, %9llu steps before it: %s\n", broken_name(what), seed,
               (unsigned long long)steps_in_all, words[fate]);
        fflush(stdout);
        return true;
    }
    printf("%-24s NOT CAUGHT in %u lives\n", broken_name(what), lives);
    fflush(stdout);
    return false;
}

int
main(int argc, char **argv)
{
    uint32_t lives = argc > 1 ? (uint32_t)strtoul(argv[1], NULL, 0) : LIVES;
    uint64_t steps;
    int missed = 0;

    if (live(BROKEN_NOTHING, 1, &steps) != UNHARMED) {
        printf("a life fails although nothing is broken\n");
        return 1;
    }
    for (int i = 2; i < argc; i++)
        missed += !is_caught(broken_find(argv[i]), lives);
    for (int what = BROKEN_NOTHING + 1; argc <= 2 && what < BROKEN_RAFT_LIMIT; what++)
        missed += !is_caught((enum broken)what, lives);
    return missed > 0;
}
