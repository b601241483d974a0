#include "tls/extensions.h"

#include "base/limits.h"
#include "base/reader.h"
#include "tls/state.h"

static const struct row {
    uint16_t number;
    uint16_t places;
} rows[EXTENSIONS_KNOWN] = {
#define X(name, number, places) [EXT_##name] = {number, places},
    EXTENSION_LIST(X)
#undef X
};

static enum extension find(uint16_t number)
{
    int i = 0;

    while (i < EXTENSIONS_KNOWN && rows[i].number != number)
        i++;
    return (enum extension)i;
}

static bool is_answer(enum extension_place place)
{
    return place & (IN_SERVER_HELLO | IN_RETRY_REQUEST | IN_ENCRYPTED | IN_CERTIFICATE);
}

/* May this extension stand here (RFC 8446 §4.2)? */
static int check_place(enum extension which, enum extension_place place, uint32_t asked, struct failure *why)
{
    if (which != EXTENSIONS_KNOWN && !(rows[which].places & place))
        return neap_tls_alert(why, ALERT_ILLEGAL_PARAMETER, "extension in a message where it has no place");
    if (!is_answer(place))
        return 0;
    /* A cookie is the one answer to nothing. */
    if (which == EXT_COOKIE && place == IN_RETRY_REQUEST)
        return 0;
    if (which == EXTENSIONS_KNOWN || !(asked & extension_bit(which)))
        return neap_tls_alert(why, ALERT_UNSUPPORTED_EXTENSION, "extension that was not asked for");
    return 0;
}

static bool seen_before(const uint16_t *seen, size_t count, uint16_t number)
{
    for (size_t i = 0; i < count; i++)
        if (seen[i] == number)
            return true;
    return false;
}

int neap_extensions_parse(struct span block, enum extension_place place, uint32_t asked,
                          struct extensions *out, struct failure *why)
{
    struct reader r = reader_of(block);
    uint16_t seen[LIMIT_TLS_EXTENSIONS];
    size_t count = 0;

    *out = (struct extensions){0};
    while (reader_left(&r) > 0) {
        uint16_t number = read_u16(&r);
        struct span data = read_vector(&r, 2);
        if (r.bad)
            return neap_tls_alert(why, ALERT_DECODE_ERROR, "extension past the end of its block");
        if (seen_before(seen, count, number))
            return neap_tls_alert(why, ALERT_ILLEGAL_PARAMETER, "extension that came twice");
        if (count == LIMIT_TLS_EXTENSIONS)
            return neap_tls_alert(why, ALERT_ILLEGAL_PARAMETER, "too many extensions");
        seen[count++] = number;
        enum extension which = find(number);
        int rc = check_place(which, place, asked, why);
        if (rc)
            return rc;
        out->last = number;
        if (which == EXTENSIONS_KNOWN)
            continue;
        out->present |= extension_bit(which);
        out->data[which] = data;
    }
    return 0;
}

void neap_extensions_digest(struct span block, uint8_t digest[32])
{
    struct reader r = reader_of(block);

    memset(digest, 0, 32);
    while (reader_left(&r) > 0) {
        const uint8_t *start = r.at;
        uint16_t number = read_u16(&r);
        uint8_t hash[32];

        read_vector(&r, 2);
        if (number == NUMBER_KEY_SHARE || number == NUMBER_EARLY_DATA || number == NUMBER_PRE_SHARED_KEY ||
            number == NUMBER_PADDING)
            continue;
        neap_hash(HASH_SHA256, span_of(start, (size_t)(r.at - start)), hash);
        for (int i = 0; i < 32; i++)
            digest[i] ^= hash[i];
    }
}
