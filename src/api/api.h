/*
 * api/api.h — the protocol doors: sessions that turn bytes into kv requests,
 * and results into bytes.  No semantics live here (DESIGN, decision 7).
 *
 * One port speaks the Redis protocol and the line protocol: a connection whose
 * first byte is '*', or whose first line ends in CRLF, speaks Redis; one whose
 * first line ends in a bare LF speaks the line protocol for its life.  A line
 * door speaks the line protocol with either ending.
 *
 * Depends on: base, env, wire, kv.
 */
#ifndef API_API_H
#define API_API_H

#include "base/status.h"

#include "env/env.h"
#include "kv/kv.h"

struct api;

enum api_door { API_DOOR_AUTO, API_DOOR_LINE };

/* What the program around the sessions provides.  Called on loop 0, unless said otherwise. */
struct api_host {
    void *ctx;

    /* CONFIG GET: call `fn` for every setting whose name matches the glob. */
    void (*config_get)(void *ctx, struct slice pattern,
                       void (*fn)(void *fn_ctx, const char *name, const char *value), void *fn_ctx);

    /* CONFIG SET: ST_OK; ST_NOT_FOUND: no such setting; ST_CONFLICT: it cannot be set while
     * running; ST_INVALID: a bad value (err says why). */
    enum status (*config_set)(void *ctx, struct slice name, struct slice value, struct err *err);

    /* SHUTDOWN: begin a graceful stop. */
    void (*shutdown)(void *ctx);

    /* INFO: processor time that the process has used.  NULL: not shown.  Any loop. */
    void (*cpu_seconds)(void *ctx, double *user, double *system);
};

struct api_options {
    struct loop **loops; /* borrowed array, in order of index; until api_create() returns */
    uint32_t loop_count;
    const char *password;       /* NULL: none; copied */
    enum durability durability; /* of new connections */
    uint32_t deadline_ms;       /* of ordinary requests; 5000 */
    bool moved;                 /* clients are told who leads (MOVED), not answered from there */
    uint32_t connections_max;   /* beyond: refused with an error; 10,000 or more */
    uint32_t idle_ms_max;       /* a connection silent for longer is closed; 0 = never */
    uint64_t start_ms;          /* Unix time of the process's start */
    const char *version;        /* of the program */
    struct api_host host;
};

MUST_USE enum status api_create(struct api **out, struct kv *kv, struct env *env,
                                const struct api_options *options, struct err *err);

/* Listen; several doors may be opened.  Start-up code. */
MUST_USE enum status api_open_door(struct api *a, enum api_door kind, const char *address,
                                   uint16_t port, struct err *err);
uint16_t api_door_port(const struct api *a, enum api_door kind);

/* Settings that may change while running; on loop 0, effective for later requests. */
void api_set_password(struct api *a, const char *password);
void api_set_durability(struct api *a, enum durability durability);
void api_set_deadline_ms(struct api *a, uint32_t ms);
void api_set_moved(struct api *a, bool moved);
/* After READONLY: request.stale_ms; 0 at first. */
void api_set_stale_ms(struct api *a, uint32_t ms);

/* Stop accepting, answer what was received, close every connection (at the latest after
 * `limit_ms`), then call `drained` on loop 0.  On loop 0. */
void api_drain(struct api *a, uint32_t limit_ms, void (*drained)(void *ctx), void *ctx);

/* A drain that is under way waits for nobody any longer. */
void api_drain_now(struct api *a);

/* The loops have stopped.  NULL is allowed. */
void api_destroy(struct api *a);

/* One line of JSON, as the line protocol's STATS and DISTKV STATS give it. */
MUST_USE enum status api_stats_json(struct api *a, struct buf *out);

#endif
