/*
 * server/config.h — the settings of a node.
 *
 * Every setting has one name.  It is a key of the INI file (`memory-budget = 512mb`), a
 * flag (`--memory-budget 512mb`) and an environment variable
 * (DISTKV_MEMORY_BUDGET).  A flag wins over the environment, the environment
 * over the file, the file over the default.
 *
 * An unknown name or a bad value is one line that names it and where it stood.
 */
#ifndef SERVER_CONFIG_H
#define SERVER_CONFIG_H

#include <stdint.h>

#include "base/log.h"
#include "base/slice.h"
#include "base/status.h"

#include "tablet/request.h"

struct config {
    char *config_file; /* owned strings; NULL: none */
    char *data_dir;
    char *bind;
    uint64_t port;
    uint64_t line_port; /* 0: no such door */
    uint64_t threads;   /* 0: one per core */
    char *node_name;    /* NULL: none was given */
    char *cluster_name;
    char *join; /* NULL: nobody */
    char *zone; /* NULL: none */
    uint64_t weight;
    uint64_t peer_port; /* 0: port + 1000 */
    char *peer_bind;
    char *advertise;     /* NULL: the addresses that are bound */
    char *peer_tls_cert; /* NULL, and the other two with it: no TLS */
    char *peer_tls_key;
    char *peer_tls_ca;
    char *password;
    char *password_file;
    uint64_t insecure;

    uint64_t sync; /* enum durability */
    uint64_t sync_interval_ms;
    uint64_t deadline_ms;
    uint64_t redis_moved;
    uint64_t read_leases;
    uint64_t stale_reads_ms;
    uint64_t gossip_interval_ms;
    uint64_t suspicion_threshold_ms;
    uint64_t down_threshold_ms;
    uint64_t permanent_failure_threshold_ms;
    uint64_t streaming_throughput;
    uint64_t connections_max;
    uint64_t idle_timeout_ms;

    uint64_t memory_budget;
    uint64_t record_cache;
    uint64_t block_cache;
    uint64_t memtable;
    uint64_t log_segment;
    uint64_t log_retained_max;
    uint64_t l0_trigger;
    uint64_t level_base;
    uint64_t level_multiplier;
    uint64_t table_bytes;
    uint64_t open_tables;
    uint64_t compaction_wait_ms;
    uint64_t bloom_bits;
    uint64_t compression; /* of the upper levels: enum table_compression */
    uint64_t compression_last;
    uint64_t min_free_bytes;

    uint64_t log_level;  /* enum log_level */
    uint64_t log_format; /* enum log_format */
};

enum { CONFIG_HOST_MAX = 64 };

/* "HOST:PORT" or "[HOST]:PORT", numeric.  ST_INVALID. */
MUST_USE enum status config_address(const char *text, char host[CONFIG_HOST_MAX], uint16_t *port);

/* The defaults.  ST_NO_MEMORY. */
MUST_USE enum status config_init(struct config *c, struct err *err);
void config_release(struct config *c);

/* From file (named by the flag or DISTKV_CONFIG), environment and flags.  `argv` has only flags:
 * `--name value`, `--name=value`, and `--insecure`.  A line of the file has 198 bytes at most.
 * ST_NOT_FOUND: an unknown name; ST_INVALID: a bad value, line or flag; ST_NO_MEMORY. */
MUST_USE enum status config_load(struct config *c, int argc, char **argv, struct err *err);

/* Set one by name; `where` is for the message: "flag --port", "node.ini:3".  ST_NOT_FOUND: an
 * unknown name; ST_INVALID: a bad value; ST_NO_MEMORY. */
MUST_USE enum status config_set(struct config *c, struct slice name, struct slice value,
                                const char *where, struct err *err);

/* May this setting change while the server runs?  ST_OK, ST_CONFLICT (no), ST_NOT_FOUND. */
MUST_USE enum status config_changeable(struct slice name);

/* Name and present value of each setting, in order; passwords as "(set)" or "". */
void config_each(const struct config *c, void (*fn)(void *ctx, const char *name, const char *value),
                 void *ctx);

/* The name of each setting that is not the same in both, and may not change while the server runs. */
void config_each_fixed_difference(const struct config *a, const struct config *b,
                                  void (*fn)(void *ctx, const char *name), void *ctx);

/* The help text of all settings, for `distkv server --help`. */
MUST_USE enum status config_help(struct buf *out);

/* It listens beyond loopback, and nobody said --insecure. */
bool config_needs_password(const struct config *c);

/* Settings that contradict one another, or an address that needs a password.  ST_INVALID. */
MUST_USE enum status config_check(const struct config *c, struct err *err);

/* Does what may change while the server runs make sense, each and together?  ST_INVALID. */
MUST_USE enum status config_check_together(const struct config *c, struct err *err);

#endif
