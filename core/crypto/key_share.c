/* Key exchange in the shape of a KEM, over the groups that the back ends have. */
#include "crypto/backend.h"

#include "neap.h"

#define X25519_SIZE 32u

bool neap_group_is_supported(uint16_t group)
{
    return group == GROUP_X25519 || group == GROUP_SECP256R1 || group == GROUP_SECP384R1;
}

int neap_share_generate(struct crypto *crypto, uint16_t group, struct key_share *out)
{
    *out = (struct key_share){.group = group};
    if (!neap_group_is_supported(group))
        return NEAP_ERR_UNSUPPORTED;
    if (group != GROUP_X25519)
        return neap_ecdh_generate(crypto, group, out);
    neap_random_bytes(&crypto->random, out->private_key, X25519_SIZE);
    out->private_size = out->public_size = X25519_SIZE;
    return neap_x25519_public(crypto, out->private_key, out->public_key);
}

int neap_share_decapsulate(struct crypto *crypto, const struct key_share *ours, struct span peer,
                           uint8_t *secret, size_t *secret_size)
{
    if (!neap_group_is_supported(ours->group))
        return NEAP_ERR_UNSUPPORTED;
    if (ours->group != GROUP_X25519)
        return neap_ecdh_shared(crypto, ours, peer, secret, secret_size);
    if (peer.size != X25519_SIZE || ours->private_size != X25519_SIZE)
        return NEAP_ERR_CRYPTO;
    *secret_size = X25519_SIZE;
    return neap_x25519_shared(crypto, ours->private_key, peer.data, secret);
}

int neap_share_encapsulate(struct crypto *crypto, uint16_t group, struct span peer, struct key_share *ours,
                           uint8_t *secret, size_t *secret_size)
{
    int error = neap_share_generate(crypto, group, ours);

    return error ? error : neap_share_decapsulate(crypto, ours, peer, secret, secret_size);
}
