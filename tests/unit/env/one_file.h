/*
 * Short ways to make, fill and look at one file.
 */
#ifndef UNIT_ENV_ONE_FILE_H
#define UNIT_ENV_ONE_FILE_H

#include "fixture.h"

enum { NEW_FILE = ENV_OPEN_WRITE | ENV_OPEN_CREATE };

static inline struct file *
open_new(struct folder *d, const char *name)
{
    struct file *f = NULL;
    struct err err;

    EXPECT_OK(env_open(d->env, in(d, name), NEW_FILE | ENV_OPEN_EXCLUSIVE, &f, &err));
    return f;
}

static inline void
write_text(struct file *f, uint64_t offset, const char *text)
{
    struct slice part = slice_str(text);

    EXPECT_OK(file_write(f, offset, &part, 1, NULL));
}

static inline uint64_t
size_of(struct file *f)
{
    uint64_t size = 0;

    EXPECT_OK(file_size(f, &size, NULL));
    return size;
}

/* The file's bytes [offset, offset + 64), as far as they go, as text. */
static inline const char *
text_at(struct file *f, uint64_t offset)
{
    static char text[65];
    size_t got = 0;

    EXPECT_OK(file_read(f, offset, text, 64, &got, NULL));
    text[got] = '\0';
    return text;
}

#endif
