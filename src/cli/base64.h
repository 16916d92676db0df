/*
 * cli/base64.h — RFC 4648, standard alphabet, with padding.
 */
#ifndef CLI_BASE64_H
#define CLI_BASE64_H

#include "base/slice.h"
#include "base/status.h"

MUST_USE enum status base64_encode(struct slice bytes, struct buf *out);

/* ST_INVALID: not base64. */
MUST_USE enum status base64_decode(struct slice text, struct buf *out);

#endif
