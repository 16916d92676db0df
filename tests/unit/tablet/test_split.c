/*
 * A tablet that leaves a part of its keys to another (tablet/split.c): who has which key, before, meanwhile and after,
 * whatever dies on the way.
 */
#include "base/mem.h"

#include "lsm/lsm.h"
#include "tablet/tablet_internal.h"
#include "unit/tablet/hall.h"
#include "unit/test.h"

enum { T = 70, HEIR = 71, HEIR_OF_HEIR = 73, KEYS = 40, STEP_MS = 20, CUTS_MAX = 400, WRITES = 40 };

enum {
    ANY_CHANGE =
        SIM_OPEN | SIM_WRITE | SIM_SYNC | SIM_RENAME | SIM_LINK | SIM_MAKE_DIR | SIM_SYNC_DIR
};

/* ------------------------------------------------------------------ splitting */

struct order {
    struct hall *h;
    uint32_t node;
    uint64_t id;
    struct split split;
    uint64_t edition;
    enum status status;
};

static void
split_body(void *ctx)
{
    struct order *o = ctx;
    struct tablet *t = hall_tablet(o->h, o->node, o->id);

    o->edition = tablet_scope(t)->edition;
    o->status = tablet_split(t, &o->split);
}

static struct order
order_of(struct hall *h, uint64_t id, uint64_t heir, const char *at)
{
    struct order o = { .h = h, .id = id, .split = { .heir = heir, .kind = SCOPE_KEYS } };

    EXPECT(scope_bound_set(&o.split.at, slice_str(at)));
    return o;
}

/* Until it is in the log of a leader. */
static void
propose(struct order *o)
{
    for (uint32_t ms = 0; ms < HALL_PATIENCE_MS; ms += STEP_MS) {
        o->node = hall_leader(o->h, o->id);
        hall_on_owner(o->h, o->node, o->id, split_body, o);
        if (o->status == ST_OK)
            return;
        EXPECT(o->status == ST_BUSY || o->status == ST_NOT_LEADER);
        sim_run_ms(o->h->w, STEP_MS);
    }
    fail_msg("the split is not begun: %s", status_name(o->status));
}

static void
await_heir(struct hall *h, uint64_t heir, uint32_t nodes)
{
    for (uint32_t ms = 0; ms < HALL_PATIENCE_MS; ms += STEP_MS) {
        uint32_t found = 0;

        for (uint32_t i = 1; i <= nodes; i++)
            found += sim_running(h->w, i) && hall_tablet(h, i, heir) != NULL;
        if (found == nodes)
            return;
        sim_run_ms(h->w, STEP_MS);
    }
    fail_msg("the heir is not everywhere");
}

static void
split(struct hall *h, uint64_t id, uint64_t heir, const char *at, uint32_t nodes)
{
    struct order o = order_of(h, id, heir, at);

    propose(&o);
    await_heir(h, heir, nodes);
}

/* ------------------------------------------------------------------ keys */

static void
key_of(uint32_t i, char out[8])
{
    snprintf(out, 8, "k%02u", i);
}

static enum status
try_put(struct hall *h, uint64_t id, const char *key, const char *value)
{
    enum status st = ST_NOT_LEADER;

    for (uint32_t ms = 0; ms < HALL_PATIENCE_MS && (st == ST_NOT_LEADER || st == ST_TIMEOUT);
         ms += STEP_MS) {
        st = hall_put(h, hall_leader(h, id), id, key, value);
        sim_run_ms(h->w, STEP_MS);
    }
    return st;
}

static enum status
try_get(struct hall *h, uint64_t id, const char *key)
{
    enum status st = ST_NOT_LEADER;

    for (uint32_t ms = 0; ms < HALL_PATIENCE_MS && (st == ST_NOT_LEADER || st == ST_TIMEOUT);
         ms += STEP_MS) {
        st = hall_get(h, hall_leader(h, id), 0, id, key);
        if (st != ST_OK)
            sim_run_ms(h->w, STEP_MS);
    }
    return st;
}

static void
fill(struct hall *h, uint64_t id, uint32_t from, uint32_t limit)
{
    char key[8];

    for (uint32_t i = from; i < limit; i++) {
        key_of(i, key);
        EXPECT_OK(try_put(h, id, key, key));
    }
}

/* Whose it is has the key, and the other does not answer for it. */
static void
expect_shared(struct hall *h, uint64_t lower, uint64_t upper, const char *at)
{
    char key[8];

    for (uint32_t i = 0; i < KEYS; i++) {
        bool above;

        key_of(i, key);
        above = strcmp(key, at) >= 0;
        EXPECT_OK(try_get(h, above ? upper : lower, key));
        EXPECT_STR(h->value, key);
        EXPECT_ST(try_get(h, above ? lower : upper, key), ST_MOVED);
        EXPECT_ST(try_put(h, above ? lower : upper, key, "no"), ST_MOVED);
    }
}

/* What the replica's tree shows, to who looks now. */
struct count {
    struct hall *h;
    uint32_t node;
    uint64_t id;
    uint32_t shown;
    bool compact;
};

static void
count_job(void *ctx)
{
    struct count *c = ctx;
    struct engine *e = c->h->sites[c->node].engine;
    struct engine_tree *tree = engine_find_tree(e, c->id);
    struct lsm_iter_options options = { 0 };
    struct lsm_iter *it;
    struct err err;
    enum status st;

    if (c->compact)
        EXPECT_OK(engine_tree_compact_all(tree, NULL, &err));
    EXPECT_OK(lsm_iter_create(engine_tree_lsm(tree), &options, &it, &err));
    for (st = lsm_iter_first(it, &err); st == ST_OK; st = lsm_iter_next(it, &err)) {
        struct entry entry;

        lsm_iter_entry(it, &entry);
        c->shown += entry.key.data[0] == KEY_USER;
    }
    EXPECT_ST(st, ST_NOT_FOUND);
    lsm_iter_destroy(it);
}

static uint32_t
count_keys(struct hall *h, uint32_t node, uint64_t id, bool compact)
{
    struct count c = { .h = h, .node = node, .id = id, .compact = compact };

    EXPECT(sim_call(h->w, node, count_job, &c));
    return c.shown;
}

static uint64_t
entries_of(struct hall *h, uint32_t node, uint64_t id)
{
    struct lsm_stats stats;

    lsm_stats(tablet_lsm(hall_tablet(h, node, id)), &stats);
    return stats.entries;
}

/* ------------------------------------------------------------------ in peace */

TEST(a_lone_tablet_that_is_split_is_two)
{
    struct hall h;

    hall_create(&h, test_seed(1), 1);
    EXPECT_OK(hall_add(&h, 1, T));
    fill(&h, T, 0, KEYS);
    split(&h, T, HEIR, "k25", 1);
    expect_shared(&h, T, HEIR, "k25");
    EXPECT_U64(count_keys(&h, 1, T, false), 25);
    EXPECT_U64(count_keys(&h, 1, HEIR, false), KEYS - 25);
    hall_reboot(&h, 1);
    expect_shared(&h, T, HEIR, "k25");
    EXPECT_OK(try_put(&h, HEIR, "k99", "new"));
    EXPECT_OK(try_put(&h, T, "k00", "k00"));
    hall_reboot(&h, 1);
    expect_shared(&h, T, HEIR, "k25");
    hall_close(&h, 1);
    hall_destroy(&h);
}

TEST(what_a_tablet_has_left_goes_when_it_is_compacted)
{
    struct hall h;

    hall_create(&h, test_seed(2), 1);
    EXPECT_OK(hall_add(&h, 1, T));
    fill(&h, T, 0, KEYS);
    split(&h, T, HEIR, "k10", 1);
    (void)hall_leader(&h, HEIR);
    EXPECT(entries_of(&h, 1, T) >= KEYS);
    EXPECT_U64(count_keys(&h, 1, T, true), 10);
    EXPECT_U64(count_keys(&h, 1, HEIR, true), KEYS - 10);
    EXPECT_U64(entries_of(&h, 1, T), 10);
    EXPECT_U64(entries_of(&h, 1, HEIR), KEYS - 10);
    expect_shared(&h, T, HEIR, "k10");
    hall_destroy(&h);
}

TEST(three_members_split_and_split_again)
{
    struct hall h;

    hall_create(&h, test_seed(3), 3);
    for (uint32_t i = 1; i <= 3; i++)
        EXPECT_OK(hall_add(&h, i, T));
    fill(&h, T, 0, KEYS);
    split(&h, T, HEIR, "k20", 3);
    expect_shared(&h, T, HEIR, "k20");
    split(&h, HEIR, HEIR_OF_HEIR, "k30", 3);
    EXPECT_ST(try_get(&h, HEIR, "k30"), ST_MOVED);
    EXPECT_OK(try_get(&h, HEIR_OF_HEIR, "k30"));
    EXPECT_OK(try_get(&h, HEIR, "k29"));
    for (uint32_t i = 1; i <= 3; i++)
        hall_reboot(&h, i);
    EXPECT_OK(try_get(&h, HEIR_OF_HEIR, "k30"));
    EXPECT_STR(h.value, "k30");
    EXPECT_OK(try_get(&h, T, "k19"));
    EXPECT_STR(h.value, "k19");
    for (uint32_t i = 1; i <= 3; i++)
        EXPECT_U64(count_keys(&h, i, HEIR, false), 10);
    hall_destroy(&h);
}

TEST(a_half_cannot_be_empty)
{
    struct order o;
    struct hall h;

    hall_create(&h, test_seed(4), 1);
    EXPECT_OK(hall_add(&h, 1, T));
    fill(&h, T, 0, 2);
    split(&h, T, HEIR, "k1", 1);
    o = order_of(&h, T, HEIR_OF_HEIR, "k1");
    o.node = hall_leader(&h, T);
    hall_on_owner(&h, o.node, T, split_body, &o);
    EXPECT_ST(o.status, ST_INVALID);
    o = order_of(&h, HEIR, HEIR_OF_HEIR, "k0");
    o.node = hall_leader(&h, HEIR);
    hall_on_owner(&h, o.node, HEIR, split_body, &o);
    EXPECT_ST(o.status, ST_INVALID);
    o.split.kind = SCOPE_SLOTS;
    hall_on_owner(&h, o.node, HEIR, split_body, &o);
    EXPECT_ST(o.status, ST_INVALID);
    hall_destroy(&h);
}

/* ------------------------------------------------------------------ meanwhile */

TEST(who_knows_the_new_edition_is_served_and_a_clear_needs_it)
{
    struct hall_call c = { .node = 1, .id = T, .clear = true };
    struct hall h;

    hall_create(&h, test_seed(5), 1);
    EXPECT_OK(hall_add(&h, 1, T));
    fill(&h, T, 0, KEYS);
    split(&h, T, HEIR, "k20", 1);
    for (c.edition = 0; c.edition <= 1; c.edition++) {
        hall_send(&h, &c);
        EXPECT(sim_run_until(h.w, &c.done, HALL_PATIENCE_MS));
        EXPECT_ST(c.request.status, c.edition == 0 ? ST_MOVED : ST_OK);
    }
    EXPECT_U64(count_keys(&h, 1, T, false), 0);
    EXPECT_U64(count_keys(&h, 1, HEIR, false), KEYS - 20);
    hall_destroy(&h);
}

TEST(a_member_that_was_away_makes_the_heir_when_it_is_back)
{
    uint32_t away;
    struct hall h;

    hall_create(&h, test_seed(6), 3);
    for (uint32_t i = 1; i <= 3; i++)
        EXPECT_OK(hall_add(&h, i, T));
    fill(&h, T, 0, KEYS / 2);
    away = hall_leader(&h, T) % 3 + 1;
    hall_crash(&h, away);
    fill(&h, T, KEYS / 2, KEYS);
    {
        struct order o = order_of(&h, T, HEIR, "k20");

        propose(&o);
    }
    (void)hall_leader(&h, HEIR);
    EXPECT_OK(try_put(&h, HEIR, "k20", "k20"));
    hall_boot(&h, away);
    await_heir(&h, HEIR, 3);
    sim_run_ms(h.w, 3000);
    EXPECT_U64(count_keys(&h, away, T, false), 20);
    EXPECT_U64(count_keys(&h, away, HEIR, false), KEYS - 20);
    expect_shared(&h, T, HEIR, "k20");
    hall_destroy(&h);
}

/* ------------------------------------------------------------------ whatever dies */

static void
flush_job(void *ctx)
{
    struct count *c = ctx;
    struct err err;

    EXPECT_OK(engine_tree_flush(engine_find_tree(c->h->sites[c->node].engine, c->id), &err));
}

static void
seal_body(void *ctx)
{
    const struct count *c = ctx;

    EXPECT_OK(engine_tree_seal(engine_find_tree(c->h->sites[c->node].engine, c->id)));
}

/* The entry is behind what the files have, as soon as it is applied. */
TEST(a_scope_outlives_the_entry_that_brought_it)
{
    for (uint32_t wait_ms = 0; wait_ms < 40; wait_ms++) {
        struct hall h;
        struct count c = { .h = &h, .node = 1, .id = T };
        struct order o;

        hall_create(&h, test_seed(300 + wait_ms), 1);
        EXPECT_OK(hall_add(&h, 1, T));
        fill(&h, T, 0, KEYS);
        o = order_of(&h, T, HEIR, "k20");
        propose(&o);
        sim_run_ms(h.w, wait_ms);
        hall_on_owner(&h, 1, T, seal_body, &c);
        EXPECT(sim_call(h.w, 1, flush_job, &c));
        hall_reboot(&h, 1);
        if (try_get(&h, T, "k20") == ST_OK) /* the power was cut before its fsync */
            propose(&o);
        await_heir(&h, HEIR, 1);
        expect_shared(&h, T, HEIR, "k20");
        hall_destroy(&h);
    }
}

/* What is written behind the split tells a replay that it is committed. */
static void
write_beside(struct hall *h, uint32_t node, struct hall_call *writes)
{
    for (uint32_t i = 0; i < WRITES; i++) {
        writes[i] = (struct hall_call){ .node = node, .id = T, .key = "k00", .bytes = "k00" };
        if (sim_running(h->w, node))
            hall_send(h, &writes[i]);
        sim_run_ms(h->w, 1);
    }
    sim_run_ms(h->w, 400);
}

/* A split during which one node, its leader or not, loses its power just before or after its `nth` change on the
 * disk. True: so it came. */
static bool
cut_a_split(uint32_t count, uint64_t nth, bool leader)
{
    struct hall h;
    struct order o;
    uint32_t node;
    bool cut;
    static struct hall_call writes[WRITES];

    hall_create(&h, test_seed(200 + nth), count);
    for (uint32_t i = 1; i <= count; i++)
        EXPECT_OK(hall_add(&h, i, T));
    fill(&h, T, 0, KEYS);
    o = order_of(&h, T, HEIR, "k20");
    o.node = hall_leader(&h, T);
    hall_on_owner(&h, o.node, T, split_body, &o); /* that only flushes */
    sim_run_ms(h.w, 100);
    o.node = hall_leader(&h, T);
    node = leader ? o.node : o.node % count + 1;
    sim_crash_at(h.w, node, ANY_CHANGE, nth, nth % 2 == 0);
    hall_on_owner(&h, o.node, T, split_body, &o);
    EXPECT_OK(o.status);
    write_beside(&h, o.node, writes);
    cut = !sim_running(h.w, node);
    if (cut)
        hall_boot(&h, node);
    else
        sim_crash_at(h.w, node, 0, 0, false);
    sim_run_ms(h.w, 1000);
    if (try_get(&h, T, "k20") == ST_OK) /* nobody has the entry */
        propose(&o);
    await_heir(&h, HEIR, count);
    EXPECT_OK(try_put(&h, T, "k00", "k00"));
    expect_shared(&h, T, HEIR, "k20");
    for (uint32_t i = 1; i <= count; i++)
        hall_reboot(&h, i);
    expect_shared(&h, T, HEIR, "k20");
    for (uint32_t i = 1; i <= count; i++)
        EXPECT(raft_config_votes(raft_config(tablet_raft(hall_tablet(&h, i, HEIR))), i));
    hall_destroy(&h);
    return cut;
}

TEST(a_split_outlives_a_power_cut_at_any_point)
{
    for (uint32_t count = 1; count <= 3; count += 2) {
        for (uint32_t leader = 0; leader <= (count > 1); leader++) {
            uint64_t nth = 1;

            while (nth < CUTS_MAX && cut_a_split(count, nth, leader == 0))
                nth++;
            print_message("%u nodes: %llu points\n", count, (unsigned long long)nth);
            EXPECT(nth > 10 && nth < CUTS_MAX);
        }
    }
}

QUIET_TEST_MAIN(RUN(a_lone_tablet_that_is_split_is_two),
                RUN(what_a_tablet_has_left_goes_when_it_is_compacted),
                RUN(three_members_split_and_split_again), RUN(a_half_cannot_be_empty),
                RUN(who_knows_the_new_edition_is_served_and_a_clear_needs_it),
                RUN(a_member_that_was_away_makes_the_heir_when_it_is_back),
                RUN(a_scope_outlives_the_entry_that_brought_it),
                RUN(a_split_outlives_a_power_cut_at_any_point))
