/* PEM (RFC 7468), read leniently: text around blocks is skipped, lines may have any length. */
#include "crypto/certificate.h"

#define BEGIN "-----BEGIN "
#define END "-----END "
#define DASHES "-----"

/* The first place of `needle`, or the end. */
static size_t find(struct span text, const char *needle)
{
    size_t size = strlen(needle);

    for (size_t i = 0; size <= text.size && i <= text.size - size; i++) {
        if (memcmp(text.data + i, needle, size) == 0)
            return i;
    }
    return text.size;
}

static struct span skip(struct span text, size_t count)
{
    return count < text.size ? span_of(text.data + count, text.size - count) : (struct span){0};
}

bool neap_pem_is(struct span bytes)
{
    return find(bytes, BEGIN) < bytes.size;
}

bool neap_pem_next(struct span *text, struct span *label, struct span *body)
{
    struct span rest = skip(*text, find(*text, BEGIN) + strlen(BEGIN));
    size_t label_size = find(rest, DASHES);

    *text = (struct span){0};
    if (label_size == rest.size)
        return false;
    *label = span_of(rest.data, label_size);
    rest = skip(rest, label_size + strlen(DASHES));
    size_t body_size = find(rest, END);
    if (body_size == rest.size)
        return false;
    *body = span_of(rest.data, body_size);
    *text = skip(rest, body_size + strlen(END));
    return true;
}

/* The value of a base64 digit without a table, since keys pass here as well; -1 for any other character. */
static int digit_of(uint8_t c)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    return c == '+' ? 62 : c == '/' ? 63 : -1;
}

int64_t neap_base64_decode(struct span text, uint8_t *out)
{
    uint32_t bits = 0;
    size_t digits = 0, padding = 0, size = 0;

    for (size_t i = 0; i < text.size; i++) {
        uint8_t c = text.data[i];

        if (c == ' ' || c == '\t' || c == '\r' || c == '\n')
            continue;
        int digit = digit_of(c);
        if (c == '=' && padding < 2)
            padding++;
        else if (digit < 0 || padding > 0)
            return -1;
        bits = bits << 6 | (digit < 0 ? 0u : (uint32_t)digit);
        if (++digits % 4 == 0) {
            for (size_t byte = 0; byte < 3 - padding; byte++)
                out[size++] = (uint8_t)(bits >> (16 - 8 * byte));
            bits = 0;
        }
    }
    return digits % 4 == 0 ? (int64_t)size : -1;
}
