/* base/log.h: any bytes as values make one line, and in JSON one valid object, by a parser that is
 * not ours. */
/* LINKS: base PkgConfig::JANSSON */
#include <jansson.h>
#include <string.h>

#include "base/assert.h"
#include "base/limits.h"
#include "base/log.h"

#include "fuzz/fuzz.h"

static void
check_line(void *ctx, struct slice line)
{
    const enum log_format *format = ctx;
    const char *text = (const char *)line.data;
    json_t *json;

    ASSERT(line.size <= LIMIT_LOG_LINE_BYTES);
    ASSERT(memchr(text, '\n', line.size) == text + line.size - 1);
    if (*format == LOG_LOGFMT)
        return;
    json = json_loadb(text, line.size, JSON_ALLOW_NUL, NULL);
    ASSERT(json_is_object(json));
    json_decref(json);
}

static uint64_t
stopped_clock(void *ctx)
{
    (void)ctx;
    return 0;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice half = slice_of(data, size / 2);
    struct slice rest = slice_of(data + size / 2, size - size / 2);
    double number = 0;

    if (size >= sizeof(number))
        memcpy(&number, data, sizeof(number));
    for (int i = 0; i < 2; i++) {
        enum log_format format = i == 0 ? LOG_LOGFMT : LOG_JSON;
        struct log_sink sink = { LOG_INFO, format, check_line, stopped_clock, &format };

        log_set_sink(&sink);
        log_event(LOG_INFO, "fuzz", log_slice("a", half), log_f64("b", number),
                  log_slice("c", rest));
    }
    return 0;
}
