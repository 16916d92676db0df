/* SAVE, BGSAVE, COMPACT, TIME and what DISTKV adds. */
#include <inttypes.h>
#include <stdio.h>

#include "base/log.h"
#include "base/mem.h"

#include "api/admin.h"
#include "api/api_internal.h"
#include "api/redis.h"

void
local_time(struct session *s, const struct slice *args, uint32_t count, struct resp_writer *w)
{
    uint64_t now_ms = env_wall_ms(s->reactor->env);
    char text[24];

    (void)args;
    (void)count;
    resp_put_array(w, 2);
    snprintf(text, sizeof(text), "%" PRIu64, now_ms / 1000);
    resp_put_bulk(w, slice_str(text));
    snprintf(text, sizeof(text), "%" PRIu64, now_ms % 1000 * 1000);
    resp_put_bulk(w, slice_str(text));
}

void
local_lastsave(struct session *s, const struct slice *args, uint32_t count, struct resp_writer *w)
{
    (void)args;
    (void)count;
    resp_put_i64(w, (int64_t)(atomic_load(&s->reactor->api->last_save_ms) / 1000));
}

void
local_info(struct session *s, const struct slice *args, uint32_t count, struct resp_writer *w)
{
    struct buf text = buf_empty(REPLY_BYTES_MAX);
    enum status st = info_text(s, args + 1, count - 1, &text);

    if (st == ST_OK)
        resp_put_text(w, buf_slice(&text));
    else
        put_status(w, st, NULL, false);
    buf_release(&text);
}

/* ------------------------------------------------------------------ SAVE, BGSAVE */

static void
note_save(struct api *a, struct env *env, enum status st)
{
    atomic_store(&a->last_save_failed, st != ST_OK);
    if (st == ST_OK)
        atomic_store(&a->last_save_ms, env_wall_ms(env));
}

static void
save_done(struct admin *a)
{
    struct reactor *r = a->call->session->reactor;

    note_save(r->api, r->env, ST_OK);
    call_reply_simple(a->call, "OK");
}

void
task_save(struct call *c, const struct slice *args, uint32_t count)
{
    (void)args;
    (void)count;
    if (atomic_load(&c->session->reactor->api->saving))
        call_reply_error(c, "ERR Background save already in progress");
    else
        admin_begin(c, KV_SAVE, save_done);
}

/* Nobody's call: it goes on when its connection has gone. */
struct background_save {
    struct kv_admin admin;
    struct api *api;
};

static void
bgsave_done(struct kv_admin *self)
{
    struct background_save *b = container_of(self, struct background_save, admin);

    note_save(b->api, b->api->env, self->status);
    if (self->status == ST_OK)
        log_event(LOG_INFO, "api.bgsave", log_f64("seconds", self->seconds));
    else
        log_event(LOG_ERROR, "api.bgsave_failed", log_err(&self->err));
    atomic_store(&b->api->saving, false);
    mem_free(b);
}

void
task_bgsave(struct call *c, const struct slice *args, uint32_t count)
{
    struct reactor *r = c->session->reactor;
    struct background_save *b;

    if (count > 2 || (count == 2 && !arg_is(args[1], "SCHEDULE"))) {
        call_reply_error(c, REDIS_SYNTAX_ERROR);
        return;
    }
    if (atomic_exchange(&r->api->saving, true)) {
        call_reply_error(c, "ERR Background save already in progress");
        return;
    }
    b = mem_new(struct background_save);
    if (b == NULL) {
        atomic_store(&r->api->saving, false);
        call_reply_status(c, ST_NO_MEMORY, NULL);
        return;
    }
    b->api = r->api;
    b->admin.kind = KV_SAVE;
    b->admin.keyspace = c->keyspace;
    b->admin.done = bgsave_done;
    kv_admin_submit(r->door, &b->admin);
    call_reply_simple(c, "Background saving started");
}

/* ------------------------------------------------------------------ COMPACT */

static void
put_figure(struct resp_writer *w, const char *name, uint64_t value)
{
    resp_put_bulk(w, slice_str(name));
    resp_put_i64(w, (int64_t)value);
}

static void
compact_done(struct admin *a)
{
    size_t mark = 0;
    struct resp_writer w = call_reply(a->call, 256, &mark);

    resp_put_map(&w, 4);
    put_figure(&w, "tables_in", a->sum.tables_in);
    put_figure(&w, "keys_removed", a->sum.keys_removed);
    put_figure(&w, "bytes_reclaimed", a->sum.bytes_reclaimed);
    resp_put_bulk(&w, slice_str("seconds"));
    resp_put_double(&w, a->seconds);
    call_replied(a->call, &w, mark);
    call_finish(a->call);
}

void
task_compact(struct call *c, const struct slice *args, uint32_t count)
{
    (void)args;
    (void)count;
    admin_compact_every(c, compact_done);
}

/* ------------------------------------------------------------------ DISTKV */

void
local_distkv_compaction(struct session *s, const struct slice *args, uint32_t count,
                        struct resp_writer *w)
{
    uint32_t permille;
    bool running = api_compact_progress(s, &permille);

    (void)args;
    (void)count;
    resp_put_map(w, 2);
    put_figure(w, "running", running);
    put_figure(w, "permille", permille);
}

static const char *const durability_names[DURABILITY_COUNT] = {
    [DURABILITY_ALWAYS] = "always",
    [DURABILITY_INTERVAL] = "interval",
    [DURABILITY_NEVER] = "never",
};

void
local_distkv_durability(struct session *s, const struct slice *args, uint32_t count,
                        struct resp_writer *w)
{
    if (count == 2) {
        resp_put_bulk(w, slice_str(durability_names[session_durability(s)]));
        return;
    }
    for (int i = 0; count == 3 && i < DURABILITY_COUNT; i++) {
        if (!arg_is(args[2], durability_names[i]))
            continue;
        s->durability = (enum durability)i;
        s->durability_chosen = true;
        resp_put_simple(w, "OK");
        return;
    }
    resp_put_error_text(w, "ERR durability is one of always, interval, never");
}

static void
encode_version(const struct piece *p, const struct op_result *results, struct resp_writer *w)
{
    (void)p;
    if (results[0].code == OP_NIL)
        resp_put_nil(w);
    else
        resp_put_i64(w, (int64_t)results[0].version);
}

void
prepare_distkv_version(struct unit *u, struct piece *p, const struct slice *args, uint32_t count)
{
    struct op *op = unit_add(u, p, 1);

    (void)count;
    p->encode = encode_version;
    if (op == NULL)
        return;
    op->kind = OP_META;
    op->key = args[2];
}

void
local_distkv_stats(struct session *s, const struct slice *args, uint32_t count,
                   struct resp_writer *w)
{
    struct buf text = buf_empty(1 << 20);
    enum status st = api_stats_json(s->reactor->api, &text);

    (void)args;
    (void)count;
    if (st == ST_OK)
        resp_put_bulk(w, buf_slice(&text));
    else
        put_status(w, st, NULL, false);
    buf_release(&text);
}

void
local_distkv_help(struct session *s, const struct slice *args, uint32_t count,
                  struct resp_writer *w)
{
    static const char *const lines[] = {
        "CLUSTER <word> [<word> ...]",
        "    What there is in the cluster, and orders to it; see distkv cluster --help.",
        "COMPACTION",
        "    Whether a COMPACT is under way, and how far, in 0..1000.",
        "DURABILITY [always|interval|never]",
        "    When a write of this connection is answered: after its fsync, or before.",
        "STATS",
        "    The figures of this node, as one line of JSON.",
        "VERSION <key>",
        "    The version of the key's last write, or nil.",
    };

    (void)s;
    (void)args;
    (void)count;
    put_help(w, "DISTKV", lines, sizeof(lines) / sizeof(lines[0]));
}
