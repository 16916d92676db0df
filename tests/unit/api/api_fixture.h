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

struct node {
    struct sim *w;
    struct env *env;
    struct kv *kv;
    struct api *api;
    struct engine_options engine;
    struct api_options options;       /* to be changed between node_init() and node_open() */
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
void node_init(struct node *n, uint64_t seed);

/* Boot, open the store, open the doors. */
void node_open(struct node *n);

/* Drain the doors and the store, close, end the process: leaks fail. */
void node_close(struct node *n);

/* Power cut. */
void node_crash(struct node *n);
void node_release(struct node *n);

/* ------------------------------------------------------------------ clients */

struct client {
    struct node *n;
    struct sim_client *c;
};

struct client client_connect(struct node *n);
struct client client_connect_line(struct node *n);
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
