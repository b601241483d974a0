/* Private keys out of PEM text or DER, with the public ones that belong to them; and which keys TLS can sign with. */
#include "base/pool.h"
#include "crypto/issue.h"
#include "neap.h"

#define RSA_BITS_MIN 2048u
#define RSA_BITS_MAX (8 * CRYPTO_MAX_SIGNATURE)
#define RSA_EXPONENT_MIN 3u

int neap_key_check(const struct key_info *key, int key_error, struct failure *why)
{
    if (key_error == NEAP_ERR_UNSUPPORTED || (!key_error && key->kind == KEY_P521))
        return neap_fail(why, NEAP_ERR_UNSUPPORTED, "the key is not ECDSA P-256 or P-384, RSA or Ed25519");
    if (key_error)
        return neap_fail(why, NEAP_ERR_CERTIFICATE, "the certificate's key cannot be parsed");
    if (key->kind == KEY_ED25519 && !neap_ed25519_is_available())
        return neap_fail(why, NEAP_ERR_UNSUPPORTED, "an Ed25519 key needs a build with libsodium");
    if (key->kind == KEY_RSA && (key->bits < RSA_BITS_MIN || key->bits > RSA_BITS_MAX))
        return neap_fail(why, NEAP_ERR_UNSUPPORTED, "RSA keys must have 2048 to 4096 bits");
    if (key->kind == KEY_RSA && (key->exponent < RSA_EXPONENT_MIN || key->exponent % 2 == 0))
        return neap_fail(why, NEAP_ERR_UNSUPPORTED, "RSA exponents must be odd numbers of 3 to 2^32");
    return 0;
}

static bool ends_with(struct span s, const char *end)
{
    size_t size = strlen(end);

    return s.size >= size && memcmp(s.data + s.size - size, end, size) == 0;
}

/* The SubjectPublicKeyInfo of an Ed25519 key (RFC 8410 §4). */
static int write_ed25519(struct span seed, struct private_key *out)
{
    static const uint8_t head[] = {0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00};
    uint8_t secret[64];

    if (neap_ed25519_expand(seed.data, secret))
        return NEAP_ERR_CERTIFICATE;
    memcpy(out->spki, head, sizeof(head));
    memcpy(out->spki + sizeof(head), secret + 32, 32);
    neap_wipe(secret, sizeof(secret));
    return neap_key_info(span_of(out->spki, sizeof(head) + 32), &out->public);
}

static int find_public(struct crypto *crypto, struct span der, struct private_key *out, struct failure *why)
{
    struct span seed;
    size_t size;
    int error;

    if (neap_ed25519_seed(der, &seed)) {
        error = write_ed25519(seed, out);
    } else {
        error = neap_private_key_public(crypto, der, out->spki, &size, why);
        if (error)
            return error;
        error = neap_key_info(span_of(out->spki, size), &out->public);
    }
    return neap_key_check(&out->public, error, why);
}

/* `whole` NULL: what signs is all that is wanted. */
static int open_der(struct crypto *crypto, struct span der, struct signer **signer, struct private_key *whole,
                    struct failure *why)
{
    *signer = neap_signer_new(crypto, der, why);
    if (!*signer)
        return why->code;
    int error = whole ? find_public(crypto, der, whole, why) : 0;
    if (error) {
        neap_signer_free(*signer);
        *signer = NULL;
    }
    return error;
}

static int find_body(struct span text, struct span *body, struct failure *why)
{
    struct span label;

    do {
        if (!neap_pem_next(&text, &label, body))
            return neap_fail(why, NEAP_ERR_CERTIFICATE, "there is no private key in the PEM text");
    } while (!ends_with(label, "PRIVATE KEY"));
    if (ends_with(label, "ENCRYPTED PRIVATE KEY"))
        return neap_fail(why, NEAP_ERR_UNSUPPORTED, "the private key is encrypted: decrypt it first");
    return 0;
}

static int open_pem(struct crypto *crypto, struct span text, struct signer **signer,
                    struct private_key *whole, struct failure *why)
{
    struct pool *pool = crypto->pool;
    struct span body;
    int found = find_body(text, &body, why);

    if (found)
        return found;
    size_t room_size = body.size / 4 * 3 + 3;
    uint8_t *room = neap_pool_alloc(pool, room_size);
    if (!room)
        return neap_fail(why, NEAP_ERR_NO_MEMORY, "no memory for the private key");
    int64_t size = neap_base64_decode(body, room);
    int error =
        size > 0 ? open_der(crypto, span_of(room, (size_t)size), signer, whole, why)
                 : neap_fail(why, NEAP_ERR_CERTIFICATE, "the private key cannot be decoded, or is encrypted");
    neap_pool_free_secret(pool, room, room_size);
    return error;
}

static int open_key(struct crypto *crypto, struct span key, struct signer **signer, struct private_key *whole,
                    struct failure *why)
{
    *signer = NULL;
    return neap_pem_is(key) ? open_pem(crypto, key, signer, whole, why)
                            : open_der(crypto, key, signer, whole, why);
}

int neap_signer_load(struct crypto *crypto, struct span key, struct signer **out, struct failure *why)
{
    return open_key(crypto, key, out, NULL, why);
}

int neap_private_key_keep(struct crypto *crypto, struct span key, struct kept_key *out, struct failure *why)
{
    struct span text = key;

    if (neap_pem_is(key)) {
        int found = find_body(key, &text, why);
        if (found)
            return found;
    }
    size_t room_size = text.size; /* base64 is longer than what it stands for */
    uint8_t *room = neap_pool_alloc_lasting(crypto->pool, room_size);
    if (!room)
        return neap_fail(why, NEAP_ERR_NO_MEMORY, "no memory for the private key");
    *out = (struct kept_key){.room = room, .room_size = room_size, .size = room_size};
    if (!neap_pem_is(key)) {
        memcpy(room, key.data, key.size);
        return 0;
    }
    int64_t size = neap_base64_decode(text, room);
    if (size > 0) {
        out->size = (size_t)size;
        return 0;
    }
    neap_private_key_forget(crypto, out);
    return neap_fail(why, NEAP_ERR_CERTIFICATE, "the private key cannot be decoded");
}

void neap_private_key_forget(struct crypto *crypto, struct kept_key *key)
{
    if (key->room)
        neap_pool_free_secret(crypto->pool, key->room, key->room_size);
    *key = (struct kept_key){0};
}

int neap_private_key_open(struct crypto *crypto, struct span key, struct private_key *out,
                          struct failure *why)
{
    return open_key(crypto, key, &out->signer, out, why);
}

void neap_private_key_close(struct private_key *key)
{
    neap_signer_free(key->signer);
    key->signer = NULL;
}
