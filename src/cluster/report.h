/*
 * cluster/report.h — what a tablet's leader tells of its group: how far what its record asks for is done.
 *
 * Pure.  Depends on: base, raft.
 */
#ifndef CLUSTER_REPORT_H
#define CLUSTER_REPORT_H

#include "cluster/record.h"

struct report_member {
    uint64_t node;
    bool votes;     /* in the membership in force; in either half of a joint one */
    bool caught_up; /* has all that was committed a moment ago, and is heard */
};

struct tablet_report {
    uint64_t tablet;
    uint64_t leader; /* who says it */
    raft_term term;
    raft_index commit;
    uint64_t edition; /* of its scope, as applied by the leader */
    version_t basis;  /* of the record that the leader goes by; 0: it knows of none */
    bool settled;     /* the membership in force is committed, and not joint */
    uint64_t bytes;
    uint64_t bytes_left; /* that members who are behind have still to get, as far as is known */
    uint32_t member_count;
    struct report_member members[RAFT_MEMBERS_MAX];
};

/* NULL: it is no member. */
const struct report_member *report_member(const struct tablet_report *r, uint64_t node);

/* Is `a` of a later term than `b`, or of the same and further? */
bool report_is_newer(const struct tablet_report *a, const struct tablet_report *b);

/* A number that is another one when the report says something that somebody acts on: not what merely grows. */
uint64_t report_essence(const struct tablet_report *r);

enum { REPORT_BYTES_MAX = 512 };

/* ST_NO_MEMORY, ST_TOO_BIG. */
MUST_USE enum status report_encode(const struct tablet_report *r, struct buf *out);
/* ST_CORRUPT. */
MUST_USE enum status report_decode(struct reader *from, struct tablet_report *out);

#endif
