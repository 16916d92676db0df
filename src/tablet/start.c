/*
 * From a log to a tablet that serves.
 *
 * Each entry says what was committed when it was proposed, so most of a log is applied as it is
 * read; what follows the last such word stays in the tail until the group has a leader again.  An
 * entry at an index that was there before supersedes it and all after it.
 *
 * Entries that the tables have already are passed over, but for what they brought into the head: a start applies what
 * it reads before it can write a head that says so, its tables may soon reach beyond that, and then it may end.
 */
#include "base/assert.h"
#include "base/mem.h"

#include "tablet/tablet_internal.h"

/* ------------------------------------------------------------------ replay */

static raft_term
last_term(const struct tablet *t)
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
static enum status
take_passed(struct tablet *t)
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
    return record->term < last_term(t) ? ST_CORRUPT : ST_OK;
}

static enum status
apply_replayed(struct tablet *t, raft_index limit)
{
    if (t->applied < limit && !list_empty(&t->passed)) {
        enum status st = take_passed(t);

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

/* ------------------------------------------------------------------ raft */

/* Does the log have, before what is applied and up to there, what others may want?  If it does not go
 * together with what the tables say, it is nothing to send. */
static bool
reaches_back(struct tablet *t)
{
    const struct place *last = places_find(&t->places, t->applied);

    if (last != NULL && last->term == t->applied_term)
        return true;
    if (t->places.count > 0 && t->places.at[0].index <= t->applied)
        places_release(&t->places);
    return false;
}

/* The entries from the first place to what is applied. */
static enum status
restore_applied(struct tablet *t)
{
    const struct places *p = &t->places;
    enum status st = ST_OK;

    for (uint32_t i = 0; i < p->count && p->at[i].index <= t->applied && st == ST_OK; i++) {
        raft_index last = (i + 1 < p->count ? p->at[i + 1].index : p->limit) - 1;

        if (last > t->applied)
            last = t->applied;
        if (last > raft_last(t->raft))
            st = raft_restore_applied(&t->raft, last, p->at[i].term);
    }
    return st;
}

static enum status
restore_tail(struct tablet *t)
{
    enum status st = ST_OK;

    for (raft_index i = t->tail.first; i < t->tail.limit && st == ST_OK; i++) {
        struct tail_entry *e = tail_at(&t->tail, i);
        struct raft_config config;
        struct raft_entry entry = { .term = e->term, .kind = RAFT_DATA };

        if (e->body.kind == BODY_CONFIG) {
            body_config(&e->body, &config);
            entry.kind = RAFT_CONFIG;
            entry.config = &config;
        }

        st = raft_restore(&t->raft, i, &entry);
    }
    t->given = t->unsynced = t->tail.limit;
    return st;
}

/* What an earlier replica here had promised, before it was dropped, counts as long as nothing later does. */
struct raft_hard
tablet__hard(const struct tablet *t)
{
    struct engine_oath oath = engine_tree_oath(t->tree);
    struct raft_hard hard = t->head.hard;

    if (t->raft != NULL)
        return raft_hard(t->raft);
    if (oath.term > hard.term || (oath.term == hard.term && hard.vote == 0))
        hard = (struct raft_hard){ oath.term, oath.vote };
    return hard;
}

/* The later of two logs is the one that would not vote for the other. */
struct engine_oath
tablet__oath(const struct tablet *t)
{
    struct engine_oath before = engine_tree_oath(t->tree);
    struct raft_hard hard = tablet__hard(t);
    struct engine_oath now = { hard.term, hard.vote, last_term(t), t->tail.limit - 1 };

    if (before.log_term > now.log_term ||
        (before.log_term == now.log_term && before.log_index > now.log_index)) {
        now.log_term = before.log_term;
        now.log_index = before.log_index;
    }
    return now;
}

/* Has there never been another member, to whom something could have been promised? */
static bool
was_always_alone(const struct tablet *t)
{
    for (raft_index i = t->tail.first; i < t->tail.limit; i++) {
        if (tail_at(&t->tail, i)->body.kind == BODY_CONFIG)
            return false;
    }
    return t->head.config_index == 0 && engine_tree_oath(t->tree).term == 0 &&
           tablet__is_alone(t, &t->head.config);
}

static enum status
create_raft(struct tablet *t)
{
    bool reaches = reaches_back(t);
    struct raft_options options;
    uint64_t seed;
    enum status st;

    env_random(engine_env(t->engine), &seed, sizeof(seed));
    prng_init(&t->dice, seed);
    raft_options_default(&options);
    options.dice = (uint32_t)prng_next(&t->dice);
    options.self = t->reactor->node->id;
    options.config = t->head.config;
    options.base_index = reaches ? t->places.at[0].index : t->applied;
    options.base_term = reaches ? t->places.at[0].term : t->applied_term;
    options.hard = tablet__hard(t);
    if (BROKEN(TERM_BACK_AFTER_RESTART))
        options.hard.vote = 0;
    if (options.hard.term < t->applied_term)
        options.hard = (struct raft_hard){ .term = t->applied_term };
    options.lost_term = engine_tree_oath(t->tree).log_term;
    options.lost_index = engine_tree_oath(t->tree).log_index;
    options.now_ns = tablet__boot_ns(t);
    options.lease_percent = t->reactor->node->lease_percent;
    options.unheard = was_always_alone(t);
    options.uncommitted_bytes_max = t->pending_bytes_max;
    st = raft_create(&t->raft, &options);
    if (st == ST_OK && reaches)
        st = restore_applied(t);
    if (st == ST_OK)
        st = restore_tail(t);
    if (st == ST_OK)
        tablet__config_moved(t);
    return st;
}

/* The log may have just enough room for what recovery put there; start-up code can wait. */
static enum status
give_all(struct tablet *t, struct err *err)
{
    enum status st = tablet__give(t, err);

    while (st == ST_BUSY) {
        st = engine_make_room(t->engine, err);
        if (st == ST_OK)
            st = tablet__give(t, err);
    }
    return st;
}

enum status
tablet_stand(struct tablet *t, struct err *err)
{
    enum status st = take_passed(t);

    if (st == ST_OK)
        st = create_raft(t);
    t->head.ceiling_ms = tablet_ceiling_ms(t);
    if (st == ST_OK && t->alone)
        st = tablet__step(t, (struct raft_event){ .kind = RAFT_CAMPAIGN }, NULL);
    if (st != ST_OK)
        return err_raise(err, st, "tablet %016llx: its group cannot be started (%s)",
                         (unsigned long long)t->id, status_name(st));
    return give_all(t, err);
}

/* It neither stands nor gives its tail, but its tables may go on without it: so the head is to say what they have. */
enum status
tablet_set_aside(struct tablet *t, struct err *err)
{
    enum status st = take_passed(t);

    t->aside = true;
    t->head.ceiling_ms = tablet_ceiling_ms(t);
    if (st != ST_OK)
        return err_raise(err, st, "tablet %016llx: it cannot be set aside (%s)",
                         (unsigned long long)t->id, status_name(st));
    st = tablet__append_head(t, err);
    while (st == ST_BUSY) {
        st = engine_make_room(t->engine, err);
        if (st == ST_OK)
            st = tablet__append_head(t, err);
    }
    return st;
}

enum status
tablet_lead(struct tablet *t, struct err *err)
{
    tablet__note_durable(t);
    return give_all(t, err);
}

/* It goes on when the loops run. */
static bool
awaits_heir(const struct tablet *t)
{
    const struct tail_entry *next = tail_at(&t->tail, t->applied + 1);

    return next != NULL && next->body.kind == BODY_SPLIT;
}

enum status
tablet_started(struct tablet *t, struct err *err)
{
    tablet__note_durable(t);
    tablet__apply_committed(t);
    if (raft_role(t->raft) == RAFT_LEADER && !tablet__leads(t) && !awaits_heir(t))
        return err_raise(err, ST_NO_MEMORY, "tablet %016llx: its log could not be applied",
                         (unsigned long long)t->id);
    return give_all(t, err); /* the head, with the new ceiling */
}

/* The membership goes into the log at once: until its first entry the tablet has nothing else that says it. */
enum status
tablet_begin(struct tablet *t, struct err *err)
{
    enum status st = create_raft(t);

    t->head.ceiling_ms = tablet_ceiling_ms(t);
    t->serves = true;
    if (st == ST_OK && t->alone)
        st = tablet__step(t, (struct raft_event){ .kind = RAFT_CAMPAIGN }, NULL);
    if (st != ST_OK) {
        raft_destroy(t->raft);
        t->raft = NULL;
        return err_raise(err, st, "tablet %016llx: its group cannot be started (%s)",
                         (unsigned long long)t->id, status_name(st));
    }
    t->head_owed = true;
    tablet__await_log(t);
    (void)tablet__give(t, NULL); /* what there is no room for is owed */
    tablet__mark(t);
    return ST_OK;
}

enum status
tablet_write_now(struct tablet *t, struct entry *entries, size_t count, struct err *err)
{
    struct request r = { .durability = DURABILITY_ALWAYS };
    struct unit u = {
        .t = t,
        .r = &r,
        .writes = entries,
        .write_count = (uint32_t)count,
        .version = version_next(t->version, tablet_now_ms(t, tablet__boot_ns(t))),
    };
    enum status st;

    for (size_t i = 0; i < count; i++)
        entries[i].version = u.version;
    st = tablet__propose_batch(&u, err);
    while (st == ST_BUSY) {
        st = engine_make_room(t->engine, err);
        if (st == ST_OK)
            st = tablet__propose_batch(&u, err);
    }
    if (st != ST_OK)
        return st;
    tail_at(&t->tail, t->tail.limit - 1)->request = NULL;
    st = engine_sync(t->engine, err);
    if (st == ST_OK) {
        tablet__note_durable(t);
        tablet__apply_committed(t);
    }
    return st;
}
