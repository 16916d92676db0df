#include "cli/target.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>

#include "base/mem.h"

#include "server/server.h"

enum { PORT_DEFAULT = 6379, PASSWORD_BYTES = 16 };

#define NODE_HELP                                           \
 "  -h, --host HOST       the node's address [127.0.0.1]\n" \
 "  -p, --port PORT       its port [6379]\n"                \
 "  --password-file FILE  its first line is the password; or set DISTKV_PASSWORD\n"

const char target_node_help[] = NODE_HELP;
const char target_options_help[] =
    NODE_HELP "  --data-dir DIR        no server: open this data directory\n";

struct target {
    struct target_options options;
    struct client *client;

    /* with --data-dir */
    struct config config;
    struct server *server;
    pthread_t thread;
    bool serving;
    struct err serve_err;
    enum status served;
    char password[2 * PASSWORD_BYTES + 1];
};

void
target_options_default(struct target_options *o)
{
    *o = (struct target_options){ .host = "127.0.0.1", .port = PORT_DEFAULT };
    /* NOLINTNEXTLINE(concurrency-mt-unsafe): nobody changes the environment. */
    o->password = getenv("DISTKV_PASSWORD");
}

static enum status
take_port(struct target_options *o, const char *text, struct err *err)
{
    char *end;
    unsigned long port = strtoul(text, &end, 10);

    if (*end != '\0' || port == 0 || port > UINT16_MAX)
        return err_raise(err, ST_INVALID, "-p: \"%s\" is not a port", text);
    o->port = (uint16_t)port;
    return ST_OK;
}

static enum status
take_password_file(struct target_options *o, const char *path, struct err *err)
{
    FILE *file = fopen(path, "r");
    bool got = file != NULL && fgets(o->password_line, sizeof(o->password_line), file) != NULL;

    if (file != NULL)
        fclose(file);
    if (!got)
        return err_raise(err, ST_INVALID, "--password-file: cannot read a line from %s", path);
    o->password_line[strcspn(o->password_line, "\r\n")] = '\0';
    o->password = o->password_line;
    return ST_OK;
}

static bool
is_host(const char *flag)
{
    return strcmp(flag, "-h") == 0 || strcmp(flag, "--host") == 0;
}

static bool
is_port(const char *flag)
{
    return strcmp(flag, "-p") == 0 || strcmp(flag, "--port") == 0;
}

static enum status
take_one(struct target_options *o, const char *flag, const char *value, struct err *err)
{
    if (is_host(flag)) {
        o->host = value;
        return ST_OK;
    }
    if (is_port(flag))
        return take_port(o, value, err);
    if (strcmp(flag, "--password-file") == 0)
        return take_password_file(o, value, err);
    o->data_dir = value;
    return ST_OK;
}

static bool
is_ours(const char *flag)
{
    return is_host(flag) || is_port(flag) || strcmp(flag, "--password-file") == 0 ||
           strcmp(flag, "--data-dir") == 0;
}

bool
target_wants_help(int argc, char **argv, int most)
{
    for (int i = 0; i < argc && i < most; i++) {
        if (strcmp(argv[i], "--help") == 0)
            return true;
    }
    return argc == 1 && strcmp(argv[0], "-h") == 0;
}

enum status
target_options_take(struct target_options *o, int argc, char **argv, int *used, struct err *err)
{
    enum status st = ST_OK;
    int at = 0;

    while (st == ST_OK && at < argc && is_ours(argv[at])) {
        if (at + 1 >= argc)
            return err_raise(err, ST_INVALID, "%s needs a value", argv[at]);
        st = take_one(o, argv[at], argv[at + 1], err);
        at += 2;
    }
    *used = at;
    return st;
}

/* ------------------------------------------------------------------ a node of our own */

static void *
serve(void *ctx)
{
    struct target *t = ctx;

    t->served = server_serve(t->server, &t->serve_err);
    return NULL;
}

static enum status
invent_password(struct target *t, struct err *err)
{
    uint8_t bytes[PASSWORD_BYTES];

    if (getrandom(bytes, sizeof(bytes), 0) != (ssize_t)sizeof(bytes))
        return err_raise(err, ST_IO, "the system gives no random bytes");
    for (size_t i = 0; i < sizeof(bytes); i++)
        snprintf(t->password + 2 * i, 3, "%02x", bytes[i]);
    return ST_OK;
}

static enum status
set(struct target *t, const char *name, const char *value, struct err *err)
{
    return config_set(&t->config, slice_str(name), slice_str(value), "--data-dir", err);
}

static enum status
start_server(struct target *t, struct err *err)
{
    enum status st = config_init(&t->config, err);

    if (st == ST_OK)
        st = invent_password(t, err);
    if (st == ST_OK)
        st = set(t, "data-dir", t->options.data_dir, err);
    if (st == ST_OK)
        st = set(t, "port", "0", err);
    if (st == ST_OK)
        st = set(t, "password", t->password, err);
    if (st == ST_OK)
        st = set(t, "log-level", "error", err);
    if (st == ST_OK)
        st = server_open(&t->server, &t->config, 0, NULL, false, err);
    if (st != ST_OK)
        return st;
    if (pthread_create(&t->thread, NULL, serve, t) != 0)
        return err_raise(err, ST_IO, "the system gives no thread");
    t->serving = true;
    t->options.host = "127.0.0.1";
    t->options.port = server_port(t->server);
    t->options.password = t->password;
    return ST_OK;
}

static enum status
stop_server(struct target *t, struct err *err)
{
    enum status st = ST_OK;

    if (t->serving) {
        server_stop(t->server);
        pthread_join(t->thread, NULL);
        st = t->served;
        *err = t->serve_err;
    }
    if (t->server != NULL) {
        struct err close_err = { 0 };
        enum status closed = server_close(t->server, &close_err);

        if (st == ST_OK && closed != ST_OK) {
            st = closed;
            *err = close_err;
        }
    }
    config_release(&t->config);
    return st;
}

/* ------------------------------------------------------------------ */

enum status
target_connect(struct target *t, struct client **out, struct err *err)
{
    return client_open(out, t->options.host, t->options.port, t->options.password, err);
}

enum status
target_open(struct target **out, const struct target_options *options, struct err *err)
{
    struct target *t = mem_new(struct target);
    struct err ignored;
    enum status st = ST_OK;

    if (t == NULL)
        return err_raise(err, ST_NO_MEMORY, "out of memory");
    t->options = *options;
    if (options->password == options->password_line)
        t->options.password = t->options.password_line;
    if (options->data_dir != NULL)
        st = start_server(t, err);
    if (st == ST_OK)
        st = target_connect(t, &t->client, err);
    if (st != ST_OK) {
        (void)target_close(t, &ignored);
        return st;
    }
    *out = t;
    return ST_OK;
}

enum status
target_reconnect(struct target *t, struct err *err)
{
    client_close(t->client);
    t->client = NULL;
    return target_connect(t, &t->client, err);
}

struct client *
target_client(struct target *t)
{
    return t->client;
}

enum status
target_close(struct target *t, struct err *err)
{
    enum status st;

    if (t == NULL)
        return ST_OK;
    client_close(t->client);
    st = stop_server(t, err);
    mem_free(t);
    return st;
}
