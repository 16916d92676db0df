/*
 * A node's storage, from engine to kv, in a simulated world with two reactors.
 * Calls are made on a reactor and the world runs until they are answered.
 */
#ifndef KV_FIXTURE_H
#define KV_FIXTURE_H

#include "kv/kv.h"
#include "simenv/simenv.h"

enum { FIX_NODE = 1, FIX_LOOPS = 2, FIX_DEADLINE_MS = 5000, FIX_PATIENCE_MS = 60000 };

struct kvfix {
    struct sim *w;
    struct env *env;
    struct kv *kv;
    struct engine_options options;
    enum status open_status;
    struct err open_err;
    bool closed;
    void (*booted)(struct kvfix *f); /* called between boot and opening; NULL: nothing */
    void *ctx;                       /* the test's own */
};

/* A world; the node is not yet booted.  Small memtables and segments. */
void kvfix_create(struct kvfix *f, uint64_t seed);
void kvfix_destroy(struct kvfix *f);

/* Boot a process and open the store; the status of opening it. */
enum status kvfix_open(struct kvfix *f);

/* As kvfix_open(), with a power cut at the `nth` call to env. */
enum status kvfix_open_cut(struct kvfix *f, uint64_t nth);

/* Power cut, and nothing else. */
void kvfix_crash(struct kvfix *f);

/* Drain, close, end the process; leaks fail. */
void kvfix_close(struct kvfix *f);

/* As kvfix_close(), whatever the status of closing is. */
enum status kvfix_try_close(struct kvfix *f);

/* A job of administration, to its end. */
enum status fix_admin(struct kvfix *f, enum kv_admin_kind kind, uint64_t *count);

/* One request with its own memory: operations are added, then it is sent. */
enum { CALL_OPS_MAX = 64, CALL_BYTES_MAX = 1 << 16 };

struct call {
    struct request request;
    struct op ops[CALL_OPS_MAX];
    struct op_result results[CALL_OPS_MAX];
    struct precondition preconditions[4];
    char values[CALL_OPS_MAX][256]; /* of the results, as C strings */
    char bytes[CALL_BYTES_MAX];
    size_t used;
    bool done;
    uint64_t done_at; /* order of answers, from 1 */
    struct kvfix *fix;
    uint32_t loop;
};

uint64_t fix_deadline_ns(struct kvfix *f, uint32_t loop); /* of what is asked for now */

struct call *call_new(struct kvfix *f, uint32_t loop);
struct op *call_op(struct call *c, enum op_kind kind, const char *key);
void call_value(struct call *c, struct op *op, const char *value);

/* Send without waiting; then wait. */
void call_send(struct call *c);
enum status call_wait(struct call *c);

/* Both, and free the call. */
enum status fix_put(struct kvfix *f, const char *key, const char *value);
/* "nil" when there is none; valid until the next call. */
const char *fix_get(struct kvfix *f, const char *key);
const char *fix_get_on(struct kvfix *f, uint32_t loop, const char *key);
enum status fix_delete(struct kvfix *f, const char *key, bool *existed);

#endif
