/* Line sessions: one line, one operation, one line of reply. */
#include "base/limits.h"

#include "api/api_internal.h"
#include "api/transaction.h"
#include "wire/line.h"

static struct call *
begin(struct session *s)
{
    struct call *c = call_create(s, NULL);

    if (c == NULL)
        s->broken = true;
    return c;
}

/* ------------------------------------------------------------------ replies */

static void
reply_word(struct call *c, const char *word)
{
    size_t mark = 0;
    struct resp_writer w = call_reply(c, 64, &mark);

    if (w.st == ST_OK)
        w.st = line_put_reply(w.out, word);
    call_replied(c, &w, mark);
    call_finish(c);
}

static void
reply_error(struct call *c, const char *text)
{
    size_t mark = 0;
    struct resp_writer w = call_reply(c, strlen(text) + 16, &mark);

    if (w.st == ST_OK)
        w.st = line_put_error(w.out, slice_str(text));
    call_replied(c, &w, mark);
    counter_add(&c->session->reactor->counters.errors, 1);
    call_finish(c);
}

static void
reply_value(struct call *c, struct slice value)
{
    size_t mark = 0;
    struct resp_writer w = call_reply(c, value.size + 16, &mark);

    if (w.st == ST_OK)
        w.st = line_put_value(w.out, value);
    call_replied(c, &w, mark);
    call_finish(c);
}

void
line_refuse(struct session *s, const char *text)
{
    struct call *c = begin(s);

    if (c != NULL)
        reply_error(c, text);
}

/* ------------------------------------------------------------------ results */

static void
write_result(struct call *c)
{
    const struct op_result *result = &c->result;

    if (c->op.kind != OP_GET)
        reply_word(c, "OK");
    else if (result->code == OP_NIL)
        reply_word(c, result->was_tombstone ? "DELETED" : "NOT_FOUND");
    else if (result->value.size > 0 && memchr(result->value.data, '\n', result->value.size) != NULL)
        reply_error(c, "value contains a line break");
    else
        reply_value(c, result->value);
}

static void submit(struct call *c);

static void
came_back(struct call *c)
{
    char text[STATUS_TEXT_MAX];
    size_t size = c->result.value.size;

    if (c->request.status != ST_OK) {
        reply_error(c, status_text(c->request.status, &c->request.err, c->is_write, text));
        return;
    }
    if (c->op.kind == OP_GET && !call_hold_room(c, size)) {
        call_await_room(c, size, submit);
        return;
    }
    write_result(c);
}

static void
submit(struct call *c)
{
    c->finish = came_back;
    c->is_write = op_writes(c->op.kind);
    call_submit(c, &c->op, &c->result, 1, LIMIT_VALUE_BYTES);
}

/* ------------------------------------------------------------------ lines */

static void
run_op(struct session *s, enum op_kind kind, const struct line_command *command)
{
    struct call *c = begin(s);

    if (c == NULL)
        return;
    if (command->key.size > LIMIT_KEY_BYTES || command->value.size > LIMIT_VALUE_BYTES) {
        reply_error(c, "too large: a key may have 65536 bytes, a value 16777216");
        return;
    }
    if (block_refs_add(&c->blocks, s->input.block) != ST_OK) {
        s->broken = true;
        return;
    }
    c->bytes = command->key.size + command->value.size;
    s->call_bytes += c->bytes;
    c->op.kind = kind;
    c->op.key = command->key;
    c->op.value = command->value;
    submit(c);
}

static void
run_stats(struct session *s)
{
    struct call *c = begin(s);
    struct buf text = buf_empty(1 << 20);
    enum status st;

    if (c == NULL)
        return;
    st = api_stats_json(s->reactor->api, &text);
    if (st == ST_OK)
        st = buf_append(&text, slice_of("", 1));
    if (st == ST_OK)
        reply_word(c, (const char *)text.data);
    else
        reply_error(c, status_name(st));
    buf_release(&text);
}

static void
run_auth(struct session *s, struct slice password)
{
    struct call *c = begin(s);

    if (c == NULL)
        return;
    if (!atomic_load(&s->reactor->api->password_set)) {
        reply_error(c, "unknown command");
    } else if (!api_password_matches(s->reactor->api, password)) {
        reply_error(c, "wrong password");
    } else {
        session_set_authenticated(s, true);
        reply_word(c, "OK");
    }
}

static struct slice
first_word(struct slice line)
{
    const uint8_t *blank = line.size == 0 ? NULL : memchr(line.data, ' ', line.size);

    return blank == NULL ? line : slice_of(line.data, (size_t)(blank - line.data));
}

void
line_command(struct session *s, struct slice line)
{
    struct line_command command;

    counter_add(&s->reactor->counters.commands, 1);
    line_parse(line, &command);
    if (!s->authenticated && command.verb != LINE_AUTH && command.verb != LINE_UNKNOWN) {
        line_refuse(s, "authentication required");
        return;
    }
    switch (command.verb) {
    case LINE_PUT:
        run_op(s, OP_PUT, &command);
        break;
    case LINE_GET:
        run_op(s, OP_GET, &command);
        break;
    case LINE_DEL:
        run_op(s, OP_DELETE, &command);
        break;
    case LINE_STATS:
        run_stats(s);
        break;
    case LINE_AUTH:
        run_auth(s, command.key);
        break;
    case LINE_UNKNOWN:
        if (!session_refuse_http(s, first_word(line)))
            line_refuse(s, "unknown command");
        break;
    }
}
