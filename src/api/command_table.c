/*
 * Every Redis command that is understood: the one place where a command is
 * declared.  Names, arities, flags and key positions are those of Redis 7,
 * where it has the command.
 */
#include "api/redis.h"

#define COUNT_OF(a) ((uint32_t)(sizeof(a) / sizeof((a)[0])))

enum {
    CONN = CMD_LOADING | CMD_STALE | CMD_FAST,
    CONN_FREE = CONN | CMD_NOSCRIPT | CMD_NO_AUTH | CMD_ALLOW_BUSY,
    SUB = CMD_LOADING | CMD_STALE,
    SUB_QUIET = SUB | CMD_NOSCRIPT,
    SUB_ADMIN = SUB_QUIET | CMD_ADMIN | CMD_DANGEROUS,
    READ = CMD_READONLY,
    READ_FAST = CMD_READONLY | CMD_FAST,
    WRITE = CMD_WRITE,
    WRITE_FAST = CMD_WRITE | CMD_FAST,
    STORE = CMD_WRITE | CMD_DENYOOM,
    STORE_FAST = STORE | CMD_FAST,
    TX = SUB_QUIET | CMD_FAST | CMD_ALLOW_BUSY | CMD_AT_ONCE,
};

#define LOCAL(fn)   COMMAND_LOCAL, 0, NULL, (fn), NULL, NULL
#define DATA(fn)    COMMAND_DATA, 0, (fn), NULL, NULL, NULL
#define TASK(fn)    COMMAND_TASK, 0, NULL, NULL, (fn), NULL
#define GROUP(subs) COMMAND_GROUP, COUNT_OF(subs), NULL, NULL, NULL, (subs)

/* clang-format off */

static const struct command client_commands[] = {
    { "client|getname", 2, SUB_QUIET, CATEGORY_CONNECTION, 0, 0, 0, "2.6.9", "The name of this connection", LOCAL(local_client_getname) },
    { "client|help", 2, SUB, CATEGORY_CONNECTION, 0, 0, 0, "5.0.0", "What CLIENT understands", LOCAL(local_client_help) },
    { "client|id", 2, SUB_QUIET, CATEGORY_CONNECTION, 0, 0, 0, "5.0.0", "The number of this connection", LOCAL(local_client_id) },
    { "client|info", 2, SUB_QUIET, CATEGORY_CONNECTION, 0, 0, 0, "6.2.0", "What is known of this connection", LOCAL(local_client_info) },
    { "client|list", -2, SUB_ADMIN | CMD_ALONE, CATEGORY_CONNECTION, 0, 0, 0, "2.4.0", "What is known of every connection", TASK(task_client_list) },
    { "client|no-evict", 3, SUB_ADMIN, CATEGORY_CONNECTION, 0, 0, 0, "7.0.0", "Accepted; no connection is evicted", LOCAL(local_client_no_evict) },
    { "client|no-touch", 3, SUB_QUIET, CATEGORY_CONNECTION, 0, 0, 0, "7.2.0", "Accepted; reading a key changes nothing", LOCAL(local_client_no_touch) },
    { "client|setinfo", 4, SUB_QUIET, CATEGORY_CONNECTION, 0, 0, 0, "7.2.0", "Say which client library this is", LOCAL(local_client_setinfo) },
    { "client|setname", 3, SUB_QUIET, CATEGORY_CONNECTION, 0, 0, 0, "2.6.9", "Give this connection a name", LOCAL(local_client_setname) },
};

static const struct command cluster_commands[] = {
    { "cluster|countkeysinslot", 3, CMD_STALE | CMD_ALONE, CATEGORY_CLUSTER, 0, 0, 0, "3.0.0", "Count the keys in a slot", TASK(task_cluster_countkeysinslot) },
    { "cluster|getkeysinslot", 4, CMD_STALE | CMD_ALONE, CATEGORY_CLUSTER, 0, 0, 0, "3.0.0", "Some of the keys in a slot", TASK(task_cluster_getkeysinslot) },
    { "cluster|help", 2, SUB, CATEGORY_CLUSTER, 0, 0, 0, "5.0.0", "What CLUSTER understands", LOCAL(local_cluster_help) },
    { "cluster|info", 2, CMD_STALE, CATEGORY_CLUSTER, 0, 0, 0, "3.0.0", "Whether all slots are served", LOCAL(local_cluster_info) },
    { "cluster|keyslot", 3, CMD_STALE, CATEGORY_CLUSTER, 0, 0, 0, "3.0.0", "The slot of a key", LOCAL(local_cluster_keyslot) },
    { "cluster|myid", 2, CMD_STALE, CATEGORY_CLUSTER, 0, 0, 0, "3.0.0", "The id of this node", LOCAL(local_cluster_myid) },
    { "cluster|nodes", 2, CMD_STALE, CATEGORY_CLUSTER, 0, 0, 0, "3.0.0", "All nodes, and which slots they lead", LOCAL(local_cluster_nodes) },
    { "cluster|shards", 2, CMD_STALE, CATEGORY_CLUSTER, 0, 0, 0, "7.0.0", "The slots by who leads them and who has copies", LOCAL(local_cluster_shards) },
    { "cluster|slots", 2, CMD_STALE, CATEGORY_CLUSTER, 0, 0, 0, "3.0.0", "Who leads which slots, and who has copies", LOCAL(local_cluster_slots) },
};

static const struct command command_commands[] = {
    { "command|count", 2, SUB, CATEGORY_SERVER, 0, 0, 0, "2.8.13", "How many commands there are", LOCAL(local_command_count) },
    { "command|docs", -2, SUB, CATEGORY_SERVER, 0, 0, 0, "7.0.0", "What commands do, in words", LOCAL(local_command_docs) },
    { "command|getkeys", -4, SUB, CATEGORY_SERVER, 0, 0, 0, "2.8.13", "The keys among a command's arguments", LOCAL(local_command_getkeys) },
    { "command|help", 2, SUB, CATEGORY_SERVER, 0, 0, 0, "5.0.0", "What COMMAND understands", LOCAL(local_command_help) },
    { "command|info", -2, SUB, CATEGORY_SERVER, 0, 0, 0, "2.8.13", "Arity, flags and keys of commands", LOCAL(local_command_info) },
    { "command|list", -2, SUB, CATEGORY_SERVER, 0, 0, 0, "7.0.0", "The names of all commands", LOCAL(local_command_list) },
};

static const struct command config_commands[] = {
    { "config|get", -3, SUB_ADMIN | CMD_ALONE, CATEGORY_SERVER, 0, 0, 0, "2.0.0", "The settings whose names match", TASK(task_config_get) },
    { "config|help", 2, SUB, CATEGORY_SERVER, 0, 0, 0, "5.0.0", "What CONFIG understands", LOCAL(local_config_help) },
    { "config|set", -4, SUB_ADMIN | CMD_ALONE, CATEGORY_SERVER, 0, 0, 0, "2.0.0", "Change settings while the server runs", TASK(task_config_set) },
};

static const struct command distkv_commands[] = {
    { "distkv|cluster", -3, SUB_ADMIN, CATEGORY_SERVER, 0, 0, 0, "7.0.0", "What there is in the cluster, and orders to it, as JSON", TASK(task_distkv_cluster) },
    { "distkv|compaction", 2, SUB_QUIET, CATEGORY_SERVER, 0, 0, 0, "7.0.0", "How far a COMPACT is", LOCAL(local_distkv_compaction) },
    { "distkv|durability", -2, SUB_QUIET, CATEGORY_SERVER, 0, 0, 0, "7.0.0", "When a write of this connection is answered", LOCAL(local_distkv_durability) },
    { "distkv|help", 2, SUB, CATEGORY_SERVER, 0, 0, 0, "7.0.0", "What DISTKV understands", LOCAL(local_distkv_help) },
    { "distkv|stats", 2, SUB, CATEGORY_SERVER, 0, 0, 0, "7.0.0", "The figures of this node, as JSON", LOCAL(local_distkv_stats) },
    { "distkv|version", 3, READ_FAST, CATEGORY_GENERIC, 2, 2, 1, "7.0.0", "The version of a key's last write", DATA(prepare_distkv_version) },
};

const struct command command_table[] = {
    { "append", 3, STORE_FAST, CATEGORY_STRING, 1, 1, 1, "2.0.0", "Append to a value", DATA(prepare_append) },
    { "asking", 1, CMD_FAST, CATEGORY_CLUSTER, 0, 0, 0, "3.0.0", "Let the next command be answered here, whoever leads", LOCAL(local_asking) },
    { "auth", -2, CONN_FREE | CMD_NO_MULTI, CATEGORY_CONNECTION, 0, 0, 0, "1.0.0", "Say who you are", LOCAL(local_auth) },
    { "bgsave", -1, CMD_ADMIN | CMD_NOSCRIPT | CMD_DANGEROUS | CMD_ALONE, CATEGORY_SERVER, 0, 0, 0, "1.0.0", "Write what is in memory to tables, in the background", TASK(task_bgsave) },
    { "client", -2, 0, CATEGORY_CONNECTION, 0, 0, 0, "2.4.0", "Commands on connections", GROUP(client_commands) },
    { "cluster", -2, 0, CATEGORY_CLUSTER, 0, 0, 0, "3.0.0", "The cluster, as clients of Redis Cluster know it", GROUP(cluster_commands) },
    { "command", -1, SUB, CATEGORY_SERVER, 0, 0, 0, "2.8.13", "What every command is", COMMAND_LOCAL, COUNT_OF(command_commands), NULL, local_command, NULL, command_commands },
    { "compact", 1, CMD_ADMIN | CMD_NOSCRIPT | CMD_DANGEROUS | CMD_ALONE, CATEGORY_SERVER, 0, 0, 0, "7.0.0", "Merge all tables into one run", TASK(task_compact) },
    { "config", -2, 0, CATEGORY_SERVER, 0, 0, 0, "2.0.0", "Commands on settings", GROUP(config_commands) },
    { "copy", -3, STORE, CATEGORY_GENERIC, 1, 2, 1, "6.2.0", "Copy a key", DATA(prepare_copy) },
    { "dbsize", 1, READ_FAST | CMD_ALONE, CATEGORY_SERVER, 0, 0, 0, "1.0.0", "Count the keys of this database", TASK(task_dbsize) },
    { "decr", 2, STORE_FAST, CATEGORY_STRING, 1, 1, 1, "1.0.0", "Subtract one from an integer", DATA(prepare_decr) },
    { "decrby", 3, STORE_FAST, CATEGORY_STRING, 1, 1, 1, "1.0.0", "Subtract from an integer", DATA(prepare_decrby) },
    { "del", -2, WRITE, CATEGORY_GENERIC, 1, -1, 1, "1.0.0", "Delete keys", DATA(prepare_del) },
    { "discard", 1, TX, CATEGORY_TRANSACTIONS, 0, 0, 0, "2.0.0", "Forget what was queued since MULTI", LOCAL(local_discard) },
    { "distkv", -2, 0, CATEGORY_SERVER, 0, 0, 0, "7.0.0", "Commands that Redis does not have", GROUP(distkv_commands) },
    { "echo", 2, CONN, CATEGORY_CONNECTION, 0, 0, 0, "1.0.0", "Say it back", LOCAL(local_echo) },
    { "exec", 1, SUB_QUIET | CMD_AT_ONCE, CATEGORY_TRANSACTIONS, 0, 0, 0, "1.2.0", "Carry out what was queued since MULTI", TASK(task_exec) },
    { "exists", -2, READ_FAST, CATEGORY_GENERIC, 1, -1, 1, "1.0.0", "Count which of these keys exist", DATA(prepare_exists) },
    { "expire", -3, WRITE_FAST, CATEGORY_GENERIC, 1, 1, 1, "1.0.0", "Let a key expire in so many seconds", DATA(prepare_expire) },
    { "expireat", -3, WRITE_FAST, CATEGORY_GENERIC, 1, 1, 1, "1.2.0", "Let a key expire at a Unix time", DATA(prepare_expireat) },
    { "expiretime", 2, READ_FAST, CATEGORY_GENERIC, 1, 1, 1, "7.0.0", "The Unix time at which a key expires", DATA(prepare_expiretime) },
    { "flushall", -1, WRITE | CMD_DANGEROUS | CMD_ALONE, CATEGORY_SERVER, 0, 0, 0, "1.0.0", "Empty every database", TASK(task_flushall) },
    { "flushdb", -1, WRITE | CMD_DANGEROUS | CMD_NO_MULTI, CATEGORY_SERVER, 0, 0, 0, "1.0.0", "Empty this database", DATA(prepare_flushdb) },
    { "get", 2, READ_FAST, CATEGORY_STRING, 1, 1, 1, "1.0.0", "The value of a key", DATA(prepare_get) },
    { "getdel", 2, WRITE_FAST, CATEGORY_STRING, 1, 1, 1, "6.2.0", "Delete a key, and return its value", DATA(prepare_getdel) },
    { "getex", -2, WRITE_FAST, CATEGORY_STRING, 1, 1, 1, "6.2.0", "The value of a key, whose expiry is set", DATA(prepare_getex) },
    { "getrange", 4, READ, CATEGORY_STRING, 1, 1, 1, "2.4.0", "A part of a value", DATA(prepare_getrange) },
    { "getset", 3, STORE_FAST, CATEGORY_STRING, 1, 1, 1, "1.0.0", "Set a key, and return its old value", DATA(prepare_getset) },
    { "hello", -1, CONN_FREE | CMD_NO_MULTI, CATEGORY_CONNECTION, 0, 0, 0, "6.0.0", "Choose the version of the protocol", LOCAL(local_hello) },
    { "incr", 2, STORE_FAST, CATEGORY_STRING, 1, 1, 1, "1.0.0", "Add one to an integer", DATA(prepare_incr) },
    { "incrby", 3, STORE_FAST, CATEGORY_STRING, 1, 1, 1, "1.0.0", "Add to an integer", DATA(prepare_incrby) },
    { "incrbyfloat", 3, STORE_FAST, CATEGORY_STRING, 1, 1, 1, "2.6.0", "Add to a decimal number", DATA(prepare_incrbyfloat) },
    { "info", -1, SUB | CMD_DANGEROUS, CATEGORY_SERVER, 0, 0, 0, "1.0.0", "The figures of this node, as Redis shows them", LOCAL(local_info) },
    { "keys", 2, READ | CMD_DANGEROUS | CMD_ALONE, CATEGORY_GENERIC, 0, 0, 0, "1.0.0", "All keys that match a pattern", TASK(task_keys) },
    { "lastsave", 1, CONN | CMD_DANGEROUS, CATEGORY_SERVER, 0, 0, 0, "1.0.0", "The Unix time of the last SAVE", LOCAL(local_lastsave) },
    { "mget", -2, READ_FAST, CATEGORY_STRING, 1, -1, 1, "1.0.0", "The values of keys", DATA(prepare_mget) },
    { "mset", -3, STORE, CATEGORY_STRING, 1, -1, 2, "1.0.1", "Set keys, all at once", DATA(prepare_mset) },
    { "msetnx", -3, STORE, CATEGORY_STRING, 1, -1, 2, "1.0.1", "Set keys, if none of them exists", DATA(prepare_msetnx) },
    { "multi", 1, TX, CATEGORY_TRANSACTIONS, 0, 0, 0, "1.2.0", "Begin to queue commands", LOCAL(local_multi) },
    { "persist", 2, WRITE_FAST, CATEGORY_GENERIC, 1, 1, 1, "2.2.0", "Let a key not expire", DATA(prepare_persist) },
    { "pexpire", -3, WRITE_FAST, CATEGORY_GENERIC, 1, 1, 1, "2.6.0", "Let a key expire in so many milliseconds", DATA(prepare_pexpire) },
    { "pexpireat", -3, WRITE_FAST, CATEGORY_GENERIC, 1, 1, 1, "2.6.0", "Let a key expire at a Unix time in milliseconds", DATA(prepare_pexpireat) },
    { "pexpiretime", 2, READ_FAST, CATEGORY_GENERIC, 1, 1, 1, "7.0.0", "The Unix time in milliseconds at which a key expires", DATA(prepare_pexpiretime) },
    { "ping", -1, CMD_FAST, CATEGORY_CONNECTION, 0, 0, 0, "1.0.0", "Is anybody there?", LOCAL(local_ping) },
    { "psetex", 4, STORE, CATEGORY_STRING, 1, 1, 1, "2.6.0", "Set a key that expires in so many milliseconds", DATA(prepare_psetex) },
    { "pttl", 2, READ_FAST, CATEGORY_GENERIC, 1, 1, 1, "2.6.0", "Milliseconds until a key expires", DATA(prepare_pttl) },
    { "quit", -1, CONN_FREE | CMD_AT_ONCE, CATEGORY_CONNECTION, 0, 0, 0, "1.0.0", "End the connection", LOCAL(local_quit) },
    { "randomkey", 1, READ | CMD_ALONE, CATEGORY_GENERIC, 0, 0, 0, "1.0.0", "A key by chance", TASK(task_randomkey) },
    { "range", -3, READ | CMD_ALONE, CATEGORY_GENERIC, 0, 0, 0, "7.0.0", "Keys and values between two bounds, in order", TASK(task_range) },
    { "readonly", 1, CONN, CATEGORY_CLUSTER, 0, 0, 0, "3.0.0", "Let reads of this connection be answered here, whoever leads", LOCAL(local_readonly) },
    { "readwrite", 1, CONN, CATEGORY_CLUSTER, 0, 0, 0, "3.0.0", "Undo READONLY", LOCAL(local_readwrite) },
    { "rename", 3, WRITE, CATEGORY_GENERIC, 1, 2, 1, "1.0.0", "Give a key another name", DATA(prepare_rename) },
    { "renamenx", 3, WRITE_FAST, CATEGORY_GENERIC, 1, 2, 1, "1.0.0", "Give a key another name, if that is free", DATA(prepare_renamenx) },
    { "reset", 1, CONN_FREE | CMD_AT_ONCE, CATEGORY_CONNECTION, 0, 0, 0, "6.2.0", "Make this connection as new", LOCAL(local_reset) },
    { "save", 1, CMD_ADMIN | CMD_NOSCRIPT | CMD_DANGEROUS | CMD_NO_MULTI | CMD_ALONE, CATEGORY_SERVER, 0, 0, 0, "1.0.0", "Write what is in memory to tables", TASK(task_save) },
    { "scan", -2, READ | CMD_ALONE, CATEGORY_GENERIC, 0, 0, 0, "2.8.0", "All keys, step by step", TASK(task_scan) },
    { "select", 2, CONN, CATEGORY_CONNECTION, 0, 0, 0, "1.0.0", "Choose the database", LOCAL(local_select) },
    { "set", -3, STORE, CATEGORY_STRING, 1, 1, 1, "1.0.0", "Set a key", DATA(prepare_set) },
    { "setex", 4, STORE, CATEGORY_STRING, 1, 1, 1, "2.0.0", "Set a key that expires in so many seconds", DATA(prepare_setex) },
    { "setnx", 3, STORE_FAST, CATEGORY_STRING, 1, 1, 1, "1.0.0", "Set a key, if it does not exist", DATA(prepare_setnx) },
    { "setrange", 4, STORE, CATEGORY_STRING, 1, 1, 1, "2.2.0", "Overwrite a part of a value", DATA(prepare_setrange) },
    { "shutdown", -1, SUB_ADMIN | CMD_NO_MULTI | CMD_ALLOW_BUSY | CMD_ALONE, CATEGORY_SERVER, 0, 0, 0, "1.0.0", "End the server", TASK(task_shutdown) },
    { "strlen", 2, READ_FAST, CATEGORY_STRING, 1, 1, 1, "2.2.0", "The length of a value", DATA(prepare_strlen) },
    { "substr", 4, READ, CATEGORY_STRING, 1, 1, 1, "1.0.0", "A part of a value; the old name of GETRANGE", DATA(prepare_getrange) },
    { "time", 1, CONN, CATEGORY_SERVER, 0, 0, 0, "2.6.0", "The server's time", LOCAL(local_time) },
    { "touch", -2, READ_FAST, CATEGORY_GENERIC, 1, -1, 1, "3.2.1", "Count which of these keys exist", DATA(prepare_exists) },
    { "ttl", 2, READ_FAST, CATEGORY_GENERIC, 1, 1, 1, "1.0.0", "Seconds until a key expires", DATA(prepare_ttl) },
    { "type", 2, READ_FAST, CATEGORY_GENERIC, 1, 1, 1, "1.0.0", "The type of a value", DATA(prepare_type) },
    { "unlink", -2, WRITE_FAST, CATEGORY_GENERIC, 1, -1, 1, "4.0.0", "Delete keys", DATA(prepare_del) },
    { "unwatch", 1, SUB_QUIET | CMD_FAST | CMD_ALLOW_BUSY, CATEGORY_TRANSACTIONS, 0, 0, 0, "2.2.0", "Forget the watched keys", LOCAL(local_unwatch) },
    { "watch", -2, TX | CMD_ALONE, CATEGORY_TRANSACTIONS, 1, -1, 1, "2.2.0", "Let EXEC depend on these keys being unchanged", TASK(task_watch) },
};

/* clang-format on */

const uint32_t command_table_count = COUNT_OF(command_table);
