/* The one binary: `distkv COMMAND`.  Alone it is a server. */
#include <stdio.h>
#include <string.h>

#include "cli/cli.h"
#include "server/server.h"

static int
version_main(int argc, char **argv)
{
    (void)argc;
    (void)argv;
    printf("distkv %s\n", distkv_version());
    return 0;
}

static int help_main(int argc, char **argv);
static int help_of(const char *name);

static const struct command {
    const char *name;
    int (*main)(int argc, char **argv);
    const char *help;
} commands[] = {
    { "server", server_main, "run a node (also with no command at all)" },
    { "cli", cli_main,
      "talk to a node, or open a data directory: interactive, one command, or a pipe" },
    { "import", cli_import_main, "load JSON lines or CSV into a node" },
    { "export", cli_export_main, "write a node's keys as JSON lines or CSV" },
    { "cluster", cli_cluster_main, "ask a cluster how it is; drain, remove and replace its nodes" },
    { "keyspace", cli_keyspace_main, "make, list, alter, split and drop keyspaces" },
    { "check", cli_check_main, "verify a data directory offline, and name what is wrong" },
    { "check-history", cli_check_history_main,
      "judge whether what clients saw is linearizable, and say what is not" },
    { "sim", cli_sim_main, "simulate a store with clients and faults, and judge what they saw" },
    { "version", version_main, "print the version" },
    { "help", help_main, "print this" },
};

enum { COMMAND_COUNT = sizeof(commands) / sizeof(commands[0]) };

static int
help_main(int argc, char **argv)
{
    if (argc > 0 && strcmp(argv[0], "help") != 0 && strcmp(argv[0], "version") != 0)
        return help_of(argv[0]);
    printf("usage: distkv [COMMAND] [ARGUMENT]...\n\n");
    for (int i = 0; i < COMMAND_COUNT; i++)
        printf("  %-13s %s\n", commands[i].name, commands[i].help);
    printf("\n`distkv COMMAND --help` says more about each.\n");
    return 0;
}

static int
unknown(const char *name)
{
    fprintf(stderr, "distkv: unknown command \"%s\"; distkv help lists them\n", name);
    return 2;
}

/* `distkv help cli` is `distkv cli --help`. */
static int
help_of(const char *name)
{
    char flag[] = "--help";
    char *words[] = { flag, NULL };

    for (int i = 0; i < COMMAND_COUNT; i++) {
        if (strcmp(name, commands[i].name) == 0)
            return commands[i].main(1, words);
    }
    return unknown(name);
}

int
main(int argc, char **argv)
{
    if (argc < 2 || (strncmp(argv[1], "--", 2) == 0 && strcmp(argv[1], "--help") != 0 &&
                     strcmp(argv[1], "--version") != 0))
        return server_main(argc - 1, argv + 1);
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0)
        return help_main(0, NULL);
    if (strcmp(argv[1], "--version") == 0)
        return version_main(0, NULL);
    for (int i = 0; i < COMMAND_COUNT; i++) {
        if (strcmp(argv[1], commands[i].name) == 0)
            return commands[i].main(argc - 2, argv + 2);
    }
    return unknown(argv[1]);
}
