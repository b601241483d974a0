/* The static table of QPACK (RFC 9204 Appendix A). */
#ifndef NEAP_HTTP_QPACK_STATIC_H
#define NEAP_HTTP_QPACK_STATIC_H

#include "base/span.h"

/** Entry `index`; false when there is none. The spans are static and NUL-terminated. */
bool neap_qpack_static_get(uint64_t index, struct span *name, struct span *value);

/** Whether `text` points into a span that neap_qpack_static_get gave: such names and values keep all rules for fields. */
bool neap_qpack_static_holds(const void *text);

struct static_match {
    int exact; /* index of the entry with this name and value, -1 none */
    int name;  /* index of the first entry with this name, -1 none */
};

struct static_match neap_qpack_static_find(struct span name, struct span value);

#endif
