/*
 * unit/peer/pki.h — keys and certificates, made for a test.
 *
 *      pki_authority(&ca, "ca")  pki_node(&n, &ca, "n1")  pki_put(w, 1, &n, &ca)
 *
 * They are valid around the simulator's first days, unless they are told otherwise.
 */
#ifndef UNIT_PEER_PKI_H
#define UNIT_PEER_PKI_H

#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include "peer/carrier.h"
#include "simenv/simenv.h"

#define PKI_NOW_S UINT64_C(1767225600) /* 2026-01-01 */

struct pki {
    EVP_PKEY *key;
    X509 *cert;
};

struct pki_wish {
    const char *name;
    const struct pki *issuer; /* NULL: itself */
    bool is_authority;
    int64_t from_s; /* around PKI_NOW_S; both 0: a day before and thirty after it */
    int64_t until_s;
    const char *purpose; /* of extendedKeyUsage; NULL: any */
};

void pki_make(struct pki *out, const struct pki_wish *wish);
void pki_authority(struct pki *out, const char *name);
void pki_node(struct pki *out, const struct pki *ca, const char *name);
void pki_release(struct pki *p);

/* As a PEM file of the node's disk; `passphrase` NULL: none. */
void pki_put_cert(struct sim *w, uint32_t id, const char *path, const struct pki *p);
void pki_put_key(struct sim *w, uint32_t id, const char *path, const struct pki *p,
                 const char *passphrase);

/* "cert", "key" and "ca". */
extern const struct carrier_files pki_files;
void pki_put(struct sim *w, uint32_t id, const struct pki *node, const struct pki *ca);

#endif
