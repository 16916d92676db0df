/* cli/chart_words.h — what stands in a cluster's answers, in the words of an operator. */
#ifndef CLI_CHART_WORDS_H
#define CLI_CHART_WORDS_H

#include <jansson.h>

#include "cli/sheet.h"

enum { CHART_TEXT_MAX = 1024, SHOW_TIME_MAX = 32 };

/* "3 min 20 s" */
const char *show_time(double seconds, char out[SHOW_TIME_MAX]);

/* "" or "s" */
const char *chart_plural(uint64_t count);

/* Behind what is there already; what does not fit is left out. */
void chart_add(char *text, size_t room, const char *fmt, ...) PRINTF_LIKE(3, 4);

/* Does the object say this under that name? */
bool chart_says(const json_t *object, const char *name, const char *text);

/* "a, b, c"; "-": the list is empty. */
const char *chart_join(const json_t *list, char out[CHART_TEXT_MAX]);

/* A node's state and its health, as one, and how alarming that is. */
const char *chart_condition(const json_t *node, enum paint *paint);

#endif
