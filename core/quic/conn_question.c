/* Questions of the handshake to the application, and its answers. */
#include "quic/conn.h"
#include "quic/received.h"

#include "base/fill.h"

static struct tls *asking(const neap_conn *c)
{
    return c->stage == STAGE_HANDSHAKE && c->handshake ? c->handshake->tls : NULL;
}

bool neap_conn_question(const neap_conn *conn, neap_question *out, size_t size)
{
    const struct tls *tls = asking(conn);
    neap_question known;

    if (!tls || !neap_tls_question(tls, &known))
        return false;
    fill_sized(out, size, &known, sizeof known);
    return true;
}

static bool asks(const neap_conn *c, enum neap_question_kind kind, uint64_t id)
{
    const struct tls *tls = asking(c);

    return tls && neap_tls_asks(tls, kind, id);
}

/* TLS, for an answer that comes now. */
static struct tls *answered(neap_conn *c)
{
    struct tls *tls = asking(c);

    c->handshake->work_before = neap_crypto_work(c->crypto);
    neap_tls_set_clock(tls, neap_config_wall_clock(c->config));
    return tls;
}

/* TLS has taken the answer. What it made of it leaves with the connection's next turn. */
static int go_on(neap_conn *c, int rc, struct failure *why)
{
    if (rc == 0)
        rc = neap_conn_continue_tls(c, why);
    if (rc) {
        neap_fail(why, rc, "the handshake could not go on");
        neap_conn_end_by(c, why, FRAME_CRYPTO);
    }
    if (c->handshake)
        neap_conn_charge(c, c->handshake->work_before);
    neap_conn_answered(c);
    neap_conn_wake(c);
    return rc ? NEAP_ERR_CRYPTO : 0;
}

int neap_conn_answer_signature(neap_conn *conn, uint64_t id, const void *signature, size_t size)
{
    struct failure why = {0};

    if (!asks(conn, NEAP_ASK_SIGNATURE, id))
        return NEAP_ERR_STATE;
    if (size == 0 || size > CRYPTO_MAX_SIGNATURE)
        return NEAP_ERR_ARGUMENT;
    int rc = neap_tls_answer_signature(answered(conn), span_of(signature, size), &why);
    return go_on(conn, rc, &why);
}

int neap_conn_answer_psk(neap_conn *conn, uint64_t id, const void *key, size_t size, unsigned hash)
{
    struct failure why = {0};
    struct psk_key read;

    if (!asks(conn, NEAP_ASK_PSK, id))
        return NEAP_ERR_STATE;
    if (key && neap_config_read_psk(span_of(key, size), hash, &read))
        return NEAP_ERR_ARGUMENT;
    int rc = neap_tls_answer_psk(answered(conn), key ? &read : NULL, &why);
    neap_wipe(&read, sizeof read);
    return go_on(conn, rc, &why);
}

int neap_conn_answer_certificate(neap_conn *conn, uint64_t id, const void *chain, size_t chain_size,
                                 const void *key, size_t key_size, const void *response, size_t response_size,
                                 const char **why)
{
    struct failure failure = {0};
    struct identity *identity = NULL;

    if (!asks(conn, NEAP_ASK_CERTIFICATE, id))
        return NEAP_ERR_STATE;
    if (chain) {
        int rc = neap_config_make_identity(conn->config, span_of(chain, chain_size), span_of(key, key_size),
                                           span_of(response, response_size), &identity, why);
        if (rc)
            return rc;
    }
    int rc = neap_tls_answer_certificate(answered(conn), identity, &failure);
    return go_on(conn, rc, &failure);
}

int neap_conn_answer_peer(neap_conn *conn, uint64_t id)
{
    struct failure why = {0};

    if (!asks(conn, NEAP_ASK_PEER, id))
        return NEAP_ERR_STATE;
    int rc = neap_tls_answer_peer(answered(conn), &why);
    return go_on(conn, rc, &why);
}

int neap_conn_refuse_question(neap_conn *conn, uint64_t id, uint8_t alert, const char *reason)
{
    neap_question open;

    if (!neap_conn_question(conn, &open, sizeof open) || open.id != id)
        return NEAP_ERR_STATE;
    return neap_conn_close(conn, false, NEAP_CRYPTO_ERROR + alert, reason, reason ? strlen(reason) : 0);
}
