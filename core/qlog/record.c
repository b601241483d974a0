/* JSON, a piece at a time. */
#include "qlog/record.h"

#include <string.h>

static void put_bytes(struct record *r, const char *bytes, size_t size)
{
    if (r->full || size > (size_t)(r->end - r->at)) {
        r->full = true;
        return;
    }
    memcpy(r->at, bytes, size);
    r->at += size;
}

static void put_char(struct record *r, char c)
{
    put_bytes(r, &c, 1);
}

void neap_record_put(struct record *r, const char *text)
{
    put_bytes(r, text, strlen(text));
}

void neap_record_key(struct record *r, const char *name)
{
    char last = r->at > r->start ? r->at[-1] : '{';

    if (last != '{' && last != '[' && last != ':')
        put_char(r, ',');
    if (!name)
        return;
    put_char(r, '"');
    neap_record_put(r, name);
    neap_record_put(r, "\":");
}

void neap_record_open(struct record *r, const char *name, char what)
{
    neap_record_key(r, name);
    put_char(r, what);
}

void neap_record_close(struct record *r, char what)
{
    put_char(r, what == '{' ? '}' : ']');
}

/* Decimal, with zeros in front up to `least` digits. */
static void put_decimal(struct record *r, uint64_t value, size_t least)
{
    char digits[20];
    size_t count = 0;

    do {
        digits[sizeof digits - ++count] = (char)('0' + value % 10);
        value /= 10;
    } while (value > 0 || count < least);
    put_bytes(r, digits + sizeof digits - count, count);
}

void neap_record_number(struct record *r, const char *name, uint64_t value)
{
    neap_record_key(r, name);
    put_decimal(r, value, 1);
}

void neap_record_bool(struct record *r, const char *name, bool value)
{
    neap_record_key(r, name);
    neap_record_put(r, value ? "true" : "false");
}

void neap_record_ms(struct record *r, const char *name, neap_time time)
{
    neap_record_key(r, name);
    put_decimal(r, time / NEAP_MILLISECOND, 1);
    put_char(r, '.');
    put_decimal(r, time % NEAP_MILLISECOND, 6);
}

static void put_hex(struct record *r, uint8_t byte)
{
    static const char digits[] = "0123456789abcdef";

    put_char(r, digits[byte >> 4]);
    put_char(r, digits[byte & 15]);
}

void neap_record_text(struct record *r, const char *name, const char *text, size_t size)
{
    neap_record_key(r, name);
    put_char(r, '"');
    for (size_t i = 0; i < size && !r->full; i++) {
        uint8_t c = (uint8_t)text[i];

        if (c == '"' || c == '\\') {
            put_char(r, '\\');
            put_char(r, (char)c);
        } else if (c < 0x20 || c > 0x7e) {
            neap_record_put(r, "\\u00");
            put_hex(r, c);
        } else {
            put_char(r, (char)c);
        }
    }
    put_char(r, '"');
}

void neap_record_string(struct record *r, const char *name, const char *text)
{
    neap_record_text(r, name, text, strlen(text));
}

void neap_record_hex(struct record *r, const char *name, const void *bytes, size_t size)
{
    const uint8_t *at = bytes;

    neap_record_key(r, name);
    put_char(r, '"');
    for (size_t i = 0; i < size && !r->full; i++)
        put_hex(r, at[i]);
    put_char(r, '"');
}

/* RFC 5952 is not needed: all eight groups are an address, too. */
static void put_ip(struct record *r, const neap_address *address)
{
    for (size_t i = 0; address->family == 4 && i < 4; i++) {
        if (i > 0)
            put_char(r, '.');
        put_decimal(r, address->ip[i], 1);
    }
    for (size_t i = 0; address->family == 6 && i < 16; i++) {
        if (i > 0 && i % 2 == 0)
            put_char(r, ':');
        put_hex(r, address->ip[i]);
    }
}

void neap_record_address(struct record *r, const char *name, const neap_address *address, const neap_cid *cid)
{
    neap_record_open(r, name, '{');
    if (address->family == 4 || address->family == 6) {
        neap_record_key(r, address->family == 4 ? "ip_v4" : "ip_v6");
        put_char(r, '"');
        put_ip(r, address);
        put_char(r, '"');
        neap_record_number(r, address->family == 4 ? "port_v4" : "port_v6", address->port);
    }
    if (cid) {
        neap_record_open(r, "connection_ids", '[');
        neap_record_hex(r, NULL, cid->bytes, cid->size);
        neap_record_close(r, '[');
    }
    neap_record_close(r, '{');
}
