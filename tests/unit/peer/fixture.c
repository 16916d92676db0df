#include "unit/peer/fixture.h"

#include "base/mem.h"

/* ------------------------------------------------------------------ callbacks */

static uint8_t
fill_byte(uint64_t number, size_t at)
{
    return (uint8_t)(number * 31 + at * 7 + at / 256);
}

static bool
is_intact(uint64_t number, struct slice payload)
{
    for (size_t i = NUMBER_BYTES; i < payload.size; i++) {
        if (payload.data[i] != fill_byte(number, i))
            return false;
    }
    return true;
}

/* A new process counts from 0; nothing of an older one comes after it. */
static void
note_life(struct heard *h, uint64_t incarnation)
{
    if (h->incarnation == incarnation)
        return;
    h->stale += incarnation < h->incarnation;
    if (h->incarnation != 0)
        memset(h->next, 0, sizeof(h->next));
    h->incarnation = incarnation;
}

static void
receive(void *ctx, const struct peer_sender *from, uint8_t type, uint64_t id, struct slice payload)
{
    struct seat *seat = ctx;
    uint32_t loop = (uint32_t)id;
    struct heard *h = &seat->m->heard[from->node][loop];
    uint64_t number;

    EXPECT(from->node >= 1 && from->node <= NODES_MAX && loop < LOOPS_MAX);
    EXPECT(type < TYPES && payload.size >= NUMBER_BYTES);
    memcpy(&number, payload.data, sizeof(number));
    note_life(h, from->incarnation);
    h->count[type]++;
    h->damaged += !is_intact(number, payload);
    if (number < h->next[type]) {
        h->overtaken++;
        return;
    }
    h->skipped += number - h->next[type];
    h->next[type] = number + 1;
}

static void
state(void *ctx, peer_node node, uint64_t incarnation)
{
    struct seat *seat = ctx;
    struct member *m = seat->m;

    if (seat->loop != 0 || m->state_count == STATES_MAX)
        return;
    m->states[m->state_count] = incarnation;
    m->state_nodes[m->state_count++] = (uint32_t)node;
}

static void
flush_after(void *ctx)
{
    peer_flush(ctx);
}

/* ------------------------------------------------------------------ members */

struct starting {
    struct seat *seat;
    enum status st;
};

static void
create_peer(void *ctx)
{
    struct starting *s = ctx;
    struct member *m = s->seat->m;
    struct peer_options options = m->c->options;
    struct loop *loop = sim_loop(m->c->w, m->id, s->seat->loop);

    options.loop = loop;
    options.budget = &m->budget;
    memcpy(options.self.cluster, m->c->id, PEER_CLUSTER_BYTES);
    options.self.node = m->id;
    options.self.incarnation = m->lives * 100 + m->id;
    options.receive = receive;
    options.state = state;
    options.ctx = s->seat;
    options.faults = &m->c->faults;
    s->st = peer_create(&m->peers[s->seat->loop], &options, NULL);
    if (s->st == ST_OK)
        loop_set_after(loop, flush_after, m->peers[s->seat->loop]);
}

static void
begin_listening(void *ctx)
{
    struct starting *s = ctx;
    struct member *m = s->seat->m;
    struct env *env = loop_env(sim_loop(m->c->w, m->id, 0));

    s->st = env_listen(env, "0.0.0.0", PEER_PORT, peer_accepted, m->peers, &m->listener, NULL);
}

enum status
member_try_start(struct cluster *c, uint32_t id)
{
    struct member *m = &c->members[id];
    struct starting s = { &m->seats[0], ST_OK };

    m->lives++;
    m->up = true;
    budget_init(&m->budget, BUDGET_BYTES);
    memset(m->peers, 0, sizeof(m->peers));
    memset(m->seats, 0, sizeof(m->seats));
    m->listener = NULL;
    for (uint32_t i = 0; i < m->loop_count && s.st == ST_OK; i++) {
        s.seat = &m->seats[i];
        *s.seat = (struct seat){ .m = m, .loop = i };
        sim_on_loop(c->w, id, i, create_peer, &s);
    }
    s.seat = &m->seats[0];
    s.seat->m = m;
    if (s.st == ST_OK)
        sim_on_loop(c->w, id, 0, begin_listening, &s);
    return s.st;
}

void
member_start(struct cluster *c, uint32_t id)
{
    struct member *m = &c->members[id];

    sim_boot(c->w, id, m->loop_count);
    EXPECT_OK(member_try_start(c, id));
    member_know(c, id);
}

static void
know_others(void *ctx)
{
    struct seat *seat = ctx;
    struct member *m = seat->m;
    char address[32];

    for (uint32_t id = 1; id <= m->c->count; id++) {
        if (id == m->id)
            continue;
        snprintf(address, sizeof(address), "10.0.0.%u", id);
        EXPECT_OK(peer_set_address(m->peers[seat->loop], id, address, PEER_PORT, NULL));
    }
}

void
member_know(struct cluster *c, uint32_t id)
{
    struct member *m = &c->members[id];

    for (uint32_t i = 0; i < m->loop_count; i++)
        sim_on_loop(c->w, id, i, know_others, &m->seats[i]);
}

static void
close_seat(void *ctx)
{
    struct seat *seat = ctx;
    struct peer *p = seat->m->peers[seat->loop];

    if (p != NULL)
        loop_set_after(sim_loop(seat->m->c->w, seat->m->id, seat->loop), NULL, NULL);
    peer_destroy(p);
}

static void
close_door(void *ctx)
{
    struct member *m = ctx;

    listener_close(m->listener);
}

void
member_close(struct cluster *c, uint32_t id)
{
    struct member *m = &c->members[id];

    sim_on_loop(c->w, id, 0, close_door, m);
    for (uint32_t i = 0; i < m->loop_count; i++) {
        m->seats[i].m = m;
        m->seats[i].loop = i;
        sim_on_loop(c->w, id, i, close_seat, &m->seats[i]);
    }
    EXPECT_U64(budget_used(&m->budget), 0);
    sim_settle(c->w, 1);
    sim_end(c->w, id);
    m->up = false;
}

void
member_gone(struct cluster *c, uint32_t id)
{
    c->members[id].up = false;
}

/* ------------------------------------------------------------------ the cluster */

struct cluster *
cluster_create(uint64_t seed, uint32_t count, uint32_t loop_count)
{
    struct cluster *c = mem_new(struct cluster);

    EXPECT(c != NULL && count <= NODES_MAX && loop_count <= LOOPS_MAX);
    c->w = sim_create(seed);
    EXPECT(c->w != NULL);
    c->count = count;
    memcpy(c->id, "a test's cluster", PEER_CLUSTER_BYTES);
    peer_options_default(&c->options);
    for (uint32_t id = 1; id <= count; id++) {
        c->members[id].c = c;
        c->members[id].id = id;
        c->members[id].loop_count = loop_count;
    }
    return c;
}

bool
all_up(const struct cluster *c)
{
    for (uint32_t a = 1; a <= c->count; a++) {
        for (uint32_t b = 1; b <= c->count; b++) {
            if (a == b || !c->members[a].up || !c->members[b].up)
                continue;
            for (uint32_t i = 0; i < c->members[a].loop_count; i++) {
                if (peer_incarnation(c->members[a].peers[i], b) != c->members[b].lives * 100 + b)
                    return false;
            }
        }
    }
    return true;
}

void
cluster_settle(struct cluster *c)
{
    for (int i = 0; i < 200 && !all_up(c); i++)
        sim_run_ms(c->w, 20);
    EXPECT(all_up(c));
}

void
cluster_destroy(struct cluster *c)
{
    for (uint32_t id = 1; id <= c->count; id++) {
        if (c->members[id].up)
            member_close(c, id);
    }
    sim_destroy(c->w);
    mem_free(c);
}

/* ------------------------------------------------------------------ messages */

struct sending {
    struct seat *seat;
    uint32_t to;
    size_t size;
    bool urgent;
    enum status st;
};

static void
send_now(void *ctx)
{
    struct sending *s = ctx;
    uint8_t type = s->urgent ? URGENT : BULK;
    uint64_t *next = &s->seat->next[s->to][type];
    struct mem_heap *node_heap = mem_heap_enter(NULL);
    uint8_t *bytes = mem_alloc(s->size);
    struct slice parts[3];
    struct peer_message m = { type, s->seat->loop, s->urgent, parts, 3, false };

    mem_heap_enter(node_heap);
    EXPECT(bytes != NULL && s->size >= NUMBER_BYTES);
    memcpy(bytes, next, NUMBER_BYTES);
    for (size_t i = NUMBER_BYTES; i < s->size; i++)
        bytes[i] = fill_byte(*next, i);
    parts[0] = slice_of(bytes, NUMBER_BYTES / 2);
    parts[1] = slice_of(NULL, 0);
    parts[2] = slice_of(bytes + NUMBER_BYTES / 2, s->size - NUMBER_BYTES / 2);
    s->st = peer_send(s->seat->m->peers[s->seat->loop], s->to, &m);
    *next += s->st == ST_OK;
    mem_free(bytes);
}

enum status
send(struct cluster *c, uint32_t from, uint32_t loop, uint32_t to, size_t size, bool urgent)
{
    struct sending s = { &c->members[from].seats[loop], to, size, urgent, ST_OK };

    sim_on_loop(c->w, from, loop, send_now, &s);
    return s.st;
}

void
send_ok(struct cluster *c, uint32_t from, uint32_t to, size_t size, bool urgent)
{
    EXPECT_OK(send(c, from, 0, to, size, urgent));
}

uint64_t
count_heard(const struct cluster *c, uint32_t at, uint32_t from, uint8_t type)
{
    uint64_t count = 0;

    for (uint32_t i = 0; i < LOOPS_MAX; i++)
        count += c->members[at].heard[from][i].count[type];
    return count;
}

void
expect_order(const struct cluster *c, uint32_t at, uint32_t from)
{
    for (uint32_t i = 0; i < LOOPS_MAX; i++) {
        const struct heard *h = &c->members[at].heard[from][i];

        EXPECT_U64(h->overtaken + h->skipped + h->damaged, 0);
    }
}

struct peer *
peer_of(struct cluster *c, uint32_t id)
{
    return c->members[id].peers[0];
}

void
on(struct cluster *c, uint32_t id, void (*fn)(void *ctx), void *ctx)
{
    sim_on_loop(c->w, id, 0, fn, ctx);
}
