/*
 * cli/target.h — what a command line talks to: a node, or a folder.
 *
 * With --data-dir a node is started inside this process, on a port of its own
 * on loopback and with a random password, and stopped at the end.
 */
#ifndef CLI_TARGET_H
#define CLI_TARGET_H

#include "cli/client.h"

struct target_options {
    const char *host;     /* "127.0.0.1" */
    uint16_t port;        /* 6379 */
    const char *password; /* NULL: none; from DISTKV_PASSWORD or --password-file */
    const char *data_dir; /* NULL: a node at host and port */
    char password_line[256];
};

/* Take the flags that every command understands (-h or --host HOST, -p or --port PORT,
 * --password-file FILE, --data-dir DIR) from the front of argv: `*used` words.  ST_INVALID. */
MUST_USE enum status target_options_take(struct target_options *o, int argc, char **argv, int *used,
                                         struct err *err);
/* --help among the first `most` words, or -h where no host can follow it. */
bool target_wants_help(int argc, char **argv, int most);
void target_options_default(struct target_options *o);
extern const char target_options_help[];
extern const char target_node_help[]; /* without --data-dir */

struct target;

MUST_USE enum status target_open(struct target **out, const struct target_options *options,
                                 struct err *err);
struct client *target_client(struct target *t); /* NULL after a target_reconnect() that failed */

/* The connection is broken: a new one in its place, which knows nothing of the old one's database,
 * name or MULTI. */
MUST_USE enum status target_reconnect(struct target *t, struct err *err);

/* One more connection to the same node. */
MUST_USE enum status target_connect(struct target *t, struct client **out, struct err *err);

/* Stops the node, if it is ours.  NULL is allowed. */
enum status target_close(struct target *t, struct err *err);

#endif
