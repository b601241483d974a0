/* The rules for HTTP fields (RFC 9114 §4.2 and §4.3, RFC 9110 §5): one place for what we receive and what we send. */
#ifndef NEAP_HTTP_FIELDS_H
#define NEAP_HTTP_FIELDS_H

#include "base/failure.h"
#include "http/priority.h"
#include "http/qpack.h"
#include "neap.h"

enum section_kind { SECTION_REQUEST, SECTION_RESPONSE, SECTION_TRAILERS };

/* What the framing and the sending of a message need to know of its fields. */
struct section_info {
    int64_t content_length;   /* -1 none */
    uint16_t status;          /* responses */
    bool is_head, is_connect; /* requests */
    struct priority priority; /* what is no Dictionary is passed over (RFC 9218 §4) */
};

/** Check a whole section: 0 and *info, or NEAP_H3_MESSAGE_ERROR with the reason. `is_decoded`: the fields are those that
 * neap_qpack_decode gave, so that what lies in the static table is known to be good. */
int neap_fields_check(const neap_field *fields, size_t count, enum section_kind kind, bool is_decoded,
                      struct section_info *info, struct failure *why);

/** Make one cookie line of several, joined with "; ", at the place of the first (RFC 9114 §4.2.1). 0, or
 * NEAP_ERR_NO_MEMORY and nothing changed. */
int neap_fields_join_cookies(struct field_list *list, struct pool *pool);

/** Whether bytes may be the value of a field (RFC 9110 §5.5). */
bool neap_fields_is_value(struct span value);

/** The size that SETTINGS_MAX_FIELD_SECTION_SIZE bounds: name, value and 32 for each line (RFC 9114 §4.2.2). */
uint64_t neap_fields_size(const neap_field *fields, size_t count);

#endif
