#include "unit/api/client.h"

#include "unit/test.h"
#include "wire/resp.h"

void
client_close(struct client *c)
{
    sim_client_close(c->c);
    c->c = NULL;
}

void
client_send(struct client *c, struct slice bytes)
{
    sim_client_send(c->c, bytes);
}

void
client_send_text(struct client *c, const char *text)
{
    client_send(c, slice_str(text));
}

size_t
client_waiting(struct client *c)
{
    return sim_client_received(c->c).size;
}

/* The size of one whole reply at the front, or 0. */
static size_t
whole_reply(struct slice bytes)
{
    struct resp_reply_parser p = { 0 };
    struct resp_item item;
    size_t at = 0;

    do {
        if (resp_reply_next(&p, bytes, &at, &item) != RESP_ITEM)
            return 0;
    } while (p.depth > 0);
    return at;
}

static size_t
whole_line(struct slice bytes)
{
    const uint8_t *end = bytes.size == 0 ? NULL : memchr(bytes.data, '\n', bytes.size);

    return end == NULL ? 0 : (size_t)(end - bytes.data) + 1;
}

/* What was returned before is consumed now. */
static struct slice
take(struct client *c, size_t (*whole)(struct slice bytes))
{
    static uint8_t kept[1 << 20];

    for (int ms = 0; ms < CLIENT_PATIENCE_MS; ms++) {
        struct slice bytes = sim_client_received(c->c);
        size_t size = whole(bytes);

        if (size > 0) {
            EXPECT(size <= sizeof(kept));
            memcpy(kept, bytes.data, size);
            sim_client_consume(c->c, size);
            return slice_of(kept, size);
        }
        if (sim_client_closed(c->c) && bytes.size == sim_client_received(c->c).size)
            break;
        sim_run_ms(c->w, 1);
    }
    return slice_of(NULL, 0);
}

struct slice
client_reply(struct client *c)
{
    return take(c, whole_reply);
}

struct slice
client_line(struct client *c)
{
    return take(c, whole_line);
}

void
client_expect_bytes(struct client *c, struct slice want)
{
    size_t matched = 0;

    for (int ms = 0; ms < CLIENT_PATIENCE_MS && matched < want.size; ms++) {
        struct slice got = sim_client_received(c->c);
        size_t size = got.size < want.size - matched ? got.size : want.size - matched;

        if (size > 0) {
            struct slice expected = slice_of(want.data + matched, size);

            test_expect_slice(slice_of(got.data, size), expected, __FILE__, __LINE__);
            sim_client_consume(c->c, size);
            matched += size;
            continue;
        }
        sim_run_ms(c->w, 1);
    }
    EXPECT_U64(matched, want.size);
}

void
client_expect(struct client *c, const char *text)
{
    client_expect_bytes(c, slice_str(text));
}

void
client_ask(struct client *c, const char *command, const char *reply)
{
    client_send_text(c, command);
    client_send_text(c, "\r\n");
    client_expect(c, reply);
}

void
client_expect_closed(struct client *c)
{
    for (int ms = 0; ms < CLIENT_PATIENCE_MS && !sim_client_closed(c->c); ms++)
        sim_run_ms(c->w, 1);
    EXPECT(sim_client_closed(c->c));
}
