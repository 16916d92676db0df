/*
 * What compaction may forget because it has expired: T11 at the head of lsm.c.
 *
 * Key 1 expires; whoever looks judges by the time of the version that is read.
 */
#include "unit/lsm/tree_fixture.h"

enum { LIFE_MS = 1000 };

static void
put_mortal(struct fix *f)
{
    model_write(model_add(&f->model, false), 1, 50, f->model.now_ms + LIFE_MS);
    fix_apply_last(f);
}

/* Is key 1 there, at the snapshot or now, by the time of that moment? */
static bool
is_alive(struct fix *f, const struct lsm_snapshot *s)
{
    version_t version = s != NULL ? lsm_snapshot_version(s) : lsm_visible(f->tree);
    struct lsm_iter_options options = { .snapshot = s, .now_ms = version_unix_ms(version) };
    struct lsm_iter *it;
    char room[MODEL_KEY_BYTES];
    struct slice key = model_key(1, room);
    enum status st;
    struct entry e;

    EXPECT_OK(lsm_iter_create(f->tree, &options, &it, &f->err));
    st = lsm_iter_seek(it, key, &f->err);
    if (st == ST_OK) {
        lsm_iter_entry(it, &e);
        st = slice_equal(e.key, key) ? ST_OK : ST_NOT_FOUND;
    }
    lsm_iter_destroy(it);
    EXPECT(st == ST_OK || st == ST_NOT_FOUND);
    return st == ST_OK;
}

static void
compact(struct fix *f)
{
    EXPECT_OK(lsm_compact_all(f->tree, NULL, &f->err));
}

TEST(what_has_expired_is_forgotten_once_the_files_reach_so_far)
{
    struct fix f;

    fix_init(&f, 1);
    fix_open(&f);
    put_mortal(&f);
    fix_pass_time(&f, LIFE_MS - 1);
    fix_flush(&f);
    compact(&f);
    EXPECT_U64(fix_stats(&f).entries, 1);
    EXPECT(is_alive(&f, NULL));
    fix_pass_time(&f, 1);
    EXPECT(!is_alive(&f, NULL));
    fix_flush(&f);
    compact(&f);
    EXPECT_U64(fix_stats(&f).entries, 0);
    fix_close(&f);
}

/* Its iterator comes later than the compaction. */
TEST(a_snapshot_keeps_what_had_not_expired_at_its_time)
{
    struct lsm_snapshot *before;
    struct lsm_snapshot *after;
    struct fix f;

    fix_init(&f, 2);
    fix_open(&f);
    put_mortal(&f);
    before = lsm_snapshot_take(f.tree);
    fix_pass_time(&f, LIFE_MS);
    after = lsm_snapshot_take(f.tree);
    fix_flush(&f);
    compact(&f);
    EXPECT(is_alive(&f, before));
    EXPECT(!is_alive(&f, after));
    lsm_snapshot_release(f.tree, before);
    compact(&f);
    EXPECT_U64(fix_stats(&f).entries, 0); /* `after` has no need of it */
    lsm_snapshot_release(f.tree, after);
    fix_close(&f);
}

/* The units after the flush are lost with the process; before they come again, the tree is as it was
 * at its mark. */
TEST(a_tree_that_was_opened_again_has_what_had_not_expired_at_its_mark)
{
    struct fix f;
    uint32_t count;

    fix_init(&f, 3);
    fix_open(&f);
    put_mortal(&f);
    fix_flush(&f);
    count = f.model.count;
    fix_pass_time(&f, LIFE_MS);
    compact(&f);
    f.model.count = count;
    fix_reopen(&f);
    EXPECT(is_alive(&f, NULL));
    fix_close(&f);
}

TEST_MAIN(RUN(what_has_expired_is_forgotten_once_the_files_reach_so_far),
          RUN(a_snapshot_keeps_what_had_not_expired_at_its_time),
          RUN(a_tree_that_was_opened_again_has_what_had_not_expired_at_its_mark))
