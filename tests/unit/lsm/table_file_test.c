/* Tests of lsm/table_file.c and lsm/readers.c.  The tables are false ones, of this file, which count who opens
 * and closes them, and can be made to fail or to be overtaken. */
#include <errno.h>

#include "base/mem.h"

#include "lsm/readers.h"
#include "store_fixture.h"
#include "unit/test.h"

struct table {
    struct table_file *owner;
};

static struct {
    int opened;
    int closed;
    enum status fail;
    int fail_sys;                /* errno */
    int fail_count;              /* so many times */
    struct table_file *overtake; /* while this one is being opened, another opens it, too */
    const struct lsm_shared *shared;
    char path[LIMIT_PATH_BYTES];
    bool no_descriptors; /* as long as all that were opened are open */
    struct fix *inside;  /* somebody is inside its epoch, and leaves during the next sleep */
} tables;

enum status
table_open(struct env *env, const char *path, const struct table_info *info, struct cache *cache,
           struct budget *budget, struct table **out, struct err *err)
{
    (void)env;
    (void)cache;
    (void)budget;
    EXPECT(info->number > 0);
    snprintf(tables.path, sizeof(tables.path), "%s", path);
    if (tables.no_descriptors && tables.closed == 0)
        return err_raise_at(err, __FILE__, __LINE__, ST_IO, EMFILE, "as the test has it");
    if (tables.fail_count > 0 && tables.fail_count-- > 0)
        return err_raise_at(err, __FILE__, __LINE__, tables.fail, tables.fail_sys,
                            "as the test has it");
    if (tables.overtake != NULL) {
        struct table_file *f = tables.overtake;
        struct reader *theirs;

        tables.overtake = NULL;
        EXPECT_OK(readers_hold(f, tables.shared, "dir", &theirs, NULL));
        readers_let_go(theirs);
    }
    *out = mem_new(struct table);
    assert_non_null(*out);
    tables.opened++;
    return ST_OK;
}

void
table_close(struct table *t)
{
    if (t == NULL)
        return;
    tables.closed++;
    mem_free(t);
}

void
table_info_release(struct table_info *info)
{
    buf_release(&info->smallest);
    buf_release(&info->largest);
}

enum { OPEN_MAX = 3, FILES = 6 };

struct fix {
    struct mem_heap heap;
    struct mem_heap *previous;
    struct file_sweep sweep;
    struct epoch epoch;
    struct epoch_slot slot;
    struct lsm_shared shared;
    struct table_file *file;
    struct table_file *files[FILES]; /* of more_files() */
};

static void
setup(struct fix *f)
{
    memset(&tables, 0, sizeof(tables));
    *f = (struct fix){ 0 };
    f->previous = mem_heap_enter(&f->heap);
    file_sweep_init(&f->sweep);
    f->file = fixture_file(&f->sweep, &(struct table_spec)TABLE(1, 0xa3, "a", "c", 1, 2, 3));
    epoch_init(&f->epoch);
    epoch_join(&f->epoch, &f->slot);
    f->shared.readers = readers_create(&f->epoch, OPEN_MAX);
    assert_non_null(f->shared.readers);
    tables.shared = &f->shared;
}

static void
teardown(struct fix *f)
{
    file_sweep_release(&f->sweep);
    readers_destroy(f->shared.readers);
    epoch_part(&f->epoch, &f->slot);
    epoch_release(&f->epoch);
    EXPECT_U64(tables.opened, tables.closed);
    EXPECT_U64(f->heap.block_count, 0);
    mem_heap_enter(f->previous);
}

static struct reader *
hold(struct fix *f, struct table_file *file)
{
    struct reader *r = NULL;

    EXPECT_OK(readers_hold(file, &f->shared, "dir", &r, NULL));
    return r;
}

static void
use(struct fix *f, struct table_file *file)
{
    readers_let_go(hold(f, file));
    table_file_touch(file);
}

static void
more_files(struct fix *f)
{
    table_file_unref(f->file);
    for (uint64_t i = 0; i < FILES; i++)
        f->files[i] =
            fixture_file(&f->sweep, &(struct table_spec)TABLE(1, 100 + i, "a", "c", 1, 2, 3));
}

static void
no_files(struct fix *f)
{
    for (int i = 0; i < FILES; i++)
        table_file_unref(f->files[i]);
}

static bool
is_open(const struct table_file *file)
{
    return table_file_reader(file) != NULL;
}

/* ------------------------------------------------------------------ files */

TEST(the_last_reference_closes_the_reader)
{
    struct fix f;

    setup(&f);
    EXPECT(!is_open(f.file));
    use(&f, f.file);
    EXPECT(is_open(f.file));
    EXPECT_STR(tables.path, "dir/00000000000000a3.sst");

    table_file_ref(f.file);
    table_file_unref(f.file);
    EXPECT_U64(tables.closed, 0);
    table_file_unref(f.file);
    EXPECT_U64(tables.closed, 1);
    EXPECT(file_sweep_empty(&f.sweep));
    teardown(&f);
}

TEST(an_obsolete_file_waits_for_its_deletion)
{
    struct fix f;

    setup(&f);
    use(&f, f.file);
    atomic_store(&f.file->obsolete, true);
    EXPECT(file_sweep_empty(&f.sweep)); /* somebody still uses it */
    table_file_unref(f.file);
    EXPECT_U64(tables.closed, 0); /* whoever lets go may be a reactor */

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

/* ------------------------------------------------------------------ opening */

TEST(a_reader_is_opened_once)
{
    struct fix f;
    struct reader *a, *b;

    setup(&f);
    a = hold(&f, f.file);
    b = hold(&f, f.file);
    EXPECT(a == b && reader_table(a) == table_file_reader(f.file));
    EXPECT_U64(tables.opened, 1);
    readers_let_go(a);
    readers_let_go(b);
    table_file_unref(f.file);
    teardown(&f);
}

TEST(of_two_that_open_at_once_one_wins)
{
    struct fix f;
    struct reader *r;

    setup(&f);
    tables.overtake = f.file;
    r = hold(&f, f.file);
    EXPECT_U64(tables.opened, 2);
    EXPECT_U64(tables.closed, 1);
    EXPECT(reader_table(r) == table_file_reader(f.file));
    EXPECT_U64(readers_open_count(f.shared.readers), 1);
    readers_let_go(r);
    table_file_unref(f.file);
    teardown(&f);
}

TEST(an_open_that_fails_may_be_repeated)
{
    struct fix f;
    struct reader *r = NULL;
    struct err err;

    setup(&f);
    tables.fail = ST_IO;
    tables.fail_count = 1;
    EXPECT_ST(readers_hold(f.file, &f.shared, "dir", &r, &err), ST_IO);
    EXPECT(r == NULL && !is_open(f.file));
    EXPECT_U64(readers_open_count(f.shared.readers), 0);
    use(&f, f.file);
    table_file_unref(f.file);
    teardown(&f);
}

TEST(when_descriptors_run_out_others_are_closed_and_it_is_tried_again)
{
    struct fix f;
    struct reader *r = NULL;
    struct err err;

    setup(&f);
    more_files(&f);
    use(&f, f.files[0]);
    use(&f, f.files[1]);
    tables.fail = ST_IO;
    tables.fail_sys = EMFILE;
    tables.fail_count = 1;
    use(&f, f.files[2]);
    EXPECT(is_open(f.files[2]) && tables.closed > 0);
    tables.fail_count = 2;
    EXPECT_ST(readers_hold(f.files[3], &f.shared, "dir", &r, &err), ST_IO);
    tables.fail_sys = EIO; /* that is not for want of descriptors */
    tables.fail_count = 1;
    EXPECT_ST(readers_hold(f.files[3], &f.shared, "dir", &r, &err), ST_IO);
    no_files(&f);
    teardown(&f);
}

static void
leave_in_sleep(struct env *env, uint32_t ms)
{
    (void)env;
    EXPECT(ms > 0);
    if (tables.inside != NULL)
        epoch_leave(&tables.inside->epoch, &tables.inside->slot);
    tables.inside = NULL;
}

TEST(when_descriptors_run_out_who_looks_at_tables_is_waited_for)
{
    static const struct env_ops ops = { .sleep_ms = leave_in_sleep };
    struct env env = { &ops };
    struct fix f;

    setup(&f);
    more_files(&f);
    f.shared.env = &env;
    use(&f, f.files[0]);
    use(&f, f.files[1]);
    epoch_enter(&f.epoch, &f.slot);
    tables.inside = &f;
    tables.no_descriptors = true;
    use(&f, f.files[2]);
    EXPECT(is_open(f.files[2]) && tables.closed > 0);
    EXPECT(tables.inside == NULL);
    no_files(&f);
    teardown(&f);
}

/* ------------------------------------------------------------------ closing (O1..O3) */

TEST(of_too_many_the_one_goes_that_was_not_used)
{
    struct fix f;

    setup(&f);
    more_files(&f);
    for (int i = 0; i < OPEN_MAX; i++)
        use(&f, f.files[i]);
    use(&f, f.files[3]); /* the hand goes round once, and takes the first */
    EXPECT(!is_open(f.files[0]));
    table_file_touch(f.files[1]);
    use(&f, f.files[4]);
    EXPECT(is_open(f.files[1]) && !is_open(f.files[2]));
    EXPECT_U64(readers_open_count(f.shared.readers), OPEN_MAX);
    EXPECT_U64(tables.opened - tables.closed, OPEN_MAX);
    no_files(&f);
    teardown(&f);
}

TEST(who_holds_a_reader_keeps_it_open_and_is_counted)
{
    struct fix f;
    struct reader *held[FILES];

    setup(&f);
    more_files(&f);
    for (int i = 0; i < FILES; i++)
        held[i] = hold(&f, f.files[i]);
    EXPECT_U64(tables.closed, 0);
    EXPECT_U64(readers_open_count(f.shared.readers), FILES);
    readers_detach(f.shared.readers, f.files[0]);
    EXPECT(!is_open(f.files[0]));
    EXPECT_U64(tables.closed, 0);
    for (int i = 0; i < FILES; i++)
        readers_let_go(held[i]);
    EXPECT_U64(tables.closed, 0); /* O2 */
    readers_close(f.shared.readers);
    EXPECT_U64(tables.closed, 1);
    no_files(&f);
    teardown(&f);
}

TEST(who_is_inside_the_epoch_keeps_it_open)
{
    struct fix f;
    struct table *seen;

    setup(&f);
    use(&f, f.file);
    epoch_enter(&f.epoch, &f.slot);
    seen = table_file_reader(f.file);
    readers_detach(f.shared.readers, f.file);
    readers_close(f.shared.readers);
    EXPECT(!is_open(f.file) && seen != NULL);
    EXPECT_U64(tables.closed, 0);
    use(&f, f.file); /* it may be opened again meanwhile */
    EXPECT(table_file_reader(f.file) != seen);
    epoch_leave(&f.epoch, &f.slot);
    epoch_reclaim(&f.epoch);
    readers_close(f.shared.readers);
    EXPECT_U64(tables.closed, 1);
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
          RUN(when_descriptors_run_out_others_are_closed_and_it_is_tried_again),
          RUN(when_descriptors_run_out_who_looks_at_tables_is_waited_for),
          RUN(of_too_many_the_one_goes_that_was_not_used),
          RUN(who_holds_a_reader_keeps_it_open_and_is_counted),
          RUN(who_is_inside_the_epoch_keeps_it_open),
          RUN(a_file_without_memory_leaves_the_keys_with_the_caller))
