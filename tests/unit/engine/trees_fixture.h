/*
 * unit/engine/trees_fixture.h — an engine whose trees come and go, in a simulated world.
 *
 * Entries of a tree are numbered from 1; each is one key, with the same text as its value.  Whatever cannot be
 * is a failure of the test.
 */
#ifndef UNIT_ENGINE_TREES_FIXTURE_H
#define UNIT_ENGINE_TREES_FIXTURE_H

#include "engine/engine.h"
#include "simenv/simenv.h"

enum { HOUSE_NODE = 1, HOUSE_REPLAYED_MAX = 64 };

struct house {
    struct sim *w;
    struct env *env;
    struct engine *engine;
    struct engine_options options;
    struct err err;
    enum status status;                    /* of what a body has tried */
    uint64_t index;                        /* of entries, of all trees */
    char replayed[HOUSE_REPLAYED_MAX][32]; /* "7:key", in order */
    uint32_t replayed_count;
    void *ctx; /* the test's own */
};

void house_create(struct house *h, uint64_t seed);
void house_destroy(struct house *h);

/* A process; engine_open() and engine_recover() as job code. */
void house_boot(struct house *h);
MUST_USE enum status house_try_open(struct house *h); /* inside a body */

/* Job code of the process; false: it crashed in there. */
bool house_run(struct house *h, void (*body)(struct house *h));

/* Power cut, and a new process. */
void house_reboot(struct house *h);
/* A clean end. */
void house_end(struct house *h);

/* ------------------------------------------------------------------ inside a body */

struct engine_tree *house_new_tree(struct house *h, uint64_t id);
void house_write(struct house *h, uint64_t tree,
                 const char *key); /* in the log's memory, and applied */
void house_head(struct house *h, uint64_t tree, const char *text); /* a hard state */
void house_seal(struct house *h, uint64_t tree);
bool house_has(struct house *h, uint64_t tree, const char *key);
bool house_replayed(const struct house *h, const char *what); /* "7:key" */

/* ------------------------------------------------------------------ anywhere */

/* Does the disk have a file in the tree's folder? */
bool house_has_files(struct house *h, uint64_t tree);

#endif
