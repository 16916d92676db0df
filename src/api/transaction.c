#include "api/transaction.h"

#include "base/assert.h"
#include "base/limits.h"
#include "base/mem.h"

#include "api/redis.h"
#include "api/session.h"

enum { QUEUE_CHUNK_BYTES = 4096 };

static const char too_large[] = "ERR the transaction is too large";
static const char no_room[] = "BUSY the node is overloaded; the transaction is discarded";

struct transaction *
transaction_of(struct session *s)
{
    struct transaction *t = s->transaction;

    if (t != NULL)
        return t;
    t = mem_new(struct transaction);
    if (t == NULL)
        return NULL;
    arena_init(&t->arena, QUEUE_CHUNK_BYTES);
    arena_init(&t->watch_arena, QUEUE_CHUNK_BYTES);
    t->last = &t->first;
    s->transaction = t;
    return t;
}

void
transaction_free(struct reactor *r, struct transaction *t)
{
    if (t == NULL)
        return;
    room_give(&r->room, ROOM_REQUEST, t->charged);
    block_refs_release(&t->blocks, &r->blocks);
    arena_release(&t->arena);
    arena_release(&t->watch_arena);
    mem_free(t);
}

void
transaction_destroy(struct session *s)
{
    transaction_free(s->reactor, s->transaction);
    s->transaction = NULL;
}

bool
transaction_queuing(const struct session *s)
{
    return s->transaction != NULL && s->transaction->queuing;
}

static void
drop_queue(struct session *s)
{
    struct transaction *t = s->transaction;
    size_t watched = t->watch_arena.total_bytes;
    size_t keep = watched < t->charged ? watched : t->charged;

    block_refs_release(&t->blocks, &s->reactor->blocks);
    arena_release(&t->arena);
    room_give(&s->reactor->room, ROOM_REQUEST, t->charged - keep);
    t->charged = keep;
    t->first = NULL;
    t->last = &t->first;
    t->queued_count = 0;
    t->op_count_max = 0;
    t->bytes = 0;
}

void
transaction_spoil(struct session *s)
{
    if (!transaction_queuing(s) || s->transaction->spoiled)
        return;
    s->transaction->spoiled = true;
    drop_queue(s);
}

bool
transaction_charge(struct session *s)
{
    struct transaction *t = s->transaction;
    size_t bytes = t->arena.total_bytes + t->watch_arena.total_bytes;

    if (!room_try(&s->reactor->room, ROOM_REQUEST, bytes - t->charged))
        return false;
    t->charged = bytes;
    return true;
}

/* May this command be part of a unit at all?  NULL, or why not. */
static const char *
refusal(const struct session *s, const struct command *command)
{
    const struct input *in = &s->input;

    if ((command->flags & (CMD_NO_MULTI | CMD_ALONE)) != 0 || command->kind == COMMAND_TASK)
        return "ERR Command not allowed inside a transaction";
    if (s->transaction->bytes + in->command_bytes > LIMIT_REQUEST_BYTES ||
        s->transaction->op_count_max + in->arg_count > LIMIT_REQUEST_OPS)
        return too_large;
    return redis_refuse_in_unit(s, command, in->args, in->arg_count);
}

const char *
transaction_queue(struct session *s, const struct command *command)
{
    struct transaction *t = s->transaction;
    struct input *in = &s->input;
    const char *why = refusal(s, command);
    struct slice *args;
    struct queued *q;

    if (why != NULL || t->spoiled)
        return why;
    q = arena_alloc(&t->arena, sizeof(*q));
    args = arena_alloc(&t->arena, in->arg_count * sizeof(struct slice));
    if (q == NULL || args == NULL || input_lend(in, &t->blocks) != ST_OK || !transaction_charge(s))
        return no_room;
    memcpy(args, in->args, in->arg_count * sizeof(struct slice));
    *q = (struct queued){ .command = command, .args = args, .count = in->arg_count };
    *t->last = q;
    t->last = &q->next;
    t->queued_count++;
    t->bytes += in->command_bytes;
    if (command->kind == COMMAND_DATA)
        t->op_count_max += in->arg_count;
    else
        t->has_local = true;
    t->writes = t->writes || (command->flags & CMD_WRITE) != 0;
    return NULL;
}
