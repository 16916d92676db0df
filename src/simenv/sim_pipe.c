/*
 * One direction of a connection: bytes on their way.
 *
 *      writer                                                reader
 *      unsent  --->  [piece][piece][piece][end]  --->  arrived
 *              room        in flight, in order
 *              '------------ at most `window` bytes -----------'
 *
 * Bytes travel in pieces of random sizes, each with a random delay, in order:
 * whoever would overtake arrives with the one before it.
 * What is in flight and what has arrived and was not taken counts against the
 * window; when it is full there is no room, until the reader takes.  A stream
 * that writes is refused then; what a client sends waits in `unsent`.
 *
 * When the reader closes, nothing that was sent matters any more: the pipe is
 * deaf, and after a delay the writer hears of it (a reset).  Until then it sees
 * the room that there was, and what it sends is dropped.
 *
 * BETWEEN NODES (sim_link.c) three more things happen.  A piece that does not get
 * through is held, with all that follow it, until something changes.  What the
 * reader takes stays unacknowledged while nothing passes the other way.  And the
 * machine at an end may know nothing of the connection any more: `lost`, the
 * reader's, answers what arrives with a reset; `abandoned`, the writer's, sends
 * nothing, not even an end.
 */
#include "base/assert.h"
#include "base/hash.h"

#include "simenv/sim_internal.h"

enum {
    DEFAULT_WINDOW_BYTES = 64 << 10,
    CRUMB_ONE_IN = 4, /* how often a piece is tiny */
    CRUMB_BYTES = 8,
    COMPACT_BYTES = 4096,
};

struct sim_piece {
    struct list link; /* in pipe->pieces */
    uint64_t at_ns;
    bool is_end;
    size_t size;
    uint8_t data[];
};

/* ------------------------------------------------------------------ bytes */

static struct slice
bytes_slice(const struct sim_bytes *b)
{
    if (b->buf.size == b->start)
        return slice_of(NULL, 0);
    return slice_of(b->buf.data + b->start, b->buf.size - b->start);
}

/* What was taken is cut off once it is most of the buffer, so that taking stays cheap. */
static void
bytes_take(struct sim_bytes *b, size_t size)
{
    ASSERT(size <= b->buf.size - b->start);
    b->start += size;
    if (b->start < COMPACT_BYTES && b->start < b->buf.size)
        return;
    if (b->start * 2 < b->buf.size)
        return;
    buf_consume(&b->buf, b->start);
    b->start = 0;
}

static void
bytes_clear(struct sim_bytes *b)
{
    buf_release(&b->buf);
    b->start = 0;
}

/* ------------------------------------------------------------------ in flight */

static struct sim_piece *
first_piece(const struct sim_pipe *p)
{
    return container_of(p->pieces.next, struct sim_piece, link);
}

static void
drop_piece(struct sim_pipe *p, struct sim_piece *piece)
{
    p->flight_bytes -= piece->size;
    list_remove(&piece->link);
    mem_free(piece);
}

static void
drop_pieces(struct sim_pipe *p)
{
    while (!list_empty(&p->pieces))
        drop_piece(p, first_piece(p));
    sim__cancel(p->world, &p->arrival);
    p->held = false;
}

static void
expect_first(struct sim_pipe *p)
{
    if (!list_empty(&p->pieces) && p->arrival.slot == 0 && !p->held)
        sim__schedule(p->world, &p->arrival, first_piece(p)->at_ns);
}

static void
launch(struct sim_pipe *p, struct slice bytes, bool is_end)
{
    struct sim_piece *piece = sim__alloc(sizeof(*piece) + bytes.size);

    if (bytes.size > 0)
        memcpy(piece->data, bytes.data, bytes.size);
    piece->size = bytes.size;
    piece->is_end = is_end;
    piece->at_ns = sim__link_arrival(p->world, p->from, p->to, bytes.size);
    p->flight_bytes += bytes.size;
    list_push_back(&p->pieces, &piece->link);
    expect_first(p);
}

static void
tell(struct sim_stream *s)
{
    if (s != NULL)
        sim__stream_stir(s);
}

/* How long the writer waits for an acknowledgement; 0: for ever. */
static uint64_t
patience_ms(const struct sim_pipe *p)
{
    uint64_t link_ms = sim__link_between(p->world, p->from, p->to).break_ms;

    if (p->patience_ms == 0 || (link_ms != 0 && link_ms < p->patience_ms))
        return link_ms;
    return p->patience_ms;
}

/* The writer's clock runs while something is unacknowledged that should not be. */
static void
watch_patience(struct sim_pipe *p)
{
    uint64_t ms = patience_ms(p);
    bool stuck = (p->held || p->unacknowledged > 0) && ms > 0;

    if (!stuck)
        sim__cancel(p->world, &p->give_up);
    else if (p->give_up.slot == 0)
        sim__schedule(p->world, &p->give_up, p->world->now_ns + ms * SIM_NS_PER_MS);
}

static void
writer_gives_up(struct sim_event *e)
{
    struct sim_pipe *p = container_of(e, struct sim_pipe, give_up);

    if (p->writer != NULL)
        sim__stream_sever(p->writer);
    else
        sim__pipe_abandon_writer(p);
}

static void
hold(struct sim_pipe *p)
{
    p->held = true;
    p->held_since_ns = p->world->now_ns;
    watch_patience(p);
}

static void
send_reset(struct sim_pipe *p)
{
    if (p->reset.slot == 0 && !p->was_reset && !p->reset_held)
        sim__schedule(p->world, &p->reset, sim__link_arrival(p->world, p->to, p->from, 0));
}

static void
piece_arrives(struct sim_event *e)
{
    struct sim_pipe *p = container_of(e, struct sim_pipe, arrival);
    struct sim_piece *piece = first_piece(p);

    sim__trace(p->world, piece->size, piece->is_end, hash64(slice_of(piece->data, piece->size)));
    ASSERT(!p->deaf); /* else nothing would be in flight */
    if (!sim__link_passes(p->world, p->from, p->to)) {
        hold(p);
        return;
    }
    if (p->lost) {
        send_reset(p);
    } else {
        p->ended |= piece->is_end;
        sim__append(&p->arrived.buf, slice_of(piece->data, piece->size));
    }
    drop_piece(p, piece);
    expect_first(p);
    tell(p->reader);
}

static void
reset_arrives(struct sim_event *e)
{
    struct sim_pipe *p = container_of(e, struct sim_pipe, reset);

    if (!sim__link_passes(p->world, p->to, p->from)) {
        p->reset_held = true;
        p->held_since_ns = p->world->now_ns;
        return;
    }
    if (p->lost && p->writer != NULL)
        sim__stream_sever(p->writer);
    p->was_reset = true;
    tell(p->writer);
}

void
sim__pipe_retry(struct sim_pipe *p)
{
    struct sim *w = p->world;

    if (p->held && sim__link_passes(w, p->from, p->to)) {
        p->held = false;
        sim__schedule(w, &p->arrival, sim__link_retry(w, p->held_since_ns));
    }
    if (p->reset_held && sim__link_passes(w, p->to, p->from)) {
        p->reset_held = false;
        sim__schedule(w, &p->reset, sim__link_retry(w, p->held_since_ns));
    }
    if (p->unacknowledged > 0 && sim__link_passes(w, p->to, p->from)) {
        p->unacknowledged = 0;
        sim__pipe_pump(p);
        tell(p->writer);
    }
    watch_patience(p);
}

/* ------------------------------------------------------------------ sending */

void
sim__pipe_init(struct sim_pipe *p, struct sim *w, uint32_t from, uint32_t to)
{
    p->world = w;
    p->from = from;
    p->to = to;
    p->window = DEFAULT_WINDOW_BYTES;
    p->unsent.buf = buf_empty(SIZE_MAX);
    p->arrived.buf = buf_empty(SIZE_MAX);
    list_init(&p->pieces);
    sim__event_init(&p->arrival, SIM_EVENT_PIECE, piece_arrives);
    sim__event_init(&p->reset, SIM_EVENT_RESET, reset_arrives);
    sim__event_init(&p->give_up, SIM_EVENT_TIMER, writer_gives_up);
}

void
sim__pipe_release(struct sim_pipe *p)
{
    drop_pieces(p);
    sim__cancel(p->world, &p->reset);
    sim__cancel(p->world, &p->give_up);
    bytes_clear(&p->unsent);
    bytes_clear(&p->arrived);
}

size_t
sim__pipe_room(const struct sim_pipe *p)
{
    size_t used = p->flight_bytes + bytes_slice(&p->arrived).size + p->unacknowledged;

    if (p->deaf)
        return p->room_when_deaf;
    return used < p->window ? p->window - used : 0;
}

/* Nobody reads it, and nobody says so: the writer waits for an acknowledgement. */
static void
miss_answer(struct sim_pipe *p, size_t size)
{
    if (p->was_reset || sim__link_passes(p->world, p->to, p->from))
        return;
    p->unacknowledged += size;
    watch_patience(p);
}

void
sim__pipe_put(struct sim_pipe *p, struct slice bytes)
{
    struct prng *prng = &p->world->prng;

    ASSERT(bytes.size <= sim__pipe_room(p) && !p->ending);
    if (p->deaf)
        miss_answer(p, bytes.size);
    while (bytes.size > 0 && !p->deaf) {
        bool crumb = prng_chance(prng, 1, CRUMB_ONE_IN);
        size_t most = crumb && bytes.size > CRUMB_BYTES ? CRUMB_BYTES : bytes.size;
        size_t size = 1 + (size_t)prng_below(prng, most);

        launch(p, slice_of(bytes.data, size), false);
        bytes = slice_of(bytes.data + size, bytes.size - size);
    }
}

void
sim__pipe_pump(struct sim_pipe *p)
{
    struct slice waiting = bytes_slice(&p->unsent);
    size_t room = sim__pipe_room(p);
    size_t size = waiting.size < room ? waiting.size : room;
    bool was_ending = p->ending;

    p->ending = false; /* what was accepted before the end may still go */
    sim__pipe_put(p, slice_of(waiting.data, size));
    p->ending = was_ending;
    bytes_take(&p->unsent, size);
    if (p->ending && !p->end_sent && !p->deaf && !p->abandoned &&
        bytes_slice(&p->unsent).size == 0) {
        p->end_sent = true;
        launch(p, slice_of(NULL, 0), true);
    }
}

void
sim__pipe_send(struct sim_pipe *p, struct slice bytes)
{
    ASSERT(!p->ending);
    sim__append(&p->unsent.buf, bytes);
    sim__pipe_pump(p);
}

/* ------------------------------------------------------------------ taking */

struct slice
sim__pipe_arrived(const struct sim_pipe *p)
{
    return bytes_slice(&p->arrived);
}

void
sim__pipe_take(struct sim_pipe *p, size_t size)
{
    bytes_take(&p->arrived, size);
    if (!p->lost && !sim__link_passes(p->world, p->to, p->from)) {
        p->unacknowledged += size;
        watch_patience(p);
        return;
    }
    sim__pipe_pump(p);
    tell(p->writer);
}

/* ------------------------------------------------------------------ ends */

void
sim__pipe_close_writer(struct sim_pipe *p)
{
    p->writer = NULL;
    p->ending = true;
    sim__pipe_pump(p);
}

void
sim__pipe_close_reader(struct sim_pipe *p)
{
    p->room_when_deaf = sim__pipe_room(p);
    p->reader = NULL;
    p->deaf = true;
    drop_pieces(p);
    bytes_clear(&p->unsent);
    bytes_clear(&p->arrived);
    p->unacknowledged = 0;
    watch_patience(p);
    send_reset(p);
}

/* What is in flight arrives, and is answered. */
void
sim__pipe_lose_reader(struct sim_pipe *p)
{
    p->lost = true;
    p->ended = true;
    p->unacknowledged = 0;
    watch_patience(p);
}

/* What was sent is not sent again. */
void
sim__pipe_abandon_writer(struct sim_pipe *p)
{
    p->abandoned = true;
    p->was_reset = true;
    p->unacknowledged = 0;
    drop_pieces(p);
    watch_patience(p);
}

void
sim__pipe_lose_some(struct sim_pipe *p)
{
    while (!list_empty(&p->pieces) && prng_chance(&p->world->prng, 1, 2)) {
        struct sim_piece *last = container_of(p->pieces.prev, struct sim_piece, link);

        drop_piece(p, last);
    }
    if (list_empty(&p->pieces))
        drop_pieces(p);
}
