/* Checks the records on its standard input with an engine that has nothing to do with this machine: it is made with a
 * cross compiler and run by an emulator. Prints how many messages were right, or what is wrong. */
#include "engine_records.h"

#include <stdio.h>

/* What the engines need of the rest. */
size_t neap_suite_key_size(enum crypto_suite suite)
{
    return suite == SUITE_AES_128_GCM_SHA256 ? 16 : 32;
}

void neap_wipe(void *data, size_t size)
{
    volatile uint8_t *bytes = data;

    while (size-- > 0)
        *bytes++ = 0;
}

int neap_equal_constant_time(const void *a, const void *b, size_t size)
{
    return memcmp(a, b, size) == 0;
}

const struct engine neap_engine_mbedtls = {.name = "mbedtls"};

int main(int argc, char **argv)
{
    static uint8_t bytes[64u << 20];
    struct span records = span_of(bytes, fread(bytes, 1, sizeof(bytes), stdin));
    const struct engine *engine = neap_engine_choose(argc > 1 ? argv[1] : NULL);
    const char *wrong = argc > 1 && strcmp(engine->name, argv[1]) != 0 ? "it is not here" : NULL;
    size_t checked = 0;

    while (records.size > 0 && !wrong)
        wrong = record_check(engine, &records, &checked);
    printf("%s: %zu messages%s%s\n", engine->name, checked, wrong ? ", then " : "", wrong ? wrong : "");
    return wrong != NULL;
}
