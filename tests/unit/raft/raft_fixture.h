/*
 * unit/raft/raft_fixture.h — what the directed tests of raft/raft.h are written in.
 *
 * There are two stages.  `struct one` is a single member, number 1, whose peers are played by the
 * test: what it hears is typed out, and what it says is looked at.  A manual group (group.h) is a
 * few members that talk to each other, when the test lets them.
 *
 * A log is written as the terms of its entries, first to last: "1 1 4 5".
 */
#ifndef UNIT_RAFT_FIXTURE_H
#define UNIT_RAFT_FIXTURE_H

#include "unit/raft/group.h"
#include "unit/test.h"

enum {
    MS = 1000000,
    HEARTBEAT_MS = 50,
    ELECTION_MS = 300,
    START_MS = 1000,   /* when a member is created */
    ENTRY_BYTES = 100, /* of each entry of a group */
    TEXT_ENTRIES_MAX = 32,
};

/* A list of tests with a name; the directed programs run such lists (directed.c). */
struct raft_suite {
    const char *name;
    const struct CMUnitTest *tests;
    size_t test_count;
};

extern const struct raft_suite raft_elections, raft_office, raft_replication, raft_commitment,
    raft_membership, raft_reads_and_leases, raft_transfer, raft_snapshots, raft_durability,
    raft_quiescence, raft_flow, raft_contract, raft_mended, raft_impose;

#define SUITE(suite, ...)                                  \
 static const struct CMUnitTest tests[] = { __VA_ARGS__ }; \
 const struct raft_suite raft_##suite = { #suite, tests, sizeof(tests) / sizeof(tests[0]) };

/* ------------------------------------------------------------------ one member */

struct one {
    struct raft *raft;
    struct raft_effects fx; /* of the last step */
    uint64_t now_ns;
    uint32_t dice;
    uint64_t ticket; /* the last one given */
    struct raft_entry entries[TEXT_ENTRIES_MAX];
};

/* Numbers, with spaces between; returns how many. */
uint32_t parse_numbers(const char *text, uint64_t *out, uint32_t max);

struct raft_config voters(uint32_t n);                                        /* 1..n */
struct raft_config config_of(const char *voter_ids, const char *learner_ids); /* "1 2 3", "" */

/* The defaults for member 1 of so many voters. */
struct raft_options options_for(uint32_t voter_count);

/* Member 1 with a durable log; its term is that of the last entry, or that of the options. */
struct one one_of(uint32_t voter_count, const char *log);
struct one one_with(const struct raft_options *options, const char *log);
void end(struct one *o);

enum status step(struct one *o, struct raft_event e);
void persist(struct one *o); /* everything given to the log is durable */
void persist_up_to(struct one *o, uint64_t ticket);
void apply(struct one *o); /* what may be */
enum status hear(struct one *o, struct raft_message m);
enum status hear_append(struct one *o, struct raft_message m, const char *entries);
void pass_ms(struct one *o, uint64_t ms); /* without a tick */
void tick_ms(struct one *o, uint64_t ms); /* one tick, so much later */
void propose(struct one *o, uint64_t bytes);

/* Member 1 leads, elected by all others, one term later; its first entry is not durable yet. */
void lead(struct one *o);
/* ... and its first entry is committed, and all have it. */
void lead_with_all(struct one *o);
void ack(struct one *o, raft_id from, raft_index index);     /* durable there */
void answer_heartbeat(struct one *o, raft_id from);          /* the last one sent to it */
void answer_heartbeats(struct one *o, uint32_t voter_count); /* all of 2..n do */
struct raft_message heartbeat(raft_id from, raft_term term);
struct raft_message vote_request(raft_id from, raft_term term, raft_index last,
                                 raft_term last_term);
struct raft_message prevote_request(raft_id from, raft_term term, raft_index last,
                                    raft_term last_term);
struct raft_message vote_reply(raft_id from, raft_term term, bool reject);
struct raft_message prevote_reply(raft_id from, raft_term term, bool reject);
bool votes_for(struct one *o,
               struct raft_message request); /* it is asked, and what it writes becomes durable */
struct raft_message append_after(raft_id from, raft_term term, raft_index index,
                                 raft_term log_term);

/* The message of the last step; NULL: there is none. */
const struct raft_message *said(const struct one *o, enum raft_message_kind kind, raft_id to);
uint32_t said_count(const struct one *o, enum raft_message_kind kind);
const char *log_of(const struct raft *r); /* as text; until the next call */

/* Everything that raft_next_append() has for `to`, as one text: "3-5 6-6"; it counts as sent, at
 * `bytes` for each entry. */
const char *send_all(struct one *o, raft_id to, uint64_t bytes);
struct raft_append send_next(struct one *o, raft_id to); /* EXPECTs that there is one */

/* ------------------------------------------------------------------ groups */

struct group *calm(uint32_t nodes);
struct group *calm_with(uint32_t nodes, uint32_t voter_count, const struct raft_options *options);

/* The member stops and starts again with this on its disk. */
void set_log(struct group *g, raft_id id, const char *log);
void set_hard(struct group *g, raft_id id, raft_term term, raft_id vote);
void restart(struct group *g, raft_id id); /* the disk keeps all that was given to it */

void cut_off(struct group *g, raft_id id);
struct raft *member(struct group *g, raft_id id);
void elapse_ms(struct group *g, uint64_t ms); /* on all clocks, without ticks */
void campaign(struct group *g, raft_id id);   /* it stands; nothing is delivered */
void elect(struct group *g, raft_id id);      /* it stands, everything is delivered, it leads */
void deliver(struct group *g, raft_id from, raft_id to); /* what is under way, in order */
void deliver_some(struct group *g, raft_id from, raft_id to, uint32_t count); /* the first ones */
void drop(struct group *g, raft_id from, raft_id to);
void drop_some(struct group *g, raft_id from, raft_id to, uint32_t count);
uint32_t under_way(struct group *g, enum raft_message_kind kind, raft_id from, raft_id to);
void settle(struct group *g); /* everything is delivered, and everyone hears what is committed */

#endif
