/*
 * The doors of one node: listeners, settings, and the way out.
 *
 * THREADS.  A session belongs to its reactor.  What all reactors look at is
 * atomic, or behind the lock, or does not change after api_create().
 */
#include "api/api.h"

#include <stdio.h>

#include "base/assert.h"
#include "base/log.h"
#include "base/mem.h"

#include "api/api_internal.h"

static enum status
init_reactors(struct api *a, const struct api_options *options, struct err *err)
{
    a->reactors = mem_new_array(struct reactor, options->loop_count);
    if (a->reactors == NULL)
        return err_raise(err, ST_NO_MEMORY, "api: out of memory");
    a->reactor_count = options->loop_count;
    for (uint32_t i = 0; i < options->loop_count; i++) {
        enum status st = reactor_init(&a->reactors[i], a, options->loops[i]);

        ASSERT(a->reactors[i].index == i);
        if (st != ST_OK)
            return err_raise(err, st, "api: reactor %u could not begin", i);
    }
    return ST_OK;
}

static void
init_settings(struct api *a, const struct api_options *options)
{
    atomic_init(&a->durability, options->durability);
    atomic_init(&a->deadline_ms, options->deadline_ms);
    atomic_init(&a->moved, options->moved);
    atomic_init(&a->stale_ms, 0);
    atomic_init(&a->connections, 0);
    atomic_init(&a->next_session, 1);
    atomic_init(&a->last_save_ms, options->start_ms);
    atomic_init(&a->saving, false);
    atomic_init(&a->last_save_failed, false);
    atomic_init(&a->drain_now, false);
    atomic_init(&a->compacts, 0);
    atomic_init(&a->compact_step, 0);
    api_set_password(a, options->password);
    a->options.loops = NULL;
    a->options.password = NULL;
    a->options.version = NULL;
}

enum status
api_create(struct api **out, struct kv *kv, struct env *env, const struct api_options *options,
           struct err *err)
{
    struct api *a = mem_new(struct api);
    enum status st;

    ASSERT(options->loop_count > 0 && options->loop_count <= LIMIT_REACTORS);
    if (a == NULL)
        return err_raise(err, ST_NO_MEMORY, "api: out of memory");
    a->kv = kv;
    a->env = env;
    a->options = *options;
    lock_init(&a->lock);
    cursor_table_init(&a->cursors, env);
    room_shares_init(&a->shares, kv_budget(kv));
    command_index_init(&a->commands);
    init_settings(a, options);
    a->version = mem_strdup(options->version);
    st = a->version == NULL ? err_raise(err, ST_NO_MEMORY, "api: out of memory")
                            : init_reactors(a, options, err);
    if (st != ST_OK) {
        api_destroy(a);
        return st;
    }
    *out = a;
    return ST_OK;
}

void
api_destroy(struct api *a)
{
    if (a == NULL)
        return;
    for (int i = 0; i < DOOR_COUNT; i++)
        listener_close(a->listeners[i]);
    for (uint32_t i = 0; i < a->reactor_count; i++)
        reactor_release(&a->reactors[i]);
    mem_free(a->reactors);
    cursor_table_release(&a->cursors);
    lock_release(&a->lock);
    mem_free(a->version);
    mem_free(a);
}

/* ------------------------------------------------------------------ doors */

static void
accepted(struct api *a, struct loop *loop, struct stream *stream, enum api_door door)
{
    reactor_accept(&a->reactors[loop_index(loop)], stream, door);
}

static void
accepted_auto(void *ctx, struct loop *loop, struct stream *stream)
{
    accepted(ctx, loop, stream, API_DOOR_AUTO);
}

static void
accepted_line(void *ctx, struct loop *loop, struct stream *stream)
{
    accepted(ctx, loop, stream, API_DOOR_LINE);
}

enum status
api_open_door(struct api *a, enum api_door kind, const char *address, uint16_t port,
              struct err *err)
{
    ASSERT(a->listeners[kind] == NULL);
    return env_listen(a->env, address, port, kind == API_DOOR_LINE ? accepted_line : accepted_auto,
                      a, &a->listeners[kind], err);
}

uint16_t
api_door_port(const struct api *a, enum api_door kind)
{
    return a->listeners[kind] == NULL ? 0 : listener_port(a->listeners[kind]);
}

/* ------------------------------------------------------------------ settings */

void
api_set_password(struct api *a, const char *password)
{
    size_t size = password == NULL ? 0 : strlen(password);

    ASSERT(size <= PASSWORD_BYTES_MAX); /* the configuration has checked it */
    lock_take(&a->lock);
    memset(a->password, 0, sizeof(a->password));
    if (size > 0)
        memcpy(a->password, password, size);
    a->password_size = size;
    lock_drop(&a->lock);
    atomic_store(&a->password_set, size > 0);
}

bool
api_password_matches(struct api *a, struct slice password)
{
    char mine[PASSWORD_BYTES_MAX];
    size_t size;
    unsigned difference;

    lock_take(&a->lock);
    memcpy(mine, a->password, sizeof(mine));
    size = a->password_size;
    lock_drop(&a->lock);

    /* Every byte is looked at, whatever was given and wherever it differs. */
    difference = password.size != size;
    for (size_t i = 0; i < PASSWORD_BYTES_MAX; i++) {
        uint8_t given = i < password.size ? password.data[i] : 0;

        difference |= (unsigned)((uint8_t)mine[i] ^ given);
    }
    return difference == 0;
}

void
api_set_durability(struct api *a, enum durability durability)
{
    atomic_store(&a->durability, durability);
}

void
api_set_deadline_ms(struct api *a, uint32_t ms)
{
    atomic_store(&a->deadline_ms, ms);
}

void
api_set_moved(struct api *a, bool moved)
{
    atomic_store(&a->moved, moved);
}

void
api_set_stale_ms(struct api *a, uint32_t ms)
{
    atomic_store(&a->stale_ms, ms);
}

void
api_figures(struct api *a, struct api_figures *out)
{
    *out = (struct api_figures){ 0 };
    for (uint32_t i = 0; i < a->reactor_count; i++) {
        struct reactor_counters *c = &a->reactors[i].counters;

        out->commands += atomic_load(&c->commands);
        out->accepted += atomic_load(&c->accepted);
        out->refused += atomic_load(&c->refused);
        out->bytes_in += atomic_load(&c->bytes_in);
        out->bytes_out += atomic_load(&c->bytes_out);
        out->hits += atomic_load(&c->hits);
        out->misses += atomic_load(&c->misses);
        out->errors += atomic_load(&c->errors);
    }
}

/* ------------------------------------------------------------------ the way out */

void
api_drain_now(struct api *a)
{
    ASSERT(a->drain.begun);
    atomic_store(&a->drain_now, true);
}

static void
drain_here(struct task *task)
{
    struct reactor *r = container_of(task, struct reactor, drain_task);

    reactor_drain(r, r->drain_deadline_ns);
}

static void
drained_task(struct task *task)
{
    struct reactor *r = container_of(task, struct reactor, drain_task);
    struct api *a = r->api;

    ASSERT(a->drain.reactors_left > 0);
    if (--a->drain.reactors_left == 0)
        a->drain.drained(a->drain.ctx);
}

void
api_reactor_drained(struct api *a, uint32_t index)
{
    struct reactor *r = &a->reactors[index];

    r->drain_task.run = drained_task;
    loop_post(a->reactors[0].loop, &r->drain_task);
}

void
api_drain(struct api *a, uint32_t limit_ms, void (*drained)(void *ctx), void *ctx)
{
    uint64_t deadline_ns = loop_now_ns(a->reactors[0].loop) + (uint64_t)limit_ms * 1000000;

    ASSERT(!a->drain.begun);
    a->drain = (struct drain){
        .begun = true, .reactors_left = a->reactor_count, .drained = drained, .ctx = ctx
    };
    for (int i = 0; i < DOOR_COUNT; i++) {
        listener_close(a->listeners[i]);
        a->listeners[i] = NULL;
    }
    for (uint32_t i = 0; i < a->reactor_count; i++) {
        struct reactor *r = &a->reactors[i];

        r->drain_deadline_ns = deadline_ns;
        r->drain_task.run = drain_here;
        loop_post(r->loop, &r->drain_task);
    }
}
