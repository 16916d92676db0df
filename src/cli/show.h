/*
 * cli/show.h — figures for people, and progress on a terminal.
 */
#ifndef CLI_SHOW_H
#define CLI_SHOW_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

enum { SHOW_MAX = 32 };

/* "1.4 GB" */
const char *show_bytes(uint64_t bytes, char out[SHOW_MAX]);

/* "1,234,567" */
const char *show_count(uint64_t count, char out[SHOW_MAX]);

/* "[####......]  40 %  " */
void show_bar(FILE *out, uint64_t done, uint64_t total);

/* A bar that is redrawn in place on a terminal; on a pipe, a plain line now and then. */
struct progress {
    FILE *out;
    bool terminal;
    const char *what; /* "imported" */
    uint64_t total;   /* in the unit of `done`; 0 = unknown */
    double begun;     /* seconds */
    double shown;
};

void progress_begin(struct progress *p, FILE *out, const char *what, uint64_t total);
void progress_update(struct progress *p, uint64_t done, uint64_t records);
void progress_hide(const struct progress *p); /* other lines may be written to the terminal now */
void progress_end(struct progress *p, uint64_t records);

/* Seconds that only grow. */
double show_clock(void);

#endif
