#include "unit/simenv/server.h"

#include "base/mem.h"

static void watch_peer(struct peer *p);

static void
read_all(struct peer *p)
{
    uint8_t chunk[1000];
    size_t got;
    enum status st;

    while ((st = stream_read(p->stream, chunk, sizeof(chunk), &got)) == ST_OK) {
        EXPECT(got > 0 && got <= sizeof(chunk));
        EXPECT_OK(buf_append(&p->in, slice_of(chunk, got)));
    }
    EXPECT(st == ST_WOULD_BLOCK || st == ST_CLOSED);
    p->closed = st == ST_CLOSED;
}

static void
write_some(struct peer *p)
{
    struct slice parts[2];
    size_t half = p->out.size / 2;
    size_t written = 0;
    enum status st;

    parts[0] = slice_of(p->out.data, half);
    parts[1] = slice_of(p->out.data + half, p->out.size - half);
    st = stream_write(p->stream, parts, 2, &written);
    EXPECT((st == ST_OK) == (written > 0));
    EXPECT(st == ST_OK || st == ST_CLOSED || st == ST_WOULD_BLOCK);
    p->closed |= st == ST_CLOSED;
    buf_consume(&p->out, written);
}

void
on_events(void *ctx, unsigned events)
{
    struct peer *p = ctx;

    EXPECT(events != 0 && !p->closed);
    p->calls++;
    if ((events & STREAM_READABLE) != 0)
        read_all(p);
    if ((events & STREAM_WRITABLE) != 0 && p->out.size > 0 && !p->closed)
        write_some(p);
    watch_peer(p);
}

static void
watch_peer(struct peer *p)
{
    unsigned events = p->paused || p->closed ? 0 : STREAM_READABLE;

    if (p->out.size > 0 && !p->closed)
        events |= STREAM_WRITABLE;
    stream_watch(p->stream, events, on_events, p);
}

void
accepted(void *ctx, struct loop *loop, struct stream *stream)
{
    struct server *s = ctx;
    struct peer *p = &s->peers[s->count++];

    p->server = s;
    p->stream = stream;
    p->loop_index = loop_index(loop);
    p->in = buf_empty(KEEP_BYTES);
    p->out = buf_empty(KEEP_BYTES);
    snprintf(p->address, sizeof(p->address), "%s", stream_peer(stream));
    watch_peer(p);
}

void
serve(struct server *s, struct fix *f)
{
    struct err err;

    s->f = f;
    EXPECT_OK(env_listen(f->env, "127.0.0.1", PORT, accepted, s, &s->listener, &err));
}

static void
release_peer(struct peer *p)
{
    buf_release(&p->in);
    buf_release(&p->out);
    if (p->stream != NULL)
        stream_close(p->stream);
    p->stream = NULL;
}

void
end_server(struct server *s)
{
    for (int i = 0; i < s->count; i++)
        release_peer(&s->peers[i]);
    listener_close(s->listener);
}

void
reply(void *ctx)
{
    struct peer *p = ctx;

    if (p->out.size > 0 && !p->closed)
        write_some(p);
    watch_peer(p);
}

void
hang_up(void *ctx)
{
    struct peer *p = ctx;

    stream_close(p->stream);
    p->stream = NULL;
}

void
tell(struct peer *p, struct slice text)
{
    struct fix *f = p->server->f;
    struct mem_heap *outer = mem_heap_enter(sim_heap(f->w, 1));

    EXPECT_OK(buf_append(&p->out, text));
    mem_heap_enter(outer);
    sim_on_loop(f->w, 1, p->loop_index, reply, p);
}

struct slice
pattern(size_t size)
{
    static uint8_t bytes[PATTERN_BYTES_MAX];

    EXPECT(size <= sizeof(bytes));
    for (size_t i = 0; i < size; i++)
        bytes[i] = (uint8_t)(i * 31 + i / 251);
    return slice_of(bytes, size);
}
