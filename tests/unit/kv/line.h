/*
 * unit/kv/line.h — a connection at a node that asks one thing after the other, and waits for nothing.
 *
 * Its steps append "1,", "2," .. to one key, unless the test has them ask for something else.
 */
#ifndef UNIT_KV_LINE_H
#define UNIT_KV_LINE_H

#include "unit/kv/nodes.h"

enum {
    LINE_MAX = 600,
    LINE_DEADLINE_MS = 2000,
    LINE_PAUSE_MS =
        1500, /* the longest that a test lets a node stand still, in which a line has steps */
};

struct step {
    struct request request;
    struct op op;
    struct op_result result;
    struct line *line;
    char text[8];
    bool done;
    enum status status;
    uint64_t took_ms;
    uint64_t sent_ns;
};

struct line {
    struct nodes *n;
    uint32_t node;
    uint32_t loop;
    struct step steps[LINE_MAX];
    uint32_t count;
    uint32_t done;
    const char *key;
};

void line_begin(struct line *l, struct nodes *n, uint32_t node, uint32_t loop);

/* The next step, to be changed and then sent; or so many, sent as they are. */
struct step *line_step(struct line *l);
void line_send(struct step *s);
void line_append(struct line *l, uint32_t count);

/* Nothing hangs: every step is done, by its deadline; or when the node goes on. */
void line_await(struct line *l);
uint32_t line_count(const struct line *l, enum status st); /* steps that ended so */

/* Who answered that it was done is there, once, and was told of its own end of the line; who failed for
 * certain is not; and all are in order. */
void line_check(struct line *l, uint32_t reader);

/* A founder that is not this one. */
uint32_t line_other_than(uint32_t node);

/* The nodes that are no members are far from the others, and from each other. */
void line_draw_nodes_apart(struct nodes *n);

/* Every connection, again and again; and answers are lost where requests were not. */
void line_break_connections(struct nodes *n);

#endif
