/* OCSP responses (RFC 6960) that a server shows with its certificate (RFC 8446 §4.4.2.1). */
#ifndef NEAP_CRYPTO_OCSP_H
#define NEAP_CRYPTO_OCSP_H

#include "base/reader.h"
#include "crypto/certificate.h"

/* A response: views into its DER. */
struct ocsp_response {
    struct span tbs;            /* what is signed */
    struct span name, key_hash; /* who signed: the whole Name, or SHA-1 of the key; the other is empty */
    struct span responses;      /* the content of the list of SingleResponses */
    struct signature_algorithm algorithm;
    struct span signature;
    struct span certificates; /* the content of the list; empty without */
};

enum ocsp_status { OCSP_GOOD, OCSP_REVOKED, OCSP_UNKNOWN };

/* What it says of one certificate. */
struct ocsp_single {
    struct span hash_algorithm; /* content of the object identifier */
    struct span name_hash, key_hash;
    struct span serial; /* content of the INTEGER */
    enum ocsp_status status;
    int64_t this_update, next_update; /* 0: it has no next one */
};

/** Parse one that is successful and basic. 0 or NEAP_ERR_CERTIFICATE. */
int neap_ocsp_parse(struct span der, struct ocsp_response *out);
/** The next of response->responses, from a reader of them. False at the end, or where they are malformed (r->bad). */
bool neap_ocsp_next(struct reader *r, struct ocsp_single *out);
/** Until when it is good, by the times of an answer; in seconds since 1970. */
int64_t neap_ocsp_end(const struct ocsp_single *single);

/** Whether a response says that `certificate`, which `issuer` issued, is good now: signed by the issuer, or by a responder
 * that the issuer authorised. 0 and *validity filled, or NEAP_CRYPTO_ERROR + alert: certificate_revoked 44,
 * bad_certificate_status_response 113. It costs two signatures at most. With TIME_UNKNOWN no times are checked: *validity,
 * which that of the responder's certificate bounds as well, says when the answer holds, by clocks that differ as with others. */
int neap_ocsp_check(struct crypto *crypto, struct span response, const struct certificate *certificate,
                    const struct certificate *issuer, int64_t wall_clock, struct validity *validity,
                    struct failure *why);

/* What came with a certificate. */
struct staple {
    struct span response; /* empty: none */
    enum staple_demand demand;
    struct validity validity; /* out: when it is good; always, where it was not checked */
};
/** The same, as far as it is demanded; `issuer` NULL: the certificate is a root itself. */
int neap_ocsp_check_staple(struct crypto *crypto, struct staple *staple,
                           const struct certificate *certificate, const struct certificate *issuer,
                           int64_t wall_clock, struct failure *why);

/** SHA-1, which OCSP's names of issuers and keys are made with and nothing else here. 0, or NEAP_ERR_UNSUPPORTED where the
 * library has none (sha1.c of mbedtls/ or psa/). */
int neap_sha1(struct span data, uint8_t out[20]);

#endif
