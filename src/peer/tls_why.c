#include <openssl/err.h>
#include <stdio.h>

#include "peer/carrier_internal.h"

/* What the other end has said of its reasons has the numbers of alerts from here on. */
enum { ALERTS_FROM = SSL_AD_REASON_OFFSET };

static bool
is_about_us(int alert)
{
    switch (alert) {
    case SSL_AD_BAD_CERTIFICATE:
    case SSL_AD_UNSUPPORTED_CERTIFICATE:
    case SSL_AD_CERTIFICATE_REVOKED:
    case SSL_AD_CERTIFICATE_EXPIRED:
    case SSL_AD_CERTIFICATE_UNKNOWN:
    case SSL_AD_UNKNOWN_CA:
    case SSL_AD_CERTIFICATE_REQUIRED:
        return true;
    default:
        return false;
    }
}

void
tls__explain(const SSL *ssl, char out[TLS_WHY_BYTES])
{
    unsigned long code = ERR_peek_error();
    int reason = ERR_GET_LIB(code) == ERR_LIB_SSL ? ERR_GET_REASON(code) : 0;
    const char *text = ERR_reason_error_string(code);
    long verdict = SSL_get_verify_result(ssl);

    if (verdict != X509_V_OK) {
        snprintf(out, TLS_WHY_BYTES, "its certificate is refused: %s",
                 X509_verify_cert_error_string(verdict));
    } else if (reason == SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE) {
        snprintf(out, TLS_WHY_BYTES, "it shows no certificate");
    } else if (reason > ALERTS_FROM && is_about_us(reason - ALERTS_FROM)) {
        snprintf(out, TLS_WHY_BYTES, "it refuses our certificate: %s",
                 SSL_alert_desc_string_long(reason - ALERTS_FROM));
    } else {
        snprintf(out, TLS_WHY_BYTES, "TLS: %s", text == NULL ? "it went wrong" : text);
    }
}
