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
 *   X4  For a damage that only readers have met it is handed over as often as we lead again, after pauses that
 *       double: whoever gave it back may not have known.
 */
#include "base/log.h"

#include "tablet/tablet_internal.h"

enum { SHED_MS = 500, SHED_MS_MAX = 30000 };

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

void
tablet_tell_damage(struct tablet *t, const struct err *err)
{
    if (!atomic_exchange(&t->is_damaged, true)) {
        log_event(LOG_EMERGENCY, "tablet.damage", log_u64("tablet", t->id), log_err(err),
                  log_str("effect",
                          "this copy is to be replaced by one of another member's; alone, "
                          "run distkv check"));
    }
}

bool
tablet_is_damaged(const struct tablet *t)
{
    return atomic_load_explicit(&t->is_damaged, memory_order_relaxed) ||
           engine_tree_is_damaged(t->tree);
}

/* X4.  X3. */
bool
tablet_shed_office(struct tablet *t)
{
    uint64_t now_ns = tablet__boot_ns(t);
    raft_id to;

    if (t->raft == NULL || raft_role(t->raft) != RAFT_LEADER || !tablet_is_damaged(t) ||
        now_ns < t->damage.shed_at_ns)
        return false;
    to = furthest(t, 0);
    if (to == 0 || tablet_transfer(t, to) != ST_OK)
        return false;
    t->damage.shed_pause_ms = t->damage.shed_pause_ms == 0 ? SHED_MS : 2 * t->damage.shed_pause_ms;
    if (t->damage.shed_pause_ms > SHED_MS_MAX)
        t->damage.shed_pause_ms = SHED_MS_MAX;
    t->damage.shed_at_ns = now_ns + t->damage.shed_pause_ms * UINT64_C(1000000);
    return true;
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

    atomic_store(&t->is_damaged, true);
    if (!known) {
        t->damage.table = table;
        t->damage.term = 0;
    }
    to = heir(t, waits);
    if (!known)
        say(t, waits, to, err); /* X1 */
    if (to != 0 && tablet_transfer(t, to) == ST_OK)
        t->damage.term = raft_hard(t->raft).term;
}
