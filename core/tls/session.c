/* Sessions as bytes, and the tickets that servers make of them. */
#include "tls/session.h"

#include "base/reader.h"
#include "neap.h"

#define FORMAT 8u
#define FORMAT_EARLY 9u   /* … with what belongs to early data behind it */
#define CLOCK_TOLERANCE 5 /* seconds that the clocks of machines with one key may be apart */

static size_t early_size(const struct session *s)
{
    size_t size = 2 + s->data.size;

    for (size_t i = 0; i < SESSION_LIMITS; i++)
        size += varint_size(s->limits[i]);
    return size;
}

size_t neap_session_size(const struct session *s)
{
    return SESSION_FIXED + s->psk.size + s->alpn.size + s->server_name.size + s->psk_identity.size +
           s->ticket.size + s->peer_certificate.size + (s->allows_early ? early_size(s) : 0);
}

void neap_session_write(struct writer *w, const struct session *s)
{
    write_u8(w, s->allows_early ? FORMAT_EARLY : FORMAT);
    write_u16(w, s->suite);
    write_u32(w, s->version);
    write_uint(w, (uint64_t)s->issued, 8);
    write_u32(w, s->lifetime);
    write_uint(w, (uint64_t)s->good_until, 8);
    write_u32(w, s->age_add);
    write_u32(w, s->rtt);
    write_bytes(w, s->binding, sizeof s->binding);
    write_u8(w, (uint8_t)s->psk.size);
    write_span(w, s->psk);
    write_u8(w, (uint8_t)s->alpn.size);
    write_span(w, s->alpn);
    write_u8(w, (uint8_t)s->server_name.size);
    write_span(w, s->server_name);
    write_u8(w, (uint8_t)s->psk_identity.size);
    write_span(w, s->psk_identity);
    write_u16(w, (uint16_t)s->ticket.size);
    write_span(w, s->ticket);
    write_u16(w, (uint16_t)s->peer_certificate.size);
    write_span(w, s->peer_certificate);
    if (!s->allows_early)
        return;
    for (size_t i = 0; i < SESSION_LIMITS; i++)
        write_varint(w, s->limits[i]);
    write_u16(w, (uint16_t)s->data.size);
    write_span(w, s->data);
}

static void read_early(struct reader *r, struct session *out)
{
    for (size_t i = 0; i < SESSION_LIMITS; i++)
        out->limits[i] = out->allows_early ? read_varint(r) : 0;
    out->data = out->allows_early ? read_vector(r, 2) : (struct span){0};
}

bool neap_session_read(struct span bytes, struct session *out)
{
    struct reader r = reader_of(bytes);

    uint8_t format = read_u8(&r);
    if (format != FORMAT && format != FORMAT_EARLY)
        return false;
    out->allows_early = format == FORMAT_EARLY;
    out->suite = read_u16(&r);
    out->version = read_u32(&r);
    out->issued = (int64_t)read_uint(&r, 8);
    out->lifetime = read_u32(&r);
    out->good_until = (int64_t)read_uint(&r, 8);
    out->age_add = read_u32(&r);
    out->rtt = read_u32(&r);
    struct span binding = read_bytes(&r, sizeof out->binding);
    out->psk = read_vector(&r, 1);
    out->alpn = read_vector(&r, 1);
    out->server_name = read_vector(&r, 1);
    out->psk_identity = read_vector(&r, 1);
    out->ticket = read_vector(&r, 2);
    out->peer_certificate = read_vector(&r, 2);
    read_early(&r, out);
    if (r.bad || reader_left(&r) > 0 || !neap_suite_is_known(out->suite) ||
        out->psk.size != crypto_hash_size(neap_suite_hash((enum crypto_suite)out->suite)) ||
        out->ticket.size > LIMIT_TICKET || out->peer_certificate.size > LIMIT_TICKET_CERTIFICATE ||
        out->data.size > LIMIT_SESSION_DATA)
        return false;
    memcpy(out->binding, binding.data, sizeof out->binding);
    return true;
}

bool neap_session_is_fresh(const struct session *s, int64_t now, int64_t tolerance)
{
    return time_is_known(now) && s->issued >= 0 && s->issued <= now + tolerance &&
           !neap_session_is_over(s, now);
}

bool neap_session_is_over(const struct session *s, int64_t now)
{
    return now >= s->good_until || now - s->lifetime >= s->issued;
}

/* ---- tickets */

void neap_ticket_keys_set(struct ticket_keys *keys, const uint8_t (*secrets)[32], size_t count)
{
    neap_wipe(keys, sizeof *keys);
    keys->count = count < TICKET_KEYS_MOST ? count : TICKET_KEYS_MOST;
    for (size_t i = 0; i < keys->count; i++) {
        memcpy(keys->secrets[i], secrets[i], sizeof keys->secrets[i]);
        neap_hkdf_expand_label(HASH_SHA256, secrets[i], "neap ticket name", (struct span){0}, keys->names[i],
                               sizeof keys->names[i]);
    }
}

/* The key of an epoch, which stands in the ticket's header. */
static void epoch_key(const uint8_t *secret, const uint8_t *epoch, uint8_t key[32])
{
    neap_hkdf_expand_label(HASH_SHA256, secret, "neap ticket key", span_of(epoch, 4), key, 32);
}

int64_t neap_ticket_seal(struct crypto *crypto, const struct ticket_keys *keys, const struct session *s,
                         uint8_t *out)
{
    uint8_t key[32];
    struct writer header = writer_of(out, TICKET_HEADER);
    struct writer body = writer_of(out + TICKET_HEADER, SESSION_IN_TICKET);

    neap_session_write(&body, s);
    if (keys->count == 0 || s->lifetime == 0 || body.full)
        return NEAP_ERR_ARGUMENT;
    write_bytes(&header, keys->names[0], sizeof keys->names[0]);
    write_u32(&header, (uint32_t)(s->issued / s->lifetime));
    uint8_t *nonce = write_room(&header, CRYPTO_IV);
    neap_random_bytes(neap_crypto_random(crypto), nonce, CRYPTO_IV);
    epoch_key(keys->secrets[0], out + 4, key);
    int rc = neap_aead_seal(crypto, SUITE_AES_256_GCM_SHA384, key, nonce, span_of(out, TICKET_HEADER),
                            out + TICKET_HEADER, writer_size(&body), out + TICKET_HEADER);
    neap_wipe(key, sizeof key);
    return rc ? rc : (int64_t)(TICKET_HEADER + writer_size(&body) + CRYPTO_TAG);
}

/* The secret of this name; NULL: it is not ours. */
static const uint8_t *find_secret(const struct ticket_keys *keys, const uint8_t *name)
{
    for (size_t i = 0; i < keys->count; i++)
        if (memcmp(keys->names[i], name, sizeof keys->names[i]) == 0)
            return keys->secrets[i];
    return NULL;
}

bool neap_ticket_open(struct crypto *crypto, const struct ticket_keys *keys, struct span ticket,
                      uint32_t lifetime, int64_t now, uint8_t *room, struct session *out)
{
    struct reader r = reader_of(ticket);
    uint8_t key[32];

    if (ticket.size < TICKET_HEADER + SESSION_FIXED + CRYPTO_TAG || ticket.size > TICKET_MOST ||
        lifetime == 0 || !time_is_known(now))
        return false;
    const uint8_t *secret = find_secret(keys, read_bytes(&r, sizeof keys->names[0]).data);
    int64_t epoch = (int64_t)read_u32(&r);
    if (!secret || epoch < now / lifetime - 1 || epoch > (now + CLOCK_TOLERANCE) / lifetime)
        return false;
    const uint8_t *nonce = read_bytes(&r, CRYPTO_IV).data;
    struct span sealed = read_rest(&r);
    epoch_key(secret, ticket.data + 4, key);
    int rc = neap_aead_open(crypto, SUITE_AES_256_GCM_SHA384, key, nonce, span_of(ticket.data, TICKET_HEADER),
                            sealed.data, sealed.size, room);
    neap_wipe(key, sizeof key);
    return rc == 0 && neap_session_read(span_of(room, sealed.size - CRYPTO_TAG), out) &&
           neap_session_is_fresh(out, now, CLOCK_TOLERANCE);
}
