#include "cli/transfer.h"

#include <stdio.h>

/* One word or two of argv; `*used` is how many.  ST_INVALID. */
static enum status
take_word(struct transfer *x, struct target_options *options, int argc, char **argv, int *used,
          struct err *err)
{
    enum status st;

    *used = 1;
    if (strcmp(argv[0], "--format") == 0 && argc > 1) {
        x->format_name = argv[1];
        *used = 2;
        return ST_OK;
    }
    if (argv[0][0] != '-' || argv[0][1] == '\0') {
        x->path = argv[0];
        return ST_OK;
    }
    st = target_options_take(options, argc, argv, used, err);
    if (st == ST_OK && *used == 0)
        st = err_raise(err, ST_INVALID, "unexpected argument %s", argv[0]);
    return st;
}

/* The name counts; without one, the path's end; and what has neither is written as jsonl. */
static enum status
choose_format(struct transfer *x, struct err *err)
{
    const char *path = x->path == NULL ? ".jsonl" : x->path;

    if (record_format_of(x->format_name, path, &x->format))
        return ST_OK;
    if (x->format_name != NULL)
        return err_raise(err, ST_INVALID, "--format %s: jsonl and csv are known", x->format_name);
    return err_raise(err, ST_INVALID, "is %s jsonl or csv? say --format", path);
}

static enum status
take_all(struct transfer *x, struct target_options *options, int argc, char **argv, struct err *err)
{
    enum status st = ST_OK;
    int used;

    for (int i = 0; i < argc && st == ST_OK; i += used)
        st = take_word(x, options, argc - i, argv + i, &used, err);
    if (st == ST_OK && x->path == NULL && x->needs_path)
        st = err_raise(err, ST_INVALID, "which file?");
    return st == ST_OK ? choose_format(x, err) : st;
}

bool
transfer_begin(struct transfer *x, int argc, char **argv, int *code)
{
    struct target_options options;
    struct err err = { 0 };

    for (int i = 0; i < argc; i++) {
        if (strcmp(argv[i], "--help") == 0) {
            *code = printf("%s%s", x->help, target_options_help) < 0;
            return false;
        }
    }
    target_options_default(&options);
    *code = 2;
    if (take_all(x, &options, argc, argv, &err) != ST_OK) {
        fprintf(stderr, "distkv %s: %s; see distkv %s --help\n", x->name, err.text, x->name);
        return false;
    }
    *code = 1;
    if (target_open(&x->target, &options, &err) != ST_OK) {
        fprintf(stderr, "distkv %s: %s\n", x->name, err.text);
        return false;
    }
    return true;
}

int
transfer_end(struct transfer *x, int code)
{
    struct err err = { 0 };

    if (target_close(x->target, &err) == ST_OK)
        return code;
    fprintf(stderr, "distkv %s: %s\n", x->name, err.text);
    return 1;
}
