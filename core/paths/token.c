/* Retry tokens: a mark, the nonce, the sealed body, the tag. The body has one fixed layout, so that every length but one
 * range is refused before anything is decrypted. */
#include "paths/token.h"

#include "base/limits.h"
#include "base/reader.h"
#include "base/writer.h"

#define MARK "nRet"                     /* tokens of other kinds and of other servers begin otherwise */
#define MARK_SIZE 4u                    /* without its NUL */
#define BODY_AT (MARK_SIZE + CRYPTO_IV) /* behind mark and nonce */
#define BODY_FIXED (4u + 8u + 1u + 1u)  /* version, time, two sizes */
#define BODY_MAX (BODY_FIXED + 2u * NEAP_MAX_CONNECTION_ID)
#define ADDRESS_BYTES 19u
#define SERVER_ID_MOST 15u

void neap_token_keys_derive(struct token_keys *keys, const uint8_t secret[32])
{
    uint8_t reset[32];

    neap_hkdf_expand_label(HASH_SHA256, secret, "neap retry", (struct span){0}, keys->seal,
                           sizeof(keys->seal));
    neap_hkdf_expand_label(HASH_SHA256, secret, "neap reset", (struct span){0}, reset, sizeof(reset));
    neap_hmac_start(&keys->reset, HASH_SHA256, span_of(reset, sizeof(reset)));
    neap_wipe(reset, sizeof(reset));
}

/* What a token is bound to: family, address and port. The scope is ours, not the peer's. */
static struct span address_bytes(const neap_address *peer, uint8_t out[ADDRESS_BYTES])
{
    struct writer w = writer_of(out, ADDRESS_BYTES);

    write_u8(&w, peer->family);
    write_bytes(&w, peer->ip, sizeof(peer->ip));
    write_u16(&w, peer->port);
    return span_of(out, writer_size(&w));
}

int64_t neap_retry_token_seal(struct crypto *crypto, const struct token_keys *keys,
                              const struct retry_token *token, const neap_address *peer, uint8_t *out,
                              size_t size)
{
    uint8_t body[BODY_MAX], address[ADDRESS_BYTES];
    struct writer w = writer_of(body, sizeof(body));

    write_u32(&w, token->version);
    write_uint(&w, (uint64_t)token->issued, 8);
    write_u8(&w, token->original_dcid.size);
    write_bytes(&w, token->original_dcid.bytes, token->original_dcid.size);
    write_u8(&w, token->retry_scid.size);
    write_bytes(&w, token->retry_scid.bytes, token->retry_scid.size);
    if (w.full)
        return NEAP_ERR_ARGUMENT;
    if (size < BODY_AT + writer_size(&w) + CRYPTO_TAG)
        return NEAP_ERR_BUFFER_TOO_SHORT;
    memcpy(out, MARK, MARK_SIZE);
    neap_random_bytes(neap_crypto_random(crypto), out + MARK_SIZE, CRYPTO_IV);
    int error = neap_aead_seal(crypto, SUITE_AES_128_GCM_SHA256, keys->seal, out + MARK_SIZE,
                               address_bytes(peer, address), body, writer_size(&w), out + BODY_AT);
    return error ? error : (int64_t)(BODY_AT + writer_size(&w) + CRYPTO_TAG);
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
    return bytes.size >= BODY_AT + BODY_FIXED + CRYPTO_TAG && bytes.size <= BODY_AT + BODY_MAX + CRYPTO_TAG &&
           memcmp(bytes.data, MARK, MARK_SIZE) == 0;
}

int neap_retry_token_open(struct crypto *crypto, const struct token_keys *keys, struct span bytes,
                          const neap_address *peer, int64_t now, struct retry_token *out)
{
    uint8_t body[BODY_MAX + CRYPTO_TAG], address[ADDRESS_BYTES];
    struct retry_token token;

    if (!neap_is_retry_token(bytes))
        return NEAP_ERR_TOKEN;
    if (neap_aead_open(crypto, SUITE_AES_128_GCM_SHA256, keys->seal, bytes.data + MARK_SIZE,
                       address_bytes(peer, address), bytes.data + BODY_AT, bytes.size - BODY_AT, body))
        return NEAP_ERR_TOKEN;
    struct reader r = reader_of(span_of(body, bytes.size - BODY_AT - CRYPTO_TAG));
    token.version = read_u32(&r);
    token.issued = (int64_t)read_uint(&r, 8);
    read_cid(&r, &token.original_dcid);
    read_cid(&r, &token.retry_scid);
    if (r.bad || reader_left(&r))
        return NEAP_ERR_TOKEN;
    /* It may be another machine's, whose clock is not quite ours. */
    if (token.issued > now + TOKEN_CLOCK_TOLERANCE ||
        token.issued < now - TOKEN_RETRY_LIFETIME - TOKEN_CLOCK_TOLERANCE)
        return NEAP_ERR_TOKEN;
    *out = token;
    return 0;
}

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
