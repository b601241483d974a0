/* Pins as text: sha256//BASE64, which is how curl and HTTP Public Key Pinning (RFC 7469 §2.1.1) write the SHA-256 of a
 * public key. */
#include "binding.h"

#include <string.h>

#define PREFIX "sha256//"
#define PREFIX_SIZE (sizeof PREFIX - 1)
#define DIGITS 44u /* of 32 bytes; the last is padding */

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

bool neap_lua_pin_read(const char *text, size_t size, uint8_t pin[32])
{
    uint32_t bits = 0;
    size_t held = 0, count = 0;

    if (size != PREFIX_SIZE + DIGITS || memcmp(text, PREFIX, PREFIX_SIZE) != 0 || text[size - 1] != '=')
        return false;
    for (size_t i = PREFIX_SIZE; i < size - 1; i++) {
        const char *digit = text[i] != '\0' ? strchr(alphabet, text[i]) : NULL;

        if (digit == NULL)
            return false;
        bits = bits << 6 | (uint32_t)(digit - alphabet);
        held += 6;
        if (held >= 8) {
            held -= 8;
            pin[count++] = (uint8_t)(bits >> held);
        }
    }
    return count == 32 && (bits & ((1u << held) - 1)) == 0; /* one way to write a pin */
}

void neap_lua_push_pin(lua_State *L, const uint8_t pin[32])
{
    char text[PREFIX_SIZE + DIGITS];
    char *at = text + PREFIX_SIZE;

    memcpy(text, PREFIX, PREFIX_SIZE);
    for (size_t i = 0; i < 32; i += 3) {
        uint32_t bits = (uint32_t)pin[i] << 16 | (uint32_t)pin[i + 1] << 8 | (i + 2 < 32 ? pin[i + 2] : 0u);

        for (int shift = 18; shift >= 0; shift -= 6)
            *at++ = alphabet[bits >> shift & 63];
    }
    text[sizeof text - 1] = '=';
    lua_pushlstring(L, text, sizeof text);
}
