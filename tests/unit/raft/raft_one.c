/* One member, whose peers the test plays. */
#include <inttypes.h>

#include "unit/raft/raft_fixture.h"

/* ------------------------------------------------------------------ texts */

uint32_t
parse_numbers(const char *text, uint64_t *out, uint32_t max)
{
    uint32_t count = 0;
    char *end = NULL;

    for (const char *at = text; *at != '\0'; at = end) {
        EXPECT(count < max);
        out[count++] = strtoull(at, &end, 10);
        EXPECT(end != at);
        while (*end == ' ')
            end++;
    }
    return count;
}

struct raft_config
voters(uint32_t n)
{
    struct raft_config c = { .voter_count = n };

    for (uint32_t i = 0; i < n; i++)
        c.voters[i] = i + 1;
    return c;
}

struct raft_config
config_of(const char *voter_ids, const char *learner_ids)
{
    struct raft_config c = { 0 };

    c.voter_count = parse_numbers(voter_ids, c.voters, RAFT_VOTERS_MAX);
    c.learner_count = parse_numbers(learner_ids, c.learners, RAFT_MEMBERS_MAX);
    return c;
}

const char *
log_of(const struct raft *r)
{
    static char text[1024];
    size_t at = 0;

    text[0] = '\0';
    for (raft_index i = raft_base(r) + 1; i <= raft_last(r) && at < sizeof(text) - 32; i++) {
        raft_term term = 0;

        EXPECT_OK(raft_term_at(r, i, &term));
        at +=
            (size_t)snprintf(text + at, sizeof(text) - at, "%s%" PRIu64, at == 0 ? "" : " ", term);
    }
    return text;
}

/* ------------------------------------------------------------------ one member */

struct raft_options
options_for(uint32_t voter_count)
{
    struct raft_options options;

    raft_options_default(&options);
    options.self = 1;
    options.config = voters(voter_count);
    options.now_ns = (uint64_t)START_MS * MS;
    return options;
}

struct one
one_with(const struct raft_options *options, const char *log)
{
    struct one o = { .now_ns = options->now_ns, .dice = options->dice };
    uint64_t terms[TEXT_ENTRIES_MAX];
    uint32_t count = parse_numbers(log, terms, TEXT_ENTRIES_MAX);

    EXPECT_OK(raft_create(&o.raft, options));
    for (uint32_t i = 0; i < count; i++) {
        struct raft_entry e = { .term = terms[i] };

        EXPECT_OK(raft_restore(&o.raft, options->base_index + i + 1, &e));
    }
    return o;
}

struct one
one_of(uint32_t voter_count, const char *log)
{
    struct raft_options options = options_for(voter_count);

    return one_with(&options, log);
}

void
end(struct one *o)
{
    raft_destroy(o->raft);
}

enum status
step(struct one *o, struct raft_event e)
{
    enum status st;

    e.now_ns = o->now_ns;
    e.dice = o->dice;
    st = raft_step(o->raft, &e, &o->fx);
    if (o->fx.ticket != 0) {
        EXPECT(o->fx.ticket > o->ticket);
        o->ticket = o->fx.ticket;
    }
    return st;
}

void
persist_up_to(struct one *o, uint64_t ticket)
{
    EXPECT_OK(step(o, (struct raft_event){ .kind = RAFT_PERSISTED, .ticket = ticket }));
}

void
persist(struct one *o)
{
    persist_up_to(o, o->ticket);
}

void
apply(struct one *o)
{
    EXPECT_OK(
        step(o, (struct raft_event){ .kind = RAFT_APPLIED, .index = raft_applicable(o->raft) }));
}

enum status
hear(struct one *o, struct raft_message m)
{
    m.to = 1;
    return step(o, (struct raft_event){ .kind = RAFT_RECEIVE, .message = &m });
}

enum status
hear_append(struct one *o, struct raft_message m, const char *entries)
{
    uint64_t terms[TEXT_ENTRIES_MAX];

    m.entry_count = parse_numbers(entries, terms, TEXT_ENTRIES_MAX);
    m.entries = o->entries;
    for (uint32_t i = 0; i < m.entry_count; i++)
        o->entries[i] = (struct raft_entry){ .term = terms[i] };
    return hear(o, m);
}

void
pass_ms(struct one *o, uint64_t ms)
{
    o->now_ns += ms * MS;
}

void
tick_ms(struct one *o, uint64_t ms)
{
    pass_ms(o, ms);
    EXPECT_OK(step(o, (struct raft_event){ .kind = RAFT_TICK }));
}

void
propose(struct one *o, uint64_t bytes)
{
    EXPECT_OK(step(o, (struct raft_event){ .kind = RAFT_PROPOSE, .bytes = bytes }));
}

/* Members 2, 3 ... say yes for as long as it stands. */
static void
say_yes(struct one *o, enum raft_message_kind kind, enum raft_role until)
{
    struct raft_message yes = { .kind = kind, .term = raft_hard(o->raft).term };

    yes.term += kind == RAFT_PREVOTE_REPLY;
    for (yes.from = 2; yes.from < TEXT_ENTRIES_MAX && raft_role(o->raft) == until; yes.from++)
        EXPECT_OK(hear(o, yes));
}

void
lead(struct one *o)
{
    raft_term term = raft_hard(o->raft).term + 1;

    pass_ms(o, 2 * ELECTION_MS);
    EXPECT_OK(step(o, (struct raft_event){ .kind = RAFT_CAMPAIGN }));
    say_yes(o, RAFT_PREVOTE_REPLY, RAFT_PRECANDIDATE);
    persist(o);
    say_yes(o, RAFT_VOTE_REPLY, RAFT_CANDIDATE);
    EXPECT_U64(raft_role(o->raft), RAFT_LEADER);
    EXPECT_U64(raft_hard(o->raft).term, term);
}

void
lead_with_all(struct one *o)
{
    const struct raft_config *c = raft_config(o->raft);

    lead(o);
    persist(o);
    for (raft_id id = 2; id <= c->voter_count; id++) {
        (void)send_next(o, id);
        ack(o, id, raft_last(o->raft));
    }
    EXPECT_U64(raft_commit(o->raft), raft_last(o->raft));
}

void
ack(struct one *o, raft_id from, raft_index index)
{
    EXPECT_OK(hear(o, (struct raft_message){ .kind = RAFT_APPEND_REPLY,
                                             .from = from,
                                             .term = raft_hard(o->raft).term,
                                             .index = index,
                                             .hint = index }));
}

void
answer_heartbeat(struct one *o, raft_id from)
{
    EXPECT_OK(hear(o, (struct raft_message){ .kind = RAFT_HEARTBEAT_REPLY,
                                             .from = from,
                                             .term = raft_hard(o->raft).term,
                                             .round = raft_round(o->raft),
                                             .sent_ns = o->now_ns }));
}

void
answer_heartbeats(struct one *o, uint32_t voter_count)
{
    for (raft_id id = 2; id <= voter_count; id++)
        answer_heartbeat(o, id);
}

struct raft_message
heartbeat(raft_id from, raft_term term)
{
    return (struct raft_message){ .kind = RAFT_HEARTBEAT, .from = from, .term = term };
}

struct raft_message
vote_request(raft_id from, raft_term term, raft_index last, raft_term last_term)
{
    return (struct raft_message){
        .kind = RAFT_VOTE, .from = from, .term = term, .index = last, .log_term = last_term
    };
}

struct raft_message
append_after(raft_id from, raft_term term, raft_index index, raft_term log_term)
{
    return (struct raft_message){
        .kind = RAFT_APPEND, .from = from, .term = term, .index = index, .log_term = log_term
    };
}

const struct raft_message *
said(const struct one *o, enum raft_message_kind kind, raft_id to)
{
    for (uint32_t i = 0; i < o->fx.message_count; i++) {
        if (o->fx.messages[i].kind == kind && o->fx.messages[i].to == to)
            return &o->fx.messages[i];
    }
    return NULL;
}

uint32_t
said_count(const struct one *o, enum raft_message_kind kind)
{
    uint32_t count = 0;

    for (uint32_t i = 0; i < o->fx.message_count; i++)
        count += o->fx.messages[i].kind == kind;
    return count;
}

/* Appends to others are taken for sent, too: they wait in line before it. */
static bool
next_for(struct one *o, raft_id to, uint64_t bytes, struct raft_append *out)
{
    while (raft_next_append(o->raft, out)) {
        uint64_t count = out->last + 1 - out->first;
        uint64_t fits = bytes == 0 ? count : out->bytes_max / bytes;

        if (fits == 0)
            fits = 1;
        if (count > fits)
            count = fits;
        out->last = out->first + count - 1;
        out->message.flow.bytes += count * bytes;
        raft_sent(o->raft, out, out->last, count * bytes);
        if (out->message.to == to)
            return true;
    }
    return false;
}

struct raft_append
send_next(struct one *o, raft_id to)
{
    struct raft_append a = { 0 };

    EXPECT(next_for(o, to, ENTRY_BYTES, &a));
    return a;
}

const char *
send_all(struct one *o, raft_id to, uint64_t bytes)
{
    static char text[1024];
    struct raft_append a;
    size_t at = 0;

    text[0] = '\0';
    while (next_for(o, to, bytes, &a) && at < sizeof(text) - 64)
        at += (size_t)snprintf(text + at, sizeof(text) - at, "%s%" PRIu64 "-%" PRIu64,
                               at == 0 ? "" : " ", a.first, a.last);
    return text;
}

static bool
grants(const struct one *o, raft_id to)
{
    const struct raft_message *m = said(o, RAFT_VOTE_REPLY, to);

    return m != NULL && !m->reject;
}

bool
votes_for(struct one *o, struct raft_message request)
{
    bool at_once;

    EXPECT_OK(hear(o, request));
    at_once = grants(o, request.from);
    persist(o);
    return at_once || grants(o, request.from);
}

struct raft_message
prevote_request(raft_id from, raft_term term, raft_index last, raft_term last_term)
{
    struct raft_message m = vote_request(from, term, last, last_term);

    m.kind = RAFT_PREVOTE;
    return m;
}

struct raft_message
vote_reply(raft_id from, raft_term term, bool reject)
{
    return (struct raft_message){
        .kind = RAFT_VOTE_REPLY, .from = from, .term = term, .reject = reject
    };
}

struct raft_message
prevote_reply(raft_id from, raft_term term, bool reject)
{
    struct raft_message m = vote_reply(from, term, reject);

    m.kind = RAFT_PREVOTE_REPLY;
    return m;
}
