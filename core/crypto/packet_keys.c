/* Packet protection (RFC 9001 §5): derivation, sealing runs of packets, opening, header protection, Retry tags. */
#include "crypto/backend.h"

#include "base/limits.h"
#include "base/writer.h"
#include "neap.h"

#define SAMPLE_SIZE 16u
#define NUMBER_SIZE_MAX 4u
/* A Retry packet whose token we would take, behind the original connection ID. */
#define RETRY_PSEUDO_MAX (1 + LIMIT_CONNECTION_ID + 7 + 2 * LIMIT_CONNECTION_ID + LIMIT_TOKEN)

static void derive_payload_keys(struct packet_key *out, const struct version_labels *labels,
                                const uint8_t *secret)
{
    enum crypto_suite suite = out->suite;
    enum crypto_hash hash = neap_suite_hash(suite);

    memset(out->key, 0, sizeof(out->key));
    neap_hkdf_expand_label(hash, secret, labels->key, (struct span){0}, out->key, neap_suite_key_size(suite));
    neap_hkdf_expand_label(hash, secret, labels->iv, (struct span){0}, out->iv, sizeof(out->iv));
}

void neap_packet_key_derive(struct packet_key *out, const struct version_labels *labels,
                            enum crypto_suite suite, const uint8_t *secret)
{
    *out = (struct packet_key){.suite = (uint16_t)suite};
    derive_payload_keys(out, labels, secret);
    neap_hkdf_expand_label(neap_suite_hash(suite), secret, labels->hp, (struct span){0}, out->hp,
                           neap_suite_key_size(suite));
}

static void derive_initial(struct packet_key *out, const struct version_labels *labels,
                           const uint8_t *initial, const char *label)
{
    uint8_t secret[32];

    neap_hkdf_expand_label(HASH_SHA256, initial, label, (struct span){0}, secret, sizeof(secret));
    neap_packet_key_derive(out, labels, SUITE_AES_128_GCM_SHA256, secret);
    neap_wipe(secret, sizeof(secret));
}

void neap_packet_key_initial(struct packet_key *client, struct packet_key *server,
                             const struct version_labels *labels, struct span dcid)
{
    uint8_t initial[32];

    neap_hkdf_extract(HASH_SHA256, span_of(labels->initial_salt, sizeof(labels->initial_salt)), dcid,
                      initial);
    derive_initial(client, labels, initial, "client in");
    derive_initial(server, labels, initial, "server in");
    neap_wipe(initial, sizeof(initial));
}

void neap_packet_key_update(struct packet_key *key, const struct version_labels *labels, uint8_t *secret)
{
    enum crypto_hash hash = neap_suite_hash(key->suite);
    uint8_t next[CRYPTO_MAX_HASH];

    neap_hkdf_expand_label(hash, secret, labels->ku, (struct span){0}, next, crypto_hash_size(hash));
    memcpy(secret, next, crypto_hash_size(hash));
    neap_wipe(next, sizeof(next));
    derive_payload_keys(key, labels, secret);
}

void neap_packet_key_wipe(struct crypto *crypto, struct packet_key *key)
{
    if (packet_key_is_set(key))
        neap_ciphers_forget(crypto->ciphers, key);
    neap_wipe(key, sizeof(*key));
}

/* The IV, its last 8 bytes xored with the packet number (RFC 9001 §5.3). */
static void make_nonce(const struct packet_key *key, uint64_t number, uint8_t nonce[CRYPTO_IV])
{
    memcpy(nonce, key->iv, CRYPTO_IV);
    for (size_t i = 0; i < 8; i++)
        nonce[CRYPTO_IV - 1 - i] ^= (uint8_t)(number >> (8 * i));
}

/* The bits of the first byte that are protected: four of a long header, five of a short one (RFC 9001 §5.4.1). */
static uint8_t first_byte_bits(uint8_t first)
{
    return first & 0x80 ? 0x0f : 0x1f;
}

static int seal_one(struct crypto *crypto, const struct packet_key *key, const struct seal_packet *packet)
{
    uint8_t nonce[CRYPTO_IV], mask[5];
    uint8_t *payload = packet->header + packet->header_size;
    uint8_t *number = payload - packet->number_size;

    if (packet->number_size < 1 || packet->number_size > NUMBER_SIZE_MAX ||
        packet->header_size <= packet->number_size ||
        packet->payload_size + packet->number_size < NUMBER_SIZE_MAX)
        return NEAP_ERR_CRYPTO;
    make_nonce(key, packet->number, nonce);
    int error = neap_cipher_seal(crypto->ciphers, key, nonce, span_of(packet->header, packet->header_size),
                                 payload, packet->payload_size, payload);
    if (!error)
        error = neap_cipher_mask(crypto->ciphers, key, number + NUMBER_SIZE_MAX, mask);
    if (error)
        return error;
    packet->header[0] ^= mask[0] & first_byte_bits(packet->header[0]);
    for (size_t i = 0; i < packet->number_size; i++)
        number[i] ^= mask[1 + i];
    return 0;
}

int neap_packets_seal(struct crypto *crypto, const struct packet_key *key, const struct seal_packet *packets,
                      size_t count)
{
    for (size_t i = 0; i < count; i++) {
        int error = seal_one(crypto, key, &packets[i]);
        if (error)
            return error;
    }
    return 0;
}

int neap_packet_unmask(struct crypto *crypto, const struct packet_key *key, uint8_t *packet,
                       size_t packet_size, size_t number_at, uint32_t *truncated)
{
    uint8_t mask[5];

    if (number_at == 0 || packet_size < NUMBER_SIZE_MAX + SAMPLE_SIZE ||
        number_at > packet_size - NUMBER_SIZE_MAX - SAMPLE_SIZE)
        return NEAP_ERR_INVALID_PACKET;
    if (neap_cipher_mask(crypto->ciphers, key, packet + number_at + NUMBER_SIZE_MAX, mask))
        return NEAP_ERR_INVALID_PACKET;
    packet[0] ^= mask[0] & first_byte_bits(packet[0]);
    int size = (packet[0] & 0x03) + 1;
    *truncated = 0;
    for (int i = 0; i < size; i++) {
        packet[number_at + (size_t)i] ^= mask[1 + i];
        *truncated = *truncated << 8 | packet[number_at + (size_t)i];
    }
    return size;
}

int64_t neap_packet_open(struct crypto *crypto, const struct packet_key *key, uint8_t *packet,
                         size_t header_size, size_t size, uint64_t number)
{
    uint8_t nonce[CRYPTO_IV];

    if (header_size > size || size - header_size < CRYPTO_TAG)
        return NEAP_ERR_CRYPTO;
    make_nonce(key, number, nonce);
    int error = neap_cipher_open(crypto->ciphers, key, nonce, span_of(packet, header_size),
                                 packet + header_size, size - header_size, packet + header_size);
    return error ? error : (int64_t)(size - header_size - CRYPTO_TAG);
}

int neap_retry_tag(struct crypto *crypto, const struct version_labels *labels, struct span odcid,
                   struct span retry, uint8_t tag[16])
{
    uint8_t pseudo[RETRY_PSEUDO_MAX];
    struct writer w = writer_of(pseudo, sizeof(pseudo));

    if (odcid.size > LIMIT_CONNECTION_ID)
        return NEAP_ERR_ARGUMENT;
    write_u8(&w, (uint8_t)odcid.size);
    write_span(&w, odcid);
    write_span(&w, retry);
    if (w.full)
        return NEAP_ERR_LIMIT;
    return neap_aead_seal(crypto, SUITE_AES_128_GCM_SHA256, labels->retry_key, labels->retry_nonce,
                          span_of(pseudo, writer_size(&w)), pseudo, 0, tag);
}
