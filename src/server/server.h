/*
 * server/server.h — one node as a process: `distkv server`.
 */
#ifndef SERVER_SERVER_H
#define SERVER_SERVER_H

#include "server/config.h"

struct server;

/* Open everything and listen.  The process's limit of open files is raised as far as it may be, and
 * when that is not enough, fewer connections and open tables are had than `config` says.  `argv` has
 * the flags, kept for SIGHUP, which reads file and environment again and applies what can be
 * applied; with `signals`, SIGTERM and SIGINT stop the node.  `config` is borrowed and must outlive
 * the server. */
MUST_USE enum status server_open(struct server **out, struct config *config, int argc, char **argv,
                                 bool signals, struct err *err);

/* The port of the Redis protocol. */
uint16_t server_port(const struct server *s);

/* Serve until a stop was asked for and carried out. */
MUST_USE enum status server_serve(struct server *s, struct err *err);

/* Ask for a graceful stop.  Any thread; once. */
void server_stop(struct server *s);

/* Flush and close; server_serve() has returned, or was never called. */
enum status server_close(struct server *s, struct err *err);

/* `distkv server ...`: flags in, exit code out; 2 for wrong ones. */
int server_main(int argc, char **argv);

/* "0.1.0" */
const char *distkv_version(void);

#endif
