/*
 * Can the oracle fail?  Each mistake of base/broken.h is put back, one at a time, and a line says what
 * saw it, or that nothing did in so many seconds.  Needs a build with DISTKV_MUTANTS.
 *
 *      oracle_mutants PROGRAM [NAME...]        PROGRAM: etcd's side, built from tests/oracle/etcd
 *
 * ORACLE_SECONDS and ORACLE_SEED: for each mistake, handlers and groups.
 */
#include <inttypes.h>
#include <string.h>

#include "base/broken.h"

#include "oracle/hunt.h"
#include "unit/raft/group.h"
#include "unit/test.h"

enum { WHY_MAX = 120, SECONDS = 4 };

struct outcome {
    uint64_t cases;
    char why[WHY_MAX]; /* "": the two agree */
};

static void
hunt_with(enum broken what, struct hunt *h, int to)
{
    struct outcome o = { 0 };

    if (dup2(open("/dev/null", O_WRONLY), STDOUT_FILENO) < 0)
        _exit(2);
    broken_now = what;
    hunt_run(h);
    o.cases = h->cases[h->where];
    if (h->why != NULL)
        snprintf(o.why, sizeof(o.why), "%s", h->why);
    (void)!write(to, &o, sizeof(o));
    _exit(0);
}

/* In a process of its own: it may not survive. */
static void
try_ground(enum broken what, struct hunt h, struct outcome *o)
{
    int fds[2];
    int how = 0;
    pid_t child;

    memset(o, 0, sizeof(*o));
    EXPECT(pipe(fds) == 0);
    child = test_fork_quietly();
    if (child == 0)
        hunt_with(what, &h, fds[1]);
    close(fds[1]);
    if (read(fds[0], o, sizeof(*o)) != sizeof(*o))
        memset(o, 0, sizeof(*o));
    close(fds[0]);
    EXPECT(waitpid(child, &how, 0) == child);
    if (WIFSIGNALED(how))
        snprintf(o->why, sizeof(o->why), "an assertion of ours");
    else if (WEXITSTATUS(how) == GROUP_VIOLATION)
        snprintf(o->why, sizeof(o->why), "an invariant of the group");
    else if (WEXITSTATUS(how) != 0)
        snprintf(o->why, sizeof(o->why), "no answer");
}

static bool
try_mistake(enum broken what, const struct hunt *h)
{
    bool is_seen = false;

    printf("%-24s", broken_name(what));
    for (int ground = 0; ground < HUNT_GROUND_COUNT; ground++) {
        struct hunt one = *h;
        struct outcome o;

        memset(one.only, 0, sizeof(one.only));
        one.only[ground] = true;
        try_ground(what, one, &o);
        if (o.why[0] == '\0')
            continue;
        printf(" %s", hunt_ground_name((enum hunt_ground)ground));
        if (o.cases > 0)
            printf(" %" PRIu64, o.cases);
        printf(": %s;", o.why);
        is_seen = true;
    }
    printf("%s\n", is_seen ? "" : " not seen");
    fflush(stdout);
    return is_seen;
}

static uint64_t
number_from(const char *name, uint64_t fallback)
{
    const char *text = getenv(name);

    return text != NULL && *text != '\0' ? strtoull(text, NULL, 0) : fallback;
}

int
main(int argc, char **argv)
{
    struct hunt h = { .program = argv[1],
                      .seed = number_from("ORACLE_SEED", 1),
                      .seconds = (uint32_t)number_from("ORACLE_SECONDS", SECONDS) };
    uint32_t seen = 0;

    if (argc < 2)
        return 2;
    printf("The mistake, and what sees it: in which case, and what is not the same.\n");
    fflush(stdout);
    if (try_mistake(BROKEN_NOTHING, &h))
        return 1;
    for (int i = 2; i < argc; i++)
        seen += try_mistake(broken_find(argv[i]), &h);
    for (int what = BROKEN_NOTHING + 1; argc == 2 && what < BROKEN_COUNT; what++)
        seen += try_mistake((enum broken)what, &h);
    printf("%" PRIu32 " of %d are seen\n", seen, argc > 2 ? argc - 2 : BROKEN_COUNT - 1);
    return 0;
}
