/*
 * INVARIANTS
 *
 *   S1  Who votes by the record has been said, by a leader, to have caught up.
 *   S2  A swap leaves a majority of the new voters up and caught up, so the group goes on writing.
 *   S3  A member is forgotten only when a committed, settled membership is without it.
 *   S4  A member leaves only when a committed, settled membership is told to have it, and leaves for good:
 *       if it is wanted again, it is forgotten first, and joins anew.
 *   S5  A damaged copy leaves only when those who vote without it are, by a majority, up and caught up, and
 *       when it does not lead; by S3 it is dropped when the group has committed that it is no member.
 *
 * S3 rests on S4.  A report may be older than the record: "it is without C" may have been said before
 * C was asked to join, and C is a member by now.  But reports are given in the order of
 * report_is_newer(), and of settled ones this is the order of memberships in the log.  So if one has C,
 * and a later one is without C, then C has come and gone; and by S4 it does not come again meanwhile.
 */
#include "cluster/step.h"

#include "base/assert.h"
#include "base/mem.h"

uint32_t
step_voters(uint32_t replicas)
{
    return replicas - (replicas % 2 == 0);
}

static bool
is_wanted(const struct step_options *o, uint64_t node)
{
    for (uint32_t i = 0; i < o->wanted_count; i++) {
        if (o->wanted[i] == node)
            return true;
    }
    return false;
}

static enum member_role
wanted_role(const struct step_options *o, uint32_t at)
{
    return at < o->voters ? MEMBER_VOTER : MEMBER_LEARNER;
}

static struct tablet_member *
member_of(struct tablet_record *t, uint64_t node)
{
    return mem_own(tablet_record_member(t, node));
}

static void
leave_out(struct tablet_record *t, uint32_t at)
{
    t->member_count--;
    for (uint32_t i = at; i < t->member_count; i++)
        t->members[i] = t->members[i + 1];
}

bool
step_is_done(const struct tablet_record *t, const struct step_options *o)
{
    if (t->member_count != o->wanted_count)
        return false;
    for (uint32_t i = 0; i < o->wanted_count; i++) {
        const struct tablet_member *m = tablet_record_member(t, o->wanted[i]);

        if (m == NULL || m->role != wanted_role(o, i))
            return false;
    }
    return true;
}

/* ------------------------------------------------------------------ forget */

/* S3. */
static bool
forget(struct tablet_record *t, const struct tablet_report *r)
{
    bool any = false;

    if (r == NULL || !r->settled)
        return false;
    for (uint32_t i = t->member_count; i-- > 0;) {
        if (t->members[i].role == MEMBER_LEAVING && report_member(r, t->members[i].node) == NULL) {
            leave_out(t, i);
            any = true;
        }
    }
    return any;
}

/* ------------------------------------------------------------------ retire */

static bool
has_caught_up(const struct tablet_report *r, uint64_t node)
{
    const struct report_member *m = report_member(r, node);

    return m != NULL && m->caught_up;
}

static bool
can_do_without(const struct tablet_record *t, const struct tablet_report *r,
               const struct step_options *o, uint64_t node)
{
    uint32_t voters = 0, good = 0;

    for (uint32_t i = 0; i < t->member_count; i++) {
        const struct tablet_member *m = &t->members[i];

        if (m->node == node || m->role != MEMBER_VOTER)
            continue;
        voters++;
        good += has_caught_up(r, m->node) && o->is_up(o->ctx, m->node);
    }
    return good > voters / 2;
}

/* S4, S5. */
static bool
retire(struct tablet_record *t, const struct tablet_report *r, const struct step_options *o)
{
    struct tablet_member *m = o->damaged == 0 ? NULL : member_of(t, o->damaged);

    if (m == NULL || m->role == MEMBER_LEAVING || r == NULL || !r->settled ||
        report_member(r, m->node) == NULL || r->leader == m->node ||
        !can_do_without(t, r, o, m->node))
        return false;
    m->role = MEMBER_LEAVING;
    if (t->leader == m->node)
        t->leader = 0;
    return true;
}

/* ------------------------------------------------------------------ join */

static bool
join(struct tablet_record *t, const struct step_options *o)
{
    bool any = false;

    for (uint32_t i = 0; i < o->wanted_count && t->member_count < RAFT_MEMBERS_MAX; i++) {
        if (!o->may_join || tablet_record_member(t, o->wanted[i]) != NULL ||
            !o->is_up(o->ctx, o->wanted[i]))
            continue;
        t->members[t->member_count++] = (struct tablet_member){
            o->wanted[i], wanted_role(o, i) == MEMBER_VOTER ? MEMBER_JOINING : MEMBER_LEARNER
        };
        any = true;
    }
    return any;
}

/* ------------------------------------------------------------------ swap */

/* May it vote, as far as S1 is concerned? */
static bool
is_ready(const struct tablet_record *t, const struct tablet_report *r, uint64_t node)
{
    const struct tablet_member *m = tablet_record_member(t, node);

    if (m == NULL || m->role == MEMBER_LEAVING)
        return false;
    return m->role == MEMBER_VOTER || has_caught_up(r, node);
}

/* S2. */
static bool
keeps_majority(const struct tablet_report *r, const struct step_options *o)
{
    uint32_t good = 0;

    for (uint32_t i = 0; i < o->voters; i++)
        good += has_caught_up(r, o->wanted[i]) && o->is_up(o->ctx, o->wanted[i]);
    return good > o->voters / 2;
}

/* S4. */
static bool
may_all_leave(const struct tablet_record *t, const struct tablet_report *r,
              const struct step_options *o)
{
    for (uint32_t i = 0; i < t->member_count; i++) {
        const struct tablet_member *m = &t->members[i];

        if (m->role != MEMBER_LEAVING && !is_wanted(o, m->node) &&
            report_member(r, m->node) == NULL)
            return false;
    }
    return true;
}

static bool
swap(struct tablet_record *t, const struct tablet_report *r, const struct step_options *o)
{
    if (r == NULL || !r->settled || !keeps_majority(r, o) || !may_all_leave(t, r, o))
        return false;
    for (uint32_t i = 0; i < o->voters; i++) {
        if (!is_ready(t, r, o->wanted[i]))
            return false;
    }
    for (uint32_t i = 0; i < t->member_count; i++) {
        if (!is_wanted(o, t->members[i].node))
            t->members[i].role = MEMBER_LEAVING;
    }
    for (uint32_t i = 0; i < o->wanted_count; i++) {
        struct tablet_member *m = member_of(t, o->wanted[i]);

        if (m != NULL && m->role != MEMBER_LEAVING)
            m->role = wanted_role(o, i);
    }
    if (t->leader != 0 && (tablet_record_member(t, t->leader) == NULL ||
                           tablet_record_member(t, t->leader)->role != MEMBER_VOTER))
        t->leader = 0;
    return true;
}

/* A swap that changes nothing is none. */
static bool
has_same_members(const struct tablet_record *a, const struct tablet_record *b)
{
    for (uint32_t i = 0; i < a->member_count; i++) {
        if (a->members[i].node != b->members[i].node || a->members[i].role != b->members[i].role)
            return false;
    }
    return a->member_count == b->member_count;
}

/* Who was to vote and is no longer wanted has nothing to wait for, and may be in the way: those who
 * replaced it one after the other and died, too, would fill the record.  A learner's copy is worth something until a swap,
 * but not the last room. */
static bool
give_up(struct tablet_record *t, const struct tablet_report *r, const struct step_options *o)
{
    bool is_full = t->member_count == RAFT_MEMBERS_MAX;
    bool any = false;

    if (r == NULL || !r->settled)
        return false;
    for (uint32_t i = 0; i < t->member_count; i++) {
        struct tablet_member *m = &t->members[i];
        bool goes = m->role == MEMBER_JOINING || (m->role == MEMBER_LEARNER && is_full);

        if (goes && !is_wanted(o, m->node) && report_member(r, m->node) != NULL) {
            m->role = MEMBER_LEAVING;
            any = true;
        }
    }
    return any;
}

enum step_kind
step_next(const struct tablet_record *t, const struct tablet_report *report,
          const struct step_options *o, struct tablet_record *out)
{
    ASSERT(o->wanted_count > 0 && o->wanted_count <= CLUSTER_REPLICAS_MAX);
    ASSERT(o->voters > 0 && o->voters <= o->wanted_count);
    *out = *t;
    if (forget(out, report))
        return STEP_FORGET;
    if (retire(out, report, o))
        return STEP_RETIRE;
    if (step_is_done(t, o))
        return STEP_NONE;
    if (swap(out, report, o) && !has_same_members(t, out))
        return STEP_SWAP;
    *out = *t;
    if (give_up(out, report, o))
        return STEP_SWAP;
    return join(out, o) ? STEP_JOIN : STEP_NONE;
}
