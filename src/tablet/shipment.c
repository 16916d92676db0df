/*
 * A snapshot on its way to a follower that needs what the log no longer has (paper, 7).
 *
 *      leader                                       follower (staging.c)
 *        flush, take a checkpoint (job) ──OFFER──>    begin an import (job)
 *        read a piece (job)            <──WANT───     what comes next
 *                                      ──PIECE──>     write it (job)   ... until all is there
 *        tell raft                     <─RECEIVED─    install, or find that it is not needed
 *        look at a table (job)         <─RECEIVED─    ... or that one of its tables is damaged
 *
 * The follower asks, so what is lost is asked for again, and nothing is ever sent that there is no room
 * for.  When it asks for nothing, the offer is repeated: it was lost, or a follower that was started anew
 * knows nothing of it.  What leaves this node is paced: all shipments together share tablet_node.streaming (P7).
 *
 * A piece is sent as it was read, so damage of ours is found by the follower, whose checksum is over the whole
 * table.  It cannot know whose damage it is; so we look (damage.c has what follows).
 *
 * INVARIANTS
 *
 *   V1  A shipment ends once, and raft hears of it then, whatever memory there is: who was forgotten would
 *       be sent nothing any more.  Until then there is no other.
 *   V2  The checkpoint pins its files until the shipment ends: with the follower's word, with our
 *       leadership, with our node, or when nothing is asked for SILENCE_NS.  It goes after the job that uses it.
 *   V3  Of a table that is said to be damaged no more is sent, until it was looked at; then the shipment ends.
 *   V4  On a node that drains no shipment is under way, and none is begun.
 *
 * When the next one may begin, to whom, is raft's to say (raft_next_snapshot()).
 */
#include "base/assert.h"
#include "base/coding.h"
#include "base/log.h"
#include "base/mem.h"

#include "lsm/checkpoint.h"
#include "tablet/tablet_internal.h"

enum {
    PIECE_BYTES_MAX = 1 << 20,
    OFFER_HEAD_BYTES_MAX = 2 * BODY_SMALL_MAX,
};

#define SILENCE_NS     (10 * UINT64_C(1000000000))
#define OFFER_AGAIN_NS (1 * UINT64_C(1000000000))
#define OFFER_BYTE_NS  UINT64_C(100) /* a large one is longer on its way */

enum step { STEP_TAKE, STEP_READ, STEP_LOOK };

struct shipment {
    struct job job;
    struct tablet *tablet;
    uint64_t node; /* to whom */
    uint64_t id;
    struct lsm_checkpoint *checkpoint; /* NULL: not yet taken */
    struct buf encoded;                /* what it says */
    struct buf piece;
    struct lsm_piece wanted;
    bool has_wanted;
    uint32_t suspect; /* the table that is said to be damaged */
    bool has_suspect;
    enum step step;
    bool busy; /* a job runs */
    bool over; /* it ends with its job */
    int64_t allowance;
    uint64_t offered_ns;
    uint64_t heard_ns;
    enum status status;
    struct err err;
};

/* ------------------------------------------------------------------ the end */

/* Of what all may send in a tick, this one's part; never nothing. */
static int64_t
share(const struct tablet *t)
{
    const struct tablet_node *n = t->reactor->node;
    uint32_t count = atomic_load(&n->shipments);

    return (int64_t)(atomic_load(&n->streaming) / (count == 0 ? 1 : count)) + 1;
}

static void
destroy(struct shipment *s)
{
    atomic_fetch_sub(&s->tablet->reactor->node->shipments, 1);
    lsm_checkpoint_release(s->checkpoint);
    buf_release(&s->encoded);
    buf_release(&s->piece);
    mem_free(s);
}

void
shipment_destroy(struct tablet *t)
{
    if (t->shipment == NULL)
        return;
    ASSERT(!t->shipment->busy);
    destroy(t->shipment);
    t->shipment = NULL;
}

/* V1.  No memory is needed: it has no effects but in raft. */
static void
tell_raft(struct tablet *t, struct raft_event event)
{
    struct raft_effects *fx = &t->reactor->effects;
    enum status st;

    event.kind = RAFT_SNAPSHOT_SENT;
    event.now_ns = tablet__boot_ns(t);
    st = raft_step(t->raft, &event, fx);
    ASSERT(st == ST_OK && fx->ticket == 0 && fx->message_count == 0);
    tablet__mark(t);
}

static void
end(struct tablet *t, bool ok)
{
    struct shipment *s = t->shipment;
    struct raft_event event = { .node = s->node, .ok = ok };

    ASSERT(!s->over); /* V1 */
    if (ok)
        event.index = lsm_checkpoint_mark(s->checkpoint).index;
    t->shipment = NULL;
    s->over = true;
    if (!s->busy)
        destroy(s);
    tell_raft(t, event);
}

void
shipment_give_up(struct tablet *t)
{
    if (t->shipment != NULL)
        end(t, false);
}

/* ------------------------------------------------------------------ jobs */

static void shipment_done(struct job *job);

static enum status
take_checkpoint(struct shipment *s)
{
    struct tablet *t = s->tablet;
    enum status st = engine_tree_flush(t->tree, &s->err);

    if (st == ST_OK) {
        st = lsm_checkpoint_take(t->lsm, &s->checkpoint);
        if (st != ST_OK)
            return err_raise(&s->err, st, "tablet %016llx: no checkpoint can be taken (%s)",
                             (unsigned long long)t->id, status_name(st));
    }
    return st == ST_OK ? lsm_checkpoint_encode(s->checkpoint, &s->encoded, &s->err) : st;
}

static enum status
read_piece(struct shipment *s)
{
    enum status st;

    buf_release(&s->piece);
    s->piece.max = PIECE_BYTES_MAX;
    st = buf_reserve(&s->piece, s->wanted.size);
    if (st != ST_OK)
        return err_raise(&s->err, st, "out of memory for a piece of a snapshot");
    st = lsm_checkpoint_read(s->checkpoint, &s->wanted, s->piece.data, &s->err);
    if (st == ST_OK)
        s->piece.size = s->wanted.size;
    return st;
}

static void
shipment_run(struct job *job)
{
    struct shipment *s = container_of(job, struct shipment, job);

    switch (s->step) {
    case STEP_TAKE:
        s->status = take_checkpoint(s);
        break;
    case STEP_READ:
        s->status = read_piece(s);
        break;
    case STEP_LOOK:
        s->status = lsm_checkpoint_verify(s->checkpoint, s->suspect, &s->err);
        break;
    }
}

static void
submit(struct shipment *s, enum step step)
{
    struct tablet *t = s->tablet;

    ASSERT(!s->busy);
    s->step = step;
    s->busy = true;
    t->job_count++;
    s->job = (struct job){ .run = shipment_run, .done = shipment_done, .loop = t->loop };
    env_submit(loop_env(t->loop), ENV_LANE_READ, &s->job);
}

/* ------------------------------------------------------------------ saying */

/* The membership, the scope and the ceiling as of the checkpoint.  False: they are later ones. */
static bool
encode_head(struct shipment *s, struct buf *out)
{
    struct tablet *t = s->tablet;
    struct head head = t->head;

    if (head.config_index > lsm_checkpoint_mark(s->checkpoint).index ||
        head.scope_index > lsm_checkpoint_mark(s->checkpoint).index)
        return false;
    head.hard = (struct raft_hard){ 0 };
    head.commit = lsm_checkpoint_mark(s->checkpoint).index;
    return head_encode(&head, out) == ST_OK;
}

static enum status
encode_offer(struct shipment *s, struct buf *out)
{
    struct lsm_mark mark = lsm_checkpoint_mark(s->checkpoint);
    struct buf head = buf_empty(OFFER_HEAD_BYTES_MAX);
    enum status st = encode_head(s, &head) ? ST_OK : ST_BUSY;

    if (st == ST_OK)
        st = append_u64(out, s->id);
    if (st == ST_OK)
        st = append_varint(out, raft_hard(s->tablet->raft).term);
    if (st == ST_OK)
        st = append_varint(out, mark.index);
    if (st == ST_OK)
        st = append_varint(out, mark.term);
    if (st == ST_OK)
        st = append_string(out, buf_slice(&head));
    if (st == ST_OK)
        st = append_string(out, buf_slice(&s->encoded));
    buf_release(&head);
    return st;
}

static enum status
offer(struct shipment *s)
{
    struct buf bytes = buf_empty(CHECKPOINT_BYTES_MAX + (size_t)2 * OFFER_HEAD_BYTES_MAX);
    enum status st = encode_offer(s, &bytes);

    s->offered_ns = tablet__boot_ns(s->tablet);
    if (st == ST_OK)
        st = exchange_post(s->tablet, s->node, EXCHANGE_OFFER, buf_slice(&bytes),
                           (struct slice){ 0 });
    buf_release(&bytes);
    return st;
}

static void
send_piece(struct shipment *s)
{
    struct buf head = buf_empty(BODY_SMALL_MAX);
    enum status st = append_u64(&head, s->id);

    if (st == ST_OK)
        st = append_varint(&head, s->wanted.table);
    if (st == ST_OK)
        st = append_varint(&head, s->wanted.offset);
    if (st == ST_OK)
        st = exchange_post(s->tablet, s->node, EXCHANGE_PIECE, buf_slice(&head),
                           buf_slice(&s->piece));
    buf_release(&head);
    if (st != ST_OK)
        log_event(LOG_DEBUG, "snapshot.piece_lost", log_u64("tablet", s->tablet->id));
}

/* ------------------------------------------------------------------ going on */

static void
read_if_due(struct shipment *s)
{
    if (s->busy || s->has_suspect || !s->has_wanted || s->allowance <= 0)
        return;
    s->has_wanted = false;
    s->allowance -= s->wanted.size;
    submit(s, STEP_READ);
}

/* V3 */
static void
look_if_due(struct shipment *s)
{
    if (!s->busy && s->has_suspect)
        submit(s, STEP_LOOK);
}

static void
tell_damage(const struct shipment *s, uint32_t table)
{
    uint32_t level;

    damage_found(s->tablet, s->node, lsm_checkpoint_table(s->checkpoint, table, &level)->number,
                 &s->err);
}

/* It says so even when it is over: a bad table is bad, whoever leads. */
static void
looked(const struct shipment *s)
{
    if (s->status == ST_CORRUPT) {
        tell_damage(s, s->suspect);
    } else if (s->status == ST_OK) {
        log_event(LOG_WARN, "snapshot.garbled", log_u64("tablet", s->tablet->id),
                  log_u64("node", s->node), log_u64("table", s->suspect),
                  log_str("effect", "it came damaged twice, and is intact here; tried again"));
    } else {
        log_event(LOG_ERROR, "snapshot.not_looked_at", log_u64("tablet", s->tablet->id),
                  log_u64("node", s->node), log_err(&s->err));
    }
}

static void
failed(const struct shipment *s)
{
    if (s->step == STEP_READ && s->status == ST_CORRUPT)
        tell_damage(s, s->wanted.table);
    else
        log_event(LOG_ERROR, "snapshot.not_sent", log_u64("tablet", s->tablet->id),
                  log_u64("node", s->node), log_err(&s->err));
}

static void
go_on(struct tablet *t, struct shipment *s)
{
    if (s->step == STEP_TAKE) {
        s->heard_ns = tablet__boot_ns(t);
        if (offer(s) != ST_OK)
            end(t, false);
        return;
    }
    if (!s->has_suspect)
        send_piece(s);
    look_if_due(s);
    read_if_due(s);
}

static void
shipment_done(struct job *job)
{
    struct shipment *s = container_of(job, struct shipment, job);
    struct tablet *t = s->tablet;

    s->busy = false;
    t->job_count--;
    if (s->step == STEP_LOOK)
        looked(s);
    else if (s->status != ST_OK && !s->over)
        failed(s);
    if (s->over)
        destroy(s);
    else if (s->step == STEP_LOOK || s->status != ST_OK)
        end(t, false);
    else
        go_on(t, s);
}

void
shipment_begin_if_due(struct tablet *t)
{
    struct shipment *s;
    uint64_t node;

    if (t->shipment != NULL || t->reactor->draining) /* V1, V4 */
        return;
    node = raft_next_snapshot(t->raft);
    if (node == 0)
        return;
    s = mem_new(struct shipment);
    if (s == NULL || engine_tree_seal(t->tree) != ST_OK) {
        mem_free(s);
        tell_raft(t, (struct raft_event){ .node = node });
        return;
    }
    s->tablet = t;
    s->node = node;
    s->id = prng_next(&t->dice);
    s->encoded = buf_empty(CHECKPOINT_BYTES_MAX);
    atomic_fetch_add(&t->reactor->node->shipments, 1);
    s->allowance = share(t);
    t->shipment = s;
    atomic_fetch_add_explicit(&t->stats.snapshots, 1, memory_order_relaxed);
    submit(s, STEP_TAKE);
}

/* The one that the message is about; NULL: it is over. */
static struct shipment *
named(struct tablet *t, uint64_t from, struct reader *r)
{
    uint64_t id = read_u64(r);
    struct shipment *s = t->shipment;

    if (r->bad || s == NULL || s->id != id || s->node != from || (s->busy && s->step == STEP_TAKE))
        return NULL;
    s->heard_ns = tablet__boot_ns(t);
    return s;
}

void
shipment_wanted(struct tablet *t, uint64_t from, struct slice bytes)
{
    struct reader r = reader_of(bytes);
    struct shipment *s = named(t, from, &r);
    uint64_t table = read_varint(&r);
    uint64_t offset = read_varint(&r);
    uint64_t size = read_varint(&r);

    if (s == NULL || r.bad || reader_left(&r) != 0 || table > UINT32_MAX || size == 0 ||
        size > PIECE_BYTES_MAX || s->busy)
        return; /* a piece that is being read will be asked for again, if it does not come */
    s->wanted =
        (struct lsm_piece){ .table = (uint32_t)table, .size = (uint32_t)size, .offset = offset };
    s->has_wanted = true;
    read_if_due(s);
}

void
shipment_received(struct tablet *t, uint64_t from, struct slice bytes)
{
    struct reader r = reader_of(bytes);
    struct shipment *s = named(t, from, &r);
    uint8_t outcome = read_u8(&r);
    uint64_t table = outcome == EXCHANGE_DAMAGED ? read_varint(&r) : 0;

    if (s == NULL || r.bad || s->has_suspect)
        return;
    if (outcome != EXCHANGE_DAMAGED || table >= lsm_checkpoint_table_count(s->checkpoint)) {
        end(t, outcome == EXCHANGE_DONE);
        return;
    }
    s->suspect = (uint32_t)table;
    s->has_suspect = true;
    look_if_due(s);
}

static bool
is_silent(const struct shipment *s, uint64_t now_ns)
{
    return !s->busy && now_ns > s->heard_ns + SILENCE_NS;
}

static void
offer_again_if_due(struct shipment *s, uint64_t now_ns)
{
    uint64_t last_ns = s->offered_ns > s->heard_ns ? s->offered_ns : s->heard_ns;
    uint64_t way_ns = s->encoded.size * OFFER_BYTE_NS;

    if (s->busy || now_ns <= last_ns + OFFER_AGAIN_NS + way_ns)
        return;
    if (offer(s) != ST_OK)
        log_event(LOG_DEBUG, "snapshot.offer_lost", log_u64("tablet", s->tablet->id));
}

void
shipment_tick(struct tablet *t, uint64_t now_ns)
{
    struct shipment *s = t->shipment;

    if (s == NULL)
        return;
    if (raft_role(t->raft) != RAFT_LEADER || is_silent(s, now_ns)) {
        end(t, false);
        return;
    }
    s->allowance += share(t);
    if (s->allowance > share(t))
        s->allowance = share(t);
    offer_again_if_due(s, now_ns);
    read_if_due(s);
}
