/* Distinguished names (RFC 5280 §4.1.2.4): what they consist of, and which of them are the same. */
#ifndef NEAP_CRYPTO_NAME_H
#define NEAP_CRYPTO_NAME_H

#include "base/reader.h"

/* One AttributeTypeAndValue. */
struct name_pair {
    struct span oid, value, whole; /* whole: the value with its header */
    uint8_t tag;
};
/** The next of a relative name; set->bad where there is none. */
struct name_pair neap_name_pair(struct reader *set);

/** Whether values of this tag are text of a type that neap reads. */
bool neap_string_is_text(uint8_t tag);
/** The next character of such a value; false where it is none of its type. */
bool neap_string_character(struct reader *r, uint8_t tag, uint32_t *c);

/* What comes of holding names against each other; from what is least. */
enum match {
    MATCH_NO,
    MATCH_UNCLEAR, /* they differ beyond ASCII, or in what we cannot read */
    MATCH_YES
};
/** Whether two whole Names are the same (RFC 5280 §7.1): letters in any case, white space as one space, whatever the type of
 * string. Beyond ASCII characters are not normalised (RFC 4518 §2.3): they are the same, or it is unclear. */
enum match neap_name_match(struct span a, struct span b);
/** Whether a whole Name begins with the relative names of `base`, by the same rules. It takes time as both are long. */
enum match neap_name_is_below(struct span name, struct span base);

#endif
