/*
 * unit/example.h — the example in a document under docs/formats, made anew by the code that it is about.
 *
 *      example_bytes("a record", image, begin, limit);
 *      EXPECT_EXAMPLE("docs/formats/log.md");
 */
#ifndef UNIT_EXAMPLE_H
#define UNIT_EXAMPLE_H

#include "unit/test.h"

enum { EXAMPLE_MAX = 1 << 16 };

/* What the document is to say. */
static char example[EXAMPLE_MAX];

static inline void PRINTF_LIKE(1, 2) example_say(const char *fmt, ...)
{
    size_t used = strlen(example);
    va_list args;

    va_start(args, fmt);
    vsnprintf(example + used, sizeof(example) - used, fmt, args);
    va_end(args);
}

static inline void
example_line(struct slice bytes, uint64_t at, uint64_t limit)
{
    example_say("%06llx ", (unsigned long long)at);
    for (uint64_t i = at; i < at + 16; i++) {
        if (i < limit)
            example_say(" %02x", bytes.data[i]);
        else
            example_say("   ");
    }
    example_say("  ");
    for (uint64_t i = at; i < at + 16 && i < limit; i++)
        example_say("%c", bytes.data[i] >= 0x20 && bytes.data[i] < 0x7f ? bytes.data[i] : '.');
    example_say("\n");
}

/* [begin, limit) of the bytes, under a title. */
static inline void
example_bytes(const char *title, struct slice bytes, uint64_t begin, uint64_t limit)
{
    example_say("%s%s\n", example[0] == '\0' ? "" : "\n", title);
    for (uint64_t at = begin; at < limit; at += 16)
        example_line(bytes, at, at + 16 < limit ? at + 16 : limit);
}

/* The document's only block between lines of three backquotes. */
static inline void
example_read(const char *document, char *out)
{
    FILE *file = fopen(document, "r");
    char line[2000];
    bool inside = false;
    size_t used = 0;

    assert_non_null(file);
    out[0] = '\0';
    while (fgets(line, sizeof(line), file) != NULL) {
        if (strncmp(line, "```", 3) == 0)
            inside = !inside;
        else if (inside)
            used += (size_t)snprintf(out + used, EXAMPLE_MAX - used, "%s", line);
    }
    fclose(file);
}

#define EXPECT_EXAMPLE(document) example_expect((document), __FILE__, __LINE__)

static inline void
example_expect(const char *document, const char *file, int line)
{
    static char there[EXAMPLE_MAX];

    example_read(document, there);
    if (strcmp(there, example) == 0)
        return;
    fprintf(stderr, "%s should have:\n%s<\n", document, example); /* cmocka cuts long texts */
    _fail(file, line);
}

#endif
