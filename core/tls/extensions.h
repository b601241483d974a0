/* Extension blocks (RFC 8446 §4.2): which extension may stand in which message, and who asked for it. */
#ifndef NEAP_TLS_EXTENSIONS_H
#define NEAP_TLS_EXTENSIONS_H

#include "base/failure.h"
#include "base/span.h"

/* Messages that carry extensions, as bits; the columns of the table in RFC 8446 §4.2. */
enum extension_place {
    IN_CLIENT_HELLO = 1,
    IN_SERVER_HELLO = 2,
    IN_RETRY_REQUEST = 4,
    IN_ENCRYPTED = 8,
    IN_CERTIFICATE = 16,
    IN_CERTIFICATE_REQUEST = 32,
    IN_TICKET = 64,
};

/* name, number, places */
#define EXTENSION_LIST(X)                                                                   \
    X(SERVER_NAME, 0, IN_CLIENT_HELLO | IN_ENCRYPTED)                                       \
    X(MAX_FRAGMENT_LENGTH, 1, IN_CLIENT_HELLO | IN_ENCRYPTED)                               \
    X(STATUS_REQUEST, 5, IN_CLIENT_HELLO | IN_CERTIFICATE_REQUEST | IN_CERTIFICATE)         \
    X(SUPPORTED_GROUPS, 10, IN_CLIENT_HELLO | IN_ENCRYPTED)                                 \
    X(SIGNATURE_ALGORITHMS, 13, IN_CLIENT_HELLO | IN_CERTIFICATE_REQUEST)                   \
    X(USE_SRTP, 14, IN_CLIENT_HELLO | IN_ENCRYPTED)                                         \
    X(HEARTBEAT, 15, IN_CLIENT_HELLO | IN_ENCRYPTED)                                        \
    X(ALPN, 16, IN_CLIENT_HELLO | IN_ENCRYPTED)                                             \
    X(CERTIFICATE_TIMESTAMP, 18, IN_CLIENT_HELLO | IN_CERTIFICATE_REQUEST | IN_CERTIFICATE) \
    X(CLIENT_CERTIFICATE_TYPE, 19, IN_CLIENT_HELLO | IN_ENCRYPTED)                          \
    X(SERVER_CERTIFICATE_TYPE, 20, IN_CLIENT_HELLO | IN_ENCRYPTED)                          \
    X(PADDING, 21, IN_CLIENT_HELLO)                                                         \
    X(COMPRESS_CERTIFICATE, 27, IN_CLIENT_HELLO | IN_CERTIFICATE_REQUEST)                   \
    X(PRE_SHARED_KEY, 41, IN_CLIENT_HELLO | IN_SERVER_HELLO)                                \
    X(EARLY_DATA, 42, IN_CLIENT_HELLO | IN_ENCRYPTED | IN_TICKET)                           \
    X(SUPPORTED_VERSIONS, 43, IN_CLIENT_HELLO | IN_SERVER_HELLO | IN_RETRY_REQUEST)         \
    X(COOKIE, 44, IN_CLIENT_HELLO | IN_RETRY_REQUEST)                                       \
    X(PSK_MODES, 45, IN_CLIENT_HELLO)                                                       \
    X(CERTIFICATE_AUTHORITIES, 47, IN_CLIENT_HELLO | IN_CERTIFICATE_REQUEST)                \
    X(OID_FILTERS, 48, IN_CERTIFICATE_REQUEST)                                              \
    X(POST_HANDSHAKE_AUTH, 49, IN_CLIENT_HELLO)                                             \
    X(SIGNATURE_ALGORITHMS_CERT, 50, IN_CLIENT_HELLO | IN_CERTIFICATE_REQUEST)              \
    X(KEY_SHARE, 51, IN_CLIENT_HELLO | IN_SERVER_HELLO | IN_RETRY_REQUEST)                  \
    X(QUIC_PARAMETERS, 57, IN_CLIENT_HELLO | IN_ENCRYPTED)

/* Index of a known extension. */
enum extension {
#define X(name, number, places) EXT_##name,
    EXTENSION_LIST(X)
#undef X
        EXTENSIONS_KNOWN
};

/* Their wire numbers. */
enum extension_number {
#define X(name, number, places) NUMBER_##name = number,
    EXTENSION_LIST(X)
#undef X
};

/* A parsed block: the data of each known extension, which points into the message. */
struct extensions {
    uint32_t present; /* bits by enum extension */
    uint16_t last;    /* number of the last one, known or not */
    struct span data[EXTENSIONS_KNOWN];
};

static inline bool extension_present(const struct extensions *e, enum extension which)
{
    return (e->present >> which & 1) != 0;
}

static inline uint32_t extension_bit(enum extension which)
{
    return UINT32_C(1) << which;
}

/** Parse a block (without its length). In answers (ServerHello, HelloRetryRequest, EncryptedExtensions, Certificate)
 * only what is in `asked` (bits by enum extension) may stand; elsewhere unknown ones are skipped. 0, or decode_error,
 * illegal_parameter (twice, or in a message where it has no place), unsupported_extension (not asked for). */
int neap_extensions_parse(struct span block, enum extension_place place, uint32_t asked,
                          struct extensions *out, struct failure *why);

/** A digest of those extensions of a ClientHello that a second one must repeat (RFC 8446 §4.1.2), the same in any
 * order; `block` was parsed before. */
void neap_extensions_digest(struct span block, uint8_t digest[32]);

#endif
