/* CONFIG: the program's settings, which live on loop 0; and SHUTDOWN, which is the program's, too. */
#include <inttypes.h>
#include <stdio.h>

#include "base/mem.h"

#include "api/api_internal.h"
#include "api/hop.h"
#include "api/redis.h"

enum { CONFIG_BYTES_MAX = 1 << 20, CONFIG_TEXT_MAX = 512, SETTING_NAME_MAX = 128 };

static struct loop *
loop_0(struct call *c)
{
    return c->session->reactor->api->reactors[0].loop;
}

/* ------------------------------------------------------------------ CONFIG GET */

struct config_get {
    struct hop hop;
    struct api *api;
    const struct slice *patterns;
    uint32_t pattern_count;
    struct buf pairs; /* name, NUL, value, NUL */
    uint32_t pair_count;
    enum status status;
};

static void
release_get(struct call *c)
{
    struct config_get *g = c->task;

    buf_release(&g->pairs);
    mem_free(g);
}

static const char *
after(const char *text)
{
    return text + strlen(text) + 1;
}

static bool
has_setting(const struct config_get *g, const char *name)
{
    const char *at = (const char *)g->pairs.data;

    for (uint32_t i = 0; i < g->pair_count; i++) {
        if (strcmp(at, name) == 0)
            return true;
        at = after(after(at));
    }
    return false;
}

static void
add_setting(void *ctx, const char *name, const char *value)
{
    struct config_get *g = ctx;

    if (g->status != ST_OK || has_setting(g, name))
        return; /* two patterns may match one setting */
    g->status = buf_append(&g->pairs, slice_of(name, strlen(name) + 1));
    if (g->status == ST_OK)
        g->status = buf_append(&g->pairs, slice_of(value, strlen(value) + 1));
    if (g->status == ST_OK)
        g->pair_count++;
}

/* What clients ask a Redis server for, and we have an answer to. */
static const char *const known_names[] = {
    "save", "appendonly", "databases", "maxclients", "timeout", "proto-max-bulk-len",
};
enum { KNOWN_COUNT = sizeof(known_names) / sizeof(known_names[0]) };

static bool
is_known(struct slice name)
{
    for (size_t i = 0; i < KNOWN_COUNT; i++) {
        if (arg_is(name, known_names[i]))
            return true;
    }
    return false;
}

static void
add_known(struct config_get *g, struct slice pattern)
{
    char connections[24], idle[24], bulk[24];
    const char *const values[KNOWN_COUNT] = { "", "yes", "16", connections, idle, bulk };

    snprintf(connections, sizeof(connections), "%" PRIu32, g->api->options.connections_max);
    snprintf(idle, sizeof(idle), "%" PRIu32, g->api->options.idle_ms_max / 1000);
    snprintf(bulk, sizeof(bulk), "%d", LIMIT_VALUE_BYTES);
    for (size_t i = 0; i < KNOWN_COUNT; i++) {
        if (kv_glob(pattern, slice_str(known_names[i])))
            add_setting(g, known_names[i], values[i]);
    }
}

/* A copy in lower case; false when it is too long to be the name of a setting. */
static bool
lower(struct slice text, char out[SETTING_NAME_MAX])
{
    if (text.size >= SETTING_NAME_MAX)
        return false;
    for (size_t i = 0; i < text.size; i++) {
        uint8_t c = text.data[i];

        out[i] = (char)(c >= 'A' && c <= 'Z' ? c + 32 : c);
    }
    out[text.size] = '\0';
    return true;
}

static void
get_there(struct hop *h)
{
    struct config_get *g = container_of(h, struct config_get, hop);
    const struct api_host *host = &g->api->options.host;

    for (uint32_t i = 0; i < g->pattern_count; i++) {
        char pattern[SETTING_NAME_MAX];
        struct slice text;

        if (!lower(g->patterns[i], pattern))
            continue;
        text = slice_of(pattern, g->patterns[i].size);
        if (host->config_get != NULL)
            host->config_get(host->ctx, text, add_setting, g);
        add_known(g, text);
    }
}

static void
get_back(struct hop *h)
{
    struct config_get *g = container_of(h, struct config_get, hop);
    const char *at = (const char *)g->pairs.data;
    struct call *c = h->call;
    size_t mark = 0;
    struct resp_writer w;

    if (g->status != ST_OK) {
        call_reply_status(c, g->status, NULL);
        return;
    }
    w = call_reply(c, g->pairs.size + 64, &mark);
    resp_put_map(&w, g->pair_count);
    for (uint32_t i = 0; i < g->pair_count * 2; i++) {
        resp_put_bulk(&w, slice_str(at));
        at = after(at);
    }
    call_replied(c, &w, mark);
    call_finish(c);
}

void
task_config_get(struct call *c, const struct slice *args, uint32_t count)
{
    struct config_get *g = mem_new(struct config_get);

    args = call_keep_args(c, args, count);
    if (g == NULL || args == NULL) {
        mem_free(g);
        call_reply_status(c, ST_NO_MEMORY, NULL);
        return;
    }
    *g = (struct config_get){
        .hop = { .call = c, .there = get_there, .back = get_back },
        .api = c->session->reactor->api,
        .patterns = args + 2,
        .pattern_count = count - 2,
        .pairs = buf_empty(CONFIG_BYTES_MAX),
    };
    c->task = g;
    c->release = release_get;
    hop_go(&g->hop, loop_0(c));
}

/* ------------------------------------------------------------------ CONFIG SET */

struct config_set {
    struct hop hop;
    struct api *api;
    const struct slice *pairs;
    uint32_t pair_count;
    char error[CONFIG_TEXT_MAX]; /* empty: all is set */
};

static void
release_set(struct call *c)
{
    mem_free(c->task);
}

static void
explain(struct config_set *set, enum status st, struct slice name, const struct err *err)
{
    int size = (int)(name.size < SETTING_NAME_MAX ? name.size : SETTING_NAME_MAX);
    const char *text = (const char *)name.data;
    const char *why = st == ST_CONFLICT ? "can't set immutable config" : err->text;

    if (st == ST_NOT_FOUND) {
        snprintf(set->error, sizeof(set->error),
                 "ERR Unknown option or number of arguments for CONFIG SET - '%.*s'", size, text);
        return;
    }
    snprintf(set->error, sizeof(set->error),
             "ERR CONFIG SET failed (possibly related to argument '%.*s') - %s", size, text, why);
}

static void
set_there(struct hop *h)
{
    struct config_set *set = container_of(h, struct config_set, hop);
    const struct api_host *host = &set->api->options.host;

    for (uint32_t i = 0; i < set->pair_count; i++) {
        const struct slice *pair = &set->pairs[(size_t)i * 2];
        struct slice name = pair[0];
        char folded[SETTING_NAME_MAX];
        struct err err = { .text = "invalid value" };
        enum status st = ST_NOT_FOUND;

        if (host->config_set != NULL && lower(name, folded)) {
            st = host->config_set(host->ctx, slice_of(folded, name.size), pair[1], &err);
        }
        if (st == ST_NOT_FOUND && is_known(name))
            st = ST_CONFLICT;
        if (st != ST_OK) {
            explain(set, st, name, &err);
            return;
        }
    }
}

static void
set_back(struct hop *h)
{
    struct config_set *set = container_of(h, struct config_set, hop);

    if (set->error[0] != '\0')
        call_reply_error(h->call, set->error);
    else
        call_reply_simple(h->call, "OK");
}

void
task_config_set(struct call *c, const struct slice *args, uint32_t count)
{
    struct config_set *set;

    if (count % 2 != 0) {
        call_reply_error(c, REDIS_SYNTAX_ERROR);
        return;
    }
    set = mem_new(struct config_set);
    args = call_keep_args(c, args, count);
    if (set == NULL || args == NULL) {
        mem_free(set);
        call_reply_status(c, ST_NO_MEMORY, NULL);
        return;
    }
    set->hop = (struct hop){ .call = c, .there = set_there, .back = set_back };
    set->api = c->session->reactor->api;
    set->pairs = args + 2;
    set->pair_count = (count - 2) / 2;
    c->task = set;
    c->release = release_set;
    hop_go(&set->hop, loop_0(c));
}

void
local_config_help(struct session *s, const struct slice *args, uint32_t count,
                  struct resp_writer *w)
{
    static const char *const lines[] = {
        "GET <pattern> [<pattern> ...]",
        "    The settings whose names match, and their values.",
        "SET <name> <value> [<name> <value> ...]",
        "    Change settings, as far as they can be changed while the server runs.",
    };

    (void)s;
    (void)args;
    (void)count;
    put_help(w, "CONFIG", lines, sizeof(lines) / sizeof(lines[0]));
}

/* ------------------------------------------------------------------ SHUTDOWN */

struct shutdown {
    struct hop hop;
    struct api *api;
};

static void
shutdown_there(struct hop *h)
{
    struct shutdown *down = container_of(h, struct shutdown, hop);
    const struct api_host *host = &down->api->options.host;

    if (host->shutdown != NULL)
        host->shutdown(host->ctx);
}

/* As in Redis, the end of the connection is the reply. */
static void
shutdown_back(struct hop *h)
{
    struct session *s = h->call->session;

    s->leaving = true;
    call_finish(h->call);
}

/* NULL, or the error.  Whatever is written is on disk: SAVE and NOSAVE are the same. */
static const char *
parse_shutdown(const struct slice *args, uint32_t count)
{
    bool save = false, nosave = false, abort = false;

    for (uint32_t i = 1; i < count; i++) {
        if (arg_is(args[i], "SAVE"))
            save = true;
        else if (arg_is(args[i], "NOSAVE"))
            nosave = true;
        else if (arg_is(args[i], "ABORT"))
            abort = true;
        else if (!arg_is(args[i], "NOW") && !arg_is(args[i], "FORCE"))
            return REDIS_SYNTAX_ERROR;
    }
    if ((save && nosave) || (abort && count != 2))
        return REDIS_SYNTAX_ERROR;
    return abort ? "ERR No shutdown in progress." : NULL;
}

void
task_shutdown(struct call *c, const struct slice *args, uint32_t count)
{
    const char *error = parse_shutdown(args, count);
    struct shutdown *down;

    if (error != NULL) {
        call_reply_error(c, error);
        return;
    }
    down = mem_new(struct shutdown);
    if (down == NULL) {
        call_reply_status(c, ST_NO_MEMORY, NULL);
        return;
    }
    down->hop = (struct hop){ .call = c, .there = shutdown_there, .back = shutdown_back };
    down->api = c->session->reactor->api;
    c->task = down;
    c->release = release_set;
    hop_go(&down->hop, loop_0(c));
}
