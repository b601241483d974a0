/* Tokens: a mark that tells their kind, the secret's name, whether the epoch is odd, the nonce, the sealed body, the tag. The
 * bodies have fixed layouts, so that every length but one range is refused before anything is decrypted. */
#include "paths/token.h"

#include "base/pool.h"
#include "base/reader.h"
#include "base/writer.h"

#define MARK_SIZE 4u
#define NAME_SIZE 4u
#define NONCE_AT (MARK_SIZE + NAME_SIZE + 1u)
#define BODY_AT (NONCE_AT + CRYPTO_IV)
#define RETRY_BODY_FIXED (4u + 8u + 1u + 1u) /* version, time, two sizes */
#define RETRY_BODY_MOST (RETRY_BODY_FIXED + 2u * NEAP_MAX_CONNECTION_ID)
#define FRAME_BODY (4u + 8u) /* version, time */
#define ADDRESS_BYTES 19u
#define SERVER_ID_MOST 15u

static const struct {
    char mark[MARK_SIZE + 1]; /* tokens of other kinds and of other servers begin otherwise */
    const char *label;
    size_t body_least, body_most;
} kinds[TOKEN_KINDS] = {
    [TOKEN_OF_RETRY] = {"nRet", "neap retry", RETRY_BODY_FIXED, RETRY_BODY_MOST},
    [TOKEN_OF_FRAME] = {"nTok", "neap new token", FRAME_BODY, FRAME_BODY},
};

/* ---- keys */

void neap_token_keys_set(struct token_keys *keys, const uint8_t (*secrets)[32], size_t count)
{
    keys->count = count < TOKEN_KEYS_MOST ? count : TOKEN_KEYS_MOST;
    for (size_t i = 0; i < keys->count; i++) {
        memcpy(keys->secrets[i], secrets[i], sizeof(keys->secrets[i]));
        neap_hkdf_expand_label(HASH_SHA256, secrets[i], "neap token name", (struct span){0}, keys->names[i],
                               sizeof(keys->names[i]));
    }
    for (size_t i = 0; i < TOKEN_KINDS; i++)
        keys->sealing[i].epoch = -1;
}

void neap_token_keys_derive(struct token_keys *keys, const uint8_t secret[32])
{
    uint8_t derived[32];

    neap_hkdf_expand_label(HASH_SHA256, secret, "neap tokens", (struct span){0}, derived, sizeof(derived));
    neap_token_keys_set(keys, (const uint8_t(*)[32]) & derived, 1);
    neap_hkdf_expand_label(HASH_SHA256, secret, "neap reset", (struct span){0}, derived, sizeof(derived));
    neap_hmac_start(&keys->reset, HASH_SHA256, span_of(derived, sizeof(derived)));
    neap_wipe(derived, sizeof(derived));
}

static void derive_key(const struct token_keys *keys, size_t index, enum token_kind kind, int64_t epoch,
                       uint8_t key[16])
{
    uint8_t context[8];
    struct writer w = writer_of(context, sizeof(context));

    write_uint(&w, (uint64_t)epoch, sizeof(context));
    neap_hkdf_expand_label(HASH_SHA256, keys->secrets[index], kinds[kind].label,
                           span_of(context, sizeof(context)), key, 16);
}

/* The first secret's key of an epoch, which most often is the one of the last token. */
static void find_key(struct token_keys *keys, size_t index, enum token_kind kind, int64_t epoch,
                     uint8_t key[16])
{
    if (index > 0) {
        derive_key(keys, index, kind, epoch, key);
        return;
    }
    if (keys->sealing[kind].epoch != epoch) {
        derive_key(keys, 0, kind, epoch, keys->sealing[kind].key);
        keys->sealing[kind].epoch = epoch;
    }
    memcpy(key, keys->sealing[kind].key, 16);
}

/* A clock that says nothing has one epoch. */
static int64_t epoch_of(int64_t now, uint32_t length)
{
    return now > 0 ? now / length : 0;
}

/* The epoch that is odd or even as the token says: that of now, the next by a clock that is ahead, or the one before. */
static int64_t epoch_of_token(int64_t now, uint32_t length, bool is_odd)
{
    int64_t epoch = epoch_of(now, length);

    if ((epoch & 1) == is_odd)
        return epoch;
    return epoch_of(now + TOKEN_CLOCK_TOLERANCE, length) > epoch ? epoch + 1 : epoch - 1;
}

/* ---- the envelope */

/* What a token is bound to: family, address and, of a Retry, the port. The scope is ours, not the peer's. */
static struct span address_bytes(const neap_address *peer, enum token_kind kind, uint8_t out[ADDRESS_BYTES])
{
    struct writer w = writer_of(out, ADDRESS_BYTES);

    write_u8(&w, peer->family);
    write_bytes(&w, peer->ip, sizeof(peer->ip));
    if (kind == TOKEN_OF_RETRY)
        write_u16(&w, peer->port);
    return span_of(out, writer_size(&w));
}

static int64_t seal(struct crypto *crypto, struct token_keys *keys, enum token_kind kind,
                    const neap_address *peer, int64_t epoch, struct span body, uint8_t *out, size_t size)
{
    uint8_t key[16], address[ADDRESS_BYTES];

    if (size < BODY_AT + body.size + CRYPTO_TAG)
        return NEAP_ERR_BUFFER_TOO_SHORT;
    memcpy(out, kinds[kind].mark, MARK_SIZE);
    memcpy(out + MARK_SIZE, keys->names[0], NAME_SIZE);
    out[MARK_SIZE + NAME_SIZE] = (uint8_t)(epoch & 1);
    neap_random_bytes(neap_crypto_random(crypto), out + NONCE_AT, CRYPTO_IV);
    find_key(keys, 0, kind, epoch, key);
    int error = neap_aead_seal(crypto, SUITE_AES_128_GCM_SHA256, key, out + NONCE_AT,
                               address_bytes(peer, kind, address), body.data, body.size, out + BODY_AT);
    neap_wipe(key, sizeof(key));
    return error ? error : (int64_t)(BODY_AT + body.size + CRYPTO_TAG);
}

static bool is_of_kind(struct span bytes, enum token_kind kind)
{
    return bytes.size >= BODY_AT + kinds[kind].body_least + CRYPTO_TAG &&
           bytes.size <= BODY_AT + kinds[kind].body_most + CRYPTO_TAG &&
           memcmp(bytes.data, kinds[kind].mark, MARK_SIZE) == 0;
}

/* The body into RETRY_BODY_MOST + CRYPTO_TAG bytes; empty when it is not ours, or of another address. */
static struct span open_token(struct crypto *crypto, struct token_keys *keys, enum token_kind kind,
                              struct span bytes, const neap_address *peer, int64_t now, uint32_t length,
                              uint8_t *room)
{
    uint8_t key[16], address[ADDRESS_BYTES];
    size_t index = 0;

    if (!is_of_kind(bytes, kind) || bytes.data[MARK_SIZE + NAME_SIZE] > 1)
        return (struct span){0};
    while (index < keys->count && memcmp(keys->names[index], bytes.data + MARK_SIZE, NAME_SIZE) != 0)
        index++;
    if (index == keys->count)
        return (struct span){0};
    find_key(keys, index, kind, epoch_of_token(now, length, bytes.data[MARK_SIZE + NAME_SIZE]), key);
    int error =
        neap_aead_open(crypto, SUITE_AES_128_GCM_SHA256, key, bytes.data + NONCE_AT,
                       address_bytes(peer, kind, address), bytes.data + BODY_AT, bytes.size - BODY_AT, room);
    neap_wipe(key, sizeof(key));
    return error ? (struct span){0} : span_of(room, bytes.size - BODY_AT - CRYPTO_TAG);
}

/* It may be another machine's, whose clock is not quite ours. */
static bool is_of_its_time(int64_t issued, int64_t now, int64_t lifetime)
{
    return issued <= now + TOKEN_CLOCK_TOLERANCE && issued >= now - lifetime - TOKEN_CLOCK_TOLERANCE;
}

/* ---- of Retry packets */

int64_t neap_retry_token_seal(struct crypto *crypto, struct token_keys *keys, const struct retry_token *token,
                              const neap_address *peer, uint8_t *out, size_t size)
{
    uint8_t body[RETRY_BODY_MOST];
    struct writer w = writer_of(body, sizeof(body));

    write_u32(&w, token->version);
    write_uint(&w, (uint64_t)token->issued, 8);
    write_u8(&w, token->original_dcid.size);
    write_bytes(&w, token->original_dcid.bytes, token->original_dcid.size);
    write_u8(&w, token->retry_scid.size);
    write_bytes(&w, token->retry_scid.bytes, token->retry_scid.size);
    if (w.full)
        return NEAP_ERR_ARGUMENT;
    return seal(crypto, keys, TOKEN_OF_RETRY, peer, epoch_of(token->issued, TOKEN_RETRY_EPOCH),
                span_of(body, writer_size(&w)), out, size);
}

static void read_cid(struct reader *r, neap_cid *out)
{
    struct span bytes = read_vector(r, 1);

    *out = (neap_cid){0};
    if (bytes.size > NEAP_MAX_CONNECTION_ID) {
        r->bad = true;
        return;
    }
    if (bytes.size)
        memcpy(out->bytes, bytes.data, bytes.size);
    out->size = (uint8_t)bytes.size;
}

bool neap_is_retry_token(struct span bytes)
{
    return is_of_kind(bytes, TOKEN_OF_RETRY);
}

int neap_retry_token_open(struct crypto *crypto, struct token_keys *keys, struct span bytes,
                          const neap_address *peer, int64_t now, struct retry_token *out)
{
    uint8_t room[RETRY_BODY_MOST + CRYPTO_TAG];
    struct retry_token token;
    struct reader r =
        reader_of(open_token(crypto, keys, TOKEN_OF_RETRY, bytes, peer, now, TOKEN_RETRY_EPOCH, room));

    token.version = read_u32(&r);
    token.issued = (int64_t)read_uint(&r, 8);
    read_cid(&r, &token.original_dcid);
    read_cid(&r, &token.retry_scid);
    if (r.bad || reader_left(&r) || !is_of_its_time(token.issued, now, TOKEN_RETRY_LIFETIME))
        return NEAP_ERR_TOKEN;
    *out = token;
    return 0;
}

/* ---- of NEW_TOKEN frames */

int64_t neap_frame_token_seal(struct crypto *crypto, struct token_keys *keys, uint32_t version,
                              const neap_address *peer, int64_t now, uint32_t lifetime, uint8_t *out,
                              size_t size)
{
    uint8_t body[FRAME_BODY];
    struct writer w = writer_of(body, sizeof(body));

    if (!time_is_known(now) || lifetime == 0)
        return NEAP_ERR_STATE;
    write_u32(&w, version);
    write_uint(&w, (uint64_t)now, 8);
    return seal(crypto, keys, TOKEN_OF_FRAME, peer, epoch_of(now, lifetime), span_of(body, writer_size(&w)),
                out, size);
}

bool neap_is_frame_token(struct span bytes)
{
    return is_of_kind(bytes, TOKEN_OF_FRAME);
}

int neap_frame_token_open(struct crypto *crypto, struct token_keys *keys, struct span bytes, uint32_t version,
                          const neap_address *peer, int64_t now, uint32_t lifetime, int64_t *expires)
{
    uint8_t room[RETRY_BODY_MOST + CRYPTO_TAG];

    if (!time_is_known(now) || lifetime == 0)
        return NEAP_ERR_TOKEN;
    struct reader r = reader_of(open_token(crypto, keys, TOKEN_OF_FRAME, bytes, peer, now, lifetime, room));
    uint32_t told = read_u32(&r);
    int64_t issued = (int64_t)read_uint(&r, 8);
    if (r.bad || told != version || !is_of_its_time(issued, now, lifetime))
        return NEAP_ERR_TOKEN;
    *expires = issued + lifetime + TOKEN_CLOCK_TOLERANCE;
    return 0;
}

/* ---- stateless resets */

void neap_reset_token(const struct token_keys *keys, const neap_cid *cid, struct span server_id,
                      uint8_t out[16])
{
    uint8_t mac[CRYPTO_MAX_HASH], named[NEAP_MAX_CONNECTION_ID + SERVER_ID_MOST + 1] = {0};

    memcpy(named, cid->bytes, cid->size);
    /* With a server ID it is longer than every connection ID: none has the token of another without. */
    if (server_id.size > 0) {
        memcpy(named + NEAP_MAX_CONNECTION_ID, server_id.data, server_id.size);
        named[sizeof(named) - 1] = (uint8_t)server_id.size;
    }
    neap_hmac_of(&keys->reset, span_of(named, server_id.size > 0 ? sizeof(named) : cid->size), mac);
    memcpy(out, mac, 16);
}

/* ---- those that were used */

struct used_token {
    uint64_t hash;
    int64_t expires; /* 0: never used */
};

static size_t rows_for(size_t most)
{
    size_t rows = 1;

    while (rows * 2 * LIMIT_USED_TOKENS_ROW <= most)
        rows *= 2;
    return rows;
}

bool neap_used_tokens_note(struct used_tokens *used, struct pool *pool, size_t most, const uint8_t id[32],
                           int64_t expires, int64_t now)
{
    struct used_token *place = NULL, *row;
    struct reader r = reader_of(span_of(id, 32));
    uint64_t at = read_uint(&r, 8), hash = read_uint(&r, 8);

    if (!used->entries) {
        used->count = rows_for(most) * LIMIT_USED_TOKENS_ROW;
        used->entries = neap_pool_alloc_lasting(pool, used->count * sizeof(*used->entries));
        if (!used->entries)
            return false;
    }
    row = used->entries + at % (used->count / LIMIT_USED_TOKENS_ROW) * LIMIT_USED_TOKENS_ROW;
    for (size_t i = 0; i < LIMIT_USED_TOKENS_ROW; i++) {
        if (row[i].expires > now && row[i].hash == hash)
            return false;
        if (row[i].expires <= now && !place)
            place = &row[i];
    }
    if (!place)
        return false;
    *place = (struct used_token){.hash = hash, .expires = expires};
    return true;
}

void neap_used_tokens_free(struct used_tokens *used, struct pool *pool)
{
    if (used->entries)
        neap_pool_free(pool, used->entries, used->count * sizeof(*used->entries));
    used->entries = NULL;
}
