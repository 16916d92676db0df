/*
 * Clients of a cluster, and what they saw.
 *
 *      load FOLDER PREFIX [--writers 3] [--readers 3] [--keys 32] [--pace-ms 5] [--timeout-ms 2500] [--roam]
 *           HOST:PORT...
 *
 * For each address so many writers and readers, each with one connection and one request at a time, until
 * SIGTERM.  Then, in FOLDER:
 *
 *      history   all operations, as `distkv check-history` reads them
 *      failures  each one that did not succeed: return_ns, client, operation, what was said
 *
 * Client c of the n-th address (from 0) has the number 100 * (n + 1) + c; writers come first.  A writer writes
 * in turn a register, of which there are --keys, and a key of its own that is never written again;
 * no value is written twice.  Readers read registers.
 *
 * An operation that is not answered within --timeout-ms is of unknown outcome, and its connection is
 * closed.  With --roam a client whose connection ends, or does not come about, goes on at the next address;
 * otherwise at the same one.
 *
 * One thread and no allocation while it runs: its pauses are not to be taken for the cluster's.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

enum {
    ADDRESSES_MAX = 8,
    CLIENTS_MAX = 256,
    OPS_MAX = 1 << 18,
    REPLY_BYTES_MAX = 512,
    SAID_BYTES = 40,
    NUMBERS_PER_ADDRESS = 100,
    CONNECT_MS = 300,
    AFTER_LOSS_MS = 20,
    AFTER_ERROR_MS = 10,
    NS_PER_MS = 1000000,
};

enum verb { GET, PUT };
enum result { OK, FAIL, UNKNOWN };

struct op {
    uint64_t call_ns;
    uint64_t return_ns;
    uint64_t value;
    uint32_t client;
    uint32_t key; /* a register; or KEY_OF_ITS_OWN: the value says which */
    enum verb verb;
    enum result result;
    bool absent;           /* a GET saw nothing */
    char said[SAID_BYTES]; /* by an error */
};

#define KEY_OF_ITS_OWN UINT32_MAX

enum client_state { RESTS, CONNECTS, IS_READY, ASKS };

struct client {
    enum client_state state;
    int fd; /* -1 in RESTS */
    uint32_t number;
    uint32_t at; /* address */
    bool writes;
    uint64_t due_ns; /* the next step; of CONNECTS and ASKS, when that is given up */
    uint64_t count;  /* operations so far */
    struct op *op;   /* in ASKS */
    char reply[REPLY_BYTES_MAX];
    size_t reply_size;
};

static struct {
    const char *folder;
    const char *prefix;
    uint32_t writers, readers, keys;
    uint64_t pace_ns, timeout_ns;
    bool roam;
    struct sockaddr_in addresses[ADDRESSES_MAX];
    uint32_t address_count;

    struct client clients[CLIENTS_MAX];
    uint32_t client_count;
    struct op *ops;
    uint32_t op_count;
    int epoll;
    uint64_t random;
} load = { .writers = 3, .readers = 3, .keys = 32, .random = 0x9e3779b97f4a7c15 };

static volatile sig_atomic_t ended;

static void
end(int signal)
{
    (void)signal;
    ended = 1;
}

static void
fail(const char *what)
{
    fprintf(stderr, "load: %s: %s\n", what, strerror(errno));
    exit(2);
}

static uint64_t
now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000U + (uint64_t)t.tv_nsec;
}

static uint32_t
draw(uint32_t below)
{
    load.random ^= load.random << 13;
    load.random ^= load.random >> 7;
    load.random ^= load.random << 17;
    return (uint32_t)(load.random % below);
}

/* ------------------------------------------------------------------ an operation */

static void
name_key(const struct op *op, char *out, size_t room)
{
    if (op->key == KEY_OF_ITS_OWN)
        snprintf(out, room, "%s:own:%" PRIx64, load.prefix, op->value);
    else
        snprintf(out, room, "%s:%" PRIu32, load.prefix, op->key);
}

static void
finish(struct client *c, enum result result, const char *said)
{
    c->op->return_ns = now();
    c->op->result = result;
    snprintf(c->op->said, sizeof(c->op->said), "%s", said);
    c->due_ns = c->op->return_ns + (result == OK ? load.pace_ns : AFTER_ERROR_MS * NS_PER_MS);
    c->op = NULL;
    c->state = IS_READY;
}

/* The connection is of no use any more; what was asked on it is of unknown outcome. */
static void
lose(struct client *c, const char *why)
{
    if (c->op != NULL)
        finish(c, UNKNOWN, why);
    close(c->fd);
    c->fd = -1;
    c->state = RESTS;
    c->due_ns = now() + AFTER_LOSS_MS * NS_PER_MS;
    if (load.roam)
        c->at = (c->at + 1) % load.address_count;
}

static void
ask(struct client *c)
{
    struct op *op = &load.ops[load.op_count];
    char key[64], value[32], text[256];
    int size;

    if (load.op_count == OPS_MAX) {
        ended = 1;
        return;
    }
    load.op_count++;
    *op = (struct op){ .client = c->number, .verb = c->writes ? PUT : GET, .key = draw(load.keys) };
    if (c->writes && c->count % 2 == 1)
        op->key = KEY_OF_ITS_OWN;
    op->value = (uint64_t)c->number << 32 | c->count++;
    name_key(op, key, sizeof(key));
    snprintf(value, sizeof(value), "%" PRIx64, op->value);
    if (c->writes)
        size = snprintf(text, sizeof(text), "*3\r\n$3\r\nSET\r\n$%zu\r\n%s\r\n$%zu\r\n%s\r\n",
                        strlen(key), key, strlen(value), value);
    else
        size = snprintf(text, sizeof(text), "*2\r\n$3\r\nGET\r\n$%zu\r\n%s\r\n", strlen(key), key);
    c->op = op;
    c->state = ASKS;
    c->reply_size = 0;
    op->call_ns = now();
    c->due_ns = op->call_ns + load.timeout_ns;
    if (send(c->fd, text, (size_t)size, MSG_NOSIGNAL) != size)
        lose(c, "lost");
}

/* What an error leaves open: only those that say so, or say nothing of it. */
static enum result
result_of(const char *error)
{
    static const char *const certain[] = { "-BUSY ", "-TIMEOUT ", "-OOM ",
                                           "-MISCONF the disk is full" };

    for (size_t i = 0; i < sizeof(certain) / sizeof(certain[0]); i++) {
        if (strncmp(error, certain[i], strlen(certain[i])) == 0)
            return FAIL;
    }
    return UNKNOWN;
}

/* The reply as far as it has come. */
static void
understand(struct client *c)
{
    char *line = c->reply;
    char *rest = strstr(line, "\r\n");

    if (rest == NULL)
        return;
    *rest = '\0';
    if (line[0] == '-') {
        finish(c, c->writes ? result_of(line) : FAIL, line);
    } else if (c->writes) {
        finish(c, strcmp(line, "+OK") == 0 ? OK : UNKNOWN, line);
    } else if (strcmp(line, "$-1") == 0) {
        c->op->absent = true;
        finish(c, OK, "");
    } else if (strstr(rest + 2, "\r\n") != NULL) {
        c->op->value = strtoull(rest + 2, NULL, 16);
        finish(c, OK, "");
    } else {
        *rest = '\r';
    }
}

/* ------------------------------------------------------------------ a client */

static void
call(struct client *c)
{
    struct epoll_event event = { .events = EPOLLIN | EPOLLOUT | EPOLLET, .data.ptr = c };
    const struct sockaddr_in *to = &load.addresses[c->at];
    int one = 1;

    c->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (c->fd < 0)
        fail("socket");
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    if (epoll_ctl(load.epoll, EPOLL_CTL_ADD, c->fd, &event) != 0)
        fail("epoll_ctl");
    c->state = CONNECTS;
    c->due_ns = now() + CONNECT_MS * NS_PER_MS;
    if (connect(c->fd, (const struct sockaddr *)to, sizeof(*to)) != 0 && errno != EINPROGRESS)
        lose(c, "refused");
}

static void
read_reply(struct client *c)
{
    ssize_t n;

    for (;;) {
        char *end_of_it = c->reply + c->reply_size;

        n = recv(c->fd, end_of_it, sizeof(c->reply) - 1 - c->reply_size, 0);
        if (n <= 0)
            break;
        c->reply_size += (size_t)n;
        c->reply[c->reply_size] = '\0';
        if (c->state == ASKS)
            understand(c);
    }
    if (n == 0 || (errno != EAGAIN && errno != EINTR))
        lose(c, "lost");
}

static void
hear(struct client *c, uint32_t events)
{
    if (c->fd < 0)
        return;
    if (c->state == CONNECTS && (events & (EPOLLERR | EPOLLHUP)) == 0 && (events & EPOLLOUT) != 0) {
        c->state = IS_READY;
        c->due_ns = 0;
    }
    if (c->state == CONNECTS && (events & (EPOLLERR | EPOLLHUP)) != 0)
        lose(c, "refused");
    else if ((events & (EPOLLIN | EPOLLERR | EPOLLHUP)) != 0)
        read_reply(c);
}

static void
step(struct client *c)
{
    switch (c->state) {
    case RESTS:
        call(c);
        break;
    case CONNECTS:
        lose(c, "no connection");
        break;
    case IS_READY:
        ask(c);
        break;
    case ASKS:
        lose(c, "no answer");
        break;
    }
}

static void
run(void)
{
    struct epoll_event events[CLIENTS_MAX];

    while (!ended) {
        uint64_t time = now();
        uint64_t next = time + 100 * (uint64_t)NS_PER_MS;
        int count;

        for (uint32_t i = 0; i < load.client_count; i++) {
            struct client *c = &load.clients[i];

            if (c->due_ns <= time)
                step(c);
            next = c->due_ns < next ? c->due_ns : next;
        }
        time = now();
        count = epoll_wait(load.epoll, events, CLIENTS_MAX,
                           next <= time ? 0 : (int)((next - time + NS_PER_MS - 1) / NS_PER_MS));
        for (int i = 0; i < count; i++)
            hear(events[i].data.ptr, events[i].events);
    }
}

/* ------------------------------------------------------------------ what they saw */

static FILE *
create(const char *name)
{
    char path[4096];
    FILE *file;

    snprintf(path, sizeof(path), "%s/%s", load.folder, name);
    file = fopen(path, "w");
    if (file == NULL)
        fail(path);
    return file;
}

static void
write_op(FILE *history, const struct op *op)
{
    static const char *const results[] = { "ok", "fail", "unknown" };
    char key[64];

    name_key(op, key, sizeof(key));
    fprintf(history, "{\"client\":%" PRIu32 ",\"op\":\"%s\",\"key\":\"%s\"", op->client,
            op->verb == PUT ? "put" : "get", key);
    if (op->absent)
        fprintf(history, ",\"value\":null");
    else if (op->verb == PUT || op->result == OK)
        fprintf(history, ",\"value\":\"%" PRIx64 "\"", op->value);
    fprintf(history, ",\"call_ns\":%" PRIu64, op->call_ns);
    if (op->return_ns != 0)
        fprintf(history, ",\"return_ns\":%" PRIu64, op->return_ns);
    fprintf(history, ",\"result\":\"%s\"}\n", results[op->result]);
}

static void
write_all(void)
{
    FILE *history = create("history");
    FILE *failures = create("failures");

    for (uint32_t i = 0; i < load.op_count; i++) {
        struct op *op = &load.ops[i];

        if (op->return_ns == 0) /* it was under way when all ended */
            op->result = UNKNOWN;
        write_op(history, op);
        if (op->return_ns != 0 && op->result != OK)
            fprintf(failures, "%" PRIu64 " %" PRIu32 " %s %s\n", op->return_ns, op->client,
                    op->verb == PUT ? "put" : "get", op->said);
    }
    if (fclose(history) != 0 || fclose(failures) != 0)
        fail(load.folder);
}

/* ------------------------------------------------------------------ arguments */

static void
take_address(char *text)
{
    struct sockaddr_in *a = &load.addresses[load.address_count];
    char *colon = strchr(text, ':');

    errno = EINVAL;
    if (colon == NULL || load.address_count == ADDRESSES_MAX)
        fail(text);
    *colon = '\0';
    *a = (struct sockaddr_in){ .sin_family = AF_INET,
                               .sin_port = htons((uint16_t)strtoul(colon + 1, NULL, 10)) };
    if (inet_pton(AF_INET, text, &a->sin_addr) != 1)
        fail(text);
    load.address_count++;
}

static void
take_arguments(int argc, char **argv)
{
    uint64_t pace_ms = 5, timeout_ms = 2500;

    errno = EINVAL;
    if (argc < 4)
        fail("usage: load FOLDER PREFIX [OPTION...] HOST:PORT...");
    load.folder = argv[1];
    load.prefix = argv[2];
    for (int i = 3; i < argc; i++) {
        const char *flag = argv[i];
        bool last = i + 1 == argc;

        if (strcmp(flag, "--roam") == 0)
            load.roam = true;
        else if (strcmp(flag, "--writers") == 0 && !last)
            load.writers = (uint32_t)strtoul(argv[++i], NULL, 10);
        else if (strcmp(flag, "--readers") == 0 && !last)
            load.readers = (uint32_t)strtoul(argv[++i], NULL, 10);
        else if (strcmp(flag, "--keys") == 0 && !last)
            load.keys = (uint32_t)strtoul(argv[++i], NULL, 10);
        else if (strcmp(flag, "--pace-ms") == 0 && !last)
            pace_ms = strtoull(argv[++i], NULL, 10);
        else if (strcmp(flag, "--timeout-ms") == 0 && !last)
            timeout_ms = strtoull(argv[++i], NULL, 10);
        else
            take_address(argv[i]);
    }
    load.pace_ns = pace_ms * NS_PER_MS;
    load.timeout_ns = timeout_ms * NS_PER_MS;
}

/* They begin one after the other within a pace, not all at once. */
static void
make_clients(void)
{
    uint32_t each = load.writers + load.readers;

    errno = EINVAL;
    if (load.keys == 0 || each >= NUMBERS_PER_ADDRESS || each * load.address_count > CLIENTS_MAX)
        fail("too many clients, or no keys");
    for (uint32_t i = 0; i < each * load.address_count; i++) {
        load.clients[i] =
            (struct client){ .fd = -1,
                             .at = i / each,
                             .number = NUMBERS_PER_ADDRESS * (i / each + 1) + i % each,
                             .writes = i % each < load.writers,
                             .due_ns = now() + draw((uint32_t)load.pace_ns + 1) };
    }
    load.client_count = each * load.address_count;
}

int
main(int argc, char **argv)
{
    struct sigaction action = { .sa_handler = end };

    take_arguments(argc, argv);
    sigaction(SIGTERM, &action, NULL);
    load.ops = calloc(OPS_MAX, sizeof(*load.ops));
    load.epoll = epoll_create1(EPOLL_CLOEXEC);
    if (load.ops == NULL || load.epoll < 0)
        fail("start");
    make_clients();
    run();
    write_all();
    return 0;
}
