#include "store_fixture.h"

#include <inttypes.h>

#include "unit/test.h"

static bool
set_key(struct buf *key, const char *text)
{
    *key = buf_empty(LIMIT_STORED_KEY_BYTES);
    return buf_append(key, slice_str(text)) == ST_OK;
}

struct table_file *
fixture_try_file(struct file_sweep *sweep, const struct table_spec *spec)
{
    struct table_info info = {
        .number = spec->number,
        .seed = spec->number + 1000,
        .file_bytes = spec->bytes,
        .checksum = spec->number * UINT64_C(0x9e3779b97f4a7c15),
        .entry_count = spec->entries > 0 ? spec->entries : 100,
        .tombstone_count = spec->tombstones,
        .expiring_count = spec->expiring,
        .raw_bytes = spec->bytes * 2,
        .version_min = spec->oldest > 0 ? spec->oldest : spec->newest,
        .version_max = spec->newest,
    };
    struct table_file *f = NULL;

    if (set_key(&info.smallest, spec->from) && set_key(&info.largest, spec->to))
        f = table_file_create(&info, sweep);
    table_info_release(&info);
    return f;
}

struct table_file *
fixture_file(struct file_sweep *sweep, const struct table_spec *spec)
{
    struct table_file *f = fixture_try_file(sweep, spec);

    assert_non_null(f);
    return f;
}

void
fixture_add(struct version_edit *e, struct file_sweep *sweep, const struct table_spec *spec)
{
    struct table_file *f = fixture_file(sweep, spec);

    EXPECT_OK(version_edit_add(e, spec->level, f));
    table_file_unref(f);
}

struct version *
fixture_version(struct file_sweep *sweep, const struct table_spec *specs, size_t count)
{
    struct version *empty = version_create();
    struct version *v = NULL;
    struct version_edit e;

    assert_non_null(empty);
    version_edit_init(&e);
    for (size_t i = 0; i < count; i++)
        fixture_add(&e, sweep, &specs[i]);
    EXPECT_OK(version_apply(empty, &e, &v, NULL));
    version_edit_release(&e);
    version_unref(empty);
    return v;
}

static void
describe_level(struct buf *out, const struct level *l, uint32_t level)
{
    EXPECT_OK(buf_printf(out, "%sL%" PRIu32 ":", out->size > 0 ? " | " : "", level));
    for (uint32_t i = 0; i < l->count; i++) {
        const struct table_info *info = &l->files[i]->info;
        char from[64], to[64];

        EXPECT_OK(buf_printf(out, " %" PRIu64 "[%s..%s]@%" PRIu64 "-%" PRIu64, info->number,
                             slice_printable(buf_slice(&info->smallest), from, sizeof(from)),
                             slice_printable(buf_slice(&info->largest), to, sizeof(to)),
                             info->version_min, info->version_max));
    }
}

struct buf
fixture_describe(const struct version *v)
{
    struct buf out = buf_empty(1 << 20);

    for (uint32_t level = 0; level < LIMIT_LEVELS; level++) {
        if (v->levels[level].count > 0)
            describe_level(&out, &v->levels[level], level);
    }
    EXPECT_OK(buf_append(&out, slice_of("", 1))); /* so that it is a C string */
    return out;
}

static bool
same_info(const struct table_info *a, const struct table_info *b)
{
    return a->number == b->number && a->seed == b->seed && a->file_bytes == b->file_bytes &&
           a->checksum == b->checksum && a->entry_count == b->entry_count &&
           a->tombstone_count == b->tombstone_count && a->expiring_count == b->expiring_count &&
           a->raw_bytes == b->raw_bytes && a->version_min == b->version_min &&
           a->version_max == b->version_max &&
           slice_equal(buf_slice(&a->smallest), buf_slice(&b->smallest)) &&
           slice_equal(buf_slice(&a->largest), buf_slice(&b->largest));
}

bool
fixture_same_version(const struct version *a, const struct version *b)
{
    for (uint32_t level = 0; level < LIMIT_LEVELS; level++) {
        const struct level *x = &a->levels[level];
        const struct level *y = &b->levels[level];

        if (x->count != y->count || x->bytes != y->bytes)
            return false;
        for (uint32_t i = 0; i < x->count; i++) {
            if (!same_info(&x->files[i]->info, &y->files[i]->info))
                return false;
        }
    }
    return true;
}
