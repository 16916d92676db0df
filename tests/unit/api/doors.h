/*
 * unit/api/doors.h — a formed cluster whose nodes have doors for clients: 10.0.0.N:6379 of node N.
 *
 * Beside the 16 databases it has a keyspace `users` of DOORS_TABLETS tablets, three copies of each.  Whatever
 * cannot be is a failure of the test.
 */
#ifndef UNIT_API_DOORS_H
#define UNIT_API_DOORS_H

#include "api/api.h"
#include "unit/api/client.h"
#include "unit/kv/formed.h"

enum { DOORS_TABLETS = 32, DOORS_PORT = 6379 };

struct doors {
    struct formed f;
    struct api *api[NODES_MAX + 1];
    bool moved; /* api_options.moved of all of them */
};

/* All nodes run, everything is placed, nothing moves any more, and every door is open. */
void doors_open(struct doors *d, uint64_t seed, uint32_t count, bool moved);
void doors_release(struct doors *d);

void doors_crash(struct doors *d, uint32_t node);
void doors_boot(struct doors *d, uint32_t node);

/* A client of that node, on keyspace `users`. */
struct client doors_connect(struct doors *d, uint32_t node);

/* The tablet of `users` that has the key. */
const struct tablet_record *doors_tablet(struct doors *d, const char *key);
uint32_t doors_leader(struct doors *d, const char *key);

/* A key of `users` that the node leads. */
const char *doors_key(struct doors *d, uint32_t node);

uint32_t doors_slot(const char *key);

/* ------------------------------------------------------------------ what is said */

/* Formatted; until the fourth next. */
const char *doors_text(const char *fmt, ...) PRINTF_LIKE(1, 2);

/* What the node replies to an inline command, as text; until the next. */
const char *client_said(struct client *c, const char *command);

bool has_part(const char *text, const char *part);
void expect_part(const char *text, const char *part);

/* Asks until what is said has this part, or has it no more. */
void client_await(struct client *c, const char *command, const char *part, bool there);

#endif
