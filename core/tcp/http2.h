/* HTTP/2 (RFC 9113) over a stream of bytes: a transport (transport.h), server or client, over libnghttp2, which has the
 * frames, HPACK, the windows and the order of what is sent. Here is what it leaves to us: messages and their events, what a
 * peer may do in vain, and bounds for what waits. In builds with nghttp2 (NEAP_HAVE_NGHTTP2) alone.
 *
 * Stream numbers are those of HTTP/2: 1, 3, 5 …. A GOAWAY event has the first number that is not served, as in HTTP/3. Codes
 * are translated as RFC 9114 §A.4 has them; those that HTTP/3 does not know are H3_GENERAL_PROTOCOL_ERROR. A peer's
 * RST_STREAM ends both directions: RESET where its message was not whole, STOPPED where ours was not. */
#ifndef NEAP_TCP_HTTP2_H
#define NEAP_TCP_HTTP2_H

#include "tcp/transport.h"

struct pool;

/** One end of a connection on which nothing was sent or received; a server's expects the client's preface. Memory is the
 * pool's, of which a reference is held. NULL without memory. */
struct transport *neap_http2_new(struct pool *pool, const struct transport_config *config, neap_time now);

#endif
