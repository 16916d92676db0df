/* The simulated environment and the real one answer alike: the same random calls on both, the same
 * statuses, sizes, bytes and names. */
#include <ftw.h>

#include "base/mem.h"

#include "env/real.h"
#include "unit/simenv/fixture.h"

enum { CALLS = 3000, PATHS = 7, FOLDERS = 3, OPEN_MAX = 4, BYTES_MAX = 10000 };

static const char *const paths[PATHS] = { "a", "b", "d/a", "d/e", "d/e/a", "none/a", "a/x" };
static const char *const folders[FOLDERS] = { "d", "d/e", "none" };

/* One of the two, with the root that its paths are below. */
struct side {
    struct env *env;
    char root[64];
    struct file *open[OPEN_MAX];
};

struct both {
    struct side sides[2];
    struct prng prng;
    uint32_t same[ST_STATUS_COUNT]; /* how often the two agreed on this */
};

static const char *
path_in(const struct side *s, const char *path, char out[128])
{
    snprintf(out, 128, "%s/%s", s->root, path);
    return out;
}

/* ------------------------------------------------------------------ calls */

struct request {
    uint64_t kind;
    unsigned flags;
    const char *path;
    const char *other;
    size_t file;
    uint64_t offset;
    uint64_t size;
    uint8_t fill;
};

struct answer {
    enum status st;
    uint64_t size;
    size_t got;
    uint8_t bytes[BYTES_MAX];
    char names[256];
};

static enum status
open_one(struct side *s, const struct request *r, const char *path)
{
    file_close(s->open[r->file]);
    s->open[r->file] = NULL;
    return env_open(s->env, path, r->flags, &s->open[r->file], NULL);
}

static enum status
call_file(struct file *f, const struct request *r, struct answer *a)
{
    uint8_t bytes[BYTES_MAX];
    struct slice parts[2] = { slice_of(bytes, r->size / 2),
                              slice_of(bytes, r->size - r->size / 2) };

    memset(bytes, r->fill, sizeof(bytes));
    switch (r->kind) {
    case 1:
    case 2:
        return file_write(f, r->offset, parts, 2, NULL);
    case 3:
        return file_read(f, r->offset, a->bytes, r->size, &a->got, NULL);
    case 4:
        return file_truncate(f, r->size, NULL);
    case 5:
        return file_fill(f, r->size, NULL);
    case 6:
        return file_sync(f, NULL);
    default:
        return file_size(f, &a->size, NULL);
    }
}

static enum status
call_name(struct side *s, const struct request *r, struct answer *a, const char *path,
          const char *other)
{
    switch (r->kind) {
    case 8:
        return env_remove(s->env, path, NULL);
    case 9:
        return env_rename(s->env, path, other, NULL);
    case 10:
        return env_link(s->env, path, other, NULL);
    case 11:
        return env_make_dir(s->env, path, NULL);
    case 12:
        return env_remove_dir(s->env, path, NULL);
    case 13:
        return env_sync_dir(s->env, path, NULL);
    case 14:
        return env_list(s->env, path, add_name, a->names, NULL);
    default:
        return open_one(s, r, path);
    }
}

static void
call(struct side *s, const struct request *r, struct answer *a)
{
    char path[128], other[128];

    memset(a, 0, sizeof(*a));
    path_in(s, r->path, path);
    path_in(s, r->other, other);
    if (r->kind >= 1 && r->kind <= 7)
        a->st = s->open[r->file] == NULL ? ST_OK : call_file(s->open[r->file], r, a);
    else
        a->st = call_name(s, r, a, path, other);
}

static uint64_t
below(struct both *b, uint64_t limit)
{
    return prng_below(&b->prng, limit);
}

static struct request
random_request(struct both *b)
{
    static const unsigned ways[] = { ENV_OPEN_WRITE, ENV_OPEN_WRITE | ENV_OPEN_CREATE,
                                     ENV_OPEN_WRITE | ENV_OPEN_CREATE | ENV_OPEN_EXCLUSIVE,
                                     ENV_OPEN_WRITE | ENV_OPEN_TRUNCATE };
    struct request r = { .kind = below(b, 20) };
    bool folder = r.kind >= 11 && r.kind <= 14 && below(b, 4) > 0;

    r.flags = ways[below(b, 4)];
    r.path = folder ? folders[below(b, FOLDERS)] : paths[below(b, PATHS)];
    r.other = below(b, 4) == 0 ? folders[below(b, FOLDERS)] : paths[below(b, PATHS)];
    r.file = (size_t)below(b, OPEN_MAX);
    r.offset = below(b, BYTES_MAX / 2);
    r.size = below(b, BYTES_MAX / 2);
    r.fill = (uint8_t)below(b, 256);
    return r;
}

static void
compare(struct both *b)
{
    struct request r = random_request(b);
    struct answer a[2];

    call(&b->sides[0], &r, &a[0]);
    call(&b->sides[1], &r, &a[1]);
    if (a[0].st != a[1].st)
        print_error("call %u of %s and %s: real %s, simulated %s\n", (unsigned)r.kind, r.path,
                    r.other, status_name(a[0].st), status_name(a[1].st));
    EXPECT(a[0].st == a[1].st);
    EXPECT_U64(a[0].size, a[1].size);
    EXPECT_U64(a[0].got, a[1].got);
    EXPECT(memcmp(a[0].bytes, a[1].bytes, a[0].got) == 0);
    EXPECT_STR(a[0].names, a[1].names);
    b->same[a[0].st]++;
}

/* ------------------------------------------------------------------ the real side */

static void
begin_real(struct side *s)
{
    const char *base = getenv("TMPDIR");

    EXPECT_OK(real_env_create(&(struct real_env_options){ 0 }, &s->env, NULL));
    snprintf(s->root, sizeof(s->root), "%s/distkv-agree-XXXXXX", base != NULL ? base : P_tmpdir);
    EXPECT(mkdtemp(s->root) != NULL);
}

static int
remove_one(const char *path, const struct stat *st, int kind, struct FTW *where)
{
    (void)st;
    (void)kind;
    (void)where;
    return remove(path);
}

static void
end_real(struct side *s)
{
    for (int i = 0; i < OPEN_MAX; i++)
        file_close(s->open[i]);
    real_env_destroy(s->env);
    EXPECT(nftw(s->root, remove_one, 8, FTW_DEPTH | FTW_PHYS) == 0);
}

TEST(the_simulated_disk_answers_as_a_real_one)
{
    uint64_t seed = test_seed(0xa9ee);
    struct both b = { .same = { 0 } };
    struct fix f = setup(seed);

    prng_init(&b.prng, seed);
    begin_real(&b.sides[0]);
    b.sides[1].env = f.env;
    for (int i = 0; i < CALLS; i++)
        compare(&b);
    EXPECT(b.same[ST_OK] > CALLS / 4);
    EXPECT(b.same[ST_NOT_FOUND] > 50 && b.same[ST_EXISTS] > 20 && b.same[ST_IO] > 20);
    end_real(&b.sides[0]);
    teardown(&f);
}

TEST_MAIN(RUN(the_simulated_disk_answers_as_a_real_one))
