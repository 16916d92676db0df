/*
 * base/log.h — what the operator reads: one line per event, logfmt or JSON.
 *
 *      log_event(LOG_WARN, "wal.torn_tail",
 *                log_str("file", path), log_u64("bytes", cut));
 *
 *      ts=2026-11-20T17:31:55.123Z level=warn event=wal.torn_tail file=... bytes=512
 *
 * Events are stable names, `module.what`; fields are typed.  The sink is the
 * one global of the program.  Thread-safe; a line is written with one write(),
 * allocates nothing, and is at most LIMIT_LOG_LINE_BYTES long: longer texts end
 * in "..." and the line says truncated=true.
 *
 * Values may be any bytes.  They stand in double quotes where they must, with
 * \" \\ \n \r \t; control characters, line separators, and bytes that are not
 * UTF-8 are written as \u00xx.  A JSON line is always one valid JSON object.
 */
#ifndef BASE_LOG_H
#define BASE_LOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/slice.h"
#include "base/status.h"

enum log_level { LOG_DEBUG, LOG_INFO, LOG_WARN, LOG_ERROR, LOG_EMERGENCY, LOG_OFF };
enum log_format { LOG_LOGFMT, LOG_JSON };

struct log_field {
    const char *name;
    enum { LOG_FIELD_STR, LOG_FIELD_U64, LOG_FIELD_F64 } kind;
    struct slice str;
    uint64_t u64;
    double f64;
};

/* Names and values are borrowed, and need to live only until the line is written.  A NULL string
 * counts as empty.  In JSON a number that is not finite is null. */
struct log_field log_str(const char *name, const char *value);
struct log_field log_slice(const char *name, struct slice value);
struct log_field log_u64(const char *name, uint64_t value);
struct log_field log_f64(const char *name, double value);

/* The text of `err`, as the field "error". */
struct log_field log_err(const struct err *err);

/* For an event without fields: log_write(level, event, NULL, 0). */

#define log_event(level, event, ...)                              \
 log_write((level), (event), (struct log_field[]){ __VA_ARGS__ }, \
           sizeof((struct log_field[]){ __VA_ARGS__ }) / sizeof(struct log_field))

void log_write(enum log_level level, const char *event, const struct log_field *fields,
               size_t field_count);

/* Where lines go; the default is standard error, logfmt, LOG_INFO.  `write` gets whole lines
 * with their line feed, and `now_ms` is Unix time; either may be NULL to keep the default.
 * Both may be called by several threads at once, without a lock.  A thread that is in the middle
 * of a line when the sink changes may still use the old one. */
struct log_sink {
    enum log_level level;
    enum log_format format;
    void (*write)(void *ctx, struct slice line);
    uint64_t (*now_ms)(void *ctx);
    void *ctx;
};

/* Copies `*sink`; NULL goes back to the default. */
void log_set_sink(const struct log_sink *sink);

/* "debug", "info", "warn", "error", "off"; false when it is none of them. */
bool log_level_parse(const char *text, enum log_level *level);

/* RFC 3339 in UTC with milliseconds, 24 bytes and a terminator; at most the end of year 9999. */
enum { LOG_TIME_BYTES = 32 };
const char *log_time(uint64_t unix_ms, char out[LOG_TIME_BYTES]);

#endif
