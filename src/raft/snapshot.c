/*
 * Snapshots by reference (paper, 7): the bytes are the driver's; here is only what they change.
 *
 * A snapshot is offered, transferred, staged, and installed.  All of this takes time, and anything
 * may happen meanwhile: so what it means is decided when it is staged, and again when it is installed (R10).
 *
 * Each costs the leader a flush, and mostly what hinders one hinders the next: a full disk, a damaged
 * table.  So the member to whom one did not come waits for its next, each time longer, and the others come
 * before it.
 */
#include "base/assert.h"

#include "raft/raft_internal.h"

#define SNAPSHOT_PAUSE_NS_MIN (500 * UINT64_C(1000000))
#define SNAPSHOT_PAUSE_NS_MAX (30 * UINT64_C(1000000000))

static void
put_off(const struct raft *r, struct raft_progress *p)
{
    uint64_t pause_ns = SNAPSHOT_PAUSE_NS_MIN << p->snapshots_failed;

    if (pause_ns < SNAPSHOT_PAUSE_NS_MAX)
        p->snapshots_failed++;
    else
        pause_ns = SNAPSHOT_PAUSE_NS_MAX;
    p->snapshot_at_ns = r->now_ns + pause_ns;
}

void
raft__snapshot_forgive(struct raft_progress *p)
{
    p->snapshots_failed = 0;
    p->snapshot_at_ns = 0;
}

void
raft__snapshot_sent(struct raft *r, raft_id node, raft_index index, bool ok)
{
    struct raft_progress *p = raft__member(r, node);

    if (r->role != RAFT_LEADER || p == NULL || p->state != RAFT_SNAPSHOT)
        return;
    p->state = RAFT_PROBE;
    p->paused = false;
    p->snapshot_begun = false;
    p->next = (ok && index > p->match ? index : p->match) + 1;
    p->blocked = !ok; /* not at once again */
    if (ok)
        raft__snapshot_forgive(p);
    else
        put_off(r, p);
}

void
raft__snapshot_offer(struct raft *r, const struct raft_message *m)
{
    if (r->disk_failed || m->term < r->hard.term ||
        (r->role == RAFT_LEADER && m->term == r->hard.term))
        return;
    raft__wake(r);
    raft__become_follower(r, m->term, m->from);
    r->heard_ns = r->now_ns;
    raft__reset_timer(r);
}

static void
tell_leader(struct raft *r)
{
    struct raft_message *m;

    if (r->role != RAFT_FOLLOWER || r->leader == 0 || !raft__hard_is_durable(&r->durable))
        return; /* the leader's next append will be answered */
    m = raft__send(r, RAFT_APPEND_REPLY, r->leader);
    m->index = m->hint = r->acked =
        r->commit < r->durable.persisted ? r->commit : r->durable.persisted;
}

enum status
raft__snapshot_staged(struct raft *r, const struct raft_event *e)
{
    raft_term term;

    if (e->term > r->hard.term || !raft_config_is_valid(e->config) || r->installing)
        return ST_INVALID;
    if (r->role == RAFT_LEADER || r->disk_failed || e->index <= r->commit) {
        tell_leader(r); /* whatever it holds is committed here, too */
        return ST_OK;
    }
    if (raft__terms_at(&r->terms, e->index, &term) && term == e->term) {
        raft__set_commit(r, e->index); /* we have the entries */
        tell_leader(r);
        return ST_OK;
    }
    r->installing = true;
    r->install_index = e->index;
    r->install_term = e->term;
    r->install_config = *e->config;
    r->fx->install = true;
    if (r->role != RAFT_FOLLOWER && !BROKEN(STAND_WHILE_INSTALLING))
        raft__become_follower(r, r->hard.term, 0); /* R10 */
    return ST_OK;
}

/* Our log now begins after the snapshot; what it held is committed in another form, or void. */
void
raft__installed(struct raft *r, bool ok)
{
    ASSERT(r->installing);
    r->installing = false;
    if (!ok)
        return;
    raft__terms_init(&r->terms, r->install_index, r->install_term, r->terms.run_max);
    raft__configs_init(&r->configs, r->install_index, &r->install_config);
    raft__members_follow(r);
    r->durable.count = 0;
    r->durable.persisted = r->install_index;
    r->commit = r->applied = r->install_index;
    r->fx->commit_moved = true;
    if (r->verified < r->install_index)
        r->verified = r->install_index;
    tell_leader(r);
}
