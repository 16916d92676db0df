/* The directed tests: one list of them, by name.
 *
 *      test_raft_directed elections
 */
#include "unit/raft/suites.h"

int
main(int argc, char **argv)
{
    for (size_t i = 0; argc == 2 && i < SUITE_COUNT; i++) {
        const struct raft_suite *s = suites[i];

        if (strcmp(s->name, argv[1]) == 0)
            return _cmocka_run_group_tests(s->name, s->tests, s->test_count, NULL, NULL);
    }
    printf("which list?\n");
    return 2;
}
