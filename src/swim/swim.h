/*
 * swim/swim.h — who is alive, as a pure function (Das, Gupta and Motivala, "SWIM: Scalable Weakly-
 * consistent Infection-style Process Group Membership Protocol", 2002; Dadgar, Phillips and Currey,
 * "Lifeguard: Local Health Awareness for More Accurate Failure Detection", 2018).
 *
 * One node's opinion of the others.  It does no I/O, reads no clock, draws no random number that it
 * was not given, and no step allocates.  It is a value that is told what happened, and says what must
 * be done:
 *
 *      tick, message, "heard of it",      +--------+     messages to send
 *      learn, forget, announce,     ----> |  swim  | --> members whose state has changed
 *      other thresholds                   +--------+
 *             swim_step()                            struct swim_effects
 *
 * WHAT IS SAID OF A MEMBER
 *
 *      SWIM_HEALTHY     nothing is held against it
 *      SWIM_SUSPICIOUS  accused of silence, and silent for suspicion_threshold (5 s)
 *      SWIM_DOWN        silent for down_threshold (30 s)
 *      SWIM_LOST        DOWN for permanent_failure_threshold (10 min): for the layer above to propose
 *                       PERMANENTLY_FAILED to the metadata group.  REMOVED is SWIM_FORGET
 *
 * These are local opinions; two nodes may differ.  They are left in this order, one at a time, and from
 * each of them any sign of life leads back to HEALTHY.
 *
 * A SIGN OF LIFE is a message of its own, its answer that a helper passes on, SWIM_HEARD, or an
 * incarnation higher than the one known, whoever tells of it.
 *
 * AN ACCUSATION is a probe that was answered neither to us nor to any of up to SWIM_HELPERS others that
 * we asked to try, in one gossip_interval (1 s); or somebody's gossip of such a probe.  It is of one
 * incarnation, and is void when a sign of life after the probe was sent is known here: whoever hears one that
 * is void probes the member next.  A member that hears itself accused raises its incarnation, and that is a
 * refutation wherever it comes to.
 *
 * SILENCE counts from the last sign of life known here.  But in a large cluster a node hears from each
 * other one seldom; a member that nobody accused was heard by somebody in every interval, and so silence
 * never counts from before one gossip_interval before the first probe that was not answered.
 *
 * Then a member is SUSPICIOUS at the later one of
 *
 *      the beginning of its silence + suspicion_threshold
 *      the first probe not answered + the window
 *
 * and not a nanosecond before.  The WINDOW is the time for others to contradict:
 * suspicion_threshold - gossip_interval when everyone who could has confirmed the accusation, or three
 * have, or nobody is there who could (so in a cluster of two the edge is exactly suspicion_threshold
 * after the last sign of life, if it was heard in the interval before); up to twice as long before that.
 * It is multiplied by 1 + swim_health(), but never becomes longer than half of down_threshold, unless
 * it is so from the start.  An accusation that comes by gossip counts as at most half a window old.
 *
 * It is DOWN down_threshold after the beginning of its silence, and not sooner than the shortest window
 * after it became SUSPICIOUS: so each state can be refuted before the next.
 *
 * Nothing hastens any of these edges.  What delays them: gossip on its way, and our own bad health.
 *
 * OUR OWN HEALTH, 0 to SWIM_HEALTH_MAX, 0 being the best, gets worse when a probe fails and not one of
 * the helpers who were asked let us hear that they had been; when we must refute; and when events come
 * late.  It gets better with each probe that is answered.  A node in bad health probes less often,
 * waits longer, and accuses later.  Time in which we were not awake is nobody's silence: of a gap between
 * two events, only one gossip_interval counts.
 *
 * LINKS THAT CARRY ONE WAY.  Two nodes alone, and only A's messages to B arrive: A thinks B DOWN, and B
 * thinks A HEALTHY; both are right.  With a third that reaches both, both think each other HEALTHY,
 * since it passes answers on.  A node that nobody hears becomes DOWN, and itself thinks all HEALTHY.
 * A node that hears nobody thinks the others DOWN; they refute that among themselves, and think it
 * HEALTHY while its pings come to them, SUSPICIOUS or DOWN between: nobody it could serve.
 *
 * WHAT IT COSTS, by node and gossip_interval, however many members there are: one probe and, on
 * average, one answer; when a probe is not answered at once, up to 5 * SWIM_HELPERS messages more among
 * all.  A message has at most SWIM_UPDATES_MAX updates and SWIM_MESSAGE_BYTES_MAX bytes (codec.h).  Who
 * is in doubt is probed out of turn, with every other probe at most, so that nobody is DOWN on hearsay:
 * by each node once in a quarter of down_threshold, which is the one thing that grows with the cluster,
 * and only for the silent one.
 *
 * A PAYLOAD of up to SWIM_PAYLOAD_BYTES, the layer above's and not looked at here, spreads with each
 * node's own news.  A later one replaces an earlier one: later by (incarnation, sequence).
 *
 * THE DRIVER sends messages at once or not at all: they may be lost, delayed, repeated and reordered.
 * It says SWIM_TICK at swim_wake_ns(), never much later.  `now_ns` is of a clock that runs while the
 * machine sleeps or not, and never backwards (an event of the past counts as now).
 *
 * Not thread-safe.  Invariants S1..: swim.c.  Depends on: base.
 */
#ifndef SWIM_SWIM_H
#define SWIM_SWIM_H

#include <stdbool.h>
#include <stdint.h>

#include "base/slice.h"
#include "base/status.h"

struct swim;

typedef uint64_t swim_id; /* 0 is nobody */

enum {
    /* Nodes of a cluster, us included. */
    SWIM_NODES_MAX = 128,
    SWIM_MEMBERS_MAX = SWIM_NODES_MAX - 1,
    /* In one message, the sender's own included. */
    SWIM_UPDATES_MAX = 10,
    SWIM_PAYLOAD_BYTES = 32,
    /* Who is asked to try when a probe is not answered. */
    SWIM_HELPERS = 3,
    /* Who is remembered of those who accuse: one, and as many who confirm as count. */
    SWIM_ACCUSERS_MAX = 4,
    /* A step sends at most what a failed probe does. */
    SWIM_MESSAGES_MAX = SWIM_HELPERS,
    SWIM_HEALTH_MAX = 4,
};

/* Incarnations and sequences above are not believed: so that none overflows. */
#define SWIM_INCARNATION_MAX (UINT64_C(1) << 62)

enum swim_state { SWIM_HEALTHY, SWIM_SUSPICIOUS, SWIM_DOWN, SWIM_LOST, SWIM_STATE_COUNT };

/* ------------------------------------------------------------------ messages */

enum swim_message_kind {
    SWIM_PING,     /* answer to us; on behalf of `origin`, who may be the sender */
    SWIM_ACK,      /* `subject` lives; for `origin`, to whom a helper passes it on */
    SWIM_PING_REQ, /* ping `subject` on our behalf; answered at once with an ack of the helper's own */
    SWIM_MESSAGE_KIND_COUNT
};

struct swim_payload {
    uint64_t sequence; /* 0: none was announced */
    uint32_t size;
    uint8_t bytes[SWIM_PAYLOAD_BYTES];
};

/* What is told of one node: that it lives, and its payload; or that it is accused. */
struct swim_update {
    swim_id id;
    uint64_t incarnation;
    bool accused;
    uint32_t age_ms; /* accused: how long ago the first probe was sent that it did not answer */
    uint32_t accuser_count;
    swim_id accusers[SWIM_ACCUSERS_MAX];
    struct swim_payload payload; /* not accused */
};

/* Plain data. */
struct swim_message {
    enum swim_message_kind kind;
    swim_id from;
    swim_id to;
    uint64_t probe;  /* the number that `origin` gave to it; echoed */
    swim_id subject; /* ACK, PING_REQ */
    swim_id origin;  /* PING, ACK */
    uint32_t update_count;
    struct swim_update updates[SWIM_UPDATES_MAX]; /* the first is the sender's own */
};

/* ------------------------------------------------------------------ options */

/* gossip_interval at least 1 ms; 2 * gossip_interval <= suspicion_threshold < down_threshold; none longer
 * than a year. */
struct swim_timing {
    uint64_t gossip_interval_ns;             /* 1 s */
    uint64_t suspicion_threshold_ns;         /* 5 s */
    uint64_t down_threshold_ns;              /* 30 s */
    uint64_t permanent_failure_threshold_ns; /* 10 min */
};

struct swim_options {
    swim_id self;
    /* From 1 on, best higher than in any earlier life; if it is not, the node learns from the others how
     * high it must be, and until then they do not read its payload. */
    uint64_t incarnation;
    uint64_t now_ns;
    uint32_t dice;
    struct swim_timing timing;
};

/* The timing of the design, incarnation 1; the rest is 0. */
void swim_options_default(struct swim_options *options);
bool swim_timing_is_valid(const struct swim_timing *timing);

/* ------------------------------------------------------------------ events and effects */

enum swim_event_kind {
    SWIM_TICK,      /* time has passed */
    SWIM_RECEIVE,   /* `message` has arrived */
    SWIM_HEARD,     /* another protocol has just heard from `node` */
    SWIM_LEARN,     /* `node` is a member: HEALTHY, and counts as heard now */
    SWIM_FORGET,    /* it is one no more */
    SWIM_ANNOUNCE,  /* `payload` is ours from now on */
    SWIM_CONFIGURE, /* `timing` is in force from now on; no state changes back by it */
    SWIM_EVENT_KIND_COUNT
};

struct swim_event {
    enum swim_event_kind kind;
    uint64_t now_ns;
    uint32_t dice;                      /* TICK: any random number */
    const struct swim_message *message; /* borrowed */
    const struct swim_timing *timing;   /* borrowed */
    struct slice payload;               /* borrowed */
    swim_id node;
};

struct swim_change {
    swim_id node;
    enum swim_state from;
    enum swim_state to;
};

/* The caller's; overwritten by each step. */
struct swim_effects {
    uint32_t change_count; /* at most one for each member */
    struct swim_change changes[SWIM_MEMBERS_MAX];
    uint32_t message_count;
    struct swim_message messages[SWIM_MESSAGES_MAX];
};

/* ------------------------------------------------------------------ life */

/* A node alone.  ST_INVALID: senseless options.  ST_NO_MEMORY. */
MUST_USE enum status swim_create(struct swim **out, const struct swim_options *options);
void swim_destroy(struct swim *s); /* NULL is allowed */

/* ST_OK; or the event is refused, and of it nothing has happened (but the clock goes on, so `effects` may
 * have changes all the same):
 * ST_NOT_FOUND  HEARD, FORGET: not a member
 * ST_EXISTS     LEARN: a member already
 * ST_TOO_BIG    LEARN: SWIM_MEMBERS_MAX are there; ANNOUNCE: more than SWIM_PAYLOAD_BYTES
 * ST_INVALID    LEARN: nobody, or ourselves; CONFIGURE: not valid; RECEIVE: malformed, or not for us
 *
 * Gossip about nodes, and messages from nodes, that are no members is passed over; but whoever pings
 * us is answered. */
MUST_USE enum status swim_step(struct swim *s, const struct swim_event *event,
                               struct swim_effects *effects);

/* ------------------------------------------------------------------ looking */

/* When SWIM_TICK is wanted, at the latest; by the driver's clock, and it may have passed. */
uint64_t swim_wake_ns(const struct swim *s);

struct swim_view {
    swim_id id;
    enum swim_state state;
    bool accused;
    uint64_t incarnation; /* 0: it was not heard of yet */
    uint64_t silent_ns;   /* since its last sign of life known here, as far as we were awake */
    struct swim_payload payload;
};

/* Of a member, or of ourselves.  ST_NOT_FOUND. */
MUST_USE enum status swim_view(const struct swim *s, swim_id id, struct swim_view *out);

/* Members in ascending order of ids; `index` < swim_member_count(). */
uint32_t swim_member_count(const struct swim *s);
swim_id swim_member_id(const struct swim *s, uint32_t index);

uint32_t swim_health(const struct swim *s);
const struct swim_timing *swim_timing(const struct swim *s); /* in force */
const char *swim_state_name(enum swim_state state);

#endif
