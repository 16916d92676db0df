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

static enum status
write_table(struct run *r, uint64_t number)
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
        st = write_table(r, r->numbers[id]);
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

static void
close_tree(struct run *r)
{
    if (r->manifest == NULL)
        return;
    manifest_close(r->manifest);
    version_unref(r->version);
    file_sweep_release(&r->sweep);
    r->manifest = NULL;
    r->version = NULL;
}

static enum status
open_tree(struct run *r, bool create)
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
    close_tree(r);
    r->st = open_tree(r, false);
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
        st = open_tree(r, true);
    r->opened = st == ST_OK;
    for (int step = r->acked; st == ST_OK && step < SCRIPT_STEPS; step++)
        st = insist(r, step);
    r->finished = st == ST_OK;
    if (st != ST_OK)
        r->st = st;
    close_tree(r);
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

    r->st = open_tree(r, look->create);
    if (r->st != ST_OK)
        return;
    describe(r->version, &r->mark, look->found);
    close_tree(r);
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

/* One edit more, whatever the state: an L0 table without a new mark. */
static void
go_on_main(void *ctx)
{
    struct run *r = ctx;
    struct table_spec spec = TABLE(0, 9999, "y", "y", 5000, 5001, 1);
    struct version *after = NULL;
    struct version_edit e;
    struct table_file *f;

    r->st = open_tree(r, false);
    if (r->st != ST_OK)
        return;
    r->st = write_table(r, spec.number);
    version_edit_init(&e);
    f = fixture_try_file(&r->sweep, &spec);
    if (r->st == ST_OK)
        r->st = version_edit_add(&e, 0, f);
    table_file_unref(f);
    if (r->st == ST_OK)
        r->st = version_apply(r->version, &e, &after, &r->err);
    if (r->st == ST_OK)
        r->st = manifest_record(r->manifest, &e, after, &r->mark, &r->err);
    version_edit_release(&e);
    if (after != NULL)
        version_unref(after);
    close_tree(r);
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

    r->st = open_tree(r, true);
    for (int step = 0; r->st == ST_OK && step < count; step++)
        r->st = try_step(r, step, 0);
    close_tree(r);
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

static const char *
complain(const char *what, const char *detail)
{
    static char text[4 * SCRIPT_STATE_BYTES];

    snprintf(text, sizeof(text), "%s: %s", what, detail);
    return text;
}

/* How many tables does this state name? */
static int
count_tables(const struct script_state *s)
{
    int count = 0;

    for (const char *at = s->text; (at = strstr(at, " | ")) != NULL; at++)
        count++;
    return count;
}

static const char *
complain_of_files(struct run *r, const struct script_state *found)
{
    if (run_count_files(r, "MANIFEST-") != 1)
        return complain("more than one manifest, or none", found->text);
    if (run_count_files(r, ".sst") != count_tables(found))
        return complain("tables that are not in the version", found->text);
    return NULL;
}

/* Nothing is under way, so whoever loses the manifest must notice (M2). */
static const char *
complain_of_leftovers(struct run *r)
{
    if (r->opened && !r->names_doubtful && r->attempted == r->acked &&
        run_count_files(r, "MANIFEST-") != 1)
        return complain("an older manifest is still there", "");
    return NULL;
}

static const char *
complain_of_state(struct run *r, const struct script_state *found)
{
    for (int i = r->acked; i <= r->attempted; i++) {
        struct script_state want = script_expected(i);

        if (strcmp(want.text, found->text) == 0)
            return NULL;
    }
    return complain("neither the old state nor the new one", found->text);
}

static const char *
complain_of_going_on(struct run *r, struct script_state *found)
{
    struct script_state again;

    if (!sim_call(r->w, SCRIPT_NODE, go_on_main, r) || r->st != ST_OK)
        return complain("no more edits", r->err.text);
    sim_crash(r->w, SCRIPT_NODE);
    run_boot(r);
    if (!run_look(r, false, &again) || r->st != ST_OK)
        return complain("the edit after recovery was lost", r->err.text);
    if (strstr(again.text, "99[y..y 1]") == NULL || count_tables(&again) != count_tables(found) + 1)
        return complain("the edit after recovery was lost", again.text);
    return NULL;
}

const char *
run_complaint(struct run *r)
{
    struct script_state found;
    const char *complaint = complain_of_leftovers(r);

    run_boot(r);
    if (complaint != NULL)
        return complaint;
    if (!run_look(r, !r->opened, &found))
        return complain("crashed", "without a reason");
    if (r->st != ST_OK)
        return complain(status_name(r->st), r->err.text);
    complaint = complain_of_state(r, &found);
    if (complaint == NULL)
        complaint = complain_of_files(r, &found);
    if (complaint == NULL)
        complaint = complain_of_going_on(r, &found);
    if (complaint == NULL)
        sim_end(r->w, SCRIPT_NODE); /* and nothing leaked */
    return complaint;
}

void
run_judge(struct run *r, const char *what)
{
    const char *complaint = run_complaint(r);

    if (complaint == NULL)
        return;
    print_error("%s, %d of %d steps acked: %s\n", what, r->acked, r->attempted, complaint);
    _fail(__FILE__, __LINE__);
}

/* ------------------------------------------------------------------ watching */

enum { TRACE_BYTES = 4096, SYNCS_MAX = 200, SYNC_PATH_BYTES = 100 };

static struct {
    const struct env_ops *env_inner;
    struct env_ops env_ops;
    const struct file_ops *file_inner;
    struct file_ops file_ops;
    char trace[TRACE_BYTES];
    struct sim *w;
    char syncs[SYNCS_MAX][SYNC_PATH_BYTES];
    uint64_t calls[SYNCS_MAX];
    int sync_count;
    int skip;
} watch;

static void
note(const char *word)
{
    size_t used = strlen(watch.trace);

    snprintf(watch.trace + used, TRACE_BYTES - used, "%s%s", used > 0 ? " " : "", word);
}

/* Shall this sync be skipped? */
static bool
note_sync(const char *path)
{
    watch.sync_count++;
    if (watch.sync_count <= SYNCS_MAX) {
        snprintf(watch.syncs[watch.sync_count - 1], SYNC_PATH_BYTES, "%s", path);
        watch.calls[watch.sync_count - 1] = sim_op_count(watch.w, SCRIPT_NODE, SIM_OP_ALL) + 1;
    }
    return watch.sync_count == watch.skip;
}

static enum status
watched_write(struct file *f, uint64_t offset, const struct slice *parts, size_t count,
              struct err *err)
{
    note("write");
    return watch.file_inner->write(f, offset, parts, count, err);
}

static enum status
watched_fill(struct file *f, uint64_t size, struct err *err)
{
    note("fill");
    return watch.file_inner->fill(f, size, err);
}

static enum status
watched_sync(struct file *f, struct err *err)
{
    note("sync");
    return note_sync(file_path(f)) ? ST_OK : watch.file_inner->sync(f, err);
}

static enum status
watched_open(struct env *env, const char *path, unsigned flags, struct file **out, struct err *err)
{
    enum status st = watch.env_inner->open(env, path, flags, out, err);

    note((flags & ENV_OPEN_CREATE) != 0 ? "create" : "open");
    if (st != ST_OK)
        return st;
    if (watch.file_inner == NULL) {
        watch.file_inner = (*out)->ops;
        watch.file_ops = *(*out)->ops;
        watch.file_ops.write = watched_write;
        watch.file_ops.fill = watched_fill;
        watch.file_ops.sync = watched_sync;
    }
    (*out)->ops = &watch.file_ops;
    return ST_OK;
}

static enum status
watched_sync_dir(struct env *env, const char *path, struct err *err)
{
    note("sync-folder");
    return note_sync(path) ? ST_OK : watch.env_inner->sync_dir(env, path, err);
}

static enum status
watched_rename(struct env *env, const char *from, const char *to, struct err *err)
{
    note("rename");
    return watch.env_inner->rename(env, from, to, err);
}

static enum status
watched_remove(struct env *env, const char *path, struct err *err)
{
    note("remove");
    return watch.env_inner->remove(env, path, err);
}

void
watch_begin(struct run *r, int skip)
{
    struct env *env = r->env;

    memset(&watch, 0, sizeof(watch));
    watch.w = r->w;
    watch.skip = skip;
    watch.env_inner = env->ops;
    watch.env_ops = *env->ops;
    watch.env_ops.open = watched_open;
    watch.env_ops.sync_dir = watched_sync_dir;
    watch.env_ops.rename = watched_rename;
    watch.env_ops.remove = watched_remove;
    env->ops = &watch.env_ops;
}

const char *
watch_trace(void)
{
    return watch.trace;
}

void
watch_forget(void)
{
    watch.trace[0] = '\0';
}

int
watch_sync_count(void)
{
    return watch.sync_count;
}

const char *
watch_sync_path(int n)
{
    EXPECT(n >= 1 && n <= watch.sync_count && n <= SYNCS_MAX);
    return watch.syncs[n - 1];
}

uint64_t
watch_sync_call(int n)
{
    EXPECT(n >= 1 && n <= watch.sync_count && n <= SYNCS_MAX);
    return watch.calls[n - 1];
}
