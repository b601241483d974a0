/* Texts about certificates. Their parts come from the peer and go to logs and terminals, so that nothing but printable ASCII
 * of a bounded length is let through. */
#include "crypto/explain.h"

#include "crypto/der.h"

#include <arpa/inet.h>
#include <stdarg.h>
#include <stdio.h>
#include <time.h>

#ifndef NEAP_NO_REASONS

int neap_certificate_explain(struct crypto *crypto, struct failure *why, int alert, const char *format, ...)
{
    va_list list;

    if (why->code)
        return NEAP_CRYPTO_ERROR + alert;
    va_start(list, format);
    vsnprintf(crypto->explanation, sizeof crypto->explanation, format, list);
    va_end(list);
    return neap_fail(why, NEAP_CRYPTO_ERROR + alert, crypto->explanation);
}

const char *neap_explain_time(int64_t seconds, char out[EXPLAIN_TIME])
{
    time_t at = (time_t)seconds;
    struct tm parts;

    if (!gmtime_r(&at, &parts) || strftime(out, EXPLAIN_TIME, "%Y-%m-%d %H:%M UTC", &parts) == 0)
        return "an unknown time";
    return out;
}

/* At most `room` bytes with the end. How many there are without it. */
static size_t put_text(char *out, size_t room, struct span text)
{
    static const char cut[] = "...";
    size_t size = text.size < room ? text.size : room - 1;

    for (size_t i = 0; i < size; i++)
        out[i] = text.data[i] >= 0x20 && text.data[i] < 0x7f ? (char)text.data[i] : '?';
    if (size < text.size && size >= sizeof cut - 1)
        memcpy(out + size - (sizeof cut - 1), cut, sizeof cut - 1);
    out[size] = '\0';
    return size;
}

const char *neap_explain_text(struct span text, char out[EXPLAIN_NAME])
{
    put_text(out, EXPLAIN_NAME, text);
    return out;
}

const char *neap_explain_name(struct span name, char out[EXPLAIN_NAME])
{
    static const uint8_t kinds[] = {3, 11, 10}; /* 2.5.4.x: common name, organizational unit, organization */

    for (size_t i = 0; i < sizeof kinds; i++) {
        struct span found = neap_name_attribute(name, kinds[i]);

        if (found.size)
            return neap_explain_text(found, out);
    }
    return name.size > 2 ? "a name without a common name" : "nobody";
}

/* One name of a subjectAltName; empty for those that are no hosts. */
static struct span host_text(uint8_t kind, struct span value, char *room, size_t room_size)
{
    int family = value.size == 4 ? AF_INET : AF_INET6;

    if (kind == NAME_DNS)
        return value;
    if (kind == NAME_ADDRESS && (value.size == 4 || value.size == 16) &&
        inet_ntop(family, value.data, room, (socklen_t)room_size))
        return span_of_string(room);
    return (struct span){0};
}

const char *neap_explain_hosts(const struct certificate *certificate, char out[EXPLAIN_NAMES])
{
    static const char more[] = ", ...";
    struct reader names = reader_of(certificate->names);
    size_t size = 0;

    while (!names.bad && reader_left(&names) > 0) {
        char room[INET6_ADDRSTRLEN];
        struct span value;
        uint8_t kind = neap_der_next(&names, &value, NULL);
        struct span text = host_text(kind, value, room, sizeof room);

        if (text.size == 0)
            continue;
        if (size > 0 && size + 2 + text.size + sizeof more > EXPLAIN_NAMES) {
            memcpy(out + size, more, sizeof more);
            return out;
        }
        if (size > 0) {
            memcpy(out + size, ", ", 2);
            size += 2;
        }
        size += put_text(out + size, EXPLAIN_NAMES - sizeof more - size, text);
    }
    return size > 0 ? out : "no host";
}

#endif
