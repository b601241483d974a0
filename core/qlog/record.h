/* Writing JSON into room that may end: then the record is one that is not written at all. Names and commas see to
 * themselves. */
#ifndef NEAP_QLOG_RECORD_H
#define NEAP_QLOG_RECORD_H

#include "base/limits.h"
#include "base/span.h"
#include "neap.h"

struct record {
    char *start, *at, *end;
    bool full;
};

/** Text as it is. */
void neap_record_put(struct record *r, const char *text);
/** A comma where something of the same object or list is before, and the name; NULL: in a list. */
void neap_record_key(struct record *r, const char *name);
/** `what` is '{' or '['. */
void neap_record_open(struct record *r, const char *name, char what);
void neap_record_close(struct record *r, char what);
void neap_record_number(struct record *r, const char *name, uint64_t value);
void neap_record_bool(struct record *r, const char *name, bool value);
/** Nanoseconds, as milliseconds with their parts. */
void neap_record_ms(struct record *r, const char *name, neap_time time);
/** Bytes that are no printable ASCII are escaped, each for itself. */
void neap_record_text(struct record *r, const char *name, const char *text, size_t size);
void neap_record_string(struct record *r, const char *name, const char *text);
void neap_record_hex(struct record *r, const char *name, const void *bytes, size_t size);
/** ip_v4 and port_v4, or those of IPv6. */
void neap_record_address(struct record *r, const char *name, const neap_address *address,
                         const neap_cid *cid);

static inline size_t record_left(const struct record *r)
{
    return r->full ? 0 : (size_t)(r->end - r->at);
}

#endif
