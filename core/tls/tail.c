/* What may come after the handshake: tickets to a client, and nothing else in QUIC (RFC 9001 §4.4, §4.6.1, §6). */
#include "base/reader.h"
#include "tls/extensions.h"
#include "tls/state.h"

/* NewSessionTicket (RFC 8446 §4.6.1). 0xffffffff says that 0-RTT is allowed; QUIC has limits of its own. */
static int check_ticket(struct span body, struct failure *why)
{
    struct reader r = reader_of(body);
    struct extensions ext;

    read_bytes(&r, 4 + 4);
    read_vector(&r, 1);
    struct span ticket = read_vector(&r, 2);
    struct span block = read_vector(&r, 2);
    if (r.bad || reader_left(&r) > 0 || ticket.size == 0)
        return neap_tls_alert(why, ALERT_DECODE_ERROR, "NewSessionTicket of a wrong form");
    int rc = neap_extensions_parse(block, IN_TICKET, 0, &ext, why);
    if (rc || !extension_present(&ext, EXT_EARLY_DATA))
        return rc;
    r = reader_of(ext.data[EXT_EARLY_DATA]);
    uint32_t most = read_u32(&r);
    if (r.bad || reader_left(&r) > 0)
        return neap_tls_alert(why, ALERT_DECODE_ERROR, "early_data of a wrong form");
    if (most != UINT32_MAX)
        return neap_fail(why, NEAP_PROTOCOL_VIOLATION, "max_early_data_size other than 0xffffffff");
    return 0;
}

static int check_type(const struct tls_tail *tail, uint8_t type, struct failure *why)
{
    if (tail->is_client && type == NEW_SESSION_TICKET)
        return 0;
    if (tail->is_client && type == CERTIFICATE_REQUEST)
        return neap_fail(why, NEAP_PROTOCOL_VIOLATION, "CertificateRequest after the handshake");
    return neap_tls_alert(why, ALERT_UNEXPECTED_MESSAGE,
                          "TLS message that QUIC does not allow after the handshake");
}

int neap_tls_tail_receive(struct tls_tail *tail, struct pool *pool, struct span *bytes, struct failure *why)
{
    struct span message;
    int rc = 0;

    while (rc == 0 && bytes->size > 0) {
        if (tail->assembly.size == 0) {
            rc = check_type(tail, bytes->data[0], why);
            if (rc)
                break;
        }
        rc = neap_assembly_next(&tail->assembly, pool, bytes, &message, why);
        if (rc != 1)
            break;
        rc = check_ticket(span_of(message.data + MESSAGE_HEADER, message.size - MESSAGE_HEADER), why);
        neap_assembly_done(&tail->assembly, pool);
    }
    return rc;
}

void neap_tls_tail_free(struct tls_tail *tail, struct pool *pool)
{
    neap_assembly_done(&tail->assembly, pool);
}
