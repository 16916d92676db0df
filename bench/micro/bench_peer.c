/*
 * What messages between two nodes cost, over the loopback, beside what bare TCP does with blocks of
 * 64 KB.  Each node is an environment of its own, with one loop on one thread.
 *
 *      bench_peer [seconds]      for each row; default 2
 */
#include <arpa/inet.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/histogram.h"
#include "base/list.h"

#include "env/real.h"
#include "peer/peer.h"

enum {
    MB = 1 << 20,
    TCP_BLOCK = 64 << 10,
    BUDGET_BYTES = 256 << 20,
    SMALL_BYTES = 100,
    STREAMED = 1, /* types */
    QUESTION = 2,
    ANSWER = 3,
};

struct node {
    peer_node id;
    struct node *other;
    struct env *env;
    pthread_t thread;
    struct budget budget;
    struct listener *listener;
    struct peer *peer;
    struct task kick;
    uint64_t asked_ns;
    struct histogram round_trips;
    _Atomic bool up;
    _Atomic size_t streaming; /* messages of this size, as many as there is room for; 0: none */
    _Atomic bool asking;
    _Atomic uint64_t received;
};

static uint8_t payload[MB];

static uint64_t
now_ns(clockid_t clock)
{
    struct timespec t;

    clock_gettime(clock, &t);
    return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

static void
pause_s(double seconds)
{
    struct timespec t = { (time_t)seconds, (long)((seconds - (double)(time_t)seconds) * 1e9) };

    nanosleep(&t, NULL);
}

/* ------------------------------------------------------------------ on the loops */

static bool
send_one(struct node *n, uint8_t type, size_t size)
{
    struct slice part = slice_of(payload, size);
    struct peer_message m = {
        .type = type, .id = n->id, .urgent = type != STREAMED, .parts = &part, .part_count = 1
    };

    return peer_send(n->peer, n->other->id, &m) == ST_OK;
}

static void
ask(struct node *n)
{
    bool sent;

    n->asked_ns = now_ns(CLOCK_MONOTONIC);
    sent = send_one(n, QUESTION, SMALL_BYTES);
    ASSERT(sent);
}

static void
receive(void *ctx, const struct peer_sender *from, uint8_t type, uint64_t id, struct slice bytes)
{
    struct node *n = ctx;

    (void)from;
    (void)id;
    (void)bytes;
    atomic_fetch_add_explicit(&n->received, 1, memory_order_relaxed);
    if (type == QUESTION) {
        bool sent = send_one(n, ANSWER, SMALL_BYTES);

        ASSERT(sent);
    }
    if (type != ANSWER)
        return;
    histogram_add(&n->round_trips, now_ns(CLOCK_MONOTONIC) - n->asked_ns);
    if (atomic_load(&n->asking))
        ask(n);
}

static void
state(void *ctx, peer_node node, uint64_t incarnation)
{
    struct node *n = ctx;

    (void)node;
    atomic_store(&n->up, incarnation != 0);
}

/* After each round, of which there is one whenever the socket has room again. */
static void
after(void *ctx)
{
    struct node *n = ctx;
    size_t size = atomic_load(&n->streaming);

    while (size > 0 && send_one(n, STREAMED, size))
        continue;
    peer_flush(n->peer);
}

static void
kick(struct task *task)
{
    struct node *n = container_of(task, struct node, kick);

    if (atomic_load(&n->asking))
        ask(n);
}

static void *
run_node(void *ctx)
{
    struct err err;
    enum status st = real_env_run(ctx, &err);

    ASSERT(st == ST_OK);
    return NULL;
}

/* ------------------------------------------------------------------ nodes */

static void
node_create(struct node *n, struct node *other, peer_node id)
{
    struct real_env_options env_options = { .loop_count = 1 };
    struct peer_options options;
    enum status st;

    n->id = id;
    n->other = other;
    n->kick.run = kick;
    budget_init(&n->budget, BUDGET_BYTES);
    st = real_env_create(&env_options, &n->env, NULL);
    ASSERT(st == ST_OK);
    peer_options_default(&options);
    options.loop = real_env_loop(n->env, 0);
    options.budget = &n->budget;
    options.self.node = id;
    options.self.incarnation = id;
    options.receive = receive;
    options.state = state;
    options.ctx = n;
    st = peer_create(&n->peer, &options, NULL);
    ASSERT(st == ST_OK);
    loop_set_after(options.loop, after, n);
    st = env_listen(n->env, "127.0.0.1", 0, peer_accepted, &n->peer, &n->listener, NULL);
    ASSERT(st == ST_OK);
}

static void
node_start(struct node *n)
{
    enum status st = peer_set_address(n->peer, n->other->id, "127.0.0.1",
                                      listener_port(n->other->listener), NULL);
    int failed = pthread_create(&n->thread, NULL, run_node, n->env);

    ASSERT(st == ST_OK && failed == 0);
}

static void
node_stop(struct node *n)
{
    real_env_stop(n->env);
    pthread_join(n->thread, NULL);
}

static void
node_destroy(struct node *n)
{
    listener_close(n->listener);
    loop_set_after(real_env_loop(n->env, 0), NULL, NULL);
    peer_destroy(n->peer);
    real_env_destroy(n->env);
}

/* ------------------------------------------------------------------ rows */

static void
measure_stream(struct node *from, struct node *to, size_t size, double seconds)
{
    uint64_t count, cpu, began;
    double took;

    atomic_store(&from->streaming, size);
    loop_post(real_env_loop(from->env, 0), &from->kick);
    pause_s(0.2); /* until it flows */
    count = atomic_load(&to->received);
    began = now_ns(CLOCK_MONOTONIC);
    cpu = now_ns(CLOCK_PROCESS_CPUTIME_ID);
    pause_s(seconds);
    count = atomic_load(&to->received) - count;
    took = (double)(now_ns(CLOCK_MONOTONIC) - began) / 1e9;
    cpu = now_ns(CLOCK_PROCESS_CPUTIME_ID) - cpu;
    printf("%8zu-byte messages: %10.0f a second, %7.0f MB/s, %8.2f us of CPU each\n", size,
           (double)count / took, (double)count * (double)size / took / 1e6,
           (double)cpu / 1e3 / (double)count);
    atomic_store(&from->streaming, 0);
    pause_s(0.3); /* until it has drained */
}

static void
measure_round_trips(struct node *from, double seconds)
{
    atomic_store(&from->asking, true);
    loop_post(real_env_loop(from->env, 0), &from->kick);
    pause_s(seconds);
    atomic_store(&from->asking, false);
    pause_s(0.1);
}

/* The sender of the ceiling: bare TCP. */
static void *
send_blocks(void *ctx)
{
    int fd = *(int *)ctx;

    while (send(fd, payload, TCP_BLOCK, MSG_NOSIGNAL) > 0)
        continue;
    return NULL;
}

static void
connect_pair(int fds[2])
{
    struct sockaddr_in at = { .sin_family = AF_INET };
    socklen_t size = sizeof(at);
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int failed;

    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    failed = bind(listener, (const void *)&at, size) | listen(listener, 1) |
             getsockname(listener, (void *)&at, &size);
    fds[0] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    failed |= connect(fds[0], (const void *)&at, size);
    fds[1] = accept(listener, NULL, NULL);
    ASSERT(failed == 0 && fds[0] >= 0 && fds[1] >= 0);
    close(listener);
}

static void
measure_tcp(double seconds)
{
    static uint8_t block[TCP_BLOCK];
    uint64_t began = now_ns(CLOCK_MONOTONIC), bytes = 0;
    pthread_t sender;
    int fds[2];
    double took = 0;

    connect_pair(fds);
    if (pthread_create(&sender, NULL, send_blocks, &fds[0]) != 0)
        return;
    while (took < seconds) {
        ssize_t n = recv(fds[1], block, sizeof(block), 0);

        bytes += n > 0 ? (uint64_t)n : 0;
        took = (double)(now_ns(CLOCK_MONOTONIC) - began) / 1e9;
    }
    printf("bare TCP, blocks of 64 KB: %7.0f MB/s\n", (double)bytes / took / 1e6);
    close(fds[1]);
    pthread_join(sender, NULL);
    close(fds[0]);
}

int
main(int argc, char **argv)
{
    static struct node nodes[2];
    double seconds = argc > 1 ? strtod(argv[1], NULL) : 2.0;
    const struct histogram *h = &nodes[0].round_trips;

    node_create(&nodes[0], &nodes[1], 1);
    node_create(&nodes[1], &nodes[0], 2);
    node_start(&nodes[0]);
    node_start(&nodes[1]);
    while (!atomic_load(&nodes[0].up) || !atomic_load(&nodes[1].up))
        pause_s(0.01);
    measure_stream(&nodes[0], &nodes[1], SMALL_BYTES, seconds);
    measure_stream(&nodes[0], &nodes[1], MB, seconds);
    measure_round_trips(&nodes[0], seconds);
    node_stop(&nodes[0]);
    node_stop(&nodes[1]);
    printf("round trips of 100 bytes: p50 %.1f us, p99 %.1f us, %llu of them\n",
           (double)histogram_percentile(h, 50) / 1e3, (double)histogram_percentile(h, 99) / 1e3,
           (unsigned long long)h->count);
    measure_tcp(seconds);
    node_destroy(&nodes[0]);
    node_destroy(&nodes[1]);
    return 0;
}
