#include "unit/peer/pki.h"

#include "unit/test.h"

enum { DAY_S = 86400 };

const struct carrier_files pki_files = { .cert = "cert", .key = "key", .ca = "ca" };

static void
add_extension(X509 *cert, int nid, const char *value)
{
    X509_EXTENSION *e = X509V3_EXT_conf_nid(NULL, NULL, nid, value);

    EXPECT(e != NULL && X509_add_ext(cert, e, -1) == 1);
    X509_EXTENSION_free(e);
}

static void
set_validity(X509 *cert, const struct pki_wish *wish)
{
    bool usual = wish->from_s == 0 && wish->until_s == 0;
    int64_t from_s = usual ? -DAY_S : wish->from_s;
    int64_t until_s = usual ? 30 * DAY_S : wish->until_s;

    EXPECT(ASN1_TIME_set(X509_getm_notBefore(cert), (time_t)PKI_NOW_S + from_s) != NULL);
    EXPECT(ASN1_TIME_set(X509_getm_notAfter(cert), (time_t)PKI_NOW_S + until_s) != NULL);
}

void
pki_make(struct pki *out, const struct pki_wish *wish)
{
    static long serial = 1;
    const struct pki *issuer = wish->issuer != NULL ? wish->issuer : out;
    X509_NAME *name;

    out->key = EVP_EC_gen("P-256");
    out->cert = X509_new();
    EXPECT(out->key != NULL && out->cert != NULL);
    EXPECT(X509_set_version(out->cert, 2) == 1);
    EXPECT(ASN1_INTEGER_set(X509_get_serialNumber(out->cert), serial++) == 1);
    set_validity(out->cert, wish);
    name = X509_get_subject_name(out->cert);
    EXPECT(X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, (const uint8_t *)wish->name, -1, -1,
                                      0) == 1);
    EXPECT(X509_set_issuer_name(out->cert, X509_get_subject_name(issuer->cert)) == 1);
    EXPECT(X509_set_pubkey(out->cert, out->key) == 1);
    if (wish->is_authority)
        add_extension(out->cert, NID_basic_constraints, "critical,CA:TRUE");
    if (wish->purpose != NULL)
        add_extension(out->cert, NID_ext_key_usage, wish->purpose);
    EXPECT(X509_sign(out->cert, issuer->key, EVP_sha256()) > 0);
}

void
pki_authority(struct pki *out, const char *name)
{
    struct pki_wish wish = { .name = name, .is_authority = true };

    pki_make(out, &wish);
}

void
pki_node(struct pki *out, const struct pki *ca, const char *name)
{
    struct pki_wish wish = { .name = name, .issuer = ca };

    pki_make(out, &wish);
}

void
pki_release(struct pki *p)
{
    EVP_PKEY_free(p->key);
    X509_free(p->cert);
    *p = (struct pki){ 0 };
}

/* ------------------------------------------------------------------ files */

static void
put(struct sim *w, uint32_t id, const char *path, BIO *bio)
{
    char *data = NULL;
    long size = BIO_get_mem_data(bio, &data);

    EXPECT(size > 0);
    EXPECT(sim_disk_write(w, id, path, slice_of(data, (size_t)size)));
    BIO_free(bio);
}

void
pki_put_cert(struct sim *w, uint32_t id, const char *path, const struct pki *p)
{
    BIO *bio = BIO_new(BIO_s_mem());

    EXPECT(bio != NULL && PEM_write_bio_X509(bio, p->cert) == 1);
    put(w, id, path, bio);
}

void
pki_put_key(struct sim *w, uint32_t id, const char *path, const struct pki *p,
            const char *passphrase)
{
    BIO *bio = BIO_new(BIO_s_mem());
    const EVP_CIPHER *cipher = passphrase == NULL ? NULL : EVP_aes_128_cbc();
    int size = passphrase == NULL ? 0 : (int)strlen(passphrase);

    EXPECT(bio != NULL && PEM_write_bio_PrivateKey(bio, p->key, cipher, (const uint8_t *)passphrase,
                                                   size, NULL, NULL) == 1);
    put(w, id, path, bio);
}

void
pki_put(struct sim *w, uint32_t id, const struct pki *node, const struct pki *ca)
{
    pki_put_cert(w, id, pki_files.cert, node);
    pki_put_key(w, id, pki_files.key, node, NULL);
    pki_put_cert(w, id, pki_files.ca, ca);
}
