/* unit/api/client.h — who speaks to a node from outside, and is none, in a simulated world. */
#ifndef UNIT_API_CLIENT_H
#define UNIT_API_CLIENT_H

#include "base/slice.h"

#include "simenv/simenv.h"

enum { CLIENT_PATIENCE_MS = 120000 };

struct client {
    struct sim *w;
    struct sim_client *c;
};

void client_close(struct client *c);

void client_send(struct client *c, struct slice bytes);
void client_send_text(struct client *c, const char *text);

/* Let the world go on until there is one whole reply, of the Redis protocol or one line; borrowed
 * until the next call.  Empty when the connection was closed, or nothing came. */
struct slice client_reply(struct client *c);
struct slice client_line(struct client *c);

/* Wait until exactly this has come. */
void client_expect(struct client *c, const char *text);
void client_expect_bytes(struct client *c, struct slice bytes);

/* Send an inline command and expect its reply. */
void client_ask(struct client *c, const char *command, const char *reply);

/* The connection is, or will be, closed by the node. */
void client_expect_closed(struct client *c);

/* Bytes that have come and were not taken. */
size_t client_waiting(struct client *c);

#endif
