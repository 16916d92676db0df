/*
 * The order `recover`: nodes are gone for good, and took the majority of some tablets with them.
 *
 *      ask      every node what it has of which tablet (survey.c); who does not answer, and is heard by nobody, is
 *               lost.  Without `confirm` this is told, and that is all.
 *      impose   for each tablet that can elect nobody any more: one that is left leads, by order (recovery.h says who).
 *               The metadata's tablet first: without it nothing of this could be written down.
 *      restore  what the metadata lacks, and the books of those who are left have (recover_restore.c)
 *      settle   the lost are removed for good; records follow their groups.  A tablet of which nothing is left is given
 *               empty copies by the steward then, and imposed on one of them.
 *      tell     the report that was made before anything was done
 *
 * After each step it is asked again, and what is found decides; nothing is remembered.  So it can be
 * interrupted anywhere, and ordered again, at any node.  The steward does the rest: it gives each tablet its copies.
 *
 * WHEN THE LOST COME BACK
 *
 *   A member that comes back as who it was would vote and count by the membership that was.  What keeps it
 *   out:
 *
 *   L1  Its identity is removed, and whoever it meets that knows so neither calls it nor listens to it; its petition
 *       is refused, and it ends.
 *   L2  Of those who are left, only the chosen one votes from the imposed membership on, and the others hear of it
 *       first of all, as learners.  So no majority of the old membership can be made of some that
 *       are left and some that come back, once that has been said.
 *   L3  The term of the imposed membership is far above theirs: to whoever is in it they are out of date.
 *
 *   What is not kept out: between the order and L1 some that are left may still hear them, which is milliseconds; and
 *   a majority of the old membership that comes back together, and meets nobody else, believes to be the
 *   cluster, until it meets somebody.  Nothing here can know of that.  It is why the operator has to say that they are
 *   gone for good.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/log.h"
#include "base/mem.h"

#include "cluster/recover_internal.h"

enum {
    ASK_MS = 2000,
    AGAIN_MS = 300,
    IMPOSE_MS = 1000, /* for a term to become durable, and be seen */
    RECOVER_MS = 60000,
    REMNANTS_MAX = 1 << 18,
};

/* ------------------------------------------------------------------ life */

static void
release(struct recover *v)
{
    v->cluster->recover = NULL;
    buf_release(&v->report);
    mem_free(v->remnants);
    mem_free(v);
}

static void
answer(struct recover *v)
{
    struct order *o = v->order;
    enum status st = buf_append(&o->answer, buf_slice(&v->report));

    release(v);
    if (st == ST_OK)
        orders__finish(o, ST_OK);
    else
        orders__refuse(o, st, "out of memory for the answer");
}

static void PRINTF_LIKE(3, 4) refuse(struct recover *v, enum status st, const char *fmt, ...)
{
    struct order *o = v->order;
    char text[ERR_TEXT_MAX];
    va_list args;

    va_start(args, fmt);
    vsnprintf(text, sizeof(text), fmt, args);
    va_end(args);
    release(v);
    orders__refuse(o, st, "%s", text);
}

static void
wait(struct recover *v, uint64_t ms, const char *what)
{
    v->stage = RECOVER_WAITS;
    v->due_ns = loop_now_ns(v->cluster->loop) + ms * NS_PER_MS;
    v->waits_for = what;
}

/* ------------------------------------------------------------------ ask */

static void
ask(struct recover *v)
{
    struct cluster *c = v->cluster;
    uint8_t bytes[VARINT_BYTES_MAX];
    struct slice payload = { bytes, 0 };

    v->stage = RECOVER_ASKS;
    v->due_ns = loop_now_ns(c->loop) + (uint64_t)ASK_MS * NS_PER_MS;
    v->id = ++c->order_id;
    v->newest = v->remnant_count = v->node_count = 0;
    payload.size = (size_t)(put_varint(bytes, v->id) - bytes);
    for (uint32_t i = 0; i < c->atlas->node_count; i++) {
        const struct node_record *n = &c->atlas->nodes[i];

        if (n->state == NODE_REMOVED || v->node_count > TABLET_NODES_MAX)
            continue;
        v->nodes[v->node_count++] = (struct recover_node){ n->id, false, UINT64_MAX };
        if (n->id == c->self)
            survey_asked(c, c->self, payload);
        else
            wires_send(&c->seats[0], n->id, MESSAGE_SURVEY, payload);
    }
}

static struct recover_node *
node_of(struct recover *v, uint64_t id)
{
    for (uint32_t i = 0; i < v->node_count; i++) {
        if (v->nodes[i].id == id)
            return &v->nodes[i];
    }
    return NULL;
}

static bool
keep(struct recover *v, const struct remnant *m)
{
    if (v->remnant_count == v->remnant_capacity) {
        uint32_t capacity = v->remnant_capacity == 0 ? 256 : 2 * v->remnant_capacity;
        struct remnant *grown =
            capacity > REMNANTS_MAX ? NULL : mem_resize(v->remnants, capacity * sizeof(*grown));

        if (grown == NULL)
            return false;
        v->remnants = grown;
        v->remnant_capacity = capacity;
    }
    v->remnants[v->remnant_count++] = *m;
    return true;
}

static bool
read_silences(struct recover *v, struct reader *r)
{
    uint64_t count = read_varint(r);

    for (uint64_t i = 0; i < count && !r->bad; i++) {
        struct recover_node *n = node_of(v, read_varint(r));
        uint64_t silent_ms = read_varint(r);

        if (n != NULL && silent_ms < n->silent_ms)
            n->silent_ms = silent_ms;
    }
    return !r->bad;
}

/* An answer that cannot be read is none. */
void
recover_told(struct cluster *c, uint64_t from, struct slice payload)
{
    struct recover *v = c->recover;
    struct reader r = reader_of(payload);
    uint64_t id = read_varint(&r);
    version_t version = read_varint(&r);
    struct recover_node *n;
    struct remnant m;

    if (r.bad || v == NULL || v->stage != RECOVER_ASKS || v->id != id)
        return;
    n = node_of(v, from);
    if (n == NULL || n->answered || !read_silences(v, &r))
        return;
    while (reader_left(&r) > 0) {
        if (remnant_decode(&r, &m) != ST_OK || m.node != from || !keep(v, &m))
            return;
    }
    n->answered = true;
    if (version > v->newest) {
        v->newest = version;
        v->newest_at = from;
    }
}

/* ------------------------------------------------------------------ impose */

/* The others that have something of it, and hear of the membership by being in it. */
static void
impose_one(const struct recover *v, const struct recover_case *k)
{
    struct cluster *c = v->cluster;
    struct buf bytes = buf_empty(SURVEY_BYTES_MAX);
    uint64_t ids[RAFT_MEMBERS_MAX];
    struct left learners = { ids, 0 };

    for (uint32_t i = 0; i < k->remnant_count && learners.count < RAFT_MEMBERS_MAX - 1; i++) {
        const struct tablet_member *m = tablet_record_member(k->record, k->remnants[i].node);

        if (&k->remnants[i] != k->chosen && m != NULL && m->role != MEMBER_LEAVING)
            ids[learners.count++] = k->remnants[i].node;
    }
    if (survey_encode_imposition(k->chosen, recovery_term(k->remnants, k->remnant_count), &v->left,
                                 &learners, &bytes) == ST_OK) {
        if (k->chosen->node == c->self)
            survey_imposed(c, buf_slice(&bytes));
        else
            wires_send(&c->seats[0], k->chosen->node, MESSAGE_IMPOSE, buf_slice(&bytes));
    }
    buf_release(&bytes);
}

static void
impose(struct recover *v, bool only_metadata)
{
    const struct atlas *a = v->cluster->atlas;
    struct recover_case k;

    for (uint32_t i = 0; i < a->tablet_count; i++) {
        recover__judge(v, a->tablets[i], &k);
        if (k.verdict == RECOVERY_STRANDED && (!only_metadata || k.record->id == ATLAS_META_TABLET))
            impose_one(v, &k);
    }
    wait(v, IMPOSE_MS, "a membership that was imposed to be in force");
}

/* ------------------------------------------------------------------ settle */

static void
is_settled(void *ctx, enum status st, const struct err *err)
{
    struct recover *v = ctx;

    (void)err;
    if (st != ST_OK)
        log_event(LOG_INFO, "cluster.recovery_deferred", log_str("status", status_name(st)));
    if (v->order == NULL)
        release(v);
    else
        wait(v, AGAIN_MS, "what is left to be written into the metadata");
}

static void
settle(struct recover *v, bool unmade)
{
    struct change *change = NULL;
    enum status st = recover__restore(v, &change);

    if (st == ST_OK && change == NULL)
        change = recover__next_change(v, &st);
    if (change != NULL) {
        v->stage = RECOVER_SETTLES;
        change_commit(change, is_settled, v);
    } else if (st == ST_OK && unmade) {
        wait(v, AGAIN_MS, "somebody to be given a copy");
    } else if (st == ST_OK) {
        recover__log(v);
        answer(v);
    } else {
        wait(v, AGAIN_MS, "the metadata to be read, or a membership to be settled");
    }
}

/* ------------------------------------------------------------------ decide */

/* A node that does not answer, and that somebody has heard lately; NULL: there is none. */
static const struct recover_node *
undecided(const struct recover *v)
{
    for (uint32_t i = 0; i < v->node_count; i++) {
        if (!v->nodes[i].answered && v->nodes[i].silent_ms < SURVEY_SILENCE_MS)
            return &v->nodes[i];
    }
    return NULL;
}

static void
count_left(struct recover *v)
{
    v->left = (struct left){ v->left_ids, 0 };
    for (uint32_t i = 0; i < v->node_count; i++) {
        if (v->nodes[i].answered)
            v->left_ids[v->left.count++] = v->nodes[i].id;
    }
}

/* A report, if there is anything to be done; false: the order was refused. */
static bool
report_first(struct recover *v, const struct recover_count *count)
{
    uint32_t cases =
        count->by_verdict[RECOVERY_STRANDED] + count->by_verdict[RECOVERY_GONE] + count->outdated;

    if (v->report.size > 0)
        return true;
    if (cases == 0) {
        refuse(v, ST_INVALID, "no tablet has lost its quorum: there is nothing to recover");
        return false;
    }
    if (count->metadata == RECOVERY_GONE) {
        refuse(v, ST_INVALID,
               "nobody that answers has the metadata: bring back one of the nodes that had it");
        return false;
    }
    if (recover__report(v) == ST_OK)
        return true;
    refuse(v, ST_NO_MEMORY, "out of memory for the answer");
    return false;
}

static void
act(struct recover *v)
{
    struct recover_count count;

    count_left(v);
    if (v->remnant_count > 0)
        qsort(v->remnants, v->remnant_count, sizeof(v->remnants[0]), remnant_compare);
    recover__count(v, &count);
    if (!report_first(v, &count))
        return;
    if (!v->confirmed)
        answer(v);
    else if (count.by_verdict[RECOVERY_STRANDED] > 0)
        impose(v, count.metadata == RECOVERY_STRANDED);
    else if (count.metadata != RECOVERY_LED)
        wait(v, AGAIN_MS, "the metadata to be led");
    else
        settle(v, count.unmade > 0);
}

static void
decide(struct recover *v)
{
    struct cluster *c = v->cluster;
    const struct recover_node *n = undecided(v);

    if (n != NULL) {
        const struct node_record *record = atlas_node(c->atlas, n->id);

        refuse(v, ST_INVALID,
               "node %s does not answer, and was heard %llu ms ago: it counts as lost when it was "
               "silent for %d s",
               record == NULL ? "?" : record->name, (unsigned long long)n->silent_ms,
               SURVEY_SILENCE_MS / 1000);
    } else if (v->newest > c->book.version) {
        feed_rumour(c, v->newest_at, v->newest);
        wait(v, AGAIN_MS, "what another node knows of the metadata");
    } else {
        act(v);
    }
}

/* ------------------------------------------------------------------ the order */

static bool
have_all_answered(const struct recover *v)
{
    for (uint32_t i = 0; i < v->node_count; i++) {
        if (!v->nodes[i].answered)
            return false;
    }
    return true;
}

void
recover_tick(struct cluster *c, uint64_t now_ns)
{
    struct recover *v = c->recover;

    if (v == NULL || v->stage == RECOVER_SETTLES)
        return;
    if (v->stage == RECOVER_ASKS && (now_ns >= v->due_ns || have_all_answered(v)))
        decide(v);
    else if (v->stage == RECOVER_WAITS && now_ns >= v->limit_ns) {
        refuse(v, ST_UNKNOWN,
               "it takes too long, and is not done: %s. What was done stays; ask again",
               v->waits_for);
    } else if (v->stage == RECOVER_WAITS && now_ns >= v->due_ns) {
        ask(v);
    }
}

void
recover_drain(struct cluster *c)
{
    struct recover *v = c->recover;
    struct order *o = v == NULL ? NULL : v->order;

    if (o == NULL)
        return;
    if (v->stage == RECOVER_SETTLES)
        v->order = NULL;
    else
        release(v);
    orders__refuse(o, ST_CLOSED, "this node is shutting down");
}

/* "recover" or "recover confirm CLUSTER".  False: the order was refused. */
static bool
read_words(struct order *o, bool *confirmed)
{
    const char *name = o->cluster->atlas->cluster.name;

    *confirmed = o->word_count == 3;
    if (o->word_count == 1 || (*confirmed && orders__is_word(o->words[1], "confirm") &&
                               slice_equal(o->words[2], slice_str(name))))
        return true;
    orders__refuse(o, ST_INVALID,
                   "nothing is done: this cluster is called %s, and that was not confirmed", name);
    return false;
}

void
orders__recover(struct order *o)
{
    struct cluster *c = o->cluster;
    struct recover *v;
    bool confirmed;

    if (!read_words(o, &confirmed))
        return;
    if (c->recover != NULL) {
        orders__refuse(o, ST_INVALID, "a recovery is under way at this node already");
        return;
    }
    v = mem_new(struct recover);
    if (v == NULL) {
        orders__refuse(o, ST_NO_MEMORY, "out of memory");
        return;
    }
    v->cluster = c;
    v->order = o;
    v->confirmed = confirmed;
    v->limit_ns = loop_now_ns(c->loop) + (uint64_t)RECOVER_MS * NS_PER_MS;
    c->recover = v;
    ask(v);
}
