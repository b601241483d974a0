/* Why a peer's certificate is refused, for people: the alert, and a text that names what was there and what was expected.
 * Builds without reasons have the alert alone (base/failure.h). */
#ifndef NEAP_CRYPTO_EXPLAIN_H
#define NEAP_CRYPTO_EXPLAIN_H

#include "crypto/certificate.h"
#include "neap.h"

#define EXPLAIN_TIME 24u   /* bytes of a point in time */
#define EXPLAIN_NAME 72u   /* of a name, which is cut */
#define EXPLAIN_NAMES 120u /* of the first names of a certificate */

#ifndef NEAP_NO_REASONS

/** As certificate_fail, with a text made of `format`, which lives until the next one with this crypto. Nothing is written
 * when `why` has its reason already. */
__attribute__((format(printf, 4, 5))) int neap_certificate_explain(struct crypto *crypto, struct failure *why,
                                                                   int alert, const char *format, ...);

/** "2026-11-30 02:50 UTC" of seconds since 1970. */
const char *neap_explain_time(int64_t seconds, char out[EXPLAIN_TIME]);
/** Bytes of a peer as text: what is not printable ASCII is `?`, what is too long ends with "...". */
const char *neap_explain_text(struct span text, char out[EXPLAIN_NAME]);
/** Who a distinguished Name is: its last common name, organizational unit or organization, the first there is of these. */
const char *neap_explain_name(struct span name, char out[EXPLAIN_NAME]);
/** The DNS names and addresses of a subjectAltName, as many as fit; "no host" when there are none. */
const char *neap_explain_hosts(const struct certificate *certificate, char out[EXPLAIN_NAMES]);

#else

static inline int neap_certificate_explain(struct crypto *crypto, struct failure *why, int alert,
                                           const char *format, ...)
{
    (void)crypto, (void)format;
    return neap_fail(why, NEAP_CRYPTO_ERROR + alert, "");
}

#define neap_explain_time(seconds, out) ((void)(seconds), (void)(out), "")
#define neap_explain_text(text, out) ((void)(text), (void)(out), "")
#define neap_explain_name(name, out) ((void)(name), (void)(out), "")
#define neap_explain_hosts(certificate, out) ((void)(certificate), (void)(out), "")

#endif

#endif
