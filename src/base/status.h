/*
 * base/status.h — what can happen, and the story of what did.
 *
 * A function that can fail returns `enum status`, last of all things that it
 * says.  A function that can fail for a reason that an operator must read
 * also takes, as its last parameter, a `struct err *` that it fills in where
 * the failure is first seen.  The two never disagree.
 *
 *      status   is for the program: few, closed, switched on.
 *      err      is for the person: where, what, which file, which errno.
 *
 * Neither is for bugs.  A bug is an ASSERT (base/assert.h).
 */
#ifndef BASE_STATUS_H
#define BASE_STATUS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MUST_USE          __attribute__((warn_unused_result))
#define PRINTF_LIKE(f, a) __attribute__((format(printf, f, a)))

enum status {
    ST_OK = 0,
    ST_NOT_FOUND,   /* what was asked for does not exist */
    ST_EXISTS,      /* what was to be created is there already, or is held by another */
    ST_INVALID,     /* the request is malformed; asking again will not help */
    ST_TOO_BIG,     /* beyond a bound in base/limits.h */
    ST_CONFLICT,    /* a precondition of the request does not hold */
    ST_CORRUPT,     /* bytes that we once wrote do not check out */
    ST_IO,          /* the operating system said no; err->sys holds errno */
    ST_NO_SPACE,    /* the disk, or a quota of our own, is full */
    ST_NO_MEMORY,   /* an allocation failed */
    ST_WOULD_BLOCK, /* the answer needs the disk, or the socket is not ready; nothing changed */
    ST_BUSY,        /* back-pressure: the same request may succeed later */
    ST_TIMEOUT,     /* the deadline passed, and nothing was applied */
    ST_UNKNOWN,     /* the outcome is unknown: it may or may not have been applied */
    ST_NOT_LEADER,  /* ask the node named in the reply */
    ST_SCATTERED,   /* its keys lie in several tablets, and it is to be done as one */
    ST_MOVED,       /* its keys are another tablet's by now */
    ST_CLOSED,      /* the other side is gone, or we are shutting down */
    ST_STATUS_COUNT
};

enum { ERR_TEXT_MAX = 240 };

/* One failure, as first seen.  Plain data: copy it, log it, send it. */
struct err {
    enum status code;
    int sys;          /* errno at the origin, or 0 */
    const char *file; /* origin; a literal, never freed */
    uint32_t line;
    char text[ERR_TEXT_MAX];
};

/* Record a failure and return its code, so that `return err_raise(...)` reads
 * as one thought.  `err` may be NULL.  When `sys` is not 0, its description is
 * appended to the text.  err->text may be among the arguments: that is how
 * context is added on the way up.  Put your breakpoint here. */
MUST_USE enum status err_raise_at(struct err *err, const char *file, uint32_t line,
                                  enum status code, int sys, const char *fmt, ...)
    PRINTF_LIKE(6, 7);

#define err_raise(err, code, ...) err_raise_at((err), __FILE__, __LINE__, (code), 0, __VA_ARGS__)
#define err_raise_sys(err, code, sys, ...) \
 err_raise_at((err), __FILE__, __LINE__, (code), (sys), __VA_ARGS__)

/* A lower-case word for logs: "not-found".  Never NULL. */
const char *status_name(enum status st);

#endif
