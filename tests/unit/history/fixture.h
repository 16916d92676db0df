/*
 * Histories of one key, written down in a line or two.
 *
 *      "put:a 0-10, get:a 20-30, cas:a>b 40-50, del 60-?"
 *
 * An operation, then call and return; `-` alone is no value; `?` is an unknown outcome (with a
 * return before it: "put:a 0-10?"); `!` is a failure; `!!` the failure of a cas that saw a
 * mismatch.  incr:5=7 adds 5 and makes 7.  Each operation has a client of its own.
 */
#ifndef HISTORY_FIXTURE_H
#define HISTORY_FIXTURE_H

#include "history/check.h"
#include "unit/test.h"

/* The test fails if the text is no history. */
struct history *history_of(const char *text);

struct history_report judge(const struct history *h);

/* The verdict's name, for EXPECT_STR. */
const char *verdict_of(const char *text);

/* What the anomaly is called, and the explanation, which dies at the next call. */
const char *anomaly_of(const char *text);
const char *explanation_of(const struct history *h, const struct history_report *report);

/* No verdict of the search contradicts the other parts: the order that it found is one, what is
 * before the culprit has one, and an anomaly only stands where there is none.  `h` has one key
 * and few operations.  True: it is linearizable. */
bool agrees_with_itself(const struct history *h);

#endif
