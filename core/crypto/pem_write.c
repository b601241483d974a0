/* PEM by either version of Mbed TLS. */
#include "crypto/issue.h"

#include "neap.h"

#include <mbedtls/pem.h>

int64_t neap_pem_write(const char *begin, const char *end, struct span der, char *out, size_t room)
{
    size_t size = 0;

    if (mbedtls_pem_write_buffer(begin, end, der.data, der.size, (unsigned char *)out, room, &size) ||
        size == 0)
        return NEAP_ERR_BUFFER_TOO_SHORT;
    return (int64_t)size - 1;
}
