/* What was negotiated, for the owner to read. */
#include "tls/state.h"

/* By what is faster here. */
static const uint16_t accelerated_suites[] = {SUITE_AES_128_GCM_SHA256, SUITE_AES_256_GCM_SHA384,
                                              SUITE_CHACHA20_POLY1305_SHA256};
static const uint16_t portable_suites[] = {SUITE_CHACHA20_POLY1305_SHA256, SUITE_AES_128_GCM_SHA256,
                                           SUITE_AES_256_GCM_SHA384};
/* Who offers the hybrid wants that nobody reads this when there are quantum computers, and pays most of what it costs: a
 * server takes it. A client offers it only when it is told: its hello takes a second packet, which is lost as often as the
 * first, and little that devices say is a secret for decades. */
static const uint16_t server_groups[TLS_MAX_GROUPS] = {GROUP_X25519MLKEM768, GROUP_X25519, GROUP_SECP256R1,
                                                       GROUP_SECP384R1};
static const uint16_t client_groups[TLS_MAX_GROUPS] = {GROUP_X25519, GROUP_SECP256R1, GROUP_SECP384R1};

bool neap_tls_may_verify_clients(const struct tls_config *config)
{
    bool may_ask = (config->asks & NEAP_ASK_PEER) != 0 && !neap_trust_has_revocations(config->trust);

    return config->client_certificate == DEMAND_NONE || may_ask ||
           (config->client_trust && neap_trust_count(config->client_trust) > 0);
}

bool neap_tls_is_complete(const struct tls *tls)
{
    return tls->state == CONNECTED && !tls->failed;
}

struct span neap_tls_peer_params(const struct tls *tls)
{
    return tls->peer_params;
}

void neap_tls_forget_peer_params(struct tls *tls)
{
    neap_tls_drop(tls, &tls->peer_params);
}

struct span neap_tls_alpn(const struct tls *tls)
{
    return span_of(tls->alpn, tls->alpn_size);
}

const char *neap_tls_server_name(const struct tls *tls)
{
    return tls->server_name;
}

uint16_t neap_tls_suite(const struct tls *tls)
{
    return tls->suite;
}

uint16_t neap_tls_group(const struct tls *tls)
{
    /* A client's is only its preference until ServerHello gave the suite. */
    return tls->suite ? tls->group : 0;
}

enum neap_early neap_tls_early(const struct tls *tls)
{
    return tls->early;
}

bool neap_tls_is_resumed(const struct tls *tls)
{
    return tls->resumed;
}

bool neap_tls_is_keyed(const struct tls *tls)
{
    return tls->keyed;
}

struct span neap_tls_psk_identity(const struct tls *tls)
{
    return tls->psk_identity;
}

bool neap_tls_has_unchecked_dates(const struct tls *tls, struct validity *out)
{
    return tls->peer && neap_peer_chain_is_unchecked(tls->peer, out);
}

struct span neap_tls_peer_certificate(const struct tls *tls, size_t index)
{
    return tls->peer ? neap_peer_chain_at(tls->peer, index) : (struct span){0};
}

uint16_t neap_tls_preferred_suite(const struct tls_config *config, size_t index)
{
    const uint16_t *list = config->suites[0]                            ? config->suites
                           : neap_crypto_is_accelerated(config->crypto) ? accelerated_suites
                                                                        : portable_suites;

    for (size_t i = 0; i < 3 && list[i]; i++)
        if (neap_suite_is_known(list[i]) && index-- == 0)
            return list[i];
    return 0;
}

uint16_t neap_tls_preferred_group(const struct tls_config *config, bool is_client, size_t index)
{
    const uint16_t *list = config->groups[0] ? config->groups : is_client ? client_groups : server_groups;

    for (size_t i = 0; i < TLS_MAX_GROUPS && list[i]; i++)
        if (neap_group_is_supported(config->crypto, list[i]) && index-- == 0)
            return list[i];
    return 0;
}

bool neap_tls_wants_suite(const struct tls_config *config, uint16_t suite)
{
    uint16_t ours;

    for (size_t i = 0; (ours = neap_tls_preferred_suite(config, i)) != 0; i++)
        if (ours == suite)
            return true;
    return false;
}

bool neap_tls_offers_group(const struct tls_config *config, uint16_t group)
{
    uint16_t ours;

    for (size_t i = 0; (ours = neap_tls_preferred_group(config, true, i)) != 0; i++)
        if (ours == group)
            return true;
    return false;
}

size_t neap_tls_held(const struct tls *tls)
{
    return tls->tail.assembly.room + (tls->asking ? tls->asking->hello.size : 0) + tls->peer_params.size;
}

uint32_t neap_tls_version(const struct tls *tls)
{
    return tls->version;
}

void neap_tls_set_version(struct tls *tls, uint32_t version)
{
    tls->version = version;
}
