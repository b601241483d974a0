/* The versions we speak, in order of preference. A version is one row; RFC 9369's has other type bits. */
#include "wire/version.h"

#include "neap.h"

static const struct version versions[] = {
    {.number = NEAP_QUIC_V1, .type_bits = {0, 1, 2, 3}},
};

#define VERSION_COUNT (sizeof versions / sizeof versions[0])

const struct version *neap_version_find(uint32_t number)
{
    for (size_t i = 0; i < VERSION_COUNT; i++)
        if (versions[i].number == number)
            return &versions[i];
    return NULL;
}

const struct version *neap_versions(size_t *count)
{
    *count = VERSION_COUNT;
    return versions;
}
