/* What the library that is linked is made of. */
#include "crypto/crypto.h"
#include "neap.h"

const char *neap_backend(void)
{
    return neap_crypto_backend();
}
