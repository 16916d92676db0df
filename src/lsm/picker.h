/*
 * lsm/picker.h — which compaction is due: a pure function of the version.
 */
#ifndef LSM_PICKER_H
#define LSM_PICKER_H

#include "lsm/version.h"

/* Inputs of one compaction: tables of `level` and those of the output level that overlap. */
struct compaction {
    uint32_t level; /* from */
    uint32_t output_level;
    bool trivial;               /* one table, nothing overlaps: move it by an edit alone */
    bool bottom;                /* nothing older lies below the output for these keys */
    struct table_file **inputs; /* owned array of references; L0 ones newest first, then down by
                                   level, and within a level by key */
    uint32_t *input_levels;     /* owned; where each of them stands, for the edit that removes it */
    uint32_t input_count;
    uint32_t upper_count; /* how many of them come from `level` */
    uint64_t input_bytes;
};

void compaction_release(struct compaction *c);

/* The most urgent: L0 by count against l0_trigger; levels by bytes against their
 * aim; tables in which at least half of the entries are tombstones (or expired-looking) come
 * first within a level.  `cursor` (LIMIT_LEVELS keys, owned by the caller) makes the choice
 * within a level go round.  ST_NOT_FOUND: nothing is due. */
MUST_USE enum status picker_pick(const struct version *v, const struct lsm_options *options,
                                 const struct buf *cursor, struct compaction *out);

/* Everything into one run at the last level that is in use (at least L1); never trivial.  Its
 * `level` is 0, and `upper_count` may be 0 then.  ST_NOT_FOUND when there is no table. */
MUST_USE enum status picker_all(const struct version *v, struct compaction *out);

/* As lsm_compact_score(). */
double picker_score(const struct version *v, const struct lsm_options *options);

#endif
