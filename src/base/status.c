#include "base/status.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/assert.h"

static const char *const names[ST_STATUS_COUNT] = {
    [ST_OK] = "ok",
    [ST_NOT_FOUND] = "not-found",
    [ST_EXISTS] = "exists",
    [ST_INVALID] = "invalid",
    [ST_TOO_BIG] = "too-big",
    [ST_CONFLICT] = "conflict",
    [ST_CORRUPT] = "corrupt",
    [ST_IO] = "io",
    [ST_NO_SPACE] = "no-space",
    [ST_NO_MEMORY] = "no-memory",
    [ST_WOULD_BLOCK] = "would-block",
    [ST_BUSY] = "busy",
    [ST_TIMEOUT] = "timeout",
    [ST_UNKNOWN] = "unknown",
    [ST_NOT_LEADER] = "not-leader",
    [ST_SCATTERED] = "scattered",
    [ST_MOVED] = "moved",
    [ST_CLOSED] = "closed",
};

const char *
status_name(enum status st)
{
    ASSERT(st < ST_STATUS_COUNT);
    return names[st];
}

enum status
err_raise_at(struct err *err, const char *file, uint32_t line, enum status code, int sys,
             const char *fmt, ...)
{
    char text[ERR_TEXT_MAX] = "";
    va_list args;
    int used;

    ASSERT(code > ST_OK && code < ST_STATUS_COUNT);
    if (err == NULL)
        return code;

    /* Not straight into err->text: it may be among the arguments, when a caller adds context. */
    va_start(args, fmt);
    used = vsnprintf(text, sizeof(text), fmt, args);
    va_end(args);
    if (sys != 0 && used >= 0 && (size_t)used < sizeof(text)) {
        char reason[64];

        /* The GNU strerror_r may return a static string instead of filling `reason`. */
        snprintf(text + used, sizeof(text) - (size_t)used, ": %s",
                 strerror_r(sys, reason, sizeof(reason)));
    }
    *err = (struct err){ .code = code, .sys = sys, .file = file, .line = line };
    memcpy(err->text, text, sizeof(text));
    return code;
}
