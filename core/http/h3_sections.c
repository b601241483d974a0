/* Field sections that have arrived in part, copied out of flow control: bounded in sum, and in time for a server
 * (RFC 9114 §10.5). */
#include "base/limits.h"
#include "http/h3.h"
#include "quic/quic.h"

void neap_h3_section_wait(struct h3_request *r)
{
    if (!r->h3->is_server || list_linked(&r->partial_link))
        return;
    r->partial_since = neap_conn_now(r->h3->conn);
    ring_append(&r->h3->partial, &r->partial_link);
}

void neap_h3_section_drop(struct h3_request *r)
{
    ring_remove(&r->h3->partial, &r->partial_link);
    r->h3->partial_size -= r->payload.size;
    neap_h3_payload_free(&r->payload, r->h3->pool);
}

bool neap_h3_section_fits(const struct neap_h3 *h3, size_t size)
{
    uint64_t most = h3->max_field_section_size > LIMIT_PARTIAL_SECTIONS ? h3->max_field_section_size
                                                                        : LIMIT_PARTIAL_SECTIONS;

    return h3->partial_size + size <= most;
}

/* Nothing was done for it: the client may send it again (RFC 9114 §4.1.1). */
void neap_h3_section_give_up(struct h3_request *r)
{
    uint64_t code = r->h3->is_server && !r->is_reported ? NEAP_H3_REQUEST_REJECTED : NEAP_H3_EXCESSIVE_LOAD;

    neap_h3_request_abort(r, code, code);
    neap_conn_bounds(r->h3->conn)->h3_sections_partial++;
    neap_h3_glitch(r->h3);
}

/* The timeout is the same for all, so that who came first is due first. */
void neap_h3_expire_sections(struct neap_h3 *h3)
{
    neap_time now = neap_conn_now(h3->conn), wake = NEAP_NEVER;

    while (h3->partial && h3->header_timeout != NEAP_NEVER) {
        struct h3_request *r = LIST_OWNER(h3->partial, struct h3_request, partial_link);

        if (now - r->partial_since < h3->header_timeout) {
            wake = r->partial_since + h3->header_timeout;
            break;
        }
        neap_h3_request_abort(r, NEAP_H3_REQUEST_INCOMPLETE, NEAP_H3_REQUEST_INCOMPLETE);
        neap_conn_bounds(h3->conn)->h3_sections_late++;
        neap_h3_glitch(h3);
    }
    neap_conn_wake_at(h3->conn, wake);
}
