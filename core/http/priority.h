/* How urgent a response is: the value of a Priority field and of PRIORITY_UPDATE frames (RFC 9218). */
#ifndef NEAP_HTTP_PRIORITY_H
#define NEAP_HTTP_PRIORITY_H

#include "base/span.h"

#define PRIORITY_URGENCY 3u /* unless it is told (RFC 9218 §4.1) */

/* What was said of it. */
struct priority {
    uint8_t urgency; /* 0 to 7 */
    bool incremental;
    bool has_urgency, has_incremental;
    bool is_said; /* a Dictionary came, be it empty */
};

/** Take what a value says, a Dictionary (RFC 8941 §3.2), into *p; what it does not say stays. Parameters that are not known, of
 * another type or out of range count as not said. False, and *p unchanged: it is no Dictionary. */
bool neap_priority_parse(struct span value, struct priority *p);

#endif
