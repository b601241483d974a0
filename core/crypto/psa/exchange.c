/* Key exchange: ECDH over P-256 and P-384 (private keys are big-endian scalars; RFC 8446 §7.4.2: the secret is the X
 * coordinate), and X25519 from wherever the build has it. */
#include "crypto/psa/exchange.h"

#include "crypto/psa/psa.h"
#include "neap.h"

static int ecdh_generate(struct crypto *crypto, struct key_share *out)
{
    psa_key_id_t key;
    int error =
        neap_psa_draw(crypto, PSA_ALG_ECDH, PSA_KEY_USAGE_DERIVE, out->private_key, out->private_size, &key);

    if (error)
        return NEAP_ERR_CRYPTO;
    psa_status_t status =
        psa_export_public_key(key, out->public_key, sizeof(out->public_key), &out->public_size);
    psa_destroy_key(key);
    return status == PSA_SUCCESS ? 0 : NEAP_ERR_CRYPTO;
}

int neap_psa_share_generate(struct crypto *crypto, struct key_share *out)
{
    return out->group == GROUP_X25519 ? neap_x25519_generate(crypto, out) : ecdh_generate(crypto, out);
}

int neap_psa_share_combine(struct crypto *crypto, const struct key_share *ours, struct span peer,
                           uint8_t *secret)
{
    if (ours->group == GROUP_X25519)
        return neap_x25519_shared(crypto, ours->private_key, peer.data, secret);
    return neap_psa_agree(PSA_PAIR_NIST, span_of(ours->private_key, ours->private_size), peer, secret)
               ? NEAP_ERR_CRYPTO
               : 0;
}
