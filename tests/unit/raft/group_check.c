/* The invariants of consensus, over all members at once. */
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "unit/raft/group.h"
#include "unit/test.h"

static void
print_node(struct group *g, const struct node *n)
{
    const struct raft *r = n->raft;

    printf("  node %llu: ", (unsigned long long)n->id);
    if (!n->up) {
        printf("down, last %llu\n", (unsigned long long)n->durable.last);
        return;
    }
    printf(
        "%s of term %llu, vote %llu, leader %llu; base %llu, applied %llu, commit %llu, "
        "persisted %llu, last %llu; membership of %llu: %u voters, %u outgoing, %u learners%s%s%s\n",
        raft_role_name(raft_role(r)), (unsigned long long)raft_hard(r).term,
        (unsigned long long)raft_hard(r).vote, (unsigned long long)raft_leader(r),
        (unsigned long long)raft_base(r), (unsigned long long)n->applied,
        (unsigned long long)raft_commit(r), (unsigned long long)raft_persisted(r),
        (unsigned long long)raft_last(r), (unsigned long long)raft_config_index(r),
        raft_config(r)->voter_count, raft_config(r)->outgoing_count, raft_config(r)->learner_count,
        raft_is_quiesced(r) ? ", asleep" : "", n->disk_failed ? ", disk failed" : "",
        n->install_due_ns != 0 ? ", installing" : "");
    for (raft_id id = 1; raft_role(r) == RAFT_LEADER && id <= g->node_count; id++) {
        struct raft_progress_view p;

        if (raft_progress_of(r, id, &p) == ST_OK)
            printf("    to %llu: state %d, match %llu, next %llu%s\n", (unsigned long long)id,
                   p.state, (unsigned long long)p.match, (unsigned long long)p.next,
                   p.active ? "" : ", not heard");
    }
}

void
group_violation(struct group *g, const char *fmt, ...)
{
    va_list args;

    va_start(args, fmt);
    printf("VIOLATION ");
    vprintf(fmt, args);
    va_end(args);
    printf("\n");
    for (uint32_t i = 0; i < g->node_count; i++)
        print_node(g, &g->nodes[i]);
    printf("  seed 0x%llx, step %llu, %llu ms; replay with TEST_SEED=0x%llx\n",
           (unsigned long long)g->seed, (unsigned long long)g->step,
           (unsigned long long)(g->now_ns / 1000000), (unsigned long long)g->seed);
    fflush(stdout);
    _exit(GROUP_VIOLATION);
}

/* Log matching: an index and a term name one entry, and the term of the one before it. */
void
group_wrote(struct group *g, raft_index index, raft_term prev_term, const struct cell *cell)
{
    uint64_t key = index << 24 | (cell->term & 0xffffff);
    size_t mask = (size_t)GROUP_LOG_MAX * 4 - 1;
    size_t at = (key * UINT64_C(0x9e3779b97f4a7c15)) >> 20 & mask;

    while (g->written[at].key != 0 && g->written[at].key != key)
        at = (at + 1) & mask;
    if (g->written[at].key == 0) {
        g->written[at] =
            (struct written){ .key = key, .prev_term = prev_term, .value = cell->value };
        return;
    }
    if (g->written[at].value != cell->value || g->written[at].prev_term != prev_term)
        group_violation(g, "logs do not match: two entries %llu^%llu", (unsigned long long)index,
                        (unsigned long long)cell->term);
}

static bool
has_durably(const struct node *n, raft_index index, raft_term term)
{
    const struct image *d = &n->durable;

    if (index <= d->base.index)
        return true;
    return index <= d->last && d->cells[index - 1].term == term;
}

static bool
majority_has(struct group *g, const raft_id *ids, uint32_t count, raft_index index, raft_term term)
{
    uint32_t have = 0;

    for (uint32_t i = 0; i < count; i++)
        have += has_durably(group_node(g, ids[i]), index, term);
    return have * 2 > count;
}

/* What a leader commits is durable on a majority, of each set of voters. */
static void
check_durable(struct group *g, struct node *n, const struct raft_config *c, raft_index index)
{
    raft_term term;

    if (raft_term_at(n->raft, index, &term) != ST_OK)
        return;
    if (!majority_has(g, c->voters, c->voter_count, index, term) ||
        (c->outgoing_count > 0 && !majority_has(g, c->outgoing, c->outgoing_count, index, term)))
        group_violation(g, "node %llu commits %llu^%llu, which no majority has on its disks",
                        (unsigned long long)n->id, (unsigned long long)index,
                        (unsigned long long)term);
}

/* Who was elected has whatever was committed in earlier terms. */
static void
check_leader(struct group *g, struct node *n)
{
    raft_term term = raft_hard(n->raft).term;

    if (g->leader_of[term] == n->id)
        return;
    if (g->leader_of[term] != 0)
        group_violation(g, "nodes %llu and %llu both lead in term %llu",
                        (unsigned long long)g->leader_of[term], (unsigned long long)n->id,
                        (unsigned long long)term);
    g->leader_of[term] = n->id;
    g->elections++;
    for (raft_index i = n->log.base.index + 1; i <= g->committed_last; i++) {
        if (g->committed_in[i - 1] >= term)
            continue;
        if (i > n->log.last || n->log.cells[i - 1].value != g->committed[i - 1].value)
            group_violation(g, "node %llu leads in term %llu without the committed entry %llu",
                            (unsigned long long)n->id, (unsigned long long)term,
                            (unsigned long long)i);
    }
}

void
group_committed(struct group *g, struct node *n, raft_index index)
{
    for (raft_index i = n->commit_checked + 1; i <= index; i++) {
        const struct cell *c = &n->log.cells[i - 1];

        if (i <= g->committed_last) {
            if (c->value != g->committed[i - 1].value || c->term != g->committed[i - 1].term)
                group_violation(g, "node %llu commits another entry at %llu than others did",
                                (unsigned long long)n->id, (unsigned long long)i);
            continue;
        }
        g->committed[i - 1] = *c;
        g->committed_in[i - 1] = raft_hard(n->raft).term;
        g->digests[i] = group_digest_with(g->digests[i - 1], c);
        g->committed_last = i;
        g->writes_acked += c->kind == RAFT_DATA;
    }
    n->commit_checked = index;
}

/* The membership by which a step of the leader committed: the one before, when the step added one. */
static const struct raft_config *
config_of_step(struct group *g, struct node *n, struct raft_config *room)
{
    if (g->fx.append_first > g->fx.append_last || g->fx.own.kind != RAFT_CONFIG)
        return raft_config(n->raft);
    *room = *raft_config(n->raft);
    for (raft_index i = n->log.last - 1; i > n->log.base.index; i--) {
        if (n->log.cells[i - 1].kind == RAFT_CONFIG)
            return n->log.cells[i - 1].config;
    }
    *room = n->log.base.config;
    return room;
}

static bool
reach_each_other(const struct group *g, const struct node *a, const struct node *b)
{
    return a == b || (b->up && !b->disk_failed && !g->cut[a->id][b->id] && !g->cut[b->id][a->id]);
}

static bool
reached_majority(const struct node *n, const raft_id *ids, uint32_t count, uint64_t since_ns)
{
    uint32_t reached = 0;

    for (uint32_t i = 0; i < count; i++)
        reached += n->reached_ns[ids[i]] >= since_ns;
    return reached * 2 > count;
}

/* Check-quorum: who has reached no majority for two election timeouts, and what is under way that
 * long, does not lead. */
void
group_check_alone(struct group *g, struct node *n)
{
    const struct raft_config *c = raft_config(n->raft);
    uint64_t limit_ns =
        3 * g->options.election_ns + 22 * g->delay_ns + (uint64_t)SLOW_MS_MAX * 1000000;

    if (raft_role(n->raft) != RAFT_LEADER || raft_is_quiesced(n->raft)) {
        n->leads_since_ns = 0;
        return;
    }
    if (n->leads_since_ns == 0 || g->now_ns < n->paused_until_ns + limit_ns ||
        n->leads_config != raft_config_index(n->raft))
        n->leads_since_ns = g->now_ns;
    n->leads_config = raft_config_index(n->raft);
    for (raft_id id = 1; id <= g->node_count; id++) {
        if (reach_each_other(g, n, group_node(g, id)))
            n->reached_ns[id] = g->now_ns;
    }
    if (g->now_ns < n->leads_since_ns + limit_ns)
        return;
    if (!reached_majority(n, c->voters, c->voter_count, g->now_ns - limit_ns) ||
        (c->outgoing_count > 0 &&
         !reached_majority(n, c->outgoing, c->outgoing_count, g->now_ns - limit_ns)))
        group_violation(g, "node %llu still leads, and has long reached no majority",
                        (unsigned long long)n->id);
}

void
group_check(struct group *g, struct node *n)
{
    raft_index commit = raft_commit(n->raft);
    struct witness_view view = raft_view(n->raft, n->life);
    struct raft_config room;
    struct err err;

    if (witness_see(g->witness, &view, &err) != ST_OK)
        group_violation(g, "the witness says: %s", err.text);
    if (raft_last(n->raft) != n->log.last && n->install_due_ns == 0)
        group_violation(g, "node %llu and its log disagree about the last entry",
                        (unsigned long long)n->id);
    if (raft_role(n->raft) == RAFT_LEADER)
        check_leader(g, n);
    if (n->install_due_ns != 0 && raft_role(n->raft) != RAFT_FOLLOWER)
        group_violation(g, "node %llu is a %s, and its log is being replaced",
                        (unsigned long long)n->id, raft_role_name(raft_role(n->raft)));
    if (raft_role(n->raft) == RAFT_LEADER && n->disk_failed)
        group_violation(g, "node %llu leads, and its disk has failed", (unsigned long long)n->id);
    if (commit > n->commit_checked) {
        bool leads = raft_leader(n->raft) == n->id;

        group_committed(g, n, commit);
        if (leads)
            check_durable(g, n, config_of_step(g, n, &room), commit);
    }
}
