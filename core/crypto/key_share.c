/* Key exchange in the shape of a KEM. The arithmetic is the provider's; the sizes are checked here for all of them, and the
 * hybrid of ML-KEM-768 and X25519 (draft-ietf-tls-ecdhe-mlkem) is put together of what the provider has of each. */
#include "crypto/provider.h"

#include "neap.h"

#include <strings.h>

#define X25519_SIZE 32u

struct group {
    const char *name;
    uint16_t id;
    size_t public_size, answer_size, private_size, secret_size; /* answer: the server's share */
};

static const struct group groups[] = {
    {"X25519MLKEM768", GROUP_X25519MLKEM768, MLKEM768_KEY + X25519_SIZE, MLKEM768_CIPHERTEXT + X25519_SIZE,
     MLKEM768_SEED + X25519_SIZE, MLKEM768_SECRET + X25519_SIZE},
    {"x25519", GROUP_X25519, X25519_SIZE, X25519_SIZE, X25519_SIZE, X25519_SIZE},
    {"secp256r1", GROUP_SECP256R1, 1 + 2 * 32, 1 + 2 * 32, 32, 32},
    {"secp384r1", GROUP_SECP384R1, 1 + 2 * 48, 1 + 2 * 48, 48, 48},
};
#define GROUPS (sizeof(groups) / sizeof(groups[0]))

static const struct group *find_group(uint16_t id)
{
    for (size_t i = 0; i < GROUPS; i++)
        if (groups[i].id == id)
            return &groups[i];
    return NULL;
}

bool neap_group_is_known(uint16_t group)
{
    return find_group(group) != NULL;
}

bool neap_group_is_supported(const struct crypto *crypto, uint16_t group)
{
    return neap_group_is_known(group) && (group != GROUP_X25519MLKEM768 || crypto->mlkem768);
}

uint16_t neap_group_find(const char *name)
{
    for (size_t i = 0; i < GROUPS; i++)
        if (strcasecmp(groups[i].name, name) == 0)
            return groups[i].id;
    return 0;
}

const char *neap_group_name(uint16_t group)
{
    const struct group *found = find_group(group);

    return found ? found->name : NULL;
}

int neap_x25519_generate(struct crypto *crypto, struct key_share *out)
{
    neap_random_bytes(&crypto->random, out->private_key, out->private_size);
    return neap_x25519_public(crypto, out->private_key, out->public_key);
}

static void set_sizes(struct key_share *share, const struct group *group)
{
    share->group = group->id;
    share->public_size = group->public_size;
    share->private_size = group->private_size;
}

/* ---- ML-KEM first, X25519 behind it: in shares and in secrets */

static int generate_hybrid(struct crypto *crypto, struct key_share *out)
{
    struct key_share curve;

    neap_random_bytes(&crypto->random, out->private_key, MLKEM768_SEED);
    set_sizes(&curve, find_group(GROUP_X25519));
    int error = crypto->mlkem768->public_key(crypto, out->private_key, out->public_key);
    if (!error)
        error = crypto->provider->share_generate(crypto, &curve);
    if (!error) {
        memcpy(out->private_key + MLKEM768_SEED, curve.private_key, X25519_SIZE);
        memcpy(out->public_key + MLKEM768_KEY, curve.public_key, X25519_SIZE);
    }
    neap_wipe(&curve, sizeof(curve));
    return error;
}

void neap_share_x25519(const struct key_share *hybrid, struct key_share *out)
{
    set_sizes(out, find_group(GROUP_X25519));
    memcpy(out->private_key, hybrid->private_key + MLKEM768_SEED, X25519_SIZE);
    memcpy(out->public_key, hybrid->public_key + MLKEM768_KEY, X25519_SIZE);
}

static int decapsulate_hybrid(struct crypto *crypto, const struct key_share *ours, struct span peer,
                              uint8_t *secret)
{
    struct key_share curve;

    neap_share_x25519(ours, &curve);
    int error = crypto->mlkem768->decapsulate(crypto, ours->private_key, peer.data, secret);
    if (!error)
        error = crypto->provider->share_combine(
            crypto, &curve, span_of(peer.data + MLKEM768_CIPHERTEXT, X25519_SIZE), secret + MLKEM768_SECRET);
    neap_wipe(&curve, sizeof(curve));
    return error;
}

static int encapsulate_hybrid(struct crypto *crypto, struct span peer, struct key_share *ours,
                              uint8_t *secret)
{
    struct key_share curve;
    uint8_t message[MLKEM768_SECRET];

    set_sizes(&curve, find_group(GROUP_X25519));
    neap_random_bytes(&crypto->random, message, sizeof(message));
    int error = crypto->mlkem768->encapsulate(crypto, peer.data, message, ours->public_key, secret);
    if (!error)
        error = crypto->provider->share_generate(crypto, &curve);
    if (!error)
        error = crypto->provider->share_combine(
            crypto, &curve, span_of(peer.data + MLKEM768_KEY, X25519_SIZE), secret + MLKEM768_SECRET);
    if (!error)
        memcpy(ours->public_key + MLKEM768_CIPHERTEXT, curve.public_key, X25519_SIZE);
    neap_wipe(&curve, sizeof(curve));
    neap_wipe(message, sizeof(message));
    return error;
}

/* ---- shares of all groups */

int neap_share_generate(struct crypto *crypto, uint16_t id, struct key_share *out)
{
    if (!neap_group_is_supported(crypto, id))
        return NEAP_ERR_UNSUPPORTED;
    set_sizes(out, find_group(id));
    return id == GROUP_X25519MLKEM768 ? generate_hybrid(crypto, out)
                                      : crypto->provider->share_generate(crypto, out);
}

/* RFC 8446 §4.2.8.2: uncompressed points only. */
static bool is_point(uint16_t group, struct span key)
{
    return (group != GROUP_SECP256R1 && group != GROUP_SECP384R1) || key.data[0] == 0x04;
}

int neap_share_decapsulate(struct crypto *crypto, const struct key_share *ours, struct span peer,
                           uint8_t *secret, size_t *secret_size)
{
    const struct group *group = find_group(ours->group);

    if (!neap_group_is_supported(crypto, ours->group))
        return NEAP_ERR_UNSUPPORTED;
    if (peer.size != group->answer_size || ours->private_size != group->private_size ||
        !is_point(ours->group, peer))
        return NEAP_ERR_CRYPTO;
    *secret_size = group->secret_size;
    return ours->group == GROUP_X25519MLKEM768 ? decapsulate_hybrid(crypto, ours, peer, secret)
                                               : crypto->provider->share_combine(crypto, ours, peer, secret);
}

#define MLKEM768_COST 70u /* µs, as struct provider_costs */

/* What a group takes more than X25519. */
static unsigned share_cost(const struct provider_costs *costs, uint16_t group)
{
    return group == GROUP_X25519MLKEM768 ? MLKEM768_COST
           : group == GROUP_SECP384R1    ? costs->share_p384
           : group == GROUP_SECP256R1    ? costs->share_p256
                                         : 0;
}

int neap_share_encapsulate(struct crypto *crypto, uint16_t id, struct span peer, struct key_share *ours,
                           uint8_t *secret, size_t *secret_size)
{
    const struct group *group = find_group(id);

    if (!neap_group_is_supported(crypto, id))
        return NEAP_ERR_UNSUPPORTED;
    crypto->work += share_cost(&crypto->costs, id);
    if (id != GROUP_X25519MLKEM768) {
        int error = neap_share_generate(crypto, id, ours);
        return error ? error : neap_share_decapsulate(crypto, ours, peer, secret, secret_size);
    }
    if (peer.size != group->public_size)
        return NEAP_ERR_CRYPTO;
    set_sizes(ours, group);
    ours->public_size = group->answer_size;
    ours->private_size = 0; /* nothing of it is needed again */
    *secret_size = group->secret_size;
    return encapsulate_hybrid(crypto, peer, ours, secret);
}
