/* Who is connected, and how: AUTH, HELLO, SELECT and the like. */
#include <stdio.h>

#include "api/api_internal.h"
#include "api/redis.h"
#include "api/slots.h"
#include "api/transaction.h"
#include "wire/decimal.h"

static const char no_password[] =
    "ERR AUTH <password> called without any password configured for the default user. Are you sure "
    "your configuration is correct?";
static const char not_let_in[] =
    "NOAUTH HELLO must be called with the client already authenticated, otherwise the HELLO AUTH "
    "<user> <pass> option can be used to authenticate the client and select the RESP protocol "
    "version at the same time";
static const char wrong_password[] =
    "WRONGPASS invalid username-password pair or user is disabled.";

void
local_ping(struct session *s, const struct slice *args, uint32_t count, struct resp_writer *w)
{
    (void)s;
    if (count > 2)
        resp_put_error_text(w, "ERR wrong number of arguments for 'ping' command");
    else if (count == 2)
        resp_put_bulk(w, args[1]);
    else
        resp_put_simple(w, "PONG");
}

void
local_echo(struct session *s, const struct slice *args, uint32_t count, struct resp_writer *w)
{
    (void)s;
    (void)count;
    resp_put_bulk(w, args[1]);
}

void
local_quit(struct session *s, const struct slice *args, uint32_t count, struct resp_writer *w)
{
    (void)args;
    (void)count;
    s->leaving = true;
    resp_put_simple(w, "OK");
}

void
local_select(struct session *s, const struct slice *args, uint32_t count, struct resp_writer *w)
{
    const char *error = arg_database(s, args[1], &s->database, &s->keyspace);

    (void)count;
    if (error != NULL)
        resp_put_error_text(w, error);
    else
        resp_put_simple(w, "OK");
}

/* ------------------------------------------------------------------ AUTH */

/* The one user is called "default". */
static bool
let_in(struct session *s, struct slice user, struct slice password)
{
    bool known = slice_equal(user, slice_str("default"));

    if (!atomic_load(&s->reactor->api->password_set))
        return known; /* as Redis: the default user without a password takes any */
    if (!api_password_matches(s->reactor->api, password) || !known)
        return false;
    session_set_authenticated(s, true);
    return true;
}

void
local_auth(struct session *s, const struct slice *args, uint32_t count, struct resp_writer *w)
{
    struct slice user = count == 3 ? args[1] : slice_str("default");

    if (count > 3)
        resp_put_error_text(w, REDIS_SYNTAX_ERROR);
    else if (count == 2 && !atomic_load(&s->reactor->api->password_set))
        resp_put_error_text(w, no_password);
    else if (!let_in(s, user, args[count - 1]))
        resp_put_error_text(w, wrong_password);
    else
        resp_put_simple(w, "OK");
}

/* ------------------------------------------------------------------ HELLO */

struct hello {
    int64_t version;
    bool has_login;
    struct slice user;
    struct slice password;
    bool has_name;
    struct slice name;
};

static bool
parse_hello_option(struct hello *h, const struct slice *args, uint32_t count, uint32_t *i)
{
    if (arg_is(args[*i], "AUTH") && *i + 2 < count) {
        h->has_login = true;
        h->user = args[*i + 1];
        h->password = args[*i + 2];
        *i += 2;
        return true;
    }
    if (arg_is(args[*i], "SETNAME") && *i + 1 < count) {
        h->has_name = true;
        h->name = args[*i + 1];
        *i += 1;
        return true;
    }
    return false;
}

/* False: the error was written. */
static bool
parse_hello(struct hello *h, const struct slice *args, uint32_t count, struct resp_writer *w)
{
    if (count == 1)
        return true;
    if (!decimal_parse_i64(args[1], &h->version)) {
        resp_put_error_text(w, "ERR Protocol version is not an integer or out of range");
        return false;
    }
    if (h->version < 2 || h->version > 3) {
        resp_put_error_text(w, "NOPROTO unsupported protocol version");
        return false;
    }
    for (uint32_t i = 2; i < count; i++) {
        char text[192];

        if (parse_hello_option(h, args, count, &i))
            continue;
        snprintf(text, sizeof(text), "ERR Syntax error in HELLO option '%.*s'",
                 (int)(args[i].size < 128 ? args[i].size : 128), (const char *)args[i].data);
        resp_put_error_text(w, text);
        return false;
    }
    return true;
}

/* False: the error was written, and nothing has changed. */
static bool
apply_hello(struct session *s, const struct hello *h, struct resp_writer *w)
{
    const char *error;

    if (h->has_login && !let_in(s, h->user, h->password)) {
        resp_put_error_text(w, wrong_password);
        return false;
    }
    if (!s->authenticated) {
        resp_put_error_text(w, not_let_in);
        return false;
    }
    error = h->has_name ? session_set_name(s, h->name) : NULL;
    if (error != NULL) {
        resp_put_error_text(w, error);
        return false;
    }
    if (h->version != 0)
        s->version = (uint32_t)h->version;
    w->version = s->version;
    return true;
}

void
local_hello(struct session *s, const struct slice *args, uint32_t count, struct resp_writer *w)
{
    struct hello hello = { 0 };

    if (!parse_hello(&hello, args, count, w) || !apply_hello(s, &hello, w))
        return;
    resp_put_map(w, 7);
    resp_put_bulk(w, slice_str("server"));
    resp_put_bulk(w, slice_str("redis"));
    resp_put_bulk(w, slice_str("version"));
    resp_put_bulk(w, slice_str(API_REDIS_VERSION));
    resp_put_bulk(w, slice_str("proto"));
    resp_put_i64(w, s->version);
    resp_put_bulk(w, slice_str("id"));
    resp_put_i64(w, (int64_t)s->id);
    resp_put_bulk(w, slice_str("mode"));
    resp_put_bulk(w, slice_str(slots_in_cluster(s->reactor->door) ? "cluster" : "standalone"));
    resp_put_bulk(w, slice_str("role"));
    resp_put_bulk(w, slice_str("master"));
    resp_put_bulk(w, slice_str("modules"));
    resp_put_array(w, 0);
}

void
local_reset(struct session *s, const struct slice *args, uint32_t count, struct resp_writer *w)
{
    (void)args;
    (void)count;
    transaction_destroy(s);
    s->version = 2;
    s->database = 0;
    s->name[0] = '\0';
    s->durability_chosen = false;
    s->reads_here = s->asking = false;
    session_set_authenticated(s, !atomic_load(&s->reactor->api->password_set));
    if (kv_database(s->reactor->door, 0, &s->keyspace) != ST_OK)
        s->broken = true;
    w->version = 2;
    resp_put_simple(w, "RESET");
}
