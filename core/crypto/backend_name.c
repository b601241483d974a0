/* What this build is made with. */
#include "crypto/p256/number.h"
#include "neap.h"

#include <mbedtls/version.h>
#ifdef NEAP_HAVE_LIBCRYPTO
#include <openssl/opensslv.h>
#define WITH_LIBCRYPTO ", libcrypto " OPENSSL_VERSION_STR
#else
#define WITH_LIBCRYPTO ""
#endif
#ifdef NEAP_HAVE_SODIUM
#include <sodium/version.h>
#define WITH_SODIUM ", libsodium " SODIUM_VERSION_STRING
#else
#define WITH_SODIUM ""
#endif

/* Where there is libcrypto, nothing but specs asks ours. */
#if defined(HAVE_P256) && !defined(NEAP_HAVE_LIBCRYPTO)
#define WITH_P256 ", own P-256"
#else
#define WITH_P256 ""
#endif

const char *neap_backend(void)
{
    return "Mbed TLS " MBEDTLS_VERSION_STRING WITH_P256 WITH_SODIUM WITH_LIBCRYPTO;
}
