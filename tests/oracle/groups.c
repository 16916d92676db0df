#include "oracle/groups.h"

#include <stdlib.h>
#include <string.h>

#include "oracle/schedule.h"

/* ------------------------------------------------------------------ one moment */

static const char *
judge_loosely(const struct view *ours, const struct view *theirs)
{
    if (ours->role != theirs->role || ours->hard.term != theirs->hard.term ||
        ours->hard.vote != theirs->hard.vote || ours->leader != theirs->leader)
        return "role, term, vote or leader";
    return view_logs_agree(ours, theirs) ? NULL : "the log";
}

/* A leader that was removed: ours has handed over, etcd's leads on. */
static const char *
judge_leaving(const struct view *ours, const struct view *theirs)
{
    return theirs->hard.term <= ours->hard.term && view_logs_agree(ours, theirs) ? NULL : "the log";
}

/* A member whom etcd's leader does not know yet: it can only be behind. */
static const char *
judge_newcomer(const struct view *ours, const struct view *theirs)
{
    return theirs->hard.term <= ours->hard.term && theirs->commit <= ours->commit &&
                   view_logs_agree(ours, theirs)
               ? NULL
               : "a newcomer";
}

static const char *
judge_in_flight(const struct moment *m, uint32_t i, const struct view *theirs)
{
    const struct view *ours = &m->views[i];

    if (m->added[i])
        return judge_newcomer(ours, theirs);
    return judge_loosely(ours, theirs);
}

/* Its leader does not hear it, and has sent on, or not. */
static bool
is_unheard(const struct moment *m, uint32_t i, const struct view *theirs)
{
    const struct view *ours = &m->views[i];

    return ours->up && !m->is_heard[i] && ours->leader != 0 && theirs->leader == ours->leader &&
           (theirs->last != ours->last || theirs->commit < ours->commit);
}

static const char *
judge_exactly(const struct moment *m, uint32_t i, struct view *theirs)
{
    struct view ours = m->views[i];

    if (is_unheard(m, i, theirs))
        return judge_loosely(&ours, theirs);
    if (m->commit_owed[i] > ours.commit) {
        differ_count(DIFFER_COMMIT_FORGOTTEN);
        ours.commit = m->commit_owed[i];
    }
    if (!m->is_heard[i] && ours.commit < theirs->commit && theirs->commit <= m->committed) {
        differ_count(DIFFER_COMMIT_NOT_TOLD);
        ours.commit = theirs->commit;
    }
    return view_difference(&ours, theirs);
}

static const char *
judge_member(const struct moment *m, uint32_t i, struct view *theirs, enum difference end)
{
    const struct view *ours = &m->views[i];

    if (ours->up != theirs->up)
        return "who is up";
    if (!ours->up)
        return NULL;
    if (m->removed[i]) {
        differ_count(DIFFER_REMOVED_IS_NOT_TOLD);
        return view_logs_agree(ours, theirs) ? NULL : "the log of a removed member";
    }
    if (end == DIFFER_LEADER_LEAVES)
        return judge_leaving(ours, theirs);
    if (end == DIFFER_MEMBERSHIP_IN_FLIGHT)
        return judge_in_flight(m, i, theirs);
    return judge_exactly(m, i, theirs);
}

static bool
is_in_flight(const struct moment *m, uint32_t nodes, const struct view *theirs)
{
    for (uint32_t i = 0; i < nodes; i++) {
        if (m->views[i].up && !m->removed[i] && m->config_index[i] > theirs[i].commit &&
            !raft_config_equal(&m->views[i].config, &theirs[i].config))
            return true;
    }
    return false;
}

/* Why the rest of the schedule cannot be compared; DIFFER_COUNT: it can. */
static enum difference
end_of(const struct moment *m, uint32_t nodes, const struct view *theirs)
{
    if (m->end == DIFFER_LEADER_LEAVES)
        return m->end;
    if (is_in_flight(m, nodes, theirs))
        return DIFFER_MEMBERSHIP_IN_FLIGHT;
    for (uint32_t i = 0; i < nodes && m->end == DIFFER_COUNT; i++) {
        if (is_unheard(m, i, &theirs[i]))
            return DIFFER_UNHEARD_HAS_MORE;
    }
    return m->end;
}

/* ------------------------------------------------------------------ a schedule */

struct verdict {
    const char *why; /* NULL: the same */
    uint32_t step;
    uint32_t member;
    bool over; /* the rest cannot be compared */
    struct view theirs[SCHEDULE_NODES_MAX];
};

static bool
parse_moment(struct verdict *v, uint32_t nodes, char *answer)
{
    for (uint32_t i = 0; i < nodes; i++) {
        char *part = text_part(&answer, " | ");

        if (part == NULL || !view_parse_state(&v->theirs[i], part))
            return false;
    }
    return true;
}

static void
judge_moment(const struct moment *m, uint32_t nodes, char *answer, struct verdict *v)
{
    enum difference end;

    v->member = 0;
    v->why = "etcd's answer cannot be read";
    if (!parse_moment(v, nodes, answer))
        return;
    v->why = NULL;
    end = end_of(m, nodes, v->theirs);
    for (; v->member < nodes; v->member++) {
        v->why = judge_member(m, v->member, &v->theirs[v->member], end);
        if (v->why != NULL)
            return;
    }
    if (end != DIFFER_COUNT)
        differ_count(end);
    v->over = end != DIFFER_COUNT;
}

static void
judge(const struct schedule *s, char *answer, struct verdict *v)
{
    memset(v, 0, sizeof(*v));
    for (v->step = 0; v->step < s->count && v->why == NULL && !v->over; v->step++) {
        char *part = text_part(&answer, " ; ");

        judge_moment(&s->moments[v->step], s->g->node_count, part, v);
    }
}

static void
tell_moment(FILE *to, const struct schedule *s, const struct verdict *v)
{
    const struct moment *m = &s->moments[v->step - 1];

    for (uint32_t i = 0; i < s->g->node_count; i++) {
        fprintf(to, "  %s ours   %u  ", i == v->member ? ">" : " ", i + 1);
        view_print(to, &m->views[i]);
        fprintf(to, "\n    etcd's %u  ", i + 1);
        view_print(to, &v->theirs[i]);
        fprintf(to, "\n");
    }
}

static void
tell(FILE *to, const struct schedule *s, const struct verdict *v)
{
    fprintf(to, "  begin   %s\n", s->begin);
    for (uint32_t i = 0; i < v->step; i++)
        fprintf(to, "  %3u     %s\n", i + 1, s->moments[i].text);
    tell_moment(to, s, v);
}

static void
mark(struct groups_marks *marks, const struct group *g)
{
    marks->elections += g->elections;
    marks->truncations += g->truncations;
    marks->installs += g->installs;
    marks->changes += g->changes;
    marks->crashes += g->crashes;
}

const char *
groups_run(struct peer *p, uint64_t seed, uint64_t *steps, struct groups_marks *marks, FILE *report)
{
    struct schedule *s = schedule_draw(seed);
    char *line = schedule_line(s);
    struct verdict v;

    peer_ask(p, line);
    judge(s, peer_answer(p), &v);
    if (v.why != NULL && report != NULL)
        tell(report, s, &v);
    *steps += v.step;
    mark(marks, s->g);
    free(line);
    schedule_free(s);
    return v.why;
}
