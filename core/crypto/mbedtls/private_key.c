/* Private keys: made, and the public ones that belong to them; and PEM text. */
#include "crypto/issue.h"

#include "base/random.h"
#include "crypto/mbedtls/compat.h"
#include "crypto/mbedtls/random.h"
#include "neap.h"

#include <mbedtls/base64.h>

int neap_private_key_make(struct crypto *crypto, char *out, size_t room, struct failure *why)
{
    mbedtls_pk_context key;

    mbedtls_pk_init(&key);
    int error = mbedtls_pk_setup(&key, mbedtls_pk_info_from_type(MBEDTLS_PK_ECKEY));
    if (!error)
        error = mbedtls_ecp_gen_key(MBEDTLS_ECP_DP_SECP256R1, mbedtls_pk_ec(key), mbed_random, crypto);
    if (!error)
        error = mbedtls_pk_write_key_pem(&key, (unsigned char *)out, room);
    mbedtls_pk_free(&key);
    if (!error)
        return 0;
    neap_wipe(out, room);
    return error == MBEDTLS_ERR_BASE64_BUFFER_TOO_SMALL
               ? neap_fail(why, NEAP_ERR_BUFFER_TOO_SHORT, "the room for the key is too small")
               : neap_fail(why, NEAP_ERR_CRYPTO, "the key could not be made");
}

int neap_private_key_public(struct crypto *crypto, struct span der, uint8_t out[SPKI_MAX], size_t *size,
                            struct failure *why)
{
    mbedtls_pk_context key;

    mbedtls_pk_init(&key);
    int written = mbed_parse_key(&key, der.data, der.size, mbed_random, crypto);
    if (!written)
        written = mbedtls_pk_write_pubkey_der(&key, out, SPKI_MAX);
    mbedtls_pk_free(&key);
    if (written <= 0 || written > (int)SPKI_MAX)
        return neap_fail(why, NEAP_ERR_CERTIFICATE, "the public half of the private key cannot be found");
    *size = (size_t)written;
    memmove(out, out + SPKI_MAX - *size, *size); /* it was written to the end of the room */
    return 0;
}
