#include "api/command.h"

#include "base/assert.h"
#include "base/hash.h"

enum { NAME_BYTES_MAX = 16 };

/* The name in lower case, padded with zeros; names are letters and '-', and for those the bit is
 * enough.  What it makes of other bytes is sorted out by the comparison that follows. */
static uint64_t
hash_name(struct slice name)
{
    uint64_t words[2] = { 0, 0 };

    memcpy(words, name.data, name.size);
    words[0] |= UINT64_C(0x2020202020202020);
    words[1] |= UINT64_C(0x2020202020202020);
    return hash_u64(words[0] ^ hash_u64(words[1] + name.size));
}

void
command_index_init(struct command_index *index)
{
    ASSERT(command_table_count < COMMAND_NONE && command_table_count * 2 < COMMAND_SLOTS);
    memset(index->slots, COMMAND_NONE, sizeof(index->slots));
    for (uint32_t i = 0; i < command_table_count; i++) {
        struct slice name = slice_str(command_table[i].name);
        uint64_t slot;

        ASSERT(name.size <= NAME_BYTES_MAX);
        slot = hash_name(name) % COMMAND_SLOTS;
        while (index->slots[slot] != COMMAND_NONE)
            slot = (slot + 1) % COMMAND_SLOTS;
        index->slots[slot] = (uint8_t)i;
    }
}

const struct command *
command_find(const struct command_index *index, struct slice name)
{
    if (name.size == 0 || name.size > NAME_BYTES_MAX)
        return NULL;
    for (uint64_t slot = hash_name(name) % COMMAND_SLOTS; index->slots[slot] != COMMAND_NONE;
         slot = (slot + 1) % COMMAND_SLOTS) {
        const struct command *c = &command_table[index->slots[slot]];

        if (slice_equal_nocase(name, c->name))
            return c;
    }
    return NULL;
}

const char *
command_sub_name(const struct command *sub)
{
    const char *bar = strchr(sub->name, '|');

    return bar == NULL ? sub->name : bar + 1;
}

const struct command *
command_find_sub(const struct command *group, struct slice name)
{
    for (uint32_t i = 0; i < group->subcommand_count; i++) {
        if (slice_equal_nocase(name, command_sub_name(&group->subcommands[i])))
            return &group->subcommands[i];
    }
    return NULL;
}

uint32_t
command_last_key(const struct command *c, uint32_t count)
{
    ASSERT(c->first_key > 0);
    return c->last_key >= 0 ? (uint32_t)c->last_key : count - (uint32_t)-c->last_key;
}
