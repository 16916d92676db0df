#include "manifest_fixture.h"

#include <inttypes.h>

#include "base/log.h"

#include "store_fixture.h"
#include "unit/test.h"

enum { LONG_KEY_BYTES = 25000 };

/* ------------------------------------------------------------------ the script */

struct script_table {
    uint32_t level;
    uint64_t id;
    const char *from;
    const char *to; /* "*": a key of LONG_KEY_BYTES */
};

struct script_step {
    bool reopen; /* nothing but closing and opening */
    bool clear;
    bool marks;
    struct script_table add[2];
    struct script_table remove[3]; /* level and id */
};

/* What a tree does in a week: flushes, compactions, a move, more than fits into a file, a
 * clear, and a restart or two. */
static const struct script_step script[SCRIPT_STEPS] = {
    { .marks = true, .add = { { 0, 1, "a", "m" } } },
    { .marks = true, .add = { { 0, 2, "b", "z" } } },
    { .add = { { 1, 3, "a", "k" }, { 1, 4, "l", "z" } }, .remove = { { .id = 1 }, { .id = 2 } } },
    { .add = { { 2, 4, "l", "z" } }, .remove = { { .level = 1, .id = 4 } } },
    { .marks = true, .add = { { 0, 5, "a", "*" }, { 5, 7, "d", "*" } } },
    { .add = { { 5, 6, "c", "*" } },
      .remove = { { .id = 5 }, { .level = 5, .id = 7 } } }, /* the file is full */
    { .remove = { { .level = 5, .id = 6 } } },
    { .reopen = true },
    { .marks = true, .add = { { 0, 8, "e", "f" } } }, /* a new process, a new file */
    { .marks = true, .clear = true },
    { .marks = true, .add = { { 0, 9, "f", "g" } } },
    { .marks = true },
};

static const char *
key_text(const char *key)
{
    static char text[LONG_KEY_BYTES + 1];

    if (strcmp(key, "*") != 0)
        return key;
    memset(text, 'z', LONG_KEY_BYTES);
    return text;
}

/* The edit of a step.  The caller releases it in any case. */
static enum status
make_edit(int step, const uint64_t *numbers, struct file_sweep *sweep, struct version_edit *e)
{
    const struct script_step *s = &script[step];
    enum status st = ST_OK;

    version_edit_init(e);
    e->clear = s->clear;
    e->mark_set = s->marks;
    if (s->marks)
        e->mark = (struct lsm_mark){ (uint64_t)step + 1, 2, (version_t)(step + 1) * 10 };
    for (int i = 0; st == ST_OK && i < 3 && s->remove[i].id != 0; i++)
        st = version_edit_remove(e, s->remove[i].level, numbers[s->remove[i].id]);
    for (int i = 0; st == ST_OK && i < 2 && s->add[i].id != 0; i++) {
        const struct script_table *t = &s->add[i];
        struct table_spec spec = TABLE(t->level, numbers[t->id], t->from, key_text(t->to),
                                       (uint64_t)step * 10 + 1, (uint64_t)step * 10 + 9, 1000);
        struct table_file *f = fixture_try_file(sweep, &spec);

        st = f == NULL ? ST_NO_MEMORY : version_edit_add(e, t->level, f);
        if (f != NULL)
            table_file_unref(f);
    }
    return st;
}

static void put(struct script_state *s, const char *fmt, ...) PRINTF_LIKE(2, 3);

static void
put(struct script_state *s, const char *fmt, ...)
{
    size_t used = strlen(s->text);
    va_list args;

    va_start(args, fmt);
    vsnprintf(s->text + used, sizeof(s->text) - used, fmt, args);
    va_end(args);
}

static void
describe(const struct version *v, const struct lsm_mark *mark, struct script_state *out)
{
    out->text[0] = '\0';
    put(out, "index %" PRIu64 " term %" PRIu64 " version %" PRIu64, mark->index, mark->term,
        mark->version);
    for (uint32_t level = 0; level < LIMIT_LEVELS; level++) {
        for (uint32_t i = 0; i < v->levels[level].count; i++) {
            const struct table_info *info = &v->levels[level].files[i]->info;

            put(out, " | L%" PRIu32 ": %" PRIu64 "[%.1s..%.1s %zu]@%" PRIu64, level,
                info->number % SCRIPT_ID_LIMIT, (const char *)info->smallest.data,
                (const char *)info->largest.data, info->largest.size, info->version_max);
        }
    }
}

struct script_state
script_expected(int count)
{
    uint64_t numbers[SCRIPT_ID_LIMIT];
    struct version *v = version_create();
    struct lsm_mark mark = { 0 };
    struct file_sweep sweep;
    struct script_state state;

    file_sweep_init(&sweep);
    for (uint64_t i = 0; i < SCRIPT_ID_LIMIT; i++)
        numbers[i] = i;
    for (int i = 0; i < count; i++) {
        struct version *after = NULL;
        struct version_edit e;

        EXPECT_OK(make_edit(i, numbers, &sweep, &e));
        EXPECT_OK(version_apply(v, &e, &after, NULL));
        version_unref(v);
        v = after;
        mark = e.mark_set ? e.mark : mark;
        version_edit_release(&e);
    }
    describe(v, &mark, &state);
    version_unref(v);
    file_sweep_release(&sweep);
    return state;
}

/* ------------------------------------------------------------------ inside the node */

/* Nothing here may fail the test: it runs on a fiber, which may die at any call. */

enum status
run_write_table(struct run *r, uint64_t number)
{
    struct slice word = slice_str("table");
    char path[LIMIT_PATH_BYTES];
    struct file *f;
    enum status st;

    table_file_path(SCRIPT_DIR, number, path);
    st = env_open(r->env, path, ENV_OPEN_WRITE | ENV_OPEN_CREATE, &f, &r->err);
    if (st != ST_OK)
        return st;
    st = file_write(f, 0, &word, 1, &r->err);
    if (st == ST_OK)
        st = file_sync(f, &r->err);
    file_close(f);
    return st;
}

/* As lsm_sweep(): what the last edit removed and no longer names is deleted. */
static void
remove_tables(struct run *r, int step, const struct version *before)
{
    const struct script_step *s = &script[step];
    char path[LIMIT_PATH_BYTES];

    for (uint32_t level = 0; s->clear && level < LIMIT_LEVELS; level++) {
        for (uint32_t i = 0; i < before->levels[level].count; i++) {
            table_file_path(SCRIPT_DIR, before->levels[level].files[i]->info.number, path);
            r->st = env_remove(r->env, path, &r->err);
        }
    }
    for (int i = 0; i < 3 && s->remove[i].id != 0; i++) {
        if (s->remove[i].id == s->add[0].id)
            continue; /* moved */
        table_file_path(SCRIPT_DIR, r->numbers[s->remove[i].id], path);
        r->st = env_remove(r->env, path, &r->err);
    }
}

static enum status
write_new_tables(struct run *r, int step, int attempt)
{
    const struct script_step *s = &script[step];
    enum status st = ST_OK;

    for (int i = 0; st == ST_OK && i < 2 && s->add[i].id != 0; i++) {
        uint64_t id = s->add[i].id;

        if (s->remove[0].id == id)
            continue; /* moved */
        r->numbers[id] = id + (uint64_t)attempt * SCRIPT_ID_LIMIT;
        st = run_write_table(r, r->numbers[id]);
    }
    return st;
}

static enum status
try_edit(struct run *r, int step, int attempt)
{
    struct version *after = NULL;
    struct version *before;
    struct version_edit e;
    struct lsm_mark mark = r->mark;
    enum status st = write_new_tables(r, step, attempt);

    if (st != ST_OK)
        return st;
    st = make_edit(step, r->numbers, &r->sweep, &e);
    if (st == ST_OK)
        st = version_apply(r->version, &e, &after, &r->err);
    if (e.mark_set)
        mark = e.mark;
    if (st == ST_OK)
        st = manifest_record(r->manifest, &e, after, &mark, &r->err);
    version_edit_release(&e);
    if (st != ST_OK) {
        if (after != NULL)
            version_unref(after);
        return st;
    }
    r->acked = step + 1;
    r->mark = mark;
    before = r->version;
    r->version = after;
    remove_tables(r, step, before);
    version_unref(before);
    return ST_OK;
}

void
run_close(struct run *r)
{
    if (r->manifest == NULL)
        return;
    manifest_close(r->manifest);
    version_unref(r->version);
    file_sweep_release(&r->sweep);
    r->manifest = NULL;
    r->version = NULL;
}

enum status
run_open(struct run *r, bool create)
{
    enum status st;

    r->manifest = NULL;
    r->version = NULL;
    file_sweep_init(&r->sweep);
    st = manifest_open(&r->manifest, r->env, SCRIPT_DIR, SCRIPT_TREE, create, &r->sweep,
                       &r->version, &r->mark, &r->number_max, &r->err);
    if (st != ST_OK)
        file_sweep_release(&r->sweep);
    return st;
}

static enum status
try_step(struct run *r, int step, int attempt)
{
    if (!script[step].reopen)
        return try_edit(r, step, attempt);
    run_close(r);
    r->st = run_open(r, false);
    if (r->st == ST_OK)
        r->acked = step + 1;
    return r->st;
}

static enum status
insist(struct run *r, int step)
{
    enum status st = ST_IO;

    r->attempted = step + 1;
    for (int attempt = 0; st != ST_OK && attempt < (r->once ? 1 : SCRIPT_TRIES); attempt++) {
        if (r->manifest == NULL && script[step].reopen == false)
            break;
        st = try_step(r, step, attempt);
    }
    return st;
}

static void
script_main(void *ctx)
{
    struct run *r = ctx;
    enum status st = ST_IO;

    for (int attempt = 0; st != ST_OK && attempt < (r->once ? 1 : SCRIPT_TRIES); attempt++)
        st = run_open(r, true);
    r->opened = st == ST_OK;
    for (int step = r->acked; st == ST_OK && step < SCRIPT_STEPS; step++)
        st = insist(r, step);
    r->finished = st == ST_OK;
    if (st != ST_OK)
        r->st = st;
    run_close(r);
}

bool
run_script(struct run *r)
{
    return sim_call(r->w, SCRIPT_NODE, script_main, r);
}

struct look {
    struct run *r;
    bool create;
    struct script_state *found;
};

static void
look_main(void *ctx)
{
    struct look *look = ctx;
    struct run *r = look->r;

    r->st = run_open(r, look->create);
    if (r->st != ST_OK)
        return;
    describe(r->version, &r->mark, look->found);
    run_close(r);
}

bool
run_look(struct run *r, bool create, struct script_state *found)
{
    struct look look = { r, create, found };

    return sim_call(r->w, SCRIPT_NODE, look_main, &look);
}

void
run_read(struct run *r, struct script_state *found)
{
    struct mem_heap *outer = mem_heap_enter(sim_heap(r->w, SCRIPT_NODE));
    struct version *v = NULL;
    struct lsm_mark mark;

    file_sweep_init(&r->sweep);
    r->st = manifest_read(r->env, SCRIPT_DIR, &r->sweep, &v, &mark, &r->err);
    if (r->st == ST_OK) {
        describe(v, &mark, found);
        version_unref(v);
    }
    file_sweep_release(&r->sweep);
    mem_heap_enter(outer);
}

/* ------------------------------------------------------------------ the world around it */

static void
make_parent(void *ctx)
{
    struct run *r = ctx;

    r->st = env_make_dir(r->env, SCRIPT_PARENT, &r->err);
    if (r->st == ST_OK)
        r->st = env_sync_dir(r->env, ".", &r->err);
}

void
run_boot(struct run *r)
{
    r->env = sim_boot(r->w, SCRIPT_NODE, 0);
    assert_non_null(r->env);
}

void
run_init(struct run *r, uint64_t seed)
{
    static const struct log_sink quiet = { .level = LOG_OFF };

    log_set_sink(&quiet);
    *r = (struct run){ .w = sim_create(seed) };
    assert_non_null(r->w);
    for (uint64_t i = 0; i < SCRIPT_ID_LIMIT; i++)
        r->numbers[i] = i;
    sim_set_disk_latency_us(r->w, SCRIPT_NODE, 0);
    run_boot(r);
    EXPECT(sim_call(r->w, SCRIPT_NODE, make_parent, r));
    EXPECT_OK(r->st);
    sim_end(r->w, SCRIPT_NODE);
}

void
run_destroy(struct run *r)
{
    sim_destroy(r->w);
}

/* The script, cut short. */
static void
build_main(void *ctx)
{
    struct look *look = ctx;
    struct run *r = look->r;
    int count = r->attempted;

    r->st = run_open(r, true);
    for (int step = 0; r->st == ST_OK && step < count; step++)
        r->st = try_step(r, step, 0);
    run_close(r);
}

void
run_build(struct run *r, uint64_t seed, int count)
{
    struct look look = { r, true, NULL };

    run_init(r, seed);
    run_boot(r);
    r->attempted = count;
    EXPECT(sim_call(r->w, SCRIPT_NODE, build_main, &look));
    EXPECT_OK(r->st);
    EXPECT_U64(r->acked, count);
    r->opened = true;
    sim_end(r->w, SCRIPT_NODE);
}

struct file_search {
    const char *containing;
    char last[LIMIT_PATH_BYTES];
    int count;
};

static void
search_file(void *ctx, const char *path, uint64_t size)
{
    struct file_search *s = ctx;

    (void)size;
    if (strstr(path, s->containing) == NULL)
        return;
    s->count++;
    snprintf(s->last, sizeof(s->last), "%s", path);
}

int
run_count_files(struct run *r, const char *containing)
{
    struct file_search s = { .containing = containing };

    sim_disk_each(r->w, SCRIPT_NODE, search_file, &s);
    return s.count;
}

void
run_current_manifest(struct run *r, char out[LIMIT_PATH_BYTES])
{
    struct file_search s = { .containing = "/MANIFEST-" };

    sim_disk_each(r->w, SCRIPT_NODE, search_file, &s);
    EXPECT(s.count > 0);
    memcpy(out, s.last, LIMIT_PATH_BYTES);
}
