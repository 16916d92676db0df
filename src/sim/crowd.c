/*
 * The life of a client
 *
 *      resting ──due──> asking ──answered, given up, its node dead──> resting ...
 *                          ^  └──outcome unknown──> about to repeat
 *                          └──────────due────────────────┘
 *
 * A client with an identity repeats a write whose outcome it does not know, under its number.  For the
 * history that is one operation, from the first call to the last answer.
 *
 * A client that gives up leaves its call behind: the node still has it.  It is freed when it is
 * answered, or when the node's process is gone.
 *
 *   C1  Every call that was sent and not answered is in `calls`, and so is the memory that a node
 *       may still write to.
 *   C2  Versions of a key never go back: who asks after somebody was answered is told the same one or a
 *       later one (DESIGN, "Time").
 */
#include "sim/crowd.h"

#include <inttypes.h>

#include "base/assert.h"
#include "base/mark.h"
#include "base/mem.h"
#include "base/prng.h"

#include "sim/errand.h"
#include "sim/mind.h"
#include "sim/season.h"

enum {
    NS_PER_MS = 1000000,
    DEADLINE_MS = 2000,
    PAUSE_MS = 20, /* after a refusal, and until a node is there again */
    NOBODY_ASKS_MS = 1000,
    SECOND_MS = 1000,
    ATTEMPTS_MAX = 6,
};

struct caller {
    uint32_t id;
    struct mind mind;
    uint64_t due_ns; /* it does something: ask, or give up */
    struct errand *call;
    uint32_t node; /* whom it asked last, from 0 */

    /* Its operation, of which `call` is an attempt. */
    struct errand_want want;
    uint64_t asked_ns; /* when it was first sent: a moment */
    uint32_t attempts; /* 0: there is none */
    version_t newest;  /* that anybody had seen of the key before */
};

struct crowd {
    struct crowd_options options;
    struct history *history;
    struct caller *callers;
    struct list calls; /* C1 */
    version_t *newest; /* seen of each key, registers before counters */
    bool finale;
    uint64_t moment;
    uint64_t begun_ns;
    uint64_t finale_from; /* a moment: what was asked before is of the first age */
    struct season season;
    uint64_t last_busy_second;
    struct crowd_counts counts;
};

enum status
crowd_create(struct crowd **out, const struct crowd_options *options)
{
    struct crowd *c = mem_new(struct crowd);

    if (c == NULL)
        return ST_NO_MEMORY;
    c->options = *options;
    list_init(&c->calls);
    c->begun_ns = sim_now_ns(options->world);
    season_init(&c->season, options->setup);
    c->callers = mem_new_array(struct caller, options->setup->callers);
    c->newest = mem_new_array(version_t,
                              options->setup->workload->keys + options->setup->workload->counters);
    if (c->callers == NULL || c->newest == NULL || history_create(&c->history) != ST_OK) {
        crowd_destroy(c);
        return ST_NO_MEMORY;
    }
    for (uint32_t i = 0; i < options->setup->callers; i++) {
        struct caller *caller = &c->callers[i];

        caller->id = i;
        caller->due_ns = c->begun_ns;
        mind_init(&caller->mind, options->setup, i);
    }
    *out = c;
    return ST_OK;
}

void
crowd_destroy(struct crowd *c)
{
    struct list *link;

    if (c == NULL)
        return;
    while ((link = list_pop_front(&c->calls)) != NULL)
        errand_free(container_of(link, struct errand, link));
    history_destroy(c->history);
    mem_free(c->newest);
    mem_free(c->callers);
    mem_free(c);
}

/* ------------------------------------------------------------------ how often */

static uint64_t
now_ns(const struct crowd *c)
{
    return sim_now_ns(c->options.world);
}

static void
rest(struct crowd *c, struct caller *caller)
{
    uint32_t rate = season_rate(&c->season);
    uint64_t mean_ns;

    if (c->finale) {
        caller->due_ns = now_ns(c);
        return;
    }
    if (rate == 0) {
        caller->due_ns = now_ns(c) + NOBODY_ASKS_MS * (uint64_t)NS_PER_MS;
        return;
    }
    mean_ns = (uint64_t)c->options.setup->callers * 1000 * NS_PER_MS / rate;
    caller->due_ns = now_ns(c) + prng_below(&caller->mind.prng, 2 * mean_ns);
}

/* ------------------------------------------------------------------ asking */

static uint32_t
any_node(struct crowd *c, struct caller *caller)
{
    uint32_t node;

    do
        node = (uint32_t)prng_below(&caller->mind.prng, c->options.setup->nodes);
    while (!season_reaches(&c->season, caller->id, node + 1));
    return node;
}

/* Whom?  The one that answered last, or when it did not, any. */
static struct node *
choose_node(struct crowd *c, struct caller *caller)
{
    struct node *n = &c->options.nodes[caller->node];

    if (n->state != NODE_UP || !season_reaches(&c->season, caller->id, n->id))
        caller->node = any_node(c, caller);
    n = &c->options.nodes[caller->node];
    return n->state == NODE_UP && sim_running(n->world, n->id) ? n : NULL;
}

static bool
may_ask(const struct crowd *c)
{
    return c->finale || c->options.ops_max == 0 || c->counts.issued < c->options.ops_max;
}

static version_t *
newest_of(const struct crowd *c, const struct errand_want *want)
{
    return &c->newest[want->counter ? c->options.setup->workload->keys + want->key : want->key];
}

/* A new operation, or once more the one whose outcome is not known. */
static enum status
ask(struct crowd *c, struct caller *caller)
{
    struct node *n = choose_node(c, caller);
    struct errand *call;

    if (n == NULL) {
        caller->due_ns = now_ns(c) + PAUSE_MS * (uint64_t)NS_PER_MS;
        return ST_OK;
    }
    if (caller->attempts == 0)
        mind_choose(&caller->mind, c->finale, season_leaves_behind(&c->season, caller->id),
                    &caller->want);
    call = errand_create(&caller->want, caller->id);
    if (call == NULL)
        return ST_NO_MEMORY;
    c->counts.issued += caller->attempts == 0;
    mark_hit_if(caller->attempts > 0, MARK_REPEATED_WRITE);
    call->node = n;
    call->life = n->life;
    call->stirred = c->options.stirred;
    call->moment = &c->moment;
    call->call_ns = errand_moment(&c->moment, c->options.world);
    if (caller->attempts++ == 0) {
        caller->asked_ns = call->call_ns;
        caller->newest = *newest_of(c, &caller->want);
    }
    caller->call = call;
    caller->due_ns = now_ns(c) + mind_patience_ms(&caller->mind) * NS_PER_MS;
    list_push_back(&c->calls, &call->link);
    errand_send(call, DEADLINE_MS);
    return ST_OK;
}

/* ------------------------------------------------------------------ being answered */

static void
count(struct crowd *c, enum history_result result)
{
    uint64_t second = (now_ns(c) - c->begun_ns) / NS_PER_MS / SECOND_MS + 1;

    c->counts.ok += result == HISTORY_OK;
    c->counts.failed += result == HISTORY_FAIL;
    c->counts.unknown += result == HISTORY_UNKNOWN;
    if (result == HISTORY_OK && second != c->last_busy_second) {
        c->last_busy_second = second;
        c->counts.busy_ms += SECOND_MS;
    }
}

/* The whole operation, from its first attempt on.  What became of an earlier attempt is known only when
 * this one was told: the answer is then that of whichever was evaluated. */
static struct history_op
whole_story(struct crowd *c, const struct caller *caller)
{
    const struct errand *call = caller->call;
    struct history_op op = errand_story(call, errand_moment(&c->moment, c->options.world));

    op.call_ns = caller->asked_ns;
    if (caller->attempts > 1 && op.result == HISTORY_FAIL && call->status != ST_CONFLICT)
        op.result = HISTORY_UNKNOWN;
    return op;
}

/* Where to go next, and not at once. */
static void
look_elsewhere(struct crowd *c, struct caller *caller, const struct errand *call)
{
    uint64_t soonest_ns = now_ns(c) + PAUSE_MS * (uint64_t)NS_PER_MS;

    caller->node = call->leader != 0 ? node_machine(call->leader) - 1 : any_node(c, caller);
    if (caller->due_ns < soonest_ns)
        caller->due_ns = soonest_ns;
}

static enum status
check_version(struct crowd *c, const struct caller *caller, const struct errand *call,
              struct err *err)
{
    version_t *newest = newest_of(c, &call->want);
    version_t version = call->result.version;

    if (call->want.verb == HISTORY_DELETE || call->result.code != OP_DONE)
        return ST_OK;
    if (version < caller->newest) {
        return err_raise(err, ST_CORRUPT,
                         "versions of \"%s\" go back (C2): %" PRIu64 " in answer to a %s that was "
                         "asked after somebody had been told %" PRIu64,
                         call->key, version, history_verb_name(call->want.verb), caller->newest);
    }
    if (version > *newest)
        *newest = version;
    return ST_OK;
}

static enum status
write_down(struct crowd *c, const struct history_op *op, bool fades, struct err *err)
{
    struct history_op fading = errand_fading(op);
    enum status st = history_add(c->history, op, err);

    if (st == ST_OK && fades && op->result != HISTORY_FAIL)
        st = history_add(c->history, &fading, err);
    return st;
}

/* The client's attempt has come to an end, for it, and with it, mostly, its operation. */
static enum status
conclude(struct crowd *c, struct caller *caller, struct err *err)
{
    struct errand *call = caller->call;
    struct history_op op = whole_story(c, caller);
    enum status st = ST_OK;

    caller->call = NULL;
    call->abandoned = true;
    errand_mark(call, op.result);
    rest(c, caller);
    if (op.result != HISTORY_OK)
        look_elsewhere(c, caller, call);
    if (op.result == HISTORY_UNKNOWN && caller->want.sequence != 0 &&
        caller->attempts < ATTEMPTS_MAX) {
        caller->due_ns = now_ns(c) + PAUSE_MS * (uint64_t)NS_PER_MS;
        return ST_OK;
    }
    caller->attempts = 0;
    count(c, op.result);
    if (op.result == HISTORY_OK && op.verb != HISTORY_GET)
        c->season.led = call->node->id;
    if (op.result == HISTORY_OK) {
        mind_saw(&caller->mind, call);
        st = check_version(c, caller, call, err);
        if (c->finale && caller->asked_ns > c->finale_from)
            mind_got_on(&caller->mind);
    }
    return st == ST_OK ? write_down(c, &op, caller->want.life_ms != 0, err) : st;
}

/* May damage be met on the way of the call?  Who is asked may have asked any other. */
static bool
may_meet_rot(const struct crowd *c, const struct errand *call)
{
    bool rot = call->node->rotten;

    for (uint32_t i = 0; i < c->options.setup->nodes && c->options.setup->forwards; i++)
        rot |= c->options.nodes[i].rotten;
    return rot;
}

static enum status
sweep_calls(struct crowd *c, struct err *err)
{
    struct list *at = c->calls.next;
    enum status st = ST_OK;

    while (at != &c->calls && st == ST_OK) {
        struct errand *call = container_of(at, struct errand, link);
        struct caller *caller = &c->callers[call->client];

        at = at->next;
        if (call->answered && !call->abandoned)
            st = conclude(c, caller, err);
        if (st == ST_OK)
            st = errand_check(call, now_ns(c), may_meet_rot(c, call), err);
        if (call->answered && call->abandoned) {
            list_remove(&call->link);
            errand_free(call);
        }
    }
    return st;
}

static bool
has_more(const struct crowd *c, const struct caller *caller)
{
    return may_ask(c) && !(c->finale && mind_is_done(&caller->mind));
}

enum status
crowd_tend(struct crowd *c, struct err *err)
{
    enum status st;

    season_turn(&c->season, (now_ns(c) - c->begun_ns) / NS_PER_MS);
    st = sweep_calls(c, err);
    for (uint32_t i = 0; i < c->options.setup->callers && st == ST_OK; i++) {
        struct caller *caller = &c->callers[i];

        if (caller->due_ns > now_ns(c))
            continue;
        if (caller->call != NULL)
            st = conclude(c, caller, err);
        else if (caller->attempts == 0 && !has_more(c, caller))
            caller->due_ns = UINT64_MAX;
        else if (caller->attempts == 0 && season_rate(&c->season) == 0 && !c->finale)
            rest(c, caller);
        else
            st = ask(c, caller);
    }
    return st;
}

void
crowd_node_died(struct crowd *c, const struct node *n)
{
    struct list *at = c->calls.next;

    while (at != &c->calls) {
        struct errand *call = container_of(at, struct errand, link);

        at = at->next;
        if (call->node != n || call->answered)
            continue;
        ASSERT(call->life == n->life);
        call->answered = true; /* nobody writes to it any more */
        call->status = ST_UNKNOWN;
        call->return_ns = errand_moment(&c->moment, c->options.world);
    }
    *c->options.stirred = true;
}

/* ------------------------------------------------------------------ looking */

uint64_t
crowd_next_ns(const struct crowd *c)
{
    uint64_t next = UINT64_MAX;

    for (uint32_t i = 0; i < c->options.setup->callers; i++) {
        if (c->callers[i].due_ns < next)
            next = c->callers[i].due_ns;
    }
    return next;
}

uint32_t
crowd_waiting(const struct crowd *c, const struct node *n)
{
    uint32_t waiting = 0;

    list_each (at, &c->calls) {
        const struct errand *call = container_of(at, struct errand, link);

        waiting += call->node == n && !call->answered;
    }
    return waiting;
}

bool
crowd_is_waiting(const struct crowd *c)
{
    list_each (at, &c->calls) {
        if (!container_of(at, struct errand, link)->answered)
            return true;
    }
    return false;
}

bool
crowd_is_done(const struct crowd *c)
{
    bool done = c->finale || !may_ask(c);

    for (uint32_t i = 0; i < c->options.setup->callers && done; i++) {
        const struct caller *caller = &c->callers[i];

        done = caller->attempts == 0 && (!c->finale || mind_is_done(&caller->mind));
    }
    return done;
}

void
crowd_begin_finale(struct crowd *c)
{
    c->finale = c->season.over = true;
    c->finale_from = errand_moment(&c->moment, c->options.world);
    for (uint32_t i = 0; i < c->options.setup->callers; i++) {
        struct caller *caller = &c->callers[i];

        if (caller->call == NULL)
            caller->due_ns = now_ns(c);
    }
}

enum status
crowd_give_up(struct crowd *c, struct err *err)
{
    enum status st = ST_OK;

    for (uint32_t i = 0; i < c->options.setup->callers && st == ST_OK; i++) {
        struct caller *caller = &c->callers[i];
        struct errand *last =
            caller->attempts == 0 ? NULL : errand_create(&caller->want, caller->id);
        struct history_op op;

        if (caller->attempts == 0)
            continue;
        if (last == NULL)
            return err_raise(err, ST_NO_MEMORY, "out of memory for what is under way");
        last->sent = true;
        op = errand_story(last, errand_moment(&c->moment, c->options.world));
        op.call_ns = caller->asked_ns;
        caller->attempts = 0;
        st = write_down(c, &op, caller->want.life_ms != 0, err);
        errand_free(last);
    }
    return st;
}

const struct history *
crowd_history(const struct crowd *c)
{
    return c->history;
}

void
crowd_count(const struct crowd *c, struct crowd_counts *out)
{
    *out = c->counts;
}
