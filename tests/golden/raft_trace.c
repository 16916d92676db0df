#include "golden/raft_trace.h"

#include <inttypes.h>
#include <stdarg.h>

static void put(struct raft_trace *t, const char *fmt, ...) PRINTF_LIKE(2, 3);

static void
put(struct raft_trace *t, const char *fmt, ...)
{
    char text[512];
    va_list args;
    int size;

    va_start(args, fmt);
    size = vsnprintf(text, sizeof(text), fmt, args);
    va_end(args);
    EXPECT(size >= 0 && (size_t)size < sizeof(text));
    EXPECT_OK(buf_append(&t->out, slice_of(text, (size_t)size)));
}

/* ------------------------------------------------------------------ nouns */

static void
put_ids(struct raft_trace *t, const raft_id *ids, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        put(t, "%s%" PRIu64, i == 0 ? "" : ",", ids[i]);
}

/* "1,4,5 and 1,2,3 learners 6": a joint membership. */
static void
put_config(struct raft_trace *t, const struct raft_config *c)
{
    put_ids(t, c->voters, c->voter_count);
    if (c->outgoing_count > 0)
        put(t, " and ");
    put_ids(t, c->outgoing, c->outgoing_count);
    if (c->learner_count > 0)
        put(t, " learners ");
    put_ids(t, c->learners, c->learner_count);
}

static void
put_entry(struct raft_trace *t, raft_index index, const struct raft_entry *e)
{
    put(t, "%" PRIu64 "^%" PRIu64, index, e->term);
    if (e->kind == RAFT_NOOP)
        put(t, "(noop)");
    if (e->kind == RAFT_CONFIG) {
        put(t, "(");
        put_config(t, e->config);
        put(t, ")");
    }
}

/* They come with the message, or are in the sender's log. */
static struct raft_entry
entry_of(struct raft_trace *t, const struct raft_message *m, uint32_t i)
{
    const struct cell *c;

    if (m->entries != NULL)
        return m->entries[i];
    c = &group_node(t->g, m->from)->log.cells[m->index + i];
    return (struct raft_entry){ .term = c->term, .kind = c->kind, .config = c->config };
}

static void
put_append(struct raft_trace *t, const struct raft_message *m)
{
    put(t, " after %" PRIu64 "^%" PRIu64 ":", m->index, m->log_term);
    for (uint32_t i = 0; i < m->entry_count; i++) {
        const struct raft_entry e = entry_of(t, m, i);

        put(t, " ");
        put_entry(t, m->index + 1 + i, &e);
    }
    put(t, "%s, commit %" PRIu64, m->entry_count == 0 ? " nothing" : "", m->commit);
}

static void
put_message(struct raft_trace *t, const struct raft_message *m)
{
    put(t, "term %" PRIu64, m->term);
    switch (m->kind) {
    case RAFT_PREVOTE:
    case RAFT_VOTE:
        put(t, ", last %" PRIu64 "^%" PRIu64 "%s", m->index, m->log_term,
            m->force ? ", told to" : "");
        break;
    case RAFT_PREVOTE_REPLY:
    case RAFT_VOTE_REPLY:
        put(t, ", %s", m->reject ? "no" : "yes");
        break;
    case RAFT_APPEND:
        put_append(t, m);
        break;
    case RAFT_APPEND_REPLY:
        if (m->reject)
            put(t, ", no at %" PRIu64 ", try %" PRIu64 "^%" PRIu64, m->index, m->hint,
                m->hint_term);
        else
            put(t, ", durable %" PRIu64 ", received %" PRIu64, m->index, m->hint);
        break;
    case RAFT_HEARTBEAT:
        put(t, ", commit %" PRIu64 ", round %" PRIu64 "%s", m->commit, m->round,
            m->quiesce ? ", sleep" : "");
        break;
    case RAFT_HEARTBEAT_REPLY:
        put(t, ", round %" PRIu64, m->round);
        break;
    case RAFT_TIMEOUT_NOW:
    case RAFT_MESSAGE_KIND_COUNT:
        break;
    }
}

/* ------------------------------------------------------------------ events */

static void
put_event(struct raft_trace *t, const struct raft_event *e)
{
    static const char *const names[RAFT_EVENT_KIND_COUNT] = {
        [RAFT_TICK] = "tick",
        [RAFT_RECEIVE] = "hears",
        [RAFT_PROPOSE] = "is given a proposal",
        [RAFT_CHANGE] = "is to change the membership to",
        [RAFT_PERSISTED] = "durable",
        [RAFT_APPLIED] = "applied",
        [RAFT_READ] = "is asked for a read",
        [RAFT_TRANSFER] = "is to hand over to",
        [RAFT_CAMPAIGN] = "is to stand",
        [RAFT_IMPOSE] = "is to lead by order",
        [RAFT_COMPACTED] = "compacted its log up to",
        [RAFT_SNAPSHOT_SENT] = "has sent a snapshot to",
        [RAFT_SNAPSHOT_OFFER] = "is offered a snapshot",
        [RAFT_SNAPSHOT_STAGED] = "has a snapshot",
        [RAFT_INSTALLED] = "has installed it",
        [RAFT_UNREACHABLE] = "cannot reach",
        [RAFT_SILENT] = "is told of the silence of",
        [RAFT_DISK_FAILED] = "disk failed",
    };

    put(t, " %s", names[e->kind]);
    if (e->kind == RAFT_RECEIVE) {
        put(t, " %s of %" PRIu64 ": ", raft_message_name(e->message->kind), e->message->from);
        put_message(t, e->message);
    }
    if (e->kind == RAFT_CHANGE) {
        put(t, " ");
        put_config(t, e->config);
    }
    if (e->kind == RAFT_APPLIED || e->kind == RAFT_COMPACTED)
        put(t, " %" PRIu64, e->index);
    if (e->kind == RAFT_TRANSFER || e->kind == RAFT_SILENT || e->kind == RAFT_UNREACHABLE)
        put(t, " %" PRIu64, e->node);
    if (e->kind == RAFT_SNAPSHOT_OFFER)
        put(t, " by %" PRIu64 ": term %" PRIu64 ", %" PRIu64 "^%" PRIu64, e->message->from,
            e->message->term, e->message->index, e->message->log_term);
    if (e->kind == RAFT_SNAPSHOT_STAGED)
        put(t, " %" PRIu64 "^%" PRIu64, e->index, e->term);
}

static void
put_role(struct raft_trace *t, const struct raft *r)
{
    struct raft_hard hard = raft_hard(r);

    put(t, "%s", raft_role_name(raft_role(r)));
    if (raft_role(r) == RAFT_FOLLOWER && raft_leader(r) != 0)
        put(t, " of %" PRIu64, raft_leader(r));
    put(t, ", term %" PRIu64 ", vote ", hard.term);
    if (hard.vote != 0)
        put(t, "%" PRIu64, hard.vote);
    else
        put(t, "-");
}

static struct shown
shown_of(const struct raft *r)
{
    return (struct shown){ .role = raft_role(r),
                           .leader = raft_leader(r),
                           .hard = raft_hard(r),
                           .config = *raft_config(r),
                           .asleep = raft_is_quiesced(r) };
}

static void
put_changes(struct raft_trace *t, const struct node *n)
{
    const struct raft *r = n->raft;
    struct shown *s = &t->shown[n->id];
    struct shown now = shown_of(r);

    if (now.role != s->role || now.leader != s->leader || now.hard.term != s->hard.term ||
        now.hard.vote != s->hard.vote) {
        put(t, "  now     ");
        put_role(t, r);
        put(t, "\n");
    }
    if (!raft_config_equal(&now.config, &s->config)) {
        put(t, "  members ");
        put_config(t, raft_config(r));
        put(t, "\n");
    }
    if (now.asleep != s->asleep)
        put(t, "  %s\n", now.asleep ? "asleep" : "awake");
    *s = now;
}

static void
put_writes(struct raft_trace *t, const struct node *n, const struct raft_effects *fx)
{
    if (fx->ticket == 0)
        return;
    put(t, "  write  ");
    if (fx->truncate_from != 0)
        put(t, " cut from %" PRIu64, fx->truncate_from);
    for (raft_index i = fx->append_first; i <= fx->append_last; i++) {
        raft_term term = 0;

        EXPECT_OK(raft_term_at(n->raft, i, &term));
        put(t, " %" PRIu64 "^%" PRIu64, i, term);
    }
    if (fx->hard_changed)
        put(t, " (term and vote)");
    put(t, "\n");
}

static void
on_step(struct group *g, struct node *n, const struct raft_event *e, enum status st)
{
    struct raft_trace *t = (struct raft_trace *)g->trace_ctx;

    t->speaking = n->id;
    put(t, "%" PRIu64, n->id);
    put_event(t, e);
    put(t, "%s%s\n", st == ST_OK ? "" : ": ", st == ST_OK ? "" : status_name(st));
    put_changes(t, n);
    put_writes(t, n, &g->fx);
    if (g->fx.commit_moved)
        put(t, "  commit  %" PRIu64 "\n", raft_commit(n->raft));
    if (g->fx.reads_moved)
        put(t, "  reads   of round %" PRIu64 " and before\n", raft_confirmed_round(n->raft));
    if (g->fx.install)
        put(t, "  install\n");
}

static void
on_sent(struct group *g, const struct raft_message *m, bool is_snapshot, bool is_cut)
{
    struct raft_trace *t = (struct raft_trace *)g->trace_ctx;

    if (t->speaking != m->from)
        put(t, "%" PRIu64 " sends\n", m->from);
    t->speaking = m->from;
    put(t, "  %" PRIu64 "->%" PRIu64 "    ", m->from, m->to);
    if (is_snapshot) {
        put(t, "snapshot: term %" PRIu64 ", %" PRIu64 "^%" PRIu64, m->term, m->index, m->log_term);
    } else {
        put(t, "%s: ", raft_message_name(m->kind));
        put_message(t, m);
    }
    put(t, "%s\n", is_cut ? "   (cut off)" : "");
}

void
trace_begin(struct raft_trace *t, struct group *g)
{
    t->g = g;
    t->speaking = 0;
    g->trace = on_step;
    g->sent = on_sent;
    g->trace_ctx = t;
    for (raft_id id = 1; id <= g->node_count; id++) {
        const struct raft *r = g->nodes[id - 1].raft;

        if (r != NULL)
            t->shown[id] = shown_of(r);
    }
}

void
trace_state(struct raft_trace *t)
{
    for (raft_id id = 1; id <= t->g->node_count; id++) {
        const struct node *n = group_node(t->g, id);

        put(t, "%" PRIu64 " ", id);
        if (!n->up) {
            put(t, "down\n");
            continue;
        }
        put_role(t, n->raft);
        put(t, "; log %s%s; commit %" PRIu64 "%s\n", raft_base(n->raft) > 0 ? "... " : "",
            log_of(n->raft), raft_commit(n->raft), raft_is_quiesced(n->raft) ? "; asleep" : "");
    }
}
