/*
 * What is kept of a term: who led it, at which index its entries begin, the term of the entry before
 * them, and how far the log was seen to be committed while it was the term of whoever committed.
 *
 *      term   leader   first   before   committed
 *       3       2        10       2        14
 *       5       1        13       3        17
 *
 * By induction over terms this is enough for log matching: when the entries of a term begin at the same
 * index after the same term in two logs, the logs are the same up to there.  The committed log is kept
 * as its stretches of one term, `chain`; a stretch of term 0 was never seen.
 *
 *   W1  chain ascends without holes, and ends at `committed`.
 *   W2  The term in which an index was committed, as seen, is not before the true one; so what is asked
 *       of later leaders is never too much.
 */
#include "raft/witness.h"

#include <inttypes.h>

#include "base/mem.h"

#include "raft/conduct.h"

struct term_seen {
    raft_id leader;       /* 0: nobody was seen */
    raft_index first;     /* 0: not seen */
    raft_term before;     /* of entry first - 1 */
    raft_index committed; /* 0: nothing, while the term was this */
};

struct member_seen {
    raft_id id;
    struct conduct conduct;
};

struct witness {
    struct term_seen *terms; /* by term */
    uint64_t term_count;
    struct member_seen *members;
    uint32_t member_count;
    struct raft_run *chain;
    uint32_t chain_count;
    raft_index committed;
    uint64_t elections;
};

struct witness *
witness_create(void)
{
    return mem_new(struct witness);
}

void
witness_destroy(struct witness *w)
{
    if (w == NULL)
        return;
    mem_free(w->terms);
    mem_free(w->members);
    mem_free(w->chain);
    mem_free(w);
}

/* ------------------------------------------------------------------ room */

static enum status
make_room_for_term(struct witness *w, raft_term term)
{
    uint64_t count = w->term_count == 0 ? 64 : w->term_count;
    struct term_seen *grown;

    while (count <= term && count <= SIZE_MAX / 2 / sizeof(*grown))
        count *= 2;
    if (count <= w->term_count)
        return ST_OK;
    grown = count > term ? mem_resize(w->terms, count * sizeof(*grown)) : NULL;
    if (grown == NULL)
        return ST_NO_MEMORY;
    memset(grown + w->term_count, 0, (count - w->term_count) * sizeof(*grown));
    w->terms = grown;
    w->term_count = count;
    return ST_OK;
}

static struct member_seen *
find_member(struct witness *w, raft_id id)
{
    struct member_seen *grown;

    for (uint32_t i = 0; i < w->member_count; i++) {
        if (w->members[i].id == id)
            return &w->members[i];
    }
    grown = mem_resize(w->members, (w->member_count + 1) * sizeof(*grown));
    if (grown == NULL)
        return NULL;
    w->members = grown;
    grown += w->member_count++;
    *grown = (struct member_seen){ .id = id };
    return grown;
}

static enum status
chain_push(struct witness *w, raft_index first, raft_term term)
{
    struct raft_run *grown;

    if (w->chain_count > 0 && w->chain[w->chain_count - 1].term == term)
        return ST_OK;
    grown = mem_resize(w->chain, (w->chain_count + 1) * sizeof(*grown));
    if (grown == NULL)
        return ST_NO_MEMORY;
    w->chain = grown;
    grown[w->chain_count++] = (struct raft_run){ first, term };
    return ST_OK;
}

/* ------------------------------------------------------------------ terms of entries */

static raft_term
term_in_runs(const struct raft_run *runs, uint32_t count, raft_index index)
{
    while (count > 0 && runs[count - 1].first > index)
        count--; /* seldom: it is mostly the newest that is asked for */
    return count == 0 ? 0 : runs[count - 1].term;
}

/* 0: the log does not tell. */
static raft_term
term_in_view(const struct witness_view *v, raft_index index)
{
    if (index < v->base || index > v->last)
        return 0;
    return index == v->base ? v->base_term : term_in_runs(v->runs, v->run_count, index);
}

static raft_term
term_in_chain(const struct witness *w, raft_index index)
{
    return index > w->committed ? 0 : term_in_runs(w->chain, w->chain_count, index);
}

/* Of the entry that the log of the leader of `term` has or will have there; 0: it was not seen. */
static raft_term
term_under(const struct witness *w, raft_term term, raft_index index)
{
    while (term != 0 && w->terms[term].first > index)
        term = w->terms[term].before;
    return term != 0 && w->terms[term].first != 0 ? term : 0;
}

/* ------------------------------------------------------------------ log matching */

static enum status
match_run(struct witness *w, const struct witness_view *v, uint32_t i, struct err *err)
{
    struct raft_run run = v->runs[i];
    struct term_seen *seen = &w->terms[run.term];
    raft_term before = i > 0 ? v->runs[i - 1].term : v->base_term;
    bool is_cut = i == 0 && before == run.term; /* the log begins in the middle of the term */

    if (is_cut && (seen->first == 0 || seen->first <= run.first))
        return ST_OK;
    if (seen->first == 0 && !is_cut) {
        seen->first = run.first;
        seen->before = before;
    }
    if (seen->first == run.first && seen->before == before)
        return ST_OK;
    return err_raise(err, ST_CORRUPT,
                     "log matching: entries of term %" PRIu64 " begin at %" PRIu64
                     " after term %" PRIu64 " for member %" PRIu64 ", and at %" PRIu64
                     " after term %" PRIu64 " elsewhere",
                     run.term, run.first, before, v->member, seen->first, seen->before);
}

static bool
has_other_runs(const struct conduct *c, const struct witness_view *v)
{
    const struct raft_run *newest = v->run_count > 0 ? &v->runs[v->run_count - 1] : NULL;

    return c->seen.life != v->life || c->seen.hard.term != v->hard.term ||
           c->seen.run_count != v->run_count || c->seen.base != v->base ||
           (newest != NULL && (c->newest.first != newest->first || c->newest.term != newest->term));
}

static enum status
match_log(struct witness *w, const struct conduct *c, const struct witness_view *v, struct err *err)
{
    enum status st = ST_OK;

    if (!has_other_runs(c, v))
        return ST_OK;
    for (uint32_t i = 0; i < v->run_count && st == ST_OK; i++) {
        st = make_room_for_term(w, v->runs[i].term);
        if (st == ST_OK)
            st = match_run(w, v, i, err);
    }
    return st;
}

/* ------------------------------------------------------------------ what is committed */

/* The chain up to what this member says is committed, beyond what was known. */
static enum status
extend_chain(struct witness *w, const struct witness_view *v)
{
    enum status st = ST_OK;

    if (v->base > w->committed) {
        if (v->base > w->committed + 1)
            st = chain_push(w, w->committed + 1, 0);
        if (st == ST_OK)
            st = chain_push(w, v->base, v->base_term);
    }
    for (uint32_t i = 0; i < v->run_count && st == ST_OK; i++) {
        if (v->runs[i].first <= v->commit && v->runs[i].first > w->committed)
            st = chain_push(w, v->runs[i].first, v->runs[i].term);
    }
    if (st == ST_OK)
        w->committed = v->commit;
    return st;
}

static enum status
lacks(const struct witness *w, raft_term term, raft_index index, raft_term instead, struct err *err)
{
    return err_raise(err, ST_CORRUPT,
                     "leader completeness: entry %" PRIu64 " of term %" PRIu64
                     " is committed, and the leader of term %" PRIu64 ", %" PRIu64
                     ", has one of term %" PRIu64 " there (0: none)",
                     index, term_in_chain(w, index), term, w->terms[term].leader, instead);
}

/* Leaders of later terms than the one in which this was committed. */
static enum status
check_later_leaders(const struct witness *w, raft_term since, raft_index index, struct err *err)
{
    raft_term expected = term_in_chain(w, index);

    for (raft_term term = since + 1; term < w->term_count; term++) {
        raft_term found = w->terms[term].first == 0 ? 0 : term_under(w, term, index);

        if (w->terms[term].leader != 0 && found != 0 && expected != 0 && found != expected)
            return lacks(w, term, index, found, err);
    }
    return ST_OK;
}

static enum status
see_commit(struct witness *w, const struct conduct *c, const struct witness_view *v,
           struct err *err)
{
    raft_index both = v->commit < w->committed ? v->commit : w->committed;
    raft_term here = term_in_view(v, both);
    raft_term there = term_in_chain(w, both);
    struct term_seen *term = &w->terms[v->hard.term];
    enum status st;

    if (c->seen.life == v->life && c->seen.commit == v->commit)
        return ST_OK;
    if (here != 0 && there != 0 && here != there) {
        return err_raise(err, ST_CORRUPT,
                         "state machine safety: member %" PRIu64 " has committed entry %" PRIu64
                         " of term %" PRIu64 ", which is of term %" PRIu64 " elsewhere",
                         v->member, both, here, there);
    }
    if (term->committed < v->commit)
        term->committed = v->commit;
    if (v->commit <= w->committed)
        return ST_OK;
    st = extend_chain(w, v);
    return st == ST_OK ? check_later_leaders(w, v->hard.term, v->commit, err) : st;
}

/* ------------------------------------------------------------------ leaders */

/* The last entry that is committed, and is the same in this log. */
static raft_index
last_in_common(const struct witness *w, const struct witness_view *v, raft_index limit)
{
    raft_index index = w->committed < limit ? w->committed : limit - 1;

    while (term_in_view(v, index) != 0 && term_in_chain(w, index) != 0 &&
           term_in_view(v, index) != term_in_chain(w, index))
        index--;
    return index;
}

/* What was committed and is not in the log of whom an operator has chosen never was. */
static void
forget_beyond(struct witness *w, const struct witness_view *v)
{
    w->committed = last_in_common(w, v, v->imposed);
    while (w->chain_count > 0 && w->chain[w->chain_count - 1].first > w->committed)
        w->chain_count--;
    for (uint64_t term = 0; term < w->term_count; term++) {
        if (w->terms[term].committed > w->committed)
            w->terms[term].committed = w->committed;
    }
}

static enum status
see_leader(struct witness *w, const struct witness_view *v, struct err *err)
{
    struct term_seen *seen = &w->terms[v->hard.term];
    raft_index committed = 0;
    raft_term expected;

    if (v->role != RAFT_LEADER || seen->leader == v->member)
        return ST_OK;
    if (seen->leader != 0) {
        return err_raise(err, ST_CORRUPT,
                         "election safety: members %" PRIu64 " and %" PRIu64
                         " both lead in term %" PRIu64,
                         seen->leader, v->member, v->hard.term);
    }
    seen->leader = v->member;
    w->elections++;
    if (v->imposed != 0)
        forget_beyond(w, v);
    for (raft_term term = v->hard.term; term-- > 0 && committed == 0;)
        committed = w->terms[term].committed;
    if (committed < v->base)
        return ST_OK; /* all of it is in its snapshot */
    expected = term_in_chain(w, committed);
    if (expected == 0 || term_in_view(v, committed) == expected)
        return ST_OK;
    return lacks(w, v->hard.term, committed, term_in_view(v, committed), err);
}

/* ------------------------------------------------------------------ */

static bool
is_possible(const struct witness_view *v)
{
    raft_index after = v->base;
    raft_term before = v->base_term;

    for (uint32_t i = 0; i < v->run_count; i++) {
        if (i == 0 ? v->runs[i].first != after + 1 : v->runs[i].first <= after)
            return false;
        if (v->runs[i].term < before || v->runs[i].term == 0)
            return false;
        after = v->runs[i].first;
        before = v->runs[i].term;
    }
    return v->member != 0 && before <= v->hard.term && v->base <= v->commit &&
           v->commit <= v->last && after <= v->last && (v->run_count > 0 || v->last == v->base);
}

enum status
witness_see(struct witness *w, const struct witness_view *view, struct err *err)
{
    struct member_seen *m = find_member(w, view->member);
    enum status st = m == NULL ? ST_NO_MEMORY : make_room_for_term(w, view->hard.term);

    if (!is_possible(view)) {
        return err_raise(err, ST_INVALID, "member %" PRIu64 " cannot look like that", view->member);
    }
    if (st == ST_OK)
        st = conduct_check(&m->conduct, view, err);
    if (st == ST_OK)
        st = match_log(w, &m->conduct, view, err);
    if (st == ST_OK)
        st = see_leader(w, view, err);
    if (st == ST_OK)
        st = see_commit(w, &m->conduct, view, err);
    if (st == ST_OK)
        conduct_remember(&m->conduct, view);
    return st == ST_NO_MEMORY ? err_raise(err, st, "out of memory for what was seen of a group")
                              : st;
}

uint64_t
witness_elections(const struct witness *w)
{
    return w->elections;
}
