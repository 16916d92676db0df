#include "history/strings.h"

#include "base/assert.h"
#include "base/hash.h"
#include "base/mem.h"

enum { CHUNK_BYTES = 64 << 10, ROOM_FIRST = 64, STRINGS_MAX = 1 << 30 };

/* S1: at most half of the slots are taken, so that a search ends soon. */
static void
check(const struct strings *s)
{
    ASSERT(s->count <= s->room && s->room <= s->slot_count / 2);
}

enum status
strings_init(struct strings *s)
{
    *s = (struct strings){ .count = STRING_FIRST, .room = ROOM_FIRST };
    s->slot_count = 2 * ROOM_FIRST;
    arena_init(&s->bytes, CHUNK_BYTES);
    s->texts = mem_new_array(struct slice, s->room);
    s->slots = mem_new_array(uint32_t, s->slot_count);
    if (s->texts != NULL && s->slots != NULL)
        return ST_OK;
    strings_release(s);
    return ST_NO_MEMORY;
}

void
strings_release(struct strings *s)
{
    if (s->room == 0)
        return;
    arena_release(&s->bytes);
    mem_free(s->texts);
    mem_free(s->slots);
    *s = (struct strings){ 0 };
}

/* The slot that holds the text, or the free one where it belongs. */
static uint32_t *
slot_of(const struct strings *s, uint32_t *slots, uint32_t slot_count, struct slice text)
{
    uint32_t at = (uint32_t)hash64(text) & (slot_count - 1);

    while (slots[at] != 0 && !slice_equal(s->texts[slots[at]], text))
        at = (at + 1) & (slot_count - 1);
    return &slots[at];
}

static enum status
grow(struct strings *s)
{
    uint32_t room = 2 * s->room;
    uint32_t *slots;
    struct slice *texts;

    if (room > STRINGS_MAX)
        return ST_TOO_BIG;
    slots = mem_new_array(uint32_t, 2 * (size_t)room);
    if (slots == NULL)
        return ST_NO_MEMORY;
    texts = mem_resize(s->texts, room * sizeof(*texts));
    if (texts == NULL) {
        mem_free(slots);
        return ST_NO_MEMORY;
    }
    s->texts = texts;
    for (uint32_t i = STRING_FIRST; i < s->count; i++)
        *slot_of(s, slots, 2 * room, s->texts[i]) = i;
    mem_free(s->slots);
    s->slots = slots;
    s->slot_count = 2 * room;
    s->room = room;
    return ST_OK;
}

enum status
strings_intern(struct strings *s, struct slice text, uint32_t *number)
{
    uint32_t *slot = slot_of(s, s->slots, s->slot_count, text);
    enum status st;
    uint8_t *copy;

    check(s);
    if (*slot != 0) {
        *number = *slot;
        return ST_OK;
    }
    if (s->count == s->room) {
        st = grow(s);
        if (st != ST_OK)
            return st;
        slot = slot_of(s, s->slots, s->slot_count, text);
    }
    copy = arena_alloc_bytes(&s->bytes, text.size);
    if (copy == NULL)
        return ST_NO_MEMORY;
    if (text.size > 0)
        memcpy(copy, text.data, text.size);
    s->texts[s->count] = slice_of(copy, text.size);
    *slot = s->count;
    *number = s->count++;
    return ST_OK;
}
