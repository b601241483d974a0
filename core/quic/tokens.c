/* What tokens in first packets prove (RFC 9000 §8.1): of a Retry, and of a NEW_TOKEN frame of an earlier connection. */
#include "quic/config.h"
#include "wire/header.h"

int neap_validate_token(neap_config *config, const neap_header *header, const neap_address *peer,
                        neap_cid *original_dcid)
{
    int64_t now = config->env.wall_clock(config->env.context);
    struct span bytes = span_of(header->token, header->token_size);
    struct retry_token token;

    if (header->type != NEAP_PACKET_INITIAL || bytes.size == 0 || bytes.size > LIMIT_TOKEN)
        return NEAP_ERR_TOKEN;
    int rc = neap_retry_token_open(config->crypto, &config->tokens, bytes, peer, now, &token);
    if (rc)
        return rc;
    /* RFC 9369 §5: a token is of one version; and it goes with the connection ID that the Retry gave. */
    if (token.version != header->version || !cid_equal(&token.retry_scid, &header->dcid))
        return NEAP_ERR_TOKEN;
    *original_dcid = token.original_dcid;
    return 0;
}

enum neap_token neap_check_token(neap_config *config, const neap_header *header, const neap_address *peer,
                                 neap_cid *original_dcid)
{
    struct span bytes = span_of(header->token, header->token_size);
    int64_t expires;

    if (header->type != NEAP_PACKET_INITIAL || bytes.size == 0 || bytes.size > LIMIT_TOKEN)
        return NEAP_TOKEN_NONE;
    if (neap_is_retry_token(bytes))
        return neap_validate_token(config, header, peer, original_dcid) == 0 ? NEAP_TOKEN_RETRY
                                                                             : NEAP_TOKEN_INVALID;
    return neap_frame_token_open(config->crypto, &config->tokens, bytes, header->version, peer,
                                 neap_config_wall_clock(config), neap_config_token_lifetime(config),
                                 &expires) == 0
               ? NEAP_TOKEN_ADDRESS
               : NEAP_TOKEN_NONE;
}

bool neap_use_token(neap_config *config, const neap_header *header)
{
    int64_t now = neap_config_wall_clock(config), expires = now + neap_config_token_lifetime(config);
    uint8_t id[32];

    neap_hash(HASH_SHA256, span_of(header->token, header->token_size), id);
    /* However late it was made: it is over by then. */
    expires += 2 * TOKEN_CLOCK_TOLERANCE;
    return config->use_token
               ? config->use_token(config->use_token_context, id, expires) == 1
               : neap_used_tokens_note(&config->used_tokens, config->pool,
                                       (size_t)config_option(config, OPTION_token_entries), id, expires, now);
}

void neap_config_set_token_register(neap_config *config,
                                    int (*use)(void *context, const uint8_t id[32], int64_t expires),
                                    void *context)
{
    config->use_token = use;
    config->use_token_context = context;
}

int neap_config_set_token_keys(neap_config *config, const uint8_t (*keys)[32], size_t count)
{
    if (count == 0 || count > TOKEN_KEYS_MOST)
        return NEAP_ERR_ARGUMENT;
    neap_token_keys_set(&config->tokens, keys, count);
    return 0;
}
