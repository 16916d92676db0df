/*
 * Redis sessions: from a parsed command to its call.
 *
 *      refused by the input ─> error
 *      unknown, arity, NOAUTH ─> error (and a MULTI is spoiled)
 *      another node leads its keys, and the client is to ask there itself ─> MOVED
 *      inside MULTI ─> queued
 *      else ─> a call: held, until redis_begin()
 */
#include "api/redis.h"

#include <stdio.h>

#include "base/assert.h"

#include "api/api_internal.h"
#include "api/transaction.h"
#include "wire/decimal.h"

enum { NAME_SHOWN_MAX = 128, LOCAL_REPLY_BYTES = 256 };

/* ------------------------------------------------------------------ lookup */

static int
shown(struct slice s, size_t max)
{
    return (int)(s.size < max ? s.size : max);
}

static void
unknown_command(const struct slice *args, uint32_t count, char out[REFUSAL_TEXT_MAX])
{
    int at =
        snprintf(out, REFUSAL_TEXT_MAX, "ERR unknown command '%.*s', with args beginning with: ",
                 shown(args[0], NAME_SHOWN_MAX), (const char *)args[0].data);
    int begin = at;

    for (uint32_t i = 1; i < count && at - begin < NAME_SHOWN_MAX; i++) {
        size_t left = (size_t)(NAME_SHOWN_MAX - (at - begin));

        at += snprintf(out + at, (size_t)(REFUSAL_TEXT_MAX - at), "'%.*s' ", shown(args[i], left),
                       (const char *)args[i].data);
    }
}

static void
unknown_subcommand(const struct command *group, struct slice name, char out[REFUSAL_TEXT_MAX])
{
    char upper[32];
    size_t size = strlen(group->name);

    ASSERT(size < sizeof(upper));
    for (size_t i = 0; i <= size; i++) {
        char c = group->name[i];

        upper[i] = (char)(c >= 'a' && c <= 'z' ? c - 'a' + 'A' : c);
    }
    snprintf(out, REFUSAL_TEXT_MAX, "ERR unknown subcommand '%.*s'. Try %s HELP.",
             shown(name, NAME_SHOWN_MAX), (const char *)name.data, upper);
}

const struct command *
redis_lookup(struct session *s, const struct slice *args, uint32_t count, const char **error,
             char out[REFUSAL_TEXT_MAX])
{
    const struct command *command = command_find(&s->reactor->api->commands, args[0]);
    const struct command *group = command;

    *error = out;
    if (command == NULL) {
        unknown_command(args, count, out);
        return NULL;
    }
    if (command->subcommand_count > 0 && count > 1) {
        command = command_find_sub(group, args[1]);
        if (command == NULL) {
            unknown_subcommand(group, args[1], out);
            return NULL;
        }
    }
    if (!command_takes(command, count)) {
        snprintf(out, REFUSAL_TEXT_MAX, "ERR wrong number of arguments for '%s' command",
                 command->name);
        return NULL;
    }
    *error = NULL;
    return command;
}

/* ------------------------------------------------------------------ refusing and queueing */

static void
refuse(struct session *s, const char *text, bool spoils)
{
    struct call *c;

    input_done(&s->input);
    if (spoils)
        transaction_spoil(s);
    c = call_create(s, NULL);
    if (c == NULL)
        s->broken = true;
    else
        call_reply_error(c, text);
}

/* As in Redis, a MULTI ends with its EXEC, even with one that is refused. */
static void
refuse_command(struct session *s, const char *error)
{
    const struct command *command = command_find(&s->reactor->api->commands, s->input.args[0]);
    const char *why = strncmp(error, "ERR ", 4) == 0 ? error + 4 : error;
    char text[REFUSAL_TEXT_MAX];

    if (command == NULL || command->task != task_exec) {
        refuse(s, error, true);
        return;
    }
    snprintf(text, sizeof(text), "EXECABORT Transaction discarded because of: %s", why);
    transaction_destroy(s);
    refuse(s, text, false);
}

static void
queue(struct session *s, const struct command *command)
{
    const char *why = transaction_queue(s, command);
    struct call *c;

    if (why != NULL) {
        refuse(s, why, true);
        return;
    }
    input_done(&s->input);
    c = call_create(s, command);
    if (c == NULL)
        s->broken = true;
    else
        call_reply_simple(c, "QUEUED");
}

static const char *
input_refusal(const struct input *in, char out[REFUSAL_TEXT_MAX])
{
    if (in->refused == INPUT_NO_ROOM)
        return status_text(ST_BUSY, NULL, true, out);
    snprintf(out, REFUSAL_TEXT_MAX,
             "ERR the command is too large: an argument may have %d bytes, all of them %d",
             LIMIT_VALUE_BYTES, LIMIT_REQUEST_BYTES);
    return out;
}

void
redis_command(struct session *s)
{
    struct input *in = &s->input;
    const struct command *command;
    char text[REFUSAL_TEXT_MAX];
    const char *error;
    struct call *c;

    counter_add(&s->reactor->counters.commands, 1);
    if (in->refused != INPUT_KEPT) {
        refuse(s, input_refusal(in, text), true);
        return;
    }
    command = redis_lookup(s, in->args, in->arg_count, &error, text);
    if (command == NULL) {
        if (!session_refuse_http(s, in->args[0]))
            refuse_command(s, error);
        return;
    }
    s->last_command = command;
    if (!s->authenticated && (command->flags & CMD_NO_AUTH) == 0) {
        refuse_command(s, "NOAUTH Authentication required.");
        return;
    }
    if (transaction_queuing(s) && (command->flags & CMD_AT_ONCE) == 0) {
        error = redis_moved(s, command, in->args, in->arg_count, text);
        if (error != NULL)
            refuse(s, error, true);
        else
            queue(s, command);
        return;
    }
    c = call_create(s, command);
    if (c == NULL) {
        s->broken = true;
        return;
    }
    c->state = CALL_HELD;
    c->bytes = in->command_bytes;
    s->call_bytes += c->bytes;
    s->held = c;
}

/* ------------------------------------------------------------------ beginning */

bool
redis_writes(const struct call *c)
{
    const struct transaction *t = c->session->transaction;

    if (c->command->task == task_exec)
        return t != NULL && t->writes;
    return (c->command->flags & CMD_WRITE) != 0;
}

static void
begin_data(struct call *c)
{
    struct input *in = &c->session->input;

    c->pieces = &c->piece;
    c->piece_count = 1;
    c->unit = (struct unit){ .call = c, .ops = &c->op, .op_capacity = 1 };
    c->command->prepare(&c->unit, &c->piece, in->args, in->arg_count);
    input_done(in);
    call_run_unit(c);
}

static void
begin_local(struct call *c)
{
    struct session *s = c->session;
    struct input *in = &s->input;
    size_t mark = 0;
    struct resp_writer w = call_reply(c, LOCAL_REPLY_BYTES, &mark);

    c->command->local(s, in->args, in->arg_count, &w);
    call_replied(c, &w, mark);
    input_done(in);
    call_finish(c);
}

void
redis_begin(struct call *c)
{
    struct session *s = c->session;
    char text[REFUSAL_TEXT_MAX];
    const char *moved;

    c->state = CALL_RUNNING;
    if ((c->command->flags & CMD_ALONE) != 0)
        s->alone = c;
    if (input_lend(&s->input, &c->blocks) != ST_OK) {
        s->broken = true;
        return;
    }
    moved = redis_moved(s, c->command, s->input.args, s->input.arg_count, text);
    if (moved != NULL) {
        input_done(&s->input);
        call_reply_error(c, moved);
        return;
    }
    switch (c->command->kind) {
    case COMMAND_DATA:
        begin_data(c);
        return;
    case COMMAND_TASK:
        c->command->task(c, s->input.args, s->input.arg_count);
        input_done(&s->input);
        return;
    case COMMAND_LOCAL:
        begin_local(c);
        return;
    case COMMAND_GROUP:
        break;
    }
    ASSERT(false); /* a group takes a subcommand: its arity says so */
}
