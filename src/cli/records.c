#include "cli/records.h"

#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <strings.h>

#include "base/limits.h"
#include "base/mem.h"

#include "cli/base64.h"

enum { LINE_BYTES_MAX = 2 * (LIMIT_VALUE_BYTES + LIMIT_KEY_BYTES), CSV_COLUMNS = 3 };

struct record_reader {
    FILE *file;
    enum record_format format;
    char *line; /* getline's */
    size_t room;
    uint64_t line_number; /* of the line that is being read */
    uint64_t record_line; /* where the last record begins */
    uint64_t offset;
    bool begun;
};

void
record_init(struct record *r)
{
    *r =
        (struct record){ .key = buf_empty(LIMIT_KEY_BYTES), .value = buf_empty(LIMIT_VALUE_BYTES) };
}

void
record_release(struct record *r)
{
    buf_release(&r->key);
    buf_release(&r->value);
}

bool
record_format_of(const char *name, const char *path, enum record_format *format)
{
    const char *ending = name != NULL ? name : strrchr(path, '.');

    if (ending == NULL)
        return false;
    if (name == NULL)
        ending++;
    if (strcasecmp(ending, "csv") == 0)
        *format = RECORD_CSV;
    else if (strcasecmp(ending, "jsonl") == 0 || strcasecmp(ending, "ndjson") == 0 ||
             strcasecmp(ending, "json") == 0)
        *format = RECORD_JSONL;
    else
        return false;
    return true;
}

enum status
record_reader_create(struct record_reader **out, FILE *file, enum record_format format)
{
    struct record_reader *r = mem_new(struct record_reader);

    if (r == NULL)
        return ST_NO_MEMORY;
    r->file = file;
    r->format = format;
    *out = r;
    return ST_OK;
}

void
record_reader_destroy(struct record_reader *r)
{
    free(r->line);
    mem_free(r);
}

uint64_t
record_reader_offset(const struct record_reader *r)
{
    return r->offset;
}

uint64_t
record_reader_line(const struct record_reader *r)
{
    return r->record_line;
}

static enum status
bad_line(const struct record_reader *r, struct err *err, const char *why)
{
    return err_raise(err, ST_INVALID, "line %llu: %s", (unsigned long long)r->record_line, why);
}

/* The end, if that is what it is. */
static enum status
at_end(const struct record_reader *r, struct err *err)
{
    if (ferror(r->file))
        return err_raise_sys(err, ST_IO, errno, "it cannot be read any further");
    return ST_NOT_FOUND;
}

/* Spreadsheets on Windows put it in front of UTF-8. */
static void
skip_byte_order_mark(struct record_reader *r)
{
    static const uint8_t mark[] = { 0xef, 0xbb, 0xbf };
    uint8_t bytes[sizeof(mark)];
    size_t size = fread(bytes, 1, sizeof(bytes), r->file);

    if (size == sizeof(mark) && memcmp(bytes, mark, sizeof(mark)) == 0) {
        r->offset = sizeof(mark);
        return;
    }
    while (size > 0) /* what was just read can be given back, in every C library that we know */
        ungetc(bytes[--size], r->file);
}

_Static_assert(LIMIT_KEY_BYTES == 65536 && LIMIT_VALUE_BYTES == 16777216, "the text names them");
static const char too_long[] = "a key may have 65536 bytes, a value 16777216";

/* ------------------------------------------------------------------ JSON lines */

static enum status
take_text(const json_t *object, const char *name, const char *name64, struct buf *out)
{
    const json_t *plain = json_object_get(object, name);
    const json_t *coded = json_object_get(object, name64);

    out->size = 0;
    if (json_is_string(plain))
        return buf_append(out, slice_of(json_string_value(plain), json_string_length(plain)));
    if (json_is_string(coded))
        return base64_decode(slice_of(json_string_value(coded), json_string_length(coded)), out);
    return ST_NOT_FOUND;
}

static enum status
bad_text(const struct record_reader *r, struct err *err, enum status st, const char *name)
{
    char why[ERR_TEXT_MAX / 2];

    if (st == ST_NOT_FOUND)
        snprintf(why, sizeof(why), "\"%s\", or \"%s_base64\", is missing, or no text", name, name);
    else if (st == ST_INVALID)
        snprintf(why, sizeof(why), "\"%s_base64\" is not base64", name);
    else
        snprintf(why, sizeof(why), "the %s is too long: %s", name, too_long);
    return bad_line(r, err, why);
}

static enum status
parse_json(const struct record_reader *r, struct slice line, struct record *out, struct err *err)
{
    json_error_t fault;
    json_t *object = json_loadb((const char *)line.data, line.size, JSON_ALLOW_NUL, &fault);
    const json_t *expires;
    enum status st, st_value;

    if (!json_is_object(object)) {
        st = bad_line(r, err, object == NULL ? fault.text : "not an object");
        json_decref(object);
        return st;
    }
    expires = json_object_get(object, "expires_ms");
    out->expires_ms = 0;
    st = take_text(object, "key", "key_base64", &out->key);
    st_value = take_text(object, "value", "value_base64", &out->value);
    if (st != ST_OK)
        st = bad_text(r, err, st, "key");
    else if (st_value != ST_OK)
        st = bad_text(r, err, st_value, "value");
    else if (expires != NULL && (!json_is_integer(expires) || json_integer_value(expires) < 0))
        st = bad_line(r, err, "\"expires_ms\" is not a time in Unix milliseconds");
    else if (expires != NULL)
        out->expires_ms = (uint64_t)json_integer_value(expires);
    json_decref(object);
    return st;
}

/* ------------------------------------------------------------------ CSV */

/* One character of the record, which may go over several lines when quoted. */
static int
next_char(struct record_reader *r)
{
    int c = getc(r->file);

    if (c == EOF)
        return EOF;
    r->offset++;
    if (c == '\n')
        r->line_number++;
    return c;
}

enum csv_end { CSV_FIELD, CSV_LINE, CSV_FILE, CSV_FAULT, CSV_TOO_LONG };

static enum csv_end
end_of(int c, struct record_reader *r)
{
    if (c == '\r')
        c = next_char(r);
    if (c == ',')
        return CSV_FIELD;
    if (c == '\n')
        return CSV_LINE;
    return c == EOF ? CSV_FILE : CSV_FAULT;
}

static enum csv_end
read_quoted(struct record_reader *r, struct buf *out)
{
    for (;;) {
        int c = next_char(r);
        uint8_t byte = (uint8_t)c;

        if (c == EOF)
            return CSV_FAULT;
        if (c == '"') {
            c = next_char(r);
            if (c != '"')
                return end_of(c, r);
        }
        if (buf_append(out, slice_of(&byte, 1)) != ST_OK)
            return CSV_TOO_LONG;
    }
}

static enum csv_end
read_field(struct record_reader *r, struct buf *out)
{
    int c = next_char(r);

    out->size = 0;
    if (c == '"')
        return read_quoted(r, out);
    while (c != ',' && c != '\n' && c != '\r' && c != EOF) {
        uint8_t byte = (uint8_t)c;

        if (buf_append(out, slice_of(&byte, 1)) != ST_OK)
            return CSV_TOO_LONG;
        c = next_char(r);
    }
    return end_of(c, r);
}

static enum status
parse_expiry(struct record_reader *r, struct buf *text, uint64_t *out, struct err *err)
{
    char copy[24] = "";
    char *end;

    *out = 0;
    if (text->size == 0)
        return ST_OK;
    if (text->size < sizeof(copy)) {
        memcpy(copy, text->data, text->size);
        *out = strtoull(copy, &end, 10);
        if (*end == '\0' && copy[0] >= '0' && copy[0] <= '9')
            return ST_OK;
    }
    return bad_line(r, err, "the third column is not a time in Unix milliseconds");
}

static enum status
bad_csv(const struct record_reader *r, struct err *err, enum csv_end end)
{
    if (ferror(r->file))
        return at_end(r, err);
    if (end == CSV_TOO_LONG)
        return bad_line(r, err, too_long);
    if (end == CSV_LINE || end == CSV_FILE)
        return bad_line(r, err, "a key alone: a record has a key and a value");
    return bad_line(r, err,
                    end == CSV_FIELD ? "more than three columns"
                                     : "quotes that do not close, or close too early");
}

static enum status
read_csv(struct record_reader *r, struct record *out, struct err *err)
{
    struct buf expiry = buf_empty(64);
    enum csv_end end;
    enum status st;

    do {
        r->record_line = r->line_number;
        end = read_field(r, &out->key);
    } while (end == CSV_LINE && out->key.size == 0); /* nothing in the line */
    if (end == CSV_FILE && out->key.size == 0)
        return at_end(r, err);
    if (end != CSV_FIELD)
        return bad_csv(r, err, end);
    end = read_field(r, &out->value);
    if (end == CSV_FIELD)
        end = read_field(r, &expiry);
    if (ferror(r->file) || (end != CSV_LINE && end != CSV_FILE)) /* half a record is none */
        st = bad_csv(r, err, end);
    else
        st = parse_expiry(r, &expiry, &out->expires_ms, err);
    buf_release(&expiry);
    return st;
}

/* The first line of CSV names the columns, or is a record already. */
static enum status
read_first_csv(struct record_reader *r, struct record *out, struct err *err)
{
    enum status st = read_csv(r, out, err);

    if (st != ST_OK && st != ST_INVALID)
        return st;
    if (slice_equal_nocase(buf_slice(&out->key), "key"))
        return read_csv(r, out, err); /* also when its third column was no time, but a name */
    if (slice_equal_nocase(buf_slice(&out->key), "value"))
        return bad_line(r, err, "the columns are key, value and expires_ms, in this order");
    return st;
}

/* ------------------------------------------------------------------ reading */

static enum status
read_json(struct record_reader *r, struct record *out, struct err *err)
{
    ssize_t size;

    do {
        size = getline(&r->line, &r->room, r->file);
        if (size < 0 || ferror(r->file)) /* then it is not the whole line */
            return at_end(r, err);
        r->record_line++;
        r->offset += (uint64_t)size;
        if (size > LINE_BYTES_MAX)
            return bad_line(r, err, "longer than a record can be");
        while (size > 0 && strchr(" \t\r\n", r->line[size - 1]) != NULL)
            size--;
    } while (size == 0);
    return parse_json(r, slice_of(r->line, (size_t)size), out, err);
}

/* An array may be one line of any length: it is refused before it is read. */
static enum status
refuse_array(struct record_reader *r, struct err *err)
{
    int c = getc(r->file);

    if (c == EOF)
        return at_end(r, err);
    ungetc(c, r->file);
    if (c != '[')
        return ST_OK;
    r->record_line = 1;
    return bad_line(r, err, "an array begins here; what is read is one object a line");
}

enum status
record_read(struct record_reader *r, struct record *out, struct err *err)
{
    bool first = !r->begun;
    enum status st = ST_OK;

    r->begun = true;
    if (first) {
        r->line_number = 1;
        skip_byte_order_mark(r);
        if (ferror(r->file)) /* to read again would wait for what Ctrl-C has ended */
            return at_end(r, err);
    }
    if (r->format == RECORD_CSV)
        return first ? read_first_csv(r, out, err) : read_csv(r, out, err);
    if (first)
        st = refuse_array(r, err);
    return st == ST_OK ? read_json(r, out, err) : st;
}

/* ------------------------------------------------------------------ writing */

enum status
record_write_header(FILE *file, enum record_format format)
{
    if (format == RECORD_CSV && fputs("key,value,expires_ms\r\n", file) < 0)
        return ST_IO;
    return ST_OK;
}

static enum status
set_text(json_t *object, const char *name, const char *name64, struct slice bytes)
{
    const char *chars = bytes.size == 0 ? "" : (const char *)bytes.data;
    json_t *text = json_stringn(chars, bytes.size); /* NULL: not UTF-8 */
    struct buf coded;
    enum status st;

    if (text != NULL)
        return json_object_set_new(object, name, text) == 0 ? ST_OK : ST_NO_MEMORY;
    coded = buf_empty(2 * (size_t)LIMIT_VALUE_BYTES);
    st = base64_encode(bytes, &coded);
    if (st == ST_OK && json_object_set_new(object, name64,
                                           json_stringn((const char *)coded.data, coded.size)) != 0)
        st = ST_NO_MEMORY;
    buf_release(&coded);
    return st;
}

static enum status
write_json(FILE *file, struct slice key, struct slice value, uint64_t expires_ms)
{
    json_t *object = json_object();
    enum status st = object == NULL ? ST_NO_MEMORY : set_text(object, "key", "key_base64", key);

    if (st == ST_OK)
        st = set_text(object, "value", "value_base64", value);
    if (st == ST_OK && expires_ms != 0 &&
        json_object_set_new(object, "expires_ms", json_integer((json_int_t)expires_ms)) != 0)
        st = ST_NO_MEMORY;
    if (st == ST_OK && (json_dumpf(object, file, JSON_COMPACT) != 0 || fputc('\n', file) == EOF))
        st = ST_IO;
    json_decref(object);
    return st;
}

static void
write_field(FILE *file, struct slice bytes)
{
    bool quote = false;

    for (size_t i = 0; i < bytes.size && !quote; i++)
        quote = bytes.data[i] == '"' || bytes.data[i] == ',' || bytes.data[i] == '\n' ||
                bytes.data[i] == '\r';
    if (!quote) {
        fwrite(bytes.data, 1, bytes.size, file);
        return;
    }
    putc('"', file);
    for (size_t i = 0; i < bytes.size; i++) {
        if (bytes.data[i] == '"')
            putc('"', file);
        putc(bytes.data[i], file);
    }
    putc('"', file);
}

enum status
record_write(FILE *file, enum record_format format, struct slice key, struct slice value,
             uint64_t expires_ms)
{
    if (format == RECORD_JSONL)
        return write_json(file, key, value, expires_ms);
    write_field(file, key);
    putc(',', file);
    write_field(file, value);
    putc(',', file);
    if (expires_ms != 0)
        fprintf(file, "%llu", (unsigned long long)expires_ms);
    return fputs("\r\n", file) < 0 || ferror(file) ? ST_IO : ST_OK;
}
