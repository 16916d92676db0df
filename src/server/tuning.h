/*
 * server/tuning.h — the settings that count while the server runs, told to everybody whom they concern.
 *
 * They change by a signal, which has the configuration read again, or one by one, as a client says.  Everything here is
 * called on loop 0, or before the loops run.
 */
#ifndef SERVER_TUNING_H
#define SERVER_TUNING_H

#include "api/api.h"
#include "kv/kv.h"
#include "server/config.h"

/* All of it is borrowed. */
struct tuning {
    struct config *config;
    int argc; /* with which it was loaded, and is again */
    char **argv;
    struct kv *kv; /* NULL, as `api`: not yet open, and then only the log is told */
    struct api *api;
};

void tuning_apply(const struct tuning *t);

/* Read the configuration again.  Where that fails, which is logged, everything stays as it was; of what counts only
 * after a restart it is logged that it has changed. */
void tuning_reload(const struct tuning *t);

/* Every setting whose name is like the pattern. */
void tuning_each(const struct tuning *t, struct slice pattern,
                 void (*fn)(void *ctx, const char *name, const char *value), void *ctx);

/* ST_NOT_FOUND: there is no such setting.  ST_CONFLICT: it counts only after a restart.  ST_INVALID: the value will not
 * do, alone or with the others.  Then all is as it was. */
MUST_USE enum status tuning_set(const struct tuning *t, struct slice name, struct slice value,
                                struct err *err);

#endif
