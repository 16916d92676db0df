#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/mem.h"

#include "cli/cli.h"
#include "cli/show.h"
#include "cli/target.h"
#include "history/check.h"
#include "history/codec.h"

enum { READ_BYTES = 256 << 10, EXPLANATION_BYTES_MAX = 1 << 20 };
enum { CODE_LINEARIZABLE, CODE_VIOLATION, CODE_WRONG, CODE_UNDECIDED };

static const char help[] =
    "usage: distkv check-history [--json] FILE\n\n"
    "Judges whether a recorded history of clients is linearizable: whether one order of all its\n"
    "operations, each at one moment between its call and its return, explains every answer.\n"
    "FILE - reads standard input.  It has one object a line:\n\n"
    "  {\"client\":1,\"op\":\"put\",\"key\":\"k\",\"value\":\"v\",\"call_ns\":10,\"return_ns\":20,"
    "\"result\":\"ok\"}\n\n"
    "  op      get, put, delete; cas, with \"expect\" (a string, or null: no such key) and \"value\"; "
    "incr,\n"
    "          with \"value\", what is added, and if it is ok \"sum\", the number after it, as strings\n"
    "  value   of a get that is ok: what it saw, a string or null\n"
    "  result  ok; fail: certainly not applied (a cas may add \"mismatch\":true: the value certainly\n"
    "          differed); unknown: applied at any time after the call, or never; its return_ns may\n"
    "          be null or absent\n\n"
    "  --json  the verdict as one object\n\n"
    "Exit code: 0 linearizable; 1 a violation, which is explained; 2 wrong arguments, or the file is no\n"
    "history; 3 undecided: the search grew beyond its memory.\n";

struct checking {
    const char *path;
    bool json;
    struct history *history;
    struct progress progress;
    uint64_t judged; /* operations */
    double seconds;  /* of the search */
    struct history_report report;
    struct buf explanation;
};

/* ------------------------------------------------------------------ reading */

static enum status
open_input(const char *path, FILE **file, uint64_t *size, struct err *err)
{
    struct stat info = { 0 };

    *file = strcmp(path, "-") == 0 ? stdin : fopen(path, "r");
    if (*file == NULL || fstat(fileno(*file), &info) != 0)
        return err_raise_sys(err, ST_IO, errno, "%s cannot be read", path);
    *size = S_ISREG(info.st_mode) ? (uint64_t)info.st_size : 0;
    return ST_OK;
}

static enum status
read_pieces(struct checking *c, FILE *file, struct history_reader *reader, struct err *err)
{
    uint8_t *piece = mem_alloc(READ_BYTES);
    enum status st = ST_OK;
    uint64_t done = 0;
    size_t size = 1;

    if (piece == NULL)
        return err_raise(err, ST_NO_MEMORY, "out of memory");
    while (st == ST_OK && size > 0) {
        size = fread(piece, 1, READ_BYTES, file);
        if (ferror(file))
            st = err_raise_sys(err, ST_IO, errno, "%s cannot be read", c->path);
        else
            st = history_reader_feed(reader, slice_of(piece, size), err);
        done += size;
        progress_update(&c->progress, done, history_op_count(c->history));
    }
    mem_free(piece);
    return st == ST_OK ? history_reader_finish(reader, err) : st;
}

static enum status
read_history(struct checking *c, struct err *err)
{
    const char *name = strcmp(c->path, "-") == 0 ? "standard input" : c->path;
    struct history_reader *reader = NULL;
    FILE *file = NULL;
    uint64_t size = 0;
    enum status st = open_input(c->path, &file, &size, err);

    if (st == ST_OK && (history_create(&c->history) != ST_OK ||
                        history_reader_create(&reader, c->history, name) != ST_OK))
        st = err_raise(err, ST_NO_MEMORY, "out of memory");
    if (st == ST_OK) {
        progress_begin(&c->progress, stderr, "operations read", size);
        st = read_pieces(c, file, reader, err);
        progress_end(&c->progress, history_op_count(c->history));
    }
    history_reader_destroy(reader);
    if (file != NULL && file != stdin)
        fclose(file);
    return st;
}

/* ------------------------------------------------------------------ judging */

static void
on_progress(void *ctx, uint64_t judged)
{
    struct checking *c = ctx;

    c->judged = judged;
    progress_update(&c->progress, judged, judged);
}

static enum status
judge(struct checking *c, struct err *err)
{
    struct history_check_options options = { .progress = on_progress, .progress_ctx = c };
    uint32_t count = history_op_count(c->history);
    double begun = show_clock();
    enum status st;

    progress_begin(&c->progress, stderr, "operations judged", count);
    st = history_check(c->history, &options, &c->report, err);
    c->seconds = show_clock() - begun;
    progress_end(&c->progress, c->judged);
    if (c->report.verdict == HISTORY_VIOLATION && st == ST_OK &&
        history_explain(c->history, &c->report, &c->explanation) != ST_OK)
        st = err_raise(err, ST_NO_MEMORY, "out of memory");
    return st;
}

/* ------------------------------------------------------------------ telling */

static void
tell_person(const struct checking *c)
{
    char ops[SHOW_MAX], keys[SHOW_MAX], of_key[SHOW_MAX], key[ERR_TEXT_MAX / 2];

    printf("%s: %s operations, keys: %s, judged in %.2f s\n",
           history_verdict_name(c->report.verdict), show_count(history_op_count(c->history), ops),
           show_count(history_key_count(c->history), keys), c->seconds);
    if (c->report.verdict == HISTORY_VIOLATION)
        printf("%.*s", (int)c->explanation.size, (const char *)c->explanation.data);
    if (c->report.verdict == HISTORY_UNDECIDED) {
        printf("Keys that need more memory than the search may have: %u; the first is \"%s\", with "
               "%s operations.\n",
               c->report.undecided_key_count, slice_printable(c->report.key, key, sizeof(key)),
               show_count(c->report.key_op_count, of_key));
    }
}

static json_t *
describe(const struct checking *c)
{
    const struct history_report *r = &c->report;
    json_t *out = json_pack("{s:s, s:I, s:I, s:f}", "verdict", history_verdict_name(r->verdict),
                            "operations", (json_int_t)history_op_count(c->history), "keys",
                            (json_int_t)history_key_count(c->history), "seconds", c->seconds);
    json_t *more = NULL;

    if (r->verdict == HISTORY_VIOLATION) {
        more = json_pack("{s:s%, s:I, s:s, s:s%}", "key", (const char *)r->key.data, r->key.size,
                         "line", (json_int_t)history_op_at(c->history, r->culprit).line, "anomaly",
                         history_anomaly_name(r->anomaly), "explanation",
                         (const char *)c->explanation.data, c->explanation.size);
    }
    if (r->verdict == HISTORY_UNDECIDED)
        more = json_pack("{s:s%, s:I}", "key", (const char *)r->key.data, r->key.size,
                         "undecided_keys", (json_int_t)r->undecided_key_count);
    if (out != NULL && more != NULL)
        (void)json_object_update(out, more);
    json_decref(more);
    return out;
}

static int
tell(const struct checking *c)
{
    json_t *object;
    bool told;

    if (!c->json) {
        tell_person(c);
        return 0;
    }
    object = describe(c);
    told = object != NULL && json_dumpf(object, stdout, JSON_COMPACT | JSON_REAL_PRECISION(6)) == 0;
    json_decref(object);
    puts("");
    return told ? 0 : 1;
}

/* ------------------------------------------------------------------ the command */

static int
check_file(struct checking *c)
{
    static const int codes[] = { [HISTORY_LINEARIZABLE] = CODE_LINEARIZABLE,
                                 [HISTORY_VIOLATION] = CODE_VIOLATION,
                                 [HISTORY_UNDECIDED] = CODE_UNDECIDED };
    struct err err = { 0 };
    enum status st;
    int code = CODE_WRONG;

    c->explanation = buf_empty(EXPLANATION_BYTES_MAX);
    st = read_history(c, &err);
    if (st == ST_OK)
        st = judge(c, &err);
    if (st != ST_OK)
        fprintf(stderr, "distkv check-history: %s\n", err.text);
    else if (tell(c) == 0)
        code = codes[c->report.verdict];
    buf_release(&c->explanation);
    history_destroy(c->history);
    return code;
}

static int
refuse(const char *what, const char *word)
{
    fprintf(stderr, "distkv check-history: %s%s\n%s", what, word, help);
    return CODE_WRONG;
}

int
cli_check_history_main(int argc, char **argv)
{
    struct checking c = { 0 };

    if (target_wants_help(argc, argv, argc))
        return fputs(help, stdout) < 0;
    for (int i = 0; i < argc; i++) {
        bool is_flag = argv[i][0] == '-' && argv[i][1] != '\0';

        if (strcmp(argv[i], "--json") == 0)
            c.json = true;
        else if (is_flag || c.path != NULL)
            return refuse("unexpected argument ", argv[i]);
        else
            c.path = argv[i];
    }
    return c.path == NULL ? refuse("which file?", "") : check_file(&c);
}
