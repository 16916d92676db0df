/*
 * api/room.h — whose turn it is to hold memory for a connection.
 *
 * What connections may hold is a share of the node's budget (P6): one for
 * requests that are arriving, one for replies that are leaving.  Whoever needs
 * much asks before it takes; when there is no room it waits in its reactor's
 * line, first come, first served, until there is room or its deadline has passed.
 */
#ifndef API_ROOM_H
#define API_ROOM_H

#include <stdint.h>

#include "base/budget.h"
#include "base/list.h"
#include "base/status.h"

enum room_kind { ROOM_REQUEST, ROOM_REPLY, ROOM_KIND_COUNT };

/* The shares of one node; all reactors charge the same. */
struct room_shares {
    struct budget *budget; /* of the node; every share is charged to it, too */
    struct budget share[ROOM_KIND_COUNT];
    _Atomic uint64_t missed[ROOM_KIND_COUNT];  /* how often a deadline has passed without a grant */
    _Atomic uint32_t waiting[ROOM_KIND_COUNT]; /* in the lines of all reactors */
};

void room_shares_init(struct room_shares *shares, struct budget *budget);

/* One reactor's line. */
struct room {
    struct room_shares *shares;
    uint64_t seen[ROOM_KIND_COUNT];       /* of `missed` */
    struct list waiting[ROOM_KIND_COUNT]; /* struct room_wait */
};

/* Embedded in whoever waits; idle when `link` is a list of its own. */
struct room_wait {
    struct list link;
    size_t bytes;
    uint64_t deadline_ns;
    struct room_shares *shares; /* while it waits */
    enum room_kind kind;
    /* The bytes were granted (and are charged), or the deadline has passed.  May wait again. */
    void (*over)(struct room_wait *self, bool granted);
};

void room_init(struct room *room, struct room_shares *shares);

/* False when there is no room, or others of this reactor wait for it. */
MUST_USE bool room_try(struct room *room, enum room_kind kind, size_t bytes);

/* For what is small, or exists already. */
void room_take(struct room *room, enum room_kind kind, size_t bytes);
void room_give(struct room *room, enum room_kind kind, size_t bytes);

void room_wait_init(struct room_wait *wait, void (*over)(struct room_wait *self, bool granted));
void room_await(struct room *room, enum room_kind kind, struct room_wait *wait, size_t bytes,
                uint64_t deadline_ns);
bool room_waits(const struct room_wait *wait);
void room_wait_cancel(struct room_wait *wait);

/* Would half of the share stay free?  For what could as well be fetched again, when it is due. */
bool room_is_ample(const struct room *room, enum room_kind kind, size_t bytes);

/* Does somebody, on any reactor, wait?  Then nobody keeps for later what it does not need now. */
bool room_is_wanted(const struct room *room, enum room_kind kind);

/* Has somebody, on any reactor, been refused since this was asked last? */
bool room_was_missed(struct room *room, enum room_kind kind);

/* Does anybody wait here? */
bool room_busy(const struct room *room);

/* Grant what can be granted, and end what is overdue. */
void room_poll(struct room *room, uint64_t now_ns);

#endif
