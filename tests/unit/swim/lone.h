/*
 * unit/swim/lone.h — one node, and everything that the others would say, by hand.
 *
 * Node 1 is the one that is tested.  Its time begins at LONE_BEGIN_MS and is exact: lone_run_to() ticks at
 * each moment that it asks for, and at no other but the last.
 */
#ifndef UNIT_SWIM_LONE_H
#define UNIT_SWIM_LONE_H

#include "swim/swim.h"

enum { LONE_SELF = 1, LONE_BEGIN_MS = 1000, LONE_MAIL_MAX = 4096 };

struct lone {
    struct swim *swim;
    uint64_t now_ns;
    struct swim_effects fx;
    struct swim_message mail[LONE_MAIL_MAX]; /* everything that it has sent, until it is read */
    uint32_t mail_count;
    struct swim_change last; /* node 0: nothing has changed yet */
    uint64_t last_ns;        /* when that was */
    uint32_t change_count;
};

/* With members 2 .. node_count. */
struct lone *lone_create(uint32_t node_count);
void lone_destroy(struct lone *l);

uint64_t lone_ms(const struct lone *l); /* since LONE_BEGIN_MS */
void lone_run_to(struct lone *l, uint64_t ms);
enum status lone_step(struct lone *l, struct swim_event event);

/* The last message of this kind to `to` (0: to anybody); NULL: there is none. */
const struct swim_message *lone_sent(const struct lone *l, enum swim_message_kind kind, swim_id to);
void lone_read_mail(struct lone *l); /* and throw it away */

/* Wait until it pings somebody (`to` not 0: this one); the message, until its next step. */
const struct swim_message *lone_await_ping(struct lone *l, swim_id to);

/* A message as if `from` had sent it; with no update but its own of `incarnation`. */
struct swim_message lone_message(enum swim_message_kind kind, swim_id from, uint64_t incarnation);
enum status lone_receive(struct lone *l, const struct swim_message *m);

/* Answer this ping. */
void lone_answer(struct lone *l, const struct swim_message *ping, uint64_t incarnation);

/* Gossip from `from`: `id` of `incarnation` is accused by `accuser`, for `age_ms`. */
void lone_accuse(struct lone *l, swim_id from, swim_id id, uint64_t incarnation, swim_id accuser,
                 uint32_t age_ms);

/* Gossip from `from`, who may be `id` itself: that one lives, and its payload. */
void lone_tell_alive(struct lone *l, swim_id from, swim_id id, uint64_t incarnation,
                     uint64_t sequence, const char *payload);

/* `from` asks whether we live; our answer. */
const struct swim_message *lone_answer_to(struct lone *l, swim_id from);

/* What the message tells of `id`; NULL: nothing. */
const struct swim_update *lone_update_about(const struct swim_message *m, swim_id id);

enum swim_state lone_state(const struct lone *l, swim_id id);
struct swim_view lone_view(const struct lone *l, swim_id id);

#endif
