/* Certificates and revocation lists one by one out of PEM text or DER. */
#include "crypto/certificate.h"

#include "base/pool.h"
#include "crypto/der.h"
#include "neap.h"

static bool label_is_certificate(struct span label)
{
    return span_equal(label, span_of_string("CERTIFICATE")) ||
           span_equal(label, span_of_string("X509 CERTIFICATE")) ||
           span_equal(label, span_of_string("TRUSTED CERTIFICATE"));
}

static bool label_is_list(struct span label)
{
    return span_equal(label, span_of_string("X509 CRL"));
}

static int copy(struct pool *pool, struct span bytes, struct span *der)
{
    uint8_t *room = neap_pool_alloc(pool, bytes.size);

    if (!room)
        return NEAP_ERR_NO_MEMORY;
    memcpy(room, bytes.data, bytes.size);
    *der = span_of(room, bytes.size);
    return 1;
}

/* The first DER element of `input`, which is moved behind it. */
static int take_der(struct pool *pool, struct span *input, struct span *der)
{
    struct reader r = reader_of(*input);
    struct span whole = neap_der_expect_whole(&r, DER_SEQUENCE);

    *input = read_rest(&r);
    return r.bad ? NEAP_ERR_CERTIFICATE : copy(pool, whole, der);
}

int neap_pem_decode(struct pool *pool, struct span body, struct span *der)
{
    size_t room_size = body.size / 4 * 3 + 3;
    uint8_t *room = neap_pool_alloc_unset(pool, room_size);
    if (!room)
        return NEAP_ERR_NO_MEMORY;
    int64_t size = neap_base64_decode(body, room);
    /* A trusted certificate of OpenSSL has more behind the certificate itself. */
    struct span bytes = span_of(room, size > 0 ? (size_t)size : 0);
    int result = size > 0 ? take_der(pool, &bytes, der) : NEAP_ERR_CERTIFICATE;
    neap_pool_free(pool, room, room_size);
    return result;
}

static int take_pem(struct pool *pool, struct span *input, bool (*is_wanted)(struct span label),
                    struct span *der)
{
    struct span label, body;

    do {
        if (!neap_pem_next(input, &label, &body))
            return 0;
    } while (!is_wanted(label));
    return neap_pem_decode(pool, body, der);
}

int neap_pem_take(struct pool *pool, struct span *input, bool (*is_wanted)(struct span label),
                  struct span *der)
{
    if (input->size == 0)
        return 0;
    return neap_pem_is(*input) ? take_pem(pool, input, is_wanted, der) : take_der(pool, input, der);
}

int neap_certificate_take(struct pool *pool, struct span *input, bool is_pem, struct span *der)
{
    if (input->size == 0)
        return 0;
    return is_pem ? take_pem(pool, input, label_is_certificate, der) : take_der(pool, input, der);
}

int neap_revocation_list_take(struct pool *pool, struct span *input, bool is_pem, struct span *der)
{
    if (input->size == 0)
        return 0;
    return is_pem ? take_pem(pool, input, label_is_list, der) : take_der(pool, input, der);
}

void neap_certificate_release(struct pool *pool, struct span der)
{
    neap_pool_free(pool, (void *)(uintptr_t)der.data, der.size);
}
