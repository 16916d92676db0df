/*
 * Every order of events, within bounds, over the real code: three members, a few terms, entries,
 * crashes, repeated packets and heartbeats.  A packet that is never delivered is a lost one.
 *
 * A depth-first walk over whole worlds.  A world is plain data, copied for every branch, and known by its
 * hash when it comes again.  Time stands still, and nobody remembers to have heard a leader: so
 * anybody may stand at any time, which is more than real clocks allow.
 *
 *      TEST_DEPTH, TEST_TERMS, TEST_ENTRIES, TEST_CRASHES, TEST_REPEATS, TEST_HEARTBEATS, TEST_WORLDS
 *
 * widen the bounds; `make exhaust` does.
 */
#include "base/hash.h"
#include "base/mem.h"

#include "raft/raft_internal.h"
#include "unit/test.h"

enum {
    NODES = 3,
    LOG_MAX = 8,
    RUNS = 8,
    GIFTS_MAX = 4,
    PACKETS_MAX = 8,
    ENTRIES_MAX = 3, /* in a packet */
    TERMS_LIMIT = 16,
    DEPTH_LIMIT = 64,
    ENTRY_BYTES = 10,
};

static const uint64_t now_ns = 1000;

struct cell {
    uint32_t term;
    uint32_t value;
};

struct gift {
    uint64_t ticket;
    struct raft_hard hard;
    bool hard_changed;
    uint32_t truncate_from;
    uint32_t first;
    uint32_t count;
    struct cell cells[ENTRIES_MAX];
};

struct member {
    struct raft raft;
    struct raft_run runs[RUNS];
    struct cell log[LOG_MAX];
    uint32_t last;
    struct cell disk[LOG_MAX];
    uint32_t disk_last;
    struct raft_hard disk_hard;
    struct gift gifts[GIFTS_MAX];
    uint32_t gift_count;
};

struct packet {
    struct raft_message m; /* entries: below */
    struct cell cells[ENTRIES_MAX];
};

struct world {
    struct member members[NODES];
    struct packet packets[PACKETS_MAX];
    uint32_t packet_count;
    struct cell committed[LOG_MAX];
    uint32_t committed_in[LOG_MAX];
    uint32_t committed_last;
    uint32_t leader_of[TERMS_LIMIT];
    uint32_t entries;
    uint32_t crashes;
    uint32_t repeats;
    uint32_t heartbeats;
    uint32_t next_value;
};

struct bounds {
    uint32_t depth;
    uint32_t terms;
    uint32_t entries;
    uint32_t crashes;
    uint32_t repeats;
    uint32_t heartbeats;
    uint64_t worlds;
};

/* What may happen next. */
enum action_kind { STAND, PROPOSE, SYNC, CRASH_BEFORE, CRASH_AFTER, HEARTBEAT, DELIVER, REPEAT };

struct action {
    enum action_kind kind;
    uint32_t which; /* member or packet */
};

struct frame {
    struct world world;
    struct action actions[4 * NODES + 2 * PACKETS_MAX + 2 * NODES];
    uint32_t action_count;
    uint32_t next;
};

struct walk {
    struct bounds bounds;
    struct frame *frames; /* DEPTH_LIMIT + 1 of them */
    uint64_t *seen;       /* a hash table of hashes of worlds, each with the depth left */
    uint8_t *seen_left;
    uint64_t seen_mask;
    uint64_t world_count;
    uint64_t step_count;
    uint64_t election_count;
    uint64_t commit_count;
    bool complete;
    uint32_t depth;
};

static struct walk walk;
static struct raft_effects fx;

/* ------------------------------------------------------------------ violations */

_Noreturn static void
violation(const char *what)
{
    static const char *const names[] = { "stand",       "propose",   "sync",    "crash before sync",
                                         "crash after", "heartbeat", "deliver", "repeat" };

    printf("VIOLATION %s; after\n", what);
    for (uint32_t i = 0; i <= walk.depth; i++) {
        const struct frame *f = &walk.frames[i];
        const struct action *a = &f->actions[f->next > 0 ? f->next - 1 : 0];

        printf("  %s %u", names[a->kind], a->which + 1);
        if (a->kind == DELIVER || a->kind == REPEAT) {
            const struct raft_message *m = &f->world.packets[a->which].m;

            printf(": %llu to %llu %s term %llu index %llu", (unsigned long long)m->from,
                   (unsigned long long)m->to, raft_message_name(m->kind),
                   (unsigned long long)m->term, (unsigned long long)m->index);
        }
        printf("\n");
    }
    fflush(stdout);
    _exit(3);
}

static void
check_leader(struct world *w, const struct member *n)
{
    uint32_t term = (uint32_t)n->raft.hard.term;
    uint32_t id = (uint32_t)n->raft.options.self;

    if (w->leader_of[term] == id)
        return;
    if (w->leader_of[term] != 0)
        violation("two leaders in one term");
    w->leader_of[term] = id;
    walk.election_count++;
    for (uint32_t i = 1; i <= w->committed_last; i++) {
        if (w->committed_in[i - 1] < term &&
            (i > n->last || n->log[i - 1].value != w->committed[i - 1].value))
            violation("a leader lacks what is committed");
    }
}

static void
check_durable(const struct world *w, uint32_t index, const struct cell *c)
{
    uint32_t have = 0;

    for (int i = 0; i < NODES; i++) {
        const struct member *n = &w->members[i];

        have += n->disk_last >= index && n->disk[index - 1].term == c->term &&
                n->disk[index - 1].value == c->value;
    }
    if (have * 2 <= NODES)
        violation("what is committed is on the disks of no majority");
}

static void
check_committed(struct world *w, const struct member *n)
{
    for (uint32_t i = 1; i <= n->raft.commit; i++) {
        const struct cell *c = &n->log[i - 1];

        if (i > w->committed_last) {
            w->committed[i - 1] = *c;
            w->committed_in[i - 1] = (uint32_t)n->raft.hard.term;
            w->committed_last = i;
            walk.commit_count++;
            check_durable(w, i, c);
        } else if (c->value != w->committed[i - 1].value) {
            violation("two entries are committed at one index");
        }
    }
}

/* ------------------------------------------------------------------ one member */

static void
put(struct cell *cells, uint32_t *last, const struct gift *g)
{
    if (g->truncate_from != 0)
        *last = g->truncate_from - 1;
    for (uint32_t i = 0; i < g->count; i++)
        cells[g->first + i - 1] = g->cells[i];
    if (g->count > 0)
        *last = g->first + g->count - 1;
}

static void
give_to_log(struct world *w, struct member *n, const struct raft_event *e, const struct cell *sent)
{
    struct gift g = { .ticket = fx.ticket,
                      .hard = n->raft.hard,
                      .hard_changed = fx.hard_changed,
                      .truncate_from = (uint32_t)fx.truncate_from,
                      .first = (uint32_t)fx.append_first };

    for (raft_index i = fx.append_first; i <= fx.append_last; i++) {
        struct cell *c = &g.cells[g.count++];

        if (e->kind == RAFT_RECEIVE && e->message->kind == RAFT_APPEND)
            *c = sent[i - e->message->index - 1];
        else
            *c = (struct cell){ (uint32_t)n->raft.hard.term, ++w->next_value };
    }
    put(n->log, &n->last, &g);
    EXPECT(n->gift_count < GIFTS_MAX && n->last < LOG_MAX);
    n->gifts[n->gift_count++] = g;
}

/* A new packet; the oldest is lost when there are too many. */
static struct packet *
add_packet(struct world *w, const struct raft_message *m)
{
    struct packet *p;

    if (w->packet_count == PACKETS_MAX) {
        memmove(w->packets, w->packets + 1, (PACKETS_MAX - 1) * sizeof(w->packets[0]));
        w->packet_count--;
    }
    p = &w->packets[w->packet_count++];
    memset(p, 0, sizeof(*p));
    p->m = *m;
    return p;
}

static void
send_appends(struct world *w, struct member *n)
{
    struct raft_append a;

    while (raft_next_append(&n->raft, &a)) {
        uint32_t count = (uint32_t)(a.last + 1 - a.first);
        struct packet *p;

        count = count > ENTRIES_MAX ? ENTRIES_MAX : count;
        raft_sent(&n->raft, &a, a.first + count - 1, (uint64_t)count * ENTRY_BYTES);
        a.message.entry_count = count;
        a.message.flow.bytes += (uint64_t)count * ENTRY_BYTES;
        p = add_packet(w, &a.message);
        for (uint32_t i = 0; i < count; i++)
            p->cells[i] = n->log[a.first + i - 1];
    }
}

static void
step(struct world *w, struct member *n, struct raft_event e, const struct cell *sent)
{
    raft_index limit;

    n->raft.terms.runs = n->runs; /* the world was copied */
    e.now_ns = now_ns;
    walk.step_count++;
    if (raft_step(&n->raft, &e, &fx) == ST_CORRUPT)
        violation("a message contradicts what is committed");
    if (fx.ticket != 0)
        give_to_log(w, n, &e, sent);
    for (uint32_t i = 0; i < fx.message_count; i++)
        (void)add_packet(w, &fx.messages[i]);
    n->raft.heard_ns = 0; /* it may have been long ago */
    if (n->raft.role == RAFT_LEADER)
        check_leader(w, n);
    check_committed(w, n);
    limit = raft_applicable(&n->raft);
    if (limit > n->raft.applied)
        step(w, n, (struct raft_event){ .kind = RAFT_APPLIED, .index = limit }, NULL);
    send_appends(w, n);
}

static void
make_durable(struct world *w, struct member *n)
{
    uint64_t ticket = 0;

    for (uint32_t i = 0; i < n->gift_count; i++) {
        put(n->disk, &n->disk_last, &n->gifts[i]);
        if (n->gifts[i].hard_changed)
            n->disk_hard = n->gifts[i].hard;
        ticket = n->gifts[i].ticket;
    }
    n->gift_count = 0;
    memset(n->gifts, 0, sizeof(n->gifts));
    step(w, n, (struct raft_event){ .kind = RAFT_PERSISTED, .ticket = ticket }, NULL);
}

static void
start(struct member *n, uint32_t id)
{
    struct raft_options options;
    struct raft *r;

    raft_options_default(&options);
    options.self = id;
    options.config = (struct raft_config){ .voter_count = NODES, .voters = { 1, 2, 3 } };
    options.hard = n->disk_hard;
    options.now_ns = now_ns;
    options.term_run_max = RUNS;
    EXPECT_OK(raft_create(&r, &options));
    for (uint32_t i = 1; i <= n->disk_last; i++) {
        struct raft_entry e = { .term = n->disk[i - 1].term };

        EXPECT_OK(raft_restore(&r, i, &e));
    }
    n->raft = *r;
    memcpy(n->runs, r->terms.runs, sizeof(n->runs));
    raft_destroy(r);
    n->raft.terms.runs = NULL;
    n->raft.heard_ns = 0;
    memcpy(n->log, n->disk, sizeof(n->log));
    n->last = n->disk_last;
    n->gift_count = 0;
    memset(n->gifts, 0, sizeof(n->gifts));
}

/* ------------------------------------------------------------------ actions */

static void
deliver(struct world *w, uint32_t which, bool again)
{
    struct packet p = w->packets[which];
    struct raft_entry entries[ENTRIES_MAX];

    if (!again) {
        w->packet_count--;
        memmove(&w->packets[which], &w->packets[which + 1],
                (w->packet_count - which) * sizeof(w->packets[0]));
        memset(&w->packets[w->packet_count], 0, sizeof(w->packets[0]));
    }
    for (uint32_t i = 0; i < p.m.entry_count; i++)
        entries[i] = (struct raft_entry){ .term = p.cells[i].term };
    p.m.entries = entries;
    step(w, &w->members[p.m.to - 1], (struct raft_event){ .kind = RAFT_RECEIVE, .message = &p.m },
         p.cells);
}

static void
act(struct world *w, const struct action *a)
{
    struct member *n = &w->members[a->which % NODES];
    struct raft_message stand = { .kind = RAFT_TIMEOUT_NOW,
                                  .from = n->raft.options.self % NODES + 1,
                                  .to = n->raft.options.self,
                                  .term = n->raft.hard.term };

    switch (a->kind) {
    case STAND:
        stand.term += stand.term == 0;
        step(w, n, (struct raft_event){ .kind = RAFT_RECEIVE, .message = &stand }, NULL);
        break;
    case PROPOSE:
        w->entries++;
        step(w, n, (struct raft_event){ .kind = RAFT_PROPOSE, .bytes = ENTRY_BYTES }, NULL);
        break;
    case SYNC:
        make_durable(w, n);
        break;
    case CRASH_AFTER: /* it was durable, but nobody was told */
        for (uint32_t i = 0; i < n->gift_count; i++) {
            put(n->disk, &n->disk_last, &n->gifts[i]);
            if (n->gifts[i].hard_changed)
                n->disk_hard = n->gifts[i].hard;
        }
        w->crashes++;
        start(n, a->which + 1);
        break;
    case CRASH_BEFORE:
        w->crashes++;
        start(n, a->which + 1);
        break;
    case HEARTBEAT:
        w->heartbeats++;
        n->raft.heartbeat_at_ns = 0;
        n->raft.quorum_at_ns = UINT64_MAX;
        step(w, n, (struct raft_event){ .kind = RAFT_TICK }, NULL);
        break;
    case DELIVER:
        deliver(w, a->which, false);
        break;
    case REPEAT:
        w->repeats++;
        deliver(w, a->which, true);
        break;
    }
}

static void
add_action(struct frame *f, enum action_kind kind, uint32_t which)
{
    f->actions[f->action_count++] = (struct action){ kind, which };
}

static void
list_actions(struct frame *f)
{
    const struct bounds *b = &walk.bounds;
    const struct world *w = &f->world;

    f->action_count = f->next = 0;
    for (uint32_t i = 0; i < NODES; i++) {
        const struct member *n = &w->members[i];

        if (n->gift_count > 0)
            add_action(f, SYNC, i);
        if (n->raft.role == RAFT_FOLLOWER && n->raft.hard.term < b->terms &&
            (i == 0 || walk.depth > 0)) /* at first they are all alike */
            add_action(f, STAND, i);
        if (n->raft.role == RAFT_LEADER && w->entries < b->entries)
            add_action(f, PROPOSE, i);
        if (n->raft.role == RAFT_LEADER && w->heartbeats < b->heartbeats)
            add_action(f, HEARTBEAT, i);
        if (w->crashes < b->crashes) {
            add_action(f, CRASH_BEFORE, i);
            if (n->gift_count > 0)
                add_action(f, CRASH_AFTER, i);
        }
    }
    for (uint32_t i = 0; i < w->packet_count; i++) {
        add_action(f, DELIVER, i);
        if (w->repeats < b->repeats)
            add_action(f, REPEAT, i);
    }
}

/* ------------------------------------------------------------------ the walk */

static void
lower(uint64_t *ticket, uint64_t by)
{
    *ticket -= *ticket < by ? *ticket : by;
}

/* What only counts the past is forgotten: tickets by what they are ahead, flow altogether (the
 * windows are never full here). */
static void
forget_past(struct member *n)
{
    struct raft_durable *d = &n->raft.durable;
    struct raft_unsynced ring[RAFT_UNSYNCED_MAX] = { 0 };
    uint64_t past = d->done;

    for (uint32_t i = 0; i < d->count; i++) {
        ring[i] = d->ring[(d->first + i) % RAFT_UNSYNCED_MAX];
        lower(&ring[i].ticket, past);
        ring[i].flow = (struct raft_flow){ 0 };
    }
    memcpy(d->ring, ring, sizeof(ring));
    d->first = 0;
    d->flow = n->raft.flow = (struct raft_flow){ 0 };
    lower(&d->ticket, past);
    lower(&d->hard_ticket, past);
    d->done = 0;
    for (uint32_t i = 0; i < n->gift_count; i++)
        lower(&n->gifts[i].ticket, past);
    for (uint32_t i = 0; i < n->raft.member_count; i++)
        n->raft.members[i].sent = n->raft.members[i].acked = (struct raft_flow){ 0 };
}

static int
compare_packets(const void *a, const void *b)
{
    return memcmp(a, b, sizeof(struct packet));
}

/* Worlds that differ in nothing that matters are the same. */
static void
simplify(struct world *w)
{
    for (int i = 0; i < NODES; i++) {
        forget_past(&w->members[i]);
        w->members[i].raft.terms.runs = NULL; /* where it lies is of no account */
    }
    for (uint32_t i = 0; i < w->packet_count; i++) {
        w->packets[i].m.flow = (struct raft_flow){ 0 };
        w->packets[i].m.entries = NULL;
    }
    qsort(w->packets, w->packet_count, sizeof(w->packets[0]), compare_packets);
}

static uint64_t
hash_of(struct world *w) /* simplified */
{
    simplify(w);
    return hash64(slice_of(w, sizeof(*w))) | 1;
}

/* Was this world seen with as many steps left, or more? */
static bool
is_known(uint64_t hash, uint32_t left)
{
    uint64_t at = hash & walk.seen_mask;

    for (int tries = 0; tries < 64; tries++, at = (at + 1) & walk.seen_mask) {
        if (walk.seen[at] == hash && walk.seen_left[at] >= left)
            return true;
        if (walk.seen[at] == hash || walk.seen[at] == 0)
            break;
    }
    walk.seen[at] = hash; /* where it is crowded, something is forgotten, and walked again */
    walk.seen_left[at] = (uint8_t)left;
    return false;
}

static void
go(void)
{
    walk.depth = 0;
    list_actions(&walk.frames[0]);
    while (walk.world_count < walk.bounds.worlds) {
        struct frame *f = &walk.frames[walk.depth];
        struct frame *next = f + 1;

        if (f->next == f->action_count) {
            if (walk.depth == 0) {
                walk.complete = true;
                return;
            }
            walk.depth--;
            continue;
        }
        next->world = f->world;
        act(&next->world, &f->actions[f->next++]);
        if (walk.depth + 1 >= walk.bounds.depth ||
            is_known(hash_of(&next->world), walk.bounds.depth - walk.depth))
            continue;
        walk.world_count++;
        walk.depth++;
        list_actions(next);
    }
}

static uint32_t
bound(const char *name, uint32_t fallback)
{
    const char *text = getenv(name);

    return text != NULL ? (uint32_t)strtoul(text, NULL, 0) : fallback;
}

TEST(raft_is_safe_in_every_order_of_events)
{
    uint64_t slots = UINT64_C(1) << bound("TEST_SLOTS_LOG2", 22);

    walk.bounds = (struct bounds){
        .depth = bound("TEST_DEPTH", 14),
        .terms = bound("TEST_TERMS", 2),
        .entries = bound("TEST_ENTRIES", 2),
        .crashes = bound("TEST_CRASHES", 1),
        .repeats = bound("TEST_REPEATS", 0),
        .heartbeats = bound("TEST_HEARTBEATS", 0),
        .worlds = bound("TEST_WORLDS", 150000),
    };
    EXPECT(walk.bounds.depth <= DEPTH_LIMIT && walk.bounds.terms < TERMS_LIMIT);
    walk.frames = mem_alloc_zero((walk.bounds.depth + 1) * sizeof(struct frame));
    walk.seen = mem_alloc_zero(slots * sizeof(walk.seen[0]));
    walk.seen_left = mem_alloc_zero(slots);
    walk.seen_mask = slots - 1;
    EXPECT(walk.frames != NULL && walk.seen != NULL && walk.seen_left != NULL);
    for (uint32_t i = 0; i < NODES; i++)
        start(&walk.frames[0].world.members[i], i + 1);
    go();
    print_message("%llu worlds, %llu steps, %llu elections, %llu commits; depth %u, %u terms, "
                  "%u entries, %u crashes, %u repeats, %u heartbeats: %s\n",
                  (unsigned long long)walk.world_count, (unsigned long long)walk.step_count,
                  (unsigned long long)walk.election_count, (unsigned long long)walk.commit_count,
                  walk.bounds.depth, walk.bounds.terms, walk.bounds.entries, walk.bounds.crashes,
                  walk.bounds.repeats, walk.bounds.heartbeats,
                  walk.complete ? "all of them" : "not all");
    EXPECT(walk.election_count > 0 && walk.commit_count > 0);
    mem_free(walk.frames);
    mem_free(walk.seen);
    mem_free(walk.seen_left);
}

TEST_MAIN(RUN(raft_is_safe_in_every_order_of_events))
