/* What this build is made with. */
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

const char *neap_backend(void)
{
    return "Mbed TLS " MBEDTLS_VERSION_STRING WITH_SODIUM WITH_LIBCRYPTO;
}
