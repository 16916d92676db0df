/* A few members that talk when the test lets them. */
#include "unit/raft/raft_fixture.h"

struct group *
calm_with(uint32_t nodes, uint32_t voter_count, const struct raft_options *options)
{
    struct group *g = group_create(1, nodes, voter_count, options);

    g->manual = true;
    return g;
}

struct group *
calm(uint32_t nodes)
{
    struct raft_options options;

    raft_options_default(&options);
    return calm_with(nodes, nodes, &options);
}

struct raft *
member(struct group *g, raft_id id)
{
    return group_node(g, id)->raft;
}

void
restart(struct group *g, raft_id id)
{
    struct node *n = group_node(g, id);

    group_sync(g, n);
    group_crash(g, n);
    group_start(g, n);
}

void
set_hard(struct group *g, raft_id id, raft_term term, raft_id vote)
{
    struct node *n = group_node(g, id);

    group_crash(g, n);
    n->durable.hard = (struct raft_hard){ .term = term, .vote = vote };
    group_start(g, n);
}

void
set_log(struct group *g, raft_id id, const char *log)
{
    struct node *n = group_node(g, id);
    uint64_t terms[TEXT_ENTRIES_MAX];
    uint32_t count = parse_numbers(log, terms, TEXT_ENTRIES_MAX);

    group_crash(g, n);
    n->durable.last = count;
    for (uint32_t i = 0; i < count; i++) {
        struct cell c = { .term = terms[i], .value = terms[i] * 1000 + i + 1 };

        n->durable.cells[i] = c;
        group_wrote(g, i + 1, i == 0 ? 0 : terms[i - 1], &c);
    }
    n->durable.hard = (struct raft_hard){ .term = count == 0 ? 0 : terms[count - 1] };
    g->next_value = 100000; /* none of the above */
    group_start(g, n);
}

void
cut_off(struct group *g, raft_id id)
{
    group_isolate(g, &id, 1, true);
}

void
elapse_ms(struct group *g, uint64_t ms)
{
    for (uint32_t i = 0; i < g->node_count; i++)
        g->nodes[i].clock_offset_ns += (int64_t)(ms * MS);
}

void
campaign(struct group *g, raft_id id)
{
    elapse_ms(g, 2 * ELECTION_MS);
    EXPECT_OK(group_step(g, group_node(g, id), (struct raft_event){ .kind = RAFT_CAMPAIGN }));
}

void
elect(struct group *g, raft_id id)
{
    campaign(g, id);
    group_deliver_all(g);
    EXPECT_U64(raft_role(member(g, id)), RAFT_LEADER);
}

/* The next packet on this way; it is the last one afterwards, and the others keep their order. */
static bool
take(struct group *g, raft_id from, raft_id to)
{
    for (uint32_t i = 0; i < g->packet_count; i++) {
        struct packet p = g->packets[i];

        if (p.message.from != from || p.message.to != to)
            continue;
        memmove(&g->packets[i], &g->packets[i + 1],
                (g->packet_count - 1 - i) * sizeof(g->packets[0]));
        g->packets[g->packet_count - 1] = p;
        return true;
    }
    return false;
}

static uint32_t
count_packets(const struct group *g, raft_id from, raft_id to)
{
    uint32_t count = 0;

    for (uint32_t i = 0; i < g->packet_count; i++)
        count += g->packets[i].message.from == from && g->packets[i].message.to == to;
    return count;
}

void
deliver_some(struct group *g, raft_id from, raft_id to, uint32_t count)
{
    for (; count > 0 && take(g, from, to); count--)
        group_deliver(g, g->packet_count - 1);
}

void
deliver(struct group *g, raft_id from, raft_id to)
{
    deliver_some(g, from, to, count_packets(g, from, to));
}

void
drop_some(struct group *g, raft_id from, raft_id to, uint32_t count)
{
    for (; count > 0 && take(g, from, to); count--)
        group_drop(g, g->packet_count - 1);
}

void
drop(struct group *g, raft_id from, raft_id to)
{
    drop_some(g, from, to, UINT32_MAX);
}

uint32_t
under_way(struct group *g, enum raft_message_kind kind, raft_id from, raft_id to)
{
    uint32_t count = 0;

    for (uint32_t i = 0; i < g->packet_count; i++) {
        const struct raft_message *m = &g->packets[i].message;

        count += m->kind == kind && m->from == from && m->to == to;
    }
    return count;
}

void
settle(struct group *g)
{
    for (int turn = 0; turn < 3; turn++) {
        group_deliver_all(g);
        for (raft_id id = 1; id <= g->node_count; id++) {
            if (group_node(g, id)->up && raft_role(member(g, id)) == RAFT_LEADER)
                group_tick(g, group_node(g, id), HEARTBEAT_MS);
        }
    }
    group_deliver_all(g);
}
