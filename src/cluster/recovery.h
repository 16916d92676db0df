/*
 * cluster/recovery.h — what is left of a tablet when nodes are gone for good, and who goes on with it.
 *
 *      A  1 1 2 2            commit 3      ┐ left of five, so no majority can ever be again
 *      B  1 1 2 2 2          commit 4      ┘ B: its log is the newest, and has what A knows to be committed
 *      C  1 1 2 2 2 2 2 ..                   gone, and nobody knows how much it had
 *
 * Whoever is chosen has what any of those who are left knows to be committed; of these, the newest log.
 * The newest log alone would not do: it may end in entries of a leader that was never followed,
 * where another member was told of what was committed instead; then the two would contradict each other
 * for ever.  (And where nobody was told, nobody can know: what is not known to be committed and ends in an earlier
 * term than another log is given up, though it may have been acknowledged.)
 *
 * Pure.  Depends on: base, raft.
 */
#ifndef CLUSTER_RECOVERY_H
#define CLUSTER_RECOVERY_H

#include "base/coding.h"

#include "raft/raft.h"

enum {
    REMNANT_RUNS_MAX = 16,
    REMNANT_BYTES_MAX = 1024,
    /* An imposed term is so far above all that are known.  Those who are gone may have been in later ones, but a
     * term is entered only by who would be elected, so each of these had a leader of its own. */
    RECOVERY_TERMS_ABOVE = 4096,
};

/* A replica, as it is on one of the nodes that are left. */
struct remnant {
    uint64_t node;
    uint64_t tablet;
    bool leads; /* it is heard by a majority */
    raft_term term;
    raft_index base; /* what is known of the log begins after it */
    raft_term base_term;
    raft_index last;
    raft_index commit;
    struct raft_config config; /* in force */
    uint32_t run_count;
    struct raft_run runs[REMNANT_RUNS_MAX]; /* the newest */
};

void remnant_of(const struct raft *r, uint64_t tablet, struct remnant *out);

/* Of the entry; 0: it is not known. */
raft_term remnant_term_at(const struct remnant *m, raft_index index);
raft_term remnant_last_term(const struct remnant *m);

/* ST_NO_MEMORY, ST_TOO_BIG. */
MUST_USE enum status remnant_encode(const struct remnant *m, struct buf *out);
/* ST_CORRUPT. */
MUST_USE enum status remnant_decode(struct reader *from, struct remnant *out);

/* For qsort(): by tablet, then by node. */
int remnant_compare(const void *a, const void *b);

/* Those who are left, by node. */
struct left {
    const uint64_t *nodes;
    uint32_t count;
};
bool left_has(const struct left *l, uint64_t node);

/* Can they, of this membership, elect somebody? */
bool left_elects(const struct left *l, const struct raft_config *config);

enum recovery_verdict {
    RECOVERY_LED,      /* somebody leads it */
    RECOVERY_ELECTS,   /* somebody can */
    RECOVERY_STRANDED, /* nobody ever will, without an order */
    RECOVERY_GONE,     /* nobody who is left has anything of it */
};

/* `all` are of one tablet, whose record asks for `asked`.  `*chosen`: who leads it, or should go on; NULL: GONE. */
enum recovery_verdict recovery_judge(const struct remnant *all, uint32_t count,
                                     const struct left *left, const struct raft_config *asked,
                                     const struct remnant **chosen);

/* A term above all that these know. */
raft_term recovery_term(const struct remnant *all, uint32_t count);

/* Entries that `other` has and that are not in the log of `chosen`. */
uint64_t recovery_given_up(const struct remnant *chosen, const struct remnant *other);

#endif
