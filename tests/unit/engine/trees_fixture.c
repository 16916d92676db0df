#include "unit/engine/trees_fixture.h"

#include "base/mem.h"

#include "unit/test.h"

void
house_create(struct house *h, uint64_t seed)
{
    *h = (struct house){ .w = sim_create(seed) };
    assert_non_null(h->w);
    engine_options_default(&h->options);
    h->options.dir = "data";
    h->options.budget_bytes = 4 << 20;
    h->options.segment_bytes = 64 << 10;
    h->options.min_free_bytes = 1 << 20;
    h->options.trees.memtable_bytes = 64 << 10;
    h->options.trees.compact_wait_ms = 100;
}

void
house_destroy(struct house *h)
{
    sim_destroy(h->w);
}

/* ------------------------------------------------------------------ a process */

static enum status
apply(struct house *h, struct engine_tree *tree, uint64_t index, struct slice key, wal_position at)
{
    struct entry e = { .key = key, .value = key, .type = ENTRY_VALUE, .version = index };
    struct lsm_mark mark = { .index = index, .term = 1, .version = index };

    if (h->index < index)
        h->index = index;
    EXPECT_OK(lsm_apply(engine_tree_lsm(tree), &e, 1, &mark));
    engine_tree_applied(tree, index, at);
    return ST_OK;
}

static enum status
replay(void *ctx, struct engine_tree *tree, const struct wal_record *record, wal_position at,
       struct err *err)
{
    struct house *h = ctx;

    if (tree == NULL)
        return err_raise(err, ST_CORRUPT, "a record of nobody's");
    EXPECT_U64(record->tablet, engine_tree_id(tree));
    if (h->replayed_count < HOUSE_REPLAYED_MAX)
        snprintf(h->replayed[h->replayed_count++], sizeof(h->replayed[0]), "%llu:%.*s",
                 (unsigned long long)record->tablet, (int)record->body.size,
                 (const char *)record->body.data);
    if (record->type != WAL_ENTRY)
        return ST_OK;
    engine_tree_expect(tree);
    return apply(h, tree, record->index, record->body, at);
}

enum status
house_try_open(struct house *h)
{
    const struct engine_replay to = { .replay = replay, .ctx = h };
    struct wal_recovery report;
    enum status st;

    h->engine = NULL;
    h->replayed_count = 0;
    st = engine_open(&h->engine, h->env, &h->options, &h->err);
    if (st != ST_OK)
        return st;
    st = engine_recover(h->engine, &to, &report, &h->err);
    if (st == ST_OK)
        engine_serve(h->engine);
    else
        (void)engine_close(h->engine, NULL);
    return st;
}

static void
open_body(struct house *h)
{
    EXPECT_OK(house_try_open(h));
}

struct running {
    struct house *h;
    void (*body)(struct house *h);
};

static void
run_body(void *ctx)
{
    struct running *r = ctx;

    r->body(r->h);
}

bool
house_run(struct house *h, void (*body)(struct house *h))
{
    struct running r = { h, body };

    return sim_call(h->w, HOUSE_NODE, run_body, &r);
}

void
house_boot(struct house *h)
{
    h->env = sim_boot(h->w, HOUSE_NODE, 0);
    EXPECT(house_run(h, open_body));
}

void
house_reboot(struct house *h)
{
    if (sim_running(h->w, HOUSE_NODE))
        sim_crash(h->w, HOUSE_NODE);
    house_boot(h);
}

static void
close_body(struct house *h)
{
    EXPECT_OK(engine_close(h->engine, &h->err));
}

void
house_end(struct house *h)
{
    EXPECT(house_run(h, close_body));
    sim_end(h->w, HOUSE_NODE);
}

/* ------------------------------------------------------------------ trees */

struct engine_tree *
house_new_tree(struct house *h, uint64_t id)
{
    struct engine_tree *tree = NULL;

    EXPECT_OK(engine_create_tree(h->engine, id, &tree, &h->err));
    return tree;
}

static void
append(struct house *h, struct engine_tree *tree, const struct wal_record *record,
       wal_position *end)
{
    enum status st;

    while ((st = engine_append(tree, record, ENGINE_SYNC_NOW, end, &h->err)) == ST_BUSY)
        EXPECT_OK(engine_make_room(h->engine, &h->err));
    EXPECT_OK(st);
}

void
house_write(struct house *h, uint64_t tree, const char *key)
{
    struct engine_tree *t = engine_find_tree(h->engine, tree);
    struct wal_record record = {
        .type = WAL_ENTRY, .tablet = tree, .term = 1, .index = h->index + 1, .body = slice_str(key)
    };
    wal_position end;

    append(h, t, &record, &end);
    EXPECT_OK(apply(h, t, record.index, record.body, end));
}

void
house_head(struct house *h, uint64_t tree, const char *text)
{
    struct wal_record record = {
        .type = WAL_HEAD, .tablet = tree, .term = 1, .body = slice_str(text)
    };
    wal_position end;

    append(h, engine_find_tree(h->engine, tree), &record, &end);
}

void
house_seal(struct house *h, uint64_t tree)
{
    EXPECT_OK(engine_tree_seal(engine_find_tree(h->engine, tree)));
}

bool
house_has(struct house *h, uint64_t tree, const char *key)
{
    struct engine_tree *t = engine_find_tree(h->engine, tree);
    struct lsm_found found;
    enum status st;

    if (t == NULL)
        return false;
    st = lsm_get(engine_tree_lsm(t), slice_str(key), VERSION_MAX, &found, &h->err);
    if (st == ST_OK)
        lsm_found_release(&found);
    else
        EXPECT_ST(st, ST_NOT_FOUND);
    return st == ST_OK;
}

bool
house_replayed(const struct house *h, const char *what)
{
    for (uint32_t i = 0; i < h->replayed_count; i++) {
        if (strcmp(h->replayed[i], what) == 0)
            return true;
    }
    return false;
}

/* ------------------------------------------------------------------ the disk */

struct looking {
    char part[32];
    bool found;
};

static void
look(void *ctx, const char *path, uint64_t size)
{
    struct looking *l = ctx;

    (void)size;
    l->found |= strstr(path, l->part) != NULL;
}

bool
house_has_files(struct house *h, uint64_t tree)
{
    struct looking l = { .found = false };

    snprintf(l.part, sizeof(l.part), "tree-%016llx/", (unsigned long long)tree);
    sim_disk_each(h->w, HOUSE_NODE, look, &l);
    return l.found;
}
