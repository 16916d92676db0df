/* SCAN: one step at a time; where it stands is kept in the table of cursors. */
#include "base/mem.h"

#include "api/api_internal.h"
#include "api/redis.h"
#include "wire/decimal.h"

enum { SCAN_COUNT_DEFAULT = 10, SCAN_COUNT_MAX = 64 << 10, SCAN_BYTES_MAX = 256 << 10 };

struct scan_step {
    struct call *call;
    struct kv_scan *scan; /* owned */
    uint64_t cursor;
    struct slice pattern;
    int64_t count;
    bool nothing; /* of a type that no key has */
};

static void
release(struct call *c)
{
    struct scan_step *step = c->task;

    kv_scan_close(step->scan);
    mem_free(step);
}

/* The empty pattern matches the empty key alone. */
void
scan_set_pattern(struct kv_scan_options *options, struct slice pattern)
{
    if (pattern.size == 0) {
        options->has_limit = true;
        options->limit = slice_of("", 1);
    } else if (!slice_equal(pattern, slice_str("*"))) {
        options->pattern = pattern;
    }
}

/* ------------------------------------------------------------------ replies */

static void
reply(struct scan_step *step, uint64_t cursor, const struct entry *keys, uint32_t count)
{
    struct call *c = step->call;
    char text[DECIMAL_BYTES];
    size_t size = 64, mark = 0;
    struct resp_writer w;

    for (uint32_t i = 0; i < count; i++)
        size += keys[i].key.size + 32;
    w = call_reply(c, size, &mark);
    resp_put_array(&w, 2);
    resp_put_bulk(&w, slice_of(text, decimal_format_u64(cursor, text)));
    resp_put_array(&w, count);
    for (uint32_t i = 0; i < count; i++)
        resp_put_bulk(&w, keys[i].key);
    call_replied(c, &w, mark);
    call_finish(c);
}

static void
came(void *ctx, const struct kv_scan_piece *piece)
{
    struct scan_step *step = ctx;
    struct call *c = step->call;
    enum status st = piece->status;
    uint64_t cursor = 0;

    if (st == ST_OK && !piece->end)
        st = cursor_add(&c->session->reactor->api->cursors, step->cursor, c->keyspace,
                        piece->last_key, &cursor);
    if (st != ST_OK)
        call_reply_status(c, st, piece->err);
    else
        reply(step, cursor, piece->entries, piece->count);
}

/* ------------------------------------------------------------------ requests */

/* NULL, or the error. */
static const char *
parse_option(struct scan_step *step, struct slice name, struct slice value)
{
    if (arg_is(name, "COUNT")) {
        if (!decimal_parse_i64(value, &step->count))
            return REDIS_NOT_INTEGER;
        return step->count < 1 ? REDIS_SYNTAX_ERROR : NULL;
    }
    if (arg_is(name, "MATCH"))
        step->pattern = value;
    else if (arg_is(name, "TYPE"))
        step->nothing = !arg_is(value, "string");
    else
        return REDIS_SYNTAX_ERROR;
    return NULL;
}

static const char *
parse(struct scan_step *step, const struct slice *args, uint32_t count)
{
    const char *error = NULL;

    if (!decimal_parse_u64(args[1], &step->cursor))
        return "ERR invalid cursor";
    for (uint32_t i = 2; i < count && error == NULL; i += 2)
        error = i + 1 == count ? REDIS_SYNTAX_ERROR : parse_option(step, args[i], args[i + 1]);
    return error;
}

static void
begin(struct scan_step *step, struct slice from)
{
    struct call *c = step->call;
    struct reactor *r = c->session->reactor;
    uint32_t most = (uint32_t)(step->count < SCAN_COUNT_MAX ? step->count : SCAN_COUNT_MAX);
    struct kv_scan_options options = { .keyspace = c->keyspace,
                                       .from = from,
                                       .after_from = step->cursor != 0,
                                       .deadline_ns = session_deadline_ns(c->session) };
    struct err err = { 0 };
    enum status st;

    scan_set_pattern(&options, step->pattern);
    st = kv_scan_open(r->door, &options, &step->scan, &err);
    if (st != ST_OK)
        call_reply_status(c, st, &err);
    else
        kv_scan_next(step->scan, most, most, SCAN_BYTES_MAX, came, step);
}

/* From where the cursor says. */
static void
go_on(struct scan_step *step)
{
    struct call *c = step->call;
    struct buf from = buf_empty(LIMIT_KEY_BYTES);
    enum status st =
        cursor_find(&c->session->reactor->api->cursors, step->cursor, c->keyspace, &from);

    if (st == ST_NOT_FOUND)
        call_reply_error(c, "ERR invalid cursor");
    else if (st != ST_OK)
        call_reply_status(c, st, NULL);
    else
        begin(step, buf_slice(&from));
    buf_release(&from);
}

void
task_scan(struct call *c, const struct slice *args, uint32_t count)
{
    struct scan_step *step = mem_new(struct scan_step);
    const char *error;

    if (step == NULL) {
        call_reply_status(c, ST_NO_MEMORY, NULL);
        return;
    }
    step->call = c;
    step->pattern = slice_str("*");
    step->count = SCAN_COUNT_DEFAULT;
    c->task = step;
    c->release = release;
    error = parse(step, args, count);
    if (error != NULL)
        call_reply_error(c, error);
    else if (step->nothing)
        reply(step, 0, NULL, 0);
    else if (step->cursor != 0)
        go_on(step);
    else
        begin(step, slice_of(NULL, 0));
}
