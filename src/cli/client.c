#include "cli/client.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/limits.h"
#include "base/mem.h"

enum { READ_BYTES = 64 << 10, OUT_BYTES_MAX = 256 << 20, IN_BYTES_MAX = 1 << 30 };

struct client {
    int socket;
    char peer[300];
    struct buf out;
    struct buf in;
    size_t at; /* what was consumed of `in` */
    struct resp_reply_parser parser;
};

static int
connect_to_one(const struct addrinfo *a)
{
    int fd = socket(a->ai_family, a->ai_socktype | SOCK_CLOEXEC, a->ai_protocol);
    int failed;

    if (fd < 0 || connect(fd, a->ai_addr, a->ai_addrlen) == 0)
        return fd;
    failed = errno;
    close(fd);
    errno = failed;
    return -1;
}

static enum status
connect_to(struct client *c, const char *host, uint16_t port, struct err *err)
{
    struct addrinfo hints = { .ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM };
    struct addrinfo *list = NULL;
    char service[8];
    int failed;

    snprintf(service, sizeof(service), "%u", port);
    failed = getaddrinfo(host, service, &hints, &list);
    if (failed != 0)
        return err_raise(err, ST_IO, "%s: %s", c->peer, gai_strerror(failed));
    for (struct addrinfo *a = list; a != NULL && c->socket < 0; a = a->ai_next)
        c->socket = connect_to_one(a);
    failed = errno;
    freeaddrinfo(list);
    if (c->socket >= 0)
        return ST_OK;
    if (failed == ECONNREFUSED)
        return err_raise(err, ST_IO, "%s: nobody answers; is the server running?", c->peer);
    return err_raise_sys(err, ST_IO, failed, "%s", c->peer);
}

static enum status
authenticate(struct client *c, const char *password, struct err *err)
{
    struct slice words[2] = { slice_str("AUTH"), slice_str(password) };
    struct buf text = buf_empty(ERR_TEXT_MAX);
    struct resp_item item = { 0 };
    enum status st = client_call(c, words, 2, &item, &text, err);

    if (st == ST_OK && item.type == RESP_FAILURE)
        st = err_raise(err, ST_INVALID, "%s: %.*s", c->peer, (int)text.size,
                       (const char *)text.data);
    buf_release(&text);
    return st;
}

enum status
client_open(struct client **out, const char *host, uint16_t port, const char *password,
            struct err *err)
{
    struct client *c = mem_new(struct client);
    enum status st;
    int yes = 1;

    if (c == NULL)
        return err_raise(err, ST_NO_MEMORY, "out of memory");
    c->out = buf_empty(OUT_BYTES_MAX);
    c->in = buf_empty(IN_BYTES_MAX);
    snprintf(c->peer, sizeof(c->peer), "%s:%u", host, port);
    c->socket = -1;
    st = connect_to(c, host, port, err);
    if (st == ST_OK)
        (void)setsockopt(c->socket, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof(yes));
    if (st == ST_OK && password != NULL)
        st = authenticate(c, password, err);
    if (st != ST_OK) {
        client_close(c);
        return st;
    }
    *out = c;
    return ST_OK;
}

void
client_close(struct client *c)
{
    if (c == NULL)
        return;
    if (c->socket >= 0)
        close(c->socket);
    buf_release(&c->out);
    buf_release(&c->in);
    mem_free(c);
}

enum status
client_command(struct client *c, const struct slice *words, size_t count)
{
    struct resp_writer w = resp_writer_to(&c->out, 2);

    resp_put_array(&w, count);
    for (size_t i = 0; i < count; i++)
        resp_put_bulk(&w, words[i]);
    return w.st;
}

enum status
client_flush(struct client *c, struct err *err)
{
    size_t sent = 0;

    while (sent < c->out.size) {
        ssize_t n = send(c->socket, c->out.data + sent, c->out.size - sent, MSG_NOSIGNAL);

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return err_raise_sys(err, ST_CLOSED, errno, "%s: the connection is broken", c->peer);
        sent += (size_t)n;
    }
    c->out.size = 0;
    return ST_OK;
}

static enum status
read_more(struct client *c, struct err *err)
{
    ssize_t n;

    buf_consume(&c->in, c->at);
    c->at = 0;
    if (buf_reserve(&c->in, READ_BYTES) != ST_OK)
        return err_raise(err, ST_NO_MEMORY, "%s: a reply of more than %zu bytes", c->peer,
                         c->in.size);
    do {
        n = recv(c->socket, c->in.data + c->in.size, c->in.capacity - c->in.size, 0);
    } while (n < 0 && errno == EINTR);
    if (n < 0)
        return err_raise_sys(err, ST_IO, errno, "%s: the connection is broken", c->peer);
    if (n == 0)
        return err_raise(err, ST_CLOSED, "%s: the server closed the connection", c->peer);
    c->in.size += (size_t)n;
    return ST_OK;
}

enum status
client_item(struct client *c, struct resp_item *item, bool *last, struct err *err)
{
    for (;;) {
        enum resp_event event = resp_reply_next(&c->parser, buf_slice(&c->in), &c->at, item);
        enum status st;

        if (event == RESP_ITEM) {
            *last = c->parser.depth == 0 && item->type != RESP_ATTRIBUTE;
            return ST_OK;
        }
        if (event == RESP_ERROR)
            return err_raise(err, ST_CORRUPT, "%s: not a reply of the Redis protocol: %s", c->peer,
                             c->parser.error);
        st = read_more(c, err);
        if (st != ST_OK)
            return st;
    }
}

enum status
client_reply(struct client *c, struct resp_item *item, struct buf *text, struct err *err)
{
    bool last = false;
    enum status st = client_item(c, item, &last, err);
    struct resp_item inner;

    if (st == ST_OK && text != NULL) {
        text->size = 0;
        if (buf_append(text, item->text) != ST_OK)
            return err_raise(err, ST_TOO_BIG, "%s: a reply of %zu bytes", c->peer, item->text.size);
    }
    while (st == ST_OK && !last)
        st = client_item(c, &inner, &last, err);
    return st;
}

enum status
client_call(struct client *c, const struct slice *words, size_t count, struct resp_item *item,
            struct buf *text, struct err *err)
{
    enum status st = client_command(c, words, count);

    if (st != ST_OK)
        return err_raise(err, st, "%s: a command that is too large", c->peer);
    st = client_flush(c, err);
    return st == ST_OK ? client_reply(c, item, text, err) : st;
}
