/*
 * What the log says, record by record: a tablet is what it was.
 *
 * Each entry says what was committed when it was proposed, so most of a log is applied as it is
 * read; what follows the last such word stays in the tail until the group has a leader again.  An
 * entry at an index that was there before supersedes it and all after it.
 *
 * Entries that the tables have already are passed over, but for what they brought into the head: a start applies what
 * it reads before it can write a head that says so, its tables may soon reach beyond that, and then it may end.
 */
#include "base/mem.h"

#include "tablet/tablet_internal.h"

raft_term
tablet__last_term(const struct tablet *t)
{
    const struct tail_entry *last = tail_at(&t->tail, t->tail.limit - 1);

    return last == NULL ? t->applied_term : last->term;
}

/* What the tables have may be of a later term than entries beyond it that the log still holds: those were
 * cut off, by an entry that the tables have, or by a snapshot (whose cut comes later in the log).  What was
 * cut off with them goes on where they end, whatever its term. */
static bool
is_void(const struct tablet *t, const struct wal_record *record)
{
    return (record->index > t->applied && record->term < t->applied_term) ||
           (record->index > t->tail.limit && record->index <= t->void_limit);
}

static void
forget_passed(struct tablet *t, raft_index from)
{
    while (!list_empty(&t->passed)) {
        struct passed *p = container_of(t->passed.prev, struct passed, link);

        if (p->index < from)
            return;
        list_remove(&p->link);
        mem_free(p);
    }
}

void
tablet__forget_passed(struct tablet *t)
{
    forget_passed(t, 0);
}

/* What the tables have was committed.  Before anything that follows it is applied. */
enum status
tablet__take_passed(struct tablet *t)
{
    enum status st = t->passed_lost ? ST_NO_MEMORY : ST_OK;

    list_each (at, &t->passed) {
        const struct passed *p = container_of(at, struct passed, link);

        if (p->kind == BODY_CONFIG && p->index > t->head.config_index) {
            t->head.config = p->config;
            t->head.config_index = p->index;
        } else if (p->kind == BODY_SPLIT && st == ST_OK) {
            st = split_passed(t, p);
        }
    }
    tablet__forget_passed(t);
    return st;
}

/* Entries after `index` are void. */
static void
drop_after(struct tablet *t, raft_index index)
{
    while (t->tail.limit > index + 1 && t->tail.limit > t->tail.first) {
        tablet__forget(t, tail_pop_last(&t->tail));
        engine_tree_dropped(t->tree);
    }
}

/* What came before it may be of another history than the snapshot. */
static void
cut_replayed(struct tablet *t, const struct wal_record *cut)
{
    drop_after(t, cut->index);
    tablet__forget_passed(t);
    places_release(&t->places);
    t->void_limit = 0;
}

/* The tail, without what the entry supersedes, ends just before it. */
static enum status
make_way_for(struct tablet *t, const struct wal_record *record)
{
    if (record->index <= t->applied || record->index > t->tail.limit)
        return ST_CORRUPT; /* a hole, or a second time what is applied: no crash leaves either */
    drop_after(t, record->index - 1);
    return record->term < tablet__last_term(t) ? ST_CORRUPT : ST_OK;
}

static enum status
apply_replayed(struct tablet *t, raft_index limit)
{
    if (t->applied < limit && !list_empty(&t->passed)) {
        enum status st = tablet__take_passed(t);

        if (st != ST_OK)
            return st;
    }
    while (t->applied < limit) {
        const struct tail_entry *e = tail_at(&t->tail, t->applied + 1);
        enum status st = tablet__apply(t, e);

        if (st == ST_BUSY && e->body.kind == BODY_SPLIT)
            return ST_OK; /* the heir is made when the loops run; what follows stays in the tail */
        if (st != ST_OK)
            return st;
        tablet__forget(t, tail_pop_first(&t->tail));
    }
    return ST_OK;
}

static enum status
replay_head(struct tablet *t, const struct wal_record *record)
{
    struct head head;
    enum status st = head_decode(record->body, &head);

    if (st != ST_OK)
        return st;
    if (head.ceiling_ms < t->head.ceiling_ms)
        head.ceiling_ms = t->head.ceiling_ms; /* a head that was overtaken by a ceiling's entry */
    st = split_take_scope(t, &head);
    if (st != ST_OK)
        return st;
    if (head.config_index < t->head.config_index) { /* it was written before that was applied */
        head.config = t->head.config;
        head.config_index = t->head.config_index;
    }
    head.scope = t->head.scope;
    head.scope_index = t->head.scope_index;
    head.scope_version = t->head.scope_version;
    t->head = head;
    engine_tree_follow(t->tree, !tablet__is_alone(t, &head.config));
    return apply_replayed(t, head.commit < t->tail.limit ? head.commit : t->tail.limit - 1);
}

static enum status
replay_entry(struct tablet *t, const struct wal_record *record, wal_position at)
{
    struct tail_entry *e;
    enum status st;

    if (is_void(t, record)) {
        t->void_limit = record->index + 1;
        return ST_OK;
    }
    st = tail_entry_decode(record->body, &e);
    if (st != ST_OK)
        return st;
    st = e->body.lag == 0 || e->body.lag > record->index ? ST_CORRUPT : make_way_for(t, record);
    if (st == ST_OK)
        st = tail_reserve(&t->tail, 1);
    if (st != ST_OK) {
        mem_free(e);
        return st;
    }
    t->void_limit = 0;
    e->index = record->index;
    e->term = record->term;
    e->end = at;
    tablet__keep(t, e);
    places_note(&t->places, e->index, e->term, at);
    engine_tree_expect(t->tree);
    if (e->body.version > t->version)
        t->version = e->body.version;
    if (e->body.ceiling_ms > t->replayed_ceiling_ms)
        t->replayed_ceiling_ms = e->body.ceiling_ms;
    st = e->body.kind == BODY_SPLIT ? split_met(t, e) : ST_OK;
    if (st != ST_OK)
        return st;
    return apply_replayed(t, record->index - e->body.lag);
}

enum status
tablet_replay(struct tablet *t, const struct wal_record *record, wal_position at, struct err *err)
{
    enum status st = ST_OK;

    if (record->type == WAL_HEAD)
        st = replay_head(t, record);
    else if (record->type == WAL_CUT)
        cut_replayed(t, record);
    else
        st = replay_entry(t, record, at);

    if (st == ST_CORRUPT || st == ST_INVALID) {
        return err_raise(err, st,
                         "tablet %016llx: log entry %llu (term %llu) after entry %llu is not one "
                         "that this program writes",
                         (unsigned long long)t->id, (unsigned long long)record->index,
                         (unsigned long long)record->term, (unsigned long long)t->tail.limit - 1);
    }
    if (st != ST_OK)
        return err_raise(err, st, "tablet %016llx: log entry %llu could not be replayed",
                         (unsigned long long)t->id, (unsigned long long)record->index);
    return ST_OK;
}

void
tablet_passed(struct tablet *t, const struct wal_record *record, wal_position at)
{
    struct body body;
    struct passed *p;

    places_note(&t->places, record->index, record->term, at);
    forget_passed(t, record->index);
    if (!body_is_of_head(record->body) || body_decode(record->body, &body) != ST_OK)
        return;
    p = mem_new(struct passed);
    t->passed_lost |= p == NULL;
    if (p == NULL)
        return;
    p->index = record->index;
    p->kind = body.kind;
    p->version = body.version;
    p->split = body.split;
    if (body.kind == BODY_CONFIG)
        body_config(&body, &p->config);
    list_push_back(&t->passed, &p->link);
}

uint64_t
tablet_ceiling_ms(const struct tablet *t)
{
    return t->replayed_ceiling_ms > t->head.ceiling_ms ? t->replayed_ceiling_ms
                                                       : t->head.ceiling_ms;
}
