/* DER elements (X.690 §8, §10.1) read from a `struct reader` and written to a `struct writer`: definite lengths in their
 * shortest form only. */
#ifndef NEAP_CRYPTO_DER_H
#define NEAP_CRYPTO_DER_H

#include "base/reader.h"
#include "base/writer.h"

#define DER_BOOLEAN 0x01u
#define DER_INTEGER 0x02u
#define DER_BIT_STRING 0x03u
#define DER_OCTET_STRING 0x04u
#define DER_NULL 0x05u
#define DER_OID 0x06u
#define DER_ENUMERATED 0x0au
#define DER_UTC_TIME 0x17u
#define DER_GENERALIZED_TIME 0x18u
#define DER_SEQUENCE 0x30u
#define DER_SET 0x31u
#define DER_CONTEXT(number) (0x80u | (number)) /* primitive */
#define DER_CONTEXT_CONSTRUCTED(number) (0xa0u | (number))

/** The next element: its tag, its content, and in *whole (may be NULL) all its bytes. r->bad when there is none. */
uint8_t neap_der_next(struct reader *r, struct span *content, struct span *whole);
/** The content of the next element, which must have this tag; else r->bad. */
struct span neap_der_expect(struct reader *r, uint8_t tag);
/** Whether the next element has this tag; nothing is read. */
bool neap_der_is_next(const struct reader *r, uint8_t tag);
/** The same, with all its bytes. */
struct span neap_der_expect_whole(struct reader *r, uint8_t tag);
/** The content of an INTEGER, in its shortest form only (X.690 §8.3.2); else r->bad. */
struct span neap_der_integer(struct reader *r);
/** BIT STRING whose bits fill whole bytes. */
struct span neap_der_bits(struct reader *r);
/** A Time (RFC 5280 §4.1.2.5) as seconds since 1970. */
int64_t neap_der_time(struct reader *r);

/** Begin an element of any size; what is written from now on is its content, up to neap_der_end of what this returns. */
size_t neap_der_begin(struct writer *w, uint8_t tag);
/** The element is whole: its length, in its shortest form, is put before the content, which may move for it. */
void neap_der_end(struct writer *w, size_t begun);
/** A whole element. */
void neap_der_write(struct writer *w, uint8_t tag, struct span content);

#endif
