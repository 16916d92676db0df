/*
 * cluster/record.h — what the metadata tablet holds, record by record.
 *
 *      key    kind:u8 id:u64 big-endian
 *      value  format:u8 = 1 (2: of a tablet that is or was split, with the fields of that), then the fields of the
 *             record in their order here: integers as varints, states and roles as bytes, texts and bounds as strings, lists with their count before them
 *
 * Nothing is ever deleted: a node that was removed, a keyspace that was dropped and a tablet that is gone
 * stay as records that say so.  So what is newer than a version is all that somebody at that
 * version lacks.
 *
 * Every change of the metadata also writes the one cluster record, on the condition that nobody
 * else has meanwhile: a change is made to exactly what it was decided on.
 *
 * Pure.  Depends on: base, raft (its limits).
 */
#ifndef CLUSTER_RECORD_H
#define CLUSTER_RECORD_H

#include "base/coding.h"
#include "base/limits.h"
#include "base/version.h"

#include "engine/scope.h"
#include "raft/raft.h"

enum record_kind {
    RECORD_CLUSTER = 'c', /* id 0 */
    RECORD_KEYSPACE = 'k',
    RECORD_NODE = 'n',
    RECORD_TABLET = 't',
};

enum {
    RECORD_KEY_BYTES = 9,
    RECORD_VALUE_BYTES_MAX = 8 << 10,
    CLUSTER_HOST_BYTES = 63,     /* of a numeric address */
    CLUSTER_BOUND_BYTES = 1024,  /* of a tablet's bound */
    CLUSTER_REPLICAS_MAX = 7,    /* of a keyspace; a replacement needs as many again for a moment */
    CLUSTER_TABLETS_MAX = 16384, /* of a keyspace */
    CLUSTER_KEYSPACES_MAX = 4096,
};

struct record_key {
    enum record_kind kind;
    uint64_t id;
};

void record_key_encode(const struct record_key *key, uint8_t out[RECORD_KEY_BYTES]);
MUST_USE enum status record_key_decode(struct slice bytes, struct record_key *out);

/* ------------------------------------------------------------------ the cluster */

struct cluster_record {
    char name[LIMIT_NAME_BYTES + 1];
    uint64_t created_ms; /* Unix */
    uint64_t change;     /* 1 at first; one more with each change */
};

/* ------------------------------------------------------------------ nodes */

enum node_state {
    NODE_MEMBER = 1,   /* it takes part; whether it answers is the failure detector's matter */
    NODE_DRAINING = 2, /* its replicas move away, by order of an operator; it serves meanwhile */
    NODE_FAILED = 3,   /* gone for longer than permanent_failure_threshold: others take its place */
    NODE_REMOVED = 4,  /* its identity is void for ever */
};

struct node_address {
    char host[CLUSTER_HOST_BYTES + 1]; /* numeric */
    uint16_t port;
};

struct node_record {
    uint64_t id;
    enum node_state state;
    char name[LIMIT_NAME_BYTES + 1];
    char zone[LIMIT_NAME_BYTES + 1]; /* empty: none */
    uint32_t weight;                 /* its virtual nodes on the ring; 0: it stores nothing */
    struct node_address peer;
    struct node_address client; /* of the Redis protocol */
    uint64_t joined_ms;
};

/* ------------------------------------------------------------------ keyspaces */

enum keyspace_state { KEYSPACE_LIVE = 1, KEYSPACE_DROPPED = 2 };
enum keyspace_mode { KEYSPACE_STRONG = 1 };
enum keyspace_partition {
    PARTITION_HASH = 1, /* bounds are slots, two bytes, big-endian */
    PARTITION_RANGE = 2 /* bounds are keys */
};

struct keyspace_record {
    uint32_t id;
    enum keyspace_state state;
    char name[LIMIT_NAME_BYTES + 1];
    enum keyspace_mode mode;
    enum keyspace_partition partition;
    uint32_t replicas; /* wanted, when there are so many nodes */
};

/* ------------------------------------------------------------------ tablets */

enum tablet_state { TABLET_LIVE = 1, TABLET_GONE = 2 };

/* What a member is to be.  The tablet's leader makes the group so; the steward (step.h) says what comes
 * next when it is. */
enum member_role {
    MEMBER_VOTER = 1,
    MEMBER_LEARNER = 2, /* for good */
    MEMBER_JOINING = 3, /* a learner that will vote when it has caught up */
    MEMBER_LEAVING = 4, /* out of the group; its replica is kept until that is certain */
};

struct tablet_member {
    uint64_t node;
    enum member_role role;
};

struct tablet_record {
    uint64_t id;
    version_t version; /* of the record, where that is known (atlas.h); it is not among the bytes */
    uint32_t keyspace;
    enum tablet_state state;
    struct slice from;  /* borrowed; first partition key; empty: from the beginning */
    struct slice limit; /* first partition key that is not its own; empty: to the end */
    uint64_t edition;   /* how often it, and what it came out of, were split (engine/scope.h) */
    uint64_t parent;    /* what it came out of; 0: nothing */
    uint64_t heir;      /* who is to have what lies at `at` and beyond; 0: it is not being split */
    struct slice at;    /* borrowed */
    uint64_t leader;    /* who should lead; 0: whoever does */
    uint32_t founder_count; /* the voters with which the group was born */
    uint64_t founders[RAFT_VOTERS_MAX];
    uint32_t member_count;
    struct tablet_member members[RAFT_MEMBERS_MAX]; /* the first voters in order of preference */
};

/* ------------------------------------------------------------------ bytes */

struct record {
    enum record_kind kind;
    union {
        struct cluster_record cluster;
        struct node_record node;
        struct keyspace_record keyspace;
        struct tablet_record tablet;
    } as;
};

struct record_key record_key_of(const struct record *r);

/* Appends the value.  ST_NO_MEMORY, ST_TOO_BIG. */
MUST_USE enum status record_encode(const struct record *r, struct buf *out);

/* Slices borrow from `value`.  ST_CORRUPT; ST_INVALID: of a newer format. */
MUST_USE enum status record_decode(const struct record_key *key, struct slice value,
                                   struct record *out, struct err *err);

bool node_address_equal(const struct node_address *a, const struct node_address *b);

/* Does the node say the same of itself?  Its state, and since when it is one, are the cluster's to say. */
bool node_record_says_same(const struct node_record *a, const struct node_record *b);

/* What two tablets' records say of a member; NULL: it is none. */
const struct tablet_member *tablet_record_member(const struct tablet_record *t, uint64_t node);

/* The membership that the record asks for: joining ones learn, leaving ones are out. */
void tablet_record_config(const struct tablet_record *t, struct raft_config *out);

/* For qsort(): ids in ascending order. */
int record_compare_ids(const void *a, const void *b);

const char *node_state_name(enum node_state state);
const char *member_role_name(enum member_role role);

#endif
