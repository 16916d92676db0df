/* What the steward's view says to those who look. */
#include "cluster/steward.h"

/* How the tablet should be; nothing, when that is not known. */
static struct step_options
aim(const struct steward_view *v, const struct tablet_record *t, uint64_t wanted[])
{
    struct step_options o = { .wanted = wanted };

    o.wanted_count = v->placement == NULL ? 0 : placement_of(v->placement, t, wanted);
    o.voters = o.wanted_count == 0 ? 0 : step_voters(o.wanted_count);
    return o;
}

bool
steward_is_placed(const struct steward_view *v, const struct tablet_record *t)
{
    uint64_t wanted[CLUSTER_REPLICAS_MAX];
    struct step_options o = aim(v, t, wanted);

    return o.wanted_count == 0 || step_is_done(t, &o);
}

uint64_t
steward_bytes_to_move(const struct steward_view *v, const struct tablet_record *t)
{
    const struct tablet_report *r = steward_report_of(v, t->id);
    uint64_t wanted[CLUSTER_REPLICAS_MAX];
    struct step_options o = aim(v, t, wanted);
    uint64_t bytes = 0;

    for (uint32_t i = 0; r != NULL && i < o.wanted_count; i++) {
        const struct report_member *m = report_member(r, wanted[i]);

        bytes += m == NULL || !m->caught_up ? r->bytes : 0;
    }
    return bytes;
}

/* Is the group as its record says, and is that known? */
static bool
is_in_force(const struct steward_view *v, const struct tablet_record *t)
{
    const struct tablet_report *r = steward_report_of(v, t->id);

    if (r == NULL || r->basis < t->version || !r->settled)
        return false;
    for (uint32_t i = 0; i < t->member_count; i++) {
        const struct report_member *m = report_member(r, t->members[i].node);

        if (m == NULL || m->votes != (t->members[i].role == MEMBER_VOTER))
            return false;
    }
    return r->member_count == t->member_count;
}

static void
look_at(const struct steward_view *v, const struct tablet_record *t, struct steward_outlook *out)
{
    const struct tablet_report *r = steward_report_of(v, t->id);
    uint64_t wanted[CLUSTER_REPLICAS_MAX];
    uint32_t copies = steward_copies(v, t);

    out->tablets++;
    for (uint32_t i = 0; i < t->member_count; i++)
        out->damaged += steward_is_damaged(v, t, t->members[i].node);
    out->leaderless += r == NULL;
    out->under_replicated += copies < aim(v, t, wanted).wanted_count;
    out->moving += !steward_is_placed(v, t) || !is_in_force(v, t);
    out->bytes_left += r == NULL ? 0 : r->bytes_left;
    if (copies < out->copies_min || out->tablets == 1)
        out->copies_min = copies;
}

void
steward_look_out(const struct steward_view *v, struct steward_outlook *out)
{
    *out = (struct steward_outlook){ 0 };
    for (uint32_t i = 0; i < v->atlas->tablet_count; i++)
        look_at(v, v->atlas->tablets[i], out);
}

/* Into its place among the worst so far. */
static uint32_t
insert(struct steward_need *out, uint32_t count, uint32_t max, const struct steward_need *need)
{
    uint32_t at = count;

    while (at > 0 && out[at - 1].copies > need->copies)
        at--;
    if (at == max)
        return count;
    if (count == max)
        count--;
    for (uint32_t i = count; i > at; i--)
        out[i] = out[i - 1];
    out[at] = *need;
    return count + 1;
}

uint32_t
steward_worst(const struct steward_view *v, struct steward_need *out, uint32_t max)
{
    uint32_t count = 0;

    for (uint32_t i = 0; i < v->atlas->tablet_count; i++) {
        uint64_t wanted[CLUSTER_REPLICAS_MAX];
        struct steward_need need = { .tablet = v->atlas->tablets[i] };

        need.copies = steward_copies(v, need.tablet);
        need.wanted = aim(v, need.tablet, wanted).wanted_count;
        if (need.copies < need.wanted)
            count = insert(out, count, max, &need);
    }
    return count;
}
