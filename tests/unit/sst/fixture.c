#include "unit/sst/fixture.h"

#include "base/hash.h"
#include "base/limits.h"
#include "base/mem.h"

struct fix
setup(void)
{
    struct fix f = { 0 };

    f.sim = sim_create(7);
    assert_non_null(f.sim);
    f.env = sim_boot(f.sim, NODE, 0);
    assert_non_null(f.env);
    return f;
}

static struct cache *
cache_of(struct fix *f)
{
    if (f->cache == NULL) {
        budget_init(&f->budget, SIZE_MAX);
        f->cache = cache_create(CACHE_BYTES, &f->budget);
        assert_non_null(f->cache);
    }
    return f->cache;
}

void
teardown(struct fix *f)
{
    cache_destroy(f->cache);
    if (f->cache != NULL)
        EXPECT_U64(budget_used(&f->budget), 0);
    sim_end(f->sim, NODE);
    sim_destroy(f->sim);
}

struct table_options
default_options(void)
{
    return (struct table_options){ .block_bytes = 4096,
                                   .restart_interval = 16,
                                   .filter_bits_per_key = 10,
                                   .compression = TABLE_PLAIN };
}

enum status
try_build(struct fix *f, const char *path, uint64_t number, const struct table_options *options,
          const struct model *m, struct table_info *info)
{
    struct table_builder *b;
    struct table_id id = { number, number };
    enum status st = table_builder_create(f->env, path, &id, options, &b, &f->err);

    if (st != ST_OK)
        return st;
    for (size_t i = 0; i < m->count; i++) {
        st = table_builder_add(b, &m->entries[i], &f->err);
        if (st != ST_OK) {
            table_builder_abandon(b);
            return st;
        }
        EXPECT_U64(table_builder_entry_count(b), i + 1);
    }
    return table_builder_finish(b, info, &f->err);
}

struct table_info
build(struct fix *f, const char *path, uint64_t number, const struct table_options *options,
      const struct model *m)
{
    struct table_info info = { 0 };

    EXPECT_OK(try_build(f, path, number, options, m, &info));
    EXPECT_U64(info.number, number);
    EXPECT_U64(info.entry_count, m->count);
    return info;
}

enum status
try_open(struct fix *f, const char *path, const struct table_info *info, struct table **out)
{
    struct cache *cache = cache_of(f);

    return table_open(f->env, path, info, cache, &f->budget, out, &f->err);
}

struct table *
open_table(struct fix *f, const char *path, const struct table_info *info)
{
    struct table *t = NULL;

    EXPECT_OK(try_open(f, path, info, &t));
    return t;
}

struct model
random_model(struct prng *p, size_t count, uint64_t key_space, size_t key_max, size_t value_max)
{
    uint8_t *key = mem_alloc(key_max + 1);
    uint8_t *value = mem_alloc(value_max + 1);
    struct model m = { 0 };

    assert_non_null(key);
    assert_non_null(value);
    for (size_t i = 0; i < count; i++) {
        version_t version = 1 + i * (1 + prng_below(p, 3)) * 1000;
        struct slice k = model_key(prng_below(p, key_space), key, key_max);
        struct entry e = model_entry(p, k, version, value, value_max);
        size_t at = model_at(&m, k, version);

        if (at < m.count &&
            entry_compare(m.entries[at].key, m.entries[at].version, k, version) == 0)
            continue;
        model_put(&m, &e);
    }
    mem_free(key);
    mem_free(value);
    return m;
}

/* Was the move refused?  If not, it must have led to the model's entry `want`. */
static bool
refused(const struct table_iter *it, enum status st, const struct model *m, size_t want,
        enum status allowed)
{
    struct entry e;

    if (st == allowed && allowed != ST_OK)
        return true;
    EXPECT_ST(st, want < m->count ? ST_OK : ST_NOT_FOUND);
    if (st != ST_OK)
        return false;
    table_iter_entry(it, &e);
    model_expect_equal(&e, &m->entries[want]);
    return false;
}

static bool
walk(struct fix *f, struct table_iter *it, const struct model *m, enum status allowed)
{
    enum status st = table_iter_first(it, &f->err);
    bool any = false;

    for (size_t i = 0;; i++) {
        if (refused(it, st, m, i, allowed)) {
            any = true;
            break;
        }
        if (st != ST_OK)
            break;
        st = table_iter_next(it, &f->err);
    }
    st = table_iter_last(it, &f->err);
    for (size_t i = m->count - 1;; i--) {
        if (refused(it, st, m, i, allowed))
            return true;
        if (st != ST_OK)
            break;
        st = table_iter_prev(it, &f->err);
    }
    return any;
}

/* Both seeks around one place, and a step from there. */
static bool
seek(struct fix *f, struct table_iter *it, const struct model *m, struct slice key,
     version_t version, enum status allowed)
{
    size_t at = model_at(m, key, version);
    enum status st = table_iter_seek(it, key, version, &f->err);
    bool any = refused(it, st, m, at, allowed);

    if (st == ST_OK)
        any |= refused(it, table_iter_prev(it, &f->err), m, at - 1, allowed);
    st = table_iter_seek_before(it, key, version, &f->err);
    any |= refused(it, st, m, at - 1, allowed);
    if (st == ST_OK)
        any |= refused(it, table_iter_next(it, &f->err), m, at, allowed);
    return any;
}

static bool
get(struct fix *f, struct table *t, const struct model *m, struct slice key, version_t snapshot,
    enum status allowed)
{
    const struct entry *want = model_get(m, key, snapshot);
    struct table_found found;
    enum status st = table_get(t, key, snapshot, TABLE_BLOCK, &found, &f->err);

    if (st == allowed && allowed != ST_OK)
        return true;
    EXPECT_ST(st, want != NULL ? ST_OK : ST_NOT_FOUND);
    if (st != ST_OK)
        return false;
    model_expect_equal(&found.entry, want);
    EXPECT(table_may_contain(t, hash64(key)));
    cache_release(found.pin);
    return false;
}

bool
read_back(struct fix *f, struct table *t, const struct model *m,
          const struct table_iter_options *reader, enum status allowed)
{
    struct table_iter *it;
    uint8_t longer[64];
    bool any;

    EXPECT_OK(table_iter_create(t, reader, &it));
    any = walk(f, it, m, allowed);
    for (size_t i = 0; i < m->count; i++) {
        const struct entry *e = &m->entries[i];

        for (int d = -1; d <= 1; d++) {
            any |= seek(f, it, m, e->key, e->version + (version_t)d, allowed);
            any |= get(f, t, m, e->key, e->version + (version_t)d, allowed);
        }
        any |= get(f, t, m, e->key, VERSION_MAX, allowed);
        if (e->key.size + 1 <= sizeof(longer)) { /* a key that is not there, just after */
            if (e->key.size > 0)
                memcpy(longer, e->key.data, e->key.size);
            longer[e->key.size] = 0;
            any |= get(f, t, m, slice_of(longer, e->key.size + 1), VERSION_MAX, allowed);
            any |= seek(f, it, m, slice_of(longer, e->key.size + 1), 5, allowed);
        }
    }
    any |= seek(f, it, m, slice_of(NULL, 0), VERSION_MAX, allowed);
    any |= seek(f, it, m, slice_str("\xff\xff\xff\xff\xff\xff\xff"), 0, allowed);
    table_iter_destroy(it);
    return any;
}

enum status
verify_table(struct fix *f, const char *path, const struct table_info *info)
{
    return table_verify(f->env, path, info, NULL, NULL, &f->err);
}
