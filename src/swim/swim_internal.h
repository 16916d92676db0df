/* What the files of swim/ share.  The essay and the invariants are in swim.c. */
#ifndef SWIM_INTERNAL_H
#define SWIM_INTERNAL_H

#include "swim/swim.h"

#define SWIM_NEVER UINT64_MAX

struct swim_member {
    swim_id id;
    enum swim_state state;
    bool accused;
    bool must_rise; /* its incarnation must, and it may not know it yet */
    bool failed_us; /* accused, and it has left a probe of our own unanswered */
    bool unsure;    /* to be probed next: accused by accident, perhaps, or in vain by others */
    uint32_t accuser_count;
    swim_id accusers[SWIM_ACCUSERS_MAX];
    uint32_t tells; /* how often its news is still to be told */
    bool urgent;    /* and more than its payload is new */
    uint64_t told;  /* in which of our messages it was told last */
    uint64_t incarnation;
    uint64_t heard_ns;      /* the last sign of life known here */
    uint64_t unanswered_ns; /* accused: when the first probe was sent that it did not answer */
    uint64_t doubted_ns;    /* the same, but what came by gossip is not older than half a window */
    uint64_t changed_ns;    /* when its state last changed */
    uint64_t probed_ns;     /* when we last sent it a probe */
    struct swim_payload payload;
};

/* The probe under way, and when the next one is due. */
struct swim_probe {
    swim_id target; /* 0: none, or it was answered */
    uint64_t number;
    uint64_t sent_ns;
    uint64_t ask_ns; /* for help */
    uint64_t end_ns; /* and then it has failed; the next one begins */
    uint32_t helper_count;
    bool asked;
    bool helper_heard;
    bool out_of_turn;
};

struct swim {
    swim_id self;
    uint64_t incarnation; /* our own */
    struct swim_payload payload;
    struct swim_timing timing;
    uint64_t now_ns;  /* how long we were awake */
    uint64_t seen_ns; /* the driver's clock at the last event */
    uint64_t chance;
    uint32_t health;
    uint64_t messages; /* that we have sent */
    struct swim_probe probe;

    uint32_t member_count;
    struct swim_member members[SWIM_MEMBERS_MAX]; /* in ascending order of ids */
    uint32_t turn;                                /* of turns[], the next to be probed */
    swim_id turns[SWIM_MEMBERS_MAX]; /* every member once, in an order drawn for each round */

    struct swim_effects *fx; /* of the step under way */
};

/* ------------------------------------------------------------------ swim.c */

uint64_t swim__random(struct swim *s, uint64_t limit); /* in [0, limit) */
void swim__health_worse(struct swim *s);
void swim__health_better(struct swim *s);

/* ------------------------------------------------------------------ members.c */

struct swim_member *swim__member(struct swim *s, swim_id id); /* NULL: not one */
MUST_USE enum status swim__learn(struct swim *s, swim_id id);
MUST_USE enum status swim__forget(struct swim *s, swim_id id);
swim_id swim__next_turn(struct swim *s); /* 0: there is nobody */

/* ------------------------------------------------------------------ opinion.c */

/* A sign of life, now. */
void swim__heard(struct swim *s, struct swim_member *m);

/* It has an incarnation that is new here, and lived at `at_ns`. */
void swim__rose(struct swim *s, struct swim_member *m, uint64_t incarnation, uint64_t at_ns);

/* It has not answered a probe that was sent then; `by_gossip`: not ours.  True: it is accused now. */
bool swim__accuse(struct swim *s, struct swim_member *m, uint64_t unanswered_ns, bool by_gossip);
void swim__add_accuser(struct swim *s, struct swim_member *m, swim_id accuser);

uint64_t swim__shortest_window(const struct swim *s);

/* Change the states that are due, of each member by one. */
void swim__settle(struct swim *s);
uint64_t swim__next_edge(const struct swim *s); /* when one will be */

/* ------------------------------------------------------------------ gossip.c */

/* There is something new to tell of it: `urgent`, or its payload alone. */
void swim__news(struct swim *s, struct swim_member *m, bool urgent);

/* A message from us with our news, for the caller to complete; it is sent.  Borrowed until the step ends. */
struct swim_message *swim__send(struct swim *s, enum swim_message_kind kind, swim_id to);
void swim__take_update(struct swim *s, swim_id from, const struct swim_update *u);

/* ------------------------------------------------------------------ probe.c */

void swim__probe_tick(struct swim *s);
void swim__probe_drop(struct swim *s); /* without blame; the next one is due */
void swim__receive(struct swim *s, const struct swim_message *m);
uint64_t swim__probe_wake(const struct swim *s);

#endif
