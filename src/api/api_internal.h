/*
 * api/api_internal.h — what the files of api/ share about the node as a whole.
 */
#ifndef API_API_INTERNAL_H
#define API_API_INTERNAL_H

#include "base/lock.h"

#include "api/api.h"
#include "api/command.h"
#include "api/cursor.h"
#include "api/reactor.h"
#include "api/session.h"

enum { PASSWORD_BYTES_MAX = 512, DOOR_COUNT = 2 };

/* The version of Redis whose commands, texts and protocol these are. */
#define API_REDIS_VERSION "7.0.0"

struct drain {
    bool begun;
    uint32_t reactors_left;
    void (*drained)(void *ctx);
    void *ctx;
};

struct api {
    struct kv *kv;
    struct env *env;
    struct api_options options; /* its pointers are ours */
    char *version;
    struct reactor *reactors;
    uint32_t reactor_count;
    struct listener *listeners[DOOR_COUNT];
    struct room_shares shares;
    struct command_index commands;
    struct cursor_table cursors;

    struct lock lock; /* guards the password */
    char password[PASSWORD_BYTES_MAX];
    size_t password_size;

    _Atomic bool password_set;
    _Atomic uint32_t durability;
    _Atomic uint32_t deadline_ms;
    _Atomic bool moved; /* clients are told who leads, instead of being answered from there */
    _Atomic uint32_t stale_ms; /* that reads after READONLY may be behind */
    _Atomic uint32_t connections;
    _Atomic uint64_t next_session;

    _Atomic uint64_t last_save_ms; /* Unix */
    _Atomic bool saving;           /* a BGSAVE is under way */
    _Atomic bool last_save_failed;

    /* COMPACTs under way, and where the one that moved last is: keyspace, permille of the whole
     * before it, its own share of the whole. */
    _Atomic uint32_t compacts;
    _Atomic uint64_t compact_step;

    struct drain drain;
    _Atomic bool drain_now; /* whoever is still connected is not waited for */
};

/* Without an early end at the first difference. */
bool api_password_matches(struct api *a, struct slice password);

/* A reactor has closed its last session; any thread. */
void api_reactor_drained(struct api *a, uint32_t index);

/* Sums over the reactors. */
struct api_figures {
    uint64_t commands;
    uint64_t accepted;
    uint64_t refused;
    uint64_t bytes_in;
    uint64_t bytes_out;
    uint64_t hits;
    uint64_t misses;
    uint64_t errors;
};
void api_figures(struct api *a, struct api_figures *out);

/* How far a COMPACT is, in 0..1000; false: none is under way (admin.c). */
enum { API_PERMILLE = 1000 };
bool api_compact_progress(struct session *s, uint32_t *permille);

/* INFO's text (info.c). */
MUST_USE enum status info_text(struct session *s, const struct slice *sections, uint32_t count,
                               struct buf *out);

#endif
