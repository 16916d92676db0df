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

struct client client_connect(struct inn *n);
struct client client_connect_line(struct inn *n);

#endif
