/*
 * The differential test of our raft core against etcd's: see README.md.
 *
 *      oracle PROGRAM        PROGRAM: etcd's side, built from tests/oracle/etcd
 *
 * ORACLE_SECONDS, ORACLE_SEED and ORACLE_ONLY (handlers, groups) say how long, which, and what.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "oracle/differ.h"
#include "oracle/hunt.h"

enum { SECONDS = 60 };

static uint64_t
number_from(const char *name, uint64_t fallback)
{
    const char *text = getenv(name);

    return text != NULL && *text != '\0' ? strtoull(text, NULL, 0) : fallback;
}

static bool
is_wanted(enum hunt_ground ground)
{
    const char *only = getenv("ORACLE_ONLY");

    return only == NULL || *only == '\0' || strcmp(only, hunt_ground_name(ground)) == 0;
}

static void
print_outcome(const struct hunt *h)
{
    for (int ground = 0; ground < HUNT_GROUND_COUNT; ground++)
        printf("%10" PRIu64 "  %s, %" PRIu64 " steps compared\n", h->cases[ground],
               hunt_ground_name((enum hunt_ground)ground), h->steps[ground]);
    printf("Groups: %" PRIu64 " elections, %" PRIu64 " truncations, %" PRIu64
           " snapshots installed, %" PRIu64 " changes, %" PRIu64 " crashes\n",
           h->marks.elections, h->marks.truncations, h->marks.installs, h->marks.changes,
           h->marks.crashes);
    printf("How often, and where, the two differed as they may:\n");
    differ_print();
    if (h->why == NULL)
        return;
    printf("NOT THE SAME: %s\nagain with: ORACLE_ONLY=%s ORACLE_SEED=%" PRIu64
           " make test-oracle\n",
           h->why, hunt_ground_name(h->where), h->failed_seed);
}

int
main(int argc, char **argv)
{
    struct hunt h = { .seed = number_from("ORACLE_SEED", 1),
                      .seconds = (uint32_t)number_from("ORACLE_SECONDS", SECONDS),
                      .report = stdout };

    if (argc != 2) {
        fprintf(stderr, "usage: oracle PROGRAM\n");
        return 2;
    }
    h.program = argv[1];
    for (int ground = 0; ground < HUNT_GROUND_COUNT; ground++)
        h.only[ground] = is_wanted((enum hunt_ground)ground);
    printf("oracle: ORACLE_SEED=%" PRIu64 ", %" PRIu32 " s\n", h.seed, h.seconds);
    fflush(stdout);
    hunt_run(&h);
    print_outcome(&h);
    return h.why == NULL ? 0 : 1;
}
