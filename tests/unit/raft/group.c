/* The members, their logs and disks, and the network between them. */
#include "unit/raft/group.h"

#include <stdlib.h>
#include <string.h>

#include "base/broken.h"
#include "base/hash.h"

#include "unit/test.h"

enum {
    ENTRY_BYTES = 100,
    ENTRIES_MAX = 64, /* in a packet */
    TICK_MS = 10,
    SNAPSHOT_MS = 2000,
    MS = 1000000,
};

/* ------------------------------------------------------------------ life */

static void *
zeroed(size_t count, size_t size)
{
    void *p = calloc(count, size);

    EXPECT(p != NULL);
    return p;
}

struct group *
group_create(uint64_t seed, uint32_t nodes, uint32_t voters, const struct raft_options *options)
{
    struct group *g = zeroed(1, sizeof(*g));

    EXPECT(nodes <= GROUP_NODES_MAX && voters <= nodes);
    prng_init(&g->prng, seed);
    g->seed = seed;
    g->now_ns = 1000 * (uint64_t)MS;
    g->node_count = nodes;
    g->options = *options;
    g->options.config = (struct raft_config){ .voter_count = voters };
    for (uint32_t i = 0; i < voters; i++)
        g->options.config.voters[i] = i + 1;
    g->delay_ns = 2 * MS;
    g->disk_ns = 2 * MS;
    g->install_ns = 8 * MS;
    g->witness = witness_create();
    EXPECT(g->witness != NULL);
    g->packets = zeroed(GROUP_PACKETS_MAX, sizeof(*g->packets));
    g->committed = zeroed(GROUP_LOG_MAX, sizeof(*g->committed));
    g->committed_in = zeroed(GROUP_LOG_MAX, sizeof(*g->committed_in));
    g->digests = zeroed(GROUP_LOG_MAX + 1, sizeof(*g->digests));
    g->leader_of = zeroed(GROUP_LOG_MAX, sizeof(*g->leader_of));
    g->written = zeroed(GROUP_LOG_MAX * 4, sizeof(*g->written));
    for (uint32_t i = 0; i < nodes; i++) {
        struct node *n = &g->nodes[i];

        n->id = i + 1;
        n->log.cells = zeroed(GROUP_LOG_MAX, sizeof(struct cell));
        n->durable.cells = zeroed(GROUP_LOG_MAX, sizeof(struct cell));
        n->durable.base.config = g->options.config;
        group_start(g, n);
    }
    return g;
}

static void
free_gifts(struct node *n, uint32_t count)
{
    if (count == 0)
        return;
    for (uint32_t i = 0; i < count; i++)
        free(n->gifts[i].cells);
    n->gift_count -= count;
    if (n->gifts == NULL)
        return;
    memmove(n->gifts, n->gifts + count, n->gift_count * sizeof(n->gifts[0]));
}

void
group_destroy(struct group *g)
{
    while (g->packet_count > 0)
        group_drop(g, 0);
    for (uint32_t i = 0; i < g->node_count; i++) {
        struct node *n = &g->nodes[i];

        free_gifts(n, n->gift_count);
        free(n->gifts);
        raft_destroy(n->raft);
        free(n->log.cells);
        free(n->durable.cells);
    }
    while (g->configs != NULL) {
        struct kept_config *next = g->configs->next;

        free(g->configs);
        g->configs = next;
    }
    witness_destroy(g->witness);
    free(g->packets);
    free(g->committed);
    free(g->committed_in);
    free(g->digests);
    free(g->leader_of);
    free(g->written);
    free(g);
}

struct node *
group_node(struct group *g, raft_id id)
{
    EXPECT(id >= 1 && id <= g->node_count);
    return &g->nodes[id - 1];
}

struct node *
group_leader(struct group *g)
{
    struct node *best = NULL;

    for (uint32_t i = 0; i < g->node_count; i++) {
        struct node *n = &g->nodes[i];

        if (n->up && raft_role(n->raft) == RAFT_LEADER &&
            (best == NULL || raft_hard(n->raft).term > raft_hard(best->raft).term))
            best = n;
    }
    return best;
}

static uint64_t
clock_of(const struct group *g, const struct node *n)
{
    int64_t drift = (int64_t)(g->now_ns / 1000000) * n->clock_ppm;

    return (uint64_t)((int64_t)g->now_ns + drift + n->clock_offset_ns);
}

static void
copy_image(struct image *to, const struct image *from)
{
    to->base = from->base;
    to->last = from->last;
    to->hard = from->hard;
    memcpy(to->cells, from->cells, from->last * sizeof(from->cells[0]));
}

void
group_start(struct group *g, struct node *n)
{
    struct raft_options options = g->options;

    copy_image(&n->log, &n->durable);
    options.self = n->id;
    options.config = n->log.base.config;
    options.base_index = n->log.base.index;
    options.base_term = n->log.base.term;
    options.hard = n->log.hard;
    options.now_ns = clock_of(g, n);
    options.dice = (uint32_t)prng_next(&g->prng);
    if (BROKEN(TERM_BACK_AFTER_RESTART))
        options.hard.vote = 0;
    n->life++;
    EXPECT_OK(raft_create(&n->raft, &options));
    for (raft_index i = n->log.base.index + 1; i <= n->log.last; i++) {
        const struct cell *c = &n->log.cells[i - 1];
        struct raft_entry e = { .term = c->term, .kind = c->kind, .config = c->config };

        EXPECT_OK(raft_restore(&n->raft, i, &e));
    }
    n->applied = n->log.base.index;
    n->digest = n->log.base.digest;
    n->applied_config = n->log.base.config;
    n->commit_checked = n->applied;
    n->tick_at_ns = options.now_ns;
    n->read_count = 0;
    n->install_due_ns = 0;
    n->disk_failed = false;
    n->leads_since_ns = 0;
    memset(n->snapshot_until_ns, 0, sizeof(n->snapshot_until_ns));
    n->up = true;
}

/* ------------------------------------------------------------------ disks */

static void
put_on_disk(struct image *d, const struct gift *gift)
{
    if (gift->truncate_from != 0 && gift->truncate_from <= d->last)
        d->last = gift->truncate_from - 1;
    for (raft_index i = gift->first; i <= gift->last; i++) {
        EXPECT(i == d->last + 1);
        d->cells[i - 1] = gift->cells[i - gift->first];
        d->last = i;
    }
    if (gift->hard_changed)
        d->hard = gift->hard;
}

/* The first `count` gifts become durable. */
static uint64_t
sync_gifts(struct node *n, uint32_t count)
{
    uint64_t ticket = 0;

    for (uint32_t i = 0; i < count; i++) {
        put_on_disk(&n->durable, &n->gifts[i]);
        ticket = n->gifts[i].ticket;
    }
    free_gifts(n, count);
    return ticket;
}

static void
sync_due(struct group *g, struct node *n, uint64_t until_ns)
{
    uint32_t count = 0;
    uint64_t ticket;

    while (count < n->gift_count && n->gifts[count].due_ns <= until_ns)
        count++;
    if (count == 0)
        return;
    ticket = sync_gifts(n, count);
    (void)group_step(g, n, (struct raft_event){ .kind = RAFT_PERSISTED, .ticket = ticket });
}

void
group_sync(struct group *g, struct node *n)
{
    sync_due(g, n, UINT64_MAX);
}

void
group_crash(struct group *g, struct node *n)
{
    EXPECT(n->up);
    (void)sync_gifts(n, (uint32_t)prng_below(&g->prng, n->gift_count + 1));
    free_gifts(n, n->gift_count);
    raft_destroy(n->raft);
    n->raft = NULL;
    n->up = false;
    g->crashes++;
}

void
group_fail_disk(struct group *g, struct node *n)
{
    (void)sync_gifts(n, (uint32_t)prng_below(&g->prng, n->gift_count + 1));
    free_gifts(n, n->gift_count);
    n->disk_failed = true;
    (void)group_step(g, n, (struct raft_event){ .kind = RAFT_DISK_FAILED });
}

void
group_compact(struct group *g, struct node *n)
{
    raft_term term = 0;

    if (n->applied <= n->log.base.index || n->install_due_ns != 0 || n->applied > n->durable.last)
        return;
    EXPECT_OK(raft_term_at(n->raft, n->applied, &term));
    n->log.base = (struct checkpoint){
        .index = n->applied, .term = term, .digest = n->digest, .config = n->applied_config
    };
    n->durable.base = n->log.base;
    (void)group_step(g, n, (struct raft_event){ .kind = RAFT_COMPACTED, .index = n->applied });
}

/* ------------------------------------------------------------------ effects */

static struct packet *
new_packet(struct group *g, const struct raft_message *m, bool is_snapshot)
{
    struct packet *p;
    uint32_t copies = prng_chance(&g->prng, g->repeat_percent, 100) ? 2 : 1;

    if (g->sent != NULL)
        g->sent(g, m, is_snapshot, g->cut[m->from][m->to]);
    if (g->packet_count + copies > GROUP_PACKETS_MAX || g->cut[m->from][m->to])
        return NULL;
    if (!g->manual && prng_chance(&g->prng, g->loss_percent, 100))
        return NULL;
    p = &g->packets[g->packet_count++];
    *p = (struct packet){ .message = *m,
                          .due_ns = g->now_ns + prng_below(&g->prng, g->delay_ns + 1) +
                                    prng_below(&g->prng, g->slow_ns[m->from][m->to] + 1) };
    if (copies == 2 && m->entry_count == 0) {
        g->packets[g->packet_count] = *p;
        g->packets[g->packet_count++].due_ns += prng_below(&g->prng, 20 * g->delay_ns + 1);
    }
    return p;
}

static void
append_cell(struct group *g, struct node *n, raft_index index, const struct cell *cell)
{
    raft_term prev = index == 1 ? 0 : n->log.cells[index - 2].term;

    EXPECT(index == n->log.last + 1 && index < GROUP_LOG_MAX);
    if (index - 1 == n->log.base.index)
        prev = n->log.base.term;
    n->log.cells[index - 1] = *cell;
    n->log.last = index;
    group_wrote(g, index, prev, cell);
}

/* Cells point to it until the group's end. */
static const struct raft_config *
keep_config(struct group *g, const struct raft_config *config)
{
    struct kept_config *k = zeroed(1, sizeof(*k));

    k->config = *config;
    k->next = g->configs;
    g->configs = k;
    return &k->config;
}

static struct cell
cell_of(struct group *g, const struct raft_event *e, raft_index index)
{
    const struct raft_entry *entry = &g->fx.own;
    struct cell c = { .value = ++g->next_value };

    if (e->kind == RAFT_RECEIVE && e->message->kind == RAFT_APPEND) {
        entry = &e->message->entries[index - e->message->index - 1];
        c.value = (uint64_t)(uintptr_t)entry->data.data;
    }
    c.term = entry->term;
    c.kind = entry->kind;
    if (c.kind == RAFT_CONFIG) {
        c.config = keep_config(g, entry->config);
    }
    return c;
}

static void
carry_out_log(struct group *g, struct node *n, const struct raft_event *e)
{
    const struct raft_effects *fx = &g->fx;
    struct gift gift = { .ticket = fx->ticket,
                         .hard_changed = fx->hard_changed,
                         .hard = raft_hard(n->raft),
                         .truncate_from = fx->truncate_from,
                         .first = fx->append_first,
                         .last = fx->append_last,
                         .due_ns = g->now_ns + prng_below(&g->prng, g->disk_ns + 1) };

    if (fx->truncate_from != 0) {
        n->log.last = fx->truncate_from - 1;
        g->truncations++;
    }
    if (fx->append_last >= fx->append_first)
        gift.cells = zeroed(fx->append_last - fx->append_first + 1, sizeof(struct cell));
    for (raft_index i = fx->append_first; i <= fx->append_last; i++) {
        struct cell c = cell_of(g, e, i);

        if (e->kind == RAFT_PROPOSE)
            c.term = gift.hard.term;
        append_cell(g, n, i, &c);
        gift.cells[i - fx->append_first] = c;
    }
    if (n->disk_failed) {
        free(gift.cells);
        return;
    }
    if (n->gift_count > 0 && gift.due_ns < n->gifts[n->gift_count - 1].due_ns)
        gift.due_ns = n->gifts[n->gift_count - 1].due_ns;
    n->gifts = realloc(n->gifts, (n->gift_count + 1) * sizeof(gift));
    EXPECT(n->gifts != NULL);
    n->gifts[n->gift_count++] = gift;
}

static void
serve_reads(struct group *g, struct node *n)
{
    uint32_t kept = 0;

    for (uint32_t i = 0; i < n->read_count; i++) {
        struct pending_read *read = &n->reads[i];

        if (read->round > raft_confirmed_round(n->raft)) {
            n->reads[kept++] = *read;
            continue;
        }
        if (raft_commit(n->raft) < read->must_see)
            group_violation(g, "node %llu serves a read at %llu, but %llu was committed",
                            (unsigned long long)n->id, (unsigned long long)raft_commit(n->raft),
                            (unsigned long long)read->must_see);
        g->reads_served++;
    }
    n->read_count = kept;
}

enum status
group_step(struct group *g, struct node *n, struct raft_event e)
{
    enum status st;

    g->step++;
    if (e.now_ns == 0)
        e.now_ns = clock_of(g, n);
    st = raft_step(n->raft, &e, &g->fx);
    if (g->trace != NULL)
        g->trace(g, n, &e, st);
    if (g->fx.wants_room && !g->no_room)
        EXPECT_OK(raft_grow(&n->raft));
    if (st == ST_CORRUPT)
        group_violation(g, "node %llu is told what contradicts what is committed",
                        (unsigned long long)n->id);
    if (g->fx.ticket != 0)
        carry_out_log(g, n, &e);
    for (uint32_t i = 0; i < g->fx.message_count; i++)
        (void)new_packet(g, &g->fx.messages[i], false);
    if (g->fx.install) {
        n->install_due_ns = g->now_ns + prng_below(&g->prng, g->install_ns + 1);
        n->staged = (struct checkpoint){ .index = e.index, .term = e.term, .config = *e.config };
    }
    if (g->fx.role_changed && raft_role(n->raft) != RAFT_LEADER)
        n->read_count = 0; /* their outcome is "not the leader" */
    group_check(g, n);
    serve_reads(g, n);
    return st;
}

/* ------------------------------------------------------------------ sending */

static void
send_append(struct group *g, struct node *n, struct raft_append *a)
{
    uint64_t fits = a->bytes_max / ENTRY_BYTES;
    raft_index last = a->last;
    uint32_t count;
    struct packet *p;

    if (fits < 1)
        fits = 1;
    if (fits > ENTRIES_MAX)
        fits = ENTRIES_MAX;
    if (last >= a->first + fits)
        last = a->first + fits - 1;
    count = (uint32_t)(last + 1 - a->first);
    a->message.flow.bytes += (uint64_t)count * ENTRY_BYTES;
    raft_sent(n->raft, a, last, (uint64_t)count * ENTRY_BYTES);
    a->message.entry_count = count;
    p = new_packet(g, &a->message, false);
    if (p == NULL)
        return;
    p->entries = zeroed(count + 1, sizeof(*p->entries));
    p->message.entries = p->entries;
    for (uint32_t i = 0; i < count; i++) {
        const struct cell *c = &n->log.cells[a->first + i - 1];

        p->entries[i] =
            (struct raft_entry){ .term = c->term,
                                 .kind = c->kind,
                                 .config = c->config,
                                 .data = { (const uint8_t *)(uintptr_t)c->value, ENTRY_BYTES } };
    }
}

static void
send_snapshot(struct group *g, struct node *n, raft_id to)
{
    struct raft_message offer = { .kind = RAFT_APPEND,
                                  .from = n->id,
                                  .to = to,
                                  .term = raft_hard(n->raft).term,
                                  .index = n->applied };
    struct packet *p;

    EXPECT_OK(raft_term_at(n->raft, n->applied, &offer.log_term));
    n->snapshot_until_ns[to] = g->now_ns + (uint64_t)SNAPSHOT_MS * MS;
    p = new_packet(g, &offer, true);
    if (p == NULL)
        return;
    p->snapshot = zeroed(1, sizeof(*p->snapshot));
    *p->snapshot = (struct checkpoint){ .index = n->applied,
                                        .term = offer.log_term,
                                        .digest = n->digest,
                                        .config = n->applied_config };
}

void
group_send_appends(struct group *g, struct node *n)
{
    struct raft_append a;
    raft_id to;

    while (raft_next_append(n->raft, &a))
        send_append(g, n, &a);
    while ((to = raft_next_snapshot(n->raft)) != 0)
        send_snapshot(g, n, to);
}

/* ------------------------------------------------------------------ receiving */

void
group_drop(struct group *g, uint32_t packet)
{
    free(g->packets[packet].entries);
    free(g->packets[packet].snapshot);
    g->packets[packet] = g->packets[--g->packet_count];
}

static void
receive_snapshot(struct group *g, struct node *n, const struct packet *p)
{
    const struct checkpoint *s = p->snapshot;

    (void)group_step(g, n,
                     (struct raft_event){ .kind = RAFT_SNAPSHOT_OFFER, .message = &p->message });
    (void)group_step(g, n,
                     (struct raft_event){ .kind = RAFT_SNAPSHOT_STAGED,
                                          .index = s->index,
                                          .term = s->term,
                                          .config = &s->config });
    if (g->fx.install)
        n->staged.digest = s->digest;
}

static void
check_lease(struct group *g, struct node *n)
{
    if (!lease_holds(n->raft, clock_of(g, n)))
        return;
    g->lease_reads++;
    if (raft_commit(n->raft) < g->committed_last)
        group_violation(g, "node %llu holds a lease at %llu, but %llu is committed",
                        (unsigned long long)n->id, (unsigned long long)raft_commit(n->raft),
                        (unsigned long long)g->committed_last);
}

void
group_deliver(struct group *g, uint32_t packet)
{
    struct packet p = g->packets[packet];
    struct node *n = group_node(g, p.message.to);

    g->packets[packet] = g->packets[--g->packet_count];
    if (n->up && p.snapshot != NULL)
        receive_snapshot(g, n, &p);
    else if (n->up)
        (void)group_step(g, n, (struct raft_event){ .kind = RAFT_RECEIVE, .message = &p.message });
    if (n->up)
        check_lease(g, n);
    free(p.entries);
    free(p.snapshot);
}

void
group_finish_install(struct group *g, struct node *n, bool ok)
{
    group_sync(g, n); /* what the log has been given comes first */
    n->install_due_ns = 0;
    if (ok) {
        n->durable.base = n->log.base = n->staged;
        n->durable.last = n->log.last = n->staged.index;
        n->applied = n->staged.index;
        n->digest = n->staged.digest;
        n->applied_config = n->staged.config;
        n->commit_checked = n->applied;
        g->installs++;
    }
    (void)group_step(g, n, (struct raft_event){ .kind = RAFT_INSTALLED, .ok = ok });
}

void
group_install(struct group *g, struct node *n)
{
    if (n->install_due_ns != 0)
        group_finish_install(g, n, true);
}

/* ------------------------------------------------------------------ time */

void
group_apply(struct group *g, struct node *n)
{
    raft_index limit = raft_applicable(n->raft);
    raft_index before = n->applied;

    if (n->install_due_ns != 0)
        return;
    for (; n->applied < limit; n->applied++) {
        const struct cell *c = &n->log.cells[n->applied];

        n->digest = group_digest_with(n->digest, c);
        if (c->kind == RAFT_CONFIG)
            n->applied_config = *c->config;
        if (n->digest != g->digests[n->applied + 1])
            group_violation(g, "node %llu applies another entry at %llu than others did",
                            (unsigned long long)n->id, (unsigned long long)n->applied + 1);
    }
    if (n->applied != before)
        (void)group_step(g, n,
                         (struct raft_event){ .kind = RAFT_APPLIED,
                                              .index = n->applied,
                                              .bytes = (n->applied - before) * ENTRY_BYTES });
}

void
group_tick(struct group *g, struct node *n, uint32_t ms)
{
    n->clock_offset_ns += (int64_t)ms * MS;
    (void)group_step(
        g, n, (struct raft_event){ .kind = RAFT_TICK, .dice = (uint32_t)prng_next(&g->prng) });
}

static void
give_up_snapshots(struct group *g, struct node *n)
{
    for (raft_id id = 1; id <= g->node_count; id++) {
        if (n->snapshot_until_ns[id] == 0 || g->now_ns < n->snapshot_until_ns[id])
            continue;
        n->snapshot_until_ns[id] = 0;
        (void)group_step(g, n, (struct raft_event){ .kind = RAFT_SNAPSHOT_SENT, .node = id });
    }
}

static void
run_node(struct group *g, struct node *n)
{
    sync_due(g, n, g->now_ns);
    if (n->install_due_ns != 0 && g->now_ns >= n->install_due_ns)
        group_finish_install(g, n, !prng_chance(&g->prng, 1, 10));
    if (clock_of(g, n) >= n->tick_at_ns) {
        n->tick_at_ns = clock_of(g, n) + (uint64_t)TICK_MS * MS;
        group_tick(g, n, 0);
        give_up_snapshots(g, n);
    }
    group_apply(g, n);
    group_send_appends(g, n);
    check_lease(g, n);
    group_check_alone(g, n);
}

void
group_run_ms(struct group *g, uint32_t ms)
{
    for (uint32_t passed = 0; passed < ms; passed++) {
        g->now_ns += MS;
        for (uint32_t i = 0; i < g->node_count; i++) {
            if (g->nodes[i].up && g->now_ns >= g->nodes[i].paused_until_ns)
                run_node(g, &g->nodes[i]);
        }
        for (uint32_t i = 0; i < g->packet_count;) {
            const struct packet *p = &g->packets[i];

            if (p->due_ns > g->now_ns || g->now_ns < group_node(g, p->message.to)->paused_until_ns)
                i++;
            else
                group_deliver(g, i);
        }
    }
}

bool
group_elect(struct group *g, uint32_t ms)
{
    for (uint32_t passed = 0; passed < ms; passed += 10) {
        struct node *leader = group_leader(g);
        bool all = leader != NULL;

        for (uint32_t i = 0; all && i < g->node_count; i++) {
            struct node *n = &g->nodes[i];

            if (n->up && raft_config_has(raft_config(leader->raft), n->id))
                all = raft_leader(n->raft) == leader->id;
        }
        if (all)
            return true;
        group_run_ms(g, 10);
    }
    return false;
}

void
group_deliver_all(struct group *g)
{
    uint64_t before;

    do {
        before = g->step;
        for (uint32_t i = 0; i < g->node_count; i++) {
            if (!g->nodes[i].up)
                continue;
            group_sync(g, &g->nodes[i]);
            if (g->nodes[i].install_due_ns != 0)
                group_finish_install(g, &g->nodes[i], true);
            group_apply(g, &g->nodes[i]);
            group_send_appends(g, &g->nodes[i]);
        }
        while (g->packet_count > 0)
            group_deliver(g, 0);
    } while (g->step != before);
}

/* ------------------------------------------------------------------ what clients do */

enum status
group_propose(struct group *g, struct node *n)
{
    return group_step(g, n, (struct raft_event){ .kind = RAFT_PROPOSE, .bytes = ENTRY_BYTES });
}

enum status
group_read(struct group *g, struct node *n)
{
    struct pending_read read = { .must_see = g->committed_last };

    if (n->read_count == GROUP_READS_MAX)
        return ST_BUSY;
    if (raft_role(n->raft) != RAFT_LEADER)
        return ST_NOT_LEADER;
    read.round = raft_round(n->raft) + 1;
    n->reads[n->read_count++] = read;
    return group_step(g, n, (struct raft_event){ .kind = RAFT_READ });
}

enum status
group_change(struct group *g, struct node *n, const struct raft_config *target)
{
    enum status st = group_step(g, n, (struct raft_event){ .kind = RAFT_CHANGE, .config = target });

    g->changes += st == ST_OK;
    return st;
}

void
group_isolate(struct group *g, const raft_id *ids, uint32_t count, bool cut)
{
    bool inside[GROUP_NODES_MAX + 1] = { false };

    for (uint32_t i = 0; i < count; i++)
        inside[ids[i]] = true;
    for (uint32_t a = 1; a <= g->node_count; a++) {
        for (uint32_t b = 1; b <= g->node_count; b++) {
            if (inside[a] != inside[b])
                g->cut[a][b] = cut;
        }
    }
}

void
group_heal(struct group *g)
{
    memset(g->cut, 0, sizeof(g->cut));
}

uint64_t
group_digest_with(uint64_t digest, const struct cell *cell)
{
    uint64_t words[] = { digest, cell->value, cell->term };

    return hash64(slice_of(words, sizeof(words)));
}
