/* Packets that need no connection: headers read without keys, Retry, version negotiation, stateless reset, refusal. */
#include "base/limits.h"
#include "crypto/packet_keys.h"
#include "quic/config.h"
#include "wire/frame.h"
#include "wire/header.h"

#define RESET_MOST 43u /* above this size of the trigger the answer need not shrink */
#define REFUSAL_NUMBER_SIZE 2u

static bool cid_fits(struct span s)
{
    return s.size <= NEAP_MAX_CONNECTION_ID;
}

int neap_header_info(const uint8_t *bytes, size_t size, size_t short_dcid_size, neap_header *out)
{
    struct packet_header h;

    if (short_dcid_size > NEAP_MAX_CONNECTION_ID)
        return NEAP_ERR_ARGUMENT;
    int rc = neap_packet_header_parse(span_of(bytes, size), short_dcid_size, &h);
    if (rc && rc != NEAP_ERR_UNKNOWN_VERSION)
        return rc;
    /* Other versions may have longer connection IDs (RFC 8999 §5.1), which this struct cannot tell. */
    if (!cid_fits(h.dcid) || !cid_fits(h.scid))
        return NEAP_ERR_INVALID_PACKET;
    *out = (neap_header){
        .type = h.type,
        .version = h.version,
        .dcid = cid_of(h.dcid),
        .scid = cid_of(h.scid),
        .token = h.token.data,
        .token_size = h.token.size,
    };
    return rc;
}

bool neap_version_is_supported(uint32_t version)
{
    return neap_version_find(version) != NULL;
}

int64_t neap_negotiate_version(neap_config *config, const neap_header *header, uint8_t *out, size_t size)
{
    struct writer w = writer_of(out, size);

    neap_version_negotiation_write(&w, cid_span(&header->scid), cid_span(&header->dcid), config->versions,
                                   config->version_count,
                                   neap_random_u64(neap_crypto_random(config->crypto)));
    return w.full ? NEAP_ERR_BUFFER_TOO_SHORT : (int64_t)writer_size(&w);
}

int64_t neap_retry(neap_config *config, const neap_header *header, const neap_cid *new_scid,
                   const neap_address *peer, uint8_t *out, size_t size)
{
    const struct version *version = neap_version_find(header->version);
    const struct version_labels *labels = neap_version_labels(header->version);
    struct retry_token token = {.original_dcid = header->dcid,
                                .retry_scid = *new_scid,
                                .version = header->version,
                                .issued = config->env.wall_clock(config->env.context)};
    uint8_t sealed[LIMIT_TOKEN];
    struct writer w = writer_of(out, size);

    if (!version || !labels)
        return NEAP_ERR_UNKNOWN_VERSION;
    int64_t sealed_size =
        neap_retry_token_seal(config->crypto, &config->tokens, &token, peer, sealed, sizeof sealed);
    if (sealed_size < 0)
        return sealed_size;
    uint64_t bits = neap_random_u64(neap_crypto_random(config->crypto));
    neap_retry_header_write(&w, version, &header->scid, new_scid, span_of(sealed, (size_t)sealed_size),
                            (uint8_t)(bits & 0x0f));
    size_t before_tag = writer_size(&w);
    uint8_t *tag = write_room(&w, CRYPTO_TAG);
    if (!tag)
        return NEAP_ERR_BUFFER_TOO_SHORT;
    int rc = neap_retry_tag(config->crypto, labels, cid_span(&header->dcid), span_of(out, before_tag), tag);
    return rc ? rc : (int64_t)writer_size(&w);
}

int64_t neap_stateless_reset(neap_config *config, const neap_cid *dcid, size_t trigger_size, uint8_t *out,
                             size_t size)
{
    /* RFC 9000 §10.3.3: smaller than the trigger, so that two endpoints cannot go on resetting each other. */
    size_t reset_size = trigger_size > RESET_MOST ? RESET_MOST : trigger_size - (trigger_size > 0);

    if (reset_size < RESET_LEAST)
        return 0;
    if (reset_size > size)
        return NEAP_ERR_BUFFER_TOO_SHORT;
    neap_random_bytes(neap_crypto_random(config->crypto), out, reset_size - RESET_TOKEN_SIZE);
    out[0] = (uint8_t)(0x40 | (out[0] & 0x3f)); /* a short header to look at */
    neap_config_reset_token(config, dcid, out + reset_size - RESET_TOKEN_SIZE);
    return (int64_t)reset_size;
}

bool neap_initial_is_whole(neap_config *config, uint8_t *bytes, size_t size)
{
    struct packet_header h;
    struct packet_key client, server;
    uint32_t number;

    if (neap_packet_header_parse(span_of(bytes, size), 0, &h) || h.type != NEAP_PACKET_INITIAL)
        return false;
    neap_packet_key_initial(&client, &server, neap_version_labels(h.version), h.dcid);
    int number_size = neap_packet_unmask(config->crypto, &client, bytes, h.size, h.number_at, &number);
    bool is_whole =
        number_size > 0 && neap_packet_open(config->crypto, &client, bytes, h.number_at + (size_t)number_size,
                                            h.size, 0, number) >= 0;
    neap_packet_key_wipe(config->crypto, &client);
    neap_packet_key_wipe(config->crypto, &server);
    return is_whole;
}

int64_t neap_refuse(neap_config *config, const neap_header *header, uint64_t code, uint8_t *out, size_t size)
{
    const struct version *version = neap_version_find(header->version);
    const struct version_labels *labels = neap_version_labels(header->version);
    struct packet_key client, server;
    struct writer w = writer_of(out, size > CRYPTO_TAG ? size - CRYPTO_TAG : 0);
    struct frame_close close = {.code = code};

    if (!version || !labels)
        return NEAP_ERR_UNKNOWN_VERSION;
    size_t length_at = neap_long_header_write(&w, version, NEAP_PACKET_INITIAL, &header->scid, &header->dcid,
                                              (struct span){0}, REFUSAL_NUMBER_SIZE, 0);
    size_t header_size = writer_size(&w);
    neap_write_close(&w, &close);
    if (w.full)
        return NEAP_ERR_BUFFER_TOO_SHORT;
    size_t payload_size = writer_size(&w) - header_size;
    neap_long_header_finish(out + length_at, REFUSAL_NUMBER_SIZE + payload_size + CRYPTO_TAG);
    neap_packet_key_initial(&client, &server, labels, cid_span(&header->dcid));
    struct seal_packet packet = {.header = out,
                                 .header_size = header_size,
                                 .number_size = REFUSAL_NUMBER_SIZE,
                                 .number = 0,
                                 .payload_size = payload_size};
    int rc = neap_packets_seal(config->crypto, &server, &packet, 1);
    neap_packet_key_wipe(config->crypto, &client);
    neap_packet_key_wipe(config->crypto, &server);
    return rc ? rc : (int64_t)(header_size + payload_size + CRYPTO_TAG);
}
