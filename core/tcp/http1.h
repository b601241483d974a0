/* HTTP/1.1 (RFC 9112) as a transport: what is not in transport.h of how it behaves.
 *
 * One exchange at a time: a server tells of the next request when the one before is answered and its body is over, so
 * what a client sends ahead is bounded by the buffer of input; a client gets NEAP_ERR_STREAM_LIMIT from send_request
 * while a request is open. RESET, FINISHED and CLOSED are told as by HTTP/3, CLOSED when all that is owed was given to
 * `send`; there is no ESTABLISHED, SETTINGS, GOAWAY. What is ambiguous is refused: a server answers with a status of its own
 * and the connection is over. Where a wait begins without a call that tells the time, as that for the next request when an
 * application has answered, it may last up to twice as long.
 *
 * Fields are as those of HTTP/3: names in lower case, pseudo-header fields first, no host beside :authority (a request
 * of HTTP/1.0 may have neither), and none that belong to the connection. One of them has a meaning: `upgrade`. A server
 * gets it with a request that may be answered with 101 and `upgrade`; a client sends it so. After that, and after the
 * 2xx of a CONNECT, both bodies begin anew as bytes without framing, even where `fin` was said or told before.
 *
 * Trailers are dropped where a body has a content-length or the client speaks HTTP/1.0. A 1xx is not sent to HTTP/1.0.
 * The 100 that a client waits for (RFC 9110 §10.1.1) leaves when the body is first asked for. cancel ends the connection;
 * stop_body does when more than a bound is left of the body. */
#ifndef NEAP_TCP_HTTP1_H
#define NEAP_TCP_HTTP1_H

#include "tcp/transport.h"

struct pool;

/** A transport of HTTP/1.1 whose memory is the pool's, which it keeps. NULL without memory. */
struct transport *neap_http1_new(struct pool *pool, const struct transport_config *config, neap_time now);

#endif
