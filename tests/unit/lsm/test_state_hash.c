/*
 * Tests of lsm/state_hash.c: what must not change the number does not, whatever else does, does.
 *
 * The number that is expected comes from the model, its bytes put together the naive way.
 */
#include "base/coding.h"
#include "base/hash.h"

#include "lsm/state_hash.h"
#include "unit/lsm/shipment.h"

enum { FORMAT = 1 };

static enum status
no_pause(void *ctx)
{
    (void)ctx;
    return ST_OK;
}

static struct state_hash
hash_of(struct fix *f, const struct lsm_snapshot *s)
{
    struct state_hash h;

    EXPECT_OK(lsm_state_hash(f->tree, s, no_pause, NULL, &h, &f->err));
    EXPECT_U64(h.version, lsm_snapshot_version(s));
    return h;
}

static struct state_hash
hash_now(struct fix *f)
{
    struct lsm_snapshot *s = lsm_snapshot_take(f->tree);
    struct state_hash h = hash_of(f, s);

    lsm_snapshot_release(f->tree, s);
    return h;
}

static bool
same(struct state_hash a, struct state_hash b)
{
    return a.version == b.version && a.count == b.count && a.hash == b.hash;
}

/* ------------------------------------------------------------------ the naive way */

static uint8_t *
put_record(uint8_t *at, const struct entry *e)
{
    put_u32le(at, (uint32_t)e->key.size);
    put_u32le(at + 4, (uint32_t)e->value.size);
    put_u64le(at + 8, e->version);
    put_u64le(at + 16, e->expiry_ms);
    memcpy(at + 24, e->key.data, e->key.size);
    if (e->value.size > 0)
        memcpy(at + 24 + e->key.size, e->value.data, e->value.size);
    return at + 24 + e->key.size + e->value.size;
}

/* Of the model's units up to the version. */
static struct state_hash
hash_of_model(struct model *m, version_t version)
{
    static uint8_t bytes[MODEL_KEYS * (24 + MODEL_KEY_BYTES + MODEL_VALUE_BYTES)];
    static uint8_t value[MODEL_VALUE_BYTES];
    struct state_hash h = { .version = version };
    uint64_t now_ms = m->now_ms;
    uint8_t *at = bytes;

    m->now_ms = version_unix_ms(version);
    for (uint32_t key = 0; key < MODEL_KEYS; key++) {
        struct model_found found = model_find(m, key, version);
        char room[MODEL_KEY_BYTES];
        struct entry e = { .version = found.version, .expiry_ms = found.write.expiry_ms };

        if (!model_is_alive(m, &found))
            continue;
        e.key = model_key(key, room);
        e.value = model_value(&found, value);
        at = put_record(at, &e);
        h.count++;
    }
    m->now_ms = now_ms;
    h.hash = hash64_seeded(slice_of(bytes, (size_t)(at - bytes)), FORMAT);
    return h;
}

static void
check(struct fix *f)
{
    EXPECT(same(hash_now(f), hash_of_model(&f->model, model_last_version(&f->model))));
}

/* ------------------------------------------------------------------ what does not matter */

static void
step(struct fix *f, struct prng *prng)
{
    switch (prng_below(prng, 12)) {
    case 0:
        fix_pass_time(f, prng_below(prng, 700));
        break;
    case 1:
        fix_flush(f);
        break;
    case 2:
        fix_compact(f);
        break;
    case 3:
        EXPECT_OK(lsm_compact_all(f->tree, NULL, &f->err));
        break;
    case 4:
        if (prng_chance(prng, 1, 8))
            fix_clear(f);
        break;
    default:
        model_add_random(&f->model, prng);
        fix_apply_last(f);
    }
}

/* H1..H5 */
TEST(the_number_is_the_models_whatever_happened_to_the_files)
{
    uint64_t seed = test_seed(1);
    struct prng prng;
    struct fix f;

    for (uint64_t life = 0; life < 5; life++) {
        prng_init(&prng, seed + life);
        fix_init(&f, seed + life);
        fix_open(&f);
        for (int i = 0; i < 400; i++) {
            if (prng_chance(&prng, 1, 12))
                fix_reopen(&f);
            step(&f, &prng);
            check(&f);
        }
        fix_close(&f);
    }
}

/* H3, T11: of an older moment, too, and through clears. */
TEST(a_snapshot_keeps_its_number)
{
    enum { SNAPSHOTS = 6 };
    struct lsm_snapshot *s[SNAPSHOTS];
    uint64_t seed = test_seed(2);
    struct prng prng;
    struct fix f;

    prng_init(&prng, seed);
    fix_init(&f, seed);
    fix_open(&f);
    for (int i = 0; i < SNAPSHOTS; i++) {
        for (int j = 0; j < 60; j++)
            step(&f, &prng);
        s[i] = lsm_snapshot_take(f.tree);
    }
    fix_pass_time(&f, 2000);
    fix_flush(&f);
    EXPECT_OK(lsm_compact_all(f.tree, NULL, &f.err));
    fix_clear(&f);
    for (int i = 0; i < SNAPSHOTS; i++) {
        version_t version = lsm_snapshot_version(s[i]);

        EXPECT(same(hash_of(&f, s[i]), hash_of_model(&f.model, version)));
        lsm_snapshot_release(f.tree, s[i]);
    }
    fix_close(&f);
}

/* The log lost its end; the tables know how far they reach (T11). */
TEST(a_tree_without_the_end_of_its_log_has_the_number_of_its_mark)
{
    uint64_t seed = test_seed(3);
    struct prng prng;
    struct fix f;

    prng_init(&prng, seed);
    fix_init(&f, seed);
    fix_open(&f);
    for (int i = 0; i < 300; i++)
        step(&f, &prng);
    fix_flush(&f);
    for (int i = 0; i < 5; i++) {
        fix_pass_time(&f, 400);
        fix_put(&f, 1, 10);
        EXPECT_OK(lsm_compact_all(f.tree, NULL, &f.err));
    }
    f.model.count = (uint32_t)lsm_flushed(f.tree).index;
    fix_reopen(&f);
    check(&f);
    fix_close(&f);
}

/* H1.  The last entry of the log before the mark is one without records. */
TEST(the_moment_is_the_same_before_and_behind_a_mark)
{
    struct state_hash before, after;
    struct lsm_mark end;
    struct fix f;

    fix_init(&f, 8);
    fix_open(&f);
    model_write(model_add(&f.model, false), 1, 50, f.model.now_ms + 500);
    fix_apply_last(&f);
    EXPECT_U64(hash_now(&f).count, 1);
    end = (struct lsm_mark){ 2, 1, version_at(f.model.now_ms + 500) };
    lsm_advance(f.tree, &end);
    before = hash_now(&f);
    EXPECT_U64(before.count, 0);
    fix_flush(&f);
    fix_reopen(&f);
    after = hash_now(&f);
    EXPECT(same(before, after));
    fix_close(&f);
}

TEST(a_copy_has_the_number_of_what_it_was_copied_from)
{
    struct shipment s;
    struct model model;
    struct fix f;

    model_init(&model);
    shipment_make(&s, test_seed(4), &model);
    fix_init(&f, 9);
    f.store_id = 22;
    fix_open(&f);
    fix_put(&f, 3, 10);
    EXPECT_OK(shipment_import(&s, &f));
    shipment_catch_up(&f, &model);
    EXPECT_U64(lsm_visible(f.tree), s.mark.version);
    check(&f);
    fix_flush(&f);
    EXPECT_OK(lsm_compact_all(f.tree, NULL, &f.err));
    check(&f);
    fix_close(&f);
    model_release(&model);
    shipment_release(&s);
}

/* ------------------------------------------------------------------ what matters */

/* The number of a tree with this one record, at a moment that is always the same. */
static struct state_hash
hash_with(const struct entry *e)
{
    struct lsm_mark mark = { .index = 1, .term = 1, .version = e->version };
    struct lsm_mark end = { .index = 2, .term = 1, .version = version_at(1800000000000) };
    struct state_hash h;
    struct fix f;

    fix_init(&f, 5);
    fix_open(&f);
    EXPECT_OK(lsm_apply(f.tree, e, 1, &mark));
    lsm_advance(f.tree, &end);
    h = hash_now(&f);
    fix_close(&f);
    return h;
}

static const struct entry sample = { .key = { (const uint8_t *)"ukey", 4 },
                                     .value = { (const uint8_t *)"value", 5 },
                                     .version = 7,
                                     .expiry_ms = 1800000000001,
                                     .type = ENTRY_VALUE };

/* H6, H7: kind, key, value, version and expiry, by the least that they can differ. */
TEST(the_least_difference_shows)
{
    struct entry other[] = { sample, sample, sample, sample, sample, sample };
    struct state_hash want = hash_with(&sample);

    other[0].key = slice_str("rkey");
    other[1].key = slice_str("ukex");
    other[2].value = slice_str("valuf");
    other[3].version++;
    other[4].expiry_ms++;
    other[5].key = slice_str("ukeyv"); /* the same bytes, cut elsewhere */
    other[5].value = slice_str("alue");
    EXPECT_U64(want.count, 1);
    for (size_t i = 0; i < sizeof(other) / sizeof(other[0]); i++) {
        struct state_hash h = hash_with(&other[i]);

        EXPECT_U64(h.version, want.version);
        EXPECT_U64(h.count, 1);
        EXPECT(h.hash != want.hash);
    }
}

/* H2: at the millisecond of the version it has expired. */
TEST(what_is_dead_counts_as_little_as_what_is_not_there)
{
    struct entry dead = sample;
    struct entry deleted = { .key = sample.key, .version = 7, .type = ENTRY_TOMBSTONE };

    dead.expiry_ms--;
    EXPECT_U64(hash_with(&dead).count, 0);
    EXPECT(same(hash_with(&dead), hash_with(&deleted)));
}

/* H7.  Members may run different programs on different machines. */
TEST(the_number_is_the_same_on_every_machine)
{
    EXPECT_U64(hash_with(&sample).hash, UINT64_C(0x869b82903fb750e6));
}

/* ------------------------------------------------------------------ the job */

struct pauses {
    uint32_t count;
    uint32_t limit; /* then it gives up */
};

static enum status
count_pause(void *ctx)
{
    struct pauses *p = ctx;

    return ++p->count < p->limit ? ST_OK : ST_CLOSED;
}

static void
fill(struct fix *f)
{
    for (uint32_t key = 0; key < MODEL_KEYS; key++)
        fix_put(f, key, MODEL_VALUE_BYTES);
    fix_flush(f);
    for (uint32_t key = 0; key < MODEL_KEYS; key += 3)
        fix_put(f, key, MODEL_VALUE_BYTES);
}

/* Three pieces, a little larger than half the bytes between two pauses. */
static void
put_large(struct fix *f)
{
    static const uint8_t value[600 << 10];
    struct entry e = { .value = { value, sizeof(value) }, .type = ENTRY_VALUE };

    for (uint64_t i = 1; i <= 3; i++) {
        struct lsm_mark mark = { .index = i, .term = 1, .version = i };
        uint8_t key = (uint8_t)i;

        e.key = slice_of(&key, 1);
        e.version = i;
        EXPECT_OK(lsm_apply(f->tree, &e, 1, &mark));
    }
}

TEST(a_walk_pauses_every_megabyte_and_can_be_given_up)
{
    struct state_hash h = { .hash = 77 };
    struct pauses p = { .limit = 1 };
    struct lsm_snapshot *s;
    struct fix f;

    fix_init(&f, 6);
    fix_open(&f);
    put_large(&f);
    s = lsm_snapshot_take(f.tree);
    EXPECT_ST(lsm_state_hash(f.tree, s, count_pause, &p, &h, &f.err), ST_CLOSED);
    EXPECT_U64(h.hash, 77);
    p = (struct pauses){ .limit = 9 };
    EXPECT_OK(lsm_state_hash(f.tree, s, count_pause, &p, &h, &f.err));
    EXPECT_U64(p.count, 1);
    EXPECT_U64(h.count, 3);
    lsm_snapshot_release(f.tree, s);
    fix_close(&f);
}

TEST(a_walk_survives_the_failure_of_everything)
{
    struct lsm_snapshot *s;
    struct mem_heap *heap;
    struct state_hash want, h;
    uint64_t failures = 0;
    enum status st;
    struct fix f;

    fix_init(&f, 7);
    fix_open(&f);
    fill(&f);
    s = lsm_snapshot_take(f.tree);
    heap = sim_heap(f.world, NODE);
    want = hash_of_model(&f.model, model_last_version(&f.model));
    do {
        heap->fail_at = heap->allocation + ++failures;
        st = lsm_state_hash(f.tree, s, no_pause, NULL, &h, &f.err);
        EXPECT(st == ST_OK ? same(h, want) : st == ST_NO_MEMORY);
    } while (heap->allocation >= heap->fail_at);
    heap->fail_at = 0;
    EXPECT(failures > 5);
    sim_fail(f.world, NODE, SIM_READ, 1, true, ST_IO);
    EXPECT_ST(lsm_state_hash(f.tree, s, no_pause, NULL, &h, &f.err), ST_IO);
    sim_fail(f.world, NODE, 0, 0, false, ST_IO);
    EXPECT(same(hash_of(&f, s), want));
    lsm_snapshot_release(f.tree, s);
    fix_close(&f);
}

TEST_MAIN(RUN(the_number_is_the_models_whatever_happened_to_the_files),
          RUN(a_snapshot_keeps_its_number),
          RUN(a_tree_without_the_end_of_its_log_has_the_number_of_its_mark),
          RUN(the_moment_is_the_same_before_and_behind_a_mark),
          RUN(a_copy_has_the_number_of_what_it_was_copied_from), RUN(the_least_difference_shows),
          RUN(what_is_dead_counts_as_little_as_what_is_not_there),
          RUN(the_number_is_the_same_on_every_machine),
          RUN(a_walk_pauses_every_megabyte_and_can_be_given_up),
          RUN(a_walk_survives_the_failure_of_everything))
