/*
 * A message of another replica: from bytes to a step of raft.
 *
 * The entries are made before the step, which cannot fail half-way; those that raft does not take (it
 * has them already, or has no room) are let go.
 */
#include "base/assert.h"
#include "base/log.h"
#include "base/mem.h"

#include "raft/codec.h"
#include "tablet/tablet_internal.h"

/* One message's entries, for raft and for the tail; one block of memory. */
struct incoming {
    raft_index first;
    uint32_t count;
    struct raft_entry *entries;
    struct raft_config *configs;
    struct tail_entry **made; /* NULL: taken */
};

static enum status
incoming_create(uint32_t count, struct incoming **out)
{
    size_t each =
        sizeof(struct raft_entry) + sizeof(struct raft_config) + sizeof(struct tail_entry *);
    struct incoming *in = mem_alloc(sizeof(*in) + count * each);

    if (in == NULL)
        return ST_NO_MEMORY;
    memset(in, 0, sizeof(*in) + count * each);
    in->count = count;
    in->entries = (struct raft_entry *)(in + 1);
    in->configs = (struct raft_config *)(in->entries + count);
    in->made = (struct tail_entry **)(in->configs + count);
    *out = in;
    return ST_OK;
}

static void
incoming_destroy(struct incoming *in)
{
    if (in == NULL)
        return;
    for (uint32_t i = 0; i < in->count; i++)
        mem_free(in->made[i]);
    mem_free(in);
}

struct tail_entry *
incoming_take(struct incoming *in, raft_index index)
{
    struct tail_entry **made;
    struct tail_entry *e;

    ASSERT(in != NULL && index >= in->first && index - in->first < in->count);
    made = &in->made[index - in->first];
    e = *made;
    ASSERT(e != NULL);
    *made = NULL;
    return e;
}

/* What its data says, for raft and for the tail. */
static enum status
make_entry(struct incoming *in, uint32_t i)
{
    struct raft_entry *entry = &in->entries[i];
    struct tail_entry *e;
    enum status st = tail_entry_decode(entry->data, &e);

    if (st != ST_OK)
        return st;
    in->made[i] = e;
    e->index = in->first + i;
    e->term = entry->term;
    if (e->body.lag == 0 || e->body.lag > e->index)
        return ST_CORRUPT;
    if (e->body.kind == BODY_TERM)
        entry->kind = RAFT_NOOP;
    if (e->body.kind == BODY_CONFIG) {
        body_config(&e->body, &in->configs[i]);
        entry->kind = RAFT_CONFIG;
        entry->config = &in->configs[i];
    }
    return ST_OK;
}

static enum status
make_entries(struct tablet *t, struct incoming *in, raft_index after)
{
    enum status st = tail_reserve(&t->tail, in->count);

    in->first = after + 1;
    for (uint32_t i = 0; i < in->count && st == ST_OK; i++)
        st = make_entry(in, i);
    return st;
}

/* Must entries wait, as our own writes would?  Then the leader is heard all the same, and sends them
 * again after its next heartbeat. */
static bool
has_no_room(struct tablet *t)
{
    return engine_tree_stall(t->tree) != ENGINE_STALL_NONE ||
           t->tail.limit - t->given > UNGIVEN_MAX;
}

static enum status
decode(struct tablet *t, struct slice bytes, struct raft_message *m, struct incoming **out)
{
    struct incoming *in = NULL;
    enum status st = incoming_create(raft_message_entry_count(bytes), &in);

    if (st == ST_OK)
        st = raft_message_decode(bytes, m, in->entries, in->count);
    if (st == ST_OK && in->count > 0 && has_no_room(t)) {
        m->entry_count = in->count = 0;
        m->quiet = true;
    }
    if (st == ST_OK)
        st = make_entries(t, in, m->index);
    if (st != ST_OK) {
        incoming_destroy(in);
        return st;
    }
    *out = in;
    return ST_OK;
}

static void
receive_raft(struct tablet *t, uint64_t from, struct slice bytes)
{
    struct incoming *in = NULL;
    struct raft_message m;
    enum status st;

    st = decode(t, bytes, &m, &in);
    if (st == ST_OK) {
        m.from = from;
        m.to = t->reactor->node->id;
        st = tablet__step(t, (struct raft_event){ .kind = RAFT_RECEIVE, .message = &m }, in);
    }
    incoming_destroy(in);
    if (st == ST_OK) {
        tablet__apply_committed(t);
        return;
    }
    log_event(st == ST_NO_MEMORY ? LOG_DEBUG : LOG_ERROR, "tablet.message_refused",
              log_u64("tablet", t->id), log_u64("from", from), log_str("why", status_name(st)));
}

void
tablet__receive(struct tablet *t, uint64_t from, enum exchange_type type, struct slice bytes)
{
    if (t->raft == NULL)
        return;
    t->sleeps = false;
    switch (type) {
    case EXCHANGE_RAFT:
        receive_raft(t, from, bytes);
        break;
    case EXCHANGE_OFFER:
        staging_offered(t, from, bytes);
        break;
    case EXCHANGE_PIECE:
        staging_piece(t, from, bytes);
        break;
    case EXCHANGE_WANT:
        shipment_wanted(t, from, bytes);
        break;
    case EXCHANGE_RECEIVED:
        shipment_received(t, from, bytes);
        break;
    case EXCHANGE_BEAT:
    case EXCHANGE_TYPE_COUNT:
        ASSERT(false);
    }
}
