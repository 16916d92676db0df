#include "model.h"

#include "base/mem.h"

#include "unit/test.h"
#include "wire/decimal.h"
#include "wire/resp.h"

enum { LARGE_MIN = 10 << 10, LARGE_MAX = 200 << 10 };

void
model_init(struct model *m, struct prng *prng, uint32_t number)
{
    *m = (struct model){ .prng = prng, .large_percent = 2 };
    snprintf(m->prefix, sizeof(m->prefix), "c%u:", number);
    for (int i = 0; i < MODEL_KEYS; i++)
        m->values[i] = buf_empty(MODEL_VALUE_MAX);
}

void
model_release(struct model *m)
{
    for (int i = 0; i < MODEL_KEYS; i++)
        buf_release(&m->values[i]);
}

/* ------------------------------------------------------------------ writing requests */

static void
put_words(struct resp_writer *w, uint32_t count, const char *name)
{
    resp_put_array(w, count);
    resp_put_bulk(w, slice_str(name));
}

static void
put_key(const struct model *m, struct resp_writer *w, int key)
{
    char text[32];

    snprintf(text, sizeof(text), "%sk%d", m->prefix, key);
    resp_put_bulk(w, slice_str(text));
}

static int
any_key(struct model *m)
{
    return (int)prng_below(m->prng, MODEL_KEYS);
}

static void
random_value(struct model *m, struct buf *out)
{
    size_t size = prng_below(m->prng, 40);

    out->size = 0;
    if (prng_chance(m->prng, 1, 4)) {
        char text[DECIMAL_BYTES];

        EXPECT_OK(buf_append(
            out, slice_of(text, decimal_format_i64((int64_t)prng_below(m->prng, 1000), text))));
        return;
    }
    if (prng_chance(m->prng, m->large_percent, 100))
        size = LARGE_MIN + prng_below(m->prng, LARGE_MAX - LARGE_MIN);
    EXPECT_OK(buf_reserve(out, size));
    for (size_t i = 0; i < size; i++)
        out->data[out->size++] = (uint8_t)('a' + (i * 7 + size) % 26);
}

/* ------------------------------------------------------------------ what keys become */

static void
set(struct model *m, int key, struct slice value)
{
    m->values[key].size = 0;
    EXPECT_OK(buf_append(&m->values[key], value));
    m->exists[key] = true;
}

static void
reply_value(struct model *m, int key, struct resp_writer *r)
{
    if (m->exists[key])
        resp_put_bulk(r, buf_slice(&m->values[key]));
    else
        resp_put_nil(r);
}

static void
incr(struct model *m, int key, struct resp_writer *r)
{
    char text[DECIMAL_BYTES];
    int64_t value = 0;

    if (m->exists[key] && !decimal_parse_i64(buf_slice(&m->values[key]), &value)) {
        resp_put_error_text(r, "ERR value is not an integer or out of range");
        return;
    }
    set(m, key, slice_of(text, decimal_format_i64(++value, text)));
    resp_put_i64(r, value);
}

static void
append(struct model *m, int key, struct slice tail, struct resp_writer *r)
{
    if (!m->exists[key])
        m->values[key].size = 0;
    EXPECT_OK(buf_append(&m->values[key], tail));
    m->exists[key] = true;
    resp_put_i64(r, (int64_t)m->values[key].size);
}

/* ------------------------------------------------------------------ commands */

static void
put_command(struct model *m, struct resp_writer *w, const char *name, int key, struct slice value)
{
    put_words(w, 3, name);
    put_key(m, w, key);
    resp_put_bulk(w, value);
}

static void
step_value(struct model *m, struct resp_writer *w, struct resp_writer *r)
{
    struct buf buf = buf_empty(MODEL_VALUE_MAX);
    int key = any_key(m);
    struct slice value;

    random_value(m, &buf);
    value = buf_slice(&buf);
    switch (prng_below(m->prng, 4)) {
    case 0:
        put_command(m, w, "SETNX", key, value);
        resp_put_i64(r, !m->exists[key]);
        if (!m->exists[key])
            set(m, key, value);
        break;
    case 1:
        put_command(m, w, "GETSET", key, value);
        reply_value(m, key, r);
        set(m, key, value);
        break;
    case 2:
        put_command(m, w, "APPEND", key, value);
        append(m, key, value, r);
        break;
    default:
        put_command(m, w, "SET", key, value);
        resp_put_simple(r, "OK");
        set(m, key, value);
        break;
    }
    buf_release(&buf);
}

static void
step_key(struct model *m, struct resp_writer *w, struct resp_writer *r)
{
    int key = any_key(m);

    switch (prng_below(m->prng, 7)) {
    case 0:
        put_words(w, 2, "DEL");
        resp_put_i64(r, m->exists[key]);
        m->exists[key] = false;
        break;
    case 1:
        put_words(w, 2, "EXISTS");
        resp_put_i64(r, m->exists[key]);
        break;
    case 2:
        put_words(w, 2, "STRLEN");
        resp_put_i64(r, m->exists[key] ? (int64_t)m->values[key].size : 0);
        break;
    case 3:
        put_words(w, 2, "INCR");
        incr(m, key, r);
        break;
    case 4:
        put_words(w, 2, "GETDEL");
        reply_value(m, key, r);
        m->exists[key] = false;
        break;
    default:
        put_words(w, 2, "GET");
        reply_value(m, key, r);
        break;
    }
    put_key(m, w, key);
}

static void
step_many(struct model *m, struct resp_writer *w, struct resp_writer *r)
{
    uint32_t count = 1 + (uint32_t)prng_below(m->prng, 6);

    put_words(w, count + 1, "MGET");
    resp_put_array(r, count);
    for (uint32_t i = 0; i < count; i++) {
        int key = any_key(m);

        put_key(m, w, key);
        reply_value(m, key, r);
    }
}

static void
step_other(struct model *m, struct resp_writer *w, struct resp_writer *r)
{
    switch (prng_below(m->prng, 3)) {
    case 0:
        put_words(w, 1, "PING");
        resp_put_simple(r, "PONG");
        break;
    case 1:
        put_words(w, 2, "ECHO");
        resp_put_bulk(w, slice_str("echo"));
        resp_put_bulk(r, slice_str("echo"));
        break;
    default:
        put_words(w, 1, "NOSUCH");
        resp_put_error_text(r, "ERR unknown command 'NOSUCH', with args beginning with: ");
        break;
    }
}

static void
step_one(struct model *m, struct resp_writer *w, struct resp_writer *r)
{
    uint64_t kind = prng_below(m->prng, 10);

    if (kind < 3)
        step_value(m, w, r);
    else if (kind < 8)
        step_key(m, w, r);
    else
        step_many(m, w, r);
}

static void
step_unit(struct model *m, struct resp_writer *w, struct resp_writer *r)
{
    uint32_t count = (uint32_t)prng_below(m->prng, 5);
    struct buf replies = buf_empty(64 << 20);
    struct resp_writer inner = resp_writer_to(&replies, 2);

    put_words(w, 1, "MULTI");
    resp_put_simple(r, "OK");
    for (uint32_t i = 0; i < count; i++) {
        step_one(m, w, &inner);
        resp_put_simple(r, "QUEUED");
    }
    put_words(w, 1, "EXEC");
    resp_put_array(r, count);
    resp_put_raw(r, buf_slice(&replies));
    EXPECT_OK(inner.st);
    buf_release(&replies);
}

void
model_step(struct model *m, struct buf *request, struct buf *reply)
{
    struct resp_writer w = resp_writer_to(request, 2);
    struct resp_writer r = resp_writer_to(reply, 2);
    uint64_t kind = prng_below(m->prng, 20);

    if (kind == 0)
        step_other(m, &w, &r);
    else if (kind < 3)
        step_unit(m, &w, &r);
    else
        step_one(m, &w, &r);
    EXPECT_OK(w.st);
    EXPECT_OK(r.st);
}
