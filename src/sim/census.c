/*
 *   N1  A question whose node died with it is open no more: nothing writes to it.
 *   N2  What was said of an index is kept for the whole run, so members need not be asked together.
 */
#include "sim/census.h"

#include <inttypes.h>
#include <string.h>

#include "base/assert.h"
#include "base/hash.h"
#include "base/mark.h"
#include "base/mem.h"
#include "base/prng.h"

#include "raft/raft.h"
#include "sim/survey.h"

enum {
    NS_PER_MS = 1000000,
    PERIOD_MS = 4000, /* about how often all are asked */
    FINALE_MS = 100,
    SAID_MIN = 256,
    CENSUS_SALT = 0xce,
};

struct question {
    struct kv_admin admin;
    uint32_t life; /* of the node that has it; 0: nobody does */
    bool answered;
};

/* What somebody has said of an index of a tablet; 0: a free place. */
struct said {
    uint64_t tablet;
    uint64_t index;
    uint64_t hash;
    uint64_t count;
    uint32_t node;
};

struct census {
    struct census_options options;
    struct prng prng;
    uint64_t due_ns;
    struct question questions[NODE_CLUSTER_MAX];
    uint32_t
        number; /* of the tablet that is asked for, in the keyspace; in the finale each in turn */
    uint64_t last_index[NODE_CLUSTER_MAX]; /* that the node has answered for of that one; 0: none */
    struct said *said;                     /* open addressing; a power of two */
    size_t said_size;
    size_t said_count;
    bool finale;
    bool ended;
};

enum status
census_create(struct census **out, const struct census_options *options)
{
    struct census *c = mem_new(struct census);

    if (c == NULL)
        return ST_NO_MEMORY;
    *c = (struct census){ .options = *options, .said_size = SAID_MIN };
    prng_init(&c->prng, hash_u64(options->setup->seed ^ CENSUS_SALT));
    c->said = mem_new_array(struct said, SAID_MIN);
    if (c->said == NULL) {
        mem_free(c);
        return ST_NO_MEMORY;
    }
    *out = c;
    return ST_OK;
}

void
census_destroy(struct census *c)
{
    if (c == NULL)
        return;
    mem_free(c->said);
    mem_free(c);
}

/* ------------------------------------------------------------------ what was said */

static struct said *
place_of(struct said *said, size_t size, uint64_t tablet, uint64_t index)
{
    size_t at = hash_u64(index ^ hash_u64(tablet)) & (size - 1);

    while (said[at].index != 0 && (said[at].index != index || said[at].tablet != tablet))
        at = (at + 1) & (size - 1);
    return &said[at];
}

static enum status
make_room(struct census *c)
{
    size_t size = c->said_size * 2;
    struct said *grown;

    if (c->said_count < c->said_size / 2)
        return ST_OK;
    grown = mem_new_array(struct said, size);
    if (grown == NULL)
        return ST_NO_MEMORY;
    for (size_t i = 0; i < c->said_size; i++) {
        if (c->said[i].index != 0)
            *place_of(grown, size, c->said[i].tablet, c->said[i].index) = c->said[i];
    }
    mem_free(c->said);
    c->said = grown;
    c->said_size = size;
    return ST_OK;
}

static enum status
compare(struct census *c, uint32_t node, const struct kv_admin *admin, struct err *err)
{
    const struct kv_state *state = &admin->state;
    struct said *before;

    if (state->index == 0)
        return ST_OK;
    if (make_room(c) != ST_OK)
        return err_raise(err, ST_NO_MEMORY, "out of memory for a census");
    before = place_of(c->said, c->said_size, admin->tablet, state->index);
    if (before->index == 0) {
        c->said_count++;
        *before = (struct said){ admin->tablet, state->index, state->records.hash,
                                 state->records.count, node };
        return ST_OK;
    }
    mark_hit_if(before->node != node, MARK_STATES_COMPARED);
    if (before->hash == state->records.hash && before->count == state->records.count)
        return ST_OK;
    return err_raise(err, ST_CORRUPT,
                     "state hashes of tablet %" PRIx64 " differ at index %" PRIu64 ": node %" PRIu32
                     " has %" PRIu64 " records, %016" PRIx64 ", and node %" PRIu32 " has %" PRIu64
                     ", %016" PRIx64,
                     admin->tablet, state->index, before->node, before->count, before->hash, node,
                     state->records.count, state->records.hash);
}

/* ------------------------------------------------------------------ asking */

static uint64_t
now_ns(const struct census *c)
{
    return sim_now_ns(c->options.world);
}

static bool
is_open(const struct census *c, uint32_t i)
{
    const struct question *q = &c->questions[i];
    const struct node *n = &c->options.nodes[i];

    return q->life != 0 && !q->answered && n->state != NODE_DOWN && n->life == q->life; /* N1 */
}

static void
on_answer(struct kv_admin *admin)
{
    container_of(admin, struct question, admin)->answered = true;
}

static const struct atlas_keyspace *
keyspace_of(const struct census *c)
{
    const struct atlas *a = survey_atlas(c->options.nodes, c->options.setup->nodes);

    return a == NULL ? NULL : atlas_keyspace(a, c->options.setup->keyspace);
}

/* Where nothing is split there is one, which need not be named. */
static uint32_t
tablet_count(const struct census *c)
{
    const struct atlas_keyspace *k = c->options.setup->formed ? keyspace_of(c) : NULL;

    return k == NULL || k->tablet_count == 0 ? 1 : k->tablet_count;
}

/* NULL: there is none, or it need not be named. */
static const struct tablet_record *
tablet_of(const struct census *c)
{
    const struct atlas_keyspace *k = c->options.setup->formed ? keyspace_of(c) : NULL;

    return k == NULL || c->number >= k->tablet_count ? NULL : k->tablets[c->number];
}

static void
ask(struct census *c, uint32_t i, uint64_t tablet)
{
    struct question *q = &c->questions[i];
    struct node *n = &c->options.nodes[i];

    if (n->state != NODE_UP || !node_responds(n) || is_open(c, i))
        return;
    *q = (struct question){
        .admin = { .kind = KV_HASH,
                   .keyspace = c->options.setup->keyspace,
                   .tablet = tablet,
                   .done = on_answer },
        .life = n->life,
    };
    node_administer(n, &q->admin);
}

/* A disk may fail, and a node be told to stop; damage there is none in this world. */
static enum status
hear(struct census *c, uint32_t i, struct err *err)
{
    const struct tablet_record *t = tablet_of(c);
    struct question *q = &c->questions[i];
    enum status st = q->admin.status;

    if (q->life == 0 || !q->answered)
        return ST_OK;
    q->life = 0;
    if (st == ST_CORRUPT && !c->options.nodes[i].rotten)
        return err_raise(err, st, "node %u cannot read its own state: %s", i + 1,
                         q->admin.err.text);
    if (st != ST_OK)
        return ST_OK;
    if (c->finale && (t == NULL || t->id == q->admin.tablet))
        c->last_index[i] = q->admin.state.index;
    return compare(c, i + 1, &q->admin, err);
}

static void
ask_all(struct census *c)
{
    uint32_t count = tablet_count(c);
    const struct tablet_record *t;

    if (!c->finale)
        c->number = count == 1 ? 0 : (uint32_t)prng_below(&c->prng, count);
    t = tablet_of(c);
    for (uint32_t i = 0; i < c->options.setup->nodes; i++)
        ask(c, i, t == NULL ? 0 : t->id);
}

/* A lone node has drawn its id itself. */
static bool
is_member(const struct census *c, uint32_t id)
{
    const struct raft_config *members = observer_members(c->options.observer);
    const struct tablet_record *t = tablet_of(c);
    uint64_t identity = node_identity(&c->options.nodes[id - 1]);

    if (t != NULL)
        return tablet_record_member(t, identity) != NULL;
    return members != NULL && (c->options.setup->nodes == 1 || raft_config_has(members, identity));
}

static bool
tablet_is_done(const struct census *c)
{
    uint64_t index = 0;

    for (uint32_t i = 0; i < c->options.setup->nodes; i++) {
        if (!is_member(c, i + 1) || c->options.nodes[i].rotten)
            continue;
        if (c->last_index[i] == 0 || (index != 0 && c->last_index[i] != index))
            return false;
        index = c->last_index[i];
    }
    return index != 0;
}

enum status
census_tend(struct census *c, struct err *err)
{
    uint32_t count = c->options.setup->nodes;
    enum status st = ST_OK;

    for (uint32_t i = 0; i < count && st == ST_OK; i++)
        st = hear(c, i, err);
    if (st != ST_OK || c->ended || c->due_ns > now_ns(c))
        return st;
    c->due_ns =
        now_ns(c) +
        NS_PER_MS * (c->finale ? FINALE_MS : 1 + prng_below(&c->prng, 2 * (uint64_t)PERIOD_MS));
    if (c->finale && tablet_is_done(c)) {
        c->number++;
        memset(c->last_index, 0, sizeof(c->last_index));
    }
    ask_all(c);
    return st;
}

void
census_begin_finale(struct census *c)
{
    c->finale = true;
    c->number = 0;
    c->due_ns = now_ns(c);
}

bool
census_is_done(const struct census *c)
{
    return c->finale && c->number >= tablet_count(c);
}

void
census_end(struct census *c)
{
    c->ended = true;
}

bool
census_is_quiet(const struct census *c)
{
    for (uint32_t i = 0; i < c->options.setup->nodes; i++) {
        if (is_open(c, i))
            return false;
    }
    return true;
}
