/* Keys, certification requests (PKCS #10, RFC 2986) and certificates (RFC 5280) that are made here. */
#ifndef NEAP_CRYPTO_ISSUE_H
#define NEAP_CRYPTO_ISSUE_H

#include "base/writer.h"
#include "crypto/provider.h"
#include "neap.h"

#define SPKI_MAX 640u /* bytes of the SubjectPublicKeyInfo of RSA-4096, and some */

/* A private key with the public one that belongs to it. */
struct private_key {
    struct signer *signer;
    struct key_info public; /* views into spki */
    uint8_t spki[SPKI_MAX];
};

/** Whether TLS can sign with a key; `key_error` is what neap_key_info said. 0, NEAP_ERR_UNSUPPORTED, NEAP_ERR_CERTIFICATE. */
int neap_key_check(const struct key_info *key, int key_error, struct failure *why);
/** What signs with a private key, PEM or DER. 0, or a negative code with *why; then *out is NULL. */
int neap_signer_load(struct crypto *crypto, struct span key, struct signer **out, struct failure *why);
/* The DER of a private key, for a library that has to be given it. */
struct kept_key {
    uint8_t *room;
    size_t room_size, size;
};
/** Copy a private key, PEM or DER, into memory of the pool's, which is wiped by neap_private_key_forget. 0, or a negative code with
 * *why. */
int neap_private_key_keep(struct crypto *crypto, struct span key, struct kept_key *out, struct failure *why);
void neap_private_key_forget(struct crypto *crypto, struct kept_key *key);
/** Read a private key, PEM or DER, of a kind that TLS can sign with. 0, or a negative code with *why. */
int neap_private_key_open(struct crypto *crypto, struct span key, struct private_key *out,
                          struct failure *why);
void neap_private_key_close(struct private_key *key);

/* A request: views into its DER. */
struct certificate_request {
    struct span info;    /* what is signed */
    struct span subject; /* a whole Name */
    struct key_info key;
    struct span names; /* content of the subjectAltName that is asked for; empty without one */
};

/** Parse a request's DER of LIMIT_CERTIFICATE_REQUEST bytes at most, and verify that the key in it signed it. 0, or
 * NEAP_ERR_CERTIFICATE, NEAP_ERR_UNSUPPORTED (a key that TLS cannot sign with). */
int neap_request_parse(struct crypto *crypto, struct span der, struct certificate_request *out,
                       struct failure *why);
/** A request's DER out of PEM or DER, in a room of the pool's of exactly its size, for neap_certificate_release. 0, or
 * NEAP_ERR_LIMIT, NEAP_ERR_CERTIFICATE, NEAP_ERR_NO_MEMORY. */
int neap_request_take(struct pool *pool, struct span text, struct span *der, struct failure *why);

/** The last common name and organization of the subject, "" where there is none. False for what is no text of 64 bytes. */
bool neap_request_subject(const struct certificate_request *request, char common_name[NEAP_SUBJECT_ROOM],
                          char organization[NEAP_SUBJECT_ROOM]);
/** A request as PEM text, NUL-terminated. Its size without the NUL, or a negative code. */
int64_t neap_request_make(struct crypto *crypto, const neap_certificate_plan *plan, char *out, size_t room,
                          struct failure *why);
struct issue_times { /* seconds since 1970 */
    int64_t now, not_before, not_after;
};
/** A certificate as PEM text, NUL-terminated; the plan's days are not looked at. Its size without the NUL, or a negative
 * code. */
int64_t neap_certificate_issue(struct crypto *crypto, const neap_certificate_plan *plan,
                               const struct issue_times *times, char *out, size_t room, struct failure *why);
/** A development certificate: see neap_make_certificate in neap.h. PEM, NUL-terminated. */
int neap_certificate_make(struct crypto *crypto, const char *const *names, size_t count, int64_t not_before,
                          int64_t not_after, char *certificate, size_t certificate_size, char *key,
                          size_t key_size, struct failure *why);

/* ---- parts of what is made (certificate_write.c) */

#define ATTRIBUTE_COMMON_NAME 3u /* 2.5.4.x */
#define ATTRIBUTE_ORGANIZATION 10u
/** Whether a text may be in a subject: 1 to 64 bytes of UTF-8 without control characters. */
bool neap_subject_is_text(const char *text);
/** A Name of a common name and an organization, of which one may be NULL. NEAP_ERR_ARGUMENT for what may not be
 * in it. */
int neap_write_subject(struct writer *w, const char *common_name, const char *organization,
                       struct failure *why);
/** Whether it has 1 to 253 printable characters. */
bool neap_name_is_sane(struct span name);
/** A subjectAltName of 1 to 32 DNS names of hosts and IP addresses. NEAP_ERR_ARGUMENT for others. */
int neap_write_names(struct writer *w, const char *const *names, size_t count, struct failure *why);
/** A Time: UTCTime until 2049, GeneralizedTime then (RFC 5280 §4.1.2.5). False for what is not of 1970 to 9999. */
bool neap_write_time(struct writer *w, int64_t seconds);
/** One extension of 2.5.29: `value` is the DER that its octets hold. */
void neap_write_extension(struct writer *w, uint8_t id, bool is_critical, struct span value);
/** Behind what is signed, which begins at `start` in the room of `w`, the algorithm and the signature. The signature is
 * verified, so that a key whose halves do not fit is NEAP_ERR_CERTIFICATE. */
int neap_write_signature(struct crypto *crypto, struct writer *w, size_t start, const struct private_key *key,
                         struct failure *why);
/** The AlgorithmIdentifier of the signatures that a key makes here. */
struct span neap_signature_identifier(enum key_kind kind, struct signature_algorithm *algorithm);

/* ---- from Mbed TLS (private_key.c of mbedtls/ or psa/) */

/** A fresh ECDSA P-256 key as PEM text. The room is wiped on failure. */
int neap_private_key_make(struct crypto *crypto, char *out, size_t room, struct failure *why);
/** The SubjectPublicKeyInfo of the DER of an ECDSA or RSA private key. */
int neap_private_key_public(struct crypto *crypto, struct span der, uint8_t out[SPKI_MAX], size_t *size,
                            struct failure *why);
/** DER as PEM text, NUL-terminated. Its size without the NUL, or NEAP_ERR_BUFFER_TOO_SHORT. */
int64_t neap_pem_write(const char *begin, const char *end, struct span der, char *out, size_t room);

#endif
