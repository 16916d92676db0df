/*
 * INVARIANTS
 *
 *   Q1  Who is chosen has, at the highest index that anybody who is left knows to be committed, the same entry as
 *       there.  So nothing that is known to be committed is lost, and nobody is contradicted.
 *   Q2  Where somebody leads, or a majority of the membership in force is left, nobody is chosen.
 *
 * Q1 can always be kept: whoever knows the highest one has it.  Q2 looks at the membership of the one that would be
 * chosen; an older one counts for nothing, for whoever is in a majority of it alone has elected somebody by now.  A replica that is empty
 * has none, but the founders'; then the record's counts.
 */
#include "cluster/recovery.h"

#include "base/assert.h"

#include "raft/witness.h"

/* ------------------------------------------------------------------ looking */

void
remnant_of(const struct raft *r, uint64_t tablet, struct remnant *out)
{
    struct witness_view v = raft_view(r, 0);
    uint32_t skipped = v.run_count > REMNANT_RUNS_MAX ? v.run_count - REMNANT_RUNS_MAX : 0;

    *out = (struct remnant){ .node = v.member,
                             .tablet = tablet,
                             .leads = v.role == RAFT_LEADER,
                             .term = v.hard.term,
                             .base = v.base,
                             .base_term = v.base_term,
                             .last = v.last,
                             .commit = v.commit,
                             .config = *raft_config(r),
                             .run_count = v.run_count - skipped };
    for (uint32_t i = 0; i < out->run_count; i++)
        out->runs[i] = v.runs[skipped + i];
    if (skipped > 0) {
        out->base = v.runs[skipped].first - 1;
        out->base_term = v.runs[skipped - 1].term;
    }
}

raft_term
remnant_term_at(const struct remnant *m, raft_index index)
{
    uint32_t i = m->run_count;

    if (index < m->base || index > m->last)
        return 0;
    if (index == m->base)
        return m->base_term;
    while (i > 0 && m->runs[i - 1].first > index)
        i--;
    return i == 0 ? 0 : m->runs[i - 1].term;
}

raft_term
remnant_last_term(const struct remnant *m)
{
    return m->run_count == 0 ? m->base_term : m->runs[m->run_count - 1].term;
}

int
remnant_compare(const void *a, const void *b)
{
    const struct remnant *x = a;
    const struct remnant *y = b;

    if (x->tablet != y->tablet)
        return x->tablet < y->tablet ? -1 : 1;
    return (x->node > y->node) - (x->node < y->node);
}

/* ------------------------------------------------------------------ bytes */

static enum status
encode_ids(struct buf *out, const raft_id *ids, uint32_t count)
{
    enum status st = append_varint(out, count);

    for (uint32_t i = 0; i < count && st == ST_OK; i++)
        st = append_varint(out, ids[i]);
    return st;
}

static enum status
encode_config(struct buf *out, const struct raft_config *c)
{
    enum status st = encode_ids(out, c->voters, c->voter_count);

    if (st == ST_OK)
        st = encode_ids(out, c->outgoing, c->outgoing_count);
    return st == ST_OK ? encode_ids(out, c->learners, c->learner_count) : st;
}

enum status
remnant_encode(const struct remnant *m, struct buf *out)
{
    const uint64_t numbers[] = { m->node,      m->tablet, m->leads,  m->term,     m->base,
                                 m->base_term, m->last,   m->commit, m->run_count };
    size_t begin = out->size;
    enum status st = ST_OK;

    for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]) && st == ST_OK; i++)
        st = append_varint(out, numbers[i]);
    for (uint32_t i = 0; i < m->run_count && st == ST_OK; i++) {
        st = append_varint(out, m->runs[i].first);
        if (st == ST_OK)
            st = append_varint(out, m->runs[i].term);
    }
    if (st == ST_OK)
        st = encode_config(out, &m->config);
    if (st != ST_OK)
        out->size = begin;
    return st;
}

static void
decode_ids(struct reader *from, raft_id *ids, uint32_t *count, uint32_t max)
{
    uint64_t n = read_varint(from);

    from->bad |= n > max;
    for (uint32_t i = 0; i < n && !from->bad; i++)
        ids[i] = read_varint(from);
    *count = from->bad ? 0 : (uint32_t)n;
}

/* Ascending, from base + 1 on, within the log. */
static bool
runs_make_sense(const struct remnant *m)
{
    raft_index after = m->base;
    raft_term before = m->base_term;

    for (uint32_t i = 0; i < m->run_count; i++) {
        if (m->runs[i].first <= after || (i == 0 && m->runs[i].first != after + 1) ||
            m->runs[i].term < before || m->runs[i].term == 0)
            return false;
        after = m->runs[i].first;
        before = m->runs[i].term;
    }
    return after <= m->last && (m->run_count > 0 || m->last == m->base) && before <= m->term;
}

enum status
remnant_decode(struct reader *from, struct remnant *out)
{
    uint64_t leads, runs;

    *out = (struct remnant){ .node = read_varint(from) };
    out->tablet = read_varint(from);
    leads = read_varint(from);
    out->term = read_varint(from);
    out->base = read_varint(from);
    out->base_term = read_varint(from);
    out->last = read_varint(from);
    out->commit = read_varint(from);
    runs = read_varint(from);
    if (from->bad || leads > 1 || runs > REMNANT_RUNS_MAX || out->node == 0)
        return ST_CORRUPT;
    out->leads = leads == 1;
    out->run_count = (uint32_t)runs;
    for (uint32_t i = 0; i < out->run_count; i++) {
        out->runs[i].first = read_varint(from);
        out->runs[i].term = read_varint(from);
    }
    decode_ids(from, out->config.voters, &out->config.voter_count, RAFT_VOTERS_MAX);
    decode_ids(from, out->config.outgoing, &out->config.outgoing_count, RAFT_VOTERS_MAX);
    decode_ids(from, out->config.learners, &out->config.learner_count, RAFT_MEMBERS_MAX);
    if (from->bad || !runs_make_sense(out) || out->commit > out->last ||
        out->term > UINT64_MAX / 2 || !raft_config_is_valid(&out->config))
        return ST_CORRUPT;
    return ST_OK;
}

/* ------------------------------------------------------------------ judging */

bool
left_has(const struct left *l, uint64_t node)
{
    for (uint32_t i = 0; i < l->count; i++) {
        if (l->nodes[i] == node)
            return true;
    }
    return false;
}

static bool
are_most_left(const struct left *l, const raft_id *ids, uint32_t count)
{
    uint32_t here = 0;

    for (uint32_t i = 0; i < count; i++)
        here += left_has(l, ids[i]);
    return here > count / 2;
}

bool
left_elects(const struct left *l, const struct raft_config *config)
{
    return are_most_left(l, config->voters, config->voter_count) &&
           (config->outgoing_count == 0 ||
            are_most_left(l, config->outgoing, config->outgoing_count));
}

/* Paper, 5.4.1: a later last term, or the same and longer; else whoever knows more of it to be committed. */
static bool
is_newer(const struct remnant *a, const struct remnant *b)
{
    if (remnant_last_term(a) != remnant_last_term(b))
        return remnant_last_term(a) > remnant_last_term(b);
    if (a->last != b->last)
        return a->last > b->last;
    return a->commit > b->commit;
}

static const struct remnant *
who_knows_most(const struct remnant *all, uint32_t count)
{
    const struct remnant *most = &all[0];

    for (uint32_t i = 1; i < count; i++) {
        if (all[i].commit > most->commit)
            most = &all[i];
    }
    return most;
}

/* Q1. */
static const struct remnant *
choose(const struct remnant *all, uint32_t count)
{
    const struct remnant *most = who_knows_most(all, count);
    raft_term term = remnant_term_at(most, most->commit);
    const struct remnant *best = most;

    for (uint32_t i = 0; i < count; i++) {
        if (remnant_term_at(&all[i], most->commit) == term && all[i].last >= most->commit &&
            is_newer(&all[i], best))
            best = &all[i];
    }
    return best;
}

enum recovery_verdict
recovery_judge(const struct remnant *all, uint32_t count, const struct left *left,
               const struct raft_config *asked, const struct remnant **chosen)
{
    const struct remnant *leader = NULL;
    bool is_empty;

    *chosen = NULL;
    if (count == 0)
        return RECOVERY_GONE;
    for (uint32_t i = 0; i < count; i++) {
        if (all[i].leads && (leader == NULL || all[i].term > leader->term))
            leader = &all[i];
    }
    *chosen = leader != NULL ? leader : choose(all, count);
    if (leader != NULL)
        return RECOVERY_LED;
    is_empty = (*chosen)->last == 0;
    return left_elects(left, is_empty ? asked : &(*chosen)->config) ? RECOVERY_ELECTS
                                                                    : RECOVERY_STRANDED; /* Q2 */
}

raft_term
recovery_term(const struct remnant *all, uint32_t count)
{
    raft_term highest = 0;

    for (uint32_t i = 0; i < count; i++)
        highest = all[i].term > highest ? all[i].term : highest;
    return highest + RECOVERY_TERMS_ABOVE;
}

uint64_t
recovery_given_up(const struct remnant *chosen, const struct remnant *other)
{
    raft_index same = chosen->last < other->last ? chosen->last : other->last;

    while (remnant_term_at(chosen, same) != 0 && remnant_term_at(other, same) != 0 &&
           remnant_term_at(chosen, same) != remnant_term_at(other, same))
        same--;
    return other->last - same;
}
