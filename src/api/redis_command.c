/* COMMAND: the table of commands, told to clients. */
#include <stdio.h>

#include "base/assert.h"

#include "api/api_internal.h"
#include "api/redis.h"

struct flag_name {
    unsigned flag;
    const char *name;
};

static const struct flag_name flag_names[] = {
    { CMD_WRITE, "write" },           { CMD_READONLY, "readonly" }, { CMD_DENYOOM, "denyoom" },
    { CMD_ADMIN, "admin" },           { CMD_NOSCRIPT, "noscript" }, { CMD_LOADING, "loading" },
    { CMD_STALE, "stale" },           { CMD_FAST, "fast" },         { CMD_NO_AUTH, "no_auth" },
    { CMD_ALLOW_BUSY, "allow_busy" }, { CMD_NO_MULTI, "no_multi" },
};

static const char *const group_names[CATEGORY_COUNT] = {
    [CATEGORY_CONNECTION] = "connection",     [CATEGORY_STRING] = "string",
    [CATEGORY_GENERIC] = "generic",           [CATEGORY_SERVER] = "server",
    [CATEGORY_TRANSACTIONS] = "transactions", [CATEGORY_CLUSTER] = "cluster",
};

enum { FLAG_COUNT = sizeof(flag_names) / sizeof(flag_names[0]), CATEGORIES_MAX = 8 };

/* ------------------------------------------------------------------ one command */

static void
put_flags(struct resp_writer *w, const struct command *c)
{
    uint64_t set = 0;

    for (size_t i = 0; i < FLAG_COUNT; i++)
        set += (c->flags & flag_names[i].flag) != 0;
    resp_put_set(w, set);
    for (size_t i = 0; i < FLAG_COUNT; i++) {
        if ((c->flags & flag_names[i].flag) != 0)
            resp_put_simple(w, flag_names[i].name);
    }
}

/* COMMAND is of the group "server", READONLY and its like are of "cluster"; and of the category "@connection". */
static bool
is_of_connections(const struct command *c)
{
    return (c->category == CATEGORY_CONNECTION && c->kind != COMMAND_GROUP) ||
           (c->category == CATEGORY_CLUSTER && (c->flags & CMD_FAST) != 0) ||
           strncmp(c->name, "command", strlen("command")) == 0;
}

/* The categories of access control follow from flags and group. */
static void
put_categories(struct resp_writer *w, const struct command *c)
{
    const char *names[CATEGORIES_MAX];
    uint64_t size = 0;

    if (c->category == CATEGORY_GENERIC || c->prepare == prepare_flushdb ||
        c->task == task_flushall || c->task == task_dbsize)
        names[size++] = "@keyspace";
    if ((c->flags & CMD_READONLY) != 0)
        names[size++] = "@read";
    if ((c->flags & CMD_WRITE) != 0)
        names[size++] = "@write";
    if (c->category == CATEGORY_STRING)
        names[size++] = "@string";
    if ((c->flags & CMD_ADMIN) != 0 || c->local == local_lastsave)
        names[size++] = "@admin";
    names[size++] = (c->flags & CMD_FAST) != 0 ? "@fast" : "@slow";
    if ((c->flags & CMD_DANGEROUS) != 0)
        names[size++] = "@dangerous";
    if (is_of_connections(c))
        names[size++] = "@connection";
    else if (c->category == CATEGORY_TRANSACTIONS)
        names[size++] = "@transaction";
    ASSERT(size <= CATEGORIES_MAX);
    resp_put_set(w, size);
    for (uint64_t i = 0; i < size; i++)
        resp_put_simple(w, names[i]);
}

static void
put_word(struct resp_writer *w, const char *text)
{
    resp_put_bulk(w, slice_str(text));
}

/* Keys from `first` to `last`, by a step: one specification says it all. */
static void
put_key_specs(struct resp_writer *w, const struct command *c)
{
    if (c->first_key == 0) {
        resp_put_set(w, 0);
        return;
    }
    resp_put_set(w, 1);
    resp_put_map(w, 3);
    put_word(w, "flags");
    resp_put_set(w, 2);
    resp_put_simple(w, (c->flags & CMD_WRITE) != 0 ? "RW" : "RO");
    resp_put_simple(w, (c->flags & CMD_WRITE) != 0 ? "update" : "access");
    put_word(w, "begin_search");
    resp_put_map(w, 2);
    put_word(w, "type");
    put_word(w, "index");
    put_word(w, "spec");
    resp_put_map(w, 1);
    put_word(w, "index");
    resp_put_i64(w, c->first_key);
    put_word(w, "find_keys");
    resp_put_map(w, 2);
    put_word(w, "type");
    put_word(w, "range");
    put_word(w, "spec");
    resp_put_map(w, 3);
    put_word(w, "lastkey");
    resp_put_i64(w, c->last_key < 0 ? c->last_key : c->last_key - c->first_key);
    put_word(w, "keystep");
    resp_put_i64(w, c->key_step);
    put_word(w, "limit");
    resp_put_i64(w, 0);
}

/* Everything but the subcommands. */
static void
put_info_head(struct resp_writer *w, const struct command *c)
{
    resp_put_array(w, 10);
    put_word(w, c->name);
    resp_put_i64(w, c->arity);
    put_flags(w, c);
    resp_put_i64(w, c->first_key);
    resp_put_i64(w, c->last_key);
    resp_put_i64(w, c->key_step);
    put_categories(w, c);
    resp_put_set(w, 0); /* tips */
    put_key_specs(w, c);
    resp_put_set(w, c->subcommand_count);
}

static void
put_info(struct resp_writer *w, const struct command *c)
{
    put_info_head(w, c);
    for (uint32_t i = 0; i < c->subcommand_count; i++)
        put_info_head(w, &c->subcommands[i]); /* subcommands have none of their own */
}

static void
put_docs_head(struct resp_writer *w, const struct command *c)
{
    put_word(w, c->name);
    resp_put_map(w, c->subcommand_count > 0 ? 4 : 3);
    put_word(w, "summary");
    put_word(w, c->summary);
    put_word(w, "since");
    put_word(w, c->since);
    put_word(w, "group");
    put_word(w, group_names[c->category]);
}

static void
put_docs(struct resp_writer *w, const struct command *c)
{
    put_docs_head(w, c);
    if (c->subcommand_count == 0)
        return;
    put_word(w, "subcommands");
    resp_put_map(w, c->subcommand_count);
    for (uint32_t i = 0; i < c->subcommand_count; i++)
        put_docs_head(w, &c->subcommands[i]);
}

/* ------------------------------------------------------------------ the commands */

/* "get", or "client|id"; NULL when there is none. */
static const struct command *
named(struct session *s, struct slice name)
{
    const uint8_t *bar = name.size == 0 ? NULL : memchr(name.data, '|', name.size);
    const struct command *c;
    size_t size;

    if (bar == NULL)
        return command_find(&s->reactor->api->commands, name);
    size = (size_t)(bar - name.data);
    c = command_find(&s->reactor->api->commands, slice_of(name.data, size));
    return c == NULL ? NULL : command_find_sub(c, slice_of(bar + 1, name.size - size - 1));
}

void
local_command(struct session *s, const struct slice *args, uint32_t count, struct resp_writer *w)
{
    (void)s;
    (void)args;
    (void)count;
    resp_put_array(w, command_table_count);
    for (uint32_t i = 0; i < command_table_count; i++)
        put_info(w, &command_table[i]);
}

void
local_command_count(struct session *s, const struct slice *args, uint32_t count,
                    struct resp_writer *w)
{
    (void)s;
    (void)args;
    (void)count;
    resp_put_i64(w, command_table_count);
}

void
local_command_info(struct session *s, const struct slice *args, uint32_t count,
                   struct resp_writer *w)
{
    if (count == 2) {
        local_command(s, args, count, w);
        return;
    }
    resp_put_array(w, count - 2);
    for (uint32_t i = 2; i < count; i++) {
        const struct command *c = named(s, args[i]);

        if (c == NULL)
            resp_put_nil(w);
        else
            put_info(w, c);
    }
}

void
local_command_docs(struct session *s, const struct slice *args, uint32_t count,
                   struct resp_writer *w)
{
    uint64_t known = 0;

    if (count == 2) {
        resp_put_map(w, command_table_count);
        for (uint32_t i = 0; i < command_table_count; i++)
            put_docs(w, &command_table[i]);
        return;
    }
    for (uint32_t i = 2; i < count; i++)
        known += named(s, args[i]) != NULL;
    resp_put_map(w, known);
    for (uint32_t i = 2; i < count; i++) {
        const struct command *c = named(s, args[i]);

        if (c != NULL)
            put_docs(w, c);
    }
}

static bool
is_in(const struct command *c, struct slice category)
{
    return arg_is(category, group_names[c->category]) ||
           (arg_is(category, "read") && (c->flags & CMD_READONLY) != 0) ||
           (arg_is(category, "write") && (c->flags & CMD_WRITE) != 0) ||
           (arg_is(category, "admin") && (c->flags & CMD_ADMIN) != 0) ||
           (arg_is(category, "dangerous") && (c->flags & CMD_DANGEROUS) != 0) ||
           (arg_is(category, "fast") && (c->flags & CMD_FAST) != 0) ||
           (arg_is(category, "slow") && (c->flags & CMD_FAST) == 0);
}

static bool
is_listed(const struct command *c, const struct slice *args, uint32_t count)
{
    if (count == 2)
        return true;
    if (arg_is(args[3], "PATTERN"))
        return kv_glob(args[4], slice_str(c->name));
    return arg_is(args[3], "ACLCAT") && is_in(c, args[4]);
}

void
local_command_list(struct session *s, const struct slice *args, uint32_t count,
                   struct resp_writer *w)
{
    uint64_t listed = 0;

    (void)s;
    if (count != 2 &&
        (count != 5 || !arg_is(args[2], "FILTERBY") ||
         !(arg_is(args[3], "PATTERN") || arg_is(args[3], "ACLCAT") || arg_is(args[3], "MODULE")))) {
        resp_put_error_text(w, REDIS_SYNTAX_ERROR);
        return;
    }
    for (uint32_t i = 0; i < command_table_count; i++)
        listed += is_listed(&command_table[i], args, count);
    resp_put_array(w, listed);
    for (uint32_t i = 0; i < command_table_count; i++) {
        if (is_listed(&command_table[i], args, count))
            put_word(w, command_table[i].name);
    }
}

void
local_command_getkeys(struct session *s, const struct slice *args, uint32_t count,
                      struct resp_writer *w)
{
    char text[REFUSAL_TEXT_MAX];
    const char *error;
    const struct command *c = redis_lookup(s, args + 2, count - 2, &error, text);
    uint32_t last;

    if (c == NULL) {
        resp_put_error_text(w, command_find(&s->reactor->api->commands, args[2]) == NULL
                                   ? "ERR Invalid command specified"
                                   : "ERR Invalid number of arguments specified for command");
        return;
    }
    if (c->first_key == 0) {
        resp_put_error_text(w, "ERR The command has no key arguments");
        return;
    }
    last = command_last_key(c, count - 2);
    resp_put_array(w, (last - (uint32_t)c->first_key) / (uint32_t)c->key_step + 1);
    for (uint32_t i = (uint32_t)c->first_key; i <= last; i += (uint32_t)c->key_step)
        resp_put_bulk(w, args[2 + i]);
}

void
local_command_help(struct session *s, const struct slice *args, uint32_t count,
                   struct resp_writer *w)
{
    static const char *const lines[] = {
        "(no subcommand)",
        "    Arity, flags and keys of all commands.",
        "COUNT",
        "    How many commands there are.",
        "DOCS [<command-name> ...]",
        "    What these commands do, in words, or all of them.",
        "GETKEYS <full-command>",
        "    The keys among a command's arguments.",
        "INFO [<command-name> ...]",
        "    Arity, flags and keys of these commands, or of all.",
        "LIST [FILTERBY (MODULE <name>|ACLCAT <category>|PATTERN <pattern>)]",
        "    The names of all commands.",
    };

    (void)s;
    (void)args;
    (void)count;
    put_help(w, "COMMAND", lines, sizeof(lines) / sizeof(lines[0]));
}
