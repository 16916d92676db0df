#include "unit/lsm/tree_model.h"

#include <stdio.h>

#include "base/assert.h"
#include "base/hash.h"
#include "base/mem.h"

#define MODEL_START_MS UINT64_C(1767225600000) /* 2026-01-01T00:00:00Z */

void
model_init(struct model *m)
{
    *m = (struct model){ .now_ms = MODEL_START_MS };
}

static void
grow(struct model *m)
{
    struct mem_heap *outer = mem_heap_enter(NULL);

    m->capacity = m->capacity == 0 ? 256 : 2 * m->capacity;
    m->units = mem_resize(m->units, m->capacity * sizeof(*m->units));
    ASSERT(m->units != NULL);
    mem_heap_enter(outer);
}

void
model_release(struct model *m)
{
    mem_free(m->units);
    *m = (struct model){ 0 };
}

version_t
model_last_version(const struct model *m)
{
    return m->count == 0 ? 0 : m->units[m->count - 1].mark.version;
}

struct model_unit *
model_add(struct model *m, bool clear)
{
    version_t version = version_next(model_last_version(m), m->now_ms);
    struct model_unit *u;

    if (m->count == m->capacity)
        grow(m);
    u = &m->units[m->count++];
    *u = (struct model_unit){ .mark = { m->count, 1 + m->count / 100, version }, .clear = clear };
    return u;
}

void
model_write(struct model_unit *u, uint32_t key, uint32_t value_bytes, uint64_t expiry_ms)
{
    ASSERT(u->count < MODEL_WRITES && value_bytes <= MODEL_VALUE_BYTES && key < MODEL_KEYS);
    u->writes[u->count++] = (struct model_write){ key, ENTRY_VALUE, value_bytes, expiry_ms };
}

void
model_delete(struct model_unit *u, uint32_t key)
{
    ASSERT(u->count < MODEL_WRITES && key < MODEL_KEYS);
    u->writes[u->count++] = (struct model_write){ key, ENTRY_TOMBSTONE, 0, 0 };
}

static uint32_t
random_size(struct prng *prng)
{
    if (prng_chance(prng, 1, 40))
        return (uint32_t)prng_below(prng, MODEL_VALUE_BYTES);
    return (uint32_t)prng_below(prng, 120);
}

void
model_add_random(struct model *m, struct prng *prng)
{
    struct model_unit *u = model_add(m, false);
    uint32_t count = 1 + (uint32_t)prng_below(prng, MODEL_WRITES);
    uint32_t spread = prng_chance(prng, 1, 3) ? 8 : MODEL_KEYS; /* some keys are hot */
    uint32_t key = (uint32_t)prng_below(prng, spread);

    for (uint32_t i = 0; i < count && key < MODEL_KEYS; i++) {
        uint64_t expiry = m->now_ms + prng_below(prng, 2000);

        if (prng_chance(prng, 1, 4))
            model_delete(u, key);
        else
            model_write(u, key, random_size(prng), prng_chance(prng, 1, 5) ? expiry : 0);
        key += 1 + (uint32_t)prng_below(prng, 5);
    }
}

struct model_found
model_find(const struct model *m, uint32_t key, version_t snapshot)
{
    struct model_found none = { 0 };

    for (uint32_t i = m->count; i > 0; i--) {
        const struct model_unit *u = &m->units[i - 1];

        if (u->mark.version > snapshot)
            continue;
        if (u->clear)
            return none;
        for (uint32_t j = 0; j < u->count; j++) {
            if (u->writes[j].key == key)
                return (struct model_found){ u->mark.version, u->writes[j] };
        }
    }
    return none;
}

bool
model_is_alive(const struct model *m, const struct model_found *found)
{
    return found->version != 0 && found->write.type == ENTRY_VALUE &&
           (found->write.expiry_ms == 0 || found->write.expiry_ms > m->now_ms);
}

struct slice
model_key(uint32_t key, char out[MODEL_KEY_BYTES])
{
    int size;

    if (key % 3 == 0)
        size = snprintf(out, MODEL_KEY_BYTES, "%02u", key);
    else
        size = snprintf(out, MODEL_KEY_BYTES, "%02u-with-a-common-%s", key / 3 * 3,
                        key % 3 == 1 ? "prefix" : "prefix-and-more");
    return slice_of(out, (size_t)size);
}

struct slice
model_value(const struct model_found *found, uint8_t out[MODEL_VALUE_BYTES])
{
    uint64_t word = hash_u64(found->version * MODEL_KEYS + found->write.key);

    for (uint32_t i = 0; i < found->write.value_bytes; i++)
        out[i] = (uint8_t)(word >> (i % 32));
    return slice_of(out, found->write.value_bytes);
}

void
model_entries(const struct model_unit *u, struct entry *out,
              char keys[MODEL_WRITES][MODEL_KEY_BYTES],
              uint8_t values[MODEL_WRITES][MODEL_VALUE_BYTES])
{
    for (uint32_t i = 0; i < u->count; i++) {
        struct model_found found = { u->mark.version, u->writes[i] };

        out[i] = (struct entry){
            .key = model_key(u->writes[i].key, keys[i]),
            .value = model_value(&found, values[i]),
            .version = u->mark.version,
            .expiry_ms = u->writes[i].expiry_ms,
            .type = u->writes[i].type,
        };
    }
}
