/*
 * KEYS and RANGE.
 *
 * An array's header says how many items follow, so KEYS and RANGE must know
 * before they begin.  They gather; and when it becomes too much to gather,
 *
 *      COLLECT  ──small──> reply
 *         │
 *         └─large─> COUNT to the end ─> rewind ─> SEND piece by piece
 *
 * from the same snapshot, so that what is sent is what was counted.
 */
#include "base/assert.h"
#include "base/mem.h"

#include "api/api_internal.h"
#include "api/redis.h"
#include "wire/decimal.h"

enum {
    PIECE_KEYS = 4096,
    PIECE_EXAMINED = 64 << 10,
    PIECE_BYTES = 256 << 10,
};

enum phase { COLLECT, COUNT, SEND };

struct scan_task {
    struct call *call;
    struct kv_scan *scan; /* owned */
    struct room_wait room;
    enum phase phase;
    bool values;
    bool under_way; /* a piece is being read */
    uint64_t most;  /* entries that are wanted */
    uint64_t seen;  /* of them, in this phase */
    uint64_t total; /* known after COUNT */
    struct buf collected;
    size_t charged;              /* to ROOM_REPLY, for `collected` */
    const struct entry *entries; /* of a piece that waits for room */
    uint32_t entry_count;
    bool end;
};

static void piece_came(void *ctx, const struct kv_scan_piece *piece);
static void room_over(struct room_wait *wait, bool granted);

static struct room *
room_of(const struct scan_task *t)
{
    return &t->call->session->reactor->room;
}

static void
drop_collected(struct scan_task *t)
{
    buf_release(&t->collected);
    room_give(room_of(t), ROOM_REPLY, t->charged);
    t->charged = 0;
}

static void
release(struct call *c)
{
    struct scan_task *t = c->task;

    room_wait_cancel(&t->room);
    drop_collected(t);
    kv_scan_close(t->scan);
    mem_free(t);
}

static struct scan_task *
create(struct call *c)
{
    struct scan_task *t = mem_new(struct scan_task);

    if (t == NULL) {
        call_reply_status(c, ST_NO_MEMORY, NULL);
        return NULL;
    }
    t->call = c;
    t->most = UINT64_MAX;
    t->collected = buf_empty(REPLY_BYTES_MAX);
    room_wait_init(&t->room, room_over);
    c->task = t;
    c->release = release;
    return t;
}

/* False: it was replied. */
static bool
open_scan(struct scan_task *t, struct kv_scan_options *options)
{
    struct call *c = t->call;
    struct err err = { 0 };
    enum status st;

    options->deadline_ns = session_deadline_ns(c->session);
    st = kv_scan_open(c->session->reactor->door, options, &t->scan, &err);
    if (st != ST_OK)
        call_reply_status(c, st, &err);
    return st == ST_OK;
}

/* ------------------------------------------------------------------ writing entries */

static size_t
size_of_entries(const struct scan_task *t, uint32_t count)
{
    size_t size = 0;

    for (uint32_t i = 0; i < count; i++)
        size += t->entries[i].key.size + 32 + (t->values ? t->entries[i].value.size + 32 : 0);
    return size;
}

static void
put_entries(const struct scan_task *t, uint32_t count, struct resp_writer *w)
{
    for (uint32_t i = 0; i < count; i++) {
        resp_put_bulk(w, t->entries[i].key);
        if (t->values)
            resp_put_bulk(w, t->entries[i].value);
    }
}

static uint64_t
items(const struct scan_task *t, uint64_t entries)
{
    return t->values ? entries * 2 : entries;
}

/* How many of the piece are still wanted. */
static uint32_t
wanted(const struct scan_task *t)
{
    uint64_t left = t->most - t->seen;

    return left < t->entry_count ? (uint32_t)left : t->entry_count;
}

/* ------------------------------------------------------------------ KEYS and RANGE */

static void
next_piece(struct scan_task *t)
{
    uint64_t left = t->most - t->seen;

    t->under_way = true;
    t->entry_count = 0;
    kv_scan_next(t->scan, left < PIECE_KEYS ? (uint32_t)left : PIECE_KEYS, PIECE_EXAMINED,
                 PIECE_BYTES, piece_came, t);
}

static void
give_up(struct scan_task *t, enum status why, const struct err *err)
{
    struct call *c = t->call;

    if (t->phase != SEND) {
        call_reply_status(c, why, err);
        return;
    }
    c->session->broken = true; /* the header promised more */
    session_mark_dirty(c->session);
    call_finish(c);
}

static void
reply_collected(struct scan_task *t)
{
    struct call *c = t->call;
    size_t mark = 0;
    struct resp_writer w;

    c->granted += t->charged; /* what was charged for gathering moves on with the reply */
    t->charged = 0;
    w = call_reply(c, t->collected.size + 32, &mark);
    resp_put_array(&w, items(t, t->seen));
    resp_put_raw(&w, buf_slice(&t->collected));
    call_replied(c, &w, mark);
    call_finish(c);
}

static void
begin_sending(struct scan_task *t)
{
    struct call *c = t->call;
    size_t mark = 0;
    struct resp_writer w = call_reply(c, 32, &mark);

    t->total = t->seen;
    t->seen = 0;
    t->phase = SEND;
    t->end = false;
    resp_put_array(&w, items(t, t->total));
    call_replied(c, &w, mark);
    kv_scan_rewind(t->scan);
    next_piece(t);
}

/* The room for the piece is charged as c->granted. */
static void
send_piece(struct scan_task *t)
{
    struct call *c = t->call;
    uint32_t count = wanted(t);
    size_t mark = 0;
    struct resp_writer w = call_reply(c, size_of_entries(t, count), &mark);

    put_entries(t, count, &w);
    call_replied(c, &w, mark);
    t->seen += count;
    t->entry_count = 0;
    if (t->seen == t->total)
        call_finish(c);
    else if (t->end)
        give_up(t, ST_CORRUPT, NULL); /* the snapshot gave less than it had */
    else if (c->session->output.pending < SESSION_STREAM_BYTES)
        next_piece(t);
}

static void
collect(struct scan_task *t)
{
    uint32_t count = wanted(t);
    struct resp_writer w = resp_writer_to(&t->collected, t->call->version);

    put_entries(t, count, &w);
    t->entry_count = 0;
    if (w.st != ST_OK) {
        give_up(t, w.st, NULL);
        return;
    }
    t->seen += count;
    if (t->end || t->seen == t->most) {
        reply_collected(t);
        return;
    }
    if (t->collected.size >= PIECE_BYTES) {
        drop_collected(t);
        t->phase = COUNT;
    }
    next_piece(t);
}

static void
count_on(struct scan_task *t)
{
    t->seen += wanted(t);
    if (t->end || t->seen == t->most)
        begin_sending(t);
    else
        next_piece(t);
}

/* The piece may be copied. */
static void
take_piece(struct scan_task *t)
{
    if (t->phase == COLLECT)
        collect(t);
    else
        send_piece(t);
}

static void
hold_room(struct scan_task *t, size_t size)
{
    if (t->phase == COLLECT)
        t->charged += size;
    else
        t->call->granted += size;
}

static void
piece_came(void *ctx, const struct kv_scan_piece *piece)
{
    struct scan_task *t = ctx;
    struct call *c = t->call;
    size_t size;

    t->under_way = false;
    if (piece->status != ST_OK) {
        give_up(t, piece->status, piece->err);
        return;
    }
    t->entries = piece->entries;
    t->entry_count = piece->count;
    t->end = piece->end;
    if (t->phase == COUNT) {
        count_on(t);
        return;
    }
    size = size_of_entries(t, wanted(t));
    if (!room_try(room_of(t), ROOM_REPLY, size)) {
        room_await(room_of(t), ROOM_REPLY, &t->room, size, session_deadline_ns(c->session));
        return;
    }
    hold_room(t, size);
    take_piece(t);
}

static void
room_over(struct room_wait *wait, bool granted)
{
    struct scan_task *t = container_of(wait, struct scan_task, room);

    if (!granted) {
        give_up(t, ST_BUSY, NULL);
        return;
    }
    hold_room(t, wait->bytes);
    take_piece(t);
}

/* The socket has taken what there was. */
static void
wake(struct call *c)
{
    struct scan_task *t = c->task;

    if (t->phase == SEND && !t->under_way && !room_waits(&t->room))
        next_piece(t);
}

static void
run(struct scan_task *t, struct kv_scan_options *options)
{
    t->values = options->want_values;
    if (!open_scan(t, options))
        return;
    t->call->wake = wake;
    next_piece(t);
}

void
task_keys(struct call *c, const struct slice *args, uint32_t count)
{
    struct kv_scan_options options = { .keyspace = c->keyspace };
    struct scan_task *t = create(c);

    (void)count;
    if (t == NULL)
        return;
    scan_set_pattern(&options, args[1]);
    run(t, &options);
}

/* NULL, or the error. */
static const char *
parse_range(struct scan_task *t, struct kv_scan_options *options, const struct slice *args,
            uint32_t count)
{
    int64_t limit;

    if (!slice_equal(args[1], slice_str("-")))
        options->from = args[1];
    options->has_limit = !slice_equal(args[2], slice_str("+"));
    if (options->has_limit)
        options->limit = args[2];
    for (uint32_t i = 3; i < count; i++) {
        if (arg_is(args[i], "REV")) {
            options->reverse = true;
        } else if (arg_is(args[i], "LIMIT") && i + 1 < count) {
            if (!decimal_parse_i64(args[++i], &limit) || limit < 0)
                return REDIS_NOT_INTEGER;
            t->most = (uint64_t)limit;
        } else {
            return REDIS_SYNTAX_ERROR;
        }
    }
    return NULL;
}

void
task_range(struct call *c, const struct slice *args, uint32_t count)
{
    struct kv_scan_options options = { .keyspace = c->keyspace, .want_values = true };
    struct scan_task *t = create(c);
    const char *error;

    if (t == NULL)
        return;
    error = parse_range(t, &options, args, count);
    if (error != NULL)
        call_reply_error(c, error);
    else if (t->most == 0)
        reply_collected(t);
    else
        run(t, &options);
}
