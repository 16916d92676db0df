/*
 * A line is built in a buffer of fixed size on the stack: logging must work
 * when memory is what is being complained about.
 *
 * INVARIANTS
 *
 *   L1  Whatever the fields hold, a line has one line feed, at its end, and a
 *       JSON line is one valid JSON object: text goes in only through
 *       escape_one(), whole units at a time, and numbers only in JSON's form.
 *   L2  A line is at most LIMIT_LOG_LINE_BYTES long.  Fields stop at
 *       BODY_BYTES_MAX; what is behind that is kept for what must close the line.
 *   L3  What was left out is marked: a cut text ends in "...", and a line that
 *       lacks anything ends in truncated=true.
 *
 * Not here, on purpose: a lock around the write.  The kernel does not mix two
 * writes of this size to a file or a pipe, and a sink may call whatever it likes.
 */
#include "base/log.h"

#include <errno.h>
#include <math.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/limits.h"
#include "base/lock.h"

enum {
    TAIL_BYTES = 64,
    BODY_BYTES_MAX = LIMIT_LOG_LINE_BYTES - TAIL_BYTES,

    /* One escaped text, so that a long key does not push out the error that comes after it. */
    TEXT_BYTES_MAX = 1024,

    /* One character, escaped: \u00ff. */
    UNIT_BYTES_MAX = 8,

    /* A number, or the least that a text takes: ..., with quotes. */
    NUMBER_BYTES_MAX = 40,
};

struct line {
    enum log_format format;
    bool truncated;
    size_t size;
    char bytes[LIMIT_LOG_LINE_BYTES];
};

static const char *const level_names[] = {
    [LOG_DEBUG] = "debug", [LOG_INFO] = "info",           [LOG_WARN] = "warn",
    [LOG_ERROR] = "error", [LOG_EMERGENCY] = "emergency", [LOG_OFF] = "off",
};

static void write_stderr(void *ctx, struct slice line);
static uint64_t system_now_ms(void *ctx);

static const struct log_sink default_sink = {
    .level = LOG_INFO,
    .format = LOG_LOGFMT,
    .write = write_stderr,
    .now_ms = system_now_ms,
};

/* The sink: the one global of the program. */
static struct {
    struct lock lock; /* guards `to` */
    struct log_sink to;
    _Atomic(enum log_level) level; /* a copy of to.level, so that a silent event takes no lock */
} current = {
    .lock = { PTHREAD_MUTEX_INITIALIZER },
    .to = { LOG_INFO, LOG_LOGFMT, write_stderr, system_now_ms, NULL },
    .level = LOG_INFO,
};

struct log_field
log_str(const char *name, const char *value)
{
    return log_slice(name, slice_str(value == NULL ? "" : value));
}

struct log_field
log_slice(const char *name, struct slice value)
{
    return (struct log_field){ .name = name, .kind = LOG_FIELD_STR, .str = value };
}

struct log_field
log_u64(const char *name, uint64_t value)
{
    return (struct log_field){ .name = name, .kind = LOG_FIELD_U64, .u64 = value };
}

struct log_field
log_f64(const char *name, double value)
{
    return (struct log_field){ .name = name, .kind = LOG_FIELD_F64, .f64 = value };
}

struct log_field
log_err(const struct err *err)
{
    return log_str("error", err->text);
}

/* How many bytes the UTF-8 character at the start of `s` has, and which it is; 0 when the bytes
 * are not UTF-8: a stray or missing continuation, a longer form than needed, a surrogate, or
 * beyond U+10FFFF (RFC 3629, section 4). */
static size_t
decode_utf8(struct slice s, uint32_t *code)
{
    static const uint32_t least[] = { 0, 0, 0x80, 0x800, 0x10000 };
    uint8_t lead = s.data[0];
    size_t size = lead < 0x80 ? 1 : lead < 0xc0 ? 0 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
    uint32_t c = size == 1 ? lead : lead & (0x7fU >> size);

    if (size == 0 || lead > 0xf4 || size > s.size)
        return 0;
    for (size_t i = 1; i < size; i++) {
        if ((s.data[i] & 0xc0) != 0x80)
            return 0;
        c = (c << 6) | (s.data[i] & 0x3fU);
    }
    if (c < least[size] || c > 0x10ffff || (c >= 0xd800 && c <= 0xdfff))
        return 0;
    *code = c;
    return size;
}

/* Would it end a line, or steer a terminal, when shown as it is? */
static bool
is_control(uint32_t code)
{
    enum { LINE_SEPARATOR = 0x2028, PARAGRAPH_SEPARATOR = 0x2029 };

    return code < 0x20 || (code >= 0x7f && code < 0xa0) || code == LINE_SEPARATOR ||
           code == PARAGRAPH_SEPARATOR;
}

/* The first character of `rest` as it stands between quotes (L1).  Returns how many bytes of
 * `rest` that was; `*unit_size` bytes are written to `unit`. */
static size_t
escape_one(struct slice rest, char unit[UNIT_BYTES_MAX], size_t *unit_size)
{
    static const char plain[] = "\"\\\n\r\t";
    static const char escaped[] = "\"\\nrt";
    const char *found = memchr(plain, rest.data[0], sizeof(plain) - 1);
    uint32_t code = rest.data[0];
    size_t size = decode_utf8(rest, &code);

    if (found != NULL) {
        unit[0] = '\\';
        unit[1] = escaped[found - plain];
        *unit_size = 2;
        return 1;
    }
    if (size == 0 || is_control(code)) {
        *unit_size = (size_t)snprintf(unit, UNIT_BYTES_MAX, "\\u%04x", code & 0xffff);
        return size == 0 ? 1 : size;
    }
    memcpy(unit, rest.data, size);
    *unit_size = size;
    return size;
}

/* The caller has made sure that there is room. */
static void
put(struct line *l, const char *bytes, size_t size)
{
    ASSERT(size <= sizeof(l->bytes) - l->size); /* L2 */
    memcpy(l->bytes + l->size, bytes, size);
    l->size += size;
}

static void
put_str(struct line *l, const char *text)
{
    put(l, text, strlen(text));
}

static void
put_quoted(struct line *l, struct slice text)
{
    size_t limit = l->size + TEXT_BYTES_MAX;
    size_t at = 0;

    if (limit > BODY_BYTES_MAX)
        limit = BODY_BYTES_MAX;
    put_str(l, "\"");
    while (at < text.size) {
        char unit[UNIT_BYTES_MAX];
        size_t unit_size;
        size_t taken = escape_one(slice_of(text.data + at, text.size - at), unit, &unit_size);

        if (l->size + unit_size > limit) {
            put_str(l, "..."); /* L3 */
            l->truncated = true;
            break;
        }
        put(l, unit, unit_size);
        at += taken;
    }
    put_str(l, "\"");
}

/* May the text stand in logfmt without quotes? */
static bool
is_bare(struct slice text)
{
    for (size_t i = 0; i < text.size; i++) {
        uint8_t c = text.data[i];

        if (c <= ' ' || c >= 0x7f || c == '"' || c == '=' || c == '\\')
            return false;
    }
    return text.size > 0;
}

static void
put_text(struct line *l, struct slice text)
{
    bool fits = text.size <= TEXT_BYTES_MAX && l->size + text.size <= BODY_BYTES_MAX;

    if (l->format == LOG_LOGFMT && fits && is_bare(text))
        put(l, (const char *)text.data, text.size);
    else
        put_quoted(l, text);
}

/* A name is an identifier, given by the program; what is none of its letters becomes '_'. */
static void
put_name(struct line *l, const char *name)
{
    for (const char *at = name; *at != '\0'; at++) {
        bool letter = (*at >= 'a' && *at <= 'z') || (*at >= 'A' && *at <= 'Z') ||
                      (*at >= '0' && *at <= '9') || strchr("_.-", *at) != NULL;

        put(l, letter ? at : "_", 1);
    }
}

/* Write the name and what separates it from before and after.  False, and nothing written but
 * the mark, when the line is too full for even a short value (L3). */
static bool
begin_field(struct line *l, const char *name)
{
    enum { PUNCTUATION_BYTES = 4 }; /* ,"": */

    if (l->size + strlen(name) + PUNCTUATION_BYTES + NUMBER_BYTES_MAX > BODY_BYTES_MAX) {
        l->truncated = true;
        return false;
    }
    if (l->format == LOG_JSON) {
        put_str(l, l->size == 0 ? "{\"" : ",\"");
        put_name(l, name);
        put_str(l, "\":");
    } else {
        put_str(l, l->size == 0 ? "" : " ");
        put_name(l, name);
        put_str(l, "=");
    }
    return true;
}

/* The shortest form that reads back as the same number, with a point in every locale. */
static void
put_f64(struct line *l, double value)
{
    char text[NUMBER_BYTES_MAX];

    if (!isfinite(value)) {
        put_str(l, l->format == LOG_JSON ? "null"
                   : isnan(value)        ? "nan"
                   : value < 0           ? "-inf"
                                         : "inf");
        return;
    }
    for (int digits = 15; digits <= 17; digits++) {
        snprintf(text, sizeof(text), "%.*g", digits, value);
        if (!(strtod(text, NULL) < value) && !(strtod(text, NULL) > value))
            break;
    }
    for (char *at = text; *at != '\0'; at++) {
        if (strchr("0123456789+-e", *at) == NULL)
            *at = '.';
    }
    put_str(l, text);
}

static void
put_field(struct line *l, const struct log_field *field)
{
    char text[NUMBER_BYTES_MAX];

    if (!begin_field(l, field->name))
        return;
    switch (field->kind) {
    case LOG_FIELD_STR:
        put_text(l, field->str);
        break;
    case LOG_FIELD_U64:
        snprintf(text, sizeof(text), "%llu", (unsigned long long)field->u64);
        put_str(l, text);
        break;
    case LOG_FIELD_F64:
        put_f64(l, field->f64);
        break;
    }
}

static void
put_end(struct line *l)
{
    bool json = l->format == LOG_JSON;

    if (l->truncated)
        put_str(l, json ? ",\"truncated\":true" : " truncated=true");
    put_str(l, json ? "}\n" : "\n");
}

/* A copy, so that no lock is held while the sink's functions run. */
static struct log_sink
current_sink(void)
{
    struct log_sink to;

    lock_take(&current.lock);
    to = current.to;
    lock_drop(&current.lock);
    return to;
}

void
log_write(enum log_level level, const char *event, const struct log_field *fields,
          size_t field_count)
{
    int saved_errno = errno; /* the caller may yet want to read it */
    char stamp[LOG_TIME_BYTES];
    struct log_sink to;
    struct line l;

    ASSERT(level < LOG_OFF);
    if (level < atomic_load_explicit(&current.level, memory_order_relaxed))
        return;

    to = current_sink();
    log_time(to.now_ms(to.ctx), stamp);
    const struct log_field head[] = {
        log_str("ts", stamp),
        log_str("level", level_names[level]),
        log_str("event", event),
    };

    l.format = to.format;
    l.truncated = false;
    l.size = 0;
    for (size_t i = 0; i < sizeof(head) / sizeof(head[0]); i++)
        put_field(&l, &head[i]);
    for (size_t i = 0; i < field_count; i++)
        put_field(&l, &fields[i]);
    put_end(&l);
    to.write(to.ctx, slice_of(l.bytes, l.size));
    errno = saved_errno;
}

void
log_set_sink(const struct log_sink *sink)
{
    struct log_sink next = sink == NULL ? default_sink : *sink;

    ASSERT(next.level <= LOG_OFF);
    if (next.write == NULL)
        next.write = default_sink.write;
    if (next.now_ms == NULL)
        next.now_ms = default_sink.now_ms;

    lock_take(&current.lock);
    current.to = next;
    atomic_store_explicit(&current.level, next.level, memory_order_relaxed);
    lock_drop(&current.lock);
}

/* A log that cannot be written is no reason to stop: what the descriptor refuses is lost. */
static void
write_stderr(void *ctx, struct slice line)
{
    ssize_t written;

    (void)ctx;
    do {
        written = write(STDERR_FILENO, line.data, line.size);
    } while (written < 0 && errno == EINTR);
}

static uint64_t
system_now_ms(void *ctx)
{
    struct timespec now;

    (void)ctx;
    if (clock_gettime(CLOCK_REALTIME, &now) != 0 || now.tv_sec < 0)
        return 0;
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

bool
log_level_parse(const char *text, enum log_level *level)
{
    static const enum log_level known[] = { LOG_DEBUG, LOG_INFO, LOG_WARN, LOG_ERROR, LOG_OFF };

    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
        if (strcmp(text, level_names[known[i]]) == 0) {
            *level = known[i];
            return true;
        }
    }
    return false;
}

const char *
log_time(uint64_t unix_ms, char out[LOG_TIME_BYTES])
{
    const uint64_t ms_max = UINT64_C(253402300799999); /* 9999-12-31T23:59:59.999Z */
    uint64_t ms = unix_ms < ms_max ? unix_ms : ms_max;
    time_t seconds = (time_t)(ms / 1000);
    struct tm utc;
    size_t size;

    gmtime_r(&seconds, &utc); /* cannot fail for a year of four digits */
    size = strftime(out, LOG_TIME_BYTES, "%Y-%m-%dT%H:%M:%S", &utc);
    snprintf(out + size, LOG_TIME_BYTES - size, ".%03uZ", (unsigned)(ms % 1000));
    return out;
}
