/*
 * sim/workload.h — what clients ask for: a table of small descriptions, and values that can be
 * told apart.
 *
 * Every value that is written is written once: it begins with its name ("3.17": the 17th of client
 * 3), and the rest follows from the name.  So a value that is read says which write it came from, a
 * damaged one is seen, and a history need only hold the names.
 */
#ifndef SIM_WORKLOAD_H
#define SIM_WORKLOAD_H

#include "base/slice.h"

enum { WORKLOAD_VALUE_MAX = 64 << 10, VALUE_NAME_MAX = 80, WORKLOAD_KEY_MAX = 24 };

struct workload {
    const char *name;
    const char *text;
    uint32_t keys; /* registers */
    uint32_t counters;
    uint32_t gets; /* weights */
    uint32_t puts;
    uint32_t deletes;
    uint32_t cases; /* compare and set: of the value that the client saw before */
    uint32_t incrs;
    uint32_t fades;     /* puts in a hundred whose value expires */
    uint32_t value_min; /* bytes */
    uint32_t value_max;
    uint32_t rates[4]; /* operations per second of all clients, one of them for every phase */
};

uint32_t workload_count(void);
const struct workload *workload_at(uint32_t index);
const struct workload *workload_find(const char *name); /* NULL: there is none */

/* Write the value that is called "<client>.<number>", of `size` bytes but at least as long as its
 * name, into `out`. */
size_t value_make(uint8_t *out, size_t size, uint32_t client, uint64_t number);

/* The name of what was read; of a value that nobody can have written, a description. */
void value_name(struct slice value, char out[VALUE_NAME_MAX]);

#endif
