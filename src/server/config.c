#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/limits.h"
#include "base/mem.h"

#include "server/config_file.h"
#include "server/settings.h"

enum { ENVIRONMENT_PREFIX_SIZE = 7, STALE_MS_LEAST = 1000 };

enum status
config_set(struct config *c, struct slice name, struct slice value, const char *where,
           struct err *err)
{
    const struct setting *s = setting_find(name);
    char text[SETTING_VALUE_MAX];
    char printable[128];

    if (s == NULL)
        return err_raise(err, ST_NOT_FOUND, "%s: unknown setting \"%s\"", where,
                         slice_printable(name, printable, sizeof(printable)));
    if (value.size >= sizeof(text) || memchr(value.data, '\0', value.size) != NULL)
        return err_raise(err, ST_INVALID, "%s: %s: the value is longer than %zu bytes, or not text",
                         where, s->name, sizeof(text) - 1);
    memcpy(text, value.data, value.size);
    text[value.size] = '\0';
    return setting_set(s, c, text, where, err);
}

enum status
config_changeable(struct slice name)
{
    const struct setting *s = setting_find(name);

    if (s == NULL)
        return ST_NOT_FOUND;
    return s->changeable ? ST_OK : ST_CONFLICT;
}

enum status
config_init(struct config *c, struct err *err)
{
    enum status st = ST_OK;

    *c = (struct config){ 0 };
    for (int i = 0; i < setting_count && st == ST_OK; i++)
        st = config_set(c, slice_str(settings[i].name), slice_str(settings[i].fallback), "default",
                        err);
    return st;
}

void
config_release(struct config *c)
{
    for (int i = 0; i < setting_count; i++)
        setting_release(&settings[i], c);
    *c = (struct config){ 0 };
}

/* ------------------------------------------------------------------ flags */

/* One flag; `*used` is how many words of argv it took. */
static enum status
set_flag(struct config *c, int argc, char **argv, int *used, struct err *err)
{
    const char *flag = argv[0];
    const char *equals = strchr(flag, '=');
    struct slice name;
    const struct setting *s;
    char where[SETTING_VALUE_MAX];

    *used = 1;
    if (strncmp(flag, "--", 2) != 0)
        return err_raise(err, ST_INVALID, "unexpected argument \"%s\"; see distkv server --help",
                         flag);
    name = equals != NULL ? slice_of(flag + 2, (size_t)(equals - flag - 2)) : slice_str(flag + 2);
    s = setting_find(name);
    if (s == NULL)
        return err_raise(err, ST_INVALID, "unknown flag \"%s\"; see distkv server --help", flag);
    snprintf(where, sizeof(where), "flag --%s", s->name);
    if (equals != NULL)
        return config_set(c, name, slice_str(equals + 1), where, err);
    if (setting_takes_no_value(s) && (argc < 2 || strncmp(argv[1], "--", 2) == 0))
        return config_set(c, name, slice_str("yes"), where, err);
    if (argc < 2)
        return err_raise(err, ST_INVALID, "flag --%s needs a value", s->name);
    *used = 2;
    return config_set(c, name, slice_str(argv[1]), where, err);
}

static enum status
set_flags(struct config *c, int argc, char **argv, struct err *err)
{
    enum status st = ST_OK;
    int used;

    for (int i = 0; i < argc && st == ST_OK; i += used)
        st = set_flag(c, argc - i, argv + i, &used, err);
    return st;
}

/* ------------------------------------------------------------------ environment */

/* Of a variable's name, in the setting's name. */
static char
lower_with_dash(char ch)
{
    if (ch == '_')
        return '-';
    if (ch >= 'A' && ch <= 'Z')
        return (char)(ch - 'A' + 'a');
    return ch;
}

/* DISTKV_MEMORY_BUDGET -> memory-budget. */
static enum status
set_variable(struct config *c, const char *variable, struct err *err)
{
    const char *equals = strchr(variable, '=');
    char name[64];
    char where[SETTING_VALUE_MAX];
    size_t size;

    if (equals == NULL || strncmp(variable, "DISTKV_", ENVIRONMENT_PREFIX_SIZE) != 0)
        return ST_OK;
    size = (size_t)(equals - variable) - ENVIRONMENT_PREFIX_SIZE;
    if (size >= sizeof(name))
        return err_raise(err, ST_INVALID, "environment: unknown variable %.*s",
                         (int)(equals - variable), variable);
    for (size_t i = 0; i < size; i++)
        name[i] = lower_with_dash(variable[ENVIRONMENT_PREFIX_SIZE + i]);
    name[size] = '\0';
    snprintf(where, sizeof(where), "environment variable %.*s", (int)(equals - variable), variable);
    return config_set(c, slice_str(name), slice_str(equals + 1), where, err);
}

static enum status
set_environment(struct config *c, struct err *err)
{
    enum status st = ST_OK;

    for (char **variable = environ; *variable != NULL && st == ST_OK; variable++)
        st = set_variable(c, *variable, err);
    return st;
}

/* ------------------------------------------------------------------ all of them, in their order */

static enum status
read_password_file(struct config *c, struct err *err)
{
    char line[SETTING_VALUE_MAX];
    FILE *file;
    bool got;

    if (c->password_file == NULL)
        return ST_OK;
    file = fopen(c->password_file, "r");
    got = file != NULL && fgets(line, sizeof(line), file) != NULL;
    if (file != NULL)
        fclose(file);
    if (!got)
        return err_raise(err, ST_INVALID, "password-file: cannot read a line from %s",
                         c->password_file);
    line[strcspn(line, "\r\n")] = '\0';
    if (line[0] == '\0')
        return err_raise(err, ST_INVALID, "password-file: the first line of %s is empty",
                         c->password_file);
    return config_set(c, slice_str("password"), slice_str(line), "password-file", err);
}

enum status
config_load(struct config *c, int argc, char **argv, struct err *err)
{
    const char *path = config_file_path(argc, argv);
    enum status st = path == NULL || path[0] == '\0' ? ST_OK : config_file_read(c, path, err);

    if (st == ST_OK)
        st = set_environment(c, err);
    if (st == ST_OK)
        st = set_flags(c, argc, argv, err);
    if (st == ST_OK)
        st = read_password_file(c, err);
    return st;
}

/* ------------------------------------------------------------------ the whole */

static bool
is_loopback(const char *address)
{
    return strncmp(address, "127.", 4) == 0 || strcmp(address, "::1") == 0;
}

/* Names are not looked up: what they say may change, and with it who can reach us. */
static bool
is_numeric(const char *address)
{
    struct in6_addr ignored; /* large enough for both kinds */
    char plain[INET6_ADDRSTRLEN] = "";
    size_t size = strcspn(address, "%"); /* before the interface, as in fe80::1%eth0 */

    if (size >= sizeof(plain))
        return false;
    memcpy(plain, address, size);
    return inet_pton(strchr(plain, ':') == NULL ? AF_INET : AF_INET6, plain, &ignored) == 1;
}

bool
config_needs_password(const struct config *c)
{
    return !is_loopback(c->bind) && c->insecure == 0;
}

/* "HOST:PORT", "[HOST]:PORT" */
enum status
config_address(const char *text, char host[CONFIG_HOST_MAX], uint16_t *port)
{
    const char *colon = strrchr(text, ':');
    size_t size = colon == NULL ? 0 : (size_t)(colon - text);
    const char *begin = text;
    char *end;
    unsigned long number;

    if (size >= 2 && text[0] == '[' && text[size - 1] == ']') {
        begin++;
        size -= 2;
    }
    if (size == 0 || size >= CONFIG_HOST_MAX)
        return ST_INVALID;
    memcpy(host, begin, size);
    host[size] = '\0';
    number = strtoul(colon + 1, &end, 10);
    if (!is_numeric(host) || *end != '\0' || number == 0 || number > UINT16_MAX)
        return ST_INVALID;
    *port = (uint16_t)number;
    return ST_OK;
}

static bool
is_wildcard(const char *address)
{
    return strcmp(address, "0.0.0.0") == 0 || strcmp(address, "::") == 0;
}

static enum status
check_name(const char *setting, const char *name, struct err *err)
{
    if (name != NULL && strlen(name) > LIMIT_NAME_BYTES)
        return err_raise(err, ST_INVALID, "%s: longer than %d bytes", setting, LIMIT_NAME_BYTES);
    return ST_OK;
}

static enum status
check_numeric(const char *setting, const char *address, struct err *err)
{
    if (address != NULL && !is_numeric(address)) {
        return err_raise(err, ST_INVALID,
                         "%s: \"%s\" is not a numeric address, like 127.0.0.1 or ::1", setting,
                         address);
    }
    return ST_OK;
}

/* Each says who lacks the others. */
static enum status
check_peer_tls(const struct config *c, struct err *err)
{
    int count = (c->peer_tls_cert != NULL) + (c->peer_tls_key != NULL) + (c->peer_tls_ca != NULL);
    const char *missing = "peer-tls-ca";

    if (count == 0 || count == 3)
        return ST_OK;
    if (c->peer_tls_cert == NULL)
        missing = "peer-tls-cert";
    else if (c->peer_tls_key == NULL)
        missing = "peer-tls-key";
    return err_raise(err, ST_INVALID,
                     "%s: is missing; peer-tls-cert, peer-tls-key and peer-tls-ca go together",
                     missing);
}

/* What concerns the other nodes. */
static enum status
check_membership(const struct config *c, struct err *err)
{
    char host[CONFIG_HOST_MAX];
    uint16_t port;
    enum status st = check_name("node-name", c->node_name, err);

    if (st == ST_OK)
        st = check_name("zone", c->zone, err);
    if (st == ST_OK)
        st = check_name("cluster-name", c->cluster_name, err);
    if (st == ST_OK)
        st = check_numeric("peer-bind", c->peer_bind, err);
    if (st == ST_OK)
        st = check_numeric("advertise", c->advertise, err);
    if (st == ST_OK)
        st = check_peer_tls(c, err);
    if (st != ST_OK)
        return st;
    if (c->cluster_name == NULL || c->peer_bind == NULL)
        return err_raise(err, ST_INVALID, "cluster-name and peer-bind: may not be empty");
    if (c->weight != 0 && c->weight < 100)
        return err_raise(err, ST_INVALID, "weight: %llu is neither 0 nor 100 to 256",
                         (unsigned long long)c->weight);
    if (c->join != NULL && config_address(c->join, host, &port) != ST_OK) {
        return err_raise(err, ST_INVALID,
                         "join: \"%s\" is not a numeric address and a port, like 10.0.0.1:7379",
                         c->join);
    }
    if (!is_loopback(c->peer_bind) && c->peer_tls_cert == NULL && c->insecure == 0) {
        return err_raise(
            err, ST_INVALID,
            "peer-bind: %s is beyond loopback, where nodes have to prove to one another "
            "who they are (peer-tls-cert, peer-tls-key, peer-tls-ca); or --insecure, "
            "and a network of their own",
            c->peer_bind);
    }
    if (is_wildcard(c->peer_bind) && c->advertise == NULL) {
        return err_raise(err, ST_INVALID,
                         "peer-bind: %s is every address; say with advertise which one others are "
                         "to call",
                         c->peer_bind);
    }
    return ST_OK;
}

enum status
config_check(const struct config *c, struct err *err)
{
    if (c->data_dir == NULL)
        return err_raise(err, ST_INVALID, "data-dir: is empty");
    if (c->bind == NULL)
        return err_raise(err, ST_INVALID, "bind: is empty");
    if (!is_numeric(c->bind))
        return err_raise(err, ST_INVALID,
                         "bind: \"%s\" is not a numeric address, like 127.0.0.1 or ::1", c->bind);
    if (config_needs_password(c) && c->password == NULL) {
        return err_raise(err, ST_INVALID,
                         "bind: %s is beyond loopback, which needs a password (password, "
                         "password-file, DISTKV_PASSWORD), or --insecure",
                         c->bind);
    }
    if (c->line_port != 0 && c->line_port == c->port)
        return err_raise(err, ST_INVALID, "line-port: %llu is the port already",
                         (unsigned long long)c->port);
    if (c->memory_budget < c->memtable + c->memtable / 2) {
        return err_raise(err, ST_INVALID,
                         "memory-budget: one and a half memtables of %llu bytes must fit into it",
                         (unsigned long long)c->memtable);
    }
    if (config_check_together(c, err) != ST_OK)
        return ST_INVALID;
    return check_membership(c, err);
}

enum status
config_check_together(const struct config *c, struct err *err)
{
    if (c->stale_reads_ms > 0 && c->stale_reads_ms <= STALE_MS_LEAST) {
        return err_raise(
            err, ST_INVALID,
            "stale-reads-ms: no replica is known to be within %llu ms; 0, or more than %d",
            (unsigned long long)c->stale_reads_ms, STALE_MS_LEAST);
    }
    if (2 * c->gossip_interval_ms > c->suspicion_threshold_ms) {
        return err_raise(err, ST_INVALID,
                         "suspicion-threshold-ms: %llu is less than two gossip intervals of %llu",
                         (unsigned long long)c->suspicion_threshold_ms,
                         (unsigned long long)c->gossip_interval_ms);
    }
    if (c->suspicion_threshold_ms >= c->down_threshold_ms) {
        return err_raise(err, ST_INVALID,
                         "down-threshold-ms: %llu is not more than the suspicion threshold, %llu",
                         (unsigned long long)c->down_threshold_ms,
                         (unsigned long long)c->suspicion_threshold_ms);
    }
    return ST_OK;
}

void
config_each(const struct config *c, void (*fn)(void *ctx, const char *name, const char *value),
            void *ctx)
{
    char text[SETTING_VALUE_MAX];

    for (int i = 0; i < setting_count; i++)
        fn(ctx, settings[i].name, setting_value(&settings[i], c, text));
}

void
config_each_fixed_difference(const struct config *a, const struct config *b,
                             void (*fn)(void *ctx, const char *name), void *ctx)
{
    char text_a[SETTING_VALUE_MAX], text_b[SETTING_VALUE_MAX];

    for (int i = 0; i < setting_count; i++) {
        const struct setting *s = &settings[i];

        if (!s->changeable && strcmp(setting_value(s, a, text_a), setting_value(s, b, text_b)) != 0)
            fn(ctx, s->name);
    }
}

enum status
config_help(struct buf *out)
{
    enum status st = ST_OK;

    for (int i = 0; i < setting_count && st == ST_OK; i++) {
        const struct setting *s = &settings[i];
        char words[SETTING_VALUE_MAX] = "";

        if (s->kind == SETTING_WORD)
            setting_list_words(s, words, sizeof(words));
        st = buf_printf(out, "  --%-20s %s%s%s%s%s%s%s\n", s->name, s->help,
                        words[0] != '\0' ? "; " : "", words, s->fallback[0] != '\0' ? " [" : "",
                        s->fallback, s->fallback[0] != '\0' ? "]" : "",
                        s->changeable ? " (reloadable)" : "");
    }
    return st;
}
