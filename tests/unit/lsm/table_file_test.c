/* Tests of lsm/table_file.c.  The readers are false ones, of this file, which count who opens
 * and closes them, and can be made to fail or to be overtaken. */
#include "base/mem.h"

#include "store_fixture.h"
#include "unit/test.h"

struct table {
    struct table_file *owner;
};

static struct {
    int opened;
    int closed;
    enum status fail;
    struct table_file *overtake; /* while this one is being opened, another opens it, too */
    const struct lsm_shared *shared;
    char path[LIMIT_PATH_BYTES];
} readers;

enum status
table_open(struct env *env, const char *path, const struct table_info *info, struct cache *cache,
           struct budget *budget, struct table **out, struct err *err)
{
    (void)env;
    (void)cache;
    (void)budget;
    EXPECT(info->number > 0);
    snprintf(readers.path, sizeof(readers.path), "%s", path);
    if (readers.fail != ST_OK)
        return err_raise(err, readers.fail, "as the test has it");
    if (readers.overtake != NULL) {
        struct table_file *f = readers.overtake;
        struct table *theirs;

        readers.overtake = NULL;
        EXPECT_OK(table_file_open(f, readers.shared, "dir", &theirs, NULL));
    }
    *out = mem_new(struct table);
    assert_non_null(*out);
    readers.opened++;
    return ST_OK;
}

void
table_close(struct table *t)
{
    if (t == NULL)
        return;
    readers.closed++;
    mem_free(t);
}

void
table_info_release(struct table_info *info)
{
    buf_release(&info->smallest);
    buf_release(&info->largest);
}

struct fix {
    struct mem_heap heap;
    struct mem_heap *previous;
    struct file_sweep sweep;
    struct lsm_shared shared;
    struct table_file *file;
};

static void
setup(struct fix *f)
{
    memset(&readers, 0, sizeof(readers));
    *f = (struct fix){ 0 };
    f->previous = mem_heap_enter(&f->heap);
    file_sweep_init(&f->sweep);
    f->file = fixture_file(&f->sweep, &(struct table_spec)TABLE(1, 0xa3, "a", "c", 1, 2, 3));
    readers.shared = &f->shared;
}

static void
teardown(struct fix *f)
{
    file_sweep_release(&f->sweep);
    EXPECT_U64(readers.opened, readers.closed);
    EXPECT_U64(f->heap.block_count, 0);
    mem_heap_enter(f->previous);
}

TEST(the_last_reference_closes_the_reader)
{
    struct fix f;
    struct table *t;

    setup(&f);
    EXPECT(table_file_reader(f.file) == NULL);
    EXPECT_OK(table_file_open(f.file, &f.shared, "dir", &t, NULL));
    EXPECT(table_file_reader(f.file) == t);
    EXPECT_STR(readers.path, "dir/00000000000000a3.sst");

    table_file_ref(f.file);
    table_file_unref(f.file);
    EXPECT_U64(readers.closed, 0);
    table_file_unref(f.file);
    EXPECT_U64(readers.closed, 1);
    EXPECT(file_sweep_empty(&f.sweep));
    teardown(&f);
}

TEST(an_obsolete_file_waits_for_its_deletion)
{
    struct fix f;
    struct table *t;

    setup(&f);
    EXPECT_OK(table_file_open(f.file, &f.shared, "dir", &t, NULL));
    atomic_store(&f.file->obsolete, true);
    EXPECT(file_sweep_empty(&f.sweep)); /* somebody still uses it */
    table_file_unref(f.file);
    EXPECT_U64(readers.closed, 0); /* whoever lets go may be a reactor */

    EXPECT(!file_sweep_empty(&f.sweep));
    EXPECT(file_sweep_pop(&f.sweep) == f.file);
    EXPECT(file_sweep_pop(&f.sweep) == NULL);
    table_file_destroy(f.file);
    teardown(&f);
}

TEST(what_was_not_deleted_is_forgotten_with_the_sweep_list)
{
    struct fix f;

    setup(&f);
    atomic_store(&f.file->obsolete, true);
    table_file_unref(f.file);
    teardown(&f);
}

TEST(a_reader_is_opened_once)
{
    struct fix f;
    struct table *a, *b;

    setup(&f);
    EXPECT_OK(table_file_open(f.file, &f.shared, "dir", &a, NULL));
    EXPECT_OK(table_file_open(f.file, &f.shared, "dir", &b, NULL));
    EXPECT(a == b);
    EXPECT_U64(readers.opened, 1);
    table_file_unref(f.file);
    teardown(&f);
}

TEST(of_two_that_open_at_once_one_wins)
{
    struct fix f;
    struct table *t;

    setup(&f);
    readers.overtake = f.file;
    EXPECT_OK(table_file_open(f.file, &f.shared, "dir", &t, NULL));
    EXPECT_U64(readers.opened, 2);
    EXPECT_U64(readers.closed, 1);
    EXPECT(table_file_reader(f.file) == t);
    table_file_unref(f.file);
    teardown(&f);
}

TEST(an_open_that_fails_may_be_repeated)
{
    struct fix f;
    struct table *t = NULL;
    struct err err;

    setup(&f);
    readers.fail = ST_IO;
    EXPECT_ST(table_file_open(f.file, &f.shared, "dir", &t, &err), ST_IO);
    EXPECT(t == NULL && table_file_reader(f.file) == NULL);
    readers.fail = ST_OK;
    EXPECT_OK(table_file_open(f.file, &f.shared, "dir", &t, &err));
    table_file_unref(f.file);
    teardown(&f);
}

TEST(a_file_without_memory_leaves_the_keys_with_the_caller)
{
    struct mem_heap heap = { 0 };
    struct table_info info = { .number = 1, .smallest = buf_empty(8) };
    struct mem_heap *previous;

    EXPECT_OK(buf_append(&info.smallest, slice_str("a")));
    previous = mem_heap_enter(&heap);
    heap.fail_at = 1;
    EXPECT(table_file_create(&info, NULL) == NULL);
    mem_heap_enter(previous);
    EXPECT_SLICE(buf_slice(&info.smallest), "a");
    table_info_release(&info);
}

TEST_MAIN(RUN(the_last_reference_closes_the_reader), RUN(an_obsolete_file_waits_for_its_deletion),
          RUN(what_was_not_deleted_is_forgotten_with_the_sweep_list), RUN(a_reader_is_opened_once),
          RUN(of_two_that_open_at_once_one_wins), RUN(an_open_that_fails_may_be_repeated),
          RUN(a_file_without_memory_leaves_the_keys_with_the_caller))
