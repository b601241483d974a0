/* Key exchange over X25519, P-256 and P-384 (private keys of the latter are big-endian scalars). */
#include "crypto/libcrypto/library.h"

#include "neap.h"

#include <openssl/bn.h>
#include <openssl/core_names.h>

#define PRIVATE_MOST sizeof(((struct key_share *)0)->private_key)

static const char *curve_of(uint16_t group)
{
    return neap_libcrypto_curve(group == GROUP_SECP256R1 ? KEY_P256 : KEY_P384);
}

static bool read_public(EVP_PKEY *key, struct key_share *out)
{
    size_t size = 0;

    return EVP_PKEY_get_octet_string_param(key, OSSL_PKEY_PARAM_PUB_KEY, out->public_key, out->public_size,
                                           &size) == 1 &&
           size == out->public_size;
}

static bool generate_x25519(struct crypto *crypto, struct key_share *out)
{
    neap_random_bytes(&crypto->random, out->private_key, out->private_size);
    EVP_PKEY *key = EVP_PKEY_new_raw_private_key_ex(libcrypto_of(crypto)->context, "X25519", NULL,
                                                    out->private_key, out->private_size);
    bool ok = key && read_public(key, out);
    EVP_PKEY_free(key);
    return ok;
}

static bool generate_on_curve(struct crypto *crypto, struct key_share *out)
{
    BIGNUM *scalar = NULL;
    EVP_PKEY *key = EVP_PKEY_Q_keygen(libcrypto_of(crypto)->context, NULL, "EC", curve_of(out->group));
    bool ok = key && read_public(key, out) &&
              EVP_PKEY_get_bn_param(key, OSSL_PKEY_PARAM_PRIV_KEY, &scalar) == 1 &&
              BN_bn2binpad(scalar, out->private_key, (int)out->private_size) >= 0;

    BN_clear_free(scalar);
    EVP_PKEY_free(key);
    return ok;
}

int neap_libcrypto_share_generate(struct crypto *crypto, struct key_share *out)
{
    neap_libcrypto_enter(crypto);
    return neap_libcrypto_leave(out->group == GROUP_X25519 ? generate_x25519(crypto, out)
                                                           : generate_on_curve(crypto, out));
}

/* The key of the halves that there are: with the public one at hand nothing is computed again. A point that is not on its
 * curve makes no key. */
static EVP_PKEY *key_of(struct crypto *crypto, uint16_t group, struct span public_key,
                        struct span private_key)
{
    uint8_t room[PRIVATE_MOST];
    OSSL_PARAM parts[4], *part = parts;
    bool is_x25519 = group == GROUP_X25519, ok = true;

    if (public_key.size)
        *part++ = OSSL_PARAM_construct_octet_string(OSSL_PKEY_PARAM_PUB_KEY,
                                                    (void *)(uintptr_t)public_key.data, public_key.size);
    if (!is_x25519)
        *part++ = OSSL_PARAM_construct_utf8_string(OSSL_PKEY_PARAM_GROUP_NAME,
                                                   (char *)(uintptr_t)curve_of(group), 0);
    if (private_key.size && is_x25519)
        *part++ = OSSL_PARAM_construct_octet_string(OSSL_PKEY_PARAM_PRIV_KEY,
                                                    (void *)(uintptr_t)private_key.data, private_key.size);
    else if (private_key.size)
        ok = neap_libcrypto_number(part++, OSSL_PKEY_PARAM_PRIV_KEY, private_key, room);
    *part = OSSL_PARAM_construct_end();
    EVP_PKEY *key = ok ? neap_libcrypto_key(crypto, is_x25519 ? "X25519" : "EC",
                                            private_key.size ? EVP_PKEY_KEYPAIR : EVP_PKEY_PUBLIC_KEY, parts)
                       : NULL;
    neap_wipe(room, sizeof(room));
    return key;
}

int neap_libcrypto_share_combine(struct crypto *crypto, const struct key_share *ours, struct span peer,
                                 uint8_t *secret)
{
    size_t size = ours->private_size;

    neap_libcrypto_enter(crypto);
    EVP_PKEY *key = key_of(crypto, ours->group, span_of(ours->public_key, ours->public_size),
                           span_of(ours->private_key, ours->private_size));
    EVP_PKEY *other = key_of(crypto, ours->group, peer, (struct span){0});
    EVP_PKEY_CTX *exchange =
        key && other ? EVP_PKEY_CTX_new_from_pkey(libcrypto_of(crypto)->context, key, NULL) : NULL;
    /* No second check of the peer's point: it is on the curve, and these curves have no small subgroups. */
    bool ok = exchange && EVP_PKEY_derive_init(exchange) == 1 &&
              EVP_PKEY_derive_set_peer_ex(exchange, other, 0) == 1 &&
              EVP_PKEY_derive(exchange, secret, &size) == 1 && size == ours->private_size;
    EVP_PKEY_CTX_free(exchange);
    EVP_PKEY_free(other);
    EVP_PKEY_free(key);
    return neap_libcrypto_leave(ok);
}
