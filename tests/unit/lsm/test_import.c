/* Tests of imports: a tree becomes what another node's checkpoint says. */
#include "lsm/lsm_internal.h"
#include "unit/lsm/shipment.h"

struct leader {
    struct model model;
    struct shipment ship;
};

static void
leader_make(struct leader *l, uint64_t seed)
{
    memset(l, 0, sizeof(*l));
    shipment_make(&l->ship, seed, &l->model);
    EXPECT(l->ship.count > 4);
}

static void
leader_release(struct leader *l)
{
    shipment_release(&l->ship);
    model_release(&l->model);
}

/* A tree of another store that has applied the first `units` of what the leader has. */
static void
follower_open(struct fix *f, uint64_t seed, const struct leader *l, uint32_t units)
{
    fix_init(f, seed);
    f->store_id = 22;
    fix_open(f);
    model_copy(&f->model, &l->model, units);
    for (uint32_t i = 0; i < units; i++)
        fix_apply(f, &f->model.units[i]);
}

static void
follower_import(struct fix *f, const struct leader *l)
{
    EXPECT_OK(shipment_import(&l->ship, f));
    EXPECT_U64(lsm_flushed(f->tree).index, l->ship.mark.index);
    EXPECT_U64(lsm_flushed(f->tree).term, l->ship.mark.term);
    EXPECT_U64(lsm_visible(f->tree), l->ship.mark.version);
    shipment_catch_up(f, &l->model);
}

/* What is in the folder is what the tree has. */
static void
check_files(struct fix *f)
{
    struct lsm_stats stats = fix_stats(f);
    uint32_t tables = 0;

    for (uint32_t level = 0; level < LIMIT_LEVELS; level++)
        tables += stats.tables[level];
    EXPECT_U64(fix_count_files(f, ".sst"), tables);
}

static void
go_on(struct fix *f, struct prng *prng)
{
    for (int i = 0; i < 60; i++) {
        model_add_random(&f->model, prng);
        fix_apply_last(f);
        if (i % 20 == 19)
            fix_flush(f);
    }
    fix_check(f);
    fix_compact(f);
    fix_check(f);
    EXPECT_OK(lsm_compact_all(f->tree, NULL, &f->err));
    EXPECT_OK(lsm_sweep(f->tree, &f->err));
    fix_check(f);
    check_files(f);
    fix_reopen(f);
    fix_check(f);
}

TEST(an_empty_tree_becomes_what_the_leader_has)
{
    struct leader l;
    struct prng prng;
    struct fix f;

    prng_init(&prng, 1);
    leader_make(&l, 1);
    follower_open(&f, 1, &l, 0);
    follower_import(&f, &l);
    fix_check(&f);
    check_files(&f);
    fix_reopen(&f);
    fix_check(&f);
    go_on(&f, &prng);
    fix_close(&f);
    leader_release(&l);
}

/* ------------------------------------------------------------------ equal in every entry */

/* All that a tree shows, as text: of no heap. */
static struct buf
describe(struct fix *f)
{
    struct lsm_iter_options options = { .now_ms = f->model.now_ms };
    struct buf out = buf_empty(4 << 20);
    struct lsm_iter *it;
    enum status st;

    EXPECT_OK(lsm_iter_create(f->tree, &options, &it, &f->err));
    for (st = lsm_iter_first(it, &f->err); st == ST_OK; st = lsm_iter_next(it, &f->err)) {
        struct mem_heap *outer = mem_heap_enter(NULL);
        struct entry e;

        lsm_iter_entry(it, &e);
        EXPECT_OK(buf_printf(&out, "%.*s @%llu expires %llu: ", (int)e.key.size,
                             (const char *)e.key.data, (unsigned long long)e.version,
                             (unsigned long long)e.expiry_ms));
        EXPECT_OK(buf_append(&out, e.value));
        mem_heap_enter(outer);
    }
    EXPECT_ST(st, ST_NOT_FOUND);
    lsm_iter_destroy(it);
    return out;
}

static void
run_jobs(struct fix *f)
{
    static int turn;

    turn++;
    model_write(model_add(&f->model, false), (uint32_t)turn % MODEL_KEYS, 200, 0);
    fix_apply_last(f);
    fix_flush(f);
    if (turn % 3 == 0)
        fix_compact(f);
    if (turn % 7 == 0)
        EXPECT_OK(lsm_compact_all(f->tree, NULL, &f->err));
    EXPECT_OK(lsm_sweep(f->tree, &f->err));
}

/* The leader writes, flushes, compacts and deletes files between any two pieces. */
TEST(a_busy_leader_sends_what_it_had)
{
    static struct shipment s;
    struct lsm_checkpoint *c;
    struct buf want, got;
    struct prng prng;
    struct fix leader, f;

    prng_init(&prng, 2);
    fix_init(&leader, 2);
    leader.store_id = 11;
    leader.options.table_bytes = 4000;
    leader.options.level_base_bytes = 6000;
    fix_open(&leader);
    for (int i = 0; i < 200; i++) {
        model_add_random(&leader.model, &prng);
        fix_apply_last(&leader);
        if (i % 15 == 14)
            fix_flush(&leader);
        if (i % 60 == 59)
            fix_compact(&leader);
    }
    fix_flush(&leader);
    want = describe(&leader);
    EXPECT_OK(lsm_checkpoint_take(leader.tree, &c));
    EXPECT(lsm_checkpoint_table_count(c) > 4);
    shipment_read(&s, c, run_jobs, &leader);
    lsm_checkpoint_release(c);
    EXPECT(leader.model.count > s.mark.index);
    fix_check(&leader);

    fix_leave(&leader);
    fix_init(&f, 3);
    f.store_id = 22;
    fix_open(&f);
    EXPECT_OK(shipment_import(&s, &f));
    f.model.now_ms = leader.model.now_ms;
    got = describe(&f);
    EXPECT(want.size > 3000 && slice_equal(buf_slice(&want), buf_slice(&got)));
    buf_release(&got);
    shipment_catch_up(&f, &leader.model);
    fix_check(&f);
    fix_close(&f);

    fix_enter(&leader);
    buf_release(&want);
    fix_close(&leader);
    shipment_release(&s);
}

/* ------------------------------------------------------------------ what was there before */

TEST(nothing_stays_of_what_the_follower_had)
{
    struct leader l;
    struct prng prng;
    uint64_t generation;
    struct fix f;

    prng_init(&prng, 3);
    leader_make(&l, 3);
    follower_open(&f, 3, &l, 40);
    fix_flush(&f);
    for (uint32_t i = 40; i < 80; i++) {
        *model_add(&f.model, false) = l.model.units[i];
        fix_apply_last(&f);
        if (i % 10 == 0)
            EXPECT_OK(lsm_switch(f.tree)); /* sealed, and not flushed */
    }
    fix_check(&f); /* the record cache is full of it */
    generation = lsm_generation(f.tree);
    follower_import(&f, &l);
    EXPECT(lsm_generation(f.tree) != generation);
    EXPECT(!lsm_flush_due(f.tree));
    EXPECT_U64(fix_stats(&f).memtable_bytes, 0);
    fix_check(&f);
    fix_check(&f); /* from the record cache, which knows only what is new */
    EXPECT_OK(lsm_sweep(f.tree, &f.err));
    check_files(&f);
    go_on(&f, &prng);
    fix_close(&f);
    leader_release(&l);
}

TEST(a_pending_clear_is_replaced_too)
{
    struct leader l;
    struct fix f;

    leader_make(&l, 4);
    follower_open(&f, 4, &l, 40);
    fix_flush(&f);
    f.model.units[39].clear = true;
    f.model.units[39].count = 0;
    model_add(&f.model, true)->mark = l.model.units[40].mark;
    fix_apply_last(&f);
    EXPECT(lsm_flush_due(f.tree));
    follower_import(&f, &l);
    EXPECT(!lsm_flush_due(f.tree));
    EXPECT_OK(lsm_flush(f.tree, &f.err));
    fix_check(&f);
    fix_reopen(&f);
    fix_check(&f);
    fix_close(&f);
    leader_release(&l);
}

TEST(snapshots_and_iterators_keep_what_they_saw)
{
    struct lsm_iter_options options = { 0 };
    struct lsm_snapshot *before, *after;
    struct lsm_iter *it;
    struct model old = { 0 };
    struct prng prng;
    struct leader l;
    struct entry e;
    struct fix f;
    enum status st;
    uint64_t seen = 1;

    prng_init(&prng, 5);
    leader_make(&l, 5);
    follower_open(&f, 5, &l, 60);
    fix_flush(&f);
    fix_check(&f);
    before = lsm_snapshot_take(f.tree);
    EXPECT_OK(lsm_iter_create(f.tree, &options, &it, &f.err));
    EXPECT_OK(lsm_iter_first(it, &f.err));
    EXPECT_OK(shipment_import(&l.ship, &f));
    model_copy(&old, &f.model, f.model.count);
    after = lsm_snapshot_take(f.tree);
    EXPECT_OK(lsm_sweep(f.tree, &f.err));
    fix_check_keys(&f, lsm_snapshot_version(before));
    fix_check_iter(&f, before, &prng);
    while ((st = lsm_iter_next(it, &f.err)) == ST_OK) {
        lsm_iter_entry(it, &e);
        EXPECT(e.version <= lsm_snapshot_version(before));
        seen++;
    }
    EXPECT_ST(st, ST_NOT_FOUND);
    EXPECT(seen > 5);
    lsm_iter_destroy(it);

    shipment_catch_up(&f, &l.model);
    fix_put(&f, 1, 10);
    fix_put(&f, 2, 10);
    fix_flush(&f);
    fix_check_keys(&f, lsm_snapshot_version(after));
    fix_check_iter(&f, after, &prng);
    lsm_snapshot_release(f.tree, before);
    lsm_snapshot_release(f.tree, after);
    EXPECT_OK(lsm_sweep(f.tree, &f.err));
    fix_check(&f);
    check_files(&f);
    model_release(&old);
    fix_close(&f);
    leader_release(&l);
}

/* ------------------------------------------------------------------ jobs under way */

struct race {
    struct job job;
    struct fix *f;
    const struct shipment *s;
    enum status (*run)(struct race *r);
    bool over;
    enum status st;
};

static enum status
race_flush(struct race *r)
{
    struct err err;

    return lsm_flush(r->f->tree, &err);
}

static enum status
race_compact(struct race *r)
{
    struct err err;

    return lsm_compact_all(r->f->tree, NULL, &err);
}

static enum status
race_import(struct race *r)
{
    return shipment_import(r->s, r->f);
}

static void
run_race(struct job *job)
{
    struct race *r = container_of(job, struct race, job);

    r->st = r->run(r);
    r->over = true;
}

static void
race_begin(struct race *r, enum env_lane lane)
{
    r->job.run = run_race;
    env_submit(r->f->env, lane, &r->job);
}

/* A flush and a compaction begin before, in, and after the import, as the seed has it. */
static void
race_once(const struct leader *l, uint64_t seed)
{
    struct fix f;
    struct race flush = { .f = &f, .run = race_flush };
    struct race compact = { .f = &f, .run = race_compact };
    struct race import = { .f = &f, .run = race_import, .s = &l->ship };
    struct prng prng;

    prng_init(&prng, seed);
    follower_open(&f, seed, l, 60);
    fix_flush(&f);
    for (uint32_t i = 60; i < 100; i++) {
        *model_add(&f.model, false) = l->model.units[i];
        fix_apply_last(&f);
        if (i % 20 == 10)
            EXPECT_OK(lsm_switch(f.tree));
    }
    sim_set_disk_latency_us(f.world, NODE, 1000);
    race_begin(&import, ENV_LANE_READ);
    sim_run_ms(f.world, prng_below(&prng, 120));
    race_begin(&flush, ENV_LANE_FLUSH);
    race_begin(&compact, ENV_LANE_COMPACT);
    EXPECT(sim_run_until(f.world, &import.over, 100000));
    EXPECT(sim_run_until(f.world, &flush.over, 100000));
    EXPECT(sim_run_until(f.world, &compact.over, 100000));
    EXPECT_OK(import.st);
    EXPECT_OK(flush.st);
    EXPECT_OK(compact.st);
    shipment_catch_up(&f, &l->model);
    EXPECT_U64(lsm_sealed_count(f.tree), 0);
    fix_check(&f);
    EXPECT_OK(lsm_sweep(f.tree, &f.err));
    check_files(&f);
    fix_reopen(&f);
    EXPECT_U64(lsm_flushed(f.tree).index, l->ship.mark.index);
    fix_check(&f);
    fix_close(&f);
}

TEST(a_flush_or_a_compaction_under_way_brings_nothing_back)
{
    struct leader l;

    leader_make(&l, 6);
    for (uint64_t seed = 1; seed <= 60; seed++)
        race_once(&l, seed);
    leader_release(&l);
}

/* ------------------------------------------------------------------ the transfer */

TEST(a_wrong_piece_is_refused_and_harms_nothing)
{
    static const uint8_t junk[16];
    struct lsm_import *i;
    struct lsm_piece at;
    struct leader l;
    struct fix f;
    struct slice some = slice_of(junk, sizeof(junk));
    const struct buf *file;

    leader_make(&l, 7);
    follower_open(&f, 7, &l, 0);
    EXPECT_OK(shipment_begin(&l.ship, &f, &i));
    file = &l.ship.files[0];
    EXPECT_ST(lsm_import_write(i, 0, 1, some, &f.err), ST_INVALID);
    EXPECT_OK(lsm_import_write(i, 0, 0, slice_of(file->data, 100), &f.err));
    EXPECT_ST(lsm_import_finish(i, &f.err), ST_INVALID);
    EXPECT_ST(lsm_import_write(i, 0, 0, some, &f.err), ST_INVALID);
    EXPECT_ST(lsm_import_write(i, 0, 101, some, &f.err), ST_INVALID);
    EXPECT_ST(lsm_import_write(i, 1, 100, some, &f.err), ST_INVALID);
    EXPECT_ST(lsm_import_write(i, l.ship.count, 0, some, &f.err), ST_INVALID);
    EXPECT_ST(lsm_import_write(i, 0, 100, slice_of(junk, 0), &f.err), ST_INVALID);
    EXPECT_ST(lsm_import_write(i, 0, 100, slice_of(file->data, file->size - 99), &f.err),
              ST_INVALID);
    EXPECT(lsm_import_wanted(i, 50, &at));
    EXPECT_U64(at.table, 0);
    EXPECT_U64(at.offset, 100);
    EXPECT_U64(at.size, 50);
    EXPECT_U64(lsm_import_received_bytes(i), 100);
    EXPECT_OK(shipment_deliver(&l.ship, i, NULL, &f.err));
    EXPECT(!lsm_import_wanted(i, 50, &at));
    EXPECT_U64(lsm_import_received_bytes(i), lsm_import_file_bytes(i));
    EXPECT_ST(lsm_import_write(i, l.ship.count - 1, 0, some, &f.err), ST_INVALID);
    EXPECT_OK(lsm_import_finish(i, &f.err));
    EXPECT_OK(lsm_import_install(i, &f.err));
    shipment_catch_up(&f, &l.model);
    fix_check(&f);
    fix_close(&f);
    leader_release(&l);
}

/* The connection is lost again and again; the sender may be another node each time. */
TEST(a_transfer_goes_on_where_it_stopped)
{
    struct lsm_import *i;
    struct lsm_piece at;
    struct leader l;
    struct prng prng;
    struct fix f;
    uint64_t sent = 0;

    prng_init(&prng, 8);
    leader_make(&l, 8);
    follower_open(&f, 8, &l, 10);
    EXPECT_OK(shipment_begin(&l.ship, &f, &i));
    while (lsm_import_wanted(i, 1 + (uint32_t)prng_below(&prng, PIECE_BYTES), &at)) {
        const uint8_t *bytes = l.ship.files[at.table].data + at.offset;

        if (prng_chance(&prng, 1, 3))
            continue; /* lost on its way */
        EXPECT_OK(lsm_import_write(i, at.table, at.offset, slice_of(bytes, at.size), &f.err));
        sent += at.size;
        fix_check_key(&f, (uint32_t)prng_below(&prng, MODEL_KEYS), VERSION_MAX);
    }
    EXPECT_U64(sent, lsm_import_file_bytes(i));
    EXPECT_OK(lsm_import_finish(i, &f.err));
    EXPECT_OK(lsm_import_install(i, &f.err));
    shipment_catch_up(&f, &l.model);
    fix_check(&f);
    fix_close(&f);
    leader_release(&l);
}

TEST(a_flipped_bit_in_a_piece_is_found_and_the_table_is_wanted_again)
{
    struct lsm_import *i;
    struct leader l;
    struct prng prng;
    struct fix f;
    char text[80];

    prng_init(&prng, 9);
    leader_make(&l, 9);
    follower_open(&f, 9, &l, 0);
    EXPECT_OK(shipment_begin(&l.ship, &f, &i));
    for (uint32_t table = 0; table < l.ship.count; table++) {
        struct buf *file = &l.ship.files[table];
        uint64_t at = prng_below(&prng, file->size);
        struct lsm_piece wanted;

        file->data[at] ^= (uint8_t)(1 << prng_below(&prng, 8));
        EXPECT_ST(shipment_deliver(&l.ship, i, &prng, &f.err), ST_CORRUPT);
        snprintf(text, sizeof(text), "as table %u of a checkpoint", table);
        EXPECT(strstr(f.err.text, text) != NULL && strstr(f.err.text, ".sst") != NULL);
        EXPECT(lsm_import_wanted(i, 1, &wanted));
        EXPECT_U64(wanted.table, table);
        EXPECT_U64(wanted.offset, 0);
        EXPECT_U64(fix_count_files(&f, ".sst"), table);
        shipment_release(&l.ship);
        model_release(&l.model);
        leader_make(&l, 9); /* the same, intact */
    }
    EXPECT_OK(shipment_deliver(&l.ship, i, NULL, &f.err));
    EXPECT_OK(lsm_import_finish(i, &f.err));
    EXPECT_OK(lsm_import_install(i, &f.err));
    shipment_catch_up(&f, &l.model);
    fix_check(&f);
    fix_close(&f);
    leader_release(&l);
}

TEST(an_import_that_is_given_up_leaves_nothing)
{
    struct lsm_import *i;
    struct leader l;
    struct fix f;

    leader_make(&l, 10);
    follower_open(&f, 10, &l, 20);
    fix_flush(&f);
    EXPECT_OK(shipment_begin(&l.ship, &f, &i));
    lsm_import_abort(i);
    EXPECT_OK(shipment_begin(&l.ship, &f, &i));
    EXPECT_OK(lsm_import_write(i, 0, 0, slice_of(l.ship.files[0].data, 9), &f.err));
    EXPECT_U64(fix_count_files(&f, ".sst"), 2);
    lsm_import_abort(i);
    EXPECT_OK(shipment_begin(&l.ship, &f, &i));
    EXPECT_OK(shipment_deliver(&l.ship, i, NULL, &f.err));
    EXPECT_OK(lsm_import_finish(i, &f.err));
    EXPECT_U64(fix_count_files(&f, ".sst"), 1 + l.ship.count);
    lsm_import_abort(i);
    lsm_import_abort(NULL);
    check_files(&f);
    fix_check(&f);
    fix_close(&f);
    leader_release(&l);
}

TEST(a_checkpoint_of_the_past_is_refused)
{
    struct leader l;
    struct fix f;

    leader_make(&l, 11);
    follower_open(&f, 11, &l, l.model.count);
    fix_put(&f, 1, 10);
    EXPECT_ST(shipment_import(&l.ship, &f), ST_INVALID);
    fix_check(&f);
    EXPECT_U64(fix_count_files(&f, ".sst"), 0);
    fix_close(&f);
    leader_release(&l);
}

TEST(an_empty_checkpoint_empties_a_tree)
{
    static struct shipment s;
    struct fix leader, f;

    fix_init(&leader, 12);
    fix_open(&leader);
    fix_put(&leader, 1, 10);
    fix_clear(&leader);
    fix_flush(&leader);
    shipment_take(&s, &leader);
    EXPECT_U64(s.count, 0);
    fix_close(&leader);
    fix_init(&f, 12);
    fix_open(&f);
    fix_put(&f, 1, 10);
    fix_flush(&f);
    EXPECT_OK(shipment_import(&s, &f));
    EXPECT_U64(fix_stats(&f).entries, 0);
    EXPECT_OK(lsm_sweep(f.tree, &f.err));
    EXPECT_U64(fix_count_files(&f, ".sst"), 0);
    fix_reopen(&f);
    EXPECT_U64(lsm_flushed(f.tree).index, 2);
    EXPECT_U64(fix_stats(&f).entries, 0);
    fix_close(&f);
    shipment_release(&s);
}

/* What was imported can be sent on: its files are the same bytes. */
TEST(a_follower_sends_what_it_was_sent)
{
    static struct shipment again;
    struct leader l;
    struct fix f;

    leader_make(&l, 13);
    follower_open(&f, 13, &l, 0);
    EXPECT_OK(shipment_import(&l.ship, &f));
    shipment_take(&again, &f);
    EXPECT_U64(again.count, l.ship.count);
    for (uint32_t i = 0; i < again.count; i++)
        EXPECT(slice_equal(buf_slice(&again.files[i]), buf_slice(&l.ship.files[i])));
    fix_close(&f);
    follower_open(&f, 14, &l, 30);
    EXPECT_OK(shipment_import(&again, &f));
    shipment_catch_up(&f, &l.model);
    fix_check(&f);
    fix_close(&f);
    shipment_release(&again);
    leader_release(&l);
}

QUIET_TEST_MAIN(RUN(an_empty_tree_becomes_what_the_leader_has),
                RUN(a_busy_leader_sends_what_it_had), RUN(nothing_stays_of_what_the_follower_had),
                RUN(a_pending_clear_is_replaced_too),
                RUN(snapshots_and_iterators_keep_what_they_saw),
                RUN(a_flush_or_a_compaction_under_way_brings_nothing_back),
                RUN(a_wrong_piece_is_refused_and_harms_nothing),
                RUN(a_transfer_goes_on_where_it_stopped),
                RUN(a_flipped_bit_in_a_piece_is_found_and_the_table_is_wanted_again),
                RUN(an_import_that_is_given_up_leaves_nothing),
                RUN(a_checkpoint_of_the_past_is_refused), RUN(an_empty_checkpoint_empties_a_tree),
                RUN(a_follower_sends_what_it_was_sent))
