/*
 * P3: any single flipped bit, in any byte of any file of a small store with two
 * levels, is reported with the name of the file, or does no harm.  It is
 * never served, and nothing is silently missing.
 */
#include "base/hash.h"

#include "unit/lsm/tree_fixture.h"

enum { KEYS = 12, FILES_MAX = 16, PATH_ROOM = 64 };

struct file_list {
    char paths[FILES_MAX][PATH_ROOM];
    uint64_t sizes[FILES_MAX];
    uint32_t count;
};

static void
add_file(void *ctx, const char *path, uint64_t size)
{
    struct file_list *list = ctx;

    EXPECT(list->count < FILES_MAX);
    snprintf(list->paths[list->count], PATH_ROOM, "%s", path);
    list->sizes[list->count] = size;
    list->count++;
}

static void
build(struct fix *f)
{
    f->options.tables.block_bytes = 256;
    f->options.table_bytes = 600;
    f->options.l0_trigger = 2;
    fix_open(f);
    for (uint32_t key = 0; key < KEYS; key++)
        fix_put(f, key, 90);
    fix_flush(f);
    for (uint32_t key = 0; key < KEYS; key += 2)
        fix_put(f, key, 90);
    fix_flush(f);
    fix_compact(f);
    for (uint32_t key = 0; key < KEYS; key += 3)
        fix_put(f, key, 60);
    fix_delete(f, 4);
    fix_flush(f);
    EXPECT_OK(lsm_sweep(f->tree, &f->err));
    EXPECT_U64(fix_stats(f).tables[0], 1);
    EXPECT(fix_stats(f).tables[1] > 1);
    fix_check(f);
    fix_stop(f);
}

static bool
names(const struct fix *f, const char *path)
{
    return strstr(f->err.text, path) != NULL;
}

/* True when the damage was reported. */
static bool
check_get(struct fix *f, uint32_t key, const char *path)
{
    struct model_found want = model_find(&f->model, key, VERSION_MAX);
    char room[MODEL_KEY_BYTES];
    struct lsm_found found;
    enum status st;

    st = lsm_get(f->tree, model_key(key, room), VERSION_MAX, &found, &f->err);
    lsm_found_release(&found);
    if (st != ST_CORRUPT) {
        fix_check_key(f, key, VERSION_MAX);
        return false;
    }
    EXPECT(want.version != 0 && names(f, path));
    return true;
}

static bool
check_iter(struct fix *f, const char *path)
{
    struct lsm_iter_options options = { .now_ms = f->model.now_ms };
    struct lsm_iter *it;
    enum status st;

    EXPECT_OK(lsm_iter_create(f->tree, &options, &it, &f->err));
    for (st = lsm_iter_first(it, &f->err); st == ST_OK;)
        st = lsm_iter_next(it, &f->err);
    lsm_iter_destroy(it);
    if (st == ST_CORRUPT) {
        EXPECT(names(f, path));
        return true;
    }
    EXPECT_ST(st, ST_NOT_FOUND);
    fix_check(f);
    return false;
}

static bool
is_reported(struct fix *f, const char *path)
{
    enum status st = fix_try_start(f);
    bool reported = false;

    if (st == ST_OK) {
        EXPECT_U64(lsm_flushed(f->tree).index, f->model.count);
        for (uint32_t key = 0; key < KEYS + 2; key++)
            reported |= check_get(f, key, path);
        reported |= check_iter(f, path);
    } else {
        EXPECT_ST(st, ST_CORRUPT);
        EXPECT(names(f, path));
        reported = true;
    }
    fix_stop(f);
    return reported;
}

/* The manifest may be rewritten by an open; so the disk is put back each time. */
static void
restart_from(struct fix *f, const struct sim_disk_image *image)
{
    fix_leave(f);
    epoch_part(&f->epoch, &f->slot);
    epoch_release(&f->epoch);
    sim_end(f->world, NODE);
    sim_disk_load(f->world, NODE, image);
    fix_boot(f);
    fix_enter(f);
}

/* A manifest is filled with zeros to its full size ahead of time. */
static uint64_t
used_bytes(struct fix *f, const char *path)
{
    struct buf bytes = buf_empty(1 << 24);
    uint64_t used;

    EXPECT(sim_disk_read(f->world, NODE, path, &bytes));
    for (used = bytes.size; used > 0 && bytes.data[used - 1] == 0;)
        used--;
    buf_release(&bytes);
    return used;
}

/* Returns how many flips did no harm and were not reported. */
static uint64_t
flip_every_byte(const char *ending)
{
    struct sim_disk_image *image;
    struct file_list files = { 0 };
    uint64_t harmless = 0, tried = 0;
    struct fix f;

    fix_init(&f, 1);
    build(&f);
    fix_leave(&f);
    epoch_part(&f.epoch, &f.slot);
    epoch_release(&f.epoch);
    sim_end(f.world, NODE);
    image = sim_disk_save(f.world, NODE);
    fix_boot(&f);
    fix_enter(&f);
    sim_disk_each(f.world, NODE, add_file, &files);
    for (uint32_t i = 0; i < files.count; i++) {
        const char *path = files.paths[i];
        uint64_t used = strstr(path, ending) == NULL ? 0 : used_bytes(&f, path);

        for (uint64_t at = 0; at < used; at++) {
            restart_from(&f, image);
            EXPECT(sim_disk_flip(f.world, NODE, path, at, (unsigned)(hash_u64(at) % 8)));
            harmless += !is_reported(&f, path);
            tried++;
        }
    }
    print_message("%llu flips, %llu not reported and harmless\n", (unsigned long long)tried,
                  (unsigned long long)harmless);
    EXPECT(tried > 100);
    EXPECT(harmless * 2 <
           tried); /* what no key needs may be damaged unnoticed: lsm_inspect's job */
    fix_leave(&f);
    epoch_part(&f.epoch, &f.slot);
    epoch_release(&f.epoch);
    sim_end(f.world, NODE);
    sim_disk_image_free(image);
    sim_destroy(f.world);
    model_release(&f.model);
    return harmless;
}

TEST(a_flipped_bit_in_a_table_is_reported_and_never_served)
{
    EXPECT_U64(flip_every_byte(".sst"), 0);
}

TEST(a_flipped_bit_in_the_manifest_is_reported_and_never_served)
{
    EXPECT(flip_every_byte("MANIFEST") < 32); /* a mark at the end, which holds no edit */
}

TEST(a_truncated_or_missing_table_is_reported)
{
    struct file_list files = { 0 };
    struct fix f;

    fix_init(&f, 2);
    build(&f);
    sim_disk_each(f.world, NODE, add_file, &files);
    for (uint32_t i = 0; i < files.count; i++) {
        if (strstr(files.paths[i], ".sst") == NULL)
            continue;
        EXPECT(sim_disk_truncate(f.world, NODE, files.paths[i], files.sizes[i] / 2));
        EXPECT(is_reported(&f, files.paths[i]));
        EXPECT(sim_disk_remove(f.world, NODE, files.paths[i]));
        EXPECT(is_reported(&f, files.paths[i]));
        break;
    }
    fix_end(&f);
}

TEST_MAIN(RUN(a_flipped_bit_in_a_table_is_reported_and_never_served),
          RUN(a_flipped_bit_in_the_manifest_is_reported_and_never_served),
          RUN(a_truncated_or_missing_table_is_reported))
