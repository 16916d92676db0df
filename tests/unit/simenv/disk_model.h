/*
 * A naive model of a disk with a page cache: for each sector, size and name,
 * what it shows now and everything that a power cut may leave there.
 *
 * It knows nothing of how the simulated disk does it.  The answers "may this
 * be?" are sets, written out in full.
 */
#ifndef UNIT_SIMENV_DISK_MODEL_H
#define UNIT_SIMENV_DISK_MODEL_H

#include "simenv/simenv.h"

enum {
    MODEL_NAMES = 6,
    MODEL_FOLDERS = 2,
    MODEL_FILES = 64, /* over the life of one model */
    MODEL_SECTORS = 12,
    MODEL_BYTES = MODEL_SECTORS * SIM_SECTOR,
    MODEL_VERSIONS = 24, /* of one sector between two syncs */
};

struct model_sector {
    uint8_t versions[MODEL_VERSIONS][SIM_SECTOR]; /* any of these may survive */
    uint32_t version_count;
    bool dirty; /* the last of them is not in the hands of a sync yet */
    uint8_t now[SIM_SECTOR];
};

struct model_file {
    struct model_sector sectors[MODEL_SECTORS];
    uint64_t size;
    uint64_t size_min; /* a power cut leaves a size between these */
    uint64_t size_max;
    bool size_lost; /* a sync has failed, and nothing was written since */
};

/* Names 0..2 are in the root, 3..5 in the folder "d".  A file is a number, -1 is none. */
struct model {
    struct model_file files[MODEL_FILES];
    int file_count;
    int now[MODEL_NAMES];
    bool possible[MODEL_NAMES][MODEL_FILES + 1]; /* [file + 1] */
};

extern const char *const model_names[MODEL_NAMES];
extern const char *const model_folders[MODEL_FOLDERS];

void model_init(struct model *m);

void model_create(struct model *m, int name); /* where there is none, and room for one */
void model_remove(struct model *m, int name);
void model_rename(struct model *m, int from, int to);
void model_sync_dir(struct model *m, int folder);

/* False: too many versions of a sector are about; sync first. */
bool model_may_change(const struct model_file *file);
void model_write(struct model_file *file, uint64_t offset, const uint8_t *bytes, uint64_t size);
void model_truncate(struct model_file *file, uint64_t size);
void model_fill(struct model_file *file, uint64_t size);
void model_sync(struct model_file *file);
void model_fail_sync(struct model_file *file);

/* May these be the file's bytes after a power cut? */
bool model_allows(const struct model_file *file, struct slice bytes);

/* A power cut has left these bytes: from now on nothing else is possible. */
void model_settle_file(struct model_file *file, struct slice bytes);
void model_settle_name(struct model *m, int name, int file);

#endif
