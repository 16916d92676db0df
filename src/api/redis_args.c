/* What the families of commands have in common: reading arguments. */
#include <stdio.h>

#include "api/api_internal.h"
#include "api/redis.h"
#include "wire/decimal.h"

const char *
arg_database(struct session *s, struct slice text, uint32_t *number, uint32_t *keyspace)
{
    int64_t value;

    if (!decimal_parse_i64(text, &value)) {
        if (kv_keyspace_named(s->reactor->door, text, keyspace) != ST_OK)
            return REDIS_NOT_INTEGER;
        *number = *keyspace; /* beyond the databases */
        return NULL;
    }
    if (value < INT32_MIN || value > INT32_MAX)
        return REDIS_NOT_INT32;
    if (value < 0 || value >= LIMIT_DATABASES ||
        kv_database(s->reactor->door, (uint64_t)value, keyspace) != ST_OK)
        return REDIS_BAD_DATABASE;
    *number = (uint32_t)value;
    return NULL;
}

enum expiry_unit
arg_expiry_unit(struct slice arg)
{
    if (arg_is(arg, "EX"))
        return EXPIRY_EX;
    if (arg_is(arg, "PX"))
        return EXPIRY_PX;
    if (arg_is(arg, "EXAT"))
        return EXPIRY_EXAT;
    if (arg_is(arg, "PXAT"))
        return EXPIRY_PXAT;
    return EXPIRY_NONE;
}

bool
expiry_resolve(enum expiry_unit unit, int64_t value, uint64_t now_ms, int64_t *unix_ms)
{
    if ((unit == EXPIRY_EX || unit == EXPIRY_EXAT) && __builtin_mul_overflow(value, 1000, &value))
        return false;
    if ((unit == EXPIRY_EX || unit == EXPIRY_PX) &&
        __builtin_add_overflow(value, (int64_t)now_ms, &value))
        return false;
    *unix_ms = value;
    return true;
}

/* The database named by COPY's arguments, or the one that is selected. */
static uint32_t
copy_keyspace(const struct session *s, const struct slice *args, uint32_t count)
{
    uint32_t keyspace = s->keyspace;

    for (uint32_t i = 3; i + 1 < count; i++) {
        int64_t number;

        if (arg_is(args[i], "DB") && decimal_parse_i64(args[i + 1], &number) && number >= 0 &&
            kv_database(s->reactor->door, (uint64_t)number, &keyspace) != ST_OK)
            keyspace = s->keyspace; /* there is none: it will be refused for that */
    }
    return keyspace;
}

const char *
redis_refuse_in_unit(const struct session *s, const struct command *command,
                     const struct slice *args, uint32_t count)
{
    int64_t number;

    if (command->prepare == prepare_msetnx && count > 3)
        return "ERR MSETNX of several keys is not allowed inside a transaction";
    if (command->prepare == prepare_copy && copy_keyspace(s, args, count) != s->keyspace)
        return REDIS_TWO_DATABASES;
    if (command->local == local_select && decimal_parse_i64(args[1], &number) && number >= 0 &&
        number < LIMIT_DATABASES && number != (int64_t)s->database)
        return REDIS_TWO_DATABASES;
    return NULL;
}

void
put_help(struct resp_writer *w, const char *name, const char *const *lines, uint32_t count)
{
    char head[128];

    snprintf(head, sizeof(head),
             "%s <subcommand> [<arg> [value] [opt] ...]. Subcommands are:", name);
    resp_put_array(w, count + 3);
    resp_put_simple(w, head);
    for (uint32_t i = 0; i < count; i++)
        resp_put_simple(w, lines[i]);
    resp_put_simple(w, "HELP");
    resp_put_simple(w, "    Prints this help.");
}
