/*
 * unit/cluster/table.h — two simulated nodes that talk: 2 asks, and 1 is asked.
 *
 * Or a client without manners stands for one of them.  table_clear() ends the processes, and so sees
 * whatever they leave behind.
 */
#ifndef UNIT_CLUSTER_TABLE_H
#define UNIT_CLUSTER_TABLE_H

#include "cluster/dialog.h"
#include "simenv/simenv.h"
#include "unit/cluster/samples.h"

enum { PORT = 7100, ASKED = 1, ASKS = 2, FEED_MAX = 4 << 20 };

enum manner {
    ANSWERS, /* with a verdict, at once */
    SAYS_NOTHING,
    SAYS_WORDS, /* `words` instead of a verdict, without listening */
    HANGS_UP,
};

/* One node, with its dialog, and what it was told. */
struct end {
    struct table *t;
    struct dialog *d;
    bool ends_inside; /* from within what it is told by */
    unsigned parcels; /* told with ST_OK */
    unsigned failures;
    enum status failure;
    size_t body_bytes;
    uint8_t kind; /* of the verdict */
};

struct table {
    struct sim *w;
    struct listener *listener;
    struct stream *raw;
    enum manner manner;
    struct slice words;
    struct slice begin; /* as if it had been read before the dialog */
    size_t feed_bytes;
    struct end asked, asks;
};

struct table table_lay(uint64_t seed, enum manner manner);

/* It may have moved since it was laid, and does not any more. */
void table_open(struct table *t);
void table_close_door(struct table *t);

/* Node 2 calls node 1, or somebody else. */
void table_call(struct table *t, const char *host);

/* Node 1 answers what it was asked, now. */
void table_reply(struct table *t);

/* Time passes, and both dialogs are asked whether theirs is up. */
void table_run(struct table *t, uint64_t ms);

/* The node's dialog is ended now. */
void table_end(struct table *t, struct end *e);

/* Nobody has been told twice of an end, and nobody leaks. */
void table_clear(struct table *t);

bool end_is_over(const struct end *e);
void end_expect_failed(const struct end *e, enum status st);

size_t make_petition(uint8_t out[1000]);

#endif
