#include "unit/lsm/tree_fixture.h"

#include <stdio.h>
#include <string.h>

#include "base/assert.h"
#include "base/log.h"

enum {
    OPEN_TABLES_MAX = 8, /* fewer than there are, so that they come and go */
    BLOCK_CACHE_BYTES = 256 << 10,
    RECORD_CACHE_BYTES = 64 << 10,
    BUDGET_BYTES = 64 << 20,
};

/* ------------------------------------------------------------------ life */

static void
small_options(struct lsm_options *o)
{
    lsm_options_default(o);
    o->memtable_bytes = 64 << 10;
    o->l0_trigger = 3;
    o->l0_stall = 8;
    o->level_base_bytes = 24 << 10;
    o->level_multiplier = 3;
    o->table_bytes = 8 << 10;
    o->tables.block_bytes = 1024;
    o->tables.restart_interval = 4;
}

void
fix_init(struct fix *f, uint64_t seed)
{
    struct log_sink quiet = { .level = LOG_EMERGENCY };

    log_set_sink(&quiet); /* what is injected would be reported thousands of times */
    memset(f, 0, sizeof(*f));
    f->world = sim_create(seed);
    EXPECT(f->world != NULL);
    model_init(&f->model);
    small_options(&f->options);
    fix_boot(f);
}

void
fix_boot(struct fix *f)
{
    f->env = sim_boot(f->world, NODE, 0);
    f->tree = NULL;
    epoch_init(&f->epoch);
    epoch_join(&f->epoch, &f->slot);
    budget_init(&f->budget, BUDGET_BYTES);
    atomic_store(&f->next_number, 1);
    atomic_store(&f->manifests_open, 0);
    f->shared = (struct lsm_shared){
        .env = f->env,
        .epoch = &f->epoch,
        .budget = &f->budget,
        .next_number = &f->next_number,
        .manifests_open = &f->manifests_open,
        .manifests_open_max = 1,
    };
}

void
fix_enter(struct fix *f)
{
    f->outer = mem_heap_enter(sim_heap(f->world, NODE));
}

void
fix_leave(struct fix *f)
{
    mem_heap_enter(f->outer);
}

void
fix_end(struct fix *f)
{
    fix_leave(f);
    epoch_part(&f->epoch, &f->slot);
    epoch_release(&f->epoch);
    EXPECT_U64(budget_used(&f->budget), 0);
    sim_end(f->world, NODE);
    sim_destroy(f->world);
    model_release(&f->model);
}

static enum status
replay(struct fix *f)
{
    uint64_t flushed = lsm_flushed(f->tree).index;

    for (uint32_t i = 0; i < f->model.count; i++) {
        enum status st = ST_OK;

        if (f->model.units[i].mark.index > flushed)
            st = fix_try_apply(f, &f->model.units[i]);
        if (st != ST_OK)
            return st;
    }
    return ST_OK;
}

enum status
fix_try_open(struct fix *f)
{
    enum status st;

    st = lsm_open(&f->tree, &f->shared, TREE_ID, "tree", &f->options, true, &f->err);
    if (st != ST_OK)
        return st;
    return replay(f);
}

enum status
fix_try_start(struct fix *f)
{
    f->shared.store_id = f->store_id;
    f->shared.blocks = cache_create(BLOCK_CACHE_BYTES, &f->budget);
    if (f->shared.blocks == NULL)
        return ST_NO_MEMORY;
    f->shared.records = record_cache_create(RECORD_CACHE_BYTES, &f->budget);
    f->shared.readers = readers_create(&f->epoch, OPEN_TABLES_MAX);
    if (f->shared.records == NULL || f->shared.readers == NULL)
        return ST_NO_MEMORY;
    return fix_try_open(f);
}

void
fix_open(struct fix *f)
{
    enum status st;

    fix_enter(f);
    st = fix_try_start(f);
    if (st != ST_OK)
        print_error("%s\n", f->err.text);
    EXPECT_OK(st);
}

void
fix_stop(struct fix *f)
{
    if (f->tree != NULL)
        lsm_close(f->tree);
    f->tree = NULL;
    readers_destroy(f->shared.readers);
    record_cache_destroy(f->shared.records);
    cache_destroy(f->shared.blocks);
    f->shared.readers = NULL;
    f->shared.records = NULL;
    f->shared.blocks = NULL;
}

void
fix_close(struct fix *f)
{
    fix_stop(f);
    fix_end(f);
}

void
fix_reopen(struct fix *f)
{
    lsm_close(f->tree);
    f->tree = NULL;
    EXPECT_OK(fix_try_open(f));
}

/* ------------------------------------------------------------------ writing */

enum status
fix_try_apply(struct fix *f, const struct model_unit *u)
{
    static char keys[MODEL_WRITES][MODEL_KEY_BYTES];
    static uint8_t values[MODEL_WRITES][MODEL_VALUE_BYTES];
    struct entry entries[MODEL_WRITES];

    if (u->clear)
        return lsm_clear(f->tree, &u->mark);
    model_entries(u, entries, keys, values);
    return lsm_apply(f->tree, entries, u->count, &u->mark);
}

void
fix_apply(struct fix *f, const struct model_unit *u)
{
    EXPECT_OK(fix_try_apply(f, u));
}

void
fix_apply_last(struct fix *f)
{
    fix_apply(f, &f->model.units[f->model.count - 1]);
}

void
fix_put(struct fix *f, uint32_t key, uint32_t value_bytes)
{
    model_write(model_add(&f->model, false), key, value_bytes, 0);
    fix_apply_last(f);
}

void
fix_delete(struct fix *f, uint32_t key)
{
    model_delete(model_add(&f->model, false), key);
    fix_apply_last(f);
}

void
fix_clear(struct fix *f)
{
    model_add(&f->model, true);
    fix_apply_last(f);
}

void
fix_pass_time(struct fix *f, uint64_t ms)
{
    f->model.now_ms += ms;
    model_add(&f->model, false);
    fix_apply_last(f);
}

void
fix_flush(struct fix *f)
{
    enum status st;

    while ((st = lsm_switch(f->tree)) == ST_BUSY)
        EXPECT_OK(lsm_flush(f->tree, &f->err));
    EXPECT_OK(st);
    while (lsm_flush_due(f->tree))
        EXPECT_OK(lsm_flush(f->tree, &f->err));
}

void
fix_compact(struct fix *f)
{
    enum status st;

    while ((st = lsm_compact(f->tree, &f->err)) == ST_OK) {
    }
    EXPECT_ST(st, ST_NOT_FOUND);
}

struct lsm_stats
fix_stats(struct fix *f)
{
    struct lsm_stats stats;

    lsm_stats(f->tree, &stats);
    return stats;
}

/* ------------------------------------------------------------------ checking */

static void
check_value(const struct entry *got, const struct model_found *want)
{
    static uint8_t value[MODEL_VALUE_BYTES];

    EXPECT_U64(got->version, want->version);
    EXPECT_U64(got->type, ENTRY_VALUE);
    EXPECT_U64(got->expiry_ms, want->write.expiry_ms);
    EXPECT(slice_equal(got->value, model_value(want, value)));
}

/* A key that is dead may be found as a tombstone, as expired, or not at all. */
static void
check_found(struct fix *f, enum status st, const struct entry *got, const struct model_found *want)
{
    if (model_is_alive(&f->model, want)) {
        EXPECT_OK(st);
        check_value(got, want);
    } else if (st == ST_OK) {
        EXPECT_U64(got->version, want->version);
        EXPECT(got->type == ENTRY_TOMBSTONE ||
               (got->expiry_ms != 0 && got->expiry_ms <= f->model.now_ms));
    } else {
        EXPECT_ST(st, ST_NOT_FOUND);
    }
}

void
fix_check_key(struct fix *f, uint32_t key, version_t snapshot)
{
    struct model_found want = model_find(&f->model, key, snapshot);
    char room[MODEL_KEY_BYTES];
    struct slice name = model_key(key, room);
    struct lsm_found found;
    enum status st;

    st = lsm_get(f->tree, name, snapshot, &found, &f->err);
    check_found(f, st, &found.entry, &want);
    lsm_found_release(&found);

    epoch_enter(&f->epoch, &f->slot);
    st = lsm_try_get(f->tree, name, snapshot, &found, &f->err);
    if (st != ST_WOULD_BLOCK)
        check_found(f, st, &found.entry, &want);
    lsm_found_release(&found);
    epoch_leave(&f->epoch, &f->slot);
}

void
fix_check_keys(struct fix *f, version_t snapshot)
{
    for (uint32_t key = 0; key < MODEL_KEYS; key++)
        fix_check_key(f, key, snapshot);
}

struct walk {
    struct fix *f;
    struct lsm_iter *it;
    version_t snapshot;
    uint32_t at; /* the key it stands on; MODEL_KEYS: past an end */
};

/* The next alive key from `from` in this direction; MODEL_KEYS when there is none. */
static uint32_t
alive_from(const struct walk *w, uint32_t from, int direction)
{
    for (uint32_t key = from; key < MODEL_KEYS; key += (uint32_t)direction) {
        struct model_found found = model_find(&w->f->model, key, w->snapshot);

        if (model_is_alive(&w->f->model, &found))
            return key;
    }
    return MODEL_KEYS; /* also when 0 - 1 has wrapped around */
}

static void
check_stands(struct walk *w, enum status st, uint32_t want)
{
    struct model_found found;
    char room[MODEL_KEY_BYTES];
    struct entry e;

    EXPECT_ST(st, want == MODEL_KEYS ? ST_NOT_FOUND : ST_OK);
    w->at = want;
    if (want == MODEL_KEYS)
        return;
    found = model_find(&w->f->model, want, w->snapshot);
    lsm_iter_entry(w->it, &e);
    EXPECT(slice_equal(e.key, model_key(want, room)));
    check_value(&e, &found);
}

static void
check_ends_to_end(struct walk *w)
{
    struct err *err = &w->f->err;

    check_stands(w, lsm_iter_first(w->it, err), alive_from(w, 0, 1));
    while (w->at != MODEL_KEYS)
        check_stands(w, lsm_iter_next(w->it, err), alive_from(w, w->at + 1, 1));
    check_stands(w, lsm_iter_last(w->it, err), alive_from(w, MODEL_KEYS - 1, -1));
    while (w->at != MODEL_KEYS)
        check_stands(w, lsm_iter_prev(w->it, err), alive_from(w, w->at - 1, -1));
}

static void
check_turn(struct walk *w, struct prng *prng)
{
    struct err *err = &w->f->err;
    uint32_t key = (uint32_t)prng_below(prng, MODEL_KEYS);
    char room[MODEL_KEY_BYTES];

    if (w->at == MODEL_KEYS || prng_chance(prng, 1, 5)) {
        if (prng_chance(prng, 1, 2))
            check_stands(w, lsm_iter_seek(w->it, model_key(key, room), err), alive_from(w, key, 1));
        else
            check_stands(w, lsm_iter_seek_before(w->it, model_key(key, room), err),
                         alive_from(w, key - 1, -1));
    } else if (prng_chance(prng, 1, 2)) {
        check_stands(w, lsm_iter_next(w->it, err), alive_from(w, w->at + 1, 1));
    } else {
        check_stands(w, lsm_iter_prev(w->it, err), alive_from(w, w->at - 1, -1));
    }
}

void
fix_check_iter(struct fix *f, const struct lsm_snapshot *snapshot, struct prng *prng)
{
    struct lsm_iter_options options = { .snapshot = snapshot, .now_ms = f->model.now_ms };
    struct walk w = { .f = f, .at = MODEL_KEYS };

    w.snapshot = snapshot != NULL ? lsm_snapshot_version(snapshot) : model_last_version(&f->model);
    options.fill_cache = prng_chance(prng, 1, 2);
    EXPECT_OK(lsm_iter_create(f->tree, &options, &w.it, &f->err));
    check_ends_to_end(&w);
    for (int i = 0; i < 30; i++)
        check_turn(&w, prng);
    lsm_iter_destroy(w.it);
}

void
fix_check(struct fix *f)
{
    struct prng prng;

    prng_init(&prng, f->model.count);
    fix_check_keys(f, VERSION_MAX);
    fix_check_iter(f, NULL, &prng);
}

struct counting {
    const char *ending;
    uint32_t count;
};

static void
count_file(void *ctx, const char *path, uint64_t size)
{
    struct counting *c = ctx;
    size_t length = strlen(path);
    size_t tail = strlen(c->ending);

    (void)size;
    c->count += length >= tail && strcmp(path + length - tail, c->ending) == 0;
}

uint32_t
fix_count_files(struct fix *f, const char *ending)
{
    struct counting c = { .ending = ending };

    sim_disk_each(f->world, NODE, count_file, &c);
    return c.count;
}
