/*
 * cli/client.h — a blocking connection to a node, for programs that people run.
 */
#ifndef CLI_CLIENT_H
#define CLI_CLIENT_H

#include "base/slice.h"
#include "base/status.h"

#include "wire/resp.h"

struct client;

/* Connect and, with a password, AUTH.  ST_IO: nobody answers; ST_INVALID: the password is wrong. */
MUST_USE enum status client_open(struct client **out, const char *host, uint16_t port,
                                 const char *password, struct err *err);
void client_close(struct client *c); /* NULL is allowed */

/* Gathers a command; client_flush() sends what is gathered.  ST_NO_MEMORY. */
MUST_USE enum status client_command(struct client *c, const struct slice *words, size_t count);
MUST_USE enum status client_flush(struct client *c, struct err *err);

/* The next item of the reply, outer ones first; `*last` is true for the one that ends it.  The
 * text is borrowed until the next call.  ST_CLOSED, ST_IO, ST_CORRUPT (not a reply). */
MUST_USE enum status client_item(struct client *c, struct resp_item *item, bool *last,
                                 struct err *err);

/* Read one whole reply and keep its outermost item; nested ones are skipped.  The text is
 * copied to `text` (which may be NULL). */
MUST_USE enum status client_reply(struct client *c, struct resp_item *item, struct buf *text,
                                  struct err *err);

/* client_command, client_flush, client_reply. */
MUST_USE enum status client_call(struct client *c, const struct slice *words, size_t count,
                                 struct resp_item *item, struct buf *text, struct err *err);

#endif
