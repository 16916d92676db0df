/* Tests of api/command.h: the table, and finding commands in it. */
#include <ctype.h>

#include "api/command.h"
#include "unit/test.h"

static void
fold(const char *from, char *to, bool upper)
{
    size_t i = 0;

    for (; from[i] != '\0'; i++)
        to[i] = (char)(upper || i % 2 == 0 ? toupper(from[i]) : from[i]);
    to[i] = '\0';
}

TEST(every_command_is_found_in_any_case)
{
    struct command_index index;
    char name[64];

    command_index_init(&index);
    for (uint32_t i = 0; i < command_table_count; i++) {
        const struct command *c = &command_table[i];

        EXPECT(command_find(&index, slice_str(c->name)) == c);
        fold(c->name, name, true);
        EXPECT(command_find(&index, slice_str(name)) == c);
        fold(c->name, name, false);
        EXPECT(command_find(&index, slice_str(name)) == c);
        for (uint32_t k = 0; k < c->subcommand_count; k++) {
            fold(command_sub_name(&c->subcommands[k]), name, true);
            EXPECT(command_find_sub(c, slice_str(name)) == &c->subcommands[k]);
        }
    }
}

TEST(what_is_no_command_is_not_found)
{
    static const char *const names[] = {
        "",     "g",      "ge",     "gett",      "GET ",
        " get", "ge\x14", "g\x05t", "client|id", "verylongnamethatisno"
    };
    struct command_index index;

    command_index_init(&index);
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        EXPECT(command_find(&index, slice_str(names[i])) == NULL);
    EXPECT(command_find(&index, slice_of("get\0", 4)) == NULL);
    EXPECT(command_find_sub(command_find(&index, slice_str("client")), slice_str("")) == NULL);
}

static void
check_entry(const struct command *c)
{
    bool is_group = c->kind == COMMAND_GROUP;

    EXPECT(c->arity != 0);
    EXPECT(c->name[0] != '\0' && c->since[0] != '\0' && c->summary[0] != '\0');
    EXPECT((c->prepare != NULL) == (c->kind == COMMAND_DATA));
    EXPECT((c->local != NULL) == (c->kind == COMMAND_LOCAL));
    EXPECT((c->task != NULL) == (c->kind == COMMAND_TASK));
    EXPECT(!is_group || (c->subcommand_count > 0 && c->arity < -1));
    EXPECT((c->first_key > 0) == (c->key_step > 0));
    EXPECT(!((c->flags & CMD_WRITE) != 0 && (c->flags & CMD_READONLY) != 0));
    /* Whatever works on keys may be part of a MULTI, or says that it may not. */
    EXPECT(c->kind != COMMAND_DATA || (c->flags & (CMD_WRITE | CMD_READONLY)) != 0);
}

TEST(the_table_is_in_order_and_makes_sense)
{
    for (uint32_t i = 0; i < command_table_count; i++) {
        const struct command *c = &command_table[i];

        EXPECT(i == 0 || strcmp(command_table[i - 1].name, c->name) < 0);
        check_entry(c);
        for (uint32_t k = 0; k < c->subcommand_count; k++) {
            size_t size = strlen(c->name);

            EXPECT(strncmp(c->subcommands[k].name, c->name, size) == 0);
            EXPECT(c->subcommands[k].name[size] == '|');
            check_entry(&c->subcommands[k]);
        }
    }
}

TEST(arity_counts_the_name)
{
    struct command_index index;
    const struct command *get, *set, *mset;

    command_index_init(&index);
    get = command_find(&index, slice_str("get"));
    set = command_find(&index, slice_str("set"));
    mset = command_find(&index, slice_str("mset"));
    EXPECT(!command_takes(get, 1) && command_takes(get, 2) && !command_takes(get, 3));
    EXPECT(!command_takes(set, 2) && command_takes(set, 3) && command_takes(set, 9));
    EXPECT_U64(command_last_key(get, 2), 1);
    EXPECT_U64(command_last_key(mset, 5), 4);
}

TEST_MAIN(RUN(every_command_is_found_in_any_case), RUN(what_is_no_command_is_not_found),
          RUN(the_table_is_in_order_and_makes_sense), RUN(arity_counts_the_name))
