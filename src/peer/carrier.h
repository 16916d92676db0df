/*
 * peer/carrier.h — what carries the bytes between nodes: a stream as it is, or TLS over it.
 *
 *      carrier_wrap(c, loop, stream, ...)      c == NULL: the stream itself
 *
 *      whoever reads and writes ──> struct stream ──> OpenSSL ──> struct stream ──> the other node
 *                                    (ours)           no sockets    (env's)
 *
 * What comes out is a stream like any other, with env/env.h's contract and one rule more: who was told
 * ST_WOULD_BLOCK by stream_write() offers the same bytes first the next time.  The handshake goes on by itself
 * while somebody watches the stream, reads it or writes to it; how long that may take is its owner's matter.
 *
 * WHO IS TRUSTED.  TLS 1.3 only, and each side shows a certificate.  Whoever has one that a certificate of the
 * `ca` file has signed, and that is valid by env_wall_ms(), is a node; names and addresses in it are not
 * compared.  So that CA signs nodes of this cluster and nothing else.  No session is resumed: every connection is
 * judged by what is in the files now.
 *
 * A carrier belongs to the node, and may be used on any thread.  Depends on: base, env; OpenSSL.
 */
#ifndef PEER_CARRIER_H
#define PEER_CARRIER_H

#include "base/budget.h"

#include "env/env.h"

struct carrier;

enum {
    CARRIER_FILE_BYTES_MAX = 1 << 20,

    /* What a stream of TLS is charged, which is mostly OpenSSL's: 73 KB were measured of one who has sent half of a
     * first message, and 18 KB after the handshake, with 17 KB more while a record is read. */
    CARRIER_HANDSHAKE_BYTES = 80 << 10,
    CARRIER_STREAM_BYTES = 40 << 10,
};

/* PEM; borrowed. */
struct carrier_files {
    const char *cert; /* ours, and behind it those between it and the CA's */
    const char *key;  /* without a passphrase */
    const char *ca;   /* one, or several while the CA changes */
};

/* Start-up or job code.  ST_INVALID: a file is not what it should be, the key is another certificate's, or what
 * we show would be refused by a node with the same `ca`.  ST_NOT_FOUND, ST_IO, ST_TOO_BIG, ST_NO_MEMORY. */
MUST_USE enum status carrier_create(struct carrier **out, struct env *env,
                                    const struct carrier_files *files, struct err *err);

/* Read the files again, for connections that begin later; those that stand go on.  Job code.  On failure all
 * is as it was; statuses as carrier_create(). */
MUST_USE enum status carrier_reload(struct carrier *c, struct err *err);

/* Its streams are closed.  NULL is allowed. */
void carrier_destroy(struct carrier *c);

/* Takes the stream, on its loop, before anybody watches it; what is returned is closed instead.  `calls`: it was we who
 * called.  `budget` is charged until then; NULL: nothing is.  NULL: out of memory, and the stream stays the caller's. */
struct stream *carrier_wrap(struct carrier *c, struct loop *loop, struct stream *stream, bool calls,
                            struct budget *budget);

/* Why it ended, when a carrier knows more than the status says: for people; otherwise `otherwise`.  Lives as
 * long as the stream. */
const char *carrier_why(const struct stream *s, const char *otherwise);

/* Is it TLS that somebody speaks here, where nobody expects it?  ST_INVALID says so. */
MUST_USE enum status carrier_expect_none(struct slice begin, struct err *err);

#endif
