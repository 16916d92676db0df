/*
 * peer/carrier_internal.h — what the files of the carrier share.
 *
 *      credentials.c  files, to what OpenSSL shows and trusts      carrier.c  which of them counts now
 *      tls.c          a stream of TLS                              tls_why.c  what went wrong, in words
 *      record.c       parts of a write, to records
 */
#ifndef PEER_CARRIER_INTERNAL_H
#define PEER_CARRIER_INTERNAL_H

#include <openssl/bio.h>
#include <openssl/ssl.h>

#include "peer/carrier.h"

/* The first byte of every record of TLS that can begin a connection, and the second. */
enum { TLS_ALERT = 0x15, TLS_HANDSHAKE = 0x16, TLS_MAJOR = 3, TLS_FATAL = 2 };

enum { TLS_WHY_BYTES = 160 };

/* A context of what the files say, owned by the caller.  Statuses as carrier_create(). */
MUST_USE enum status credentials__read(struct env *env, const struct carrier_files *files,
                                       SSL_CTX **out, struct err *err);

/* One end of a connection, by what counts now, judged by the clock of `loop`; NULL: out of memory. */
SSL *carrier__begin_session(struct carrier *c, struct loop *loop);
const BIO_METHOD *carrier__bio(const struct carrier *c);

/* How OpenSSL reads from and writes to a stream; NULL: out of memory. */
BIO_METHOD *tls__bio_create(void);

/* Takes the stream on success only.  NULL: out of memory. */
struct stream *tls__create(struct carrier *c, struct loop *loop, struct stream *plain, bool calls,
                           struct budget *budget);
const char *tls__why(const struct stream *s); /* NULL: it is none of ours, or nothing is known */

/* Where a write is in its parts. */
struct record_place {
    const struct slice *parts;
    size_t count;
    size_t at; /* in the first */
};

enum { RECORD_BYTES = 16384 }; /* the most that a record carries */

/* Past so many bytes, and past what is empty there. */
void record__go_on(struct record_place *p, size_t size);

/* The next record's bytes: where they are, or small parts together in `room`.  Some are left. */
struct slice record__next(const struct record_place *p, uint8_t room[RECORD_BYTES]);

/* Of the failure that OpenSSL has recorded on this thread. */
void tls__explain(const SSL *ssl, char out[TLS_WHY_BYTES]);

#endif
