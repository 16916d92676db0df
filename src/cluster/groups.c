/*
 * On each loop: the groups that we lead become what their records say, and the metadata's members are told how
 * far they are.
 *
 *      record                       in force                 what is done
 *      voters, learners             the same                 nothing; or hand over, if another should lead
 *      ditto                        another, settled         change the membership
 *      an heir                      the same                 split
 *      we do not vote any more      another, settled         hand over first, if somebody can take it
 *      ditto                        the same                 hand over, if another says that it is fitter (consult.c)
 *
 * A group that sleeps is woken when a member that lacks something is there again.
 *
 * A report goes out when it says something new, and all of them now and then: those who are told may have been
 * started anew.
 */
#include "base/log.h"

#include "cluster/cluster_internal.h"
#include "raft/raft.h"
#include "tablet/tablet.h"

enum {
    GROUPS_EVERY_MS = 200,
    ALL_REPORTED_EVERY_MS = 5000,
    REPORTS_BYTES_MAX = 64 << 10, /* of one message */
    CAUGHT_UP_ENTRIES = 1000, /* who lacks no more is caught up: that much is under way anyway */
};

/* One look at all groups of a loop. */
struct round {
    struct seat *seat;
    uint64_t now_ns;
    struct fitness ours;
    struct buf reports;
    struct buf damages;
    bool all;         /* whatever was said before */
    bool awaits;      /* some group has what is not yet durable */
    uint64_t durable; /* entries, of all of them */
};

/* ------------------------------------------------------------------ following the record */

static bool
is_settled(const struct raft *r)
{
    return raft_config(r)->outgoing_count == 0 && raft_config_index(r) <= raft_commit(r);
}

static bool
is_heard(const struct seat *s, uint64_t node)
{
    const struct tablet_neighbour *n = neighbours_find(&s->cluster->options.node->neighbours, node);

    return n != NULL &&
           loop_now_ns(s->reactor->loop) < atomic_load(&n->heard_ns) + TABLET_SILENCE_NS;
}

static bool
has_caught_up(const struct seat *s, const struct raft *r, uint64_t node)
{
    struct raft_progress_view p;

    if (raft_progress_of(r, node, &p) != ST_OK)
        return false;
    if (node == raft_self(r))
        return true;
    return p.state == RAFT_REPLICATE && p.match > 0 &&
           p.match + CAUGHT_UP_ENTRIES >= raft_commit(r) && (p.active || raft_is_quiesced(r)) &&
           is_heard(s, node);
}

static bool
can_take_over(const struct seat *s, const struct raft *r, uint64_t node)
{
    return !departure_of(s->cluster, node) && node != raft_self(r) &&
           raft_config_votes(raft_config(r), node) && has_caught_up(s, r, node);
}

static void
hand_over(struct tablet *t, uint64_t node)
{
    if (tablet_transfer(t, node) != ST_OK)
        log_event(LOG_DEBUG, "cluster.handover_deferred", log_u64("tablet", tablet_id(t)));
}

/* Somebody who will vote, so that leadership does not move twice. */
static uint64_t
successor(const struct seat *s, const struct raft *r, const struct raft_config *target)
{
    for (uint32_t i = 0; i < target->voter_count; i++) {
        if (can_take_over(s, r, target->voters[i]))
            return target->voters[i];
    }
    return 0;
}

static void
change(const struct seat *s, struct tablet *t, const struct raft_config *target)
{
    const struct raft *r = tablet_raft(t);
    uint64_t next = raft_config_votes(target, raft_self(r)) ? 0 : successor(s, r, target);

    if (next != 0)
        hand_over(t, next);
    else if (tablet_change_members(t, target) != ST_OK)
        log_event(LOG_DEBUG, "cluster.change_deferred", log_u64("tablet", tablet_id(t)));
}

/* F1.  Is it at most so burdened, as far as it has said? */
static bool
bears_at_most(struct round *round, const struct raft *r, uint64_t node, uint32_t burden)
{
    struct fitness theirs;

    return consult_about(round->seat, node, round->now_ns, &theirs) &&
           fitness_burden(&theirs, raft_config(r)) <= burden;
}

/* Who is to lead instead; 0: we go on.  Whoever should lead does, unless it would be worse; and we do not, where
 * another would be better. */
static uint64_t
better(struct round *round, const struct raft *r, const struct tablet_record *record)
{
    const struct raft_config *config = raft_config(r);
    uint32_t burden = fitness_burden(&round->ours, config);

    if (record->leader != 0 && can_take_over(round->seat, r, record->leader) &&
        bears_at_most(round, r, record->leader, burden))
        return record->leader;
    for (uint32_t i = 0; i < config->voter_count && burden > 0; i++) {
        uint64_t node = config->voters[i];

        if (can_take_over(round->seat, r, node) && bears_at_most(round, r, node, burden - 1))
            return node;
    }
    return 0;
}

/* Could it commit what comes after it?  A record from before a membership was imposed (recover.c) names those who
 * are lost: whoever followed it would be stranded anew. */
static bool
would_commit(const struct seat *s, const struct raft *r, const struct raft_config *target)
{
    uint32_t able = 0;

    for (uint32_t i = 0; i < target->voter_count; i++)
        able += has_caught_up(s, r, target->voters[i]);
    return able > target->voter_count / 2;
}

/* Its members are those of the record, and stay so: nobody plans others while it is split. */
static void
split(struct seat *s, struct tablet *t, const struct tablet_record *record)
{
    const struct atlas_keyspace *k = atlas_keyspace(s->atlas, record->keyspace);
    struct split split = { .heir = record->heir };
    enum status st = ST_INVALID;

    if (!confirm_is_since(s, tablet_led_since_ns(t))) {
        confirm_want(s);
        return;
    }
    if (k == NULL)
        return;
    split.kind = k->record.partition == PARTITION_RANGE ? SCOPE_KEYS : SCOPE_SLOTS;
    if (scope_bound_set(&split.at, record->at))
        st = tablet_split(t, &split);
    if (st != ST_OK)
        log_event(LOG_DEBUG, "cluster.split_deferred", log_u64("tablet", tablet_id(t)),
                  log_str("status", status_name(st)));
}

static void
follow(struct round *round, struct tablet *t, const struct tablet_record *record)
{
    const struct raft *r = tablet_raft(t);
    struct raft_config target;
    uint64_t next;

    tablet_record_config(record, &target);
    if (!is_settled(r) || !raft_config_is_valid(&target))
        return;
    if (!raft_config_equal(raft_config(r), &target)) {
        if (!confirm_is_since(round->seat, tablet_led_since_ns(t)))
            confirm_want(round->seat);
        else if (would_commit(round->seat, r, &target))
            change(round->seat, t, &target);
        return;
    }
    if (record->heir != 0 && tablet_edition(t) == record->edition)
        split(round->seat, t, record);
    next = better(round, r, record);
    if (next != 0)
        hand_over(t, next);
}

/* ------------------------------------------------------------------ waking */

/* A node whose process has started anew is asked for an election timeout, and then the group sleeps without it.
 * Its replica may be made later than that, and does not know whom to ask. */
static void
wake_for_those_behind(const struct seat *s, struct tablet *t)
{
    const struct raft_config *config = raft_config(tablet_raft(t));

    for (uint32_t i = 0; i < config->voter_count + config->learner_count; i++) {
        uint64_t node =
            i < config->voter_count ? config->voters[i] : config->learners[i - config->voter_count];

        if (raft_is_quiesced(tablet_raft(t)) && !has_caught_up(s, tablet_raft(t), node) &&
            is_heard(s, node))
            tablet_ask_again(t, node);
    }
}

/* ------------------------------------------------------------------ reporting */

static void
add_member(const struct seat *s, const struct raft *r, uint64_t node, struct tablet_report *out)
{
    if (out->member_count < RAFT_MEMBERS_MAX && report_member(out, node) == NULL) {
        out->members[out->member_count++] =
            (struct report_member){ node, raft_config_votes(raft_config(r), node),
                                    has_caught_up(s, r, node) };
    }
}

static uint64_t
bytes_of(const struct tablet *t)
{
    struct lsm_stats stats;
    uint64_t bytes;

    lsm_stats(tablet_lsm(t), &stats);
    bytes = stats.memtable_bytes;
    for (uint32_t i = 0; i < LIMIT_LEVELS; i++)
        bytes += stats.bytes[i];
    return bytes;
}

static void
compose(const struct seat *s, const struct tablet *t, struct tablet_report *out)
{
    const struct raft *r = tablet_raft(t);
    const struct raft_config *config = raft_config(r);
    const struct tablet_record *record = atlas_tablet(s->atlas, tablet_id(t));

    *out = (struct tablet_report){ .tablet = tablet_id(t),
                                   .leader = raft_self(r),
                                   .edition = tablet_edition(t),
                                   .basis = record == NULL ? 0 : record->version,
                                   .term = raft_hard(r).term,
                                   .commit = raft_commit(r),
                                   .settled = is_settled(r),
                                   .bytes = bytes_of(t) };
    for (uint32_t i = 0; i < config->voter_count; i++)
        add_member(s, r, config->voters[i], out);
    for (uint32_t i = 0; i < config->outgoing_count; i++)
        add_member(s, r, config->outgoing[i], out);
    for (uint32_t i = 0; i < config->learner_count; i++)
        add_member(s, r, config->learners[i], out);
    for (uint32_t i = 0; i < out->member_count; i++)
        out->bytes_left += out->members[i].caught_up ? 0 : out->bytes;
}

/* To every member of the metadata's group: whoever leads it then knows. */
static void
tell_metadata(struct seat *s, enum message_type type, struct buf *bytes)
{
    const struct tablet_record *meta = atlas_tablet(s->atlas, ATLAS_META_TABLET);
    struct peer_sender us = { .node = s->cluster->self };

    if (bytes->size == 0)
        return;
    for (uint32_t i = 0; meta != NULL && i < meta->member_count; i++) {
        if (meta->members[i].node == s->cluster->self)
            wires_carry(s, &us, type, buf_slice(bytes));
        else
            wires_send(s, meta->members[i].node, type, buf_slice(bytes));
    }
    bytes->size = 0;
}

/* ------------------------------------------------------------------ all groups of a loop */

static void
report(struct round *round, struct tablet *t)
{
    struct tablet_report now;
    uint64_t hash;

    compose(round->seat, t, &now);
    hash = report_essence(&now);
    if (!round->all && hash == tablet_note(t))
        return;
    tablet_set_note(t, hash);
    if (round->reports.size + REPORT_BYTES_MAX > REPORTS_BYTES_MAX)
        tell_metadata(round->seat, MESSAGE_REPORTS, &round->reports);
    if (report_encode(&now, &round->reports) != ST_OK)
        tablet_set_note(t, 0); /* it is said the next time */
}

static void
look_after(void *ctx, struct tablet *t)
{
    struct round *round = ctx;
    const struct raft *r = tablet_raft(t);
    const struct tablet_record *record = atlas_tablet(round->seat->atlas, tablet_id(t));

    damages_add(t, record, round->seat->cluster->self, &round->damages);
    if (r == NULL)
        return;
    round->awaits |= raft_persisted(r) < raft_last(r);
    round->durable += raft_persisted(r);
    if (raft_role(r) != RAFT_LEADER)
        return;
    wake_for_those_behind(round->seat, t);
    if (tablet_shed_office(t))
        return;
    if (record != NULL && record->member_count > 0)
        follow(round, t, record);
    report(round, t);
}

static void
tell_room(struct seat *s)
{
    struct buf room = rooms_say(s->cluster);

    tell_metadata(s, MESSAGE_ROOM, &room);
    buf_release(&room);
}

void
groups_tick(struct seat *s, uint64_t now_ns)
{
    struct round round = { .seat = s,
                           .now_ns = now_ns,
                           .reports = buf_empty(REPORTS_BYTES_MAX + REPORT_BYTES_MAX),
                           .damages = damages_room() };

    if (now_ns < s->groups_at_ns || s->atlas->node_count == 0)
        return;
    s->groups_at_ns = now_ns + (uint64_t)GROUPS_EVERY_MS * NS_PER_MS;
    round.all = now_ns >= s->reports_at_ns;
    if (round.all)
        s->reports_at_ns = now_ns + (uint64_t)ALL_REPORTED_EVERY_MS * NS_PER_MS;
    consult_ourselves(s->cluster, now_ns, &round.ours);
    tablet_each(s->reactor, look_after, &round);
    consult_see_log(s, round.awaits, round.durable, now_ns);
    tell_metadata(s, MESSAGE_REPORTS, &round.reports);
    tell_metadata(s, MESSAGE_DAMAGES, &round.damages);
    if (round.all && s->index == 0)
        tell_room(s);
    buf_release(&round.reports);
    buf_release(&round.damages);
}
