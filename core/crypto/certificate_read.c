/* What a certificate says, for applications (neap.h "certificates"): names as text (RFC 4514), alternative names, digests. */
#include "base/fill.h"
#include "base/limits.h"
#include "base/writer.h"
#include "crypto/certificate.h"
#include "crypto/der.h"
#include "crypto/name.h"
#include "neap.h"

static neap_view view_of(struct span s)
{
    return (neap_view){.bytes = s.data, .size = s.size};
}

static struct span span_of_view(neap_view v)
{
    return span_of(v.bytes, v.size);
}

int neap_certificate_read(const void *der, size_t size, neap_certificate *out, size_t out_size)
{
    struct certificate c;

    if (!der || neap_certificate_parse(span_of(der, size), &c))
        return NEAP_ERR_CERTIFICATE;
    neap_certificate known = {.serial = view_of(c.serial),
                              .subject = view_of(c.subject),
                              .issuer = view_of(c.issuer),
                              .public_key = view_of(c.key.spki),
                              .names = view_of(c.names),
                              .not_before = c.not_before,
                              .not_after = c.not_after,
                              .is_authority = c.is_authority};
    neap_hash(HASH_SHA256, c.der, known.sha256);
    neap_hash(HASH_SHA256, c.key.spki, known.public_key_sha256);
    fill_sized(out, out_size, &known, sizeof known);
    return 0;
}

bool neap_certificate_name(const neap_certificate *certificate, size_t index, enum neap_name_kind *kind,
                           neap_view *name)
{
    struct reader r = reader_of(span_of_view(certificate->names));
    struct span content;

    while (reader_left(&r) > 0) {
        uint8_t tag = neap_der_next(&r, &content, NULL);

        if (r.bad)
            return false;
        if (index-- > 0)
            continue;
        *kind = tag == DER_CONTEXT(1)   ? NEAP_NAME_EMAIL
                : tag == DER_CONTEXT(2) ? NEAP_NAME_DNS
                : tag == DER_CONTEXT(6) ? NEAP_NAME_URI
                : tag == DER_CONTEXT(7) ? NEAP_NAME_ADDRESS
                                        : NEAP_NAME_OTHER;
        *name = view_of(content);
        return true;
    }
    return false;
}

/* ---- distinguished names */

/* RFC 4514 §3, and what is usual beside it. */
static const struct attribute {
    const char *name, *oid;
    uint8_t oid_size;
} attributes[] = {
    {"CN", "\x55\x04\x03", 3},
    {"SERIALNUMBER", "\x55\x04\x05", 3},
    {"C", "\x55\x04\x06", 3},
    {"L", "\x55\x04\x07", 3},
    {"ST", "\x55\x04\x08", 3},
    {"STREET", "\x55\x04\x09", 3},
    {"O", "\x55\x04\x0a", 3},
    {"OU", "\x55\x04\x0b", 3},
    {"UID", "\x09\x92\x26\x89\x93\xf2\x2c\x64\x01\x01", 10},
    {"DC", "\x09\x92\x26\x89\x93\xf2\x2c\x64\x01\x19", 10},
};

#define COUNT(list) (sizeof(list) / sizeof(list)[0])

static const char *known_attribute(struct span oid)
{
    for (size_t i = 0; i < COUNT(attributes); i++)
        if (span_equal(oid, span_of(attributes[i].oid, attributes[i].oid_size)))
            return attributes[i].name;
    return NULL;
}

static void write_decimal(struct writer *w, uint64_t number)
{
    char digits[20];
    size_t count = 0;

    do
        digits[count++] = (char)('0' + number % 10);
    while ((number /= 10) > 0);
    while (count > 0)
        write_u8(w, (uint8_t)digits[--count]);
}

/* An object identifier with dots (X.690 §8.19). False for what is none, or has a number above 63 bits: a part of it would
 * be another's. */
static bool write_dotted(struct writer *w, struct span oid)
{
    uint64_t part = 0;
    bool is_first = true, is_whole = false;

    for (size_t i = 0; i < oid.size; i++) {
        if (part >= UINT64_C(1) << 56 || (oid.data[i] == 0x80 && part == 0))
            return false;
        part = part << 7 | (oid.data[i] & 0x7f);
        is_whole = !(oid.data[i] & 0x80);
        if (!is_whole)
            continue;
        if (is_first) {
            uint64_t root = part < 80 ? part / 40 : 2;

            write_decimal(w, root);
            part -= root * 40;
            is_first = false;
        }
        write_u8(w, '.');
        write_decimal(w, part);
        part = 0;
    }
    return is_whole;
}

static void write_hex(struct writer *w, uint8_t byte)
{
    static const char digits[] = "0123456789abcdef";

    write_u8(w, (uint8_t)digits[byte >> 4]);
    write_u8(w, (uint8_t)digits[byte & 15]);
}

static void write_utf8(struct writer *w, uint32_t c)
{
    if (c < 0x80) {
        write_u8(w, (uint8_t)c);
        return;
    }
    if (c >= 0x10000)
        write_u8(w, (uint8_t)(0xf0 | c >> 18));
    else if (c >= 0x800)
        write_u8(w, (uint8_t)(0xe0 | c >> 12));
    else
        write_u8(w, (uint8_t)(0xc0 | c >> 6));
    if (c >= 0x10000)
        write_u8(w, (uint8_t)(0x80 | (c >> 12 & 0x3f)));
    if (c >= 0x800)
        write_u8(w, (uint8_t)(0x80 | (c >> 6 & 0x3f)));
    write_u8(w, (uint8_t)(0x80 | (c & 0x3f)));
}

/* A value as UTF-8; false for one that is no text, or broken. */
static bool write_value(struct writer *w, uint8_t tag, struct span value)
{
    struct reader r = reader_of(value);
    uint32_t c;

    if (!neap_string_is_text(tag))
        return false;
    while (reader_left(&r) > 0) {
        if (!neap_string_character(&r, tag, &c))
            return false;
        write_utf8(w, c);
    }
    return true;
}

/* How many bytes at the front of a text, which is UTF-8, are a control, another end of a line or what turns the direction of
 * one around: U+0000 to 1f, U+007f to 9f, U+2028 to 202e, U+2066 to 2069. */
static size_t control_size(const uint8_t *at)
{
    if (at[0] < 0x20 || at[0] == 0x7f)
        return 1;
    if (at[0] == 0xc2)
        return at[1] < 0xa0 ? 2 : 0;
    if (at[0] == 0xe2 && at[1] == 0x80)
        return at[2] >= 0xa8 && at[2] <= 0xae ? 3 : 0;
    return at[0] == 0xe2 && at[1] == 0x81 && at[2] >= 0xa6 && at[2] <= 0xa9 ? 3 : 0;
}

/* RFC 4514 §2.4, and controls by their numbers, so that a name is one line wherever it is written. */
static void escape(struct writer *w, struct span text)
{
    size_t controls = 0; /* bytes of one that are left */

    for (size_t i = 0; i < text.size; i++) {
        uint8_t c = text.data[i];
        bool is_edge = (i == 0 && (c == ' ' || c == '#')) || (i + 1 == text.size && c == ' ');

        if (controls == 0)
            controls = control_size(text.data + i);
        if (controls > 0) {
            write_u8(w, '\\');
            write_hex(w, c);
            controls--;
            continue;
        }
        if (is_edge || strchr("\"+,;<>\\", c))
            write_u8(w, '\\');
        write_u8(w, c);
    }
}

#define VALUE_MOST 1024u /* bytes of UTF-8 that a value may have to be written as text */

static bool write_type(struct writer *w, struct span oid)
{
    const char *known = known_attribute(oid);

    if (!known)
        return write_dotted(w, oid);
    write_bytes(w, known, strlen(known));
    return true;
}

static bool write_pair(struct writer *w, const struct name_pair *p)
{
    uint8_t room[VALUE_MOST];
    struct writer text = writer_of(room, sizeof room);

    if (!write_type(w, p->oid))
        return false;
    write_u8(w, '=');
    if (known_attribute(p->oid) && write_value(&text, p->tag, p->value) && !text.full) {
        escape(w, span_of(room, writer_size(&text)));
        return true;
    }
    write_u8(w, '#');
    for (size_t i = 0; i < p->whole.size; i++)
        write_hex(w, p->whole.data[i]);
    return true;
}

/* The index-th relative name from the front, all of its pairs. */
static bool write_relative(struct writer *w, struct span sets, size_t index)
{
    struct reader r = reader_of(sets);
    struct span set = {0};

    for (size_t i = 0; i <= index; i++)
        set = neap_der_expect(&r, DER_SET);
    struct reader pairs = reader_of(set);
    for (size_t i = 0; reader_left(&pairs) > 0; i++) {
        struct name_pair p = neap_name_pair(&pairs);

        if (i > 0)
            write_u8(w, '+');
        if (pairs.bad || !write_pair(w, &p))
            return false;
    }
    return !r.bad;
}

/* The relative names of a Name, and how many there are, or an error. A name is read as a whole or not at all: who it is
 * stands at its end. */
static int64_t open_name(neap_view name, struct span *sets)
{
    struct reader outer = reader_of(span_of_view(name));
    size_t count = 0, parts = 0;

    *sets = neap_der_expect(&outer, DER_SEQUENCE);
    if (outer.bad || reader_left(&outer) > 0)
        return NEAP_ERR_CERTIFICATE;
    for (struct reader r = reader_of(*sets); reader_left(&r) > 0; count++) {
        struct reader pairs = reader_of(neap_der_expect(&r, DER_SET));

        if (r.bad || reader_left(&pairs) == 0)
            return NEAP_ERR_CERTIFICATE;
        while (reader_left(&pairs) > 0) {
            if (parts++ == LIMIT_NAME_PARTS)
                return NEAP_ERR_LIMIT;
            neap_name_pair(&pairs);
            if (pairs.bad)
                return NEAP_ERR_CERTIFICATE;
        }
    }
    return (int64_t)count;
}

int64_t neap_name_text(neap_view name, char *out, size_t size)
{
    struct span sets;
    int64_t count = open_name(name, &sets);
    struct writer w = writer_of((uint8_t *)out, size > 0 ? size - 1 : 0);

    if (count < 0 || size == 0)
        return count < 0 ? count : NEAP_ERR_BUFFER_TOO_SHORT;
    for (size_t i = (size_t)count; i-- > 0;) {
        if (!write_relative(&w, sets, i))
            return NEAP_ERR_CERTIFICATE;
        if (i > 0)
            write_u8(&w, ',');
    }
    if (w.full)
        return NEAP_ERR_BUFFER_TOO_SHORT;
    out[writer_size(&w)] = '\0';
    return (int64_t)writer_size(&w);
}

static bool find_pair(struct span sets, size_t index, struct name_pair *out)
{
    struct reader r = reader_of(sets);

    while (reader_left(&r) > 0) {
        struct reader pairs = reader_of(neap_der_expect(&r, DER_SET));

        for (; reader_left(&pairs) > 0; index--) {
            *out = neap_name_pair(&pairs);
            if (index == 0)
                return true;
        }
    }
    return false;
}

int64_t neap_name_attribute_text(struct span name, uint8_t kind, char *out, size_t size)
{
    const uint8_t wanted[] = {0x55, 0x04, kind};
    struct writer text = writer_of((uint8_t *)out, size);
    struct name_pair p, found = {0};
    struct span sets;
    int64_t count = open_name(view_of(name), &sets);

    if (count < 0)
        return count;
    for (size_t i = 0; find_pair(sets, i, &p); i++) {
        if (span_equal(p.oid, span_of(wanted, sizeof wanted)))
            found = p;
    }
    if (found.oid.size > 0 && !write_value(&text, found.tag, found.value))
        return NEAP_ERR_UNSUPPORTED;
    return text.full ? NEAP_ERR_BUFFER_TOO_SHORT : (int64_t)writer_size(&text);
}

int64_t neap_name_part(neap_view name, size_t index, char *type, size_t type_size, char *out, size_t size)
{
    struct span sets;
    int64_t count = open_name(name, &sets);
    struct writer types = writer_of((uint8_t *)type, type_size > 0 ? type_size - 1 : 0);
    struct writer text = writer_of((uint8_t *)out, size);
    struct name_pair p;

    if (count < 0 || !find_pair(sets, index, &p))
        return count < 0 ? count : NEAP_ERR_ARGUMENT;
    if (!write_type(&types, p.oid))
        return NEAP_ERR_CERTIFICATE;
    if (types.full || type_size == 0)
        return NEAP_ERR_BUFFER_TOO_SHORT;
    type[writer_size(&types)] = '\0';
    if (!write_value(&text, p.tag, p.value))
        return NEAP_ERR_UNSUPPORTED;
    return text.full ? NEAP_ERR_BUFFER_TOO_SHORT : (int64_t)writer_size(&text);
}
