/* Packet protection (RFC 9001 §5): keys from secrets, AEAD over payloads, masks over headers, Retry integrity. */
#ifndef NEAP_CRYPTO_PACKET_KEYS_H
#define NEAP_CRYPTO_PACKET_KEYS_H

#include "crypto/crypto.h"

/* One direction's keys: raw bytes, and what an engine made of them. All zero: no keys. Who copies one moves it. */
struct packet_key {
    uint16_t suite; /* enum crypto_suite, 0 none */
    bool is_busy; /* many packets: the expanded form is kept from the first one until neap_packet_key_rest */
    uint8_t key[CRYPTO_MAX_KEY];
    uint8_t iv[CRYPTO_IV];
    uint8_t hp[CRYPTO_MAX_KEY];
    void *expanded; /* of the crypto's pool; NULL: not there */
};

static inline bool packet_key_is_set(const struct packet_key *k)
{
    return k->suite != 0;
}

/* The labels and salts in which versions differ (RFC 9001 §5.1, RFC 9369 §3.3). */
struct version_labels {
    uint8_t initial_salt[20];
    const char *key, *iv, *hp, *ku; /* "quic key" … */
    uint8_t retry_key[16], retry_nonce[12];
};

/** The labels of a version, NULL for one that we do not speak. */
const struct version_labels *neap_version_labels(uint32_t version);

/** Key, iv and hp from a traffic secret of the suite's hash size. */
void neap_packet_key_derive(struct packet_key *out, const struct version_labels *labels,
                            enum crypto_suite suite, const uint8_t *secret);
/** Initial keys of both sides from the client's first Destination Connection ID. */
void neap_packet_key_initial(struct packet_key *client, struct packet_key *server,
                             const struct version_labels *labels, struct span dcid);
/** The next generation of `key` (RFC 9001 §6.1), as busy as that: updates `secret` in place, makes key and iv; hp
 * stays. */
void neap_packet_key_next(struct packet_key *out, const struct packet_key *key,
                          const struct version_labels *labels, uint8_t *secret);
/** Expand a busy key ahead of its first packet. Without memory that packet expands it. */
void neap_packet_key_expand(struct crypto *crypto, struct packet_key *key);
/** Wipe and give back what was expanded from a key: the next packet expands it again. */
void neap_packet_key_rest(struct crypto *crypto, struct packet_key *key);
/** Overwrite a key that is not needed any more, and what was expanded from it. */
void neap_packet_key_wipe(struct crypto *crypto, struct packet_key *key);

/* One packet to seal: header and payload lie behind each other in one buffer, with 16 bytes of room for the tag. */
struct seal_packet {
    uint8_t *header;     /* first byte of the packet */
    size_t header_size;  /* up to and with the packet number */
    size_t number_size;  /* 1..4: bytes of the packet number at the end of the header */
    uint64_t number;     /* the full packet number */
    uint32_t path_id;    /* draft-ietf-quic-multipath; else 0 */
    size_t payload_size; /* plaintext, >= 4 - number_size so that a sample exists */
};
/** Seal `count` packets with one key: AEAD in place, then header protection. 0 or NEAP_ERR_CRYPTO. */
int neap_packets_seal(struct crypto *crypto, struct packet_key *key, const struct seal_packet *packets,
                      size_t count);

#define MASK_RUN 16u /* masks made at a time */

/* What the first byte and the number of one packet are xored with (RFC 9001 §5.4.1): five bytes count. */
struct header_mask {
    uint8_t bytes[16];
};

/** Remove header protection in place: `number_at` is the offset of the packet number. Returns the number's size
 * (1..4) and its truncated value, or NEAP_ERR_INVALID_PACKET when the packet is too short for a sample. The caller
 * keeps a copy of the first byte and the 4 bytes at number_at when it may need to try again. */
int neap_packet_unmask(struct crypto *crypto, struct packet_key *key, uint8_t *packet, size_t packet_size,
                       size_t number_at, uint32_t *truncated);
/** Whether masks made together cost less than one by one: those of ChaCha20 do not. */
static inline bool packet_masks_gain(const struct packet_key *key)
{
    return key->suite != SUITE_CHACHA20_POLY1305_SHA256;
}
/** The masks of `size` bytes of packets that begin every `segment` bytes and have their number at `number_at`: of the first
 * MASK_RUN at most, while they are long enough for a sample. Returns how many; 0 also where they cannot be made. */
size_t neap_packet_masks(struct crypto *crypto, struct packet_key *key, const uint8_t *packets, size_t size,
                         size_t segment, size_t number_at, struct header_mask masks[MASK_RUN]);
/** neap_packet_unmask where the mask is there. The packet is as long as neap_packet_masks asks. */
int neap_packet_unmask_by(const struct header_mask *mask, uint8_t *packet, size_t number_at,
                          uint32_t *truncated);
/** Open the payload in place. `header_size` includes the packet number, `size` the whole packet with its tag.
 * Returns the plaintext size, or NEAP_ERR_CRYPTO. */
int64_t neap_packet_open(struct crypto *crypto, struct packet_key *key, uint8_t *packet, size_t header_size,
                         size_t size, uint32_t path_id, uint64_t number);

/** The Retry integrity tag (RFC 9001 §5.8) over the pseudo-packet made of odcid and `retry` (without the tag). */
int neap_retry_tag(struct crypto *crypto, const struct version_labels *labels, struct span odcid,
                   struct span retry, uint8_t tag[16]);

#endif
