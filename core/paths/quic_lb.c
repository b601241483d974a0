/* QUIC-LB (draft-ietf-quic-load-balancers §5): single-pass where ID and nonce are a block of AES, else a Feistel network of
 * four rounds. Nonces under a key are counted, from a random start, so that none comes twice. */
#include "paths/quic_lb.h"

#define BLOCK 16u
#define PLAIN_MOST 19u
#define HALF_MOST 10u
#define PASSES 4u
#define COUNTER_MOST 8u /* bytes of a nonce that are counted; what is longer is random above them */

bool neap_quic_lb_is_valid(const neap_quic_lb *config)
{
    if (config->config_id == NEAP_QUIC_LB_UNROUTABLE)
        return true;
    return config->config_id < NEAP_QUIC_LB_UNROUTABLE && config->server_id_length >= 1 &&
           config->server_id_length <= sizeof config->server_id && config->nonce_length >= 4 &&
           config->server_id_length + config->nonce_length <= (int)PLAIN_MOST;
}

void neap_quic_lb_start(struct quic_lb *lb, const neap_quic_lb *config)
{
    *lb = (struct quic_lb){.config = *config};
}

bool neap_quic_lb_shares_nonces(const neap_quic_lb *a, const neap_quic_lb *b)
{
    return a->has_key && b->has_key && a->nonce_length == b->nonce_length &&
           a->server_id_length == b->server_id_length && memcmp(a->key, b->key, sizeof a->key) == 0 &&
           memcmp(a->server_id, b->server_id, a->server_id_length) == 0;
}

void neap_quic_lb_restart(struct quic_lb *lb)
{
    lb->has_begun = false;
}

bool neap_quic_lb_is_unroutable(const struct quic_lb *lb)
{
    return lb->config.config_id == NEAP_QUIC_LB_UNROUTABLE || lb->is_exhausted;
}

/* ---- the cipher */

/* The two halves of server ID and nonce. Of an odd count the octet in the middle is split: the left one ends with its first
 * four bits, the right one begins with its last. */
struct halves {
    uint8_t length; /* of both together */
    uint8_t size;   /* of each */
    uint8_t left[HALF_MOST], right[HALF_MOST];
};

static void clear_bits(struct halves *h)
{
    if (h->length % 2 == 0)
        return;
    h->left[h->size - 1] &= 0xf0;
    h->right[0] &= 0x0f;
}

static void split(struct halves *h, const uint8_t *bytes, uint8_t length)
{
    h->length = length;
    h->size = (uint8_t)((length + 1) / 2);
    memcpy(h->left, bytes, h->size);
    memcpy(h->right, bytes + length - h->size, h->size);
    clear_bits(h);
}

static void join(const struct halves *h, uint8_t *out)
{
    size_t shared = h->length % 2;

    memcpy(out, h->left, h->size);
    if (shared)
        out[h->size - 1] |= h->right[0];
    memcpy(out + h->size, h->right + shared, h->size - shared);
}

/* Odd passes change the right half by the left one, even ones the left half; done twice, one is undone. */
static int run_pass(const uint8_t key[16], struct halves *h, unsigned pass)
{
    const uint8_t *from = pass % 2 ? h->left : h->right;
    uint8_t *to = pass % 2 ? h->right : h->left, block[BLOCK] = {0};

    memcpy(block, from, h->size);
    block[14] = h->length;
    block[15] = (uint8_t)pass;
    if (neap_aes128_block(key, false, block, block))
        return NEAP_ERR_CRYPTO;
    for (size_t i = 0; i < h->size; i++)
        to[i] ^= block[i];
    clear_bits(h);
    return 0;
}

static int encrypt(const uint8_t key[16], uint8_t *bytes, uint8_t length)
{
    struct halves h;

    if (length == BLOCK)
        return neap_aes128_block(key, false, bytes, bytes);
    split(&h, bytes, length);
    for (unsigned pass = 1; pass <= PASSES; pass++)
        if (run_pass(key, &h, pass))
            return NEAP_ERR_CRYPTO;
    join(&h, bytes);
    return 0;
}

/* Only the server's ID is to be right: where it is in the left half, three passes do. */
static int decrypt(const neap_quic_lb *config, uint8_t *bytes, uint8_t length)
{
    struct halves h;

    if (length == BLOCK)
        return neap_aes128_block(config->key, true, bytes, bytes);
    split(&h, bytes, length);
    for (unsigned pass = PASSES; pass >= (config->nonce_length >= config->server_id_length ? 2u : 1u); pass--)
        if (run_pass(config->key, &h, pass))
            return NEAP_ERR_CRYPTO;
    join(&h, bytes);
    return 0;
}

int neap_quic_lb_encode(const neap_quic_lb *config, const uint8_t *nonce, uint8_t *out)
{
    memcpy(out, config->server_id, config->server_id_length);
    memcpy(out + config->server_id_length, nonce, config->nonce_length);
    return config->has_key
               ? encrypt(config->key, out, (uint8_t)(config->server_id_length + config->nonce_length))
               : 0;
}

/* ---- the server */

static size_t counted_bytes(const struct quic_lb *lb)
{
    return lb->config.nonce_length < COUNTER_MOST ? lb->config.nonce_length : COUNTER_MOST;
}

static uint64_t counter_mask(const struct quic_lb *lb)
{
    return UINT64_MAX >> (64 - 8 * counted_bytes(lb));
}

uint64_t neap_quic_lb_left(const struct quic_lb *lb)
{
    if (neap_quic_lb_is_unroutable(lb))
        return 0;
    if (!lb->config.has_key)
        return UINT64_MAX;
    uint64_t used = lb->has_begun ? (lb->next - lb->first) & counter_mask(lb) : 0;
    return counter_mask(lb) - used; /* the last is not used, so that a whole round is told from none */
}

void neap_quic_lb_give_back(struct quic_lb *lb, uint64_t left)
{
    if (!lb->config.has_key || !lb->has_begun || left == 0)
        return;
    lb->next = (lb->first + (counter_mask(lb) - left)) & counter_mask(lb);
    lb->is_exhausted = false;
}

/* Under a key a nonce comes once; without one it is to have no relation to others. */
static void next_nonce(struct quic_lb *lb, struct random *random, uint8_t *out)
{
    neap_random_bytes(random, out, lb->config.nonce_length);
    if (!lb->config.has_key)
        return;
    if (!lb->has_begun) {
        lb->first = lb->next = neap_random_u64(random) & counter_mask(lb);
        lb->has_begun = true;
    }
    uint64_t nonce = lb->next;
    for (size_t i = 0; i < counted_bytes(lb); i++)
        out[lb->config.nonce_length - 1u - i] = (uint8_t)(nonce >> (8 * i));
    lb->next = (nonce + 1) & counter_mask(lb);
    lb->is_exhausted = ((lb->next + 1) & counter_mask(lb)) == lb->first;
}

int neap_quic_lb_make(struct quic_lb *lb, struct random *random, size_t size, neap_cid *out)
{
    uint8_t nonce[PLAIN_MOST];
    bool is_unroutable = neap_quic_lb_is_unroutable(lb);
    unsigned config_id = is_unroutable ? NEAP_QUIC_LB_UNROUTABLE : lb->config.config_id;

    *out = (neap_cid){.size = (uint8_t)size};
    neap_random_bytes(random, out->bytes, size);
    /* What names no server tells its length in any case (draft §3.2). */
    unsigned low = lb->config.length_encoding || is_unroutable ? (unsigned)size - 1 : out->bytes[0] & 0x1fu;
    out->bytes[0] = (uint8_t)(config_id << 5 | low);
    if (is_unroutable)
        return 0;
    next_nonce(lb, random, nonce);
    return neap_quic_lb_encode(&lb->config, nonce, out->bytes + 1);
}

/* ---- the balancer */

/* The configuration that the first octet names: a copy, whatever size the caller's structs have. */
static int find_config(const neap_quic_lb *configs, size_t config_size, size_t count, uint8_t first_octet,
                       size_t *index, neap_quic_lb *out)
{
    for (size_t i = 0; i < count; i++) {
        *out = (neap_quic_lb){0};
        memcpy(out, (const uint8_t *)configs + i * config_size,
               config_size < sizeof *out ? config_size : sizeof *out);
        if (!neap_quic_lb_is_valid(out))
            return NEAP_ERR_ARGUMENT;
        *index = i;
        if (out->config_id == first_octet >> 5 && out->config_id != NEAP_QUIC_LB_UNROUTABLE)
            return 0;
    }
    return NEAP_ERR_UNSUPPORTED;
}

static bool is_length_wrong(const neap_quic_lb *config, const uint8_t *cid, size_t cid_size, bool is_whole)
{
    size_t told = (cid[0] & 0x1fu) + 1;

    return config->length_encoding &&
           (told < quic_lb_size(config) || (is_whole ? told != cid_size : told > cid_size));
}

int64_t neap_quic_lb_decode(const neap_quic_lb *configs, size_t config_size, size_t count, const uint8_t *cid,
                            size_t cid_size, bool is_whole, uint8_t server_id[15], size_t *index)
{
    uint8_t plain[PLAIN_MOST];
    neap_quic_lb config = {0};
    size_t at = 0;

    if (cid_size == 0)
        return NEAP_ERR_UNSUPPORTED;
    int64_t result = find_config(configs, config_size, count, cid[0], &at, &config);
    if (result == 0 &&
        (cid_size < quic_lb_size(&config) || is_length_wrong(&config, cid, cid_size, is_whole)))
        result = NEAP_ERR_UNSUPPORTED;
    if (result == 0) {
        uint8_t length = (uint8_t)(config.server_id_length + config.nonce_length);

        memcpy(plain, cid + 1, length);
        result = config.has_key ? decrypt(&config, plain, length) : 0;
    }
    if (result == 0) {
        memcpy(server_id, plain, config.server_id_length);
        result = config.server_id_length;
        if (index)
            *index = at;
    }
    neap_wipe(&config, sizeof config);
    return result;
}
