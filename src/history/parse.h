/*
 * history/parse.h — one line of a history.
 */
#ifndef HISTORY_PARSE_H
#define HISTORY_PARSE_H

#include <jansson.h>

#include "history/history.h"

/* `*object` is the caller's to json_decref(), whatever is returned; the slices of `*op` borrow
 * from it.  ST_INVALID: not a line of history/codec.h; the text says why. */
MUST_USE enum status history__parse_line(struct slice line, struct history_op *op, json_t **object,
                                         struct err *err);

#endif
