/*
 * From a tablet as its log says that it was (replay.c) to one that takes part in its group.
 */
#include "tablet/tablet_internal.h"

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
    struct engine_oath now = { hard.term, hard.vote, tablet__last_term(t), t->tail.limit - 1 };

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
    enum status st = tablet__take_passed(t);

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
    enum status st = tablet__take_passed(t);

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
