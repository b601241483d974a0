/* X.509 certificates (RFC 5280) as views into their DER, and what their names and keys say. */
#ifndef NEAP_CRYPTO_CERTIFICATE_H
#define NEAP_CRYPTO_CERTIFICATE_H

#include "crypto/backend.h"

enum key_usage { /* RFC 5280 §4.2.1.3, by bit number */
                 USAGE_DIGITAL_SIGNATURE = 1u << 0,
                 USAGE_CERTIFICATE_SIGN = 1u << 5,
                 USAGE_CRL_SIGN = 1u << 6,
};
enum extended_usage {
    EXTENDED_SERVER = 1u << 0,
    EXTENDED_CLIENT = 1u << 1,
    EXTENDED_ANY = 1u << 2,
    EXTENDED_OCSP = 1u << 3,
};

enum key_kind { KEY_RSA, KEY_P256, KEY_P384, KEY_P521, KEY_ED25519 };
struct key_info {
    struct span spki; /* whole SubjectPublicKeyInfo */
    enum key_kind kind;
    size_t bits; /* of an RSA modulus, */
    struct span modulus;
    uint32_t exponent; /* of an RSA key, 0 when it has more than 32 bits */
    struct span key;   /* content of the subjectPublicKey */
};

struct certificate {
    struct span der;    /* all of it */
    struct span tbs;    /* what is signed */
    struct span issuer; /* whole Name elements, compared byte by byte */
    struct span subject;
    struct span serial; /* content of the INTEGER */
    struct key_info key;
    int key_error; /* of neap_key_info; then only key.spki is good */
    struct span signature;
    struct span names;                            /* content of subjectAltName; empty without one */
    struct span constraints;                      /* content of nameConstraints; empty without them */
    struct span subject_key_id, authority_key_id; /* of its own key and of its issuer's; empty without them */
    uint32_t constrained_kinds;                   /* kinds of names (name_kind_bit) under constraints, */
    uint32_t odd_constraints;                     /* and those under ones that we do not understand */
    int64_t not_before, not_after;
    struct signature_algorithm algorithm;
    unsigned version; /* 1, 2 or 3 */
    unsigned usage, extended_usage;
    int path_length; /* -1: no bound */
    bool has_names, has_usage, has_extended_usage;
    bool is_authority;
    bool has_unknown_critical;
    bool has_features, must_staple; /* TLS features (RFC 7633); status_request is among them */
};

/** Parse; `out` points into `der`. 0 or NEAP_ERR_CERTIFICATE. Algorithms that we do not know are no error here. */
int neap_certificate_parse(struct span der, struct certificate *out);

/** What an AlgorithmIdentifier of a signature stands for; SIGNATURE_UNKNOWN for those that are not accepted. */
struct signature_algorithm neap_signature_algorithm(struct span identifier);

/** Whether a subjectAltName has this host: a DNS name (left-most label may be `*`) or an IP address literal. Without
 * one nothing matches (RFC 9525 §2: common names are not host names). */
bool neap_certificate_has_host(const struct certificate *certificate, const char *host);
/** The content of the last attribute 2.5.4.`kind` of a distinguished Name, empty when it has none. */
struct span neap_name_attribute(struct span name, uint8_t kind);
/** The same as UTF-8, whatever its type of string, into `size` bytes at `out`: how many, 0 when it has none, NEAP_ERR_UNSUPPORTED
 * for what is no text or no UTF-8 in its type, NEAP_ERR_BUFFER_TOO_SHORT, NEAP_ERR_LIMIT, or NEAP_ERR_CERTIFICATE for what is
 * no Name. */
int64_t neap_name_attribute_text(struct span name, uint8_t kind, char *out, size_t size);
/** The content of the last common name of the subject, empty when it has none. */
struct span neap_certificate_common_name(const struct certificate *certificate);
/** Whether a certificate's DNS name covers a host name (RFC 9525 §6.3). */
bool neap_dns_name_covers(struct span pattern, struct span host);
/** Whether two DNS names are the same, whatever the case of their letters. */
bool neap_dns_names_equal(struct span a, struct span b);
/** Whether a DNS name has the form that nameConstraints ask for (RFC 5280 §4.2.1.10, RFC 1034 §3.5): labels of letters,
 * digits, `-` and `_`, a dot between them and one at most before them; or nothing, which stands for every name. */
bool neap_dns_is_constraint(struct span base);
/** Whether hosts can be found by a certificate's DNS name (RFC 9525 §6.3, RFC 1123 §2.1): labels like those, the last of
 * which is no number; the first may be `*` before two others at least. */
bool neap_dns_is_presented(struct span name);

enum name_kind { /* tags of a GeneralName (RFC 5280 §4.2.1.6) */
                 NAME_EMAIL = 0x81,
                 NAME_DNS = 0x82,
                 NAME_URI = 0x86,
                 NAME_ADDRESS = 0x87,
                 NAME_DIRECTORY = 0xa4,
};
/* In certificate.constrained_kinds. */
static inline uint32_t name_kind_bit(uint8_t kind)
{
    return UINT32_C(1) << (kind & 0x1f);
}
enum names_verdict {
    NAMES_ALLOWED,
    NAMES_FORBIDDEN,
    NAMES_UNCLEAR, /* a name that is there is of a kind under a constraint that we do not understand */
    NAMES_TOO_MANY /* the budget is spent */
};
/** Whether we know what a constraint on names of this kind covers: DNS names, hosts of URIs, mail addresses and their hosts,
 * addresses, directory names. */
bool neap_constraint_is_known(uint8_t kind, struct span base);
/** Whether an authority's nameConstraints (RFC 5280 §4.2.1.10), critical or not, allow the subject and the alternative names
 * of a certificate `below` it, and without mail addresses among these the ones in the subject. Where there are constraints each
 * alternative name costs 1 of the budget. Each subtree that a name of a constrained kind passes costs 1, and 1 more for every
 * 16 bytes; those of directory names 8, and 1 for every 4, and for every 16 of a directory name that they are held against.
 * What is read once for all of them costs 1 for every 4 bytes: URIs, mail addresses, and subjects that may have these. */
enum names_verdict neap_names_check(const struct certificate *authority, const struct certificate *below,
                                    unsigned *budget);

/** What kind of key a SubjectPublicKeyInfo holds. 0, NEAP_ERR_UNSUPPORTED, or NEAP_ERR_CERTIFICATE. */
int neap_key_info(struct span spki, struct key_info *out);
/** Whether a PKCS#8 structure (RFC 8410 §7) holds an Ed25519 key; then its 32-byte seed. */
bool neap_ed25519_seed(struct span pkcs8, struct span *seed);

/** What a signature scheme of TLS asks for. False when this build does not know it. */
bool neap_scheme_info(uint16_t scheme, struct signature_algorithm *algorithm, enum key_kind *key);

/* A bit for what signs a certificate; the lowest for what we do not know. */
static inline uint16_t signature_algorithm_bit(struct signature_algorithm algorithm)
{
    return (uint16_t)(1u << (3u * (unsigned)algorithm.kind + (unsigned)algorithm.digest));
}
/** The bits of what may sign certificates for who has these schemes (big-endian pairs), whatever the issuer's key is. */
uint16_t neap_schemes_algorithms(struct span schemes);

/** Take the next certificate from PEM text or concatenated DER into a room of the pool's of exactly its size.
 * 1, 0 at the end, NEAP_ERR_CERTIFICATE for a block that is none (go on or give up), NEAP_ERR_NO_MEMORY. */
int neap_certificate_take(struct pool *pool, struct span *input, bool is_pem, struct span *der);
void neap_certificate_release(struct pool *pool, struct span der);
/** The same for certificate revocation lists; given back with neap_certificate_release. */
int neap_revocation_list_take(struct pool *pool, struct span *input, bool is_pem, struct span *der);
/** The same for what the labels of PEM are told by, out of PEM or DER, whichever the input is. */
int neap_pem_take(struct pool *pool, struct span *input, bool (*is_wanted)(struct span label),
                  struct span *der);

/** The first DER element in the body of a PEM block, as neap_pem_take takes it: 1 or a negative code. */
int neap_pem_decode(struct pool *pool, struct span body, struct span *der);
/** The next PEM block of a text: its label and its base64 body. False at the end. */
bool neap_pem_next(struct span *text, struct span *label, struct span *body);
/** Whether bytes look like PEM rather than DER. */
bool neap_pem_is(struct span bytes);
/** Decode base64 with white space into `out` (room for 3/4 of the text). The size, or -1 when it is not base64. */
int64_t neap_base64_decode(struct span text, uint8_t *out);

#endif
