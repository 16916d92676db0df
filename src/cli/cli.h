/*
 * cli/cli.h — the program for people: `distkv cli`, `import`, `export`, `cluster`, `keyspace`, `check`,
 * `check-history`, `sim`.
 *
 * Each takes the words after its own name and returns the process's exit code:
 * 0 done; 1 the answer is an error or "not found"; 2 wrong arguments; 3 check-history: undecided.
 */
#ifndef CLI_CLI_H
#define CLI_CLI_H

int cli_main(int argc, char **argv);
int cli_import_main(int argc, char **argv);
int cli_export_main(int argc, char **argv);
int cli_cluster_main(int argc, char **argv);
int cli_keyspace_main(int argc, char **argv);
int cli_check_main(int argc, char **argv);
int cli_check_history_main(int argc, char **argv);
int cli_sim_main(int argc, char **argv);

#endif
