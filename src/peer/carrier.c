#include "peer/carrier.h"

#include <openssl/err.h>

#include "base/lock.h"
#include "base/mem.h"

#include "peer/carrier_internal.h"

struct carrier {
    struct env *env;
    char *cert; /* paths; owned */
    char *key;
    char *ca;
    BIO_METHOD *bio;
    struct lock lock;
    SSL_CTX *context; /* a reference; under the lock */
};

/* ------------------------------------------------------------------ life */

static struct carrier *
create(struct env *env, const struct carrier_files *files)
{
    struct carrier *c = mem_new(struct carrier);

    if (c == NULL)
        return NULL;
    lock_init(&c->lock);
    c->env = env;
    c->cert = mem_strdup(files->cert);
    c->key = mem_strdup(files->key);
    c->ca = mem_strdup(files->ca);
    c->bio = tls__bio_create();
    if (c->cert != NULL && c->key != NULL && c->ca != NULL && c->bio != NULL)
        return c;
    carrier_destroy(c);
    return NULL;
}

enum status
carrier_create(struct carrier **out, struct env *env, const struct carrier_files *files,
               struct err *err)
{
    struct carrier *c = create(env, files);
    enum status st;

    if (c == NULL)
        return err_raise(err, ST_NO_MEMORY, "certificates: out of memory");
    st = carrier_reload(c, err);
    if (st != ST_OK) {
        carrier_destroy(c);
        return st;
    }
    *out = c;
    return ST_OK;
}

enum status
carrier_reload(struct carrier *c, struct err *err)
{
    struct carrier_files files = { c->cert, c->key, c->ca };
    SSL_CTX *fresh = NULL;
    SSL_CTX *old;
    enum status st = credentials__read(c->env, &files, &fresh, err);

    if (st != ST_OK)
        return st;
    lock_take(&c->lock);
    old = c->context;
    c->context = fresh;
    lock_drop(&c->lock);
    SSL_CTX_free(old);
    return ST_OK;
}

void
carrier_destroy(struct carrier *c)
{
    if (c == NULL)
        return;
    SSL_CTX_free(c->context);
    BIO_meth_free(c->bio);
    lock_release(&c->lock);
    mem_free(c->cert);
    mem_free(c->key);
    mem_free(c->ca);
    mem_free(c);
}

/* ------------------------------------------------------------------ connections */

const BIO_METHOD *
carrier__bio(const struct carrier *c)
{
    return c->bio;
}

/* OpenSSL would ask the system what time it is. */
SSL *
carrier__begin_session(struct carrier *c, struct loop *loop)
{
    SSL_CTX *context;
    SSL *ssl;

    lock_take(&c->lock);
    context = c->context;
    SSL_CTX_up_ref(context);
    lock_drop(&c->lock);
    ssl = SSL_new(context);
    SSL_CTX_free(context);
    if (ssl != NULL)
        X509_VERIFY_PARAM_set_time(SSL_get0_param(ssl), (time_t)(loop_wall_ms(loop) / 1000));
    return ssl;
}

struct stream *
carrier_wrap(struct carrier *c, struct loop *loop, struct stream *stream, bool calls,
             struct budget *budget)
{
    return c == NULL ? stream : tls__create(c, loop, stream, calls, budget);
}

const char *
carrier_why(const struct stream *s, const char *otherwise)
{
    const char *why = tls__why(s);

    return why != NULL ? why : otherwise;
}

enum status
carrier_expect_none(struct slice begin, struct err *err)
{
    if (begin.size < 2 || begin.data[1] != TLS_MAJOR ||
        (begin.data[0] != TLS_ALERT && begin.data[0] != TLS_HANDSHAKE))
        return ST_OK;
    return err_raise(err, ST_INVALID,
                     "it speaks TLS, and this node does not: it was started without peer-tls-cert");
}
