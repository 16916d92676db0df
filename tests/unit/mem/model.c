#include "unit/mem/model.h"

#include "base/hash.h"
#include "base/mem.h"

#include "unit/test.h"

static struct slice
copy(struct slice s)
{
    uint8_t *bytes = mem_alloc(s.size);

    assert_non_null(bytes);
    if (s.size > 0)
        memcpy(bytes, s.data, s.size);
    return slice_of(bytes, s.size);
}

static void
free_slice(struct slice s)
{
    union {
        const uint8_t *borrowed;
        uint8_t *owned;
    } data = { s.data };

    mem_free(data.owned);
}

void
model_release(struct model *m)
{
    for (size_t i = 0; i < m->count; i++) {
        free_slice(m->entries[i].key);
        free_slice(m->entries[i].value);
    }
    mem_free(m->entries);
    *m = (struct model){ 0 };
}

size_t
model_at(const struct model *m, struct slice key, version_t version)
{
    size_t begin = 0;
    size_t limit = m->count;

    while (begin < limit) {
        size_t middle = begin + (limit - begin) / 2;
        const struct entry *e = &m->entries[middle];

        if (entry_compare(e->key, e->version, key, version) < 0)
            begin = middle + 1;
        else
            limit = middle;
    }
    return begin;
}

void
model_put(struct model *m, const struct entry *e)
{
    size_t at = model_at(m, e->key, e->version);

    if (m->count == m->capacity) {
        m->capacity = m->capacity == 0 ? 64 : m->capacity * 2;
        m->entries = mem_resize(m->entries, m->capacity * sizeof(*m->entries));
        assert_non_null(m->entries);
    }
    memmove(m->entries + at + 1, m->entries + at, (m->count - at) * sizeof(*m->entries));
    m->entries[at] = *e;
    m->entries[at].key = copy(e->key);
    m->entries[at].value = copy(e->value);
    m->count++;
}

const struct entry *
model_get(const struct model *m, struct slice key, version_t snapshot)
{
    size_t at = model_at(m, key, snapshot);

    if (at == m->count || !slice_equal(m->entries[at].key, key))
        return NULL;
    return &m->entries[at];
}

void
model_expect_equal(const struct entry *got, const struct entry *want)
{
    EXPECT(slice_equal(got->key, want->key));
    EXPECT_U64(got->version, want->version);
    EXPECT_U64(got->type, want->type);
    EXPECT_U64(got->expiry_ms, want->expiry_ms);
    EXPECT(slice_equal(got->value, want->value));
}

struct slice
model_key(uint64_t number, uint8_t *out, size_t size_max)
{
    uint64_t bits = hash_u64(number + 1);
    uint8_t tail[24];
    size_t size = (size_t)(bits >> 8) % sizeof(tail);
    size_t shared = 0;

    if (number == 0)
        return slice_of(out, 0);
    for (size_t i = 0; i < size; i++) /* few different bytes, zeros among them */
        tail[i] = (uint8_t)(hash_u64(bits + i) % 3 * 127);
    switch (bits % 8) {
    case 0:
        shared = 8;
        break;
    case 1:
        shared = 16;
        break;
    case 2:
        shared = (size_t)(bits >> 16) % 64;
        break;
    case 3:
        shared = (bits >> 40) % 16 == 0 ? size_max : 0;
        break;
    default:
        break;
    }
    if (size > size_max)
        size = size_max;
    if (shared > size_max - size)
        shared = size_max - size;
    memset(out, 'a', shared);
    memcpy(out + shared, tail, size);
    return slice_of(out, shared + size);
}

struct entry
model_entry(struct prng *p, struct slice key, version_t version, uint8_t *value, size_t value_max)
{
    struct entry e = { .key = key, .version = version, .type = ENTRY_VALUE };

    if (prng_chance(p, 1, 5))
        e.expiry_ms = prng_next(p) >> prng_below(p, 64);
    if (prng_chance(p, 1, 5)) {
        e.type = ENTRY_TOMBSTONE;
        return e;
    }
    e.value = slice_of(value, (size_t)prng_below(p, value_max + 1));
    for (size_t i = 0; i < e.value.size; i++)
        value[i] = (uint8_t)(version + i / 7);
    return e;
}
