/*
 * server/config_file.h — the file of settings: lines of the form `name = value`.
 *
 * They stand in no section, or in [distkv].  What is wrong is said with the line that it stood in.
 */
#ifndef SERVER_CONFIG_FILE_H
#define SERVER_CONFIG_FILE_H

#include "server/config.h"

/* Where is the file?  The flag says, or the environment; NULL: neither does.  Borrowed from them. */
const char *config_file_path(int argc, char **argv);

/* Set what the file says, line by line; those before the first that is wrong are set.  As config_set();
 * ST_INVALID: also for a file that cannot be read, or a line that is longer than config_load() says. */
MUST_USE enum status config_file_read(struct config *c, const char *path, struct err *err);

#endif
