/*
 * api/command.h — the one table of Redis commands, and how each is carried out.
 *
 *      DATA    operations on keys: `prepare` turns the arguments into operations and says how
 *              their results are written.  The same code serves a lone command and
 *              one that waits inside a MULTI.
 *      LOCAL   answered at once from what the session knows: `local` writes the reply
 *      TASK    takes steps of its own: `task` takes the call over
 *      GROUP   a name with subcommands
 */
#ifndef API_COMMAND_H
#define API_COMMAND_H

#include "base/slice.h"

#include "wire/resp.h"

struct call;
struct session;
struct unit;
struct piece;

typedef void prepare_fn(struct unit *u, struct piece *p, const struct slice *args, uint32_t count);
typedef void local_fn(struct session *s, const struct slice *args, uint32_t count,
                      struct resp_writer *w);
typedef void task_fn(struct call *c, const struct slice *args, uint32_t count);

enum command_kind { COMMAND_DATA, COMMAND_LOCAL, COMMAND_TASK, COMMAND_GROUP };

enum command_flags {
    /* as COMMAND INFO shows them */
    CMD_WRITE = 1 << 0,
    CMD_READONLY = 1 << 1,
    CMD_DENYOOM = 1 << 2,
    CMD_ADMIN = 1 << 3,
    CMD_NOSCRIPT = 1 << 4,
    CMD_LOADING = 1 << 5,
    CMD_STALE = 1 << 6,
    CMD_FAST = 1 << 7,
    CMD_NO_AUTH = 1 << 8, /* allowed before authentication */
    CMD_ALLOW_BUSY = 1 << 9,
    CMD_NO_MULTI = 1 << 10, /* cannot be part of an atomic unit */
    CMD_SHOWN = (1 << 11) - 1,

    CMD_DANGEROUS = 1 << 11, /* a category, not a flag, in COMMAND INFO */

    /* Begins when all earlier commands of its connection have ended, and nothing later begins
     * before it has. */
    CMD_ALONE = 1 << 12,

    /* Carried out at once, even between MULTI and EXEC. */
    CMD_AT_ONCE = 1 << 13,
};

enum command_category {
    CATEGORY_CONNECTION,
    CATEGORY_STRING,
    CATEGORY_GENERIC,
    CATEGORY_SERVER,
    CATEGORY_TRANSACTIONS,
    CATEGORY_CLUSTER,
    CATEGORY_COUNT
};

struct command {
    const char *name; /* lower case; "client|id" for a subcommand */
    int arity;        /* with the name; negative: at least */
    unsigned flags;
    enum command_category category;
    int first_key; /* 0: no keys */
    int last_key;  /* negative: from the end */
    int key_step;
    const char *since; /* the version of Redis that it came with, or ours */
    const char *summary;
    enum command_kind kind;
    uint32_t subcommand_count;
    prepare_fn *prepare;
    local_fn *local;
    task_fn *task;
    const struct command *subcommands;
};

extern const struct command command_table[];
extern const uint32_t command_table_count;

/* Where to find each command: open addressing over a cheap hash of length and letters. */
enum { COMMAND_SLOTS = 512, COMMAND_NONE = 0xff };

struct command_index {
    uint8_t slots[COMMAND_SLOTS]; /* positions in the table */
};

void command_index_init(struct command_index *index);

/* Without regard to case; NULL when there is none. */
const struct command *command_find(const struct command_index *index, struct slice name);
const struct command *command_find_sub(const struct command *group, struct slice name);

/* "id" of "client|id". */
const char *command_sub_name(const struct command *sub);

static inline bool
command_takes(const struct command *c, uint32_t count)
{
    return c->arity >= 0 ? count == (uint32_t)c->arity : count >= (uint32_t)-c->arity;
}

/* The position of the last key among `count` arguments. */
uint32_t command_last_key(const struct command *c, uint32_t count);

#endif
