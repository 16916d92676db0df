#include "unit/wal/track.h"

#include <stdarg.h>
#include <stdio.h>

#include "base/assert.h"
#include "base/coding.h"

static uint8_t body[TRACK_BODY_MAX];

static void PRINTF_LIKE(2, 3) complain(struct track *t, const char *fmt, ...)
{
    va_list args;

    if (t->failure[0] != '\0')
        return;
    va_start(args, fmt);
    vsnprintf(t->failure, sizeof(t->failure), fmt, args);
    va_end(args);
}

/* What a record of this serial and size holds. */
static struct slice
body_of(uint32_t serial, uint32_t size)
{
    if (size == 0)
        return slice_of(body, 0);
    ASSERT(size >= 4 && size <= TRACK_BODY_MAX);
    for (uint32_t i = 0; i < size; i++)
        body[i] = (uint8_t)(serial * 31 + i * 7 + (i >> 8));
    put_u32le(body, serial);
    return slice_of(body, size);
}

enum status
track_append(struct track *t, struct wal *w, enum wal_record_type type, uint8_t tablet,
             uint32_t size, struct err *err)
{
    uint32_t serial = t->appended + 1;
    struct event *e = &t->events[serial];
    struct wal_record r = {
        .type = type,
        .tablet = tablet,
        .term = serial / 7 + 1,
        .index = type == WAL_HEAD ? 0 : serial,
    };
    enum status st;

    ASSERT(serial <= TRACK_EVENTS_MAX);
    r.body = body_of(serial, size);
    *e = (struct event){ type, tablet, size, wal_end(w), 0 };
    st = wal_append(w, &r, &e->end, err);
    if (st == ST_OK)
        t->appended = serial;
    return st;
}

void
track_acknowledge(struct track *t, const struct wal *w)
{
    while (t->acknowledged < t->appended && t->events[t->acknowledged + 1].end <= wal_durable(w))
        t->acknowledged++;
}

void
track_release(struct track *t, struct wal *w, uint32_t serial)
{
    ASSERT(serial <= t->acknowledged);
    if (serial <= t->released)
        return;
    t->released = serial;
    wal_release(w, serial < t->appended ? t->events[serial + 1].begin : wal_end(w));
}

/* ------------------------------------------------------------------ replay */

void
track_begin(struct track *t)
{
    t->started = false;
    t->seen = 0;
    memset(t->heads, 0, sizeof(t->heads));
}

/* The newest hard state of a tablet among the first `serial` records. */
static uint32_t
head_as_of(const struct track *t, uint8_t tablet, uint32_t serial)
{
    while (serial > 0 &&
           !(t->events[serial].type == WAL_HEAD && t->events[serial].tablet == tablet))
        serial--;
    return serial;
}

static void
check_heads(struct track *t, uint32_t serial)
{
    for (uint8_t tablet = 0; tablet < TRACK_TABLETS; tablet++) {
        if (t->heads[tablet] < head_as_of(t, tablet, serial))
            complain(t, "at %u: tablet %u has hard state %u, not %u", serial, tablet,
                     t->heads[tablet], head_as_of(t, tablet, serial));
    }
}

static void
check_no_entry(struct track *t, uint32_t after, uint32_t before)
{
    for (uint32_t serial = after + 1; serial < before; serial++) {
        if (t->events[serial].type != WAL_HEAD)
            complain(t, "entry %u is missing, released up to %u", serial, after);
    }
}

static void
see_entry(struct track *t, uint32_t serial, wal_position at)
{
    if (!t->started) {
        check_no_entry(t, t->released, serial);
        check_heads(t, serial - 1);
    } else if (serial != t->seen + 1) {
        complain(t, "entry %u after %u", serial, t->seen);
    }
    t->started = true;
    t->seen = serial;
    t->events[serial].begin = at;
}

/* A repeated one says nothing about what else is still needed, so its position does not count. */
static void
see_head(struct track *t, uint32_t serial, uint8_t tablet, wal_position at)
{
    bool repeated = serial == t->heads[tablet];

    if (!t->started && serial < t->heads[tablet])
        complain(t, "hard state %u after %u of tablet %u", serial, t->heads[tablet], tablet);
    if (t->started && !repeated && serial != t->seen + 1)
        complain(t, "hard state %u of tablet %u after %u", serial, tablet, t->seen);
    if (t->started && !repeated)
        t->seen = serial;
    t->heads[tablet] = serial;
    if (!repeated)
        t->events[serial].begin = at;
}

static void
check_fields(struct track *t, const struct wal_record *r, uint32_t serial)
{
    const struct event *e = &t->events[serial];

    if (e->type != r->type || r->tablet != e->tablet || r->term != serial / 7 + 1 ||
        !slice_equal(r->body, body_of(serial, e->size)))
        complain(t, "record %u is not what was written", serial);
}

enum status
track_replay(void *ctx, const struct wal_record *r, wal_position at, struct err *err)
{
    struct track *t = ctx;
    uint32_t serial = r->type != WAL_HEAD ? (uint32_t)r->index
                      : r->body.size >= 4 ? get_u32le(r->body.data)
                                          : 0;

    (void)err;
    if (serial == 0 || serial > t->appended) {
        complain(t, "record %u was never written", serial);
        return ST_OK;
    }
    check_fields(t, r, serial);
    if (r->type != WAL_HEAD)
        see_entry(t, serial, at);
    else
        see_head(t, serial, (uint8_t)r->tablet, at);
    t->events[serial].end = 0;
    return ST_OK;
}

bool
track_end(struct track *t)
{
    if (!t->started) {
        for (uint8_t tablet = 0; tablet < TRACK_TABLETS; tablet++) {
            if (t->heads[tablet] > t->seen)
                t->seen = t->heads[tablet];
        }
        if (t->seen < t->released)
            t->seen = t->released;
        check_no_entry(t, t->released, t->seen);
    }
    check_heads(t, t->seen);
    if (t->seen < t->acknowledged)
        complain(t, "%u records, but %u were acknowledged", t->seen, t->acknowledged);
    t->appended = t->seen;
    t->acknowledged = t->seen;
    return t->failure[0] == '\0';
}
