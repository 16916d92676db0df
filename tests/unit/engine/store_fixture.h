/*
 * The embedded store on a simulated machine.  What a test does with the store it
 * does inside store_run(), on a fiber of the node; power cuts come in there.
 */
#ifndef STORE_FIXTURE_H
#define STORE_FIXTURE_H

#include "engine/store_internal.h"
#include "simenv/simenv.h"

enum { STORE_NODE = 1, STORE_TEXT_MAX = 4096 };

struct store_fix {
    struct sim *w;
    struct env *env;
    struct dkv *db;
    struct dkv_options options;
    struct dkv_error error;
    struct err err;
    enum status open_status;
    void (*body)(struct store_fix *f);
    void *ctx; /* the test's own */
};

/* A machine; small memtables and segments. */
void store_create(struct store_fix *f, uint64_t seed);
void store_destroy(struct store_fix *f);

/* A process that opens the store.  ST_CLOSED: the power was cut meanwhile. */
enum status store_open(struct store_fix *f);
enum status store_open_cut(struct store_fix *f, uint64_t nth);

/* False: the power was cut in it. */
bool store_run(struct store_fix *f, void (*body)(struct store_fix *f));

/* Close, and end the process; leaks fail. */
void store_close(struct store_fix *f);

/* Inside store_run().  NULL options: synced.  Texts are borrowed until the next call. */
enum dkv_status store_put(struct store_fix *f, struct dkv_family *family, const char *key,
                          const char *value);
enum dkv_status store_delete(struct store_fix *f, struct dkv_family *family, const char *key);
const char *store_get(struct store_fix *f, struct dkv_family *family,
                      const struct dkv_snapshot *snapshot, const char *key);

/* "a=1,b=2", and the same from the end backwards. */
const char *store_list(struct store_fix *f, struct dkv_family *family,
                       const struct dkv_snapshot *snapshot, bool backwards);

#endif
