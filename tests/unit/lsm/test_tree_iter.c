/* Tests of the user's iterator. */
#include "unit/lsm/tree_fixture.h"

static struct lsm_iter *
iterate(struct fix *f)
{
    struct lsm_iter_options options = { .now_ms = f->model.now_ms, .fill_cache = true };
    struct lsm_iter *it;

    EXPECT_OK(lsm_iter_create(f->tree, &options, &it, &f->err));
    return it;
}

TEST(an_empty_tree_has_no_first_and_no_last)
{
    char room[MODEL_KEY_BYTES];
    struct lsm_iter *it;
    struct fix f;

    fix_init(&f, 1);
    fix_open(&f);
    it = iterate(&f);
    EXPECT_ST(lsm_iter_first(it, &f.err), ST_NOT_FOUND);
    EXPECT_ST(lsm_iter_last(it, &f.err), ST_NOT_FOUND);
    EXPECT_ST(lsm_iter_seek(it, model_key(3, room), &f.err), ST_NOT_FOUND);
    EXPECT_ST(lsm_iter_seek_before(it, model_key(3, room), &f.err), ST_NOT_FOUND);
    lsm_iter_destroy(it);
    lsm_iter_destroy(NULL);
    fix_close(&f);
}

TEST(an_iterator_shows_the_newest_version_of_each_living_key)
{
    struct prng prng;
    struct fix f;

    prng_init(&prng, 2);
    fix_init(&f, 2);
    fix_open(&f);
    for (int place = 0; place < 4; place++) { /* spread over tables and memtable */
        for (uint32_t key = 0; key < MODEL_KEYS; key += (uint32_t)place + 2)
            fix_put(&f, key, 40);
        for (uint32_t key = (uint32_t)place; key < MODEL_KEYS; key += 7)
            fix_delete(&f, key);
        fix_check_iter(&f, NULL, &prng);
        if (place < 3)
            fix_flush(&f);
    }
    fix_compact(&f);
    fix_check_iter(&f, NULL, &prng);
    fix_close(&f);
}

TEST(an_iterator_does_not_see_what_comes_after_it)
{
    struct lsm_iter *it;
    struct entry e;
    struct fix f;

    fix_init(&f, 3);
    fix_open(&f);
    fix_put(&f, 1, 10);
    fix_put(&f, 3, 10);
    it = iterate(&f);
    fix_put(&f, 0, 10);
    fix_put(&f, 1, 20);
    fix_put(&f, 2, 10);
    fix_delete(&f, 3);
    fix_flush(&f);
    EXPECT_OK(lsm_iter_first(it, &f.err));
    lsm_iter_entry(it, &e);
    EXPECT_U64(e.version, f.model.units[0].mark.version);
    EXPECT_OK(lsm_iter_next(it, &f.err));
    lsm_iter_entry(it, &e);
    EXPECT_U64(e.version, f.model.units[1].mark.version);
    EXPECT_ST(lsm_iter_next(it, &f.err), ST_NOT_FOUND);
    EXPECT_OK(lsm_iter_last(it, &f.err));
    lsm_iter_entry(it, &e);
    EXPECT_U64(e.version, f.model.units[1].mark.version);
    lsm_iter_destroy(it);
    fix_close(&f);
}

/* Seeks past the versions of a hot key, in both directions, also when the snapshot lies among
 * them. */
TEST(a_key_with_many_versions_is_one_key)
{
    struct lsm_snapshot *early, *middle;
    struct prng prng;
    struct fix f;

    prng_init(&prng, 4);
    fix_init(&f, 4);
    fix_open(&f);
    fix_put(&f, 1, 10);
    early = lsm_snapshot_take(f.tree);
    for (int i = 0; i < 100; i++)
        fix_put(&f, 2, 10);
    middle = lsm_snapshot_take(f.tree);
    for (int i = 0; i < 100; i++)
        fix_put(&f, 2, 10);
    fix_put(&f, 3, 10);
    fix_check_iter(&f, early, &prng);
    fix_check_iter(&f, middle, &prng);
    fix_check_iter(&f, NULL, &prng);
    fix_delete(&f, 2);
    fix_check_iter(&f, middle, &prng);
    fix_check_iter(&f, NULL, &prng);
    fix_flush(&f);
    fix_check_iter(&f, early, &prng);
    fix_check_iter(&f, middle, &prng);
    fix_check_iter(&f, NULL, &prng);
    lsm_snapshot_release(f.tree, early);
    lsm_snapshot_release(f.tree, middle);
    lsm_snapshot_release(f.tree, NULL);
    fix_close(&f);
}

TEST(expired_keys_are_left_out_at_the_callers_time)
{
    struct prng prng;
    struct fix f;

    prng_init(&prng, 5);
    fix_init(&f, 5);
    fix_open(&f);
    for (uint32_t key = 0; key < MODEL_KEYS; key++) {
        model_write(model_add(&f.model, false), key, 10, f.model.now_ms + 10 * key);
        fix_apply_last(&f);
        if (key % 20 == 0)
            fix_flush(&f);
    }
    for (int i = 0; i < 10; i++) {
        fix_pass_time(&f, 70);
        fix_check_iter(&f, NULL, &prng);
    }
    fix_close(&f);
}

/* P3: what cannot be read is not left out. */
TEST(an_iterator_stops_at_damage)
{
    struct lsm_iter *it;
    enum status st;
    struct fix f;

    fix_init(&f, 6);
    fix_open(&f);
    for (uint32_t key = 0; key < MODEL_KEYS; key++)
        fix_put(&f, key, 100);
    fix_flush(&f);
    EXPECT(sim_disk_flip(f.world, NODE, "tree/0000000000000001.sst", 3000, 3));
    it = iterate(&f);
    for (st = lsm_iter_first(it, &f.err); st == ST_OK;)
        st = lsm_iter_next(it, &f.err);
    EXPECT_ST(st, ST_CORRUPT);
    for (st = lsm_iter_last(it, &f.err); st == ST_OK;)
        st = lsm_iter_prev(it, &f.err);
    EXPECT_ST(st, ST_CORRUPT);
    lsm_iter_destroy(it);
    fix_close(&f);
}

TEST_MAIN(RUN(an_empty_tree_has_no_first_and_no_last),
          RUN(an_iterator_shows_the_newest_version_of_each_living_key),
          RUN(an_iterator_does_not_see_what_comes_after_it),
          RUN(a_key_with_many_versions_is_one_key),
          RUN(expired_keys_are_left_out_at_the_callers_time), RUN(an_iterator_stops_at_damage))
