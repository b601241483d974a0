/* Frames of a packet as qlog has them (draft-ietf-quic-qlog-quic-events §8.13). */
#ifndef NEAP_QLOG_FRAMES_H
#define NEAP_QLOG_FRAMES_H

#include "qlog/record.h"

/** "frames": those of this payload, as far as there is room. */
void neap_qlog_frames(struct record *r, struct span payload, unsigned ack_delay_exponent, bool is_h3);
/** "error", or what `name` calls it, of a transport's code: its name, or "unknown" and error_code. */
void neap_qlog_transport_error(struct record *r, const char *name, uint64_t code);
/** The same of an application's, which has names in HTTP/3. */
void neap_qlog_application_error(struct record *r, const char *name, uint64_t code, bool is_h3);

#endif
