#include "cli/run.h"

#include <unistd.h>

#include "base/limits.h"

#include "cli/compact.h"
#include "cli/stats_box.h"

/* ------------------------------------------------------------------ the answer, as it is */

/* A value is printed as its bytes; on a terminal, unprintable ones as escapes. */
static void
print_bytes(struct slice s, FILE *out)
{
    bool terminal = isatty(fileno(out)) != 0;

    for (size_t i = 0; i < s.size; i++) {
        uint8_t c = s.data[i];

        if (terminal && (c < 0x20 || c == 0x7f) && c != '\n' && c != '\t')
            fprintf(out, "\\x%02x", c);
        else
            fputc(c, out);
    }
    fputc('\n', out);
}

static void
print_item(const struct resp_item *item, FILE *out)
{
    if (item->type == RESP_NIL)
        fputs("(nil)\n", out);
    else if (item->type == RESP_INTEGER || item->type == RESP_BOOL)
        fprintf(out, "%lld\n", (long long)item->integer);
    else if (item->text.size > 0 && item->text.data[item->text.size - 1] == '\n')
        print_bytes(slice_of(item->text.data, item->text.size - 1), out); /* INFO and its like */
    else
        print_bytes(item->text, out);
}

static bool
is_aggregate(const struct resp_item *item)
{
    return item->type == RESP_ARRAY || item->type == RESP_MAP || item->type == RESP_SET ||
           item->type == RESP_PUSH || item->type == RESP_ATTRIBUTE;
}

static enum run_outcome
broken(const struct err *err, FILE *err_out)
{
    fprintf(err_out, "Error: %s\n", err->text);
    return RUN_BROKEN;
}

static enum run_outcome
refused(struct slice text, FILE *err_out)
{
    bool login = text.size >= 6 && memcmp(text.data, "NOAUTH", 6) == 0;

    fprintf(err_out, "Error: %.*s%s\n", (int)text.size, (const char *)text.data,
            login ? " Say AUTH password, or give it by --password-file or DISTKV_PASSWORD." : "");
    return RUN_FAILED;
}

/* One item a line; nested arrays are indented, empty ones named. */
static enum run_outcome
print_reply(struct client *c, FILE *out, FILE *err_out)
{
    enum run_outcome outcome = RUN_OK;
    struct resp_item item;
    struct err err;
    bool last = false;

    while (!last) {
        if (client_item(c, &item, &last, &err) != ST_OK)
            return broken(&err, err_out);
        if (item.type == RESP_FAILURE) {
            outcome = refused(item.text, err_out);
        } else if (is_aggregate(&item)) {
            if (item.count == 0)
                fprintf(out, "%*s(empty)\n", (int)(2 * item.depth), "");
        } else {
            fprintf(out, "%*s", item.depth > 1 ? (int)(2 * (item.depth - 1)) : 0, "");
            print_item(&item, out);
        }
    }
    return outcome;
}

static enum run_outcome
send_words(struct target *t, const struct slice *words, size_t count, FILE *err_out)
{
    struct client *c = target_client(t);
    struct err err = { 0 };
    enum status st = client_command(c, words, count);

    if (st == ST_OK)
        st = client_flush(c, &err);
    else
        st = err_raise(&err, st, "the command is too large");
    return st == ST_OK ? RUN_OK : broken(&err, err_out);
}

static enum run_outcome
pass_on(struct target *t, const struct words *w, FILE *out, FILE *err_out)
{
    enum run_outcome sent = send_words(t, w->word, w->count, err_out);

    return sent == RUN_OK ? print_reply(target_client(t), out, err_out) : sent;
}

/* ------------------------------------------------------------------ the forms for people */

static enum run_outcome
usage(const char *verb, FILE *err_out)
{
    const struct command_help *h = command_help_of(slice_str(verb));

    fprintf(err_out, "Error: usage: %s %s\n", h->name, h->arguments);
    return RUN_FAILED;
}

static enum run_outcome
not_found(FILE *err_out)
{
    fputs("Error: key not found\n", err_out);
    return RUN_FAILED;
}

/* Send, and keep the outermost item; an error is told here. */
static enum run_outcome
ask(struct target *t, const struct slice *words, size_t count, struct resp_item *item,
    struct buf *text, FILE *err_out)
{
    struct err err;
    enum run_outcome sent = send_words(t, words, count, err_out);

    if (sent != RUN_OK)
        return sent;
    if (client_reply(target_client(t), item, text, &err) != ST_OK)
        return broken(&err, err_out);
    if (item->type != RESP_FAILURE)
        return RUN_OK;
    return refused(buf_slice(text), err_out);
}

static enum run_outcome
run_put(struct target *t, const struct words *w, FILE *out, FILE *err_out)
{
    struct slice words[3] = { slice_str("SET") };
    struct buf text = buf_empty(ERR_TEXT_MAX);
    struct resp_item item;
    enum run_outcome outcome;

    if (w->count != 3)
        return usage("PUT", err_out);
    words[1] = w->word[1];
    words[2] = w->word[2];
    outcome = ask(t, words, 3, &item, &text, err_out);
    if (outcome == RUN_OK)
        print_bytes(buf_slice(&text), out);
    buf_release(&text);
    return outcome;
}

static enum run_outcome
run_get(struct target *t, const struct words *w, FILE *out, FILE *err_out)
{
    struct buf text = buf_empty(LIMIT_VALUE_BYTES);
    struct resp_item item;
    enum run_outcome outcome;

    if (w->count != 2)
        return usage("GET", err_out);
    outcome = ask(t, w->word, 2, &item, &text, err_out);
    if (outcome == RUN_OK && item.type == RESP_NIL)
        outcome = not_found(err_out);
    else if (outcome == RUN_OK)
        print_bytes(buf_slice(&text), out);
    buf_release(&text);
    return outcome;
}

static enum run_outcome
run_delete(struct target *t, const struct words *w, FILE *out, FILE *err_out)
{
    struct slice words[2] = { slice_str("DEL") };
    struct buf text = buf_empty(ERR_TEXT_MAX);
    struct resp_item item;
    enum run_outcome outcome;

    if (w->count != 2)
        return usage("DELETE", err_out);
    words[1] = w->word[1];
    outcome = ask(t, words, 2, &item, &text, err_out);
    if (outcome == RUN_OK && item.type == RESP_INTEGER && item.integer == 0)
        outcome = not_found(err_out);
    else if (outcome == RUN_OK)
        fputs("Deleted\n", out);
    buf_release(&text);
    return outcome;
}

static enum run_outcome
run_stats(struct target *t, const struct words *w, FILE *out, FILE *err_out)
{
    struct slice words[2] = { slice_str("DISTKV"), slice_str("STATS") };
    struct buf text = buf_empty(1 << 20);
    struct resp_item item;
    enum run_outcome outcome = ask(t, words, 2, &item, &text, err_out);

    (void)w;
    if (outcome == RUN_OK && !stats_box(buf_slice(&text), out))
        print_bytes(buf_slice(&text), out);
    buf_release(&text);
    return outcome;
}

/* ------------------------------------------------------------------ the rest */

static enum run_outcome
run_quit(struct target *t, const struct words *w, FILE *out, FILE *err_out)
{
    (void)t;
    (void)w;
    (void)err_out;
    fputs("Shutting down...\n", out);
    return RUN_QUIT;
}

static enum run_outcome
run_help(struct target *t, const struct words *w, FILE *out, FILE *err_out)
{
    const struct command_help *one = w->count > 1 ? command_help_of(w->word[1]) : NULL;

    (void)t;
    if (w->count > 1 && one == NULL) {
        fprintf(err_out, "Error: no help on \"%.*s\"\n", (int)w->word[1].size,
                (const char *)w->word[1].data);
        return RUN_FAILED;
    }
    for (const struct command_help *h = command_helps; h->name != NULL; h++) {
        if (one == NULL || one == h)
            fprintf(out, "  %-12s %-52s %s\n", h->name, h->arguments, h->summary);
    }
    return RUN_OK;
}

/* As in Redis, the end of the connection is the reply. */
static enum run_outcome
run_shutdown(struct target *t, const struct words *w, FILE *out, FILE *err_out)
{
    struct buf text = buf_empty(ERR_TEXT_MAX);
    struct resp_item item;
    struct err err = { 0 };
    enum run_outcome outcome = send_words(t, w->word, w->count, err_out);
    enum status st;

    if (outcome != RUN_OK)
        return outcome;
    st = client_reply(target_client(t), &item, &text, &err);
    if (st == ST_CLOSED) {
        fputs("The server is shutting down\n", out);
        outcome = RUN_CLOSED;
    } else if (st != ST_OK) {
        outcome = broken(&err, err_out);
    } else if (item.type == RESP_FAILURE) {
        outcome = refused(buf_slice(&text), err_out);
    }
    buf_release(&text);
    return outcome;
}

static const struct form {
    const char *verb;
    enum run_outcome (*run)(struct target *t, const struct words *w, FILE *out, FILE *err_out);
} forms[] = {
    { "put", run_put },     { "get", run_get },         { "delete", run_delete },
    { "stats", run_stats }, { "compact", compact_run }, { "quit", run_quit },
    { "exit", run_quit },   { "help", run_help },       { "shutdown", run_shutdown },
};

static const struct form *
form_of(struct slice verb)
{
    for (size_t i = 0; i < sizeof(forms) / sizeof(forms[0]); i++) {
        if (slice_equal_nocase(verb, forms[i].verb))
            return &forms[i];
    }
    return NULL;
}

bool
run_answered_here(struct slice verb)
{
    const struct form *form = form_of(verb);

    return form != NULL && (form->run == run_help || form->run == run_quit);
}

enum run_outcome
run_command(struct target *t, const struct words *w, FILE *out, FILE *err_out)
{
    const struct form *form = form_of(w->word[0]);

    return form != NULL ? form->run(t, w, out, err_out) : pass_on(t, w, out, err_out);
}
