/* What the files of recover.c share. */
#ifndef CLUSTER_RECOVER_INTERNAL_H
#define CLUSTER_RECOVER_INTERNAL_H

#include "cluster/cluster_internal.h"
#include "cluster/orders_internal.h"

/* A node of the cluster that was not removed, as a survey has found it. */
struct recover_node {
    uint64_t id;
    bool answered;
    uint64_t silent_ms; /* for those who have answered: the least of them all */
};

enum recover_stage {
    RECOVER_ASKS,    /* for answers */
    RECOVER_WAITS,   /* to ask again */
    RECOVER_SETTLES, /* a change of the metadata is under way */
};

struct recover {
    struct cluster *cluster;
    struct order *order; /* NULL: it is answered, and only the change is awaited */
    bool confirmed;
    enum recover_stage stage;
    uint64_t limit_ns;
    uint64_t due_ns;
    uint64_t id;      /* of the survey */
    version_t newest; /* of the books of those who have answered */
    uint64_t newest_at;
    struct recover_node nodes[TABLET_NODES_MAX + 1]; /* as of the survey */
    uint32_t node_count;
    uint64_t left_ids[TABLET_NODES_MAX + 1];
    struct left left;
    struct remnant *remnants; /* owned; by tablet and node, when it is judged */
    uint32_t remnant_count;
    uint32_t remnant_capacity;
    struct recover_restoring {
        uint64_t asked_ns; /* the metadata is to be read after that; 0: it is not */
        version_t on;      /* it is as of this */
        version_t since;   /* what it lacks is newer than this */
        version_t limit;   /* and not newer than this; 0: that is not known yet */
    } restoring;
    struct buf report;     /* owned; JSON, of how it was before anything was done; empty: not yet */
    const char *waits_for; /* a literal: for the one who runs out of time */
};

/* recover_judge.c: of one tablet of the atlas. */
struct recover_case {
    const struct tablet_record *record;
    const struct remnant *remnants;
    uint32_t remnant_count;
    enum recovery_verdict verdict;
    const struct remnant *chosen;
};
void recover__judge(const struct recover *v, const struct tablet_record *record,
                    struct recover_case *out);

/* Of all of them. */
struct recover_count {
    uint32_t by_verdict[RECOVERY_GONE + 1];
    uint32_t outdated;
    uint32_t unmade; /* nobody who is left has anything of it yet */
    enum recovery_verdict metadata;
};
void recover__count(const struct recover *v, struct recover_count *out);

/* recover_restore.c.  ST_OK: the metadata has what the book has; or `*out` is what it lacks, or a part of that.
 * ST_BUSY: that is not known yet.  ST_NO_MEMORY. */
MUST_USE enum status recover__restore(struct recover *v, struct change **out);
/* recover_settle.c: does the record ask for what cannot be any more, and somebody leads without them? */
bool recover__is_outdated(const struct recover *v, const struct recover_case *k);

/* What the metadata is to say next; NULL and ST_OK: it says it all.  NULL and ST_BUSY: it is too early. */
struct change *recover__next_change(struct recover *v, enum status *st);

/* recover_tell.c: into v->report.  ST_NO_MEMORY, ST_TOO_BIG. */
MUST_USE enum status recover__report(struct recover *v);
void recover__log(const struct recover *v);

#endif
