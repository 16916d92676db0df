#include "oracle/judge.h"

#include <string.h>

/* What was acknowledged to the leader of a term so far. */
struct acks {
    raft_term term;
    raft_index most;
};

/* ------------------------------------------------------------------ decisions */

static bool
same_decision(const struct decision *a, const struct decision *b)
{
    return a->kind == b->kind && a->to == b->to && a->term == b->term && a->index == b->index &&
           a->log_term == b->log_term && a->reject == b->reject && a->force == b->force;
}

static void
drop_decision(struct view *v, uint32_t at)
{
    v->decision_count--;
    memmove(&v->decisions[at], &v->decisions[at + 1],
            (v->decision_count - at) * sizeof(v->decisions[0]));
}

static bool
is_refusal(const struct view *v)
{
    return v->decision_count == 1 && v->decisions[0].reject;
}

/* An append or heartbeat of a term that is over is answered with our term; the rest means nothing. */
static void
blank_answer_to_old_term(const struct script_step *step, struct view *v)
{
    struct decision *d = &v->decisions[0];

    if (step->message.term >= step->before.hard.term || v->decision_count != 1 ||
        d->kind != RAFT_APPEND_REPLY)
        return;
    d->reject = true;
    d->index = 0;
}

/* etcd's acknowledgement in our terms: of all that this leader's appends have matched so far. */
static void
accept_ack(const struct script_step *step, struct acks *acks, const struct decision *ours,
           struct decision *theirs)
{
    const struct raft_message *m = &step->message;
    raft_index matched = m->index + m->entry_count;

    if (acks->term != m->term)
        *acks = (struct acks){ .term = m->term };
    if (m->index < step->before.commit && step->known != DIFFER_APPEND_ACROSS_COMMIT &&
        theirs->index == step->before.commit) {
        if (ours->index != theirs->index)
            differ_count(DIFFER_ACK_BELOW_COMMIT);
        theirs->index = matched;
    }
    if (theirs->index > acks->most)
        acks->most = theirs->index;
    if (theirs->index != acks->most) {
        differ_count(DIFFER_ACK_IS_A_MAXIMUM);
        theirs->index = acks->most;
    }
}

static void
accept_append_replies(const struct script_step *step, struct acks *acks, struct view *ours,
                      struct view *theirs)
{
    struct decision *a = &ours->decisions[0];
    struct decision *b = &theirs->decisions[0];

    blank_answer_to_old_term(step, ours);
    blank_answer_to_old_term(step, theirs);
    if (step->kind != SCRIPT_RECEIVE || step->message.kind != RAFT_APPEND ||
        step->message.term < step->before.hard.term || ours->decision_count != 1 ||
        theirs->decision_count != 1)
        return;
    if (!b->reject)
        accept_ack(step, acks, a, b);
    else if (a->hint != b->hint && b->hint == step->before.last && a->hint <= a->index &&
             a->hint <= b->hint)
        differ_count(DIFFER_REFUSAL_HINT);
    else if (a->hint != b->hint)
        b->reject = false; /* so that it is seen */
}

static raft_index
base_of(const struct view *v)
{
    return v->last - v->term_count;
}

/* An installed snapshot matches the leader's log. */
static void
note_snapshot(const struct script_step *step, struct acks *acks)
{
    const struct raft_message *m = &step->message;

    if (step->kind != SCRIPT_SNAPSHOT || base_of(&step->after) == base_of(&step->before))
        return;
    if (acks->term != m->term)
        *acks = (struct acks){ .term = m->term };
    if (m->index > acks->most)
        acks->most = m->index;
}

/* What only one of them says. */
static void
accept_silence(const struct script_step *step, struct view *ours, struct view *theirs)
{
    const struct raft_message *m = &step->message;

    if (m->kind == RAFT_HEARTBEAT && m->term > step->before.hard.term &&
        ours->decision_count == 0 && theirs->decision_count == 1 &&
        theirs->decisions[0].kind == RAFT_HEARTBEAT_REPLY) {
        differ_count(DIFFER_HEARTBEAT_OF_NEW_TERM);
        drop_decision(theirs, 0);
    }
    if (step->heir_was_told && ours->decision_count == 1 && theirs->decision_count == 0 &&
        ours->decisions[0].kind == RAFT_TIMEOUT_NOW) {
        differ_count(DIFFER_TIMEOUT_NOW_AGAIN);
        drop_decision(ours, 0);
    }
}

static bool
decisions_agree(const struct script_step *step, struct acks *acks, struct view *ours,
                struct view *theirs)
{
    if (step->known == DIFFER_PREVOTE_OF_OWN_TERM) {
        differ_count(DIFFER_PREVOTE_OF_OWN_TERM);
        return is_refusal(ours) && theirs->decision_count == 1;
    }
    accept_append_replies(step, acks, ours, theirs);
    note_snapshot(step, acks);
    accept_silence(step, ours, theirs);
    if (ours->decision_count != theirs->decision_count)
        return false;
    for (uint32_t i = 0; i < ours->decision_count; i++) {
        if (!same_decision(&ours->decisions[i], &theirs->decisions[i]))
            return false;
    }
    return true;
}

/* ------------------------------------------------------------------ steps with an end */

/* Our membership is in force, etcd's is not yet. */
static const char *
judge_in_flight(const struct script_step *step, const struct view *theirs)
{
    const struct view *ours = &step->after;

    differ_count(DIFFER_MEMBERSHIP_IN_FLIGHT);
    if (ours->role != theirs->role || ours->hard.term != theirs->hard.term ||
        ours->hard.vote != theirs->hard.vote || ours->leader != theirs->leader)
        return "role, term, vote or leader while a membership is in flight";
    if (!view_logs_agree(ours, theirs))
        return "the logs while a membership is in flight";
    if (theirs->commit < step->before.commit || ours->commit < step->before.commit)
        return "commit has gone back";
    return NULL;
}

static const char *
judge_refused_change(const struct view *ours, const struct view *theirs)
{
    struct view without = *theirs;

    if (theirs->last == ours->last + 1) {
        differ_count(DIFFER_REFUSED_CHANGE_IS_AN_ENTRY);
        without.last--;
        without.term_count--;
        without.commit = ours->commit; /* a lone voter commits it at once */
        memcpy(without.match, ours->match, sizeof(without.match));
    }
    return view_difference(ours, &without);
}

static const char *
judge_change(const struct script_step *step, const struct view *theirs)
{
    const struct view *ours = &step->after;

    if (step->was_in_flight) {
        if (ours->done)
            return "a change while another is under way";
        if (!theirs->done)
            differ_count(DIFFER_REFUSED_CHANGE_IS_AN_ENTRY);
        return theirs->done && raft_config_equal(&theirs->config, &step->committed)
                   ? "that etcd takes a change while another is under way"
                   : NULL;
    }
    if (!step->was_own_committed) {
        if (ours->done)
            return "a change before an entry of the leader's term is committed";
        differ_count(DIFFER_CHANGE_BEFORE_OWN_ENTRY);
        return NULL;
    }
    if (ours->done != theirs->done)
        return "whether the change is taken";
    return ours->done ? judge_in_flight(step, theirs) : judge_refused_change(ours, theirs);
}

static const char *
judge_stranger(const struct script_step *step, const struct view *theirs)
{
    struct view expected = step->before;

    if (view_difference(&step->before, theirs) != NULL)
        return "etcd took a stranger's reply";
    expected.role = RAFT_FOLLOWER;
    expected.leader = 0;
    expected.hard = (struct raft_hard){ .term = step->message.term };
    memset(expected.match, 0, sizeof(expected.match));
    return view_difference(&step->after, &expected);
}

static const char *
judge_parting(const struct script_step *step, const struct view *theirs)
{
    differ_count(step->known);
    switch ((int)step->known) {
    case DIFFER_HEARTBEAT_BEYOND_LOG:
        return theirs->broke && step->after.broke ? NULL : "a heartbeat beyond the log";
    case DIFFER_STRANGER_RAISES_TERM:
        return judge_stranger(step, theirs);
    case DIFFER_COMMIT_DENIED:
        return step->after.broke && step->after.last == step->before.last &&
                       view_logs_agree(&step->before, &step->after)
                   ? NULL
                   : "that we did not call it corrupt";
    case DIFFER_TWO_LEADERS:
    case DIFFER_REPLY_BEYOND_LOG:
        return step->after.broke ? NULL : "that we did not call it corrupt";
    default:
        return "an unknown parting";
    }
}

/* ------------------------------------------------------------------ any step */

static const char *
judge_reads(const struct script_step *step, const struct view *theirs)
{
    if (step->after.reads == theirs->reads)
        return NULL;
    if (step->after.reads < theirs->reads)
        return "a read that only etcd confirms";
    if (!step->reads_are_owed)
        return "a read that we confirm without a majority, or too early";
    differ_count(step->read_was_early ? DIFFER_READ_BEFORE_OWN_ENTRY : DIFFER_ROUND_IS_A_MAXIMUM);
    return NULL;
}

static const char *
judge_state(const struct script_step *step, const struct view *theirs)
{
    const char *what;
    struct view with_ours = *theirs;

    if (step->in_flight && step->after.role != RAFT_FOLLOWER)
        return judge_in_flight(step, theirs);
    if (step->in_flight) {
        with_ours.config = step->after.config;
        with_ours.staged_count = 0;
    }
    what = view_difference(&step->after, &with_ours);
    if (what == NULL && step->in_flight && !view_configs_agree(&step->after, theirs))
        differ_count(DIFFER_MEMBERSHIP_IN_FLIGHT);
    return what;
}

static const char *
judge_step(const struct script_step *step, struct view *theirs, struct acks *acks)
{
    struct view ours = step->after;
    const char *what;

    if (ours.early)
        return "a claim before it is durable";
    if (script_parts_ways(step->known))
        return judge_parting(step, theirs);
    if (ours.broke || theirs->broke)
        return ours.broke == theirs->broke ? NULL : "whether it contradicts what is committed";
    if (step->kind == SCRIPT_CHANGE)
        return judge_change(step, theirs);
    if (step->kind == SCRIPT_PROPOSE && ours.done != theirs->done)
        return "whether the proposal is taken";
    what = judge_state(step, theirs);
    if (step->in_flight && ours.role != RAFT_FOLLOWER)
        return what; /* and what is said depends on it */
    if (what == NULL)
        what = judge_reads(step, theirs);
    if (what == NULL && !decisions_agree(step, acks, &ours, theirs))
        what = "what is said";
    return what;
}

/* etcd was told it in its own terms. */
static bool
is_translated(enum difference known)
{
    return known == DIFFER_APPEND_ACROSS_COMMIT || known == DIFFER_FORMER_LEADER_ASKS ||
           known == DIFFER_STALE_PREVOTE_REPLY;
}

const char *
judge_script(const struct script *s, char *answer, struct view *theirs, uint32_t *at)
{
    struct acks acks = { 0 };

    for (*at = 0; *at < s->step_count; ++*at) {
        const struct script_step *step = &s->steps[*at];
        char *part = text_part(&answer, " ; ");
        const char *why;

        memset(theirs, 0, sizeof(*theirs));
        if (part == NULL || !view_parse_script(theirs, part))
            return "etcd's answer cannot be read";
        if (is_translated(step->known))
            differ_count(step->known);
        why = judge_step(step, theirs, &acks);
        if (why != NULL)
            return why;
    }
    return NULL;
}
