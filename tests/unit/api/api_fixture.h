/*
 * A whole node, from its disk to its doors, in a simulated world: two reactors,
 * and clients that are not nodes.
 */
#ifndef API_FIXTURE_H
#define API_FIXTURE_H

#include "api/api.h"
#include "engine/engine.h"
#include "simenv/simenv.h"

enum { NODE_ID = 1, NODE_LOOPS = 2, NODE_PATIENCE_MS = 120000 };

struct inn {
    struct sim *w;
    struct env *env;
    struct kv *kv;
    struct api *api;
    struct engine_options engine;
    struct api_options options;       /* to be changed between inn_init() and inn_open() */
    const struct kv_cluster *cluster; /* as the options; NULL: alone */
    uint16_t port;
    uint16_t line_port;
    enum status status; /* of what was done last */
    struct err err;
    bool flag;
    bool shutdown_asked;
    char setting[64]; /* what CONFIG SET test-setting was given */
};

/* A world, with small memtables and caches; nothing runs yet. */
void inn_init(struct inn *n, uint64_t seed);

/* Boot, open the store, open the doors. */
void inn_open(struct inn *n);

/* Drain the doors and the store, close, end the process: leaks fail. */
void inn_close(struct inn *n);

/* Power cut. */
void inn_crash(struct inn *n);
void inn_release(struct inn *n);

/* ------------------------------------------------------------------ clients */

struct client {
    struct inn *n;
    struct sim_client *c;
};

struct client client_connect(struct inn *n);
struct client client_connect_line(struct inn *n);
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
