/*
 * A whole node, from its disk to its doors, in a simulated world: two reactors,
 * and clients that are not nodes.
 */
#ifndef API_FIXTURE_H
#define API_FIXTURE_H

#include "api/api.h"
#include "engine/engine.h"
#include "simenv/simenv.h"
#include "unit/api/client.h"

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

struct client client_connect(struct node *n);
struct client client_connect_line(struct node *n);

#endif
