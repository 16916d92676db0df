/*
 * The names in a tree's folder.
 *
 *      MANIFEST-0000000000000007        the current manifest, and for a moment an older one
 *      MANIFEST-0000000000000008.tmp    one that is being written
 *      00000000000000a3.sst             a table
 *      *.tmp                            whatever did not get its name before a crash
 *
 * All other names are left alone.  env_list() gives names in byte order, and numbers have a
 * fixed width, so the lists are sorted as they are gathered.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/assert.h"
#include "base/coding.h"

#include "lsm/manifest_internal.h"

enum {
    NUMBER_DIGITS = 16,
    NUMBER_BYTES = 8,
    LIST_BYTES_MAX = 256 << 20,
    KEY_TEXT_BYTES = 64,
};

#define MANIFEST_PREFIX  "MANIFEST-"
#define TABLE_SUFFIX     ".sst"
#define TEMPORARY_SUFFIX ".tmp"

void
manifest__path(const char *dir, uint64_t number, bool temporary, char *out)
{
    int size = snprintf(out, LIMIT_PATH_BYTES, "%s/" MANIFEST_PREFIX "%016" PRIx64 "%s", dir,
                        number, temporary ? TEMPORARY_SUFFIX : "");

    ASSERT(size > 0 && size < LIMIT_PATH_BYTES); /* manifest_open() has measured the folder's */
}

/* The digits that `name` begins with, if they are as we write them. */
static bool
parse_number(const char *name, uint64_t *number)
{
    uint64_t n = 0;

    for (int i = 0; i < NUMBER_DIGITS; i++) {
        char c = name[i];

        if (c >= '0' && c <= '9')
            n = n << 4 | (uint64_t)(c - '0');
        else if (c >= 'a' && c <= 'f')
            n = n << 4 | (uint64_t)(c - 'a' + 10);
        else
            return false;
    }
    *number = n;
    return true;
}

static bool
parse_manifest(const char *name, uint64_t *number)
{
    size_t prefix = strlen(MANIFEST_PREFIX);

    return strncmp(name, MANIFEST_PREFIX, prefix) == 0 && parse_number(name + prefix, number) &&
           name[prefix + NUMBER_DIGITS] == '\0';
}

static bool
parse_table(const char *name, uint64_t *number)
{
    return parse_number(name, number) && strcmp(name + NUMBER_DIGITS, TABLE_SUFFIX) == 0;
}

static bool
is_temporary(const char *name)
{
    size_t size = strlen(name);
    size_t suffix = strlen(TEMPORARY_SUFFIX);

    return size > suffix && strcmp(name + size - suffix, TEMPORARY_SUFFIX) == 0;
}

static void
gather_name(void *ctx, const char *name)
{
    struct manifest_folder *f = ctx;
    uint64_t number;

    if (f->st != ST_OK)
        return;
    if (is_temporary(name))
        f->st = buf_append(&f->temporaries, slice_of(name, strlen(name) + 1));
    else if (parse_manifest(name, &number))
        f->st = append_u64(&f->manifests, number);
    else if (parse_table(name, &number))
        f->st = append_u64(&f->tables, number);
}

enum status
manifest__folder_read(struct manifest_folder *f, struct env *env, const char *dir, struct err *err)
{
    enum status st;

    *f = (struct manifest_folder){
        .manifests = buf_empty(LIST_BYTES_MAX),
        .tables = buf_empty(LIST_BYTES_MAX),
        .temporaries = buf_empty(LIST_BYTES_MAX),
    };
    st = env_list(env, dir, gather_name, f, err);
    if (st == ST_OK && f->st != ST_OK)
        st = err_raise(err, f->st, "%s: cannot hold the names in it", dir);
    return st;
}

void
manifest__folder_release(struct manifest_folder *f)
{
    buf_release(&f->manifests);
    buf_release(&f->tables);
    buf_release(&f->temporaries);
}

static size_t
number_count(const struct buf *numbers)
{
    return numbers->size / NUMBER_BYTES;
}

static uint64_t
number_at(const struct buf *numbers, size_t i)
{
    return get_u64le(numbers->data + i * NUMBER_BYTES);
}

uint64_t
manifest__folder_newest(const struct buf *numbers)
{
    return numbers->size == 0 ? 0 : number_at(numbers, number_count(numbers) - 1);
}

/* Is `number` in the list, which is ascending? */
static bool
has_number(const struct buf *numbers, uint64_t number)
{
    size_t begin = 0;
    size_t limit = number_count(numbers);

    while (begin < limit) {
        size_t middle = begin + (limit - begin) / 2;

        if (number_at(numbers, middle) == number)
            return true;
        if (number_at(numbers, middle) < number)
            begin = middle + 1;
        else
            limit = middle;
    }
    return false;
}

/* "a/b/c" lies in "a/b", "/c" in "/", and "c" in ".". */
static void
parent_of(const char *dir, char *out)
{
    const char *slash = strrchr(dir, '/');
    size_t size = slash == NULL ? 0 : (size_t)(slash - dir);

    if (slash == NULL)
        snprintf(out, LIMIT_PATH_BYTES, ".");
    else if (size == 0)
        snprintf(out, LIMIT_PATH_BYTES, "/");
    else
        snprintf(out, LIMIT_PATH_BYTES, "%.*s", (int)size, dir);
}

/* After a failed sync the system may forget the new name and call the next sync a success.  So an
 * empty folder that is there already is made anew; one that is not empty was synced before its
 * first file was made. */
enum status
manifest__folder_make(struct env *env, const char *dir, struct err *err)
{
    char parent[LIMIT_PATH_BYTES];
    enum status st = env_make_dir(env, dir, err);

    if (st == ST_EXISTS && env_remove_dir(env, dir, NULL) == ST_OK)
        st = env_make_dir(env, dir, err);
    if (st != ST_OK && st != ST_EXISTS)
        return st;
    parent_of(dir, parent);
    return env_sync_dir(env, parent, err);
}

static enum status
report_missing(const char *dir, const struct table_file *f, uint32_t level, struct err *err)
{
    char path[LIMIT_PATH_BYTES];
    char from[KEY_TEXT_BYTES], to[KEY_TEXT_BYTES];

    table_file_path(dir, f->info.number, path);
    return err_raise(err, ST_CORRUPT,
                     "%s: missing; it is in level %" PRIu32 " with keys \"%s\" to \"%s\"", path,
                     level, slice_printable(buf_slice(&f->info.smallest), from, sizeof(from)),
                     slice_printable(buf_slice(&f->info.largest), to, sizeof(to)));
}

enum status
manifest__folder_check(const struct manifest_folder *f, const char *dir, const struct version *v,
                       struct err *err)
{
    for (uint32_t level = 0; level < LIMIT_LEVELS; level++) {
        for (uint32_t i = 0; i < v->levels[level].count; i++) {
            const struct table_file *file = v->levels[level].files[i];

            if (!has_number(&f->tables, file->info.number))
                return report_missing(dir, file, level, err);
        }
    }
    return ST_OK;
}

static int
compare_numbers(const void *a, const void *b)
{
    uint64_t x = get_u64le(a);
    uint64_t y = get_u64le(b);

    return (x > y) - (x < y);
}

/* The numbers of all tables of a version, ascending.  The caller releases the list in any case. */
static enum status
list_tables(const struct version *v, struct buf *out, struct err *err)
{
    *out = buf_empty(LIST_BYTES_MAX);
    for (uint32_t level = 0; level < LIMIT_LEVELS; level++) {
        for (uint32_t i = 0; i < v->levels[level].count; i++) {
            enum status st = append_u64(out, v->levels[level].files[i]->info.number);

            if (st != ST_OK)
                return err_raise(err, st, "cannot list the tables of a version");
        }
    }
    if (out->size > 0)
        qsort(out->data, number_count(out), NUMBER_BYTES, compare_numbers);
    return ST_OK;
}

/* What is gone already is fine: the list may be older than a takeover. */
static enum status
remove_name(struct env *env, const char *path, size_t *removed, struct err *err)
{
    enum status st = env_remove(env, path, err);

    if (st == ST_NOT_FOUND)
        return ST_OK;
    *removed += 1;
    return st;
}

static enum status
remove_tables(const struct manifest_folder *f, struct env *env, const char *dir,
              const struct version *v, size_t *removed, struct err *err)
{
    char path[LIMIT_PATH_BYTES];
    struct buf known;
    enum status st = list_tables(v, &known, err);

    for (size_t i = 0; st == ST_OK && i < number_count(&f->tables); i++) {
        uint64_t number = number_at(&f->tables, i);

        if (has_number(&known, number))
            continue;
        table_file_path(dir, number, path);
        st = remove_name(env, path, removed, err);
    }
    buf_release(&known);
    return st;
}

static enum status
remove_manifests(const struct buf *manifests, struct env *env, const char *dir, uint64_t current,
                 size_t *removed, struct err *err)
{
    char path[LIMIT_PATH_BYTES];
    enum status st = ST_OK;

    for (size_t i = 0; st == ST_OK && i < number_count(manifests); i++) {
        uint64_t number = number_at(manifests, i);

        if (number >= current)
            break;
        manifest__path(dir, number, false, path);
        st = remove_name(env, path, removed, err);
    }
    return st;
}

static enum status
remove_temporaries(const struct buf *names, struct env *env, const char *dir, size_t *removed,
                   struct err *err)
{
    char path[LIMIT_PATH_BYTES];
    enum status st = ST_OK;

    for (size_t at = 0; st == ST_OK && at < names->size;) {
        const char *name = (const char *)names->data + at;
        int size = snprintf(path, sizeof(path), "%s/%s", dir, name);

        at += strlen(name) + 1;
        if (size < 0 || (size_t)size >= sizeof(path))
            continue; /* a longer name than any of ours */
        st = remove_name(env, path, removed, err);
    }
    return st;
}

enum status
manifest__folder_clean(const struct manifest_folder *f, struct env *env, const char *dir,
                       const struct version *v, uint64_t current, struct err *err)
{
    size_t removed = 0;
    enum status st = remove_manifests(&f->manifests, env, dir, current, &removed, err);

    if (st == ST_OK)
        st = remove_tables(f, env, dir, v, &removed, err);
    if (st == ST_OK)
        st = remove_temporaries(&f->temporaries, env, dir, &removed, err);
    if (st == ST_OK && removed > 0)
        st = env_sync_dir(env, dir, err);
    return st;
}

enum status
manifest__remove_older(struct env *env, const char *dir, uint64_t current, struct err *err)
{
    struct manifest_folder f;
    size_t removed = 0;
    enum status st = manifest__folder_read(&f, env, dir, err);

    if (st == ST_OK)
        st = remove_manifests(&f.manifests, env, dir, current, &removed, err);
    if (st == ST_OK && removed > 0)
        st = env_sync_dir(env, dir, err);
    manifest__folder_release(&f);
    return st;
}
