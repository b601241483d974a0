/* SHA-1 for the names in OCSP responses: nobody has to be kept from finding two texts with one there. */
#include "crypto/ocsp.h"

#include "neap.h"

#include <mbedtls/md.h>

int neap_sha1(struct span data, uint8_t out[20])
{
    const mbedtls_md_info_t *info = mbedtls_md_info_from_type(MBEDTLS_MD_SHA1);

    return info && mbedtls_md(info, data.data, data.size, out) == 0 ? 0 : NEAP_ERR_UNSUPPORTED;
}
