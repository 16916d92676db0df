#include "server/settings.h"

#include <ctype.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

#include "base/assert.h"
#include "base/limits.h"
#include "base/mem.h"

#include "sst/table.h"

static const struct word sync_words[] = {
    { "always", DURABILITY_ALWAYS },
    { "interval", DURABILITY_INTERVAL },
    { "never", DURABILITY_NEVER },
    { NULL, 0 },
};
static const struct word yes_words[] = {
    { "no", 0 }, { "yes", 1 }, { "false", 0 }, { "true", 1 }, { NULL, 0 },
};
static const struct word level_words[] = {
    { "debug", LOG_DEBUG }, { "info", LOG_INFO }, { "warn", LOG_WARN },
    { "error", LOG_ERROR }, { "off", LOG_OFF },   { NULL, 0 },
};
static const struct word format_words[] = {
    { "logfmt", LOG_LOGFMT },
    { "json", LOG_JSON },
    { NULL, 0 },
};
static const struct word compression_words[] = {
    { "none", TABLE_PLAIN },
    { "lz4", TABLE_LZ4 },
    { "zstd", TABLE_ZSTD },
    { NULL, 0 },
};

#define AT(member) offsetof(struct config, member)
#define KB         UINT64_C(1024)
#define MB         (KB * 1024)
#define GB         (MB * 1024)

const struct setting settings[] = {
    { "config", SETTING_TEXT, AT(config_file), "", 0, 0, NULL, false,
      "INI file with any of these settings" },
    { "data-dir", SETTING_TEXT, AT(data_dir), "distkv-data", 0, 0, NULL, false,
      "folder of this node's data; created if it is missing" },
    { "bind", SETTING_TEXT, AT(bind), "127.0.0.1", 0, 0, NULL, false,
      "numeric address to listen on; beyond loopback a password is needed, or --insecure" },
    { "port", SETTING_NUMBER, AT(port), "6379", 0, 65535, NULL, false,
      "Redis and line protocol; 0 chooses a free one" },
    { "line-port", SETTING_NUMBER, AT(line_port), "0", 0, 65535, NULL, false,
      "line protocol only; 0: no such door" },
    { "threads", SETTING_NUMBER, AT(threads), "0", 0, LIMIT_REACTORS, NULL, false,
      "reactors; 0: one per core" },
    { "node-name", SETTING_TEXT, AT(node_name), "", 0, 0, NULL, false,
      "this node's name, for people; none: its address and port" },
    { "cluster-name", SETTING_TEXT, AT(cluster_name), "distkv", 0, 0, NULL, false,
      "of a cluster that begins here" },
    { "join", SETTING_TEXT, AT(join), "", 0, 0, NULL, false,
      "HOST:PORT of any member's peer port: a node with an empty data-dir joins its cluster" },
    { "zone", SETTING_TEXT, AT(zone), "", 0, 0, NULL, false,
      "where this node stands (a room, a power supply): copies are kept in different ones" },
    { "weight", SETTING_NUMBER, AT(weight), "128", 0, 256, NULL, false,
      "this node's share of the data: its points on the ring, 100 to 256; 0: it stores nothing" },
    { "peer-port", SETTING_NUMBER, AT(peer_port), "0", 0, 65535, NULL, false,
      "where other nodes call; 0: port + 1000" },
    { "peer-bind", SETTING_TEXT, AT(peer_bind), "127.0.0.1", 0, 0, NULL, false,
      "numeric address for other nodes; beyond loopback peer-tls-cert is needed, or --insecure" },
    { "advertise", SETTING_TEXT, AT(advertise), "", 0, 0, NULL, false,
      "numeric address that others are told; none: bind and peer-bind" },
    { "gossip-interval-ms", SETTING_NUMBER, AT(gossip_interval_ms), "1000", 10, 3600000, NULL, true,
      "each node probes one other so often" },
    { "suspicion-threshold-ms", SETTING_NUMBER, AT(suspicion_threshold_ms), "5000", 20, 86400000,
      NULL, true,
      "a node that is silent for so long is suspicious; at least two gossip intervals" },
    { "down-threshold-ms", SETTING_NUMBER, AT(down_threshold_ms), "30000", 30, 86400000, NULL, true,
      "and for so long, down; more than the suspicion threshold" },
    { "permanent-failure-threshold-ms", SETTING_NUMBER, AT(permanent_failure_threshold_ms),
      "600000", 10, UINT64_C(30) * 86400000, NULL, true,
      "a node that is down for so long has failed: its copies are made elsewhere" },
    { "streaming-throughput", SETTING_BYTES, AT(streaming_throughput), "50mb", MB, 1024 * GB, NULL,
      true, "bytes a second that this node sends to replicas that need a snapshot" },
    { "peer-tls-cert", SETTING_TEXT, AT(peer_tls_cert), "", 0, 0, NULL, false,
      "PEM file with this node's certificate: nodes speak TLS; SIGHUP reads it again" },
    { "peer-tls-key", SETTING_TEXT, AT(peer_tls_key), "", 0, 0, NULL, false,
      "PEM file with its private key" },
    { "peer-tls-ca", SETTING_TEXT, AT(peer_tls_ca), "", 0, 0, NULL, false,
      "PEM file with the CA that has signed the certificates of all nodes, and of nobody else" },
    { "password", SETTING_SECRET, AT(password), "", 0, 0, NULL, true,
      "clients must AUTH with it; better in the file or the environment than as a flag" },
    { "password-file", SETTING_TEXT, AT(password_file), "", 0, 0, NULL, false,
      "file whose first line is the password" },
    { "insecure", SETTING_WORD, AT(insecure), "no", 0, 0, yes_words, false,
      "yes: listen beyond loopback without a password" },
    { "sync", SETTING_WORD, AT(sync), "always", 0, 0, sync_words, true,
      "always: fsync before the reply; interval: every sync-interval-ms; never: when the system does" },
    { "sync-interval-ms", SETTING_NUMBER, AT(sync_interval_ms), "1000", 10, 3600000, NULL, false,
      "how often writes of class `interval` are fsynced" },
    { "deadline-ms", SETTING_NUMBER, AT(deadline_ms), "5000", 1, 3600000, NULL, true,
      "a request that is not done by then gets a typed error" },
    { "redis-moved", SETTING_WORD, AT(redis_moved), "no", 0, 0, yes_words, true,
      "yes: Redis clients are told which node leads a key (MOVED) instead of being answered from there" },
    { "read-leases", SETTING_WORD, AT(read_leases), "no", 0, 0, yes_words, true,
      "yes: who leads answers reads without asking the others, for 240 ms after a majority heard it; right "
      "while no clock runs a fifth faster than another" },
    { "stale-reads-ms", SETTING_NUMBER, AT(stale_reads_ms), "0", 0, 3600000, NULL, true,
      "reads after READONLY may be answered by a replica that is so far behind, at least 1000; 0: by none" },
    { "max-connections", SETTING_NUMBER, AT(connections_max), "10000", 1, 1000000, NULL, false,
      "connections beyond this are refused with an error" },
    { "idle-timeout-ms", SETTING_NUMBER, AT(idle_timeout_ms), "0", 0, 86400000, NULL, false,
      "a connection silent for longer is closed; 0: never" },
    { "memory-budget", SETTING_BYTES, AT(memory_budget), "512mb", MB, 1024 * GB, NULL, false,
      "for memtables, caches, indexes, connections and replies together" },
    { "record-cache", SETTING_BYTES, AT(record_cache), "0", 0, 1024 * GB, NULL, false,
      "of the budget, for single records; 0: an eighth" },
    { "block-cache", SETTING_BYTES, AT(block_cache), "0", 0, 1024 * GB, NULL, false,
      "of the budget, for blocks of tables; 0: a quarter" },
    { "memtable", SETTING_BYTES, AT(memtable), "64mb", 64 * KB, 16 * GB, NULL, false,
      "memory of new writes before they become a table" },
    { "log-segment", SETTING_BYTES, AT(log_segment), "64mb", 64 * KB, GB, NULL, false,
      "size of a log segment" },
    { "log-retained-max", SETTING_BYTES, AT(log_retained_max), "256mb", MB, 1024 * GB, NULL, false,
      "log that is kept for memtables; beyond, the oldest one is flushed" },
    { "l0-trigger", SETTING_NUMBER, AT(l0_trigger), "4", 1, 64, NULL, false,
      "tables in level 0 that make a compaction due" },
    { "level-base", SETTING_BYTES, AT(level_base), "100mb", 64 * KB, 1024 * GB, NULL, false,
      "aimed size of level 1" },
    { "level-multiplier", SETTING_NUMBER, AT(level_multiplier), "10", 2, 100, NULL, false,
      "how much larger each level is than the one above" },
    { "table-bytes", SETTING_BYTES, AT(table_bytes), "16mb", 16 * KB, 4 * GB, NULL, false,
      "aimed size of a table" },
    { "open-tables", SETTING_NUMBER, AT(open_tables), "1000", 8, 1000000, NULL, false,
      "tables whose files are open at once; further ones are opened in turn" },
    { "compaction-wait-ms", SETTING_NUMBER, AT(compaction_wait_ms), "30000", 0, 86400000, NULL,
      false, "the longest wait of a due compaction" },
    { "bloom-bits", SETTING_NUMBER, AT(bloom_bits), "10", 0, 32, NULL, false,
      "filter bits per key; 10 lets 1 % of absent keys pass; 0: no filter" },
    { "compression", SETTING_WORD, AT(compression), "lz4", 0, 0, compression_words, false,
      "of the upper levels" },
    { "compression-last", SETTING_WORD, AT(compression_last), "zstd", 0, 0, compression_words,
      false, "of the last level" },
    { "min-free-bytes", SETTING_BYTES, AT(min_free_bytes), "100mb", 0, 1024 * GB, NULL, false,
      "free disk space below which only deletes are admitted" },
    { "log-level", SETTING_WORD, AT(log_level), "info", 0, 0, level_words, true,
      "events below this are not logged" },
    { "log-format", SETTING_WORD, AT(log_format), "logfmt", 0, 0, format_words, true,
      "of the log on standard error" },
};

const int setting_count = sizeof(settings) / sizeof(settings[0]);

/* ------------------------------------------------------------------ one setting */

bool
setting_is_text(const struct setting *s)
{
    return s->kind == SETTING_TEXT || s->kind == SETTING_SECRET;
}

/* Where `config` keeps it: the pointer of a text, or the number of any other kind. */
static void *
place_of(struct config *c, const struct setting *s)
{
    return (char *)c + s->offset;
}

static const char *
text_of(const struct config *c, const struct setting *s)
{
    char *text;

    memcpy(&text, (const char *)c + s->offset, sizeof(text));
    return text;
}

static uint64_t
number_of(const struct config *c, const struct setting *s)
{
    uint64_t number;

    memcpy(&number, (const char *)c + s->offset, sizeof(number));
    return number;
}

const struct setting *
setting_find(struct slice name)
{
    for (int i = 0; i < setting_count; i++) {
        if (slice_equal_nocase(name, settings[i].name))
            return &settings[i];
    }
    return NULL;
}

/* "64mb", "1g", "4096": a number, with a unit when it is bytes. */
static bool
parse_number(const char *text, bool bytes, uint64_t *out)
{
    static const struct word units[] = {
        { "", 1 },    { "b", 1 },  { "k", KB },  { "kb", KB }, { "m", MB },
        { "mb", MB }, { "g", GB }, { "gb", GB }, { NULL, 0 },
    };
    char *end;
    uint64_t n;

    if (!isdigit((unsigned char)text[0]))
        return false;
    n = strtoull(text, &end, 10);
    for (const struct word *u = units; u->text != NULL; u++) {
        if (strcasecmp(end, u->text) == 0)
            return (bytes || u->text[0] == '\0') && !__builtin_mul_overflow(n, u->value, out);
    }
    return false;
}

void
setting_list_words(const struct setting *s, char *out, size_t room)
{
    size_t at = 0;

    out[0] = '\0';
    for (const struct word *w = s->words; w->text != NULL && at < room; w++)
        at += (size_t)snprintf(out + at, room - at, "%s%s", w == s->words ? "" : ", ", w->text);
}

static enum status
set_number(struct config *c, const struct setting *s, const char *text, const char *where,
           struct err *err)
{
    uint64_t n = 0;

    if (!parse_number(text, s->kind == SETTING_BYTES, &n))
        return err_raise(err, ST_INVALID, "%s: %s: \"%s\" is not %s", where, s->name, text,
                         s->kind == SETTING_BYTES ? "a size (like 64mb)" : "a number");
    if (n < s->least || n > s->most)
        return err_raise(err, ST_INVALID, "%s: %s: %s is out of range (%llu to %llu)", where,
                         s->name, text, (unsigned long long)s->least, (unsigned long long)s->most);
    *(uint64_t *)place_of(c, s) = n;
    return ST_OK;
}

static enum status
set_word(struct config *c, const struct setting *s, const char *text, const char *where,
         struct err *err)
{
    char list[SETTING_VALUE_MAX];

    for (const struct word *w = s->words; w->text != NULL; w++) {
        if (strcasecmp(text, w->text) == 0) {
            *(uint64_t *)place_of(c, s) = w->value;
            return ST_OK;
        }
    }
    setting_list_words(s, list, sizeof(list));
    return err_raise(err, ST_INVALID, "%s: %s: \"%s\" is none of %s", where, s->name, text, list);
}

static enum status
set_text(struct config *c, const struct setting *s, const char *text, const char *where,
         struct err *err)
{
    char **place = place_of(c, s);
    char *copy = text[0] == '\0' ? NULL : mem_strdup(text);

    if (copy == NULL && text[0] != '\0')
        return err_raise(err, ST_NO_MEMORY, "%s: %s: out of memory", where, s->name);
    mem_free(*place);
    *place = copy;
    return ST_OK;
}

enum status
setting_set(const struct setting *s, struct config *c, const char *text, const char *where,
            struct err *err)
{
    if (setting_is_text(s))
        return set_text(c, s, text, where, err);
    return s->kind == SETTING_WORD ? set_word(c, s, text, where, err)
                                   : set_number(c, s, text, where, err);
}

void
setting_release(const struct setting *s, struct config *c)
{
    if (setting_is_text(s))
        mem_free(*(char **)place_of(c, s));
}

bool
setting_takes_no_value(const struct setting *s)
{
    return s->words == yes_words;
}

const char *
setting_value(const struct setting *s, const struct config *c, char out[SETTING_VALUE_MAX])
{
    const char *text;

    if (setting_is_text(s)) {
        text = text_of(c, s);
        if (text != NULL && s->kind == SETTING_SECRET)
            text = "(set)";
        return text == NULL ? "" : text;
    }
    if (s->kind != SETTING_WORD) {
        snprintf(out, SETTING_VALUE_MAX, "%llu", (unsigned long long)number_of(c, s));
        return out;
    }
    for (const struct word *w = s->words; w->text != NULL; w++) {
        if (w->value == number_of(c, s))
            return w->text;
    }
    ASSERT(false); /* a word setting holds one of its words */
    return "";
}
