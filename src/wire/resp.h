/*
 * wire/resp.h — the Redis serialization protocol, versions 2 and 3: requests
 * in, replies out; and, for our own client, replies in.
 *
 * Nothing here owns memory or does I/O.  What is parsed borrows from the input
 * that it was parsed from.
 *
 *      request   "*2\r\n$3\r\nGET\r\n$3\r\nkey\r\n"     an array of bulk strings, or
 *                "GET key\r\n"                         a line, with quotes where needed
 *
 * The texts of protocol errors are those of Redis 7, because clients show them.
 * Depends on: base.
 */
#ifndef WIRE_RESP_H
#define WIRE_RESP_H

#include <stdbool.h>
#include <stdint.h>

#include "base/slice.h"
#include "base/status.h"

enum {
    RESP_ERROR_BYTES = 80,

    /* A line that is a whole command.  Beyond: a protocol error, as in Redis. */
    RESP_INLINE_BYTES_MAX = 64 << 10,

    /* "$536870912\r\n" and the like; more bytes without an ending are no number. */
    RESP_NUMBER_LINE_BYTES_MAX = 32,

    /* The longest bulk string that is understood at all, as in Redis. */
    RESP_BULK_BYTES_MAX = 512 << 20,

    /* What a client may send before it has said who it is. */
    RESP_STRANGER_ARGS_MAX = 10,
    RESP_STRANGER_BULK_BYTES_MAX = 16 << 10,
};

/* ------------------------------------------------------------------ requests */

enum resp_event {
    RESP_MORE,   /* the input ends inside a token */
    RESP_ARG,    /* one more argument of a command */
    RESP_INLINE, /* a line that is a whole command: see resp_inline_next() */
    RESP_ITEM,   /* one item of a reply */
    RESP_END,    /* nothing more in this line */
    RESP_ERROR,  /* a protocol error; the connection cannot go on */
};

/* {0} with the two limits set is a parser at the beginning of a connection. */
struct resp_parser {
    uint32_t args_max;            /* LIMIT_COMMAND_ARGS, or RESP_STRANGER_ARGS_MAX */
    uint32_t bulk_max;            /* RESP_BULK_BYTES_MAX, or RESP_STRANGER_BULK_BYTES_MAX */
    uint32_t args_left;           /* of the current command; 0: it is complete, or none has begun */
    bool in_bulk;                 /* the length of the next argument has been read */
    size_t bulk_size;             /* and is this */
    size_t scanned;               /* bytes of an unfinished line that hold no line feed */
    size_t need;                  /* after RESP_MORE: how many bytes from `*at` on make the token
                               whole; 0 = unknown */
    char error[RESP_ERROR_BYTES]; /* after RESP_ERROR */
};

/* Take one token from `input`, starting at `*at`, and move `*at` past it.
 *
 * RESP_ARG: `*arg` is the next argument; the command is complete when
 *     p->args_left is 0.  Commands without arguments are skipped in silence.
 * RESP_INLINE: `*arg` is the line without its ending.
 * RESP_MORE: call again with the same bytes from `*at` on, and more behind them; the bytes
 *     may have moved.  When p->in_bulk, the input at `*at` is inside a bulk of
 *     p->bulk_size bytes.
 * RESP_ERROR: p->error is the text, without "-ERR ". */
enum resp_event resp_next(struct resp_parser *p, struct slice input, size_t *at, struct slice *arg);

/* The bulk at which the parser stands was disposed of by the caller, with its ending:
 * it counts as an argument. */
void resp_skip_bulk(struct resp_parser *p);

/* The words of an inline command: separated by white space; "double quotes" with \n \r \t \b \a
 * \xff \" \\, or 'single quotes' with \' only.  Unquoting is done in place. */
struct resp_inline {
    uint8_t *at;
    uint8_t *limit;
};

/* RESP_ARG, RESP_END, or RESP_ERROR (unbalanced quotes). */
enum resp_event resp_inline_next(struct resp_inline *it, struct slice *arg);

extern const char resp_unbalanced_quotes[];

/* ------------------------------------------------------------------ replies out */

/* Writes into `out`, in the protocol version of the connection.  The first failure of the
 * buffer sticks in `st`, and nothing is written from then on: check once, at the end. */
struct resp_writer {
    struct buf *out;
    uint32_t version; /* 2 or 3 */
    enum status st;
};

static inline struct resp_writer
resp_writer_to(struct buf *out, uint32_t version)
{
    return (struct resp_writer){ out, version, ST_OK };
}

void resp_put_simple(struct resp_writer *w, const char *text);
void resp_put_bulk(struct resp_writer *w, struct slice bytes);
void resp_put_i64(struct resp_writer *w, int64_t value);
void resp_put_nil(struct resp_writer *w);       /* "$-1", or "_" */
void resp_put_nil_array(struct resp_writer *w); /* "*-1", or "_" */

/* `text` begins with its code: "ERR no such key".  Line breaks become spaces. */
void resp_put_error(struct resp_writer *w, struct slice text);
void resp_put_error_text(struct resp_writer *w, const char *text);

/* The items follow, each written by its own call; a map has two per entry, and is a flat
 * array in version 2.  A set is an array there. */
void resp_put_array(struct resp_writer *w, uint64_t count);
void resp_put_map(struct resp_writer *w, uint64_t count);
void resp_put_set(struct resp_writer *w, uint64_t count);

void resp_put_bool(struct resp_writer *w, bool value);     /* ":1", or "#t" */
void resp_put_double(struct resp_writer *w, double value); /* a bulk string, or "," */

/* A text for people; a bulk string in version 2. */
void resp_put_text(struct resp_writer *w, struct slice text);

/* Bytes that are already in the protocol. */
void resp_put_raw(struct resp_writer *w, struct slice bytes);

/* ------------------------------------------------------------------ replies in */

enum resp_type {
    RESP_SIMPLE,
    RESP_FAILURE, /* an error reply; "-" or "!" */
    RESP_INTEGER,
    RESP_BULK, /* also verbatim text, without its format */
    RESP_NIL,
    RESP_ARRAY,
    RESP_MAP, /* `count` counts keys and values */
    RESP_SET,
    RESP_PUSH,
    RESP_BOOL,      /* integer: 0 or 1 */
    RESP_DOUBLE,    /* text */
    RESP_BIG,       /* a big number; text */
    RESP_ATTRIBUTE, /* as RESP_MAP; precedes the item it describes, and does not count */
    RESP_TYPE_COUNT
};

struct resp_item {
    enum resp_type type;
    uint32_t depth;    /* 0 for the outermost */
    struct slice text; /* borrowed from the input */
    int64_t integer;
    uint64_t count; /* of the items that follow, one level deeper */
};

enum { RESP_DEPTH_MAX = 32 };

/* {0} is a parser before a reply. */
struct resp_reply_parser {
    uint64_t left[RESP_DEPTH_MAX]; /* items to come on each level that is open */
    uint32_t depth;
    size_t scanned;
    size_t need; /* as in struct resp_parser */
    char error[RESP_ERROR_BYTES];
};

/* RESP_ITEM: one item, outer ones first.  The reply is complete when p->depth is 0
 * afterwards, and the item was no attribute.  RESP_MORE, RESP_ERROR as above. */
enum resp_event resp_reply_next(struct resp_reply_parser *p, struct slice input, size_t *at,
                                struct resp_item *item);

#endif
