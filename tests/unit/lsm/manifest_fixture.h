/*
 * manifest_fixture.h — a tree's manifest in a simulated world: a script of edits, run in a
 * node that may die at any call, and a judge of what is found afterwards.
 *
 * Tables are files with a word in them.  A table has an id in the script; its number is
 * the id, plus 100 for each time that the step was tried before: a step that failed is tried
 * again with new tables, as a tree does.
 */
#ifndef UNIT_LSM_MANIFEST_FIXTURE_H
#define UNIT_LSM_MANIFEST_FIXTURE_H

#include "lsm/manifest.h"
#include "simenv/simenv.h"

enum {
    SCRIPT_NODE = 1,
    SCRIPT_STEPS = 12,
    SCRIPT_STATE_BYTES = 1024,
    SCRIPT_TRIES = 3,
    SCRIPT_ID_LIMIT = 100,
};

#define SCRIPT_TREE   UINT64_C(0x7ee)
#define SCRIPT_PARENT "data"
#define SCRIPT_DIR    "data/tree"

/* What a version and a mark look like: "index 3 | L0: 7[a..c] | L1: 3[a..m]". */
struct script_state {
    char text[SCRIPT_STATE_BYTES];
};

/* The state after the first `count` steps. */
struct script_state script_expected(int count);

/* ------------------------------------------------------------------ a run */

struct run {
    struct sim *w;
    struct env *env;
    int acked;           /* steps of which manifest_record() has said that they are durable */
    int attempted;       /* steps that were begun */
    bool opened;         /* manifest_open() has said that there is a tree */
    bool finished;       /* every step was acked, and the manifest closed */
    bool names_doubtful; /* a sync of a folder has failed: removed names may come back */
    bool once;           /* no second try of anything */
    enum status st;      /* the last failure */
    struct err err;

    /* In the node's memory; dead after a crash. */
    struct file_sweep sweep;
    struct manifest *manifest;
    struct version *version;
    struct lsm_mark mark;
    uint64_t number_max;
    uint64_t numbers[SCRIPT_ID_LIMIT]; /* by id */
};

/* A world whose node has run nothing but made SCRIPT_PARENT, durably. */
void run_init(struct run *r, uint64_t seed);
void run_boot(struct run *r);
void run_destroy(struct run *r);

/* Run the script from its beginning, in the node's process; false: the node crashed in it. */
MUST_USE bool run_script(struct run *r);

/* In a booted node: open, and say what was found; leaves nothing open.  False: it crashed. */
MUST_USE bool run_look(struct run *r, bool create, struct script_state *found);

/* As run_look(), by manifest_read(), and on the test's own stack. */
void run_read(struct run *r, struct script_state *found);

/* Node code: open (r->manifest, r->version, ...) and close; write a table's file. */
MUST_USE enum status run_open(struct run *r, bool create);
void run_close(struct run *r);
MUST_USE enum status run_write_table(struct run *r, uint64_t number);

/* Steps up to `count` only, from a fresh world; the manifest is closed, the node down. */
void run_build(struct run *r, uint64_t seed, int count);

/* "data/tree/MANIFEST-..." of the highest number on the node's disk. */
void run_current_manifest(struct run *r, char out[LIMIT_PATH_BYTES]);

/* How many files on the disk have this in their paths. */
int run_count_files(struct run *r, const char *containing);

/* ------------------------------------------------------------------ manifest_judge.c */

/* The node is down.  Boot it, open the tree, and fail the test unless it is in the state after
 * some number of steps from r->acked to r->attempted, with exactly the files that
 * belong to it, and ready for more.  `what` names the case. */
void run_judge(struct run *r, const char *what);

/* As run_judge(), but says what is wrong instead: NULL when nothing is. */
const char *run_complaint(struct run *r);

/* ------------------------------------------------------------------ manifest_watch.c */

/* From here on calls to r->env are written down: "open write sync ...".  The `skip`-th call that
 * syncs a file or a folder does nothing and succeeds; 0: all of them work. */
void watch_begin(struct run *r, int skip);
const char *watch_trace(void); /* since watch_begin() or watch_forget() */
void watch_forget(void);
int watch_sync_count(void);

/* What the `n`-th sync was of, a path; and which call of the node it was. */
const char *watch_sync_path(int n);
uint64_t watch_sync_call(int n);

#endif
