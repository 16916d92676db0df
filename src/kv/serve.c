/*
 * Requests of other nodes: decoded into memory of their own, evaluated by this node's replica or by nobody,
 * and answered from the loop on which they came.
 *
 * They are never sent on: who asks has to know whom it asked, and in which term, or its order is lost
 * (kv/route.c).
 */
#include "base/assert.h"
#include "base/coding.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/mem.h"

#include "kv/forward.h"
#include "kv/host.h"
#include "kv/kv_internal.h"
#include "tablet/request_codec.h"

enum { NS_PER_US = 1000, STREAM_BITS = 32 }; /* of a fence's word */

/* Behind it lie its operations, results and preconditions, and the bytes from which they borrow. */
struct served {
    struct request request;
    struct forward *forward;
    struct peer_sender from;
    uint64_t id;
    size_t bytes;
};

/* ------------------------------------------------------------------ answering */

/* The process that asked may be gone, and the next one of its node use the same ids. */
static enum status
post_answer(struct forward *f, const struct peer_sender *to, uint64_t id, const struct request *r,
            bool urgent)
{
    size_t size = answer_encode(NULL, r);
    uint8_t *room = forward_room(f, size);
    uint8_t head[FORWARD_REPLY_HEAD_BYTES];
    const struct slice parts[] = { slice_of(head, sizeof(head)), slice_of(room, size) };
    struct peer_message message = { .type = FORWARD_REPLY,
                                    .id = id,
                                    .urgent = urgent,
                                    .parts = parts,
                                    .part_count = 2,
                                    .steady = true };

    if (room == NULL)
        return ST_NO_MEMORY;
    put_u64le(head, to->incarnation);
    (void)answer_encode(room, r);
    return forward_post(f, to->node, &message);
}

/* When it finds no room, what became of it is said in short. */
static void
answer(struct forward *f, const struct peer_sender *to, uint64_t id, struct request *r)
{
    enum status st = post_answer(f, to, id, r, false);

    forward_note_answer(f, to->node);
    if (st == ST_OK)
        return;
    if (r->status == ST_OK)
        r->status = request_writes(r) ? ST_UNKNOWN : ST_BUSY;
    r->err.text[0] = '\0';
    st = post_answer(f, to, id, r, true);
    if (st != ST_OK) /* without a connection nobody waits for it any more: it is lost with that */
        log_event(LOG_DEBUG, "forward.answer_lost", log_u64("node", to->node));
}

static void
refuse(struct forward *f, const struct peer_sender *to, uint64_t id, enum status st)
{
    struct request nothing = { .status = st };

    answer(f, to, id, &nothing);
}

static void
served_free(struct served *s)
{
    struct forward *f = s->forward;

    f->served_bytes -= s->bytes;
    budget_return(engine_budget(f->door->kv->engine), s->bytes);
    mem_free(s);
}

static void
served_done(struct request *r)
{
    struct served *s = container_of(r, struct served, request);

    answer(s->forward, &s->from, s->id, r);
    served_free(s);
}

/* ------------------------------------------------------------------ taking */

static size_t
bytes_of(const struct request_sizes *sizes, size_t payload)
{
    return sizeof(struct served) + sizes->ops * (sizeof(struct op) + sizeof(struct op_result)) +
           sizes->preconditions * sizeof(struct precondition) + payload;
}

/* NULL: there is no room for it now. */
static struct served *
served_alloc(struct forward *f, size_t bytes)
{
    struct budget *budget = engine_budget(f->door->kv->engine);
    struct served *s;

    if (f->served_bytes > 0 && f->served_bytes + bytes > f->served_bytes_max)
        return NULL;
    if (!budget_try_charge(budget, bytes))
        return NULL;
    s = mem_alloc(bytes);
    if (s == NULL) {
        budget_return(budget, bytes);
        return NULL;
    }
    f->served_bytes += bytes;
    s->forward = f;
    s->bytes = bytes;
    return s;
}

static enum status
served_decode(struct served *s, const struct request_sizes *sizes, struct slice bytes,
              struct request_envelope *e)
{
    struct op *ops = (struct op *)(s + 1);
    struct op_result *results = (struct op_result *)(ops + sizes->ops);
    struct precondition *preconditions = (struct precondition *)(results + sizes->ops);
    uint8_t *copy = (uint8_t *)(preconditions + sizes->preconditions);
    struct request *r = &s->request;
    enum status st;

    memcpy(copy, bytes.data, bytes.size);
    memset(results, 0, sizes->ops * sizeof(*results));
    st = request_decode(slice_of(copy, bytes.size), r, ops, preconditions, e);
    r->results = results;
    return st;
}

/* Who asked has given up by then, and an administrative request, too, is not waited for for ever. */
static void
prepare(struct served *s, const struct request_envelope *e)
{
    struct forward *f = s->forward;
    struct request *r = &s->request;

    r->admin = false;
    r->deadline_ns = loop_now_ns(f->door->loop) + e->left_us * NS_PER_US;
    r->origin =
        hash_u64(r->origin ^ hash_u64(s->from.node)); /* another one than ours of that number */
    r->home = f->door->loop;
    r->way = &f->served;
    r->way->under_way++;
    r->done = served_done;
}

static enum status
may_serve(const struct forward *f, const struct request *r, const struct request_envelope *e)
{
    if (atomic_load(&f->door->kv->closing))
        return ST_CLOSED;
    if (tablet_reactor_find(&f->door->reactor, e->tablet) == NULL)
        return ST_NOT_LEADER; /* the sender's view of the placement is another one */
    if (r->kind == REQUEST_OPERATIONS ? r->term == 0 : r->op_count != 1)
        return ST_INVALID;
    return kv__check_request(r);
}

/* ------------------------------------------------------------------ fences */

/* A later process of the sender's node has a higher incarnation, and begins with stream 0 again. */
static uint64_t
fence_word(const struct served *s, uint32_t stream)
{
    return s->from.incarnation << STREAM_BITS | stream;
}

/* The fence of the sender's door says the latest stream that was heard of it.  False: this is an earlier one. */
static bool
pass_fence(struct forward *f, const struct served *s, uint32_t stream, struct request *r)
{
    uint32_t door = forward_door_of(s->id);
    struct tablet_neighbour *slot = neighbours_find(&f->door->kv->node.neighbours, s->from.node);
    uint64_t word = fence_word(s, stream);
    _Atomic uint64_t *fence;
    uint64_t latest;

    if (door >= LIMIT_REACTORS || slot == NULL)
        return false;
    fence = &slot->guest.streams[door];
    latest = atomic_load(fence);
    while (latest < word && !atomic_compare_exchange_weak(fence, &latest, word))
        continue;
    r->fence = fence;
    r->pass = word;
    return latest <= word;
}

/* ------------------------------------------------------------------ arriving */

static void
serve(struct served *s, uint64_t stream, const struct request_envelope *e)
{
    struct forward *f = s->forward;
    struct request *r = &s->request;
    enum status st = may_serve(f, r, e);

    if (st == ST_OK && (stream > UINT32_MAX || !pass_fence(f, s, (uint32_t)stream, r)))
        st = ST_BUSY; /* nobody waits for it any more */
    if (st != ST_OK) {
        refuse(f, &s->from, s->id, st);
        served_free(s);
        return;
    }
    prepare(s, e);
    if (r->kind != REQUEST_OPERATIONS)
        host_take(f, r, e->tablet, &(struct host_guest){ s->from, forward_door_of(s->id) });
    else
        tablet_send(tablet_reactor_find(&f->door->reactor, e->tablet), r);
}

void
serve_request(struct forward *f, const struct peer_sender *from, uint64_t id, struct slice payload)
{
    struct reader in = reader_of(payload);
    uint64_t stream = read_varint(&in);
    struct slice bytes = read_bytes(&in, reader_left(&in));
    struct request_sizes sizes;
    struct request_envelope e;
    enum status st = in.bad ? ST_CORRUPT : request_measure(bytes, &sizes);
    struct served *s;

    if (st != ST_OK) {
        log_event(LOG_ERROR, "forward.request_not_understood", log_u64("node", from->node));
        refuse(f, from, id, st);
        return;
    }
    s = served_alloc(f, bytes_of(&sizes, bytes.size));
    if (s == NULL) {
        refuse(f, from, id, ST_BUSY);
        return;
    }
    s->from = *from;
    s->id = id;
    st = served_decode(s, &sizes, bytes, &e);
    if (st == ST_OK) {
        serve(s, stream, &e);
        return;
    }
    log_event(LOG_ERROR, "forward.request_not_understood", log_u64("node", from->node));
    refuse(f, from, id, st);
    served_free(s);
}
