/*
 * wire/line.h — the line protocol: one request per line, one reply per line.
 *
 *      PUT <key> <value>    OK                  the value is the rest of the line
 *      GET <key>            VALUE <value>, NOT_FOUND, DELETED
 *      DEL <key>            OK
 *      STATS                one line of JSON
 *
 * A key holds no space.  Verbs in any case.  Every other line, and a wrong count of arguments,
 * is an unknown command.  Pure: see resp.h.
 */
#ifndef WIRE_LINE_H
#define WIRE_LINE_H

#include <stdbool.h>

#include "base/slice.h"
#include "base/status.h"

enum line_event { LINE_MORE, LINE_TAKEN, LINE_TOO_LONG };

struct line_parser {
    bool either_ending; /* a CR before the line feed belongs to the ending */
    size_t scanned;     /* bytes of the unfinished line that hold no line feed */
};

/* Take the next line from `input`, starting at `*at`, and move `*at` past it.  `*line` is
 * borrowed and has no ending.  LINE_TOO_LONG: beyond LIMIT_LINE_BYTES. */
enum line_event line_next(struct line_parser *p, struct slice input, size_t *at,
                          struct slice *line);

enum line_verb { LINE_UNKNOWN, LINE_PUT, LINE_GET, LINE_DEL, LINE_STATS, LINE_AUTH };

struct line_command {
    enum line_verb verb;
    struct slice key;   /* LINE_AUTH: the password */
    struct slice value; /* LINE_PUT */
};

/* Borrows from `line`. */
void line_parse(struct slice line, struct line_command *out);

/* Replies; the statuses are those of buf_append. */
MUST_USE enum status line_put_reply(struct buf *out, const char *word); /* OK, NOT_FOUND, DELETED */
MUST_USE enum status line_put_value(struct buf *out, struct slice value); /* holds no line feed */
MUST_USE enum status line_put_error(struct buf *out,
                                    struct slice text); /* line breaks become spaces */

/* ------------------------------------------------------------------ whose bytes are these? */

enum wire_kind { WIRE_UNDECIDED, WIRE_REDIS, WIRE_LINE };

/* The protocol of a connection, from its first bytes: '*', or a first line that ends in CRLF,
 * is Redis; one that ends in a bare LF, or has not ended where an inline command of Redis must
 * have, is the line protocol. */
enum wire_kind wire_detect(struct slice input);

#endif
