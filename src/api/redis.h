/*
 * api/redis.h — the Redis commands, by family.
 */
#ifndef API_REDIS_H
#define API_REDIS_H

#include "api/call.h"
#include "api/session.h"

/* ------------------------------------------------------------------ arguments (redis_args.c) */

#define REDIS_SYNTAX_ERROR  "ERR syntax error"
#define REDIS_NOT_INTEGER   "ERR value is not an integer or out of range"
#define REDIS_NOT_INT32     "ERR value is out of range, value must between -2147483648 and 2147483647"
#define REDIS_BAD_DATABASE  "ERR DB index is out of range"
#define REDIS_TWO_DATABASES "ERR a unit on two databases is not supported"

static inline bool
arg_is(struct slice arg, const char *word)
{
    return slice_equal_nocase(arg, word);
}

/* A database by its number as text: NULL, or the error. */
const char *arg_database(struct session *s, struct slice text, uint32_t *number,
                         uint32_t *keyspace);

/* When something expires: `value` as given after EX, PX, EXAT or PXAT. */
enum expiry_unit { EXPIRY_NONE, EXPIRY_EX, EXPIRY_PX, EXPIRY_EXAT, EXPIRY_PXAT };
enum expiry_unit arg_expiry_unit(struct slice arg);

/* To Unix milliseconds.  False: beyond what can be expressed. */
bool expiry_resolve(enum expiry_unit unit, int64_t value, uint64_t now_ms, int64_t *unix_ms);

/* Check a command name and its arguments against the table: NULL, or the error in `out`. */
enum { REFUSAL_TEXT_MAX = 512 };
const struct command *redis_lookup(struct session *s, const struct slice *args, uint32_t count,
                                   const char **error, char out[REFUSAL_TEXT_MAX]);

/* Why this command, which is allowed in a unit in general, is not with these arguments; or NULL. */
const char *redis_refuse_in_unit(const struct session *s, const struct command *command,
                                 const struct slice *args, uint32_t count);

/* "MOVED ...", whom to ask instead; NULL: it is carried out here, wherever the keys are (redis_moved.c). */
const char *redis_moved(struct session *s, const struct command *command, const struct slice *args,
                        uint32_t count, char out[REFUSAL_TEXT_MAX]);

/* A container's HELP: pairs of lines. */
void put_help(struct resp_writer *w, const char *name, const char *const *lines, uint32_t count);

/* ------------------------------------------------------------------ strings (redis_strings.c) */

prepare_fn prepare_get, prepare_set, prepare_setnx, prepare_setex, prepare_psetex, prepare_getset;
prepare_fn prepare_getdel, prepare_getex, prepare_mget, prepare_mset, prepare_msetnx;
prepare_fn prepare_append, prepare_strlen, prepare_getrange, prepare_setrange;
prepare_fn prepare_incr, prepare_decr, prepare_incrby, prepare_decrby, prepare_incrbyfloat;

/* ------------------------------------------------------------------ keys (redis_keys.c) */

prepare_fn prepare_del, prepare_exists, prepare_type;
prepare_fn prepare_rename, prepare_renamenx, prepare_copy, prepare_flushdb;
task_fn task_flushall, task_randomkey, task_dbsize;

/* ------------------------------------------------------------------ expiry (redis_expiry.c) */

prepare_fn prepare_expire, prepare_pexpire, prepare_expireat, prepare_pexpireat, prepare_persist;
prepare_fn prepare_ttl, prepare_pttl, prepare_expiretime, prepare_pexpiretime;

/* ------------------------------------------------------------------ scans (redis_scan.c, redis_range.c) */

task_fn task_scan, task_keys, task_range;

/* The keys that match a glob. */
void scan_set_pattern(struct kv_scan_options *options, struct slice pattern);

/* ------------------------------------------------------------------ transactions (redis_multi.c) */

task_fn task_watch, task_exec;
local_fn local_multi, local_discard, local_unwatch;

/* ------------------------------------------------------------------ connection */

local_fn local_ping, local_echo, local_quit, local_select, local_auth, local_hello, local_reset;

local_fn local_client_id, local_client_getname, local_client_setname, local_client_setinfo;
local_fn local_client_info, local_client_no_evict, local_client_no_touch, local_client_help;
task_fn task_client_list;

/* ------------------------------------------------------------------ cluster (redis_slots.c, redis_slot_keys.c) */

local_fn local_cluster_info, local_cluster_myid, local_cluster_keyslot, local_cluster_slots;
local_fn local_cluster_shards, local_cluster_nodes, local_cluster_help;
local_fn local_readonly, local_readwrite, local_asking; /* redis_moved.c */
task_fn task_cluster_countkeysinslot, task_cluster_getkeysinslot;

/* ------------------------------------------------------------------ server */

local_fn local_time, local_lastsave, local_info;
local_fn local_command, local_command_count, local_command_info, local_command_docs;
local_fn local_command_list, local_command_getkeys, local_command_help;
local_fn local_config_help;
task_fn task_config_get, task_config_set, task_shutdown, task_save, task_bgsave, task_compact,
    task_distkv_cluster;

local_fn local_distkv_compaction, local_distkv_durability, local_distkv_stats, local_distkv_help;
prepare_fn prepare_distkv_version;

#endif
