/* Tests of opening, locking and naming files in the real environment. */
#include <errno.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include "one_file.h"

TEST(opening_obeys_its_flags)
{
    struct folder d;
    struct file *f = NULL;
    struct err err;
    struct slice part = slice_str("x");

    folder_create(&d);
    EXPECT_ST(env_open(d.env, in(&d, "a"), ENV_OPEN_READ, &f, &err), ST_NOT_FOUND);
    EXPECT_ST(env_open(d.env, in(&d, "a"), ENV_OPEN_WRITE, &f, &err), ST_NOT_FOUND);
    EXPECT(f == NULL);
    EXPECT(strstr(err.text, in(&d, "a")) != NULL);

    f = open_new(&d, "a");
    write_text(f, 0, "text");
    file_close(f);
    EXPECT_ST(env_open(d.env, in(&d, "a"), NEW_FILE | ENV_OPEN_EXCLUSIVE, &f, &err), ST_EXISTS);

    EXPECT_OK(env_open(d.env, in(&d, "a"), ENV_OPEN_READ, &f, &err));
    EXPECT_STR(text_at(f, 0), "text");
    EXPECT_ST(file_write(f, 0, &part, 1, &err), ST_IO);
    EXPECT_U64(err.sys, EBADF);
    file_close(f);

    EXPECT_OK(env_open(d.env, in(&d, "a"), NEW_FILE, &f, &err));
    EXPECT_STR(text_at(f, 0), "text");
    file_close(f);
    EXPECT_OK(env_open(d.env, in(&d, "a"), NEW_FILE | ENV_OPEN_TRUNCATE, &f, &err));
    EXPECT_U64(size_of(f), 0);
    file_close(f);
    file_close(NULL);
    folder_destroy(&d);
}

TEST(too_many_open_files_is_an_io_error_with_its_errno)
{
    struct folder d;
    struct file *f = NULL;
    struct err err;
    struct rlimit before, none;

    folder_create(&d);
    f = open_new(&d, "a");
    file_close(f);
    f = NULL;
    EXPECT(getrlimit(RLIMIT_NOFILE, &before) == 0);
    none = before;
    none.rlim_cur = 0;
    EXPECT(setrlimit(RLIMIT_NOFILE, &none) == 0);
    EXPECT_ST(env_open(d.env, in(&d, "a"), ENV_OPEN_READ, &f, &err), ST_IO);
    EXPECT_U64(err.sys, EMFILE);
    EXPECT_ST(env_list(d.env, d.path, folder_remove_one, &d, &err), ST_IO);
    EXPECT_ST(env_sync_dir(d.env, d.path, &err), ST_IO);
    EXPECT(setrlimit(RLIMIT_NOFILE, &before) == 0);
    EXPECT(f == NULL);
    folder_destroy(&d);
}

TEST(a_lock_excludes_everyone_even_ourselves_until_it_is_closed)
{
    struct folder d;
    struct file *lock = NULL, *second = NULL, *other = NULL;
    struct err err;
    int status = -1;
    pid_t child;

    folder_create(&d);
    EXPECT_OK(env_lock(d.env, in(&d, "LOCK"), &lock, &err));
    EXPECT_ST(env_lock(d.env, in(&d, "LOCK"), &second, &err), ST_EXISTS);
    EXPECT(second == NULL);

    /* Opening and closing the file in another way must not drop the lock. */
    EXPECT_OK(env_open(d.env, in(&d, "LOCK"), ENV_OPEN_WRITE, &other, &err));
    file_close(other);
    EXPECT_ST(env_lock(d.env, in(&d, "LOCK"), &second, &err), ST_EXISTS);

    child = fork();
    if (child == 0)
        _exit(env_lock(d.env, in(&d, "LOCK"), &second, &err) == ST_EXISTS ? 0 : 1);
    EXPECT(waitpid(child, &status, 0) == child);
    EXPECT(WIFEXITED(status) && WEXITSTATUS(status) == 0);

    file_close(lock);
    EXPECT_OK(env_lock(d.env, in(&d, "LOCK"), &second, &err));
    file_close(second);
    EXPECT_ST(env_lock(d.env, in(&d, "nowhere/LOCK"), &second, &err), ST_NOT_FOUND);
    folder_destroy(&d);
}

static void
append_name(void *ctx, const char *name)
{
    strcat(ctx, name);
    strcat(ctx, " ");
}

TEST(a_list_is_in_byte_order_without_the_two_dots)
{
    static const char *const names[] = { "b", "a10", "a", "Z", "\xc3\xa4", ".hidden", "a2" };
    struct folder d;
    char text[200] = "";

    folder_create(&d);
    EXPECT_OK(env_list(d.env, d.path, append_name, text, NULL));
    EXPECT_STR(text, "");
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        file_close(open_new(&d, names[i]));
    EXPECT_OK(env_make_dir(d.env, in(&d, "folder"), NULL));
    EXPECT_OK(env_list(d.env, d.path, append_name, text, NULL));
    EXPECT_STR(text, ".hidden Z a a10 a2 b folder \xc3\xa4 ");
    EXPECT_ST(env_list(d.env, in(&d, "none"), append_name, text, NULL), ST_NOT_FOUND);
    EXPECT_ST(env_list(d.env, in(&d, "a"), append_name, text, NULL), ST_IO);
    folder_destroy(&d);
}

TEST(renaming_replaces_and_linking_does_not)
{
    struct folder d;
    struct file *f;
    uint64_t size = 99;

    folder_create(&d);
    f = open_new(&d, "a");
    write_text(f, 0, "from a");
    file_close(f);
    file_close(open_new(&d, "b"));

    EXPECT_ST(env_link(d.env, in(&d, "a"), in(&d, "b"), NULL), ST_EXISTS);
    EXPECT_OK(env_link(d.env, in(&d, "a"), in(&d, "c"), NULL));
    EXPECT_OK(env_rename(d.env, in(&d, "a"), in(&d, "b"), NULL));
    EXPECT_ST(env_rename(d.env, in(&d, "a"), in(&d, "x"), NULL), ST_NOT_FOUND);
    EXPECT_ST(env_stat(d.env, in(&d, "a"), &size, NULL), ST_NOT_FOUND);
    EXPECT_U64(size, 99);
    EXPECT_OK(env_stat(d.env, in(&d, "b"), &size, NULL));
    EXPECT_U64(size, 6);

    EXPECT_OK(env_remove(d.env, in(&d, "b"), NULL));
    EXPECT_ST(env_remove(d.env, in(&d, "b"), NULL), ST_NOT_FOUND);
    EXPECT_OK(env_open(d.env, in(&d, "c"), ENV_OPEN_READ, &f, NULL));
    EXPECT_STR(text_at(f, 0), "from a"); /* the link keeps the bytes */
    file_close(f);
    folder_destroy(&d);
}

TEST(folders_are_made_once_and_removed_empty)
{
    struct folder d;
    struct err err;

    folder_create(&d);
    EXPECT_OK(env_make_dir(d.env, in(&d, "f"), NULL));
    EXPECT_ST(env_make_dir(d.env, in(&d, "f"), NULL), ST_EXISTS);
    EXPECT_ST(env_make_dir(d.env, in(&d, "no/f"), NULL), ST_NOT_FOUND);
    file_close(open_new(&d, "f/inside"));
    EXPECT_ST(env_remove_dir(d.env, in(&d, "f"), &err), ST_IO);
    EXPECT_U64(err.sys, ENOTEMPTY);
    EXPECT_OK(env_sync_dir(d.env, in(&d, "f"), NULL));
    EXPECT_ST(env_sync_dir(d.env, in(&d, "none"), NULL), ST_NOT_FOUND);
    EXPECT_ST(env_sync_dir(d.env, in(&d, "f/inside"), NULL), ST_IO);
    EXPECT_OK(env_remove(d.env, in(&d, "f/inside"), NULL));
    EXPECT_OK(env_remove_dir(d.env, in(&d, "f"), NULL));
    EXPECT_ST(env_remove_dir(d.env, in(&d, "f"), NULL), ST_NOT_FOUND);
    folder_destroy(&d);
}

TEST(free_space_is_a_plausible_number)
{
    struct folder d;
    struct env_room room;

    folder_create(&d);
    EXPECT_OK(env_room(d.env, d.path, &room, NULL));
    EXPECT(room.free_bytes > 1 << 20 && room.free_bytes <= room.total_bytes);
    EXPECT(room.total_bytes < UINT64_C(1) << 60);
    EXPECT_ST(env_room(d.env, in(&d, "none"), &room, NULL), ST_NOT_FOUND);
    folder_destroy(&d);
}

/* ------------------------------------------------------------------ out of memory */

static enum status
open_everything(struct folder *d)
{
    struct file *f = NULL;
    char names[100] = "";
    enum status st;

    st = env_open(d->env, in(d, "a"), NEW_FILE, &f, NULL);
    file_close(f);
    f = NULL;
    if (st == ST_OK)
        st = env_lock(d->env, in(d, "LOCK"), &f, NULL);
    file_close(f);
    if (st == ST_OK)
        st = env_list(d->env, d->path, append_name, names, NULL);
    return st;
}

TEST(files_and_names_survive_the_failure_of_every_allocation)
{
    enum status st = ST_NO_MEMORY;
    struct folder d;

    folder_create(&d);
    for (uint64_t n = 1; st != ST_OK; n++) {
        struct mem_heap heap = { .fail_at = n };

        mem_heap_enter(&heap);
        st = open_everything(&d);
        mem_heap_enter(NULL);
        EXPECT(st == ST_OK || st == ST_NO_MEMORY);
        EXPECT_U64(heap.block_count, 0);
        EXPECT(n < 50);
        EXPECT(n > 4 || st != ST_OK); /* open, lock, and at least two in list */
    }
    folder_destroy(&d);
}

TEST_MAIN(RUN(opening_obeys_its_flags), RUN(too_many_open_files_is_an_io_error_with_its_errno),
          RUN(a_lock_excludes_everyone_even_ourselves_until_it_is_closed),
          RUN(a_list_is_in_byte_order_without_the_two_dots),
          RUN(renaming_replaces_and_linking_does_not), RUN(folders_are_made_once_and_removed_empty),
          RUN(free_space_is_a_plausible_number),
          RUN(files_and_names_survive_the_failure_of_every_allocation))
