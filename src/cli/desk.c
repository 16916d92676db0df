#include "cli/desk.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "cluster/record.h"
#include "tablet/neighbours.h"

enum { CODE_DONE, CODE_REFUSED, CODE_WRONG };
enum {
    ANSWER_BYTES_MAX = 32 << 20,
    ORDER_WORDS_MAX = 24,
    AGAIN_MAX = 20,
    AGAIN_MS = 100,
    HELP_WIDTH = 46
};

/* What may stand behind a flag: a number within bounds, or one of some words, or (neither is told) anything. */
static const struct flag_rule {
    const char *name;
    unsigned long least;
    unsigned long most;  /* 0: no number */
    const char *choices; /* separated by | */
} rules[FLAG_COUNT] = {
    [FLAG_JSON] = { .name = "--json" },
    [FLAG_ALL] = { .name = "--all" },
    [FLAG_DRY_RUN] = { .name = "--dry-run" },
    [FLAG_NO_WAIT] = { .name = "--no-wait" },
    [FLAG_WAIT] = { .name = "--wait", .least = 1, .most = 86400 },
    [FLAG_NODES] = { .name = "--nodes", .least = 1, .most = TABLET_NODES_MAX },
    [FLAG_CONFIRM] = { .name = "--confirm" },
    [FLAG_KEYSPACE] = { .name = "--keyspace" },
    [FLAG_KEY] = { .name = "--key" },
    [FLAG_MODE] = { .name = "--mode", .choices = "strong" },
    [FLAG_REPLICAS] = { .name = "--replicas", .least = 1, .most = CLUSTER_REPLICAS_MAX },
    [FLAG_TABLETS] = { .name = "--tablets", .least = 1, .most = CLUSTER_TABLETS_MAX },
    [FLAG_AT] = { .name = "--at" },
    [FLAG_PARTITION] = { .name = "--partition", .choices = "hash|range" },
};

void
desk_complain(const struct desk *d, const char *fmt, ...)
{
    va_list args;

    fprintf(stderr, "distkv %s: ", d->program);
    va_start(args, fmt);
    vfprintf(stderr, fmt, args);
    va_end(args);
    fputc('\n', stderr);
}

/* ------------------------------------------------------------------ help */

static int
print_help(const struct desk_program *p)
{
    printf("usage: distkv %s VERB [ARGUMENT]... [FLAG]...\n\n%s\n", p->name, p->summary);
    for (const struct desk_verb *v = p->verbs; v->name != NULL; v++) {
        int drawn = printf("  %s %s", v->name, v->arguments);

        if (drawn > HELP_WIDTH)
            printf("\n%*s", HELP_WIDTH, "");
        else
            printf("%*s", HELP_WIDTH - drawn, "");
        printf("  %s\n", v->summary);
    }
    printf("\nFlags of all of them:\n  --json                the answer as the server gives it\n%s"
           "\nExit code: 0 done; 1 refused, or nobody answers; 2 wrong use.\n"
           "`distkv %s VERB --help` says more about each.\n",
           target_node_help, p->name);
    return CODE_DONE;
}

static int
print_help_of(const struct desk_program *p, const struct desk_verb *v)
{
    printf("usage: distkv %s %s %s [--json]\n\n%c%s.\n%s", p->name, v->name, v->arguments,
           v->summary[0] - 'a' + 'A', v->summary + 1, v->more == NULL ? "" : v->more);
    return CODE_DONE;
}

/* ------------------------------------------------------------------ the command line */

static int
misused(const struct desk *d, const struct desk_verb *v)
{
    if (v == NULL)
        fprintf(stderr, "distkv %s --help lists what there is\n", d->program);
    else
        fprintf(stderr, "usage: distkv %s %s %s\n", d->program, v->name, v->arguments);
    return CODE_WRONG;
}

static enum desk_flag
flag_named(const char *word)
{
    for (int i = 0; i < FLAG_COUNT; i++) {
        if (strcmp(word, rules[i].name) == 0)
            return (enum desk_flag)i;
    }
    return FLAG_COUNT;
}

static bool
is_choice(const char *choices, const char *value)
{
    size_t size = strlen(value);

    for (const char *at = choices; at != NULL; at = strchr(at, '|')) {
        at += *at == '|';
        if (strncmp(at, value, size) == 0 && (at[size] == '|' || at[size] == '\0'))
            return true;
    }
    return false;
}

static bool
is_number(const struct flag_rule *rule, const char *value)
{
    char *end;
    unsigned long number = strtoul(value, &end, 10);

    return value[0] >= '0' && value[0] <= '9' && *end == '\0' && number >= rule->least &&
           number <= rule->most;
}

static bool
take_value(struct desk *d, enum desk_flag flag, const char *value)
{
    const struct flag_rule *rule = &rules[flag];

    d->flags[flag] = value;
    if (value == NULL) {
        desk_complain(d, "%s needs a value", rule->name);
    } else if (rule->most > 0 && !is_number(rule, value)) {
        desk_complain(d, "%s: a number from %lu to %lu, and not %s", rule->name, rule->least,
                      rule->most, value);
    } else if (rule->choices != NULL && !is_choice(rule->choices, value)) {
        desk_complain(d, "%s: %s, and not %s", rule->name, rule->choices, value);
    } else {
        return true;
    }
    return false;
}

/* One word of the command line, or a flag and its value: how many were taken; 0: it was said why none. */
static int
take_word(struct desk *d, const struct desk_verb *v, int argc, char **argv)
{
    enum desk_flag flag = flag_named(argv[0]);

    if (argv[0][0] != '-') {
        if (d->word_count < v->words_max) {
            d->words[d->word_count++] = argv[0];
            return 1;
        }
        desk_complain(d, "%s: one word too many: %s", v->name, argv[0]);
        return 0;
    }
    if (flag == FLAG_COUNT || ((v->flags | FLAG(JSON)) & 1U << flag) == 0) {
        desk_complain(d, "%s takes no flag %s", v->name, argv[0]);
        return 0;
    }
    if (flag >= FLAG_WAIT)
        return take_value(d, flag, argc > 1 ? argv[1] : NULL) ? 2 : 0;
    d->flags[flag] = argv[0];
    return 1;
}

static bool
take_words(struct desk *d, const struct desk_verb *v, struct target_options *options, int argc,
           char **argv)
{
    struct err err = { 0 };
    int used = 0;

    for (int at = 0; at < argc; at += used) {
        if (target_options_take(options, argc - at, argv + at, &used, &err) != ST_OK) {
            desk_complain(d, "%s", err.text);
            return false;
        }
        used = used > 0 ? used : take_word(d, v, argc - at, argv + at);
        if (used == 0)
            return false;
    }
    return true;
}

static bool
is_complete(const struct desk *d, const struct desk_verb *v, const struct target_options *options)
{
    if (options->data_dir != NULL) {
        desk_complain(d, "a cluster is asked through a node that runs: -h and -p, not --data-dir");
        return false;
    }
    if (d->word_count < v->words_min)
        desk_complain(d, "%s needs more words", v->name);
    return d->word_count >= v->words_min;
}

/* Where the verb stands, or beyond the last word: flags may come before it, and those of the target all have
 * a value. */
static int
place_of_verb(int argc, char **argv)
{
    int at = 0;

    while (at < argc && argv[at][0] == '-')
        at += flag_named(argv[at]) < FLAG_WAIT ? 1 : 2;
    return at < argc ? at : argc;
}

static const struct desk_verb *
verb_named(const struct desk_program *p, const char *name)
{
    for (const struct desk_verb *v = p->verbs; v->name != NULL; v++) {
        if (strcmp(v->name, name) == 0)
            return v;
    }
    return NULL;
}

static int
run(struct desk *d, const struct desk_verb *v, const struct target_options *options)
{
    struct err err = { 0 };
    int code;

    if (target_open(&d->target, options, &err) != ST_OK) {
        desk_complain(d, "%s", err.text);
        return CODE_REFUSED;
    }
    d->answer = buf_empty(ANSWER_BYTES_MAX);
    code = v->run(d);
    buf_release(&d->answer);
    (void)target_close(d->target, &err); /* nothing of ours runs there */
    return code;
}

int
desk_main(const struct desk_program *p, int argc, char **argv)
{
    struct desk d = { .program = p->name };
    int at = place_of_verb(argc, argv);
    struct target_options options;
    const struct desk_verb *v;

    if (argc == 0 || target_wants_help(argc, argv, at + 1))
        return argc == 0 ? (print_help(p), CODE_WRONG) : print_help(p);
    v = at < argc ? verb_named(p, argv[at]) : NULL;
    if (v == NULL) {
        desk_complain(&d, "%s%s", at < argc ? "unknown verb " : "which verb?",
                      at < argc ? argv[at] : "");
        return misused(&d, NULL);
    }
    if (target_wants_help(argc, argv, argc))
        return print_help_of(p, v);
    target_options_default(&options);
    if (!take_words(&d, v, &options, at, argv) ||
        !take_words(&d, v, &options, argc - at - 1, argv + at + 1) || !is_complete(&d, v, &options))
        return misused(&d, v);
    return run(&d, v, &options);
}

/* ------------------------------------------------------------------ asking */

static bool
begins_with(struct slice text, const char *code)
{
    size_t size = strlen(code);

    return text.size > size && memcmp(text.data, code, size) == 0 && text.data[size] == ' ';
}

/* What the server says, without the code that is for programs. */
static enum status
refusal(struct slice text, struct err *err)
{
    static const char *const codes[] = { "ERR", "TRYAGAIN", "TIMEOUT", "UNKNOWN" };

    if (begins_with(text, "NOAUTH"))
        return err_raise(err, ST_INVALID,
                         "a password is needed: --password-file, or DISTKV_PASSWORD");
    for (size_t i = 0; i < sizeof(codes) / sizeof(codes[0]); i++) {
        size_t size = strlen(codes[i]) + 1;

        if (begins_with(text, codes[i]))
            return err_raise(err, ST_INVALID, "%.*s", (int)(text.size - size),
                             (const char *)text.data + size);
    }
    return err_raise(err, ST_INVALID, "%.*s", (int)text.size, (const char *)text.data);
}

static void
pause_ms(long ms)
{
    struct timespec time = { .tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000 };

    while (nanosleep(&time, &time) != 0 && errno == EINTR)
        ;
}

/* Somebody else's change came first, and nothing of ours was written: the order is given anew. */
static enum status
call(struct desk *d, const struct slice *words, uint32_t count, struct resp_item *item,
     struct err *err)
{
    enum status st = ST_OK;

    for (int i = 0; i < AGAIN_MAX; i++) {
        st = d->is_broken ? target_reconnect(d->target, err) : ST_OK;
        if (st == ST_OK)
            st = client_call(target_client(d->target), words, count, item, &d->answer, err);
        d->is_broken = st != ST_OK;
        if (st != ST_OK || item->type != RESP_FAILURE ||
            !begins_with(buf_slice(&d->answer), "TRYAGAIN"))
            break;
        pause_ms(AGAIN_MS);
    }
    return st;
}

enum status
desk_try(struct desk *d, const char *const *words, uint32_t count, json_t **answer, struct err *err)
{
    struct slice all[ORDER_WORDS_MAX] = { slice_str("DISTKV"), slice_str("CLUSTER") };
    struct resp_item item = { 0 };
    json_t *json;
    enum status st;

    if (count + 2 > ORDER_WORDS_MAX)
        return err_raise(err, ST_TOO_BIG, "too many words");
    for (uint32_t i = 0; i < count; i++)
        all[i + 2] = slice_str(words[i]);
    st = call(d, all, count + 2, &item, err);
    if (st != ST_OK)
        return st;
    if (item.type == RESP_FAILURE)
        return refusal(buf_slice(&d->answer), err);
    json = json_loadb((const char *)d->answer.data, d->answer.size, JSON_DECODE_ANY, NULL);
    if (json == NULL)
        return err_raise(err, ST_CORRUPT, "the answer is no JSON; is it a server of DistKV?");
    *answer = json;
    return ST_OK;
}

enum status
desk_ask(struct desk *d, const char *const *words, uint32_t count, json_t **answer)
{
    struct err err = { 0 };
    enum status st = desk_try(d, words, count, answer, &err);

    if (st != ST_OK)
        desk_complain(d, "%s", err.text);
    return st;
}

/* ------------------------------------------------------------------ words and answers */

uint32_t
desk_number(const struct desk *d, enum desk_flag flag, uint32_t otherwise)
{
    return d->flags[flag] == NULL ? otherwise : (uint32_t)strtoul(d->flags[flag], NULL, 10);
}

bool
desk_prints_json(const struct desk *d)
{
    if (d->flags[FLAG_JSON] == NULL)
        return false;
    printf("%.*s\n", (int)d->answer.size, (const char *)d->answer.data);
    return true;
}

const char *
desk_text(const json_t *object, const char *name)
{
    const char *text = json_string_value(json_object_get(object, name));

    return text == NULL ? "?" : text;
}

uint64_t
desk_count(const json_t *object, const char *name)
{
    return (uint64_t)json_integer_value(json_object_get(object, name));
}
