/* CLIENT: what is known of connections. */
#include <inttypes.h>
#include <stdio.h>

#include "base/mem.h"

#include "api/api_internal.h"
#include "api/hop.h"
#include "api/redis.h"
#include "api/transaction.h"
#include "wire/decimal.h"

enum { LIST_BYTES_MAX = 64 << 20 };

static const char bad_name[] =
    "ERR Client names cannot contain spaces, newlines or special characters.";
static const char long_name[] = "ERR Client names cannot be longer than 64 bytes";

_Static_assert(LIMIT_NAME_BYTES == 64, "the text above names it");

bool
session_name_is_plain(struct slice name)
{
    for (size_t i = 0; i < name.size; i++) {
        if (name.data[i] < '!' || name.data[i] > '~')
            return false;
    }
    return true;
}

static void
copy_name(char to[SESSION_NAME_BYTES], struct slice name)
{
    if (name.size > 0)
        memcpy(to, name.data, name.size);
    to[name.size] = '\0';
}

const char *
session_set_name(struct session *s, struct slice name)
{
    if (!session_name_is_plain(name))
        return bad_name;
    if (name.size > LIMIT_NAME_BYTES)
        return long_name;
    copy_name(s->name, name);
    return NULL;
}

/* ------------------------------------------------------------------ one connection */

/* One line, as Redis writes it, without what has no meaning here. */
static enum status
describe(const struct session *s, uint64_t now_ns, struct buf *out)
{
    const struct transaction *t = s->transaction;
    bool queuing = t != NULL && t->queuing;
    size_t held = input_held_bytes(&s->input);
    size_t unparsed = input_rest(&s->input).size;

    return buf_printf(
        out,
        "id=%" PRIu64 " addr=%s name=%s age=%" PRIu64 " idle=%" PRIu64
        " flags=%s db=%u sub=0 psub=0 ssub=0 multi=%d watch=%u qbuf=%zu qbuf-free=0 argv-mem=%zu "
        "multi-mem=%zu obl=0 oll=0 omem=%zu tot-mem=%zu events=%s%s cmd=%s user=default redir=-1 "
        "resp=%u lib-name=%s lib-ver=%s\n",
        s->id, stream_peer(s->stream), s->name, (now_ns - s->created_ns) / 1000000000,
        (now_ns - s->active_ns) / 1000000000, queuing ? "x" : "N", s->database,
        queuing ? (int)t->queued_count : -1, t != NULL ? t->watch_count : 0, unparsed,
        s->call_bytes, t != NULL ? t->bytes : 0, s->output.pending,
        sizeof(*s) + held + s->call_bytes + s->output.pending,
        (s->watching & STREAM_READABLE) != 0 ? "r" : "",
        (s->watching & STREAM_WRITABLE) != 0 ? "w" : "",
        s->last_command != NULL ? s->last_command->name : "NULL", s->version, s->library,
        s->library_version);
}

void
local_client_id(struct session *s, const struct slice *args, uint32_t count, struct resp_writer *w)
{
    (void)args;
    (void)count;
    resp_put_i64(w, (int64_t)s->id);
}

void
local_client_getname(struct session *s, const struct slice *args, uint32_t count,
                     struct resp_writer *w)
{
    (void)args;
    (void)count;
    if (s->name[0] == '\0')
        resp_put_nil(w);
    else
        resp_put_bulk(w, slice_str(s->name));
}

void
local_client_setname(struct session *s, const struct slice *args, uint32_t count,
                     struct resp_writer *w)
{
    const char *error = session_set_name(s, args[2]);

    (void)count;
    if (error != NULL)
        resp_put_error_text(w, error);
    else
        resp_put_simple(w, "OK");
}

void
local_client_setinfo(struct session *s, const struct slice *args, uint32_t count,
                     struct resp_writer *w)
{
    bool is_name = arg_is(args[2], "LIB-NAME");
    char text[192];

    (void)count;
    if (!is_name && !arg_is(args[2], "LIB-VER")) {
        snprintf(text, sizeof(text), "ERR Unrecognized option '%.*s'",
                 (int)(args[2].size < 128 ? args[2].size : 128), (const char *)args[2].data);
        resp_put_error_text(w, text);
    } else if (!session_name_is_plain(args[3]) || args[3].size > LIMIT_NAME_BYTES) {
        snprintf(text, sizeof(text),
                 "ERR %s cannot contain spaces, newlines or special characters.",
                 is_name ? "lib-name" : "lib-ver");
        resp_put_error_text(w, text);
    } else {
        copy_name(is_name ? s->library : s->library_version, args[3]);
        resp_put_simple(w, "OK");
    }
}

void
local_client_info(struct session *s, const struct slice *args, uint32_t count,
                  struct resp_writer *w)
{
    struct buf line = buf_empty(LIMIT_LOG_LINE_BYTES);
    enum status st = describe(s, loop_now_ns(s->reactor->loop), &line);

    (void)args;
    (void)count;
    if (st == ST_OK)
        resp_put_text(w, buf_slice(&line));
    else
        put_status(w, st, NULL, false);
    buf_release(&line);
}

/* What is switched here does not exist, so that either position is as good. */
static void
put_switch(struct slice arg, struct resp_writer *w)
{
    if (arg_is(arg, "ON") || arg_is(arg, "OFF"))
        resp_put_simple(w, "OK");
    else
        resp_put_error_text(w, REDIS_SYNTAX_ERROR);
}

void
local_client_no_evict(struct session *s, const struct slice *args, uint32_t count,
                      struct resp_writer *w)
{
    (void)s;
    (void)count;
    put_switch(args[2], w);
}

void
local_client_no_touch(struct session *s, const struct slice *args, uint32_t count,
                      struct resp_writer *w)
{
    local_client_no_evict(s, args, count, w);
}

void
local_client_help(struct session *s, const struct slice *args, uint32_t count,
                  struct resp_writer *w)
{
    static const char *const lines[] = {
        "GETNAME",
        "    The name of this connection.",
        "ID",
        "    The number of this connection.",
        "INFO",
        "    What is known of this connection.",
        "LIST [TYPE (NORMAL|MASTER|REPLICA|PUBSUB)] [ID <id> [<id> ...]]",
        "    What is known of every connection, or of these.",
        "NO-EVICT (ON|OFF)",
        "    Accepted; no connection is evicted.",
        "NO-TOUCH (ON|OFF)",
        "    Accepted; reading a key changes nothing.",
        "SETINFO (LIB-NAME|LIB-VER) <value>",
        "    Say which client library this is.",
        "SETNAME <name>",
        "    Give this connection a name.",
    };

    (void)s;
    (void)args;
    (void)count;
    put_help(w, "CLIENT", lines, sizeof(lines) / sizeof(lines[0]));
}

/* ------------------------------------------------------------------ all connections */

/* Goes from reactor to reactor, and gathers. */
struct client_list {
    struct hop hop;
    struct api *api;
    uint32_t next; /* reactor */
    bool nobody;   /* of a type that no connection has */
    const struct slice *ids;
    uint32_t id_count; /* 0: all */
    struct buf text;
    enum status status;
};

static void
release(struct call *c)
{
    struct client_list *l = c->task;

    buf_release(&l->text);
    mem_free(l);
}

static bool
is_wanted(const struct client_list *l, uint64_t id)
{
    uint64_t number;

    for (uint32_t i = 0; i < l->id_count; i++) {
        if (decimal_parse_u64(l->ids[i], &number) && number == id)
            return true;
    }
    return l->id_count == 0 && !l->nobody;
}

static void
gather(struct hop *h)
{
    struct client_list *l = container_of(h, struct client_list, hop);
    struct reactor *r = &l->api->reactors[l->next++];

    list_each (at, &r->sessions) {
        const struct session *s = container_of(at, struct session, link);

        if (is_wanted(l, s->id) && l->status == ST_OK)
            l->status = describe(s, loop_now_ns(r->loop), &l->text);
    }
}

static void
gathered(struct hop *h)
{
    struct client_list *l = container_of(h, struct client_list, hop);
    struct call *c = h->call;
    size_t mark = 0;
    struct resp_writer w;

    if (l->next < l->api->reactor_count && l->status == ST_OK) {
        hop_go(h, l->api->reactors[l->next].loop);
        return;
    }
    if (l->status != ST_OK) {
        call_reply_status(c, l->status, NULL);
        return;
    }
    w = call_reply(c, l->text.size + 64, &mark);
    resp_put_text(&w, buf_slice(&l->text));
    call_replied(c, &w, mark);
    call_finish(c);
}

/* NULL, or the error in `out`. */
static const char *
parse_list(struct client_list *l, const struct slice *args, uint32_t count, char out[192])
{
    int64_t id;

    if (count == 2)
        return NULL;
    if (arg_is(args[2], "TYPE") && count == 4) {
        l->nobody = !arg_is(args[3], "NORMAL");
        if (!l->nobody || arg_is(args[3], "MASTER") || arg_is(args[3], "REPLICA") ||
            arg_is(args[3], "SLAVE") || arg_is(args[3], "PUBSUB"))
            return NULL;
        snprintf(out, 192, "ERR Unknown client type '%.*s'",
                 (int)(args[3].size < 128 ? args[3].size : 128), (const char *)args[3].data);
        return out;
    }
    if (!arg_is(args[2], "ID") || count == 3)
        return REDIS_SYNTAX_ERROR;
    l->ids = args + 3;
    l->id_count = count - 3;
    for (uint32_t i = 0; i < l->id_count; i++) {
        if (!decimal_parse_i64(l->ids[i], &id))
            return "ERR Invalid client ID";
    }
    return NULL;
}

void
task_client_list(struct call *c, const struct slice *args, uint32_t count)
{
    struct client_list *l = mem_new(struct client_list);
    char text[192];
    const char *error;

    args = call_keep_args(c, args, count);
    if (l == NULL || args == NULL) {
        mem_free(l);
        call_reply_status(c, ST_NO_MEMORY, NULL);
        return;
    }
    c->task = l;
    c->release = release;
    l->api = c->session->reactor->api;
    l->text = buf_empty(LIST_BYTES_MAX);
    l->hop = (struct hop){ .call = c, .there = gather, .back = gathered };
    error = parse_list(l, args, count, text);
    if (error != NULL)
        call_reply_error(c, error);
    else
        hop_go(&l->hop, l->api->reactors[0].loop);
}
