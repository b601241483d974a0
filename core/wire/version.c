/* The versions we speak. A version is one row; the one of RFC 9369 has other type bits. */
#include "wire/version.h"

#include "base/limits.h"
#include "base/reader.h"
#include "neap.h"

static const struct version versions[] = {
    {.number = NEAP_QUIC_V1, .type_bits = {0, 1, 2, 3}},
    {.number = NEAP_QUIC_V2, .type_bits = {1, 2, 3, 0}},
};

#define VERSION_COUNT (sizeof versions / sizeof versions[0])

_Static_assert(VERSION_COUNT <= LIMIT_VERSIONS, "a config has room for all of them");

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

bool neap_version_is_listed(struct span list, uint32_t number)
{
    struct reader r = reader_of(list);

    while (reader_left(&r) >= VERSION_SIZE)
        if (read_u32(&r) == number)
            return true;
    return false;
}

uint32_t neap_version_choose(const uint32_t *ours, size_t count, struct span list)
{
    for (size_t i = 0; i < count; i++)
        if (neap_version_is_listed(list, ours[i]))
            return ours[i];
    return 0;
}

bool neap_version_is_compatible(uint32_t from, uint32_t to)
{
    return from == to || (neap_version_find(from) && neap_version_find(to));
}
