/* unit/sst/fixture.h — a node with a disk, on which tests build tables, harm them, and read them
 * back against the model that they were built from. */
#ifndef UNIT_SST_FIXTURE_H
#define UNIT_SST_FIXTURE_H

#include "simenv/simenv.h"
#include "sst/table.h"
#include "unit/mem/model.h"
#include "unit/test.h"

enum { NODE = 1, CACHE_BYTES = 1 << 20 };

struct fix {
    struct sim *sim;
    struct env *env;
    struct budget budget;
    struct cache *cache;
    struct err err; /* of the last failure */
};

struct fix setup(void);
void teardown(struct fix *f); /* whatever was charged must be returned by now */

struct table_options default_options(void);

/* Build a table of all that is in the model. */
struct table_info build(struct fix *f, const char *path, uint64_t number,
                        const struct table_options *options, const struct model *m);
enum status try_build(struct fix *f, const char *path, uint64_t number,
                      const struct table_options *options, const struct model *m,
                      struct table_info *info);

struct table *open_table(struct fix *f, const char *path, const struct table_info *info);
enum status try_open(struct fix *f, const char *path, const struct table_info *info,
                     struct table **out);

/* A model of `count` random entries whose keys come from model_key(0 .. key_space) and have up
 * to `key_max` bytes; values have up to `value_max`. */
struct model random_model(struct prng *p, size_t count, uint64_t key_space, size_t key_max,
                          size_t value_max);

/* Read everything back: every entry by get at its version, by a walk in both directions and by
 * seeks.  Any answer but the model's fails the test, unless it is a failure with `allowed`;
 * the result is whether there was one.  `reader` chooses cache or bulk. */
bool read_back(struct fix *f, struct table *t, const struct model *m,
               const struct table_iter_options *reader, enum status allowed);

enum status verify_table(struct fix *f, const char *path, const struct table_info *info);

#endif
