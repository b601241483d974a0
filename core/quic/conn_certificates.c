/* The certificates that the peer showed, once TLS is gone: in one block of just their size, so that connections of whose
 * peer nobody knows any pay a pointer. */
#include "base/reader.h"
#include "quic/conn.h"

#define SIZE_BYTES 3u /* of a length, as in TLS */

struct kept_certificates {
    uint32_t size;
    uint8_t bytes[]; /* three bytes of size before each DER, leaf first */
};

static size_t kept_size(const struct tls *tls)
{
    struct span der;
    size_t size = 0;

    for (size_t i = 0; (der = neap_tls_peer_certificate(tls, i)).size > 0; i++)
        size += SIZE_BYTES + der.size;
    return size;
}

int neap_conn_keep_certificates(neap_conn *c, struct failure *why)
{
    const struct tls *tls = c->handshake->tls;
    bool is_wanted = c->is_server || config_option(c->config, OPTION_keep_certificates);
    size_t size = is_wanted ? kept_size(tls) : 0;
    struct span der;

    if (size == 0)
        return 0;
    struct kept_certificates *kept = neap_pool_alloc_lasting(c->pool, sizeof *kept + size);
    if (!kept)
        return neap_fail(why, NEAP_ERR_NO_MEMORY, "no memory for the peer's certificates");
    c->peer_certificates = kept;
    kept->size = (uint32_t)size;
    struct writer w = writer_of(kept->bytes, size);
    for (size_t i = 0; (der = neap_tls_peer_certificate(tls, i)).size > 0; i++) {
        write_u24(&w, (uint32_t)der.size);
        write_span(&w, der);
    }
    return 0;
}

void neap_conn_drop_certificates(neap_conn *c)
{
    if (c->peer_certificates)
        neap_pool_free(c->pool, c->peer_certificates,
                       sizeof *c->peer_certificates + c->peer_certificates->size);
    c->peer_certificates = NULL;
}

/* While somebody is to say who the peer is, and while early data of a client is read that its ticket says who it is, what
 * the peer showed is still with TLS. */
static bool is_known_early(const neap_conn *c)
{
    const struct tls *tls = c->handshake ? c->handshake->tls : NULL;
    neap_question question;

    return tls && !c->peer_certificates &&
           ((c->is_server && neap_tls_is_resumed(tls)) ||
            (neap_tls_question(tls, &question) && question.kind == NEAP_ASK_PEER));
}

const uint8_t *neap_conn_peer_certificate(const neap_conn *conn, size_t index, size_t *size)
{
    const struct kept_certificates *kept = conn->peer_certificates;
    struct reader r = reader_of(kept ? span_of(kept->bytes, kept->size) : (struct span){0});
    struct span der = {0};

    for (size_t i = 0; i < index && reader_left(&r) > 0; i++)
        read_vector(&r, SIZE_BYTES);
    if (is_known_early(conn))
        der = neap_tls_peer_certificate(conn->handshake->tls, index);
    else if (reader_left(&r) > 0)
        der = read_vector(&r, SIZE_BYTES);
    *size = der.size;
    return der.size > 0 ? der.data : NULL;
}
