/*
 * cli/sheet.h — a table for people: columns as wide as what is in them.
 *
 *      sheet_begin(&s, 2, (const char *const[]){ "NODE", ">TABLETS" });       > : to the right
 *      sheet_cell(&s, PAINT_NONE, "%s", name); sheet_cell(&s, PAINT_BAD, "%u", count);
 *      sheet_end(&s, stdout);
 *
 * Colours are for a terminal only; control characters are shown as question marks.
 */
#ifndef CLI_SHEET_H
#define CLI_SHEET_H

#include <stdio.h>

#include "base/slice.h"
#include "base/status.h"

enum { SHEET_COLUMNS_MAX = 16 };

enum paint { PAINT_NONE, PAINT_GOOD, PAINT_WARN, PAINT_BAD };

struct sheet_cell;

struct sheet {
    const char *const *heads; /* borrowed */
    uint32_t columns;
    struct buf text;          /* of all cells, one behind the other */
    struct sheet_cell *cells; /* owned; row by row */
    uint32_t count;
    uint32_t capacity;
    bool is_short; /* of memory: it is said instead of the table */
};

void sheet_begin(struct sheet *s, uint32_t columns, const char *const *heads);
void sheet_cell(struct sheet *s, enum paint paint, const char *fmt, ...) PRINTF_LIKE(3, 4);

/* Prints it, and releases it. */
void sheet_end(struct sheet *s, FILE *out);

/* What switches the colour on and off there: "" off a terminal. */
const char *paint_on(FILE *out, enum paint paint);
const char *paint_off(FILE *out, enum paint paint);

#endif
