/* Packet protection (RFC 9001 §5): derivation, sealing runs of packets, opening, header protection, Retry tags. */
#include "crypto/backend.h"

#include "base/limits.h"
#include "base/pool.h"
#include "base/writer.h"
#include "neap.h"

#define NUMBER_SIZE_MAX 4u
_Static_assert(sizeof(struct header_mask) == MASK_BLOCK, "engines make masks behind one another");
#define RUN_PACKETS 16u /* handed to the engine at a time */
/* A Retry packet whose token we would take, behind the original connection ID. */
#define RETRY_PSEUDO_MAX (1 + LIMIT_CONNECTION_ID + 7 + 2 * LIMIT_CONNECTION_ID + LIMIT_TOKEN)

static void derive_payload_keys(struct packet_key *out, const struct version_labels *labels,
                                const struct hkdf_secret *secret)
{
    memset(out->key, 0, sizeof(out->key));
    neap_hkdf_secret_expand(secret, labels->key, (struct span){0}, out->key, neap_suite_key_size(out->suite));
    neap_hkdf_secret_expand(secret, labels->iv, (struct span){0}, out->iv, sizeof(out->iv));
}

void neap_packet_key_derive(struct packet_key *out, const struct version_labels *labels,
                            enum crypto_suite suite, const uint8_t *secret)
{
    struct hkdf_secret prepared;

    neap_hkdf_secret_start(&prepared, neap_suite_hash(suite), secret);
    *out = (struct packet_key){.suite = (uint16_t)suite};
    derive_payload_keys(out, labels, &prepared);
    neap_hkdf_secret_expand(&prepared, labels->hp, (struct span){0}, out->hp, neap_suite_key_size(suite));
    neap_hkdf_secret_wipe(&prepared);
}

static void derive_initial(struct packet_key *out, const struct version_labels *labels,
                           const struct hkdf_secret *initial, const char *label)
{
    uint8_t secret[32];

    neap_hkdf_secret_expand(initial, label, (struct span){0}, secret, sizeof(secret));
    neap_packet_key_derive(out, labels, SUITE_AES_128_GCM_SHA256, secret);
    neap_wipe(secret, sizeof(secret));
}

void neap_packet_key_initial(struct packet_key *client, struct packet_key *server,
                             const struct version_labels *labels, struct span dcid)
{
    uint8_t initial[32];
    struct hkdf_secret prepared;

    neap_hkdf_extract(HASH_SHA256, span_of(labels->initial_salt, sizeof(labels->initial_salt)), dcid,
                      initial);
    neap_hkdf_secret_start(&prepared, HASH_SHA256, initial);
    derive_initial(client, labels, &prepared, "client in");
    derive_initial(server, labels, &prepared, "server in");
    neap_hkdf_secret_wipe(&prepared);
    neap_wipe(initial, sizeof(initial));
}

void neap_packet_key_next(struct packet_key *out, const struct packet_key *key,
                          const struct version_labels *labels, uint8_t *secret)
{
    enum crypto_hash hash = neap_suite_hash(key->suite);
    uint8_t next[CRYPTO_MAX_HASH];
    struct hkdf_secret prepared;

    *out = *key;
    out->expanded = NULL;
    neap_hkdf_expand_label(hash, secret, labels->ku, (struct span){0}, next, crypto_hash_size(hash));
    memcpy(secret, next, crypto_hash_size(hash));
    neap_wipe(next, sizeof(next));
    neap_hkdf_secret_start(&prepared, hash, secret);
    derive_payload_keys(out, labels, &prepared);
    neap_hkdf_secret_wipe(&prepared);
}

static const struct engine *engine_of(const struct crypto *crypto, uint16_t suite)
{
    return suite == SUITE_CHACHA20_POLY1305_SHA256 ? &neap_engine_chachapoly : crypto->engine;
}

void neap_packet_key_rest(struct crypto *crypto, struct packet_key *key)
{
    const struct engine *engine = engine_of(crypto, key->suite);

    if (!key->expanded)
        return;
    engine->clear(key->expanded);
    neap_pool_free(crypto->pool, key->expanded, engine->expanded_size);
    key->expanded = NULL;
}

void neap_packet_key_wipe(struct crypto *crypto, struct packet_key *key)
{
    neap_packet_key_rest(crypto, key);
    neap_wipe(key, sizeof(*key));
}

/* A busy key's expanded form for good, another's, or without memory, for one use. NULL when that fails. */
static void *expand(struct crypto *crypto, struct packet_key *key)
{
    const struct engine *engine = engine_of(crypto, key->suite);
    void *room = key->is_busy ? neap_pool_alloc(crypto->pool, engine->expanded_size) : NULL;
    if (engine->expand(room ? room : crypto->scratch, key)) {
        neap_pool_free(crypto->pool, room, engine->expanded_size);
        return NULL;
    }
    key->expanded = room;
    return room ? room : crypto->scratch;
}

static inline void *begin_use(struct crypto *crypto, struct packet_key *key)
{
    return key->expanded ? key->expanded : expand(crypto, key);
}

static inline void end_use(struct crypto *crypto, const struct packet_key *key)
{
    if (!key->expanded)
        engine_of(crypto, key->suite)->clear(crypto->scratch);
}

void neap_packet_key_expand(struct crypto *crypto, struct packet_key *key)
{
    if (key->is_busy && begin_use(crypto, key))
        end_use(crypto, key);
}

/* The IV, its last 8 bytes xored with the packet number (RFC 9001 §5.3), and the 4 before them with the path ID
 * (draft-ietf-quic-multipath §2.4). */
static void make_nonce(const struct packet_key *key, uint32_t path_id, uint64_t number,
                       uint8_t nonce[CRYPTO_IV])
{
    uint64_t last;
    uint32_t first;

    _Static_assert(CRYPTO_IV == sizeof(first) + sizeof(last), "a path ID and a packet number");
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
    number = __builtin_bswap64(number);
#endif
    path_id = big_endian_32(path_id);
    memcpy(&first, key->iv, sizeof(first));
    memcpy(&last, key->iv + sizeof(first), sizeof(last));
    first ^= path_id;
    last ^= number;
    memcpy(nonce, &first, sizeof(first));
    memcpy(nonce + CRYPTO_IV - sizeof(last), &last, sizeof(last));
}

/* The bits of the first byte that are protected: four of a long header, five of a short one (RFC 9001 §5.4.1). */
static uint8_t first_byte_bits(uint8_t first)
{
    return first & 0x80 ? 0x0f : 0x1f;
}

static bool can_be_sealed(const struct seal_packet *packet)
{
    return packet->number_size >= 1 && packet->number_size <= NUMBER_SIZE_MAX &&
           packet->header_size > packet->number_size &&
           packet->payload_size + packet->number_size >= NUMBER_SIZE_MAX;
}

/* Mask the first bytes, as many as the packet number has, of the four where it begins. Returns the number that it then is.
 * Neither it nor its size may be seen by the time that this takes (RFC 9001 §9.5). */
static uint32_t mask_number(uint8_t *at, size_t number_size, const uint8_t mask[4])
{
    size_t behind = 8 * (NUMBER_SIZE_MAX - number_size); /* bits of the payload */
    uint32_t number, masks;

    memcpy(&number, at, sizeof(number));
    memcpy(&masks, mask, sizeof(masks));
    number ^= masks & big_endian_32(UINT32_MAX << behind);
    memcpy(at, &number, sizeof(number));
    return big_endian_32(number) >> behind;
}

static void mask_header(const struct seal_packet *packet, const uint8_t mask[5])
{
    packet->header[0] ^= mask[0] & first_byte_bits(packet->header[0]);
    mask_number(packet->header + packet->header_size - packet->number_size, packet->number_size, mask + 1);
}

static int seal_run(const struct engine *engine, void *expanded, const struct packet_key *key,
                    const struct seal_packet *packets, size_t count)
{
    struct aead_item items[RUN_PACKETS];
    const uint8_t *samples[RUN_PACKETS];
    uint8_t masks[RUN_PACKETS][MASK_BLOCK];

    for (size_t i = 0; i < count; i++) {
        const struct seal_packet *packet = &packets[i];
        uint8_t *payload = packet->header + packet->header_size;

        if (!can_be_sealed(packet))
            return NEAP_ERR_CRYPTO;
        make_nonce(key, packet->path_id, packet->number, items[i].nonce);
        items[i].aad = span_of(packet->header, packet->header_size);
        items[i].in = items[i].out = payload;
        items[i].size = packet->payload_size;
        samples[i] = payload - packet->number_size + NUMBER_SIZE_MAX;
    }
    if (engine->seal_run(expanded, items, count) || engine->mask(expanded, samples, count, masks))
        return NEAP_ERR_CRYPTO;
    for (size_t i = 0; i < count; i++)
        mask_header(&packets[i], masks[i]);
    return 0;
}

int neap_packets_seal(struct crypto *crypto, struct packet_key *key, const struct seal_packet *packets,
                      size_t count)
{
    void *expanded = begin_use(crypto, key);
    int error = expanded ? 0 : NEAP_ERR_CRYPTO;

    for (size_t i = 0; i < count && !error; i += RUN_PACKETS)
        error = seal_run(engine_of(crypto, key->suite), expanded, key, packets + i,
                         count - i < RUN_PACKETS ? count - i : RUN_PACKETS);
    end_use(crypto, key);
    return error;
}

static bool has_sample(size_t packet_size, size_t number_at)
{
    return number_at > 0 && packet_size >= NUMBER_SIZE_MAX + MASK_BLOCK &&
           number_at <= packet_size - NUMBER_SIZE_MAX - MASK_BLOCK;
}

static int make_masks(struct crypto *crypto, struct packet_key *key, const uint8_t *const *samples,
                      size_t count, struct header_mask *masks)
{
    void *expanded = begin_use(crypto, key);
    int error = NEAP_ERR_CRYPTO;

    if (expanded)
        error = engine_of(crypto, key->suite)->mask(expanded, samples, count, (uint8_t(*)[MASK_BLOCK])masks);
    end_use(crypto, key);
    return error;
}

int neap_packet_unmask_by(const struct header_mask *mask, uint8_t *packet, size_t number_at,
                          uint32_t *truncated)
{
    packet[0] ^= mask->bytes[0] & first_byte_bits(packet[0]);
    int size = (packet[0] & 0x03) + 1;
    *truncated = mask_number(packet + number_at, (size_t)size, mask->bytes + 1);
    return size;
}

int neap_packet_unmask(struct crypto *crypto, struct packet_key *key, uint8_t *packet, size_t packet_size,
                       size_t number_at, uint32_t *truncated)
{
    const uint8_t *sample = packet + number_at + NUMBER_SIZE_MAX;
    struct header_mask mask;

    if (!has_sample(packet_size, number_at) || make_masks(crypto, key, &sample, 1, &mask))
        return NEAP_ERR_INVALID_PACKET;
    return neap_packet_unmask_by(&mask, packet, number_at, truncated);
}

size_t neap_packet_masks(struct crypto *crypto, struct packet_key *key, const uint8_t *packets, size_t size,
                         size_t segment, size_t number_at, struct header_mask masks[MASK_RUN])
{
    const uint8_t *samples[MASK_RUN];
    size_t count = 0;

    for (; count < MASK_RUN && count * segment < size; count++) {
        size_t left = size - count * segment;

        if (!has_sample(left < segment ? left : segment, number_at))
            break;
        samples[count] = packets + count * segment + number_at + NUMBER_SIZE_MAX;
    }
    return count > 0 && make_masks(crypto, key, samples, count, masks) == 0 ? count : 0;
}

int64_t neap_packet_open(struct crypto *crypto, struct packet_key *key, uint8_t *packet, size_t header_size,
                         size_t size, uint32_t path_id, uint64_t number)
{
    if (header_size > size || size - header_size < CRYPTO_TAG)
        return NEAP_ERR_CRYPTO;
    struct aead_item item = {.aad = span_of(packet, header_size),
                             .in = packet + header_size,
                             .size = size - header_size,
                             .out = packet + header_size};
    make_nonce(key, path_id, number, item.nonce);
    void *expanded = begin_use(crypto, key);
    int error = expanded ? engine_of(crypto, key->suite)->open(expanded, &item) : NEAP_ERR_CRYPTO;
    end_use(crypto, key);
    return error ? error : (int64_t)(size - header_size - CRYPTO_TAG);
}

/* One message with a key that is used for nothing else. */
static int use_once(struct crypto *crypto, bool is_seal, enum crypto_suite suite, const uint8_t *key,
                    const struct aead_item *item)
{
    const struct engine *engine = engine_of(crypto, (uint16_t)suite);
    struct packet_key whole = {.suite = (uint16_t)suite};

    memcpy(whole.key, key, neap_suite_key_size(suite));
    void *expanded = begin_use(crypto, &whole);
    int error = !expanded ? NEAP_ERR_CRYPTO
                : is_seal ? engine->seal_run(expanded, item, 1)
                          : engine->open(expanded, item);
    end_use(crypto, &whole);
    neap_wipe(&whole, sizeof(whole));
    return error;
}

int neap_aead_seal(struct crypto *crypto, enum crypto_suite suite, const uint8_t *key, const uint8_t iv[12],
                   struct span aad, const uint8_t *in, size_t size, uint8_t *out)
{
    struct aead_item item = {.aad = aad, .in = in, .size = size, .out = out};

    memcpy(item.nonce, iv, CRYPTO_IV);
    return use_once(crypto, true, suite, key, &item);
}

int neap_aead_open(struct crypto *crypto, enum crypto_suite suite, const uint8_t *key, const uint8_t iv[12],
                   struct span aad, const uint8_t *in, size_t size, uint8_t *out)
{
    struct aead_item item = {.aad = aad, .in = in, .size = size, .out = out};

    if (size < CRYPTO_TAG)
        return NEAP_ERR_CRYPTO;
    memcpy(item.nonce, iv, CRYPTO_IV);
    return use_once(crypto, false, suite, key, &item);
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
