#include "server/config_file.h"

#include <errno.h>
#include <ini.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

#include "server/settings.h"

/* The parser splits a line that it has no room for, and says too late where it was: it gets its lines
 * from us, and none after the first that we refuse. */
struct reading {
    struct config *config;
    const char *path;
    FILE *file;
    int line; /* of the file, from 1 */
    enum status status;
    struct err *err;
};

static bool
is_whole(const char *line, FILE *file)
{
    int next;

    if (strchr(line, '\n') != NULL)
        return true;
    next = getc(file);
    if (next != EOF)
        ungetc(next, file);
    return next == EOF;
}

/* inih's reader, in the manner of fgets(). */
static char *
next_line(char *line, int room, void *ctx)
{
    struct reading *r = ctx;

    if (r->status != ST_OK || fgets(line, room, r->file) == NULL)
        return NULL;
    r->line++;
    if (is_whole(line, r->file))
        return line;
    r->status = err_raise(r->err, ST_INVALID, "%s:%d: longer than %d bytes, or not text", r->path,
                          r->line, room - 2);
    return NULL;
}

/* inih's handler: 0 marks the line as wrong. */
static int
on_ini_line(void *ctx, const char *section, const char *name, const char *value)
{
    struct reading *r = ctx;
    char where[SETTING_VALUE_MAX];

    snprintf(where, sizeof(where), "%s:%d", r->path, r->line);
    if (section[0] != '\0' && strcasecmp(section, "distkv") != 0)
        r->status = err_raise(r->err, ST_INVALID, "%s: unknown section [%s]", where, section);
    else
        r->status = config_set(r->config, slice_str(name), slice_str(value), where, r->err);
    return r->status == ST_OK;
}

enum status
config_file_read(struct config *c, const char *path, struct err *err)
{
    struct reading r = { .config = c, .path = path, .file = fopen(path, "r"), .err = err };
    int sys = errno;
    int wrong;

    if (r.file == NULL)
        return err_raise_sys(err, ST_INVALID, sys, "cannot read the configuration file %s", path);
    errno = 0;
    wrong = ini_parse_stream(next_line, &r, on_ini_line, &r);
    sys = ferror(r.file) != 0 ? errno : 0; /* a folder opens like a file, and reads like none */
    fclose(r.file);
    if (sys != 0)
        return err_raise_sys(err, ST_INVALID, sys, "cannot read the configuration file %s", path);
    if (wrong < 0)
        return err_raise(err, ST_NO_MEMORY, "out of memory for %s", path);
    if (wrong > 0 && (r.status == ST_OK || wrong < r.line))
        return err_raise(err, ST_INVALID, "%s:%d: not a line of the form name = value", path,
                         wrong);
    return r.status;
}

const char *
config_file_path(int argc, char **argv)
{
    for (int i = 0; i < argc; i++) {
        if (strncmp(argv[i], "--config=", 9) == 0)
            return argv[i] + 9;
        if (strcmp(argv[i], "--config") == 0 && i + 1 < argc)
            return argv[i + 1];
    }
    /* NOLINTNEXTLINE(concurrency-mt-unsafe): nobody changes the environment. */
    return getenv("DISTKV_CONFIG");
}
