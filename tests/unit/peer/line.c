#include "unit/peer/line.h"

enum { CHUNK_BYTES = 70000, BUDGET_BYTES = 1 << 20 };

static void watch(struct end *e);

/* Of the row that this end sends. */
static uint8_t
byte_at(const struct end *e, size_t i)
{
    return (uint8_t)(i * 31 + (i >> 8) * 7 + e->id);
}

static struct end *
other(struct end *e)
{
    return &e->line->ends[e == &e->line->ends[CALLEE] ? CALLER : CALLEE];
}

/* ------------------------------------------------------------------ on the loops */

static void
note_end(struct end *e, enum status st)
{
    e->ended = st;
    snprintf(e->why, sizeof(e->why), "%s", carrier_why(e->stream, "it hung up"));
}

static void
take(struct end *e, const uint8_t *bytes, size_t size)
{
    for (size_t i = 0; i < size; i++)
        EXPECT_U64(bytes[i], byte_at(other(e), e->received + i));
    e->received += size;
}

static void
read_some(struct end *e)
{
    uint8_t chunk[CHUNK_BYTES]; /* of its own: another loop may run meanwhile */
    enum status st = ST_OK;

    while (st == ST_OK) {
        size_t got = 0;

        st = stream_read(e->stream, chunk, e->read_size, &got);
        take(e, chunk, got);
        if (st == ST_OK && e->reads_once)
            return;
    }
    if (st != ST_WOULD_BLOCK)
        note_end(e, st);
}

/* The next bytes of the row, in parts. */
static size_t
fill(const struct end *e, uint8_t bytes[CHUNK_BYTES], struct slice parts[LINE_PARTS])
{
    size_t at = 0;

    for (size_t i = 0; i < LINE_PARTS; i++) {
        size_t left = e->to_send - e->sent - at;
        size_t size = i % 3 == 1 ? 0 : e->part_size;

        size = size < left ? size : left;
        size = size < CHUNK_BYTES - at ? size : CHUNK_BYTES - at;
        for (size_t k = 0; k < size; k++)
            bytes[at + k] = byte_at(e, e->sent + at + k);
        parts[i] = slice_of(bytes + at, size);
        at += size;
    }
    return at;
}

static void
write_some(struct end *e)
{
    uint8_t bytes[CHUNK_BYTES];
    struct slice parts[LINE_PARTS];
    enum status st = ST_OK;

    while (st == ST_OK && e->sent < e->to_send) {
        size_t size = fill(e, bytes, parts);
        size_t written = 0;

        st = stream_write(e->stream, parts, LINE_PARTS, &written);
        EXPECT(written <= size);
        e->sent += written;
    }
    if (st != ST_OK && st != ST_WOULD_BLOCK)
        note_end(e, st);
}

static void
hang_up(void *ctx)
{
    struct end *e = ctx;

    if (e->stream != NULL)
        stream_close(e->stream);
    e->stream = NULL;
    EXPECT_U64(budget_used(&e->budget), 0);
}

static void
on_events(void *ctx, unsigned events)
{
    struct end *e = ctx;

    EXPECT(events != 0 && e->ended == ST_OK);
    e->events++;
    if ((events & STREAM_WRITABLE) != 0)
        write_some(e);
    if ((events & STREAM_READABLE) != 0 && !e->deaf && e->ended == ST_OK)
        read_some(e);
    if ((e->hangs_up && e->sent == e->to_send) || (e->enough > 0 && e->received >= e->enough))
        hang_up(e);
    else
        watch(e);
}

static void
watch(struct end *e)
{
    unsigned events = e->deaf ? 0 : STREAM_READABLE;

    if (e->sent < e->to_send)
        events |= STREAM_WRITABLE;
    stream_watch(e->stream, e->ended != ST_OK ? 0 : events, on_events, e);
}

static void
begin(struct end *e, struct loop *loop, struct stream *stream, bool calls)
{
    size_t before = budget_used(&e->budget);

    e->stream = carrier_wrap(e->carrier, loop, stream, calls, &e->budget);
    EXPECT(e->stream != NULL);
    EXPECT((budget_used(&e->budget) - before > 0) == (e->carrier != NULL));
    EXPECT_STR(stream_peer(e->stream), stream_peer(stream));
    watch(e);
}

static void
accepted(void *ctx, struct loop *loop, struct stream *stream)
{
    struct line *l = ctx;

    begin(&l->ends[CALLEE], loop, stream, false);
}

static void
connected(void *ctx, struct stream *stream, enum status st, const struct err *err)
{
    struct line *l = ctx;

    (void)err;
    EXPECT_OK(st);
    l->connector = NULL;
    begin(&l->ends[CALLER], sim_loop(l->w, 2, 0), stream, true);
}

static void
listen_now(void *ctx)
{
    struct line *l = ctx;

    EXPECT_OK(env_listen(loop_env(sim_loop(l->w, 1, 0)), "0.0.0.0", LINE_PORT, accepted, l,
                         &l->listener, NULL));
}

static void
call_now(void *ctx)
{
    struct line *l = ctx;
    struct connect_options options = {
        .address = "10.0.0.1", .port = LINE_PORT, .timeout_ms = 1000, .done = connected, .ctx = l
    };

    EXPECT_OK(env_connect(sim_loop(l->w, 2, 0), &options, &l->connector, NULL));
}

static void
close_now(void *ctx)
{
    struct line *l = ctx;

    listener_close(l->listener);
}

static void
watch_now(void *ctx)
{
    watch(ctx);
}

/* ------------------------------------------------------------------ from outside */

void
line_begin(struct line *l, uint64_t seed)
{
    static const char *const names[] = { "n1", "n2" };

    memset(l, 0, sizeof(*l));
    l->w = sim_create(seed);
    EXPECT(l->w != NULL);
    pki_authority(&l->ca, "ca");
    for (uint32_t i = 0; i < 2; i++) {
        sim_boot(l->w, i + 1, 1);
        l->ends[i] = (struct end){ .line = l, .id = i + 1, .read_size = 4096, .part_size = 5000 };
        budget_init(&l->ends[i].budget, BUDGET_BYTES);
        pki_node(&l->nodes[i], &l->ca, names[i]);
        pki_put(l->w, i + 1, &l->nodes[i], &l->ca);
    }
    sim_on_loop(l->w, 1, 0, listen_now, l);
}

struct carrier *
carrier_of(struct sim *w, uint32_t id)
{
    struct carrier *c = NULL;
    struct err err = { 0 };
    enum status st = carrier_create(&c, loop_env(sim_loop(w, id, 0)), &pki_files, &err);

    if (st != ST_OK)
        print_error("%s\n", err.text);
    EXPECT_OK(st);
    return c;
}

void
line_equip(struct line *l)
{
    for (uint32_t i = 0; i < 2; i++)
        l->ends[i].carrier = carrier_of(l->w, i + 1);
}

void
line_call(struct line *l)
{
    sim_on_loop(l->w, 2, 0, call_now, l);
}

void
line_run(struct line *l, uint64_t ms)
{
    sim_run_ms(l->w, ms);
}

void
end_resume(struct end *e)
{
    sim_on_loop(e->line->w, e->id, 0, watch_now, e);
}

void
end_hang_up(struct end *e)
{
    sim_on_loop(e->line->w, e->id, 0, hang_up, e);
}

static void
cancel_now(void *ctx)
{
    struct line *l = ctx;

    connector_cancel(l->connector);
}

void
line_end(struct line *l)
{
    sim_on_loop(l->w, 2, 0, cancel_now, l);
    sim_on_loop(l->w, 1, 0, close_now, l);
    for (uint32_t i = 0; i < 2; i++)
        end_hang_up(&l->ends[i]);
    sim_settle(l->w, 1);
    for (uint32_t i = 0; i < 2; i++) {
        sim_end(l->w, i + 1);
        carrier_destroy(l->ends[i].carrier);
        pki_release(&l->nodes[i]);
    }
    pki_release(&l->ca);
    sim_destroy(l->w);
}
