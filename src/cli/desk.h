/*
 * cli/desk.h — where an operator asks a cluster: `distkv cluster VERB ...`, `distkv keyspace VERB ...`.
 *
 * Each such program is a list of verbs; a verb says what words and flags it takes, so that all else is a wrong
 * use, said before anybody is asked.  Flags may stand anywhere behind the program's name.  What was ordered is
 * carried out by the cluster (cluster/orders.h), whichever node is asked.
 *
 * What was asked for goes to standard output; progress and errors to standard error.
 */
#ifndef CLI_DESK_H
#define CLI_DESK_H

#include <jansson.h>

#include "cli/target.h"

enum { DESK_WORDS_MAX = 12 };

enum desk_flag {
    FLAG_JSON, /* every verb has it */
    FLAG_ALL,
    FLAG_DRY_RUN,
    FLAG_NO_WAIT,
    FLAG_WAIT, /* the first with a value */
    FLAG_NODES,
    FLAG_CONFIRM,
    FLAG_KEYSPACE,
    FLAG_KEY,
    FLAG_MODE,
    FLAG_REPLICAS,
    FLAG_TABLETS,
    FLAG_PARTITION,
    FLAG_AT,
    FLAG_COUNT
};

#define FLAG(name) (1U << FLAG_##name)

struct desk {
    const char *program; /* "cluster" */
    struct target *target;
    bool is_broken;                    /* the connection; the next question begins a new one */
    const char *words[DESK_WORDS_MAX]; /* behind the verb */
    uint32_t word_count;
    const char *flags[FLAG_COUNT]; /* NULL: not there; the value, or the flag itself */
    struct buf answer;             /* the last one, as it came */
};

struct desk_verb {
    const char *name;
    const char *arguments; /* "NODE... [--confirm CLUSTER]" */
    const char *summary;
    const char *more; /* for --help: sentences, each line ended; NULL: none */
    uint32_t words_min;
    uint32_t words_max;
    uint32_t flags;             /* FLAG() | ... */
    int (*run)(struct desk *d); /* the exit code */
};

struct desk_program {
    const char *name;
    const char *summary;
    const struct desk_verb *verbs; /* the last has no name */
};

/* Exit code: 0 done; 1 it was refused, or nobody answers; 2 wrong use. */
int desk_main(const struct desk_program *program, int argc, char **argv);

/* Ask; `words` are those of an order.  ST_OK: `*answer` is the caller's to json_decref().  Otherwise why not has
 * been said. */
MUST_USE enum status desk_ask(struct desk *d, const char *const *words, uint32_t count,
                              json_t **answer);

/* The same without a word: `err` says it. */
MUST_USE enum status desk_try(struct desk *d, const char *const *words, uint32_t count,
                              json_t **answer, struct err *err);

/* The number behind a flag, or what stands for it where there is none. */
uint32_t desk_number(const struct desk *d, enum desk_flag flag, uint32_t otherwise);

/* The last answer as it came, with --json; false: there is no --json. */
bool desk_prints_json(const struct desk *d);

/* A line on standard error. */
void desk_complain(const struct desk *d, const char *fmt, ...) PRINTF_LIKE(2, 3);

/* Of an object of an answer; "?" and 0 where there is none such. */
const char *desk_text(const json_t *object, const char *name);
uint64_t desk_count(const json_t *object, const char *name);

#endif
