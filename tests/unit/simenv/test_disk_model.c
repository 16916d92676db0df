/* The simulated disk against a naive model (disk_model.h): random calls, then a power cut, many
 * times over on the same disk.  Before the cut every file reads as the model says; after it, every
 * name, size and sector is one that the model allows.
 *
 * A file's identity is its first bytes, written and synced when it is made, and never changed: so
 * the test can tell which file a name stands for after a crash. */
#include "unit/simenv/disk_model.h"
#include "unit/simenv/fixture.h"

enum { WORLDS = 150, LIVES = 6, CALLS = 60, TAG_BYTES = SIM_SECTOR };

struct run {
    struct fix f;
    struct model *m;
    struct file *open[MODEL_FILES];
    int survived; /* unsynced sectors or sizes that a crash kept, and that it lost */
    int lost;
};

static struct prng *
prng_of(struct run *r)
{
    return sim_prng(r->f.w);
}

static uint64_t
below(struct run *r, uint64_t limit)
{
    return prng_below(prng_of(r), limit);
}

static void
read_whole(struct run *r, int name, struct buf *out)
{
    EXPECT(sim_disk_read(r->f.w, 1, model_names[name], out));
}

/* ------------------------------------------------------------------ calls */

static void
create(struct run *r, int name)
{
    struct model *m = r->m;
    int file = m->file_count;
    uint8_t tag[TAG_BYTES];
    struct slice part = slice_of(tag, sizeof(tag));

    if (m->now[name] >= 0 || m->file_count == MODEL_FILES)
        return;
    memset(tag, file + 1, sizeof(tag));
    r->open[file] = create_file(&r->f, model_names[name]);
    EXPECT_OK(file_write(r->open[file], 0, &part, 1, NULL));
    EXPECT_OK(file_sync(r->open[file], NULL));
    model_create(m, name);
    model_write(&m->files[file], 0, tag, sizeof(tag));
    model_sync(&m->files[file]);
}

static void
change_names(struct run *r, int name)
{
    struct model *m = r->m;
    int to = (int)below(r, MODEL_NAMES);

    if (m->now[name] < 0) {
        EXPECT_ST(env_remove(r->f.env, model_names[name], NULL), ST_NOT_FOUND);
    } else if (below(r, 4) == 0) {
        EXPECT_OK(env_remove(r->f.env, model_names[name], NULL));
        model_remove(m, name);
    } else {
        EXPECT_OK(env_rename(r->f.env, model_names[name], model_names[to], NULL));
        model_rename(m, name, to);
    }
}

static void
write_some(struct run *r, int file)
{
    uint64_t offset = TAG_BYTES + below(r, MODEL_BYTES - TAG_BYTES);
    uint64_t size = 1 + below(r, MODEL_BYTES - offset);
    uint8_t bytes[MODEL_BYTES];
    struct slice parts[2];
    size_t first;

    if (below(r, 2) == 0 && size > SIM_SECTOR)
        size = SIM_SECTOR;
    for (uint64_t i = 0; i < size; i++)
        bytes[i] = (uint8_t)below(r, 256);
    first = (size_t)below(r, size + 1);
    parts[0] = slice_of(bytes, first);
    parts[1] = slice_of(bytes + first, (size_t)size - first);
    EXPECT_OK(file_write(r->open[file], offset, parts, 2, NULL));
    model_write(&r->m->files[file], offset, bytes, size);
}

static void
cut_or_grow(struct run *r, int file)
{
    uint64_t size = TAG_BYTES + below(r, MODEL_BYTES - TAG_BYTES + 1);

    EXPECT_OK(file_truncate(r->open[file], size, NULL));
    model_truncate(&r->m->files[file], size);
}

/* Fill, and put the tag back. */
static void
fill(struct run *r, int file)
{
    uint64_t size = TAG_BYTES + below(r, MODEL_BYTES - TAG_BYTES + 1);
    uint8_t tag[TAG_BYTES];
    struct slice part = slice_of(tag, sizeof(tag));

    memset(tag, file + 1, sizeof(tag));
    EXPECT_OK(file_fill(r->open[file], size, NULL));
    EXPECT_OK(file_write(r->open[file], 0, &part, 1, NULL));
    EXPECT_OK(file_sync(r->open[file], NULL)); /* or the file could become nobody's */
    model_fill(&r->m->files[file], size);
    model_write(&r->m->files[file], 0, tag, sizeof(tag));
    model_sync(&r->m->files[file]);
}

static void
sync_file(struct run *r, int file)
{
    bool fails = below(r, 4) == 0;

    if (fails)
        sim_fail(r->f.w, 1, SIM_SYNC, 1, false, ST_IO);
    EXPECT_ST(file_sync(r->open[file], NULL), fails ? ST_IO : ST_OK);
    if (fails)
        model_fail_sync(&r->m->files[file]);
    else
        model_sync(&r->m->files[file]);
}

static void
change_bytes(struct run *r, int name)
{
    int file = r->m->now[name];

    if (file < 0)
        return;
    if (!model_may_change(&r->m->files[file])) {
        sync_file(r, file);
        return;
    }
    switch (below(r, 8)) {
    case 0:
        cut_or_grow(r, file);
        break;
    case 1:
        fill(r, file);
        break;
    case 2:
        sync_file(r, file);
        break;
    default:
        write_some(r, file);
        break;
    }
}

static void
call_something(struct run *r)
{
    int name = (int)below(r, MODEL_NAMES);
    int folder = (int)below(r, MODEL_FOLDERS);

    switch (below(r, 12)) {
    case 0:
    case 1:
        create(r, name);
        break;
    case 2:
        change_names(r, name);
        break;
    case 3:
        sync_dir(&r->f, model_folders[folder]);
        model_sync_dir(r->m, folder);
        break;
    default:
        change_bytes(r, name);
        break;
    }
}

/* ------------------------------------------------------------------ checks */

static void
check_before(struct run *r)
{
    for (int name = 0; name < MODEL_NAMES; name++) {
        int file = r->m->now[name];
        struct buf got = buf_empty(MODEL_BYTES);
        uint64_t size;

        if (file < 0) {
            EXPECT(!exists(&r->f, model_names[name]));
            continue;
        }
        read_whole(r, name, &got);
        EXPECT_U64(got.size, r->m->files[file].size);
        EXPECT_OK(env_stat(r->f.env, model_names[name], &size, NULL));
        EXPECT_U64(size, got.size);
        for (size_t i = 0; i < got.size; i++)
            EXPECT_U64(got.data[i], r->m->files[file].sectors[i / SIM_SECTOR].now[i % SIM_SECTOR]);
        buf_release(&got);
    }
}

/* Nobody removed it or put another in its place, so it must be somewhere, and once. */
static bool
is_certain(const struct model *m, int file)
{
    bool certain = false;

    for (int name = 0; name < MODEL_NAMES; name++) {
        if (m->now[name] != file)
            continue;
        certain = true;
        for (int other = 0; other <= MODEL_FILES; other++)
            certain = certain && (m->possible[name][other] == (other == file + 1));
    }
    return certain;
}

static int
check_name(struct run *r, int name)
{
    struct buf got = buf_empty(MODEL_BYTES);
    int file;

    if (!exists(&r->f, model_names[name])) {
        EXPECT(r->m->possible[name][0]);
        return -1;
    }
    read_whole(r, name, &got);
    EXPECT(got.size >= TAG_BYTES);
    file = got.data[0] - 1;
    EXPECT(file >= 0 && file < r->m->file_count);
    EXPECT(r->m->possible[name][file + 1]);
    EXPECT(model_allows(&r->m->files[file], buf_slice(&got)));
    if (r->m->files[file].size_min != r->m->files[file].size_max) {
        r->survived += got.size == r->m->files[file].size;
        r->lost += got.size != r->m->files[file].size;
    }
    model_settle_file(&r->m->files[file], buf_slice(&got));
    buf_release(&got);
    return file;
}

static void
check_after(struct run *r)
{
    int found[MODEL_NAMES];
    bool certain[MODEL_FILES] = { false };
    int times[MODEL_FILES] = { 0 };

    for (int file = 0; file < r->m->file_count; file++)
        certain[file] = is_certain(r->m, file);
    for (int name = 0; name < MODEL_NAMES; name++) {
        found[name] = check_name(r, name);
        if (found[name] >= 0)
            times[found[name]]++;
    }
    for (int file = 0; file < r->m->file_count; file++) {
        EXPECT(times[file] <= 1); /* nothing was linked, so no rename came in half */
        EXPECT(times[file] == 1 || !certain[file]);
    }
    for (int name = 0; name < MODEL_NAMES; name++)
        model_settle_name(r->m, name, found[name]);
}

static void
open_all(struct run *r)
{
    for (int name = 0; name < MODEL_NAMES; name++) {
        if (r->m->now[name] >= 0)
            r->open[r->m->now[name]] = open_file(&r->f, model_names[name], ENV_OPEN_WRITE);
    }
}

static void
live(struct run *r)
{
    for (int i = 0; i < CALLS; i++)
        call_something(r);
    check_before(r);
    if (below(r, 3) == 0) {
        sim_kill(r->f.w, 1); /* changes nothing */
        r->f.env = sim_boot(r->f.w, 1, 0);
        check_before(r);
    }
    crash_and_boot(&r->f);
    check_after(r);
    open_all(r);
}

TEST(a_power_cut_leaves_what_the_model_allows)
{
    uint64_t seed = test_seed(0xd15c);
    struct run r = { .m = calloc(1, sizeof(*r.m)) };

    for (uint64_t i = 0; i < WORLDS; i++) {
        r.f = setup(seed + i);
        model_init(r.m);
        EXPECT_OK(env_make_dir(r.f.env, "d", NULL));
        sync_dir(&r.f, "/");
        for (int life = 0; life < LIVES; life++)
            live(&r);
        teardown(&r.f);
    }
    EXPECT(r.survived > WORLDS && r.lost > WORLDS); /* or the test saw nothing */
    free(r.m);
}

TEST_MAIN(RUN(a_power_cut_leaves_what_the_model_allows))
