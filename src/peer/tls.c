/*
 * A stream of TLS over another stream.
 *
 *      read   <── SSL_read <── records ──┐
 *                                        ├── BIO ── the other stream
 *      write  ──> SSL_write ── records ──┘
 *
 * OpenSSL asks for bytes and gives bytes through a BIO of ours, which is to it what a socket that never blocks is.
 * Nothing of what was written waits here: a record either is the other stream's, or the write has found no room and is
 * offered again.  So whoever closes loses nothing that was accepted.
 *
 * INVARIANTS
 *
 *   T1  `ended` is final: what ended the stream is what every later read and write says.
 *   T2  Before `open` nothing but the handshake is read or written, at most HANDSHAKE_BYTES_MAX of theirs.
 *   T3  Of a write that found no room, OpenSSL has made a record of `offered` bytes already; these come first
 *       in the next one.
 *   T4  Level-triggered: what the other stream does not know of (bytes that OpenSSL holds, an end that is not the
 *       stream's) is told by a task of our own.  `starved`: OpenSSL can give nothing until more bytes come.
 *   T5  The memory stays until neither a callback of ours is on its way nor one is under way.
 */
#include <openssl/err.h>
#include <stdio.h>

#include "base/assert.h"
#include "base/mem.h"

#include "peer/carrier_internal.h"

enum {
    HANDSHAKE_BYTES_MAX = 64 << 10, /* two certificates' lists, and as much again */
    ALERT_BYTES = 7,
};

struct tls {
    struct stream stream; /* what its owner has */
    struct loop *loop;
    struct stream *plain;  /* owned */
    struct budget *budget; /* NULL: none */
    size_t charged;
    SSL *ssl;
    bool calls;
    bool open;
    enum status ended;   /* ST_OK: it goes on */
    enum status carried; /* of the plain stream's end, as the BIO has met it */
    size_t heard;        /* bytes, before `open` */
    bool starved;
    bool blocked;   /* OpenSSL has bytes for which there was no room */
    size_t offered; /* T3 */
    unsigned events;
    stream_fn *fn;
    void *ctx;
    struct task task;
    bool posted;
    bool telling;
    bool closed;
    char why[TLS_WHY_BYTES]; /* "": nothing is known */
};

static void on_plain_event(void *ctx, unsigned events);

/* ------------------------------------------------------------------ the bytes below */

/* To one who may speak plainly, in the only words that an end of TLS has before the handshake. */
static void
say_that_this_is_tls(struct tls *t)
{
    static const uint8_t alert[ALERT_BYTES] = {
        TLS_ALERT, TLS_MAJOR, TLS_MAJOR, 0, 2, TLS_FATAL, SSL_AD_PROTOCOL_VERSION
    };
    struct slice rest = slice_of(alert, sizeof(alert));
    size_t written = 0;

    while (rest.size > 0 && stream_write(t->plain, &rest, 1, &written) == ST_OK)
        rest = slice_of(rest.data + written, rest.size - written);
}

/* T2. */
static enum status
check_handshake(struct tls *t, const uint8_t *bytes, size_t size)
{
    bool is_first = t->heard == 0;

    t->heard += size;
    if (is_first && bytes[0] != TLS_HANDSHAKE && bytes[0] != TLS_ALERT) {
        snprintf(t->why, sizeof(t->why), "it speaks no TLS, and this node speaks nothing else");
        if (!t->calls)
            say_that_this_is_tls(t);
        return ST_INVALID;
    }
    if (t->heard > HANDSHAKE_BYTES_MAX) {
        snprintf(t->why, sizeof(t->why), "TLS: a handshake of more than %d bytes",
                 HANDSHAKE_BYTES_MAX);
        return ST_INVALID;
    }
    return ST_OK;
}

static int
bio_read(BIO *bio, char *out, size_t size, size_t *got)
{
    struct tls *t = BIO_get_data(bio);
    enum status st = stream_read(t->plain, out, size, got);

    BIO_clear_retry_flags(bio);
    if (st == ST_OK && !t->open)
        st = check_handshake(t, (const uint8_t *)out, *got);
    if (st == ST_OK)
        return 1;
    if (st == ST_WOULD_BLOCK)
        BIO_set_retry_read(bio);
    else
        t->carried = st;
    return 0;
}

static int
bio_write(BIO *bio, const char *bytes, size_t size, size_t *written)
{
    struct tls *t = BIO_get_data(bio);
    struct slice all = slice_of(bytes, size);
    enum status st = stream_write(t->plain, &all, 1, written);

    BIO_clear_retry_flags(bio);
    if (st == ST_OK)
        return 1;
    if (st == ST_WOULD_BLOCK)
        BIO_set_retry_write(bio);
    else
        t->carried = st;
    return 0;
}

static long
bio_control(BIO *bio, int command, long number, void *pointer)
{
    (void)bio;
    (void)number;
    (void)pointer;
    return command == BIO_CTRL_FLUSH; /* there is never anything to be flushed */
}

BIO_METHOD *
tls__bio_create(void)
{
    BIO_METHOD *bio = BIO_meth_new(BIO_TYPE_SOURCE_SINK, "stream");

    if (bio == NULL)
        return NULL;
    if (BIO_meth_set_read_ex(bio, bio_read) == 1 && BIO_meth_set_write_ex(bio, bio_write) == 1 &&
        BIO_meth_set_ctrl(bio, bio_control) == 1)
        return bio;
    BIO_meth_free(bio);
    return NULL;
}

/* ------------------------------------------------------------------ the handshake */

static enum status
end(struct tls *t, enum status st)
{
    if (t->why[0] == '\0' && t->carried == ST_OK && st != ST_CLOSED)
        tls__explain(t->ssl, t->why);
    ERR_clear_error();
    if (t->why[0] == '\0' && !t->open)
        snprintf(t->why, sizeof(t->why), "it hung up in the TLS handshake%s",
                 t->calls ? "; perhaps it speaks no TLS" : "");
    t->ended = st; /* T1 */
    return st;
}

/* What a call to OpenSSL that did not succeed means. */
static enum status
judge(struct tls *t, int result)
{
    switch (SSL_get_error(t->ssl, result)) {
    case SSL_ERROR_WANT_READ:
        t->starved = true;
        return ST_WOULD_BLOCK;
    case SSL_ERROR_WANT_WRITE:
        t->blocked = true;
        return ST_WOULD_BLOCK;
    case SSL_ERROR_ZERO_RETURN:
        return end(t, ST_CLOSED);
    default:
        if (t->carried != ST_OK)
            return end(t, t->carried);
        return end(t, t->open ? ST_CORRUPT : ST_INVALID);
    }
}

/* OpenSSL judges by whatever is in the thread's queue of errors. */
static void
begin_call(struct tls *t)
{
    ERR_clear_error();
    t->blocked = false;
}

/* From now on it costs so much. */
static void
charge(struct tls *t, size_t bytes)
{
    if (t->budget == NULL)
        return;
    budget_charge(t->budget, bytes);
    budget_return(t->budget, t->charged);
    t->charged = bytes;
}

static enum status
shake(struct tls *t)
{
    int result;

    if (t->ended != ST_OK || t->open)
        return t->ended;
    begin_call(t);
    result = SSL_do_handshake(t->ssl);
    if (result != 1)
        return judge(t, result);
    t->open = true;
    charge(t, sizeof(*t) + CARRIER_STREAM_BYTES);
    t->starved = false; /* what came with the end of the handshake may be more */
    return ST_OK;
}

/* ------------------------------------------------------------------ reading and writing */

static struct tls *
of(struct stream *s)
{
    return container_of(s, struct tls, stream);
}

/* As many records as are here. */
static enum status
tls_read(struct stream *s, void *out, size_t size, size_t *got)
{
    struct tls *t = of(s);
    enum status st = shake(t);
    bool more = true;
    size_t total = 0;

    while (st == ST_OK && more && total < size) {
        size_t some = 0;
        int result;

        begin_call(t);
        result = SSL_read_ex(t->ssl, (uint8_t *)out + total, size - total, &some);
        total += some;
        t->starved = false;
        if (result != 1)
            st = judge(t, result);
        more = SSL_has_pending(t->ssl) == 1;
    }
    if (total == 0)
        return st;
    *got = total; /* what has become of the rest is said the next time */
    return ST_OK;
}

static enum status
write_record(struct tls *t, struct slice record, size_t *written)
{
    enum status st;
    int result;

    if (t->offered > 0) {
        ASSERT(record.size >= t->offered); /* T3 */
        record.size = t->offered;
    }
    begin_call(t);
    result = SSL_write_ex(t->ssl, record.data, record.size, written);
    t->offered = 0;
    if (result == 1)
        return ST_OK;
    st = judge(t, result);
    if (st == ST_WOULD_BLOCK)
        t->offered = record.size;
    return st;
}

static enum status
tls_write(struct stream *s, const struct slice *parts, size_t count, size_t *written)
{
    struct tls *t = of(s);
    struct record_place place = { parts, count, 0 };
    uint8_t room[RECORD_BYTES];
    enum status st = shake(t);
    size_t total = 0;

    record__go_on(&place, 0); /* past what is empty */
    while (st == ST_OK && place.count > 0) {
        size_t some = 0;

        st = write_record(t, record__next(&place, room), &some);
        total += some;
        record__go_on(&place, some);
    }
    if (total == 0 && st != ST_OK)
        return st;
    *written = total;
    return ST_OK;
}

/* ------------------------------------------------------------------ watching */

/* T4: does the plain stream not know of it? */
static unsigned
events_of_our_own(const struct tls *t)
{
    if (t->ended != ST_OK)
        return t->events;
    if (t->open && !t->starved && SSL_has_pending(t->ssl) == 1)
        return t->events & STREAM_READABLE;
    return 0;
}

static unsigned
events_below(const struct tls *t)
{
    unsigned events = t->open ? t->events : STREAM_READABLE;

    if (t->events == 0)
        return 0;
    return t->blocked ? events | STREAM_WRITABLE : events;
}

static void
look_out(struct tls *t)
{
    stream_watch(t->plain, events_below(t), on_plain_event, t);
    if (events_of_our_own(t) == 0 || t->posted)
        return;
    t->posted = true;
    loop_post(t->loop, &t->task);
}

/* Last: the callee may close it (T5). */
static void
tell(struct tls *t, unsigned events)
{
    if (events != 0) {
        t->telling = true;
        t->fn(t->ctx, events);
        t->telling = false;
    }
    if (!t->closed)
        look_out(t);
    else if (!t->posted)
        mem_free(t);
}

static void
on_own_event(struct task *task)
{
    struct tls *t = container_of(task, struct tls, task);

    t->posted = false;
    if (t->closed)
        mem_free(t);
    else
        tell(t, events_of_our_own(t));
}

static void
on_plain_event(void *ctx, unsigned events)
{
    struct tls *t = ctx;
    bool was_open = t->open;

    if ((events & STREAM_READABLE) != 0)
        t->starved = false;
    if (t->blocked)
        events |= STREAM_READABLE; /* it may have been a read that had something to say */
    if (!was_open && shake(t) == ST_WOULD_BLOCK)
        events = 0;
    else if (!was_open)
        events = STREAM_READABLE | STREAM_WRITABLE; /* it stands, or has ended */
    tell(t, events & t->events);
}

static void
tls_watch(struct stream *s, unsigned events, stream_fn *fn, void *ctx)
{
    struct tls *t = of(s);

    t->events = events;
    t->fn = fn;
    t->ctx = ctx;
    if (!t->telling)
        look_out(t); /* otherwise when that is over */
}

/* ------------------------------------------------------------------ life */

static void
tls_close(struct stream *s)
{
    struct tls *t = of(s);

    ERR_clear_error();
    if (t->open && t->ended == ST_OK && t->offered == 0)
        SSL_shutdown(t->ssl); /* a word of parting, if there is room for it */
    SSL_free(t->ssl);
    stream_close(t->plain);
    charge(t, 0);
    t->closed = true;
    if (!t->telling && !t->posted)
        mem_free(t);
}

static const struct stream_ops tls_ops = {
    .watch = tls_watch,
    .read = tls_read,
    .write = tls_write,
    .close = tls_close,
};

const char *
tls__why(const struct stream *s)
{
    const struct tls *t = (const void *)s; /* its first member */

    return s->ops == &tls_ops && t->why[0] != '\0' ? t->why : NULL;
}

static bool
join(struct tls *t, const BIO_METHOD *method)
{
    BIO *bio = BIO_new(method);

    if (bio == NULL)
        return false;
    BIO_set_data(bio, t);
    BIO_set_init(bio, 1);
    SSL_set_bio(t->ssl, bio, bio); /* takes it */
    if (t->calls)
        SSL_set_connect_state(t->ssl);
    else
        SSL_set_accept_state(t->ssl);
    return true;
}

struct stream *
tls__create(struct carrier *c, struct loop *loop, struct stream *plain, bool calls,
            struct budget *budget)
{
    struct tls *t = mem_new(struct tls);

    if (t == NULL)
        return NULL;
    *t = (struct tls){ .stream = *plain,
                       .loop = loop,
                       .plain = plain,
                       .budget = budget,
                       .calls = calls,
                       .blocked = calls, /* who calls, begins */
                       .task.run = on_own_event };
    t->stream.ops = &tls_ops;
    t->ssl = carrier__begin_session(c, loop);
    if (t->ssl == NULL || !join(t, carrier__bio(c))) {
        SSL_free(t->ssl);
        mem_free(t);
        return NULL;
    }
    charge(t, sizeof(*t) + CARRIER_HANDSHAKE_BYTES);
    return &t->stream;
}
