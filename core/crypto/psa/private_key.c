/* Private keys: made, and the public ones that belong to them; and PEM text. */
#include "crypto/issue.h"

#include "crypto/psa/psa.h"
#include "neap.h"

#include <mbedtls/pk.h>

int neap_private_key_make(struct crypto *crypto, char *out, size_t room, struct failure *why)
{
    uint8_t scalar[32];
    mbedtls_pk_context pk;
    psa_key_id_t key;

    mbedtls_pk_init(&pk);
    int error = neap_psa_draw(crypto, PSA_ALG_ECDSA(PSA_ALG_SHA_256),
                              PSA_KEY_USAGE_SIGN_HASH | PSA_KEY_USAGE_EXPORT, scalar, sizeof(scalar), &key);
    neap_wipe(scalar, sizeof(scalar));
    if (!error)
        error = mbedtls_pk_copy_from_psa(key, &pk);
    if (!error)
        error = mbedtls_pk_write_key_pem(&pk, (unsigned char *)out, room);
    mbedtls_pk_free(&pk);
    psa_destroy_key(key);
    if (!error)
        return 0;
    neap_wipe(out, room);
    return error == PSA_ERROR_BUFFER_TOO_SMALL
               ? neap_fail(why, NEAP_ERR_BUFFER_TOO_SHORT, "the room for the key is too small")
               : neap_fail(why, NEAP_ERR_CRYPTO, "the key could not be made");
}

int neap_private_key_public(struct crypto *crypto, struct span der, uint8_t out[SPKI_MAX], size_t *size,
                            struct failure *why)
{
    mbedtls_pk_context pk;

    (void)crypto;
    mbedtls_pk_init(&pk);
    int written = psa_crypto_init();
    if (!written)
        written = mbedtls_pk_parse_key(&pk, der.data, der.size, NULL, 0);
    if (!written)
        written = mbedtls_pk_write_pubkey_der(&pk, out, SPKI_MAX);
    mbedtls_pk_free(&pk);
    if (written <= 0 || written > (int)SPKI_MAX)
        return neap_fail(why, NEAP_ERR_CERTIFICATE, "the public half of the private key cannot be found");
    *size = (size_t)written;
    memmove(out, out + SPKI_MAX - *size, *size); /* it was written to the end of the room */
    return 0;
}
