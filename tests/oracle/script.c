#include "oracle/script.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"

/* ------------------------------------------------------------------ text */

static FILE *
text_open(char *room)
{
    FILE *f = fmemopen(room, SCRIPT_STEP_TEXT_MAX, "w");

    ASSERT(f != NULL);
    return f;
}

static void
print_entries(FILE *to, const struct oracle_entry *entries, uint32_t count)
{
    if (count == 0)
        fputc('-', to);
    for (uint32_t i = 0; i < count; i++)
        fprintf(to, "%s%" PRIu64 "%s%s", i > 0 ? "," : "", entries[i].term,
                entries[i].change[0] != '\0' ? ":" : "", entries[i].change);
}

static void
print_message(char *room, const char *verb, const struct raft_message *m,
              const struct oracle_entry *entries)
{
    FILE *to = text_open(room);

    fprintf(to, "%s %s %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64, verb,
            raft_message_name(m->kind), m->from, m->term, m->index, m->log_term, m->commit);
    fprintf(to, " %d %d %" PRIu64 " %" PRIu64 " ", m->reject, m->force, m->hint, m->round);
    print_entries(to, entries, m->entry_count);
    fclose(to);
}

char *
script_line(const struct script *s)
{
    char *line = NULL;
    size_t size = 0;
    FILE *to = open_memstream(&line, &size);

    ASSERT(to != NULL);
    fputs(s->begin, to);
    for (uint32_t i = 0; i < s->step_count; i++)
        fprintf(to, " ; %s", s->steps[i].text);
    fclose(to);
    return line;
}

/* ------------------------------------------------------------------ life */

void
script_begin(struct script *s, const struct raft_options *options, const raft_term *terms,
             uint32_t count)
{
    FILE *to;

    memset(s, 0, sizeof(*s));
    member_create(&s->member, options, terms, count);
    s->committed = options->config;
    to = text_open(s->begin);
    fprintf(to, "member %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64 " ",
            options->self, options->hard.term, options->hard.vote, options->base_index,
            options->base_term);
    print_entries(to, s->member.log, count);
    fputc(' ', to);
    view_print_config(to, &options->config);
    fclose(to);
    script_simple(s, SCRIPT_NOTHING);
}

void
script_end(struct script *s)
{
    member_destroy(&s->member);
}

/* ------------------------------------------------------------------ what a leadership has seen */

static bool
majority_answered(const struct script *s, const raft_id *ids, uint32_t count, uint64_t round)
{
    uint32_t have = 0;

    for (uint32_t i = 0; i < count; i++)
        have += ids[i] == raft_self(s->member.raft) || s->answered[ids[i]] >= round;
    return count == 0 || have * 2 > count;
}

static bool
reads_are_owed(const struct script *s)
{
    const struct raft_config *c = raft_config(s->member.raft);

    return majority_answered(s, c->voters, c->voter_count, s->reads) &&
           majority_answered(s, c->outgoing, c->outgoing_count, s->reads);
}

static bool
own_committed(const struct script *s, const struct view *v)
{
    return v->role == RAFT_LEADER && v->commit >= s->term_first;
}

static void
watch_leadership(struct script *s, const struct script_step *step)
{
    if (step->after.role != RAFT_LEADER) {
        s->over = s->over || (step->before.role == RAFT_LEADER &&
                              s->asked_early > s->reads); /* etcd keeps such a read for later */
        return;
    }
    if (step->before.role == RAFT_LEADER)
        return;
    s->led_term = step->after.hard.term;
    s->term_first = step->before.last + 1;
    s->heir_was_told = false;
    memset(s->answered, 0, sizeof(s->answered));
}

static void
watch_decisions(struct script *s, const struct script_step *step)
{
    const struct raft_message *m = &step->message;

    for (uint32_t i = 0; i < step->after.decision_count; i++)
        s->heir_was_told |= step->after.decisions[i].kind == RAFT_TIMEOUT_NOW;
    if (step->kind == SCRIPT_RECEIVE && m->kind == RAFT_HEARTBEAT_REPLY &&
        m->term == step->after.hard.term && m->round > s->answered[m->from])
        s->answered[m->from] = m->round;
}

/* The last read whose round is confirmed. */
static uint64_t
confirmed_read(const struct script *s)
{
    uint64_t confirmed = raft_confirmed_round(s->member.raft);
    uint64_t last = 0;

    for (uint32_t i = 0; i < s->asked_count; i++) {
        if (s->asked[i] <= confirmed)
            last = s->asked[i];
    }
    return last;
}

static void
watch_reads(struct script *s, struct script_step *step)
{
    if (step->kind == SCRIPT_READ && step->after.done) {
        s->asked[s->asked_count++] = raft_round(s->member.raft);
        if (!own_committed(s, &step->before))
            s->asked_early = raft_round(s->member.raft);
    }
    if (step->after.role == RAFT_LEADER && confirmed_read(s) > s->reads) {
        s->reads = confirmed_read(s);
        s->reads_are_owed = step->own_committed && reads_are_owed(s);
    }
    step->after.reads = s->reads;
    step->reads_are_owed = s->reads_are_owed;
    step->read_was_early = s->reads <= s->asked_early;
}

/* ------------------------------------------------------------------ steps */

static struct script_step *
begin_step(struct script *s, enum script_kind kind)
{
    struct script_step *step = &s->steps[s->step_count];

    ASSERT(s->step_count < SCRIPT_STEPS_MAX && !s->over);
    memset(step, 0, sizeof(*step));
    step->kind = kind;
    step->known = DIFFER_COUNT;
    step->heir_was_told = s->heir_was_told;
    step->was_in_flight = raft_config_index(s->member.raft) > raft_commit(s->member.raft);
    step->committed = s->committed;
    view_of(&step->before, s->member.raft);
    step->was_own_committed = own_committed(s, &step->before);
    return step;
}

static void
end_step(struct script *s, struct script_step *step)
{
    watch_leadership(s, step);
    watch_decisions(s, step);
    step->own_committed = own_committed(s, &step->after);
    watch_reads(s, step);
    step->in_flight = raft_config_index(s->member.raft) > raft_commit(s->member.raft) ||
                      (step->after.role == RAFT_LEADER &&
                       !raft_config_equal(&step->before.config, &step->after.config));
    if (!step->in_flight)
        s->committed = *raft_config(s->member.raft);
    if (step->after.broke || (step->in_flight && step->after.role != RAFT_FOLLOWER))
        s->over = true;
    s->step_count++;
}

static void
do_simple(struct script *s, struct script_step *step)
{
    static const enum raft_event_kind events[] = {
        [SCRIPT_NOTHING] = RAFT_UNREACHABLE, /* of nobody: nothing */
        [SCRIPT_EXPIRE] = RAFT_UNREACHABLE,  [SCRIPT_CAMPAIGN] = RAFT_TICK,
        [SCRIPT_CHECK] = RAFT_TICK,          [SCRIPT_PROPOSE] = RAFT_PROPOSE,
        [SCRIPT_READ] = RAFT_READ,
    };

    if (step->kind == SCRIPT_CAMPAIGN)
        member_wait(&s->member, 2 * MEMBER_ELECTION_MS);
    if (step->kind == SCRIPT_EXPIRE || step->kind == SCRIPT_CHECK)
        member_wait(&s->member, MEMBER_ELECTION_MS);
    if (step->kind == SCRIPT_CHECK) /* a leader that has been idle would rather sleep */
        member_step(&s->member, (struct raft_event){ .kind = RAFT_READ }, NULL, &step->after);
    member_step(&s->member, (struct raft_event){ .kind = events[step->kind], .bytes = 1 }, NULL,
                &step->after);
}

void
script_simple(struct script *s, enum script_kind kind)
{
    static const char *const words[] = {
        [SCRIPT_NOTHING] = "nothing", [SCRIPT_CAMPAIGN] = "campaign", [SCRIPT_EXPIRE] = "expire",
        [SCRIPT_CHECK] = "check",     [SCRIPT_PROPOSE] = "propose",   [SCRIPT_READ] = "read",
    };
    struct script_step *step = begin_step(s, kind);

    do_simple(s, step);
    if (kind == SCRIPT_READ)
        snprintf(step->text, sizeof(step->text), "read %" PRIu64, raft_round(s->member.raft));
    else
        snprintf(step->text, sizeof(step->text), "%s", words[kind]);
    end_step(s, step);
}

static void
change_once(struct script *s, const char *change)
{
    struct script_step *step = begin_step(s, SCRIPT_CHANGE);
    struct raft_config target;

    (void)member_target(raft_config(s->member.raft), change, &target);
    snprintf(step->text, sizeof(step->text), "change %s", change);
    member_step(&s->member, (struct raft_event){ .kind = RAFT_CHANGE, .config = &target }, NULL,
                &step->after);
    end_step(s, step);
}

/* As etcd's members are in a membership only when they have applied it, there is little to compare
 * afterwards: the script is over. */
void
script_change(struct script *s, const char *change, const char *another)
{
    change_once(s, change);
    if (raft_config_index(s->member.raft) > raft_commit(s->member.raft)) {
        s->over = false;
        change_once(s, another);
    }
    s->over = true;
}

void
script_transfer(struct script *s, raft_id target)
{
    struct script_step *step = begin_step(s, SCRIPT_TRANSFER);

    step->target = target;
    snprintf(step->text, sizeof(step->text), "transfer %" PRIu64, target);
    member_step(&s->member, (struct raft_event){ .kind = RAFT_TRANSFER, .node = target }, NULL,
                &step->after);
    end_step(s, step);
}

/* ------------------------------------------------------------------ messages, in etcd's terms */

static bool
is_reply(enum raft_message_kind kind)
{
    return kind == RAFT_PREVOTE_REPLY || kind == RAFT_VOTE_REPLY || kind == RAFT_APPEND_REPLY ||
           kind == RAFT_HEARTBEAT_REPLY;
}

static enum difference
known_of_votes(const struct script *s, const struct raft_message *m, const struct view *now)
{
    const struct raft *r = s->member.raft;
    bool asks = m->kind == RAFT_VOTE || m->kind == RAFT_PREVOTE;

    if (is_reply(m->kind) && !raft_config_has(raft_config(r), m->from) &&
        m->term > now->hard.term && (m->kind != RAFT_PREVOTE_REPLY || m->reject))
        return DIFFER_STRANGER_RAISES_TERM;
    if (m->kind == RAFT_PREVOTE_REPLY && !m->reject && now->role == RAFT_PRECANDIDATE &&
        m->term >= now->hard.term && m->term != now->hard.term + 1)
        return DIFFER_STALE_PREVOTE_REPLY;
    if (asks && !m->force && m->term > now->hard.term && m->from == now->leader)
        return DIFFER_FORMER_LEADER_ASKS;
    if (m->kind == RAFT_PREVOTE && m->term == now->hard.term)
        return DIFFER_PREVOTE_OF_OWN_TERM;
    return DIFFER_COUNT;
}

static enum difference
known_of(const struct script *s, const struct raft_message *m, const struct view *now, bool sane)
{
    bool leads = now->role == RAFT_LEADER && m->term == now->hard.term;

    if (m->kind == RAFT_APPEND && leads)
        return DIFFER_TWO_LEADERS;
    if (!sane)
        return DIFFER_COMMIT_DENIED;
    if (m->kind == RAFT_APPEND && m->term >= now->hard.term && m->index < now->commit &&
        m->index + m->entry_count > now->commit)
        return DIFFER_APPEND_ACROSS_COMMIT;
    if (m->kind == RAFT_HEARTBEAT && m->term >= now->hard.term && m->commit > now->last && !leads)
        return DIFFER_HEARTBEAT_BEYOND_LOG;
    if (m->kind == RAFT_APPEND_REPLY && leads && !m->reject && m->index > now->last &&
        raft_config_has(raft_config(s->member.raft), m->from))
        return DIFFER_REPLY_BEYOND_LOG;
    return known_of_votes(s, m, now);
}

/* What of it is after our commit. */
static void
print_trimmed(const struct script *s, struct script_step *step, const struct raft_message *m,
              const struct oracle_entry *entries)
{
    struct raft_message trimmed = *m;
    raft_index commit = step->before.commit;

    trimmed.index = commit;
    trimmed.log_term = member_term_at(&s->member, commit);
    trimmed.entry_count = (uint32_t)(m->index + m->entry_count - commit);
    print_message(step->text, "recv", &trimmed, entries + (commit - m->index));
}

static void
print_for_etcd(const struct script *s, struct script_step *step, const struct raft_message *m,
               const struct oracle_entry *entries)
{
    if (step->known == DIFFER_APPEND_ACROSS_COMMIT)
        print_trimmed(s, step, m, entries);
    else if (step->known == DIFFER_STALE_PREVOTE_REPLY)
        snprintf(step->text, sizeof(step->text), "nothing");
    else
        print_message(step->text, step->known == DIFFER_FORMER_LEADER_ASKS ? "late" : "recv", m,
                      entries);
}

bool
script_parts_ways(enum difference known)
{
    return known == DIFFER_STRANGER_RAISES_TERM || known == DIFFER_HEARTBEAT_BEYOND_LOG ||
           known == DIFFER_TWO_LEADERS || known == DIFFER_REPLY_BEYOND_LOG ||
           known == DIFFER_COMMIT_DENIED;
}

/* etcd lets a vote that it repeats prolong the lease of the leader that it has given it. */
static bool
repeats_vote_for_leader(const struct script_step *step, const struct raft_message *m)
{
    return m->kind == RAFT_VOTE && m->term == step->before.hard.term && step->before.leader != 0;
}

void
script_receive(struct script *s, const struct raft_message *m, const struct oracle_entry *entries,
               bool sane)
{
    struct raft_entry converted[VIEW_LOG_MAX];
    struct raft_config configs[VIEW_LOG_MAX];
    struct script_step *step = begin_step(s, SCRIPT_RECEIVE);

    ASSERT(m->entry_count < VIEW_LOG_MAX);
    step->message = *m;
    step->known = known_of(s, m, &step->before, sane);
    print_for_etcd(s, step, m, entries);
    for (uint32_t i = 0; i < m->entry_count; i++) {
        converted[i] = (struct raft_entry){ .term = entries[i].term, .kind = RAFT_DATA };
        if (entries[i].change[0] == '\0')
            continue;
        if (!member_target(&s->committed, entries[i].change, &configs[i]))
            configs[i] = s->committed; /* it is in the log already */
        converted[i].kind = RAFT_CONFIG;
        converted[i].config = &configs[i];
    }
    step->message.entries = converted;
    member_step(&s->member, (struct raft_event){ .kind = RAFT_RECEIVE, .message = &step->message },
                entries, &step->after);
    step->message.entries = NULL;
    if (step->known == DIFFER_FORMER_LEADER_ASKS)
        member_wait(&s->member, MEMBER_ELECTION_MS);
    end_step(s, step);
    if (script_parts_ways(step->known) || repeats_vote_for_leader(step, m))
        s->over = true;
}

/* In the membership that comes, joint or not; etcd takes no snapshot in which it is not. */
static bool
is_in_new_half(const struct raft_config *c, raft_id id)
{
    struct raft_config half = *c;

    half.outgoing_count = 0;
    return raft_config_has(&half, id);
}

/* The membership that the entries up to `last` lead to. */
static struct raft_config
config_at(const struct script *s, const struct oracle_entry *entries, raft_index last)
{
    struct raft_config c = s->committed;

    for (raft_index i = raft_commit(s->member.raft) + 1; i <= last; i++) {
        const char *change = entries[i - s->member.base - 1].change;

        if (change[0] != '\0')
            (void)member_target(&s->committed, change, &c);
    }
    return c;
}

bool
script_snapshot(struct script *s, const struct raft_message *offer,
                const struct oracle_entry *entries)
{
    struct raft_config config = config_at(s, entries, offer->index);
    struct script_step *step;
    FILE *to;

    if (!is_in_new_half(&config, raft_self(s->member.raft)))
        return false;
    step = begin_step(s, SCRIPT_SNAPSHOT);
    to = text_open(step->text);
    step->message = *offer;
    fprintf(to, "snapshot %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64 " ", offer->from,
            offer->term, offer->index, offer->log_term);
    view_print_config(to, &config);
    fclose(to);
    member_snapshot(&s->member, offer, &config, entries, &step->after);
    end_step(s, step);
    return true;
}
