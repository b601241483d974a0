/* Rules for messages that the protocols over TCP have alike, beside those of http/fields.h. */
#ifndef NEAP_TCP_MESSAGES_H
#define NEAP_TCP_MESSAGES_H

#include "neap.h"

/** Whether fields may come behind a body: none that say how a message is framed, routed or read, or who sends it (RFC 9110 §6.5.1).
 * Names are in lower case. */
bool neap_trailers_allowed(const neap_field *fields, size_t count);

#endif
