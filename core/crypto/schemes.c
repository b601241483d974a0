/* Signature schemes of TLS 1.3 (RFC 8446 §4.2.3), in the order in which we wish for them. */
#include "crypto/certificate.h"

#include "base/reader.h"

struct scheme {
    uint16_t id;
    struct signature_algorithm algorithm;
    enum key_kind key;
};

static const struct scheme schemes[] = {
    {SCHEME_ECDSA_SECP256R1_SHA256, {SIGNATURE_ECDSA, DIGEST_SHA256}, KEY_P256},
    {SCHEME_ED25519, {SIGNATURE_ED25519, DIGEST_SHA256}, KEY_ED25519},
    {SCHEME_ECDSA_SECP384R1_SHA384, {SIGNATURE_ECDSA, DIGEST_SHA384}, KEY_P384},
    {SCHEME_RSA_PSS_RSAE_SHA256, {SIGNATURE_RSA_PSS, DIGEST_SHA256}, KEY_RSA},
    {SCHEME_RSA_PSS_RSAE_SHA384, {SIGNATURE_RSA_PSS, DIGEST_SHA384}, KEY_RSA},
    {SCHEME_RSA_PSS_RSAE_SHA512, {SIGNATURE_RSA_PSS, DIGEST_SHA512}, KEY_RSA},
};

#define BEFORE_ED25519 SCHEME_ECDSA_SECP256R1_SHA256
#define BEHIND_ED25519                                                                     \
    SCHEME_ECDSA_SECP384R1_SHA384, SCHEME_RSA_PSS_RSAE_SHA256, SCHEME_RSA_PSS_RSAE_SHA384, \
        SCHEME_RSA_PSS_RSAE_SHA512

const uint16_t *neap_schemes(size_t *count)
{
    static const uint16_t with_ed25519[] = {BEFORE_ED25519, SCHEME_ED25519, BEHIND_ED25519};
    static const uint16_t without_ed25519[] = {BEFORE_ED25519, BEHIND_ED25519};
    bool has_ed25519 = neap_ed25519_is_available();

    *count = (has_ed25519 ? sizeof(with_ed25519) : sizeof(without_ed25519)) / sizeof(uint16_t);
    return has_ed25519 ? with_ed25519 : without_ed25519;
}

uint16_t neap_schemes_algorithms(struct span list)
{
    static const struct {
        uint16_t id;
        struct signature_algorithm algorithm;
    } named[] = {
        {0x0401, {SIGNATURE_RSA_PKCS1, DIGEST_SHA256}}, {0x0501, {SIGNATURE_RSA_PKCS1, DIGEST_SHA384}},
        {0x0601, {SIGNATURE_RSA_PKCS1, DIGEST_SHA512}}, {0x0403, {SIGNATURE_ECDSA, DIGEST_SHA256}},
        {0x0503, {SIGNATURE_ECDSA, DIGEST_SHA384}},     {0x0603, {SIGNATURE_ECDSA, DIGEST_SHA512}},
        {0x0804, {SIGNATURE_RSA_PSS, DIGEST_SHA256}},   {0x0805, {SIGNATURE_RSA_PSS, DIGEST_SHA384}},
        {0x0806, {SIGNATURE_RSA_PSS, DIGEST_SHA512}},   {0x0807, {SIGNATURE_ED25519, DIGEST_SHA256}},
        {0x0809, {SIGNATURE_RSA_PSS, DIGEST_SHA256}},   {0x080a, {SIGNATURE_RSA_PSS, DIGEST_SHA384}},
        {0x080b, {SIGNATURE_RSA_PSS, DIGEST_SHA512}},
    };
    struct reader r = reader_of(list);
    uint16_t algorithms = 0;

    while (reader_left(&r) >= 2) {
        uint16_t scheme = read_u16(&r);

        for (size_t i = 0; i < sizeof(named) / sizeof(named[0]); i++)
            if (named[i].id == scheme)
                algorithms |= signature_algorithm_bit(named[i].algorithm);
    }
    return algorithms;
}

bool neap_scheme_info(uint16_t scheme, struct signature_algorithm *algorithm, enum key_kind *key)
{
    for (size_t i = 0; i < sizeof(schemes) / sizeof(schemes[0]); i++) {
        if (schemes[i].id != scheme)
            continue;
        *algorithm = schemes[i].algorithm;
        *key = schemes[i].key;
        return scheme != SCHEME_ED25519 || neap_ed25519_is_available();
    }
    return false;
}
