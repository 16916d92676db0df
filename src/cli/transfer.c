#include "cli/transfer.h"

#include <stdio.h>
#include <unistd.h>

/* One word or two of argv; `*used` is how many.  ST_INVALID. */
static enum status
take_word(struct transfer *x, const char **format, int argc, char **argv, int *used,
          struct err *err)
{
    enum status st;

    *used = 1;
    if (strcmp(argv[0], "--format") == 0) {
        if (argc == 1)
            return err_raise(err, ST_INVALID, "--format needs a value");
        *format = argv[1];
        *used = 2;
        return ST_OK;
    }
    if (argv[0][0] != '-' || argv[0][1] == '\0') {
        if (x->path != NULL)
            return err_raise(err, ST_INVALID, "two files are named, %s and %s", x->path, argv[0]);
        x->path = argv[0];
        return ST_OK;
    }
    st = target_options_take(&x->options, argc, argv, used, err);
    if (st == ST_OK && *used == 0)
        st = err_raise(err, ST_INVALID, "unknown flag %s", argv[0]);
    return st;
}

/* The name counts; without one, the path's end; and what has neither is written as jsonl. */
static enum status
choose_format(struct transfer *x, const char *format, struct err *err)
{
    bool standard = x->path == NULL || strcmp(x->path, "-") == 0;

    if (record_format_of(format, standard ? ".jsonl" : x->path, &x->format))
        return ST_OK;
    if (format != NULL)
        return err_raise(err, ST_INVALID, "--format: \"%s\" is neither jsonl nor csv", format);
    return err_raise(err, ST_INVALID, "is %s jsonl or csv? say --format", x->path);
}

static enum status
take_all(struct transfer *x, int argc, char **argv, struct err *err)
{
    const char *format = NULL;
    enum status st = ST_OK;
    int used;

    for (int i = 0; i < argc && st == ST_OK; i += used)
        st = take_word(x, &format, argc - i, argv + i, &used, err);
    if (st == ST_OK && x->path == NULL && x->needs_path)
        st = err_raise(err, ST_INVALID, "no file is named");
    return st == ST_OK ? choose_format(x, format, err) : st;
}

bool
transfer_parse(struct transfer *x, int argc, char **argv, int *code)
{
    struct err err = { 0 };

    if (target_wants_help(argc, argv, argc)) {
        *code = printf("%s%s", x->help, target_options_help) < 0;
        return false;
    }
    target_options_default(&x->options);
    *code = 2;
    if (take_all(x, argc, argv, &err) == ST_OK)
        return true;
    fprintf(stderr, "distkv %s: %s; see distkv %s --help\n", x->name, err.text, x->name);
    return false;
}

bool
transfer_open(struct transfer *x, int *code)
{
    const char *dir = x->options.data_dir;
    struct err err = { 0 };

    *code = 1;
    if (x->only_reads && dir != NULL && access(dir, F_OK) != 0) {
        fprintf(stderr, "distkv %s: there is no folder %s\n", x->name, dir);
        return false;
    }
    if (target_open(&x->target, &x->options, &err) == ST_OK)
        return true;
    fprintf(stderr, "distkv %s: %s\n", x->name, err.text);
    return false;
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
