/* WATCH, MULTI, EXEC, DISCARD, UNWATCH, as commands; what they keep is in transaction.c. */
#include "api/redis.h"
#include "api/transaction.h"

/* ------------------------------------------------------------------ WATCH */

static bool
remember(struct transaction *t, struct slice key, version_t version)
{
    struct watch *w = arena_alloc(&t->watch_arena, sizeof(*w));
    uint8_t *copy = arena_alloc_bytes(&t->watch_arena, key.size);

    if (w == NULL || copy == NULL)
        return false;
    if (key.size > 0)
        memcpy(copy, key.data, key.size);
    *w = (struct watch){ .next = t->watches, .key = slice_of(copy, key.size), .version = version };
    t->watches = w;
    t->watch_count++;
    return true;
}

static void
watch_came_back(struct call *c)
{
    struct session *s = c->session;
    struct transaction *t = transaction_of(s);
    bool kept = t != NULL;

    if (c->request.status != ST_OK) {
        call_reply_status(c, c->request.status, &c->request.err);
        return;
    }
    for (uint32_t i = 0; kept && i < c->unit.op_count; i++) {
        const struct op_result *result = &c->unit.results[i];

        kept = remember(t, c->unit.ops[i].key, result->code == OP_NIL ? 0 : result->version);
    }
    if (!kept || !transaction_charge(s)) {
        transaction_destroy(s); /* all or nothing: nothing is watched any more, and it is said */
        call_reply_error(c, "BUSY no room to watch these keys; nothing is watched");
        return;
    }
    t->keyspace = c->keyspace;
    call_reply_simple(c, "OK");
}

void
task_watch(struct call *c, const struct slice *args, uint32_t count)
{
    struct unit *u = &c->unit;
    struct transaction *t = c->session->transaction;

    if (transaction_queuing(c->session)) {
        call_reply_error(c, "ERR WATCH inside MULTI is not allowed");
        return;
    }
    if (t != NULL && t->watch_count > 0 && t->keyspace != c->keyspace) {
        call_reply_error(c, REDIS_TWO_DATABASES);
        return;
    }
    *u = (struct unit){ .call = c, .ops = &c->op, .op_capacity = 1 };
    prepare_exists(u, &c->piece, args, count);
    u->results = call_alloc(c, u->op_count * sizeof(struct op_result));
    if (u->no_memory || u->results == NULL) {
        call_reply_status(c, ST_BUSY, NULL);
        return;
    }
    memset(u->results, 0, u->op_count * sizeof(struct op_result));
    c->finish = watch_came_back;
    call_submit(c, u->ops, u->results, u->op_count, 0);
}

void
local_unwatch(struct session *s, const struct slice *args, uint32_t count, struct resp_writer *w)
{
    (void)args;
    (void)count;
    if (s->transaction != NULL && !transaction_queuing(s))
        transaction_destroy(s);
    resp_put_simple(w, "OK");
}

/* ------------------------------------------------------------------ MULTI */

void
local_multi(struct session *s, const struct slice *args, uint32_t count, struct resp_writer *w)
{
    struct transaction *t;

    (void)args;
    (void)count;
    if (transaction_queuing(s)) {
        resp_put_error_text(w, "ERR MULTI calls can not be nested");
        return;
    }
    t = transaction_of(s);
    if (t == NULL) {
        put_status(w, ST_NO_MEMORY, NULL, true);
        return;
    }
    if (t->watch_count > 0 && t->keyspace != s->keyspace) {
        resp_put_error_text(w, REDIS_TWO_DATABASES);
        return;
    }
    t->queuing = true;
    resp_put_simple(w, "OK");
}

void
local_discard(struct session *s, const struct slice *args, uint32_t count, struct resp_writer *w)
{
    (void)args;
    (void)count;
    if (!transaction_queuing(s)) {
        resp_put_error_text(w, "ERR DISCARD without MULTI");
        return;
    }
    transaction_destroy(s);
    resp_put_simple(w, "OK");
}

/* ------------------------------------------------------------------ EXEC */

static bool
prepare_conditions(struct unit *u, const struct transaction *t)
{
    uint32_t i = 0;

    if (t->watch_count == 0)
        return true;
    u->preconditions = unit_alloc(u, t->watch_count * sizeof(struct precondition));
    if (u->preconditions == NULL)
        return false;
    for (const struct watch *w = t->watches; w != NULL; w = w->next)
        u->preconditions[i++] = (struct precondition){ .key = w->key, .version = w->version };
    u->precondition_count = t->watch_count;
    return true;
}

static void
prepare_piece(struct call *c, struct piece *p, const struct queued *q)
{
    struct unit *u = &c->unit;

    p->op_first = u->op_count;
    if (q->command->kind == COMMAND_DATA) {
        q->command->prepare(u, p, q->args, q->count);
        return;
    }
    p->local = q->command;
    p->args = q->args;
    p->arg_count = q->count;
}

/* The conditions alone, of a unit without operations: the first watched key is looked at. */
static void
add_look(struct unit *u)
{
    if (u->op_count > 0 || u->precondition_count == 0)
        return;
    u->ops[0] = (struct op){ .kind = OP_META, .key = u->preconditions[0].key };
    u->op_count = 1;
}

static void
prepare_pieces(struct call *c, const struct transaction *t)
{
    struct unit *u = &c->unit;
    uint32_t i = 0;

    *u = (struct unit){ .call = c, .ops = &c->op, .op_capacity = 1 };
    if (!prepare_conditions(u, t))
        return;
    c->pieces = unit_alloc(u, (t->queued_count + 1) * sizeof(struct piece));
    if (c->pieces == NULL)
        return;
    if (t->op_count_max > 1) {
        u->ops = unit_alloc(u, t->op_count_max * sizeof(struct op));
        u->op_capacity = t->op_count_max;
        if (u->ops == NULL)
            return;
    }
    memset(c->pieces, 0, t->queued_count * sizeof(struct piece));
    for (const struct queued *q = t->first; q != NULL; q = q->next)
        prepare_piece(c, &c->pieces[i++], q);
    c->piece_count = t->queued_count;
    add_look(u);
}

void
task_exec(struct call *c, const struct slice *args, uint32_t count)
{
    struct session *s = c->session;
    struct transaction *t = s->transaction;

    (void)args;
    (void)count;
    if (!transaction_queuing(s)) {
        call_reply_error(c, "ERR EXEC without MULTI");
        return;
    }
    if (t->spoiled) {
        transaction_destroy(s);
        call_reply_error(c, "EXECABORT Transaction discarded because of previous errors.");
        return;
    }
    c->transaction = t; /* its queue lives as long as the call */
    s->transaction = NULL;
    c->is_exec = true;
    if (t->has_local)
        s->alone = c; /* later commands see what it does to the session */
    prepare_pieces(c, t);
    call_run_unit(c);
}
