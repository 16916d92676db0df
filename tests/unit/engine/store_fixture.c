#include "unit/engine/store_fixture.h"

#include "unit/test.h"

void
store_create(struct store_fix *f, uint64_t seed)
{
    *f = (struct store_fix){ 0 };
    f->w = sim_create(seed);
    assert_non_null(f->w);
    f->options.memory_budget_bytes = 4 << 20;
    f->options.memtable_bytes = 64 << 10;
    f->options.log_segment_bytes = 64 << 10;
    f->options.level_base_bytes = 128 << 10;
    f->options.min_free_bytes = 1 << 20;
}

void
store_destroy(struct store_fix *f)
{
    sim_destroy(f->w);
}

static void
open_body(void *ctx)
{
    struct store_fix *f = ctx;

    f->open_status = store_open_on(&f->db, f->env, "data", &f->options, &f->err);
}

enum status
store_open_cut(struct store_fix *f, uint64_t nth)
{
    f->env = sim_boot(f->w, STORE_NODE, 0);
    f->db = NULL;
    if (nth > 0)
        sim_crash_at(f->w, STORE_NODE, SIM_OP_ALL, nth, prng_chance(sim_prng(f->w), 1, 2));
    if (!sim_call(f->w, STORE_NODE, open_body, f) || !sim_running(f->w, STORE_NODE))
        return ST_CLOSED;
    sim_crash_at(f->w, STORE_NODE, SIM_OP_ALL, 0, false);
    return f->open_status;
}

enum status
store_open(struct store_fix *f)
{
    return store_open_cut(f, 0);
}

static void
run_body(void *ctx)
{
    struct store_fix *f = ctx;

    f->body(f);
}

bool
store_run(struct store_fix *f, void (*body)(struct store_fix *f))
{
    f->body = body;
    return sim_call(f->w, STORE_NODE, run_body, f) && sim_running(f->w, STORE_NODE);
}

static void
close_body(struct store_fix *f)
{
    EXPECT(dkv_close(f->db, &f->error) == DKV_OK);
}

void
store_close(struct store_fix *f)
{
    EXPECT(store_run(f, close_body));
    sim_end(f->w, STORE_NODE);
}

enum dkv_status
store_put(struct store_fix *f, struct dkv_family *family, const char *key, const char *value)
{
    return dkv_put(f->db, family, key, strlen(key), value, strlen(value), NULL, &f->error);
}

enum dkv_status
store_delete(struct store_fix *f, struct dkv_family *family, const char *key)
{
    return dkv_delete(f->db, family, key, strlen(key), NULL, &f->error);
}

const char *
store_get(struct store_fix *f, struct dkv_family *family, const struct dkv_snapshot *snapshot,
          const char *key)
{
    static char text[STORE_TEXT_MAX];
    size_t size = 0;
    enum dkv_status status = dkv_get_into(f->db, family, snapshot, key, strlen(key), text,
                                          sizeof(text) - 1, &size, &f->error);

    if (status == DKV_NOT_FOUND)
        return "nil";
    if (status != DKV_OK)
        return f->error.text;
    text[size < sizeof(text) ? size : sizeof(text) - 1] = '\0';
    return text;
}

const char *
store_list(struct store_fix *f, struct dkv_family *family, const struct dkv_snapshot *snapshot,
           bool backwards)
{
    static char text[STORE_TEXT_MAX];
    struct dkv_iter *it = NULL;
    size_t used = 0;

    text[0] = '\0';
    if (dkv_iter_create(f->db, family, snapshot, &it, &f->error) != DKV_OK)
        return f->error.text;
    for (backwards ? dkv_iter_last(it) : dkv_iter_first(it); dkv_iter_valid(it);
         backwards ? dkv_iter_prev(it) : dkv_iter_next(it)) {
        size_t key_size, value_size;
        const char *key = dkv_iter_key(it, &key_size);
        const char *value = dkv_iter_value(it, &value_size);

        used += (size_t)snprintf(text + used, sizeof(text) - used, "%s%.*s=%.*s",
                                 used > 0 ? "," : "", (int)key_size, key, (int)value_size, value);
        assert_true(used < sizeof(text));
    }
    if (dkv_iter_status(it, &f->error) != DKV_OK)
        snprintf(text, sizeof(text), "%s", f->error.text);
    dkv_iter_destroy(it);
    return text;
}
