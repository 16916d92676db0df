/*
 * history/codec.h — a history as JSON lines: one object a line, one operation an object.
 *
 *      {"client":1,"op":"put","key":"k","value":"v","call_ns":10,"return_ns":20,"result":"ok"}
 *
 *      client               an integer from 0
 *      op                   "get", "put", "delete", "cas", "incr"
 *      key                  text
 *      call_ns, return_ns   integers from 0; return_ns may be null or absent if the result is
 *                           unknown
 *      result               "ok", "fail" (certainly not applied), "unknown" (at any time after the
 *                           call, or never)
 *      value                put and cas: text, what is written; incr: the number that is added, as
 *                           decimal text; a get that is ok: what it saw, text or null (no such key)
 *      expect               cas: text or null
 *      mismatch             a cas that failed, optional: true if what was there certainly differed
 *      sum                  an incr that is ok: the number after it, as decimal text
 *
 * These fields and no others, in any order, each once.  Text is UTF-8.  Blank lines count, and say
 * nothing.
 */
#ifndef HISTORY_CODEC_H
#define HISTORY_CODEC_H

#include "history/history.h"

enum {
    /* One line.  More than a key, two values and their names with every byte escaped needs is no
     * history of ours; beyond: ST_INVALID. */
    HISTORY_LINE_BYTES_MAX = 256 << 20,
};

/* Append the line of one operation, in the order of the example: client, op, key, expect, value,
 * sum, call_ns, return_ns, result, mismatch.  ST_INVALID: what history_add() refuses, or a text
 * that is not UTF-8 (JSON has no other); ST_TOO_BIG, ST_NO_MEMORY: as buf_append().  On failure
 * `out` is as it was. */
MUST_USE enum status history_write(struct buf *out, const struct history_op *op, struct err *err);

struct history_reader;

/* What is read is added to `into`, which must outlive the reader.  `name` is the file's, for
 * messages, and is copied.  ST_NO_MEMORY. */
MUST_USE enum status history_reader_create(struct history_reader **out, struct history *into,
                                           const char *name);
void history_reader_destroy(struct history_reader *r); /* NULL is allowed */

/* The next bytes of the file, in pieces of any size; no more is kept than an unfinished line.
 * ST_INVALID: the text says file:line and what is wrong there; the lines before are in the
 * history, and the reader takes no more.  ST_TOO_BIG, ST_NO_MEMORY: likewise. */
MUST_USE enum status history_reader_feed(struct history_reader *r, struct slice bytes,
                                         struct err *err);

/* The end of the file: its last line may lack the line feed.  ST_INVALID also: a client's
 * operations overlap (history_check_clients). */
MUST_USE enum status history_reader_finish(struct history_reader *r, struct err *err);

#endif
