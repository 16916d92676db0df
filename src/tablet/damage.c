/*
 * A leader that has a damaged table, which a member waits for.
 *
 *      found ── the first time ──> said (P3)
 *        │
 *        └── have we handed over for it, and lead again? ── yes ──> we stay
 *                 │ no
 *                 └──> the voter that is furthest is asked to lead, and sends its own tables
 *
 * Whoever leads must be able to feed the others.  A leader that goes on all the same is asked for the
 * table as long as it leads, and the group has a member less.
 *
 * INVARIANTS
 *
 *   X1  A damage is said once in the life of a process.
 *   X2  We hand over for a damage in one term only, as often as that comes to nothing there: two
 *       leaders with damage do not send the office back and forth.
 *   X3  It is handed to nobody who waits for a snapshot, or is not heard of.  Where there is nobody else,
 *       a leader with a hole is better than none.
 */
#include "base/log.h"

#include "tablet/tablet_internal.h"

/* X3.  0: nobody. */
static raft_id
furthest(const struct tablet *t, uint64_t waits)
{
    const struct raft_config *config = raft_config(t->raft);
    raft_index match = 0;
    raft_id best = 0;

    for (uint32_t i = 0; i < config->voter_count; i++) {
        struct raft_progress_view view;
        raft_id id = config->voters[i];

        if (id == raft_self(t->raft) || id == waits ||
            raft_progress_of(t->raft, id, &view) != ST_OK || !view.active ||
            view.state == RAFT_SNAPSHOT)
            continue;
        if (best == 0 || view.match > match) {
            best = id;
            match = view.match;
        }
    }
    return best;
}

/* X2.  0: nobody is to lead instead. */
static raft_id
heir(const struct tablet *t, uint64_t waits)
{
    raft_term handed = t->damage.term;

    if (raft_role(t->raft) != RAFT_LEADER || (handed != 0 && handed != raft_hard(t->raft).term))
        return 0;
    return furthest(t, waits);
}

static void
say(const struct tablet *t, uint64_t waits, raft_id to, const struct err *err)
{
    log_event(LOG_EMERGENCY, "snapshot.damage", log_u64("tablet", t->id), log_u64("node", waits),
              log_err(err),
              log_str("effect", to != 0 ? "another member is asked to lead, and to send its own "
                                          "table; run distkv check"
                                        : "this node cannot send it to who waits for it; run "
                                          "distkv check"));
}

void
damage_found(struct tablet *t, uint64_t waits, uint64_t table, const struct err *err)
{
    bool known = t->damage.table == table;
    raft_id to;

    if (!known)
        t->damage = (struct damage){ .table = table };
    to = heir(t, waits);
    if (!known)
        say(t, waits, to, err); /* X1 */
    if (to != 0 && tablet_transfer(t, to) == ST_OK)
        t->damage.term = raft_hard(t->raft).term;
}
