#include "server/config.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <ini.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/limits.h"
#include "base/mem.h"

#include "sst/table.h"

enum setting_kind { SETTING_TEXT, SETTING_SECRET, SETTING_NUMBER, SETTING_BYTES, SETTING_WORD };

enum { VALUE_TEXT_MAX = 512, ENVIRONMENT_PREFIX_SIZE = 7 };

struct word {
    const char *text;
    uint64_t value;
};

struct setting {
    const char *name;
    enum setting_kind kind;
    size_t offset; /* in struct config */
    const char *fallback;
    uint64_t least;
    uint64_t most;
    const struct word *words; /* SETTING_WORD; ends with a NULL text */
    bool changeable;          /* while the server runs */
    const char *help;
};

static const struct word sync_words[] = {
    { "always", DURABILITY_ALWAYS },
    { "interval", DURABILITY_INTERVAL },
    { "never", DURABILITY_NEVER },
    { NULL, 0 },
};
static const struct word yes_words[] = {
    { "no", 0 }, { "yes", 1 }, { "false", 0 }, { "true", 1 }, { NULL, 0 },
};
static const struct word level_words[] = {
    { "debug", LOG_DEBUG }, { "info", LOG_INFO }, { "warn", LOG_WARN },
    { "error", LOG_ERROR }, { "off", LOG_OFF },   { NULL, 0 },
};
static const struct word format_words[] = {
    { "logfmt", LOG_LOGFMT },
    { "json", LOG_JSON },
    { NULL, 0 },
};
static const struct word compression_words[] = {
    { "none", TABLE_PLAIN },
    { "lz4", TABLE_LZ4 },
    { "zstd", TABLE_ZSTD },
    { NULL, 0 },
};

#define AT(member) offsetof(struct config, member)
#define KB         UINT64_C(1024)
#define MB         (KB * 1024)
#define GB         (MB * 1024)

static const struct setting settings[] = {
    { "config", SETTING_TEXT, AT(config_file), "", 0, 0, NULL, false,
      "INI file with any of these settings" },
    { "data-dir", SETTING_TEXT, AT(data_dir), "distkv-data", 0, 0, NULL, false,
      "folder of this node's data; created if it is missing" },
    { "bind", SETTING_TEXT, AT(bind), "127.0.0.1", 0, 0, NULL, false,
      "numeric address to listen on; beyond loopback a password is needed, or --insecure" },
    { "port", SETTING_NUMBER, AT(port), "6379", 0, 65535, NULL, false,
      "Redis and line protocol; 0 chooses a free one" },
    { "line-port", SETTING_NUMBER, AT(line_port), "0", 0, 65535, NULL, false,
      "line protocol only; 0: no such door" },
    { "threads", SETTING_NUMBER, AT(threads), "0", 0, LIMIT_REACTORS, NULL, false,
      "reactors; 0: one per core" },
    { "node-name", SETTING_TEXT, AT(node_name), "distkv", 0, 0, NULL, false,
      "this node's name, for people" },
    { "password", SETTING_SECRET, AT(password), "", 0, 0, NULL, true,
      "clients must AUTH with it; better in the file or the environment than as a flag" },
    { "password-file", SETTING_TEXT, AT(password_file), "", 0, 0, NULL, false,
      "file whose first line is the password" },
    { "insecure", SETTING_WORD, AT(insecure), "no", 0, 0, yes_words, false,
      "yes: listen beyond loopback without a password" },
    { "sync", SETTING_WORD, AT(sync), "always", 0, 0, sync_words, true,
      "always: fsync before the reply; interval: every sync-interval-ms; never: when the system does" },
    { "sync-interval-ms", SETTING_NUMBER, AT(sync_interval_ms), "1000", 10, 3600000, NULL, false,
      "how often writes of class `interval` are fsynced" },
    { "deadline-ms", SETTING_NUMBER, AT(deadline_ms), "5000", 1, 3600000, NULL, true,
      "a request that is not done by then gets a typed error" },
    { "max-connections", SETTING_NUMBER, AT(connections_max), "10000", 1, 1000000, NULL, false,
      "connections beyond this are refused with an error" },
    { "idle-timeout-ms", SETTING_NUMBER, AT(idle_timeout_ms), "0", 0, 86400000, NULL, false,
      "a connection silent for longer is closed; 0: never" },
    { "memory-budget", SETTING_BYTES, AT(memory_budget), "512mb", MB, 1024 * GB, NULL, false,
      "for memtables, caches, indexes, connections and replies together" },
    { "record-cache", SETTING_BYTES, AT(record_cache), "0", 0, 1024 * GB, NULL, false,
      "of the budget, for single records; 0: an eighth" },
    { "block-cache", SETTING_BYTES, AT(block_cache), "0", 0, 1024 * GB, NULL, false,
      "of the budget, for blocks of tables; 0: a quarter" },
    { "memtable", SETTING_BYTES, AT(memtable), "64mb", 64 * KB, 16 * GB, NULL, false,
      "memory of new writes before they become a table" },
    { "log-segment", SETTING_BYTES, AT(log_segment), "64mb", 64 * KB, GB, NULL, false,
      "size of a log segment" },
    { "log-retained-max", SETTING_BYTES, AT(log_retained_max), "256mb", MB, 1024 * GB, NULL, false,
      "log that is kept for memtables; beyond, the oldest one is flushed" },
    { "l0-trigger", SETTING_NUMBER, AT(l0_trigger), "4", 1, 64, NULL, false,
      "tables in level 0 that make a compaction due" },
    { "level-base", SETTING_BYTES, AT(level_base), "100mb", 64 * KB, 1024 * GB, NULL, false,
      "aimed size of level 1" },
    { "level-multiplier", SETTING_NUMBER, AT(level_multiplier), "10", 2, 100, NULL, false,
      "how much larger each level is than the one above" },
    { "table-bytes", SETTING_BYTES, AT(table_bytes), "16mb", 16 * KB, 4 * GB, NULL, false,
      "aimed size of a table" },
    { "open-tables", SETTING_NUMBER, AT(open_tables), "1000", 8, 1000000, NULL, false,
      "tables whose files are open at once; further ones are opened in turn" },
    { "compaction-wait-ms", SETTING_NUMBER, AT(compaction_wait_ms), "30000", 0, 86400000, NULL,
      false, "the longest wait of a due compaction" },
    { "bloom-bits", SETTING_NUMBER, AT(bloom_bits), "10", 0, 32, NULL, false,
      "filter bits per key; 10 lets 1 % of absent keys pass; 0: no filter" },
    { "compression", SETTING_WORD, AT(compression), "lz4", 0, 0, compression_words, false,
      "of the upper levels" },
    { "compression-last", SETTING_WORD, AT(compression_last), "zstd", 0, 0, compression_words,
      false, "of the last level" },
    { "min-free-bytes", SETTING_BYTES, AT(min_free_bytes), "100mb", 0, 1024 * GB, NULL, false,
      "free disk space below which only deletes are admitted" },
    { "log-level", SETTING_WORD, AT(log_level), "info", 0, 0, level_words, true,
      "events below this are not logged" },
    { "log-format", SETTING_WORD, AT(log_format), "logfmt", 0, 0, format_words, true,
      "of the log on standard error" },
};

enum { SETTING_COUNT = sizeof(settings) / sizeof(settings[0]) };

/* ------------------------------------------------------------------ one setting */

static bool
is_text(const struct setting *s)
{
    return s->kind == SETTING_TEXT || s->kind == SETTING_SECRET;
}

/* Where `config` keeps it: the pointer of a text, or the number of any other kind. */
static void *
place_of(struct config *c, const struct setting *s)
{
    return (char *)c + s->offset;
}

static const char *
text_of(const struct config *c, const struct setting *s)
{
    char *text;

    memcpy(&text, (const char *)c + s->offset, sizeof(text));
    return text;
}

static uint64_t
number_of(const struct config *c, const struct setting *s)
{
    uint64_t number;

    memcpy(&number, (const char *)c + s->offset, sizeof(number));
    return number;
}

static const struct setting *
find_setting(struct slice name)
{
    for (int i = 0; i < SETTING_COUNT; i++) {
        if (slice_equal_nocase(name, settings[i].name))
            return &settings[i];
    }
    return NULL;
}

/* "64mb", "1g", "4096": a number, with a unit when it is bytes. */
static bool
parse_number(const char *text, bool bytes, uint64_t *out)
{
    static const struct word units[] = {
        { "", 1 },    { "b", 1 },  { "k", KB },  { "kb", KB }, { "m", MB },
        { "mb", MB }, { "g", GB }, { "gb", GB }, { NULL, 0 },
    };
    char *end;
    uint64_t n;

    if (!isdigit((unsigned char)text[0]))
        return false;
    n = strtoull(text, &end, 10);
    for (const struct word *u = units; u->text != NULL; u++) {
        if (strcasecmp(end, u->text) == 0)
            return (bytes || u->text[0] == '\0') && !__builtin_mul_overflow(n, u->value, out);
    }
    return false;
}

static void
list_words(const struct setting *s, char *out, size_t room)
{
    size_t at = 0;

    out[0] = '\0';
    for (const struct word *w = s->words; w->text != NULL && at < room; w++)
        at += (size_t)snprintf(out + at, room - at, "%s%s", w == s->words ? "" : ", ", w->text);
}

static enum status
set_number(struct config *c, const struct setting *s, const char *text, const char *where,
           struct err *err)
{
    uint64_t n = 0;

    if (!parse_number(text, s->kind == SETTING_BYTES, &n))
        return err_raise(err, ST_INVALID, "%s: %s: \"%s\" is not %s", where, s->name, text,
                         s->kind == SETTING_BYTES ? "a size (like 64mb)" : "a number");
    if (n < s->least || n > s->most)
        return err_raise(err, ST_INVALID, "%s: %s: %s is out of range (%llu to %llu)", where,
                         s->name, text, (unsigned long long)s->least, (unsigned long long)s->most);
    *(uint64_t *)place_of(c, s) = n;
    return ST_OK;
}

static enum status
set_word(struct config *c, const struct setting *s, const char *text, const char *where,
         struct err *err)
{
    char list[VALUE_TEXT_MAX];

    for (const struct word *w = s->words; w->text != NULL; w++) {
        if (strcasecmp(text, w->text) == 0) {
            *(uint64_t *)place_of(c, s) = w->value;
            return ST_OK;
        }
    }
    list_words(s, list, sizeof(list));
    return err_raise(err, ST_INVALID, "%s: %s: \"%s\" is none of %s", where, s->name, text, list);
}

static enum status
set_text(struct config *c, const struct setting *s, const char *text, const char *where,
         struct err *err)
{
    char **place = place_of(c, s);
    char *copy = text[0] == '\0' ? NULL : mem_strdup(text);

    if (copy == NULL && text[0] != '\0')
        return err_raise(err, ST_NO_MEMORY, "%s: %s: out of memory", where, s->name);
    mem_free(*place);
    *place = copy;
    return ST_OK;
}

enum status
config_set(struct config *c, struct slice name, struct slice value, const char *where,
           struct err *err)
{
    const struct setting *s = find_setting(name);
    char text[VALUE_TEXT_MAX];
    char printable[128];

    if (s == NULL)
        return err_raise(err, ST_NOT_FOUND, "%s: unknown setting \"%s\"", where,
                         slice_printable(name, printable, sizeof(printable)));
    if (value.size >= sizeof(text) || memchr(value.data, '\0', value.size) != NULL)
        return err_raise(err, ST_INVALID, "%s: %s: the value is longer than %zu bytes, or not text",
                         where, s->name, sizeof(text) - 1);
    memcpy(text, value.data, value.size);
    text[value.size] = '\0';
    if (is_text(s))
        return set_text(c, s, text, where, err);
    return s->kind == SETTING_WORD ? set_word(c, s, text, where, err)
                                   : set_number(c, s, text, where, err);
}

enum status
config_changeable(struct slice name)
{
    const struct setting *s = find_setting(name);

    if (s == NULL)
        return ST_NOT_FOUND;
    return s->changeable ? ST_OK : ST_CONFLICT;
}

enum status
config_init(struct config *c, struct err *err)
{
    enum status st = ST_OK;

    *c = (struct config){ 0 };
    for (int i = 0; i < SETTING_COUNT && st == ST_OK; i++)
        st = config_set(c, slice_str(settings[i].name), slice_str(settings[i].fallback), "default",
                        err);
    return st;
}

void
config_release(struct config *c)
{
    for (int i = 0; i < SETTING_COUNT; i++) {
        if (is_text(&settings[i]))
            mem_free(*(char **)place_of(c, &settings[i]));
    }
    *c = (struct config){ 0 };
}

/* ------------------------------------------------------------------ flags */

static bool
takes_no_value(const struct setting *s)
{
    return s->words == yes_words;
}

/* One flag; `*used` is how many words of argv it took. */
static enum status
set_flag(struct config *c, int argc, char **argv, int *used, struct err *err)
{
    const char *flag = argv[0];
    const char *equals = strchr(flag, '=');
    struct slice name;
    const struct setting *s;
    char where[VALUE_TEXT_MAX];

    *used = 1;
    if (strncmp(flag, "--", 2) != 0)
        return err_raise(err, ST_INVALID, "unexpected argument \"%s\"; see distkv server --help",
                         flag);
    name = equals != NULL ? slice_of(flag + 2, (size_t)(equals - flag - 2)) : slice_str(flag + 2);
    s = find_setting(name);
    if (s == NULL)
        return err_raise(err, ST_INVALID, "unknown flag \"%s\"; see distkv server --help", flag);
    snprintf(where, sizeof(where), "flag --%s", s->name);
    if (equals != NULL)
        return config_set(c, name, slice_str(equals + 1), where, err);
    if (takes_no_value(s) && (argc < 2 || strncmp(argv[1], "--", 2) == 0))
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
    char where[VALUE_TEXT_MAX];
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

/* ------------------------------------------------------------------ file */

/* The parser splits a line that it has no room for, and says too late where it was: it gets its lines
 * from us, and none after the first that we refuse. */
struct reading {
    struct config *config;
    const char *path;
    FILE *file;
    int line; /* of the file, from 1 */
    enum status status;
    struct err *err;
};

static bool
is_whole(const char *line, FILE *file)
{
    int next;

    if (strchr(line, '\n') != NULL)
        return true;
    next = getc(file);
    if (next != EOF)
        ungetc(next, file);
    return next == EOF;
}

/* inih's reader, in the manner of fgets(). */
static char *
next_line(char *line, int room, void *ctx)
{
    struct reading *r = ctx;

    if (r->status != ST_OK || fgets(line, room, r->file) == NULL)
        return NULL;
    r->line++;
    if (is_whole(line, r->file))
        return line;
    r->status = err_raise(r->err, ST_INVALID, "%s:%d: longer than %d bytes, or not text", r->path,
                          r->line, room - 2);
    return NULL;
}

/* inih's handler: 0 marks the line as wrong. */
static int
on_ini_line(void *ctx, const char *section, const char *name, const char *value)
{
    struct reading *r = ctx;
    char where[VALUE_TEXT_MAX];

    snprintf(where, sizeof(where), "%s:%d", r->path, r->line);
    if (section[0] != '\0' && strcasecmp(section, "distkv") != 0)
        r->status = err_raise(r->err, ST_INVALID, "%s: unknown section [%s]", where, section);
    else
        r->status = config_set(r->config, slice_str(name), slice_str(value), where, r->err);
    return r->status == ST_OK;
}

static enum status
set_file(struct config *c, const char *path, struct err *err)
{
    struct reading r = { .config = c, .path = path, .file = fopen(path, "r"), .err = err };
    int sys = errno;
    int wrong;

    if (r.file == NULL)
        return err_raise_sys(err, ST_INVALID, sys, "cannot read the configuration file %s", path);
    errno = 0;
    wrong = ini_parse_stream(next_line, &r, on_ini_line, &r);
    sys = ferror(r.file) != 0 ? errno : 0; /* a folder opens like a file, and reads like none */
    fclose(r.file);
    if (sys != 0)
        return err_raise_sys(err, ST_INVALID, sys, "cannot read the configuration file %s", path);
    if (wrong < 0)
        return err_raise(err, ST_NO_MEMORY, "out of memory for %s", path);
    if (wrong > 0 && (r.status == ST_OK || wrong < r.line))
        return err_raise(err, ST_INVALID, "%s:%d: not a line of the form name = value", path,
                         wrong);
    return r.status;
}

/* Where is the file?  The flag says, or the environment. */
static const char *
file_path_of(int argc, char **argv)
{
    for (int i = 0; i < argc; i++) {
        if (strncmp(argv[i], "--config=", 9) == 0)
            return argv[i] + 9;
        if (strcmp(argv[i], "--config") == 0 && i + 1 < argc)
            return argv[i + 1];
    }
    /* NOLINTNEXTLINE(concurrency-mt-unsafe): nobody changes the environment. */
    return getenv("DISTKV_CONFIG");
}

static enum status
read_password_file(struct config *c, struct err *err)
{
    char line[VALUE_TEXT_MAX];
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
    const char *path = file_path_of(argc, argv);
    enum status st = path == NULL || path[0] == '\0' ? ST_OK : set_file(c, path, err);

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
    if (c->node_name == NULL || strlen(c->node_name) > LIMIT_NAME_BYTES)
        return err_raise(err, ST_INVALID, "node-name: 1 to %d bytes", LIMIT_NAME_BYTES);
    return ST_OK;
}

static const char *
value_text(const struct config *c, const struct setting *s, char out[VALUE_TEXT_MAX])
{
    const char *text;

    if (is_text(s)) {
        text = text_of(c, s);
        if (text != NULL && s->kind == SETTING_SECRET)
            text = "(set)";
        return text == NULL ? "" : text;
    }
    if (s->kind != SETTING_WORD) {
        snprintf(out, VALUE_TEXT_MAX, "%llu", (unsigned long long)number_of(c, s));
        return out;
    }
    for (const struct word *w = s->words; w->text != NULL; w++) {
        if (w->value == number_of(c, s))
            return w->text;
    }
    ASSERT(false); /* a word setting holds one of its words */
    return "";
}

void
config_each(const struct config *c, void (*fn)(void *ctx, const char *name, const char *value),
            void *ctx)
{
    char text[VALUE_TEXT_MAX];

    for (int i = 0; i < SETTING_COUNT; i++)
        fn(ctx, settings[i].name, value_text(c, &settings[i], text));
}

void
config_each_fixed_difference(const struct config *a, const struct config *b,
                             void (*fn)(void *ctx, const char *name), void *ctx)
{
    char text_a[VALUE_TEXT_MAX], text_b[VALUE_TEXT_MAX];

    for (int i = 0; i < SETTING_COUNT; i++) {
        const struct setting *s = &settings[i];

        if (!s->changeable && strcmp(value_text(a, s, text_a), value_text(b, s, text_b)) != 0)
            fn(ctx, s->name);
    }
}

enum status
config_help(struct buf *out)
{
    enum status st = ST_OK;

    for (int i = 0; i < SETTING_COUNT && st == ST_OK; i++) {
        const struct setting *s = &settings[i];
        char words[VALUE_TEXT_MAX] = "";

        if (s->kind == SETTING_WORD)
            list_words(s, words, sizeof(words));
        st = buf_printf(out, "  --%-20s %s%s%s%s%s%s%s\n", s->name, s->help,
                        words[0] != '\0' ? "; " : "", words, s->fallback[0] != '\0' ? " [" : "",
                        s->fallback, s->fallback[0] != '\0' ? "]" : "",
                        s->changeable ? " (reloadable)" : "");
    }
    return st;
}
