#include "cli/sheet.h"

#include <stdarg.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/mem.h"

enum { SHEET_BYTES_MAX = 256 << 20, CELL_BYTES_MAX = 4096, GAP = 2 };

struct sheet_cell {
    size_t at;
    size_t size;
    uint32_t width; /* characters */
    enum paint paint;
};

/* ------------------------------------------------------------------ colours */

const char *
paint_on(FILE *out, enum paint paint)
{
    static const char *const codes[] = { "", "\033[32m", "\033[33m", "\033[31m" };

    return isatty(fileno(out)) != 0 ? codes[paint] : "";
}

const char *
paint_off(FILE *out, enum paint paint)
{
    return paint != PAINT_NONE && isatty(fileno(out)) != 0 ? "\033[0m" : "";
}

/* ------------------------------------------------------------------ filling */

void
sheet_begin(struct sheet *s, uint32_t columns, const char *const *heads)
{
    ASSERT(columns > 0 && columns <= SHEET_COLUMNS_MAX);
    *s = (struct sheet){ .heads = heads, .columns = columns, .text = buf_empty(SHEET_BYTES_MAX) };
}

/* A new cell; NULL: there is no memory. */
static struct sheet_cell *
add_cell(struct sheet *s)
{
    uint32_t capacity = s->capacity == 0 ? 256 : 2 * s->capacity;
    struct sheet_cell *cells;

    if (s->count == s->capacity) {
        cells = mem_resize(s->cells, capacity * sizeof(*cells));
        if (cells == NULL)
            return NULL;
        s->cells = cells;
        s->capacity = capacity;
    }
    return &s->cells[s->count++];
}

/* Characters of UTF-8: bytes that continue none. */
static uint32_t
width_of(const char *text)
{
    uint32_t width = 0;

    for (; *text != '\0'; text++)
        width += ((unsigned char)*text & 0xc0) != 0x80;
    return width;
}

void
sheet_cell(struct sheet *s, enum paint paint, const char *fmt, ...)
{
    char text[CELL_BYTES_MAX];
    struct sheet_cell *cell;
    va_list args;

    va_start(args, fmt);
    vsnprintf(text, sizeof(text), fmt, args);
    va_end(args);
    for (char *c = text; *c != '\0'; c++) {
        if ((unsigned char)*c < ' ' || *c == '\x7f')
            *c = '?';
    }
    cell = s->is_short ? NULL : add_cell(s);
    if (cell != NULL)
        *cell = (struct sheet_cell){ s->text.size, strlen(text), width_of(text), paint };
    s->is_short = cell == NULL || buf_append(&s->text, slice_str(text)) != ST_OK;
}

/* ------------------------------------------------------------------ printing */

static bool
is_to_the_right(const struct sheet *s, uint32_t column)
{
    return s->heads[column][0] == '>';
}

static const char *
head_of(const struct sheet *s, uint32_t column)
{
    return s->heads[column] + is_to_the_right(s, column);
}

static void
measure(const struct sheet *s, uint32_t widths[SHEET_COLUMNS_MAX])
{
    for (uint32_t i = 0; i < s->columns; i++)
        widths[i] = width_of(head_of(s, i));
    for (uint32_t i = 0; i < s->count; i++) {
        if (s->cells[i].width > widths[i % s->columns])
            widths[i % s->columns] = s->cells[i].width;
    }
}

/* Behind the last of a row nothing is filled up. */
static void
print_cell(const struct sheet *s, FILE *out, uint32_t column, uint32_t blanks, struct slice text,
           enum paint paint)
{
    bool right = is_to_the_right(s, column);
    bool last = column + 1 == s->columns;

    fprintf(out, "%*s%s%.*s%s%*s", right ? (int)blanks : 0, "", paint_on(out, paint),
            (int)text.size, (const char *)text.data, paint_off(out, paint),
            last ? 0 : (right ? 0 : (int)blanks) + GAP, "");
    if (last)
        fputc('\n', out);
}

void
sheet_end(struct sheet *s, FILE *out)
{
    uint32_t widths[SHEET_COLUMNS_MAX] = { 0 };

    ASSERT(s->columns > 0);
    measure(s, widths);
    for (uint32_t i = 0; i < s->columns && !s->is_short; i++) {
        struct slice head = slice_str(head_of(s, i));

        print_cell(s, out, i, widths[i] - width_of(head_of(s, i)), head, PAINT_NONE);
    }
    for (uint32_t i = 0; i < s->count && !s->is_short; i++) {
        const struct sheet_cell *cell = &s->cells[i];

        print_cell(s, out, i % s->columns, widths[i % s->columns] - cell->width,
                   slice_of(s->text.data + cell->at, cell->size), cell->paint);
    }
    if (s->is_short)
        fputs("(out of memory for the table)\n", out);
    buf_release(&s->text);
    mem_free(s->cells);
}
