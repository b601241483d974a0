/* NEW_TOKEN frames of a connection (RFC 9000 §8.1.3). */
#ifndef NEAP_QUIC_CONN_TOKEN_H
#define NEAP_QUIC_CONN_TOKEN_H

#include "quic/draft.h"

/** A client keeps what one brings for a later connection, and shows one in its Initials. */
void neap_conn_keep_token(neap_conn *c, struct span token);
void neap_conn_show_token(neap_conn *c);
/** The one that it shows is not shown any more: it goes back to the others, once, unless the server has answered. */
void neap_conn_end_token(neap_conn *c, bool was_answered);
/** A server owes one for the address on the active path, and writes it: false without room, or when none can be made. */
void neap_conn_owe_token(neap_conn *c);
bool neap_conn_write_token(neap_conn *c, struct draft *d);

#endif
