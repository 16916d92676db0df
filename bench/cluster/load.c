/*
 * Load on a cluster by a pool of connections, and how long it took.
 *
 *      cluster_load [--rate R] [--seconds S] [--connections N] [--batch B] [--reads R] [--writes W]
 *                   [--keys K] [--key-bytes N] [--value-bytes N] [--keyspace NAME] [--wait REPLICAS]
 *                   [--timeout-ms T] [--fill] PORT...
 *
 * With --rate the loop is open: requests are due at even distances, whatever became of those
 * before, and latency counts from when a request was due.  One that finds no idle connection waits
 * for one, as in a service with a pool.  Without it every connection sends its next request when
 * the last one is answered.  --fill writes every key once, and ends.
 *
 * A request is --batch commands, sent together and answered when all are: GETs or SETs, in the
 * proportion of --reads to --writes, of keys that are drawn evenly.  --wait puts a WAIT behind each
 * request's SETs.  Values cannot be compressed.
 *
 * A request that is not answered within --timeout-ms of when it was due has failed, and so has one
 * that got an error, or whose connection ended.  A connection that ended, or did not answer in
 * time, goes on at the next address.
 *
 * One thread, and no allocation while it runs: its pauses are not to be taken for the cluster's.
 * The result is one line of JSON.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

#include "base/histogram.h"

enum {
    ADDRESSES_MAX = 16,
    CONNECTIONS_MAX = 4096,
    EVENTS_MAX = 256,
    INPUT_BYTES = 1 << 16,
    NOISE_BYTES = 1 << 20,
    COMMAND_BYTES = 128, /* beyond key and value, at most */
    AFTER_LOSS_MS = 10,
    NS_PER_MS = 1000000,
    NS_PER_S = 1000000000,
};

enum verb { READ, WRITE };
enum failure { ERROR_REPLY, LATE, LOST, FAILURES };
enum connection_state { RESTS, CONNECTS, SELECTS, IS_IDLE, ASKS };

struct connection {
    enum connection_state state;
    int fd; /* -1 in RESTS */
    uint32_t at;
    uint64_t due_ns; /* ASKS: of its request.  RESTS: when to call again.  Others: since when */
    enum verb verb;
    uint32_t replies_left;
    bool has_error;
    uint8_t *out;
    size_t out_begin, out_size;
    char line[32]; /* the begin of a reply's first line */
    size_t line_size;
    size_t skip; /* bytes of a value that are still to come */
    struct connection *next_idle;
};

static struct {
    uint64_t rate, seconds, connections, batch, reads, writes, keys, key_bytes, value_bytes, wait,
        timeout_ms;
    const char *keyspace;
    bool fill;
    uint16_t ports[ADDRESSES_MAX];
    uint32_t port_count;

    struct connection pool[CONNECTIONS_MAX];
    struct connection *idle;
    int epoll;
    uint64_t begin_ns, limit_ns;
    uint64_t started; /* requests so far; of an open loop, those that gave up waiting, too */
    uint64_t done[2], failures[FAILURES];
    uint64_t random;
    uint8_t *noise;
    struct histogram latency[2];
} load = { .seconds = 5,
           .connections = 64,
           .batch = 1,
           .reads = 0,
           .writes = 1,
           .keys = 100000,
           .key_bytes = 16,
           .value_bytes = 100,
           .timeout_ms = 5000,
           .random = 0x9e3779b97f4a7c15 };

static void
fail(const char *what)
{
    fprintf(stderr, "cluster_load: %s: %s\n", what, strerror(errno));
    exit(2);
}

static uint64_t
now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * NS_PER_S + (uint64_t)t.tv_nsec;
}

static uint64_t
draw(uint64_t below)
{
    load.random ^= load.random << 13;
    load.random ^= load.random >> 7;
    load.random ^= load.random << 17;
    return load.random % below;
}

/* ------------------------------------------------------------------ connections */

static void
watch(struct connection *c, int operation, uint32_t events)
{
    struct epoll_event e = { .events = events, .data.ptr = c };

    if (epoll_ctl(load.epoll, operation, c->fd, &e) != 0)
        fail("epoll_ctl");
}

static void
rest(struct connection *c, uint64_t t)
{
    if (c->fd >= 0)
        close(c->fd);
    c->fd = -1;
    c->state = RESTS;
    c->due_ns = t + (uint64_t)AFTER_LOSS_MS * NS_PER_MS;
    c->at = (c->at + 1) % load.port_count;
}

static void
lose(struct connection *c, enum failure why, uint64_t t)
{
    if (c->state == ASKS)
        load.failures[why]++;
    if (c->state == IS_IDLE) {
        struct connection **link = &load.idle;

        while (*link != c)
            link = &(*link)->next_idle;
        *link = c->next_idle;
    }
    rest(c, t);
}

static void
call(struct connection *c, uint64_t t)
{
    struct sockaddr_in to = { .sin_family = AF_INET,
                              .sin_port = htons(load.ports[c->at]),
                              .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    int yes = 1;

    c->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (c->fd < 0)
        fail("socket");
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof(yes));
    c->state = CONNECTS;
    c->due_ns = t;
    c->line_size = c->skip = c->out_begin = c->out_size = 0;
    if (connect(c->fd, (struct sockaddr *)&to, sizeof(to)) != 0 && errno != EINPROGRESS)
        rest(c, t);
    else
        watch(c, EPOLL_CTL_ADD, EPOLLIN | EPOLLOUT);
}

static void
push_out(struct connection *c, uint64_t t)
{
    while (c->out_begin < c->out_size) {
        ssize_t n = send(c->fd, c->out + c->out_begin, c->out_size - c->out_begin, MSG_NOSIGNAL);

        if (n < 0 && errno == EAGAIN) {
            watch(c, EPOLL_CTL_MOD, EPOLLIN | EPOLLOUT);
            return;
        }
        if (n < 0) {
            lose(c, LOST, t);
            return;
        }
        c->out_begin += (size_t)n;
    }
}

static void
become_idle(struct connection *c)
{
    c->state = IS_IDLE;
    c->next_idle = load.idle;
    load.idle = c;
}

static void
greet(struct connection *c, uint64_t t)
{
    watch(c, EPOLL_CTL_MOD, EPOLLIN);
    if (load.keyspace == NULL) {
        become_idle(c);
        return;
    }
    c->state = SELECTS;
    c->replies_left = 1;
    c->out_size = (size_t)sprintf((char *)c->out, "*2\r\n$6\r\nSELECT\r\n$%zu\r\n%s\r\n",
                                  strlen(load.keyspace), load.keyspace);
    push_out(c, t);
}

/* ------------------------------------------------------------------ requests */

static void
put_text(struct connection *c, const char *text)
{
    size_t size = strlen(text);

    memcpy(c->out + c->out_size, text, size);
    c->out_size += size;
}

static void
put_command(struct connection *c, uint64_t key)
{
    char text[64 + 256];

    snprintf(text, sizeof(text), "*%d\r\n$3\r\n%s\r\n$%" PRIu64 "\r\nkey:%0*" PRIu64 "\r\n",
             c->verb == READ ? 2 : 3, c->verb == READ ? "GET" : "SET", load.key_bytes,
             (int)load.key_bytes - 4, key);
    put_text(c, text);
    if (c->verb == READ)
        return;
    snprintf(text, sizeof(text), "$%" PRIu64 "\r\n", load.value_bytes);
    put_text(c, text);
    memcpy(c->out + c->out_size, load.noise + draw(NOISE_BYTES - load.value_bytes),
           load.value_bytes);
    c->out_size += load.value_bytes;
    put_text(c, "\r\n");
}

static void
ask(struct connection *c, uint64_t number, uint64_t due_ns)
{
    uint64_t turn = number % (load.reads + load.writes);

    c->verb = load.fill || turn < load.writes ? WRITE : READ;
    c->state = ASKS;
    c->due_ns = due_ns;
    c->replies_left = 0;
    c->has_error = false;
    c->out_begin = c->out_size = 0;
    for (uint64_t i = 0; i < load.batch; i++) {
        uint64_t in_turn = (number * load.batch + i) % load.keys;

        put_command(c, load.fill ? in_turn : draw(load.keys));
        c->replies_left++;
    }
    if (load.wait > 0 && c->verb == WRITE) {
        char text[64];

        snprintf(text, sizeof(text), "*3\r\n$4\r\nWAIT\r\n$1\r\n%" PRIu64 "\r\n$1\r\n0\r\n",
                 load.wait % 10);
        put_text(c, text);
        c->replies_left++;
    }
    push_out(c, now());
}

static bool
is_over(uint64_t t)
{
    if (load.fill)
        return load.started * load.batch >= load.keys;
    return t >= load.limit_ns;
}

/* When the next request is due; of a closed loop, now. */
static uint64_t
next_due(uint64_t t)
{
    if (load.rate == 0)
        return t;
    return load.begin_ns + (uint64_t)((double)load.started * NS_PER_S / (double)load.rate);
}

static void
start_what_is_due(uint64_t t)
{
    uint64_t due;

    while ((due = next_due(t)) <= t && !is_over(due)) {
        struct connection *c = load.idle;

        if (load.rate != 0 && t - due > load.timeout_ms * NS_PER_MS) {
            load.failures[LATE]++;
            load.started++;
            continue;
        }
        if (c == NULL)
            return;
        load.idle = c->next_idle;
        ask(c, load.started++, due);
    }
}

static void
finish(struct connection *c, uint64_t t)
{
    if (c->state == ASKS && c->has_error)
        load.failures[ERROR_REPLY]++;
    if (c->state == ASKS && !c->has_error) {
        load.done[c->verb]++;
        histogram_add(&load.latency[c->verb], t - c->due_ns);
    }
    become_idle(c);
}

/* ------------------------------------------------------------------ replies */

/* The first line of a reply is whole: what follows it? */
static void
take_line(struct connection *c)
{
    c->line[c->line_size < sizeof(c->line) ? c->line_size : sizeof(c->line) - 1] = '\0';
    if (c->line[0] == '-')
        c->has_error = true;
    if (c->line[0] == '$' && c->line[1] != '-')
        c->skip = strtoul(c->line + 1, NULL, 10) + 2;
    if (c->line[0] == ':' && load.wait > 0 && strtoul(c->line + 1, NULL, 10) < load.wait)
        c->has_error = true;
    c->line_size = 0;
}

static void
take_reply(struct connection *c, uint64_t t)
{
    if (--c->replies_left == 0)
        finish(c, t);
}

static void
take_bytes(struct connection *c, const char *data, size_t size, uint64_t t)
{
    for (size_t i = 0; i < size;) {
        if (c->skip > 0) {
            size_t n = size - i < c->skip ? size - i : c->skip;

            i += n;
            c->skip -= n;
            if (c->skip == 0)
                take_reply(c, t);
            continue;
        }
        if (data[i] == '\n') {
            take_line(c);
            if (c->skip == 0)
                take_reply(c, t);
        } else if (c->line_size < sizeof(c->line) - 1) {
            c->line[c->line_size++] = data[i];
        }
        i++;
    }
}

static void
handle(struct connection *c, uint32_t events, uint64_t t)
{
    static char input[INPUT_BYTES];
    ssize_t n;

    if (c->fd < 0)
        return;
    if (c->state == CONNECTS && (events & (EPOLLERR | EPOLLHUP)) == 0) {
        greet(c, t);
        return;
    }
    if (events & EPOLLOUT) {
        watch(c, EPOLL_CTL_MOD, EPOLLIN);
        push_out(c, t);
    }
    if (c->fd < 0 || (events & (EPOLLIN | EPOLLERR | EPOLLHUP)) == 0)
        return;
    n = recv(c->fd, input, sizeof(input), 0);
    if (n > 0 && c->state >= SELECTS && c->state != IS_IDLE)
        take_bytes(c, input, (size_t)n, t);
    else if (n >= 0 || errno != EAGAIN)
        lose(c, LOST, t);
}

/* ------------------------------------------------------------------ the run */

static void
sweep(uint64_t t)
{
    for (uint64_t i = 0; i < load.connections; i++) {
        struct connection *c = &load.pool[i];

        if (c->state == RESTS && t >= c->due_ns)
            call(c, t);
        else if (c->state != RESTS && c->state != IS_IDLE &&
                 t > c->due_ns + load.timeout_ms * NS_PER_MS)
            lose(c, LATE, t);
    }
}

static bool
is_busy(void)
{
    for (uint64_t i = 0; i < load.connections; i++)
        if (load.pool[i].state == ASKS)
            return true;
    return false;
}

/* Waits for events, at most until the next request is due, and never longer than the next sweep. */
static void
turn(uint64_t *swept_ns)
{
    struct epoll_event events[EVENTS_MAX];
    uint64_t t = now();
    uint64_t due = next_due(t);
    uint64_t pause_ns = NS_PER_MS;
    struct timespec pause;
    int n;

    if (load.rate != 0 && load.idle != NULL && !is_over(due) && due < t + pause_ns)
        pause_ns = due > t ? due - t : 0;
    pause = (struct timespec){ .tv_nsec = (long)pause_ns };
    n = epoll_pwait2(load.epoll, events, EVENTS_MAX, &pause, NULL);
    for (int i = 0; i < n; i++)
        handle(events[i].data.ptr, events[i].events, now());
    t = now();
    if (t - *swept_ns >= NS_PER_MS) {
        sweep(t);
        *swept_ns = t;
    }
}

static void
run(void)
{
    uint64_t swept_ns = 0;
    uint64_t ready_limit_ns = now() + 5 * (uint64_t)NS_PER_S;

    for (uint64_t idle = 0; idle < load.connections && now() < ready_limit_ns;) {
        turn(&swept_ns);
        idle = 0;
        for (struct connection *c = load.idle; c != NULL; c = c->next_idle)
            idle++;
        load.begin_ns = now() + NS_PER_S; /* nothing is due yet */
    }
    load.begin_ns = now();
    load.limit_ns = load.begin_ns + load.seconds * NS_PER_S;
    while (!is_over(next_due(now())) || is_busy()) {
        start_what_is_due(now());
        turn(&swept_ns);
    }
}

static void
print_verb(const char *name, enum verb verb)
{
    const struct histogram *h = &load.latency[verb];
    double us = 1000;

    printf("\"%s\": {\"ok\": %" PRIu64
           ", \"p50_us\": %.0f, \"p99_us\": %.0f, \"p999_us\": %.0f, \"max_us\": %.0f}, ",
           name, load.done[verb] * load.batch, (double)histogram_percentile(h, 50) / us,
           (double)histogram_percentile(h, 99) / us, (double)histogram_percentile(h, 99.9) / us,
           (double)h->max / us);
}

static void
print_result(double seconds)
{
    printf("{\"seconds\": %.3f, \"requests\": %" PRIu64 ", ", seconds, load.started);
    print_verb("reads", READ);
    print_verb("writes", WRITE);
    printf("\"errors\": %" PRIu64 ", \"late\": %" PRIu64 ", \"lost\": %" PRIu64 "}\n",
           load.failures[ERROR_REPLY], load.failures[LATE], load.failures[LOST]);
}

static void
prepare(void)
{
    size_t command = COMMAND_BYTES + load.key_bytes + load.value_bytes;

    prctl(PR_SET_TIMERSLACK, 1);
    load.epoll = epoll_create1(EPOLL_CLOEXEC);
    load.noise = malloc(NOISE_BYTES);
    if (load.epoll < 0 || load.noise == NULL)
        fail("start");
    load.random ^= now();
    for (size_t i = 0; i < NOISE_BYTES; i++)
        load.noise[i] = (uint8_t)draw(256);
    for (uint64_t i = 0; i < load.connections; i++) {
        struct connection *c = &load.pool[i];

        c->fd = -1;
        c->at = (uint32_t)(i % load.port_count);
        c->out = malloc(command * load.batch + COMMAND_BYTES);
        if (c->out == NULL)
            fail("start");
    }
}

static void
read_flags(int argc, char **argv)
{
    const struct {
        const char *name;
        uint64_t *value;
    } flags[] = { { "--rate", &load.rate },
                  { "--seconds", &load.seconds },
                  { "--connections", &load.connections },
                  { "--batch", &load.batch },
                  { "--reads", &load.reads },
                  { "--writes", &load.writes },
                  { "--keys", &load.keys },
                  { "--key-bytes", &load.key_bytes },
                  { "--value-bytes", &load.value_bytes },
                  { "--wait", &load.wait },
                  { "--timeout-ms", &load.timeout_ms } };

    for (int i = 1; i < argc; i++) {
        size_t f = 0;

        while (f < sizeof(flags) / sizeof(flags[0]) && strcmp(argv[i], flags[f].name) != 0)
            f++;
        if (f < sizeof(flags) / sizeof(flags[0]) && i + 1 < argc)
            *flags[f].value = strtoull(argv[++i], NULL, 10);
        else if (strcmp(argv[i], "--keyspace") == 0 && i + 1 < argc)
            load.keyspace = argv[++i];
        else if (strcmp(argv[i], "--fill") == 0)
            load.fill = true;
        else if (load.port_count < ADDRESSES_MAX)
            load.ports[load.port_count++] = (uint16_t)strtoul(argv[i], NULL, 10);
    }
    errno = EINVAL;
    if (load.port_count == 0 || load.connections == 0 || load.connections > CONNECTIONS_MAX ||
        load.reads + load.writes == 0 || load.batch == 0 || load.key_bytes < 16 ||
        load.key_bytes > 200 || load.value_bytes >= NOISE_BYTES ||
        (load.keyspace != NULL && strlen(load.keyspace) > 64))
        fail("flags");
}

int
main(int argc, char **argv)
{
    read_flags(argc, argv);
    prepare();
    run();
    print_result((double)(now() - load.begin_ns) / NS_PER_S);
    return 0;
}
