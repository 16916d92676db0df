/*
 * A snapshot that arrives, beside the tree that it will replace (shipment.c has the conversation).
 *
 *      BEGIN ──> WRITE, one piece after the other ──> FINISH ──> raft: wanted yet? ──> INSTALL
 *                   any time: ABORT                                  └─ no ─> ABORT
 *
 * Each step is a job; between two of them the owner decides what comes next.
 *
 * THE INSTALL.  Into the log go the membership and the ceiling of the snapshot, and a cut: what the log
 * holds after the snapshot's index is void, because what raft lets us install contradicts it, or goes beyond it.
 * Both are durable before the one edit of the manifest that makes the tree the snapshot.  A crash before
 * the edit leaves the old tree and a shorter log of the same history; after it, the new.  Meanwhile
 * nothing is applied (`installing`), and no memtable is sealed.
 *
 * INVARIANTS
 *
 *   Y1  Whoever offered is told what has become of it, unless another is offered, or nothing came for
 *       PATIENCE_NS: who leads waits for that word, and serves nobody else meanwhile.  For what there is no
 *       memory to begin is offered again.
 *   Y2  A table that came damaged is asked for once more: that may have been the network's, or our memory's.
 *       Damaged again it is not asked for, but named: whoever leads has to look at its own file.
 *   Y3  What is given up while a job runs is removed after it, and an install is never given up.
 *   Y4  On a node that drains nothing is staged, but for an install that had begun.
 */
#include "base/assert.h"
#include "base/coding.h"
#include "base/log.h"
#include "base/mem.h"

#include "lsm/import.h"
#include "tablet/tablet_internal.h"

enum { PIECE_BYTES = 1 << 20, WANT_BYTES_MAX = 64 };

#define ASK_AGAIN_NS (500 * UINT64_C(1000000))
#define PATIENCE_NS  (15 * UINT64_C(1000000000))

enum step { STEP_BEGIN, STEP_WRITE, STEP_FINISH, STEP_INSTALL, STEP_ABORT };

struct staging {
    struct job job;
    struct tablet *tablet;
    uint64_t from;
    uint64_t id;
    raft_index index;
    raft_term log_term;
    struct head head;
    struct lsm_import *import; /* NULL: not begun, or gone */
    struct buf bytes;          /* the checkpoint, or the piece that is being written */
    struct lsm_piece piece;
    uint32_t damaged; /* the table that came damaged last */
    bool has_damaged;
    version_t version; /* of the snapshot */
    enum step step;
    bool busy;
    bool over; /* nobody wants it any more */
    uint64_t asked_ns;
    uint64_t heard_ns;
    enum status status;
    struct err err;
};

/* ------------------------------------------------------------------ jobs */

static void staging_done(struct job *job);

static enum status
begin(struct staging *s)
{
    return lsm_import_begin(s->tablet->lsm, buf_slice(&s->bytes), &s->import, &s->err);
}

static enum status
install(struct staging *s)
{
    enum status st = engine_sync(s->tablet->engine, &s->err);

    if (st != ST_OK)
        return st;
    s->version = lsm_import_mark(s->import).version;
    st = lsm_import_install(s->import, &s->err);
    s->import = NULL;
    return st;
}

static void
staging_run(struct job *job)
{
    struct staging *s = container_of(job, struct staging, job);

    switch (s->step) {
    case STEP_BEGIN:
        s->status = begin(s);
        break;
    case STEP_WRITE:
        s->status = lsm_import_write(s->import, s->piece.table, s->piece.offset,
                                     buf_slice(&s->bytes), &s->err);
        break;
    case STEP_FINISH:
        s->status = lsm_import_finish(s->import, &s->err);
        break;
    case STEP_INSTALL:
        s->status = install(s);
        break;
    case STEP_ABORT:
        lsm_import_abort(s->import);
        s->import = NULL;
        break;
    }
}

static void
submit(struct staging *s, enum step step)
{
    struct tablet *t = s->tablet;

    ASSERT(!s->busy);
    s->step = step;
    s->busy = true;
    t->job_count++;
    s->job = (struct job){ .run = staging_run, .done = staging_done, .loop = t->loop };
    env_submit(loop_env(t->loop), ENV_LANE_READ, &s->job);
}

/* ------------------------------------------------------------------ the end */

static void
destroy(struct staging *s)
{
    buf_release(&s->bytes);
    mem_free(s);
}

void
staging_destroy(struct tablet *t)
{
    if (t->staging == NULL)
        return;
    ASSERT(!t->staging->busy);
    lsm_import_abort(t->staging->import);
    destroy(t->staging);
    t->staging = NULL;
}

/* Its files go by a job, after the one that runs. */
static void
drop(struct tablet *t)
{
    struct staging *s = t->staging;

    ASSERT(!s->busy || s->step != STEP_INSTALL); /* Y3 */
    t->staging = NULL;
    s->over = true;
    if (!s->busy)
        submit(s, STEP_ABORT);
}

/* ------------------------------------------------------------------ saying */

static void
post_received(struct tablet *t, uint64_t to, struct slice bytes)
{
    if (exchange_post(t, to, EXCHANGE_RECEIVED, bytes, (struct slice){ 0 }) != ST_OK)
        log_event(LOG_DEBUG, "snapshot.word_lost", log_u64("tablet", t->id));
}

static void
say_received(struct tablet *t, uint64_t to, uint64_t id, bool ok)
{
    uint8_t bytes[9];

    put_u64le(bytes, id);
    bytes[8] = ok ? EXCHANGE_DONE : EXCHANGE_FAILED;
    post_received(t, to, slice_of(bytes, sizeof(bytes)));
}

static void
say_damaged(const struct staging *s)
{
    uint8_t bytes[9 + VARINT_BYTES_MAX];
    const uint8_t *end = put_varint(bytes + 9, s->damaged);

    put_u64le(bytes, s->id);
    bytes[8] = EXCHANGE_DAMAGED;
    post_received(s->tablet, s->from, slice_of(bytes, (size_t)(end - bytes)));
}

static void
ask(struct staging *s)
{
    struct buf bytes = buf_empty(WANT_BYTES_MAX);
    enum status st = append_u64(&bytes, s->id);

    if (st == ST_OK)
        st = append_varint(&bytes, s->piece.table);
    if (st == ST_OK)
        st = append_varint(&bytes, s->piece.offset);
    if (st == ST_OK)
        st = append_varint(&bytes, s->piece.size);
    if (st == ST_OK)
        st = exchange_post(s->tablet, s->from, EXCHANGE_WANT, buf_slice(&bytes),
                           (struct slice){ 0 });
    buf_release(&bytes);
    s->asked_ns = tablet__boot_ns(s->tablet);
    if (st != ST_OK)
        log_event(LOG_DEBUG, "snapshot.want_lost", log_u64("tablet", s->tablet->id));
}

/* ------------------------------------------------------------------ the install */

static enum status
announce(struct tablet *t, const struct staging *s)
{
    struct wal_record cut = {
        .type = WAL_CUT, .tablet = t->id, .term = s->log_term, .index = s->index
    };
    wal_position end;
    enum status st = split_take_scope(t, &s->head);

    if (st != ST_OK)
        return st;
    t->head.config = s->head.config;
    t->head.config_index = s->head.config_index;
    if (s->head.ceiling_ms > t->head.ceiling_ms)
        t->head.ceiling_ms = s->head.ceiling_ms;
    t->head_owed = true;
    st = tablet__give(t, NULL);
    return st == ST_OK ? engine_append(t->tree, &cut, ENGINE_SYNC_NOW, &end, NULL) : st;
}

static void
tell_raft(struct tablet *t, bool ok)
{
    t->installing = false;
    tablet__hear(t, (struct raft_event){ .kind = RAFT_INSTALLED, .ok = ok });
}

static void
begin_install(struct tablet *t, struct staging *s)
{
    t->installing = true;
    if (announce(t, s) != ST_OK) {
        tell_raft(t, false);
        say_received(t, s->from, s->id, false);
        drop(t);
        return;
    }
    engine_tree_hold(t->tree);
    submit(s, STEP_INSTALL);
}

/* The tree is the snapshot; so is all else. */
static void
adopt(struct tablet *t, const struct staging *s)
{
    tablet__give_up_undecided(t);
    while (t->tail.first < t->tail.limit) {
        raft_index index = t->tail.limit - 1;

        if (index > t->applied && index < t->given)
            engine_tree_dropped(t->tree);
        tablet__forget(t, tail_pop_last(&t->tail));
    }
    tail_release(&t->tail);
    tail_init(&t->tail, s->index + 1);
    places_release(&t->places); /* what is before the cut may be of another history */
    t->kept_bytes = 0;
    t->applied_bytes = 0;
    t->given = t->unsynced = s->index + 1;
    t->applied = s->index;
    t->applied_term = s->log_term;
    if (s->version > t->version)
        t->version = s->version;
    atomic_store(&t->ceiling_ms, t->head.ceiling_ms);
}

static void
installed(struct tablet *t, struct staging *s)
{
    bool ok = s->status == ST_OK;

    mark_hit_if(ok, MARK_INSTALLED);
    if (ok) {
        adopt(t, s);
        atomic_store(&t->is_damaged, false);
    }
    engine_tree_resume(t->tree, ok ? s->index : 0);
    log_event(ok ? LOG_INFO : LOG_ERROR, "snapshot.installed", log_u64("tablet", t->id),
              log_u64("index", s->index), log_str("status", status_name(s->status)));
    tell_raft(t, ok);
    if (ok && t->observer != NULL)
        t->observer(t->observer_ctx, NULL, 0);
    say_received(t, s->from, s->id, ok);
    if (s->import != NULL) {
        drop(t); /* the log had failed before */
        return;
    }
    t->staging = NULL;
    destroy(s);
}

/* Everything is here; is it still what we need? */
static void
staged(struct tablet *t, struct staging *s)
{
    struct raft_event event = { .kind = RAFT_SNAPSHOT_STAGED,
                                .index = s->index,
                                .term = s->log_term,
                                .config = &s->head.config };
    enum status st = tablet__step(t, event, NULL);

    if (st == ST_OK && t->install_due) {
        begin_install(t, s);
        return;
    }
    say_received(t, s->from, s->id, st == ST_OK);
    drop(t);
    tablet__apply_committed(t);
}

/* ------------------------------------------------------------------ going on */

static void
go_on(struct staging *s)
{
    if (lsm_import_wanted(s->import, PIECE_BYTES, &s->piece))
        ask(s);
    else
        submit(s, STEP_FINISH);
}

static void
failed(struct tablet *t, struct staging *s)
{
    log_event(LOG_ERROR, "snapshot.not_received", log_u64("tablet", t->id),
              log_u64("from", s->from), log_err(&s->err));
    if (s->step != STEP_WRITE || s->status != ST_CORRUPT) {
        say_received(t, s->from, s->id, false);
        drop(t);
        return;
    }
    if (s->has_damaged && s->damaged == s->piece.table) { /* Y2 */
        say_damaged(s);
        drop(t);
        return;
    }
    s->damaged = s->piece.table;
    s->has_damaged = true;
    go_on(s);
}

static void
staging_done(struct job *job)
{
    struct staging *s = container_of(job, struct staging, job);
    struct tablet *t = s->tablet;

    s->busy = false;
    t->job_count--;
    if (s->step == STEP_INSTALL)
        installed(t, s);
    else if (s->step == STEP_ABORT)
        destroy(s);
    else if (s->over)
        submit(s, STEP_ABORT);
    else if (s->status != ST_OK)
        failed(t, s);
    else if (s->step == STEP_FINISH)
        staged(t, s);
    else
        go_on(s);
}

/* ------------------------------------------------------------------ hearing */

static bool
decode_offer(struct slice bytes, struct staging *s, raft_term *term, struct slice *checkpoint)
{
    struct reader r = reader_of(bytes);
    struct slice head;

    s->id = read_u64(&r);
    *term = read_varint(&r);
    s->index = read_varint(&r);
    s->log_term = read_varint(&r);
    head = read_string(&r);
    *checkpoint = read_string(&r);
    return !r.bad && reader_left(&r) == 0 && head_decode(head, &s->head) == ST_OK &&
           s->head.config_index <= s->index && s->log_term <= *term;
}

static bool
hear_offer(struct tablet *t, uint64_t from, const struct staging *s, raft_term term)
{
    struct raft_message m = { .kind = RAFT_APPEND,
                              .from = from,
                              .to = t->reactor->node->id,
                              .term = term,
                              .index = s->index,
                              .log_term = s->log_term };

    tablet__hear(t, (struct raft_event){ .kind = RAFT_SNAPSHOT_OFFER, .message = &m });
    return raft_leader(t->raft) == from && raft_hard(t->raft).term == term;
}

static void
stage(struct tablet *t, const struct staging *offered, struct slice checkpoint)
{
    struct staging *s = mem_new(struct staging);

    if (s == NULL)
        return;
    *s = *offered;
    s->tablet = t;
    s->bytes = buf_empty(checkpoint.size);
    s->heard_ns = tablet__boot_ns(t);
    if (buf_append(&s->bytes, checkpoint) != ST_OK) {
        destroy(s);
        return;
    }
    t->staging = s;
    submit(s, STEP_BEGIN);
}

/* An offer is repeated when nothing was heard of us for a while. */
static bool
is_staged(const struct tablet *t, const struct staging *offered)
{
    return t->staging != NULL && t->staging->id == offered->id && t->staging->from == offered->from;
}

void
staging_offered(struct tablet *t, uint64_t from, struct slice bytes)
{
    struct staging offered = { .from = from };
    struct slice checkpoint;
    raft_term term;

    if (!decode_offer(bytes, &offered, &term, &checkpoint)) {
        log_event(LOG_ERROR, "snapshot.offer_malformed", log_u64("tablet", t->id),
                  log_u64("from", from));
        return;
    }
    if (!hear_offer(t, from, &offered, term) || t->installing)
        return;
    if (is_staged(t, &offered))
        return;
    if (t->staging != NULL)
        drop(t);
    if (offered.index <= raft_commit(t->raft))
        say_received(t, from, offered.id, true); /* we have all of it */
    else if (t->reactor->draining)
        say_received(t, from, offered.id, false); /* Y4 */
    else
        stage(t, &offered, checkpoint);
}

void
staging_give_up(struct tablet *t)
{
    if (t->staging == NULL || t->installing)
        return;
    say_received(t, t->staging->from, t->staging->id, false);
    drop(t);
}

void
staging_piece(struct tablet *t, uint64_t from, struct slice bytes)
{
    struct reader r = reader_of(bytes);
    uint64_t id = read_u64(&r);
    uint64_t table = read_varint(&r);
    uint64_t offset = read_varint(&r);
    struct staging *s = t->staging;
    struct slice piece = slice_of(r.at, reader_left(&r));

    if (r.bad || s == NULL || s->id != id || s->from != from || s->busy || s->import == NULL ||
        table != s->piece.table || offset != s->piece.offset || piece.size > PIECE_BYTES)
        return;
    s->heard_ns = tablet__boot_ns(t);
    buf_release(&s->bytes);
    s->bytes.max = PIECE_BYTES;
    if (buf_append(&s->bytes, piece) == ST_OK)
        submit(s, STEP_WRITE); /* without memory it is asked for again */
}

void
staging_tick(struct tablet *t, uint64_t now_ns)
{
    struct staging *s = t->staging;

    if (s == NULL || s->busy)
        return;
    if (now_ns > s->heard_ns + PATIENCE_NS)
        drop(t);
    else if (now_ns > s->asked_ns + ASK_AGAIN_NS)
        ask(s);
}
