/*
 * Golden tests: commands in, exact bytes out, against a whole node in a
 * simulated world.
 *
 *      run_golden file...
 *
 *      # a comment
 *      > SET k "a b"       a command, in words as redis-cli takes them, sent as an array of bulk
 *                          strings; on a line door: the line itself
 *      < +OK\r\n           what is replied, a line at a time, escaped
 *      <~ :1?\r\n          the same, as a glob
 *      >> PING\r\n*0       bytes, escaped; the reply is whatever comes
 *      @client B           go on as another client of the Redis port (A at first)
 *      @line B             the same, of the line port
 *      @wait 1500          let so many milliseconds pass
 *      @closed             the node closes this connection
 *      @disk full|ok       what the node's disk has room for
 *      @log fails          every write and sync of the disk fails from now on
 *      @password x         the node's password ("" takes it away)
 *
 * With GOLDEN_UPDATE=1 in the environment the files are rewritten with what was replied: read the
 * difference before believing it.
 */
#include "unit/api/api_fixture.h"
#include "unit/test.h"
#include "wire/resp.h"

enum { LINE_MAX_BYTES = 1 << 16, CLIENTS_MAX = 26, QUIET_MS = 400 };

struct golden {
    struct inn n;
    struct client clients[CLIENTS_MAX];
    bool is_line[CLIENTS_MAX];
    int now;        /* the client that speaks */
    struct buf out; /* the file as it should be */
    const char *path;
    int line;
    int failures;
    char **lines;
    int line_count;
};

/* ------------------------------------------------------------------ escaping */

static void
put_escaped(struct buf *out, struct slice bytes)
{
    for (size_t i = 0; i < bytes.size; i++) {
        uint8_t c = bytes.data[i];

        if (c == '\r')
            EXPECT_OK(buf_printf(out, "\\r"));
        else if (c == '\n')
            EXPECT_OK(buf_printf(out, "\\n"));
        else if (c == '\\')
            EXPECT_OK(buf_printf(out, "\\\\"));
        else if (c < 0x20 || c >= 0x7f)
            EXPECT_OK(buf_printf(out, "\\x%02x", c));
        else
            EXPECT_OK(buf_append(out, slice_of(&c, 1)));
    }
}

static int
hex(char c)
{
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static void
put_unescaped(struct buf *out, const char *text)
{
    for (const char *at = text; *at != '\0'; at++) {
        uint8_t c = (uint8_t)*at;

        if (c == '\\' && at[1] != '\0') {
            at++;
            c = *at == 'r' ? '\r' : *at == 'n' ? '\n' : (uint8_t)*at;
            if (*at == 'x' && hex(at[1]) >= 0 && hex(at[2]) >= 0) {
                c = (uint8_t)(hex(at[1]) << 4 | hex(at[2]));
                at += 2;
            }
        }
        EXPECT_OK(buf_append(out, slice_of(&c, 1)));
    }
}

/* ------------------------------------------------------------------ talking */

static struct client *
me(struct golden *g)
{
    return &g->clients[g->now];
}

static void
send_words(struct golden *g, char *text)
{
    struct buf words = buf_empty(1 << 20), all = buf_empty(1 << 20);
    struct resp_inline it = { (uint8_t *)text, (uint8_t *)text + strlen(text) };
    struct resp_writer w = resp_writer_to(&words, 2);
    struct resp_writer head = resp_writer_to(&all, 2);
    enum resp_event event;
    struct slice word;
    uint32_t count = 0;

    while ((event = resp_inline_next(&it, &word)) == RESP_ARG) {
        resp_put_bulk(&w, word);
        count++;
    }
    EXPECT_U64(event, RESP_END);
    resp_put_array(&head, count);
    resp_put_raw(&head, buf_slice(&words));
    EXPECT_OK(head.st);
    client_send(me(g), buf_slice(&all));
    buf_release(&words);
    buf_release(&all);
}

static void
send_command(struct golden *g, char *text)
{
    if (!g->is_line[g->now]) {
        send_words(g, text);
        return;
    }
    client_send_text(me(g), text);
    client_send_text(me(g), "\n");
}

/* Everything that comes until it has been quiet for a while. */
static struct slice
take_all(struct golden *g)
{
    size_t seen = 0;

    for (int quiet = 0; quiet < QUIET_MS; quiet++) {
        sim_run_ms(g->n.w, 1);
        if (client_waiting(me(g)) != seen)
            quiet = 0;
        seen = client_waiting(me(g));
    }
    return sim_client_received(me(g)->c);
}

/* ------------------------------------------------------------------ comparing */

static void
fail_at_line(struct golden *g, const char *want, struct slice got)
{
    print_error("%s:%d: got   %.*s\n", g->path, g->line, (int)got.size, (const char *)got.data);
    print_error("%s:%d: want  %s\n", g->path, g->line, want);
    g->failures++;
}

/* One line of the reply against one of the file, or against its absence. */
static void
check_line(struct golden *g, struct slice got)
{
    const char *want = g->line < g->line_count ? g->lines[g->line] : "";

    if (strncmp(want, "<~ ", 3) == 0 && kv_glob(slice_str(want + 3), got)) {
        EXPECT_OK(buf_printf(&g->out, "%s\n", want));
        g->line++;
        return;
    }
    EXPECT_OK(buf_printf(&g->out, "< %.*s\n", (int)got.size, (const char *)got.data));
    if (want[0] != '<') {
        fail_at_line(g, "(nothing more)", got);
        return;
    }
    g->line++;
    if (strncmp(want, "< ", 2) != 0 || !slice_equal(slice_str(want + 2), got))
        fail_at_line(g, want, got);
}

static void
check_reply(struct golden *g, struct slice reply)
{
    size_t begin = 0;

    while (begin < reply.size) {
        const uint8_t *end = memchr(reply.data + begin, '\n', reply.size - begin);
        size_t limit = end == NULL ? reply.size : (size_t)(end - reply.data) + 1;
        struct buf text = buf_empty(64 << 20);

        put_escaped(&text, slice_of(reply.data + begin, limit - begin));
        check_line(g, buf_slice(&text));
        buf_release(&text);
        begin = limit;
    }
    while (g->line < g->line_count && g->lines[g->line][0] == '<')
        fail_at_line(g, g->lines[g->line++], slice_str("(nothing more)"));
}

/* ------------------------------------------------------------------ lines of the file */

static void
choose_client(struct golden *g, const char *name, bool is_line)
{
    int i = name[0] - 'A';

    EXPECT(i >= 0 && i < CLIENTS_MAX);
    g->now = i;
    if (g->clients[i].c != NULL)
        return;
    g->clients[i] = is_line ? client_connect_line(&g->n) : client_connect(&g->n);
    g->is_line[i] = is_line;
}

static void
direct(struct golden *g, const char *text)
{
    if (strncmp(text, "client ", 7) == 0)
        choose_client(g, text + 7, false);
    else if (strncmp(text, "line ", 5) == 0)
        choose_client(g, text + 5, true);
    else if (strncmp(text, "wait ", 5) == 0)
        sim_run_ms(g->n.w, (uint64_t)atoi(text + 5));
    else if (strcmp(text, "closed") == 0)
        client_expect_closed(me(g));
    else if (strcmp(text, "disk full") == 0)
        sim_set_capacity(g->n.w, NODE_ID, 1);
    else if (strcmp(text, "disk ok") == 0)
        sim_set_capacity(g->n.w, NODE_ID, UINT64_C(1) << 40);
    else if (strcmp(text, "log fails") == 0)
        sim_fail(g->n.w, NODE_ID, SIM_WRITE | SIM_SYNC, 1, true, ST_IO);
    else if (strncmp(text, "password ", 9) == 0)
        api_set_password(g->n.api, text + 9);
    else
        fail_msg("%s:%d: what is @%s?", g->path, g->line, text);
}

static void
run_line(struct golden *g)
{
    char *text = g->lines[g->line++];

    EXPECT_OK(buf_printf(&g->out, "%s\n", text));
    if (strncmp(text, ">> ", 3) == 0) {
        struct buf raw = buf_empty(1 << 20);
        struct slice reply;

        put_unescaped(&raw, text + 3);
        client_send(me(g), buf_slice(&raw));
        buf_release(&raw);
        reply = take_all(g);
        check_reply(g, reply);
        sim_client_consume(me(g)->c, reply.size);
    } else if (strncmp(text, "> ", 2) == 0) {
        send_command(g, text + 2);
        check_reply(g, g->is_line[g->now] ? client_line(me(g)) : client_reply(me(g)));
    } else if (text[0] == '@') {
        direct(g, text + 1);
    } else if (text[0] == '<') {
        fail_at_line(g, text, slice_str("(nothing more)"));
    }
}

/* ------------------------------------------------------------------ files */

static void
read_lines(struct golden *g, char *bytes)
{
    for (char *line = strtok(bytes, "\n"); line != NULL; line = strtok(NULL, "\n")) {
        g->lines = realloc(g->lines, (size_t)(g->line_count + 1) * sizeof(char *));
        assert_non_null(g->lines);
        g->lines[g->line_count++] = line;
    }
}

/* strtok would join empty lines: they become comments of one space. */
static char *
read_file(const char *path)
{
    FILE *f = fopen(path, "r");
    char *bytes = calloc(1, 4 << 20);
    size_t at = 0;
    int c;

    assert_non_null(f);
    assert_non_null(bytes);
    while ((c = fgetc(f)) != EOF && at < (4 << 20) - 2) {
        if (c == '\n' && (at == 0 || bytes[at - 1] == '\n'))
            bytes[at++] = ' ';
        bytes[at++] = (char)c;
    }
    fclose(f);
    return bytes;
}

static void
write_file(struct golden *g)
{
    FILE *f = fopen(g->path, "w");

    assert_non_null(f);
    for (size_t i = 0; i < g->out.size; i++) {
        bool blank = g->out.data[i] == ' ' && g->out.data[i + 1] == '\n' &&
                     (i == 0 || g->out.data[i - 1] == '\n');

        if (!blank)
            fputc(g->out.data[i], f);
    }
    fclose(f);
}

static int
run_file(const char *path)
{
    struct golden g = { .path = path, .out = buf_empty(64 << 20) };
    char *bytes = read_file(path);
    int failures;

    inn_init(&g.n, 1);
    inn_open(&g.n);
    choose_client(&g, "A", false);
    read_lines(&g, bytes);
    /* A file in the folder of the line protocol begins on the line port. */
    if (strstr(path, "/line/") != NULL) {
        client_close(&g.clients[0]);
        choose_client(&g, "A", true);
    }
    while (g.line < g.line_count)
        run_line(&g);
    for (int i = 0; i < CLIENTS_MAX; i++) {
        if (g.clients[i].c != NULL)
            client_close(&g.clients[i]);
    }
    inn_crash(&g.n);
    inn_release(&g.n);
    if (g.failures > 0 && getenv("GOLDEN_UPDATE") != NULL)
        write_file(&g);
    failures = g.failures;
    buf_release(&g.out);
    free(g.lines);
    free(bytes);
    print_message("%s: %d differences\n", path, failures);
    return failures;
}

int
main(int argc, char **argv)
{
    int failures = 0;

    for (int i = 1; i < argc; i++)
        failures += run_file(argv[i]);
    return failures > 0 ? 1 : 0;
}
