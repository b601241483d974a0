/* Key exchange in the shape of a KEM. The arithmetic is the provider's; the sizes are checked here for all of them. */
#include "crypto/provider.h"

#include "neap.h"

struct group {
    uint16_t id;
    size_t public_size, secret_size; /* and a private key is as long as a secret */
};

static const struct group *find_group(uint16_t id)
{
    static const struct group groups[] = {
        {GROUP_X25519, 32, 32}, {GROUP_SECP256R1, 1 + 2 * 32, 32}, {GROUP_SECP384R1, 1 + 2 * 48, 48}};

    for (size_t i = 0; i < sizeof(groups) / sizeof(groups[0]); i++)
        if (groups[i].id == id)
            return &groups[i];
    return NULL;
}

bool neap_group_is_supported(uint16_t group)
{
    return find_group(group) != NULL;
}

int neap_x25519_generate(struct crypto *crypto, struct key_share *out)
{
    neap_random_bytes(&crypto->random, out->private_key, out->private_size);
    return neap_x25519_public(crypto, out->private_key, out->public_key);
}

int neap_share_generate(struct crypto *crypto, uint16_t id, struct key_share *out)
{
    const struct group *group = find_group(id);

    if (!group)
        return NEAP_ERR_UNSUPPORTED;
    out->group = id;
    out->public_size = group->public_size;
    out->private_size = group->secret_size;
    return crypto->provider->share_generate(crypto, out);
}

int neap_share_decapsulate(struct crypto *crypto, const struct key_share *ours, struct span peer,
                           uint8_t *secret, size_t *secret_size)
{
    const struct group *group = find_group(ours->group);

    if (!group)
        return NEAP_ERR_UNSUPPORTED;
    if (peer.size != group->public_size || ours->private_size != group->secret_size)
        return NEAP_ERR_CRYPTO;
    /* RFC 8446 §4.2.8.2: uncompressed points only. */
    if (ours->group != GROUP_X25519 && peer.data[0] != 0x04)
        return NEAP_ERR_CRYPTO;
    *secret_size = group->secret_size;
    return crypto->provider->share_combine(crypto, ours, peer, secret);
}

int neap_share_encapsulate(struct crypto *crypto, uint16_t group, struct span peer, struct key_share *ours,
                           uint8_t *secret, size_t *secret_size)
{
    int error = neap_share_generate(crypto, group, ours);

    return error ? error : neap_share_decapsulate(crypto, ours, peer, secret, secret_size);
}
