/* What this build is made with. */
#include "neap.h"

#include <mbedtls/version.h>
#ifdef NEAP_HAVE_SODIUM
#include <sodium/version.h>
#endif

const char *neap_backend(void)
{
#ifdef NEAP_HAVE_SODIUM
    return "Mbed TLS " MBEDTLS_VERSION_STRING ", libsodium " SODIUM_VERSION_STRING;
#else
    return "Mbed TLS " MBEDTLS_VERSION_STRING;
#endif
}
