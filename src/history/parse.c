#include "history/parse.h"

#include <string.h>

#include "history/history_internal.h"
#include "history/number.h"

enum field {
    FIELD_CLIENT,
    FIELD_OP,
    FIELD_KEY,
    FIELD_EXPECT,
    FIELD_VALUE,
    FIELD_SUM,
    FIELD_CALL,
    FIELD_RETURN,
    FIELD_RESULT,
    FIELD_MISMATCH,
    FIELD_COUNT
};

static const char *const field_names[] = { "client", "op",      "key",       "expect", "value",
                                           "sum",    "call_ns", "return_ns", "result", "mismatch" };

_Static_assert(sizeof(field_names) / sizeof(field_names[0]) == FIELD_COUNT, "each has a name");

enum {
    EVERY_OP =
        1 << FIELD_CLIENT | 1 << FIELD_OP | 1 << FIELD_KEY | 1 << FIELD_CALL | 1 << FIELD_RESULT,
};

struct fields {
    const json_t *at[FIELD_COUNT]; /* NULL: it is not there */
};

static bool
field_named(const char *name, enum field *out)
{
    for (unsigned i = 0; i < FIELD_COUNT; i++) {
        if (strcmp(field_names[i], name) == 0) {
            *out = (enum field)i;
            return true;
        }
    }
    return false;
}

/* That no field is there twice, the parser has seen to. */
static enum status
collect(json_t *object, struct fields *f, struct err *err)
{
    const char *name;
    json_t *value;
    enum field at;

    json_object_foreach(object, name, value)
    {
        if (!field_named(name, &at))
            return err_raise(err, ST_INVALID, "there is no field \"%s\"", name);
        f->at[at] = value;
    }
    return ST_OK;
}

/* The fields that an operation with this result must have, and those that it may. */
static unsigned
fields_needed(const struct history_op *op)
{
    unsigned need = EVERY_OP;

    if (op->verb == HISTORY_PUT || op->verb == HISTORY_CAS || op->verb == HISTORY_INCR ||
        (op->verb == HISTORY_GET && op->result == HISTORY_OK))
        need |= 1U << FIELD_VALUE;
    if (op->verb == HISTORY_CAS)
        need |= 1U << FIELD_EXPECT;
    if (op->verb == HISTORY_INCR && op->result == HISTORY_OK)
        need |= 1U << FIELD_SUM;
    if (op->result != HISTORY_UNKNOWN)
        need |= 1U << FIELD_RETURN;
    return need;
}

static unsigned
fields_allowed(const struct history_op *op)
{
    unsigned allowed = fields_needed(op) | 1U << FIELD_RETURN;

    if (op->verb == HISTORY_CAS && op->result == HISTORY_FAIL)
        allowed |= 1U << FIELD_MISMATCH;
    return allowed;
}

static enum status
check_fields(const struct fields *f, const struct history_op *op, struct err *err)
{
    for (unsigned i = 0; i < FIELD_COUNT; i++) {
        bool there = f->at[i] != NULL;

        if (!there && (fields_needed(op) >> i & 1) != 0)
            return err_raise(err, ST_INVALID, "\"%s\" is missing", field_names[i]);
        if (there && (fields_allowed(op) >> i & 1) == 0) {
            return err_raise(err, ST_INVALID, "a %s with the result \"%s\" has no \"%s\"",
                             history_verb_name(op->verb), history_result_name(op->result),
                             field_names[i]);
        }
    }
    return ST_OK;
}

static enum status
take_number(const struct fields *f, enum field at, uint64_t *out, struct err *err)
{
    const json_t *value = f->at[at];

    if (!json_is_integer(value) || json_integer_value(value) < 0)
        return err_raise(err, ST_INVALID, "\"%s\" is not an integer from 0", field_names[at]);
    *out = (uint64_t)json_integer_value(value);
    return ST_OK;
}

static enum status
take_text(const struct fields *f, enum field at, struct slice *out, struct err *err)
{
    const json_t *value = f->at[at];

    if (!json_is_string(value))
        return err_raise(err, ST_INVALID, "\"%s\" is not a string", field_names[at]);
    *out = slice_of(json_string_value(value), json_string_length(value));
    return ST_OK;
}

static enum status
take_value(const struct fields *f, enum field at, struct history_value *out, struct err *err)
{
    out->present = !json_is_null(f->at[at]);
    return out->present ? take_text(f, at, &out->text, err) : ST_OK;
}

static enum status
take_decimal(const struct fields *f, enum field at, int64_t *out, struct err *err)
{
    struct slice text = { 0 };
    enum status st = take_text(f, at, &text, err);

    if (st == ST_OK && !number_parse(text, out))
        st = err_raise(err, ST_INVALID, "\"%s\" is not a decimal integer of 64 bits",
                       field_names[at]);
    return st;
}

/* A word, or NULL: "get" and a zero byte is none. */
static const char *
word_of(const json_t *value)
{
    const char *word = json_string_value(value);

    return word != NULL && strlen(word) == json_string_length(value) ? word : NULL;
}

/* The verb and the result: they say which other fields there are. */
static enum status
take_kind(const struct fields *f, struct history_op *op, struct err *err)
{
    const char *verb = word_of(f->at[FIELD_OP]);
    const char *result = word_of(f->at[FIELD_RESULT]);

    if (verb == NULL || !history__verb_named(verb, &op->verb))
        return err_raise(err, ST_INVALID, "\"op\" is none of get, put, delete, cas, incr");
    if (result == NULL || !history__result_named(result, &op->result))
        return err_raise(err, ST_INVALID, "\"result\" is none of ok, fail, unknown");
    return ST_OK;
}

static enum status
take_times(const struct fields *f, struct history_op *op, struct err *err)
{
    enum status st = take_number(f, FIELD_CALL, &op->call_ns, err);

    op->return_ns = HISTORY_NEVER;
    if (st != ST_OK || f->at[FIELD_RETURN] == NULL || json_is_null(f->at[FIELD_RETURN]))
        return st;
    return take_number(f, FIELD_RETURN, &op->return_ns, err);
}

static enum status
take_values(const struct fields *f, struct history_op *op, struct err *err)
{
    enum status st = ST_OK;

    if (f->at[FIELD_EXPECT] != NULL)
        st = take_value(f, FIELD_EXPECT, &op->expect, err);
    if (st == ST_OK && f->at[FIELD_VALUE] != NULL)
        st = op->verb == HISTORY_INCR ? take_decimal(f, FIELD_VALUE, &op->delta, err)
                                      : take_value(f, FIELD_VALUE, &op->value, err);
    if (st == ST_OK && f->at[FIELD_SUM] != NULL)
        st = take_decimal(f, FIELD_SUM, &op->sum, err);
    op->mismatch = json_is_true(f->at[FIELD_MISMATCH]);
    if (st == ST_OK && f->at[FIELD_MISMATCH] != NULL && !json_is_boolean(f->at[FIELD_MISMATCH]))
        st = err_raise(err, ST_INVALID, "\"mismatch\" is neither true nor false");
    return st;
}

enum status
history__parse_line(struct slice line, struct history_op *op, json_t **object, struct err *err)
{
    struct fields f = { 0 };
    json_error_t fault;
    enum status st;

    *object = json_loadb((const char *)line.data, line.size,
                         JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, &fault);
    if (*object == NULL)
        return err_raise(err, ST_INVALID, "%s", fault.text);
    if (!json_is_object(*object))
        return err_raise(err, ST_INVALID, "it is not an object");
    *op = (struct history_op){ 0 };
    st = collect(*object, &f, err);
    if (st == ST_OK)
        st = take_kind(&f, op, err);
    if (st == ST_OK)
        st = check_fields(&f, op, err);
    if (st == ST_OK)
        st = take_number(&f, FIELD_CLIENT, &op->client, err);
    if (st == ST_OK)
        st = take_text(&f, FIELD_KEY, &op->key, err);
    if (st == ST_OK)
        st = take_times(&f, op, err);
    return st == ST_OK ? take_values(&f, op, err) : st;
}
