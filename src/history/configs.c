#include "history/configs.h"

#include <string.h>

#include "base/assert.h"
#include "base/hash.h"
#include "base/mem.h"

enum { CHUNK_BYTES = 256 << 10, SLOTS_FIRST = 1 << 10 };

/* The whole configuration is kept, not its hash alone: two that were taken for one could make a
 * violation of what is none. */
struct config {
    uint64_t hash;
    uint32_t word_count;
    uint32_t words[];
};

enum status
configs_init(struct configs *c, size_t bytes_max)
{
    *c = (struct configs){ .slot_count = SLOTS_FIRST, .bytes_max = bytes_max };
    arena_init(&c->words, CHUNK_BYTES);
    c->slots = mem_new_array(struct config *, c->slot_count);
    return c->slots != NULL ? ST_OK : ST_NO_MEMORY;
}

void
configs_release(struct configs *c)
{
    if (c->slot_count == 0)
        return;
    arena_release(&c->words);
    mem_free(c->slots);
    *c = (struct configs){ 0 };
}

static size_t
bytes_of(const struct configs *c)
{
    return c->words.total_bytes + c->slot_count * sizeof(struct config *);
}

/* At most half of the slots are taken. */
static enum status
grow(struct configs *c)
{
    size_t slot_count = 2 * c->slot_count;
    struct config **slots;

    if (bytes_of(c) + slot_count * sizeof(struct config *) > c->bytes_max)
        return ST_TOO_BIG;
    slots = mem_new_array(struct config *, slot_count);
    if (slots == NULL)
        return ST_NO_MEMORY;
    for (size_t i = 0; i < c->slot_count; i++) {
        size_t at;

        if (c->slots[i] == NULL)
            continue;
        at = c->slots[i]->hash & (slot_count - 1);
        while (slots[at] != NULL)
            at = (at + 1) & (slot_count - 1);
        slots[at] = c->slots[i];
    }
    mem_free(c->slots);
    c->slots = slots;
    c->slot_count = slot_count;
    return ST_OK;
}

static bool
is_same(const struct config *config, uint64_t hash, struct slice words)
{
    return config->hash == hash &&
           slice_equal(slice_of(config->words, config->word_count * sizeof(uint32_t)), words);
}

enum status
configs_add(struct configs *c, const uint32_t *words, uint32_t word_count, bool *is_new)
{
    struct slice bytes = slice_of(words, word_count * sizeof(*words));
    uint64_t hash = hash64(bytes);
    struct config *config;
    enum status st;
    size_t at;

    if (2 * (c->count + 1) > c->slot_count) {
        st = grow(c);
        if (st != ST_OK)
            return st;
    }
    at = hash & (c->slot_count - 1);
    while (c->slots[at] != NULL && !is_same(c->slots[at], hash, bytes))
        at = (at + 1) & (c->slot_count - 1);
    *is_new = c->slots[at] == NULL;
    if (!*is_new)
        return ST_OK;
    if (bytes_of(c) + sizeof(*config) + bytes.size > c->bytes_max)
        return ST_TOO_BIG;
    config = arena_alloc(&c->words, sizeof(*config) + bytes.size);
    if (config == NULL)
        return ST_NO_MEMORY;
    config->hash = hash;
    config->word_count = word_count;
    memcpy(config->words, words, bytes.size);
    c->slots[at] = config;
    c->count++;
    return ST_OK;
}
