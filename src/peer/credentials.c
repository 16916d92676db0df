/*
 * What a node shows and whom it trusts, from three files.
 *
 * Whatever another node would refuse is refused here already, when somebody is there to read why: a certificate that is not
 * the CA's, or not valid now, or not for both calling and being called.
 */
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include "base/log.h"

#include "env/whole_file.h"
#include "peer/carrier_internal.h"

enum {
    CERTIFICATES_BYTES_MAX = 32 << 10, /* of what another node shows */
    CHAIN_MAX = 8,
    NAME_BYTES = 128,
    DATE_BYTES = 64,
};

static enum status
no_memory(struct err *err)
{
    return err_raise(err, ST_NO_MEMORY, "certificates: out of memory");
}

/* As the operator knows the file, by the setting that names it. */
static enum status
is_wrong(const char *setting, const char *path, const char *what, struct err *err)
{
    return err_raise(err, ST_INVALID, "%s: %s: %s", setting, path, what);
}

/* ------------------------------------------------------------------ files */

struct file_bytes {
    const char *setting;
    const char *path;
    struct buf buf;
    BIO *bio; /* reads `buf` */
};

static enum status
read_file(struct env *env, struct file_bytes *f, struct err *err)
{
    struct err cause;
    enum status st;

    f->buf = buf_empty(CARRIER_FILE_BYTES_MAX);
    st = whole_file_read(env, f->path, &f->buf, &cause);
    if (st != ST_OK)
        return err_raise(err, st, "%s: %s", f->setting, cause.text);
    f->bio = BIO_new_mem_buf(f->buf.size > 0 ? (const void *)f->buf.data : "", (int)f->buf.size);
    return f->bio != NULL ? ST_OK : no_memory(err);
}

/* One of them is a key. */
static void
forget_file(struct file_bytes *f)
{
    BIO_free(f->bio);
    if (f->buf.data != NULL)
        OPENSSL_cleanse(f->buf.data, f->buf.size);
    buf_release(&f->buf);
}

/* OpenSSL would ask at the terminal. */
static int
/* NOLINTNEXTLINE(readability-non-const-parameter): the type is pem_password_cb. */
no_passphrase(char *out, int size, int writes, void *ctx)
{
    (void)out;
    (void)size;
    (void)writes;
    (void)ctx;
    return -1;
}

/* NULL: there is no other; or what comes is none, and then was_last() is false. */
static X509 *
next_certificate(struct file_bytes *f)
{
    return PEM_read_bio_X509(f->bio, NULL, no_passphrase, NULL);
}

static bool
was_last(void)
{
    unsigned long code = ERR_peek_last_error();

    return ERR_GET_LIB(code) == ERR_LIB_PEM && ERR_GET_REASON(code) == PEM_R_NO_START_LINE;
}

/* ------------------------------------------------------------------ what is shown */

static enum status
take_certificate(SSL_CTX *context, struct file_bytes *f, struct err *err)
{
    X509 *own = next_certificate(f);
    X509 *between;
    bool taken = own != NULL && SSL_CTX_use_certificate(context, own) == 1;

    X509_free(own);
    while (taken && (between = next_certificate(f)) != NULL) {
        taken = SSL_CTX_add0_chain_cert(context, between) == 1;
        if (!taken)
            X509_free(between);
    }
    if (taken && was_last())
        return ST_OK;
    return is_wrong(f->setting, f->path, "not a certificate in PEM, or a damaged one", err);
}

static enum status
take_key(SSL_CTX *context, struct file_bytes *f, struct err *err)
{
    EVP_PKEY *key = PEM_read_bio_PrivateKey(f->bio, NULL, no_passphrase, NULL);
    bool fits = key != NULL && SSL_CTX_use_PrivateKey(context, key) == 1;

    if (key == NULL)
        return is_wrong(f->setting, f->path, "not a private key in PEM without a passphrase", err);
    EVP_PKEY_free(key);
    if (!fits || SSL_CTX_check_private_key(context) != 1)
        return is_wrong(f->setting, f->path, "the key is not that of peer-tls-cert", err);
    return ST_OK;
}

/* ------------------------------------------------------------------ who is trusted */

static enum status
take_authorities(SSL_CTX *context, struct file_bytes *f, struct err *err)
{
    X509_STORE *store = SSL_CTX_get_cert_store(context);
    uint32_t count = 0;
    X509 *authority;
    bool taken = true;

    while (taken && (authority = next_certificate(f)) != NULL) {
        taken = X509_STORE_add_cert(store, authority) == 1;
        X509_free(authority);
        count++;
    }
    if (taken && count > 0 && was_last())
        return ST_OK;
    return is_wrong(f->setting, f->path, "not certificates in PEM, or a damaged one", err);
}

/* NULL, or why a node with the same `ca` would refuse us. */
static const char *
objection(SSL_CTX *context, int purpose, uint64_t wall_ms)
{
    X509_STORE_CTX *trial = X509_STORE_CTX_new();
    STACK_OF(X509) *between = NULL;
    const char *why = "out of memory";

    SSL_CTX_get0_chain_certs(context, &between);
    if (trial != NULL &&
        X509_STORE_CTX_init(trial, SSL_CTX_get_cert_store(context),
                            SSL_CTX_get0_certificate(context), between) == 1 &&
        X509_STORE_CTX_set_purpose(trial, purpose) == 1) {
        X509_STORE_CTX_set_time(trial, 0, (time_t)(wall_ms / 1000));
        why = X509_verify_cert(trial) == 1
                  ? NULL
                  : X509_verify_cert_error_string(X509_STORE_CTX_get_error(trial));
    }
    X509_STORE_CTX_free(trial);
    return why;
}

static enum status
check_ourselves(SSL_CTX *context, struct env *env, const struct file_bytes *cert, struct err *err)
{
    uint64_t wall_ms = env_wall_ms(env);
    const char *why = objection(context, X509_PURPOSE_SSL_SERVER, wall_ms);

    if (why == NULL)
        why = objection(context, X509_PURPOSE_SSL_CLIENT, wall_ms);
    if (why == NULL)
        return ST_OK;
    return err_raise(err, ST_INVALID, "%s: %s: other nodes would refuse it (%s)", cert->setting,
                     cert->path, why);
}

/* ------------------------------------------------------------------ all of it */

static SSL_CTX *
make_context(void)
{
    SSL_CTX *context = SSL_CTX_new(TLS_method());

    if (context == NULL)
        return NULL;
    if (SSL_CTX_set_min_proto_version(context, TLS1_3_VERSION) != 1 ||
        SSL_CTX_set_max_proto_version(context, TLS1_3_VERSION) != 1 ||
        SSL_CTX_set_num_tickets(context, 0) != 1) {
        SSL_CTX_free(context);
        return NULL;
    }
    SSL_CTX_set_verify(context, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
    SSL_CTX_set_verify_depth(context, CHAIN_MAX);
    /* The CA may be a branch of another one, which may have signed anybody. */
    X509_STORE_set_flags(SSL_CTX_get_cert_store(context), X509_V_FLAG_PARTIAL_CHAIN);
    SSL_CTX_set_max_cert_list(context, CERTIFICATES_BYTES_MAX);
    SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_mode(context, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
                                  SSL_MODE_RELEASE_BUFFERS | SSL_MODE_NO_AUTO_CHAIN);
    SSL_CTX_set_read_ahead(context, 1); /* otherwise each record is two reads of the stream */
    return context;
}

static void
tell(SSL_CTX *context, const char *path)
{
    X509 *own = SSL_CTX_get0_certificate(context);
    char subject[NAME_BYTES] = "";
    char until[DATE_BYTES] = "";
    BIO *out = BIO_new(BIO_s_mem());
    int size = 0;

    X509_NAME_oneline(X509_get_subject_name(own), subject, sizeof(subject));
    if (out != NULL && ASN1_TIME_print(out, X509_get0_notAfter(own)) == 1)
        size = BIO_read(out, until, sizeof(until) - 1);
    until[size > 0 ? size : 0] = '\0';
    BIO_free(out);
    log_event(LOG_INFO, "peer.certificate", log_str("file", path), log_str("subject", subject),
              log_str("valid_until", until));
}

static enum status
take_all(SSL_CTX *context, struct env *env, struct file_bytes files[3], struct err *err)
{
    enum status st = ST_OK;

    for (size_t i = 0; i < 3 && st == ST_OK; i++)
        st = read_file(env, &files[i], err);
    if (st == ST_OK)
        st = take_certificate(context, &files[0], err);
    if (st == ST_OK)
        st = take_key(context, &files[1], err);
    if (st == ST_OK)
        st = take_authorities(context, &files[2], err);
    if (st == ST_OK)
        st = check_ourselves(context, env, &files[0], err);
    return st;
}

enum status
credentials__read(struct env *env, const struct carrier_files *paths, SSL_CTX **out,
                  struct err *err)
{
    struct file_bytes files[3] = {
        { .setting = "peer-tls-cert", .path = paths->cert },
        { .setting = "peer-tls-key", .path = paths->key },
        { .setting = "peer-tls-ca", .path = paths->ca },
    };
    SSL_CTX *context = make_context();
    enum status st;

    if (context == NULL)
        return no_memory(err);
    st = take_all(context, env, files, err);
    for (size_t i = 0; i < 3; i++)
        forget_file(&files[i]);
    ERR_clear_error(); /* the end of a file is an error to OpenSSL */
    if (st != ST_OK) {
        SSL_CTX_free(context);
        return st;
    }
    tell(context, paths->cert);
    *out = context;
    return ST_OK;
}
