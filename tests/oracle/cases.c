/*
 * Messages are such as other members could send: replies to what was asked, appends of a leader's log
 * (leader_log.h), votes for any log.  A few are not, and must be refused.
 */
#include "oracle/cases.h"

#include <stdlib.h>
#include <string.h>

enum {
    PEOPLE = 7, /* ids 1..7, members or not */
    TERM_MAX = 6,
    LOG_MAX = 8,
    STEPS_MAX = 25, /* and those of an election */
    LEADERS_MAX = 24,
};

struct author {
    struct prng prng;
    struct script *s;
    struct leader_log *leaders; /* LEADERS_MAX of them */
    uint32_t leader_count;
    uint8_t answer[PEOPLE + 1]; /* to our candidacy: 0 none, 1 yes, 2 no */
    enum raft_role answered_as;
};

static uint64_t
below(struct author *a, uint64_t limit)
{
    return prng_below(&a->prng, limit);
}

static bool
percent(struct author *a, uint32_t chance)
{
    return prng_chance(&a->prng, chance, 100);
}

/* ------------------------------------------------------------------ the beginning */

static void
draw_config(struct author *a, struct raft_config *c)
{
    bool joint = percent(a, 25);
    uint32_t voter_percent = 30 + (uint32_t)below(a, 60);

    memset(c, 0, sizeof(*c));
    for (raft_id id = 1; id <= PEOPLE; id++) {
        bool votes = percent(a, voter_percent) && c->voter_count < 5;
        bool goes = joint && percent(a, 50) && c->outgoing_count < 5;

        if (votes)
            c->voters[c->voter_count++] = id;
        if (goes)
            c->outgoing[c->outgoing_count++] = id;
        if (!votes && !goes && percent(a, 40) && c->learner_count < 2)
            c->learners[c->learner_count++] = id;
    }
    if (!raft_config_is_valid(c))
        *c = (struct raft_config){ .voter_count = 3, .voters = { 1, 2, 3 } };
}

static raft_id
draw_self(struct author *a, const struct raft_config *c)
{
    if (percent(a, 85))
        return c->voters[below(a, c->voter_count)];
    return 1 + below(a, PEOPLE);
}

static void
begin(struct author *a)
{
    struct raft_options o;
    raft_term terms[LOG_MAX];
    uint32_t count = (uint32_t)below(a, LOG_MAX + 1);
    raft_term term;

    member_options(&o);
    draw_config(a, &o.config);
    o.self = draw_self(a, &o.config);
    o.base_index = percent(a, 30) ? 0 : 1 + below(a, 5);
    o.base_term = o.base_index == 0 ? 0 : 1 + below(a, 2);
    term = o.base_term > 0 ? o.base_term : 1;
    for (uint32_t i = 0; i < count; i++)
        terms[i] = term += percent(a, 30) ? 1 + below(a, 2) : 0;
    o.hard.term = term + (percent(a, 50) ? below(a, TERM_MAX) : 0);
    o.hard.vote = percent(a, 50) ? 0 : 1 + below(a, PEOPLE);
    if (count > 0 && term == o.hard.term && o.hard.vote == o.self)
        o.hard.vote = 0; /* we would have to be its leader, and know what it wrote */
    script_begin(a->s, &o, terms, count);
}

/* ------------------------------------------------------------------ messages */

static const struct view *
now(const struct author *a)
{
    return &a->s->steps[a->s->step_count - 1].after;
}

static raft_id
draw_other(struct author *a)
{
    raft_id self = raft_self(a->s->member.raft);
    raft_id id = 1 + below(a, PEOPLE - 1);

    return id < self ? id : id + 1;
}

static raft_id
draw_member(struct author *a)
{
    raft_id id = draw_other(a);

    for (int tries = 0; tries < 10 && !percent(a, 5); tries++) {
        if (raft_config_has(raft_config(a->s->member.raft), id))
            break;
        id = draw_other(a);
    }
    return id;
}

static raft_term
draw_term(struct author *a)
{
    raft_term term = now(a)->hard.term;
    uint64_t roll = below(a, 100);

    if (roll < 8 && term > 1)
        return term - 1;
    if (roll >= 96)
        return term + 2;
    return roll >= 82 ? term + 1 : term;
}

static struct raft_message
message(struct author *a, enum raft_message_kind kind, raft_id from, raft_term term)
{
    return (struct raft_message){
        .kind = kind, .from = from, .to = raft_self(a->s->member.raft), .term = term
    };
}

static void
vote(struct author *a)
{
    bool pre = percent(a, 40);
    raft_term term = draw_term(a) + (percent(a, 60) ? 1 : 0);
    struct raft_message m = message(a, pre ? RAFT_PREVOTE : RAFT_VOTE, draw_other(a), term);
    raft_index last = now(a)->last;
    raft_term last_term = member_term_at(&a->s->member, last);

    m.index = last + below(a, 4);
    m.index -= m.index < 2 ? m.index : below(a, 3);
    m.log_term = last_term + (percent(a, 30) ? 1 : 0);
    if (m.log_term > 0 && percent(a, 25))
        m.log_term--;
    if (m.log_term > m.term)
        m.log_term = m.term;
    m.force = !pre && percent(a, 20);
    script_receive(a->s, &m, NULL, true);
}

/* Each member answers a candidacy once, or says the same again. */
static void
vote_reply(struct author *a)
{
    bool pre = now(a)->role == RAFT_PRECANDIDATE ? !percent(a, 5) : percent(a, 10);
    struct raft_message m =
        message(a, pre ? RAFT_PREVOTE_REPLY : RAFT_VOTE_REPLY, draw_member(a), 0);

    if (a->answered_as != now(a)->role)
        memset(a->answer, 0, sizeof(a->answer));
    a->answered_as = now(a)->role;
    if (a->answer[m.from] == 0)
        a->answer[m.from] = percent(a, 60) ? 1 : 2;
    m.reject = a->answer[m.from] == 2;
    m.term = percent(a, 92) ? now(a)->hard.term : draw_term(a);
    if (pre && !m.reject)
        m.term += percent(a, 95) ? 1 : 0;
    script_receive(a->s, &m, NULL, true);
}

static void
timeout_now(struct author *a)
{
    struct raft_message m = message(a, RAFT_TIMEOUT_NOW, draw_other(a), draw_term(a));

    script_receive(a->s, &m, NULL, true);
}

static struct leader_log *
find_leader(struct author *a, raft_term term)
{
    for (uint32_t i = 0; i < a->leader_count; i++) {
        if (a->leaders[i].term == term)
            return &a->leaders[i];
    }
    return NULL;
}

/* NULL: in that term we are, or were, the leader ourselves; or it is over, and we have not met its. */
static struct leader_log *
leader_of(struct author *a, raft_term term)
{
    struct leader_log *l = find_leader(a, term);
    raft_id id = now(a)->hard.term == term && now(a)->leader != 0 ? now(a)->leader : draw_member(a);

    if (term == a->s->led_term)
        return NULL;
    if (l != NULL && l->is_heard)
        return l;
    if (term < now(a)->hard.term || (l == NULL && a->leader_count == LEADERS_MAX))
        return NULL;
    if (l == NULL)
        l = &a->leaders[a->leader_count++];
    leader_log_draw(l, &a->prng, &a->s->member, term, id);
    return l;
}

static raft_term
term_in(const struct author *a, const struct leader_log *l, raft_index index)
{
    raft_index base = a->s->member.base;

    if (index > base)
        return l->log[index - base - 1].term;
    return index == 0 ? 0 : member_term_at(&a->s->member, base);
}

static void
append(struct author *a)
{
    raft_term term = draw_term(a);
    struct leader_log *l = leader_of(a, term);
    struct raft_message m;
    raft_index base = a->s->member.base;
    raft_index low;

    if (l == NULL)
        return;
    if (percent(a, 40))
        leader_log_grow(l, &a->prng, &a->s->member);
    m = message(a, RAFT_APPEND, l->id, term);
    low = now(a)->commit < l->last && percent(a, 75) ? now(a)->commit : base;
    m.index = low + below(a, l->last - low + 1);
    m.log_term = term_in(a, l, m.index);
    m.entry_count = (uint32_t)below(a, l->last - m.index + 1);
    if (m.index == 0 && m.entry_count == 0)
        m.entry_count = 1; /* a leader has an entry to send: its first */
    m.commit = percent(a, 50) ? below(a, l->last + 1) : now(a)->commit;
    script_receive(a->s, &m, &l->log[m.index - base], true);
    l->is_heard = true;
}

static void
snapshot(struct author *a)
{
    raft_term term = draw_term(a);
    struct leader_log *l = leader_of(a, term);
    struct raft_message m;
    raft_index base = a->s->member.base;

    if (l == NULL || now(a)->role == RAFT_LEADER || l->last == base)
        return;
    m = message(a, RAFT_APPEND, l->id, term);
    m.index = base + 1 + below(a, l->last - base);
    m.log_term = term_in(a, l, m.index);
    l->is_heard |= script_snapshot(a->s, &m, l->log);
}

/* A leader tells each member no commit beyond what that has acknowledged. */
static void
heartbeat(struct author *a)
{
    raft_term term = draw_term(a);
    struct leader_log *l = leader_of(a, term);
    struct raft_message m;
    raft_index most = now(a)->commit;

    if (l == NULL)
        return;
    m = message(a, RAFT_HEARTBEAT, l->id, term);
    for (raft_index i = most + 1; i <= now(a)->last && i <= l->last; i++) {
        if (member_term_at(&a->s->member, i) == term_in(a, l, i))
            most = i;
    }
    m.commit = most == 0 ? 0 : below(a, most + 1);
    if (percent(a, 1))
        m.commit = now(a)->last + 1;
    m.round = below(a, 4);
    script_receive(a->s, &m, NULL, true);
    l->is_heard = true;
}

static void
append_reply(struct author *a)
{
    struct raft_message m = message(a, RAFT_APPEND_REPLY, draw_member(a), draw_term(a));

    m.reject = percent(a, 15);
    m.index = below(a, now(a)->last + 1);
    if (!m.reject && percent(a, 60))
        m.index = now(a)->last - below(a, now(a)->last < 3 ? 1 : 3);
    if (!m.reject && percent(a, 1))
        m.index = now(a)->last + 1;
    m.hint = m.reject ? below(a, m.index + 1) : m.index;
    script_receive(a->s, &m, NULL, true);
}

static void
heartbeat_reply(struct author *a)
{
    struct raft_message m = message(a, RAFT_HEARTBEAT_REPLY, draw_member(a), draw_term(a));
    uint64_t round = raft_round(a->s->member.raft);

    if (a->s->asked_count > 0)
        m.round = a->s->asked[below(a, a->s->asked_count)];
    if (m.round == 0 || percent(a, 30))
        m.round = round - below(a, round < 3 ? round + 1 : 3);
    script_receive(a->s, &m, NULL, true);
}

/* What contradicts what is committed. */
static void
nonsense(struct author *a)
{
    struct raft_message m = message(a, RAFT_APPEND, draw_member(a), now(a)->hard.term + 1);
    struct oracle_entry entry = { .term = m.term };

    if (now(a)->commit == raft_base(a->s->member.raft) || now(a)->commit < 2)
        return;
    m.index = now(a)->commit;
    m.log_term = m.term;
    if (percent(a, 50)) {
        m.index--;
        m.log_term = member_term_at(&a->s->member, m.index);
    }
    m.entry_count = 1;
    m.commit = m.index;
    script_receive(a->s, &m, &entry, false);
}

/* ------------------------------------------------------------------ what a leader is asked */

static const char *
draw_change(struct author *a)
{
    static const char *const all[] = { "v1", "v2", "v3",    "v4",    "v5",       "v6",
                                       "l1", "l3", "l5",    "r1",    "r2",       "r3",
                                       "r4", "r5", "v1+v2", "v4+r1", "v3+r1+r2", "v5+v6+l7" };

    return all[below(a, sizeof(all) / sizeof(all[0]))];
}

static void
change(struct author *a)
{
    struct raft_config plain = *raft_config(a->s->member.raft);
    const char *one = draw_change(a);
    const char *another = draw_change(a);
    struct raft_config target;
    struct raft_config unused;

    plain.outgoing_count = 0;
    if (raft_config_is_valid(&plain) && member_target(&plain, one, &target) &&
        member_target(&target, another, &unused))
        script_change(a->s, one, another);
}

/* Another leader of the same term. */
static void
usurper(struct author *a)
{
    struct raft_message m = message(a, RAFT_APPEND, draw_member(a), now(a)->hard.term);

    m.index = now(a)->last;
    m.log_term = member_term_at(&a->s->member, m.index);
    m.commit = now(a)->commit;
    script_receive(a->s, &m, NULL, true);
}

static void
transfer(struct author *a)
{
    script_transfer(a->s, draw_member(a));
}

static void
leader_step(struct author *a)
{
    uint64_t roll = below(a, 100);

    if (roll < 50)
        append_reply(a);
    else if (roll < 62)
        script_simple(a->s, SCRIPT_PROPOSE);
    else if (roll < 76)
        heartbeat_reply(a);
    else if (roll < 84)
        script_simple(a->s, SCRIPT_READ);
    else if (roll < 88)
        script_simple(a->s, SCRIPT_CHECK);
    else if (roll < 95)
        transfer(a);
    else if (roll < 99)
        change(a);
    else
        usurper(a);
}

/* ------------------------------------------------------------------ the story */

/* So that leaders are not rare: it stands, and everybody is for it. */
static void
get_elected(struct author *a)
{
    const struct raft_config *c = raft_config(a->s->member.raft);

    script_simple(a->s, SCRIPT_CAMPAIGN);
    for (raft_id id = 1; id <= (raft_id)2 * PEOPLE && !a->s->over; id++) {
        bool pre = now(a)->role == RAFT_PRECANDIDATE;
        raft_id from = 1 + (id - 1) % PEOPLE;
        struct raft_message m =
            message(a, pre ? RAFT_PREVOTE_REPLY : RAFT_VOTE_REPLY, from, now(a)->hard.term + pre);

        if (from != m.to && raft_config_votes(c, from) && now(a)->role != RAFT_FOLLOWER &&
            now(a)->role != RAFT_LEADER)
            script_receive(a->s, &m, NULL, true);
    }
}

static void
follower_step(struct author *a)
{
    bool in_flight = a->s->steps[a->s->step_count - 1].in_flight;
    uint64_t roll = below(a, 100);

    if (roll < 45 || (in_flight && roll >= 70))
        append(a); /* in flight: by whose membership it would stand differs */
    else if (roll < 58)
        heartbeat(a);
    else if (roll < 66)
        script_simple(a->s, SCRIPT_EXPIRE);
    else if (roll < 70)
        script_simple(a->s, SCRIPT_PROPOSE);
    else if (roll < 90)
        script_simple(a->s, SCRIPT_CAMPAIGN);
    else if (roll < 96)
        timeout_now(a);
    else if (roll < 98)
        nonsense(a);
    else
        append_reply(a);
}

static void
any_step(struct author *a)
{
    enum raft_role role = now(a)->role;

    if (percent(a, 15))
        vote(a);
    else if (percent(a, 3))
        snapshot(a);
    else if (percent(a, 5))
        percent(a, 50) ? append(a) : heartbeat(a);
    else if (role == RAFT_LEADER)
        leader_step(a);
    else if (role != RAFT_FOLLOWER && percent(a, 80))
        vote_reply(a);
    else
        follower_step(a);
}

void
cases_draw(struct script *s, uint64_t seed)
{
    struct author a = { .s = s };
    uint32_t steps;

    a.leaders = calloc(LEADERS_MAX, sizeof(*a.leaders));
    if (a.leaders == NULL)
        abort();
    prng_init(&a.prng, seed);
    begin(&a);
    steps = 1 + (uint32_t)below(&a, STEPS_MAX);
    if (percent(&a, 40))
        get_elected(&a);
    for (uint32_t i = 0; i < steps && !s->over; i++)
        any_step(&a);
    free(a.leaders);
}
