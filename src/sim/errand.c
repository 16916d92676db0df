#include "sim/errand.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/assert.h"
#include "base/mark.h"
#include "base/mem.h"

enum { NS_PER_MS = 1000000, ANSWER_MS_MAX = 15000 };

uint64_t
errand_moment(uint64_t *moment, const struct sim *world)
{
    uint64_t now = sim_now_ns(world);

    *moment = now > *moment ? now : *moment + 1;
    return *moment;
}

/* ------------------------------------------------------------------ asking */

static void
write_value(struct errand *c)
{
    size_t size = value_make(c->value, c->want.value_size, c->client, c->want.number);

    c->op.value = slice_of(c->value, size);
}

static void
fill_op(struct errand *c)
{
    static const enum op_kind kinds[HISTORY_VERB_COUNT] = {
        [HISTORY_GET] = OP_GET, [HISTORY_PUT] = OP_PUT,   [HISTORY_DELETE] = OP_DELETE,
        [HISTORY_CAS] = OP_PUT, [HISTORY_INCR] = OP_INCR,
    };

    c->op.kind = kinds[c->want.verb];
    c->op.key = slice_str(c->key);
    if (c->op.kind == OP_PUT)
        write_value(c);
    if (c->want.verb == HISTORY_INCR)
        c->op.number = (int64_t)c->want.number;
    if (c->want.verb == HISTORY_CAS) {
        c->precondition = (struct precondition){ c->op.key, c->want.version };
        c->request.preconditions = &c->precondition;
        c->request.precondition_count = 1;
    }
}

struct errand *
errand_create(const struct errand_want *want, uint32_t client)
{
    struct errand *c = mem_alloc_zero(sizeof(*c) + want->value_size + VALUE_NAME_MAX);

    if (c == NULL)
        return NULL;
    list_init(&c->link);
    c->client = client;
    c->want = *want;
    snprintf(c->key, sizeof(c->key), "%c%" PRIu32, want->counter ? 'n' : 'k', want->key);
    fill_op(c);
    return c;
}

void
errand_free(struct errand *c)
{
    mem_free(c);
}

static void
note_value(struct errand *c)
{
    struct slice value = c->result.value;

    if (!c->want.counter) {
        value_name(value, c->seen);
        return;
    }
    snprintf(c->seen, sizeof(c->seen), "%.*s", (int)value.size, (const char *)value.data);
}

/* In the node's context: whatever is written here is the world's. */
static void
on_done(struct request *r)
{
    struct errand *c = container_of(r, struct errand, request);

    ASSERT(!c->answered);
    c->answered = true;
    c->status = r->status;
    c->leader = r->status == ST_NOT_LEADER ? r->leader : 0;
    c->return_ns = errand_moment(c->moment, c->node->world);
    if (r->status == ST_OK && c->want.verb == HISTORY_GET && c->result.code == OP_DONE)
        note_value(c);
    *c->stirred = true;
}

static uint32_t
loop_of(const struct errand *c)
{
    return c->client % c->node->setup->loops;
}

/* A server reckons deadline and expiry from when it reads the request. */
static void
set_times(struct errand *c)
{
    struct node *n = c->node;
    struct loop *loop = sim_loop(n->world, n->id, loop_of(c));

    c->request.deadline_ns = loop_now_ns(loop) + c->deadline_ms * NS_PER_MS;
    if (c->want.life_ms != 0)
        c->op.expiry_ms = node_now_ms(n, loop_of(c)) + c->want.life_ms;
}

/* In the node's context.  A node that is on its way down reads nothing more. */
static void
arrive(struct task *task)
{
    struct errand *c = container_of(task, struct errand, arrival);

    if (c->node->state != NODE_UP) {
        c->request.status = ST_CLOSED;
        on_done(&c->request);
        return;
    }
    set_times(c);
    node_take(c->node, loop_of(c), &c->request);
}

void
errand_send(struct errand *c, uint64_t deadline_ms)
{
    struct node *n = c->node;
    struct request *r = &c->request;

    c->sent = true;
    c->sent_ns = sim_now_ns(n->world);
    c->deadline_ms = deadline_ms;
    c->arrival.run = arrive;
    r->keyspace = n->setup->keyspace;
    r->durability = n->setup->durability;
    r->origin = c->client + 1;
    r->client_id = c->want.sequence == 0 ? 0 : c->client + 1;
    r->sequence = c->want.sequence;
    r->ops = &c->op;
    r->op_count = 1;
    r->results = &c->result;
    r->result_bytes_max = WORKLOAD_VALUE_MAX;
    r->done = on_done;
    mark_hit_if(!node_responds(n), MARK_AT_DOOR);
    if (!node_responds(n)) {
        loop_post(sim_loop(n->world, n->id, loop_of(c)), &c->arrival);
        return;
    }
    set_times(c);
    node_submit(n, loop_of(c), r);
}

/* ------------------------------------------------------------------ what an answer says */

void
errand_mark(const struct errand *c, enum history_result result)
{
    struct node *n = c->node;

    mark_hit_if(!c->answered, MARK_CLIENT_GAVE_UP);
    if (!c->answered)
        return;
    mark_hit_if(c->status == ST_UNKNOWN, MARK_REQUEST_UNKNOWN);
    mark_hit_if(c->status == ST_TIMEOUT, MARK_REQUEST_TIMEOUT);
    mark_hit_if(c->status == ST_CORRUPT, MARK_ROT_MET);
    if (c->status == ST_NO_SPACE) {
        mark_hit(MARK_DISK_FULL);
        n->full_life = c->life;
    } else if (result == HISTORY_OK && c->want.verb == HISTORY_PUT && n->full_life == c->life) {
        mark_hit(MARK_RESUMED_AFTER_FULL);
        n->full_life = 0;
    }
}

enum status
errand_check(const struct errand *c, uint64_t now_ns, bool rot, struct err *err)
{
    uint64_t since = c->sent_ns > c->node->alive_since_ns ? c->sent_ns : c->node->alive_since_ns;

    if (c->answered && c->status == ST_CORRUPT && !rot) {
        return err_raise(err, ST_CORRUPT,
                         "node %u answers that \"%s\" is damaged, and no bit of it is", c->node->id,
                         c->key);
    }
    if (c->answered || now_ns < since + ANSWER_MS_MAX * (uint64_t)NS_PER_MS)
        return ST_OK;
    return err_raise(
        err, ST_TIMEOUT,
        "node %u did not answer a %s of \"%s\" within %d ms (its deadline was %" PRIu64 " ms)",
        c->node->id, history_verb_name(c->want.verb), c->key, ANSWER_MS_MAX, c->deadline_ms);
}

/* ------------------------------------------------------------------ what is certain */

static enum history_result
judge_status(const struct errand *c)
{
    if (!c->sent)
        return HISTORY_FAIL;
    if (!c->answered)
        return HISTORY_UNKNOWN;
    if (c->status == ST_OK)
        return c->result.code == OP_DONE || c->want.verb != HISTORY_INCR ? HISTORY_OK
                                                                         : HISTORY_FAIL;
    return c->status == ST_UNKNOWN ? HISTORY_UNKNOWN : HISTORY_FAIL;
}

static struct history_value
named(const char *name)
{
    return (struct history_value){ name[0] != '\0', slice_str(name) };
}

static struct history_value
written(const struct errand *c)
{
    struct slice value = c->op.value;
    const uint8_t *blank = value.size == 0 ? NULL : memchr(value.data, ' ', value.size);

    if (blank != NULL)
        value.size = (size_t)(blank - value.data);
    return (struct history_value){ true, value };
}

struct history_op
errand_story(const struct errand *c, uint64_t now)
{
    struct history_op op = {
        .verb = c->want.verb,
        .result = judge_status(c),
        .client = c->client,
        .call_ns = c->call_ns,
        .return_ns = c->answered ? c->return_ns : now,
        .key = slice_str(c->key),
    };

    switch (c->want.verb) {
    case HISTORY_GET:
        op.value = named(c->seen);
        break;
    case HISTORY_CAS:
        op.expect = named(c->want.expect);
        op.mismatch = c->answered && c->status == ST_CONFLICT;
        mark_hit_if(op.mismatch, MARK_CAS_MISMATCH);
        op.value = written(c);
        break;
    case HISTORY_PUT:
        op.value = written(c);
        break;
    case HISTORY_INCR:
        op.delta = (int64_t)c->want.number;
        op.sum = c->result.integer;
        break;
    case HISTORY_DELETE:
    case HISTORY_VERB_COUNT:
        break;
    }
    return op;
}

struct history_op
errand_fading(const struct history_op *put)
{
    return (struct history_op){
        .verb = HISTORY_DELETE,
        .result = HISTORY_UNKNOWN,
        .client = put->client,
        .call_ns = put->call_ns,
        .return_ns = HISTORY_NEVER,
        .key = put->key,
    };
}
